"""Watching a training while it goes on: its loss and the terms of it, now and then."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

POINTS = 60  # of a curve, over all iterations
# Iteration, of how many, and name -> mean over the networks that train.
Watcher = Callable[[int, int, Mapping[str, float]], object]
_watcher: ContextVar[Watcher | None] = ContextVar("watcher", default=None)


@contextmanager
def watching(watcher: Watcher) -> Iterator[None]:
    """Have trainings inside call a function with their loss and its terms.

    It is called at the first iteration, and then `POINTS` times over all of them, with "loss" and,
    where there are penalties or the training is monitored, "loss.task", "loss.metabolic" and so on.
    Of a cohort that is divided, each part is a training.
    """
    token = _watcher.set(watcher)
    try:
        yield
    finally:
        _watcher.reset(token)


def watcher_at(iteration: int, n_iterations: int) -> Watcher | None:
    """Return who is to be told of an iteration; None where nobody is."""
    watcher = _watcher.get()
    every = max(1, n_iterations // POINTS)
    is_due = iteration == 1 or iteration % every == 0
    return watcher if watcher is not None and is_due else None
