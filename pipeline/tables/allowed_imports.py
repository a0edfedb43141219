"""Which packages a row may import task and penalty classes from, as the operator allows."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from tasks_lib.imports import check_package, imports_only_from

VARIABLE = "RNN_ALLOWED_PACKAGES"


def allowed_packages() -> tuple[str, ...]:
    """Return the packages whose tasks, penalties and environments rows may name.

    RNN_ALLOWED_PACKAGES, separated by commas. Those of this project are always allowed.
    """
    names = os.environ.get(VARIABLE, "").split(",")
    return tuple(dict.fromkeys(name.strip() for name in names if name.strip()))


def allow(packages: Iterable[str]) -> None:
    """Allow further packages, in this process and those that it starts.

    Raises
    ------
    ParameterError
        Where one is not the name of a package, or is one of this project's.
    """
    added = [check_package(package) for package in packages]
    if added:
        os.environ[VARIABLE] = ",".join(dict.fromkeys([*allowed_packages(), *added]))


@contextmanager
def only_allowed_imports() -> Iterator[None]:
    """Restrict imports by rows to allowed packages; a context manager and a decorator.

    Who may insert a row must not be able to run any function that is installed where a worker is.
    """
    with imports_only_from(allowed_packages()):
        yield
