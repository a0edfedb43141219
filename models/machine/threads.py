"""Number of threads of the compiled loops and of torch's own operations."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from threadpoolctl import ThreadpoolController


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
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    return before


_torch_on_one = Lowered(_lower_torch, torch.set_num_threads)


def n_threads() -> int:
    """Return the number of threads of the loops: torch's, or what it was before `torch_on_one`."""
    return int(_torch_on_one.before or torch.get_num_threads())


@cache
def _blas() -> list[Any]:
    """Return the controllers of the BLAS libraries of this process."""
    return list(ThreadpoolController().select(user_api="blas").lib_controllers)


def _set_blas_threads(numbers: Sequence[int]) -> list[int]:
    """Set the threads of each BLAS library, and return what they were."""
    before = [library.get_num_threads() for library in _blas()]
    for library, number in zip(_blas(), numbers, strict=True):
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
