"""How functions are compiled, and where the result is kept for the next process.

Numba looks at the file of a function alone to see whether what it kept is still valid, and not at
the files of the functions that it calls. So what is kept lies in a folder named by all of them.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from numba import config as numba_config
from numba import njit
from numba.core import caching

_settings: Any = numba_config
# "contract" and "reassoc" let sums be vectorised; infinities and NaN keep their meaning. With the
# error model of NumPy a division by zero gives infinity, and has no branch that raises.
_OPTIONS: dict[str, Any] = {
    "fastmath": {"contract", "reassoc", "nsz", "arcp"},
    "error_model": "numpy",
}

_NumbaLocator: Any = getattr(caching, "UserProvidedCacheLocator", object)  # of recent releases


class Locator(_NumbaLocator):  # type: ignore[misc]
    """Where Numba keeps what it compiled: one folder for all copies of the same sources.

    Numba itself has one for each folder that sources lie in. That of `cache_folder` is named by
    what is in them.
    """

    @classmethod
    def get_suitable_cache_subpath(cls, py_file: str) -> str:
        """Return the name of the folder for a file of sources."""
        return Path(py_file).parent.name


@cache
def cache_folder() -> str | None:
    """Return the folder of what was compiled from the sources as they are; None if it can't be.

    Numba itself would go on to a folder that does not know of the other files.
    """
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(source.read_bytes())
    try:
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        base = Path(_settings.CACHE_DIR or Path(home) / "rnn-pipeline" / "compiled")
        folder = base / digest.hexdigest()[:16]
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return str(folder)
    except (OSError, RuntimeError):  # no home, or one that cannot be written
        return None


def compiled(function: Callable[..., Any]) -> Any:
    """Compile a function, to be called from Python or from another one, without the GIL."""
    return _kept(function, _OPTIONS)


def compiled_exactly(function: Callable[..., Any]) -> Any:
    """Compile a function as `compiled` does, each of whose operations is rounded by itself.

    None are joined and none change their order, so that it gives what NumPy and torch give to the
    bit where they take the same operations one after the other.
    """
    return _kept(function, {"error_model": "numpy"})


def _kept(function: Callable[..., Any], options: dict[str, Any]) -> Any:
    """Compile a function, and keep the result for the next process where that can be."""
    folder = cache_folder()
    if folder is None:
        return njit(nogil=True, **options)(function)
    here = {"CACHE_DIR": folder}
    if _NumbaLocator is not object:
        here["CACHE_LOCATOR_CLASSES"] = f"{Locator.__module__}.{Locator.__qualname__}"
    before = {name: getattr(_settings, name) for name in here}
    try:
        for name, value in here.items():
            setattr(_settings, name, value)
        return njit(nogil=True, cache=True, **options)(function)
    finally:
        for name, value in before.items():
            setattr(_settings, name, value)


def inline(function: Callable[..., Any]) -> Any:
    """Make a function part of those that call it."""
    return njit(inline="always", **_OPTIONS)(function)
