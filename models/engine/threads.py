"""How many threads the loops run on, and how many torch's own operations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch

_n_threads: ContextVar[int | None] = ContextVar("n_threads", default=None)


def n_threads() -> int:
    """Return the number of threads of the loops: torch's, or what it was before `torch_on_one`."""
    return _n_threads.get() or torch.get_num_threads()


@contextmanager
def torch_on_one() -> Iterator[None]:
    """Run torch's operations on one thread, and the loops on as many as torch had.

    Beside the loops a training has operations that are too short to share. Torch cuts long sums
    by the number of its threads, so that on one thread the numbers are the same on every machine.
    """
    before = torch.get_num_threads()
    token = _n_threads.set(n_threads())
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
        _n_threads.reset(token)
