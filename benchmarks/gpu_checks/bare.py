"""Small stand-ins for libraries that a bare GPU machine may lack and `models` imports.

With torch, Triton, Numba, NumPy and SciPy there, `models` needs three more packages for things that
a check does not: lazy imports, the thread counts of BLAS libraries, and free memory.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any


def _attach_stub(package: str, file: str) -> tuple[Any, Any, list[str]]:
    """Do what `lazy_loader.attach_stub` does: read ``from .module import name`` from a stub."""
    stub = ast.parse(Path(file).with_suffix(".pyi").read_text(encoding="utf-8"))
    places: dict[str, tuple[str, str | None]] = {}
    for node in stub.body:
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            for alias in node.names:
                shown = alias.asname or alias.name
                places[shown] = (node.module or alias.name, alias.name if node.module else None)

    def get(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module, attribute = places[name]
        found = importlib.import_module(f"{package}.{module}")
        return found if attribute is None else getattr(found, attribute)

    return get, lambda: list(places), list(places)


class _NoControllers:
    """A `threadpoolctl.ThreadpoolController` that found no library."""

    lib_controllers: tuple[Any, ...] = ()

    def select(self, **_: Any) -> _NoControllers:
        return self


def _free() -> SimpleNamespace:
    pages = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return SimpleNamespace(available=pages)


_STAND_INS: dict[str, Callable[[], dict[str, Any]]] = {
    "lazy_loader": lambda: {"attach_stub": _attach_stub},
    "threadpoolctl": lambda: {"ThreadpoolController": _NoControllers},
    "psutil": lambda: {
        "virtual_memory": _free,
        "Process": lambda: SimpleNamespace(memory_info=lambda: SimpleNamespace(vms=0, data=0)),
    },
}


def is_missing(name: str) -> bool:
    """Return whether a package cannot be imported here."""
    try:
        return importlib.util.find_spec(name) is None
    except (ImportError, ValueError):
        return True


def fill_in(missing: Callable[[str], bool] = is_missing) -> list[str]:
    """Put a stand-in in the place of each of the packages that is not here; return their names."""
    added = []
    for name, content in _STAND_INS.items():
        if name not in sys.modules and missing(name):
            module = ModuleType(name)
            vars(module).update(content())
            sys.modules[name] = module
            added.append(name)
    return added
