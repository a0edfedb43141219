"""Importing an object by its name "package.module:attribute"."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from .errors import CannotImport, ParameterError

OWN_PACKAGES = ("tasks_lib", "models", "pipeline")

# None: whoever names what is to be imported also runs it, and may name anything.
_allowed: ContextVar[frozenset[str] | None] = ContextVar("allowed packages", default=None)


@contextmanager
def imports_only_from(packages: Iterable[str]) -> Iterator[None]:
    """Restrict `import_attribute` to these packages and their submodules inside.

    Parameters
    ----------
    packages : iterable of str
        Names of packages; this project's own cannot be among them.

    Raises
    ------
    ParameterError
        Where one is not the name of a package, or is one of this project's.
    """
    token = _allowed.set(frozenset(check_package(package) for package in packages))
    try:
        yield
    finally:
        _allowed.reset(token)


def check_package(package: str) -> str:
    """Return the name of a package that may be allowed, or say why it may not."""
    field = "RNN_ALLOWED_PACKAGES"
    if not _is_dotted(package):
        raise ParameterError(
            field, package, "is not the name of a package", "write lab_tasks or lab_tasks.memory"
        )
    if package.partition(".")[0] in OWN_PACKAGES:
        raise ParameterError(
            field,
            package,
            "is a package of this project, of which only tasks and registered penalties can be "
            "named, and these always",
            "leave it out",
        )
    return package


def _is_dotted(name: str) -> bool:
    return all(part.isidentifier() for part in name.split("."))


def import_attribute(field: str, name: str, own: bool = False) -> Any:
    """Return what a name "package.module:attribute" says.

    Parameters
    ----------
    field : str
        Where the name stands, for messages.
    name : str
    own : bool
        Whether the name is one that our own code gives, which is always allowed.

    Raises
    ------
    ParameterError
        Where it is no such name, and where imports are restricted and the package is not allowed:
        nothing is imported then.
    Exception
        Whatever the import raises.
    """
    module, _, attribute = name.partition(":")
    if not (_is_dotted(module) and attribute.isidentifier()):
        raise ParameterError(
            field, name, "is not a name to import", 'use "package.module:name", which is no path'
        )
    if not own and not _is_allowed(module):
        _refuse(field, name, module, "is not in an allowed package")
    return getattr(importlib.import_module(module), attribute)


def loaded_attribute(name: str) -> Any:
    """Return what a name "package.module:attribute" says, if it is imported already; else None."""
    module, _, attribute = name.partition(":")
    return getattr(sys.modules.get(module), attribute, None)


def check_origin(field: str, name: str, value: Any) -> None:
    """Refuse what a module of an allowed package merely imported from one that is not allowed.

    Raises
    ------
    ParameterError
        Where imports are restricted and the value was defined elsewhere.
    """
    origin = getattr(value, "__module__", None) or "nowhere"
    if not _is_allowed(origin):
        _refuse(field, name, origin, f"is defined in {origin}, which is not an allowed package")


def defined_at(value: Any) -> str | None:
    """Return "package.module:name" of where a class or function is defined.

    None where no such name leads to it: it was made inside of a function, or replaced since.
    """
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str) or not name.isidentifier():
        return None
    found = getattr(sys.modules.get(module), name, None)
    return f"{module}:{name}" if found is value else None


def one_name(name: str, defined: str) -> str:
    """Return the one name of an object: where it is defined, if it may be imported from there.

    Parameters
    ----------
    name : str
        As it was given.
    defined : str
        A short name, or "package.module:name" of the definition.
    """
    module, is_address, _ = defined.partition(":")
    return defined if not is_address or _is_allowed(module) else name


def _is_allowed(module: str) -> bool:
    packages = _allowed.get()
    return packages is None or any(module == p or module.startswith(p + ".") for p in packages)


def _refuse(field: str, name: str, module: str, problem: str) -> None:
    package = module.partition(".")[0]
    raise CannotImport(
        field,
        name,
        problem,
        f"if you trust {package}, run rnn --allow {package}, or name it in RNN_ALLOWED_PACKAGES",
    )
