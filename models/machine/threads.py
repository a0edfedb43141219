"""Number of threads of the compiled loops and of torch's own operations."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController

# From which the libraries take their number of threads when they are loaded.
VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMBA_NUM_THREADS",
)


def set_threads(number: int) -> None:
    """Let this process, and those that it starts, compute on so many threads.

    Torch, BLAS and Numba alike: those that are loaded are told, those that are not yet will read
    it from the environment.
    """
    torch, numba = sys.modules.get("torch"), sys.modules.get("numba")
    variables = dict.fromkeys(VARIABLES, str(number))
    if numba is not None:  # reads its variable at each compilation, and refuses another number
        del variables["NUMBA_NUM_THREADS"]
    os.environ.update(variables)
    for library in ThreadpoolController().lib_controllers:  # BLAS and OpenMP
        library.set_num_threads(number)
    if torch is not None:
        torch.set_num_threads(number)
    if numba is not None:  # which can do with fewer than it was loaded with, and not with more
        numba.set_num_threads(min(number, numba.config.NUMBA_NUM_THREADS))


class Lowered:
    """Lowers a setting of the whole process while any thread is inside.

    Parameters
    ----------
    lower : callable
        Lowers it, and returns what it was.
    restore : callable
        Given that, puts it back.
    """

    def __init__(self, lower: Callable[[], Any], restore: Callable[[Any], Any]) -> None:
        self._lower, self._restore = lower, restore
        self._lock = threading.Lock()
        self._inside = 0
        self.before: Any = None  # what it was, while anyone is inside

    def __enter__(self) -> None:
        """Lower it, if nobody is inside."""
        with self._lock:
            if not self._inside:
                self.before = self._lower()
            self._inside += 1

    def __exit__(self, *exception: object) -> None:
        """Put it back, if nobody is left inside."""
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._restore(self.before)
                self.before = None


def _lower_torch() -> int:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    return before


def _restore_torch(number: int) -> None:
    import torch

    torch.set_num_threads(number)


_torch_on_one = Lowered(_lower_torch, _restore_torch)


def n_threads() -> int:
    """Return the number of threads of the loops: torch's, or what it was before `torch_on_one`."""
    import torch

    return int(_torch_on_one.before or torch.get_num_threads())


@cache
def _blas() -> list[Any]:
    """Return the controllers of the BLAS libraries of this process."""
    import scipy.linalg  # noqa: F401  (which brings one of its own: it is to be among them)

    return list(ThreadpoolController().select(user_api="blas").lib_controllers)


def _set_blas_threads(numbers: Sequence[int]) -> list[int]:
    """Set the threads of each BLAS library, and return what they were."""
    before = [library.get_num_threads() for library in _blas()]
    for library, number, now in zip(_blas(), numbers, before, strict=True):
        if number != now:
            library.set_num_threads(number)
    return before


# Small matrices: a product of them is no work for two threads, many products are.
blas_on_one = Lowered(lambda: _set_blas_threads([1] * len(_blas())), _set_blas_threads)


@contextmanager
def torch_on_one() -> Iterator[None]:
    """Run torch's operations on one thread, and the loops on as many as torch had.

    Beside the loops a training has operations that are too short to share, and a thread that waits
    for more of them spins. Torch cuts long sums by the number of its threads: on one they come out
    the same whatever that number.
    """
    with _torch_on_one:
        yield
