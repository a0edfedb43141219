"""The interface between a computation and the worker that runs it: progress, checkpoints, stop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Any, Protocol


class CurrentJob(Protocol):
    """The job that a computation belongs to."""

    def report(self, step: int, n_steps: int, loss: float) -> None:
        """Report the progress of a training."""

    def checking_stop(self) -> AbstractContextManager[dict[str, Any]]:
        """Mark that the computation inside checks itself whether it must stop.

        Yields options of `models.train_cohort`: ``device``, ``checkpoints``,
        ``checkpoint_seconds`` and ``stop``.
        """


_current: ContextVar[CurrentJob | None] = ContextVar("job", default=None)


def current_job() -> CurrentJob | None:
    """Return the job that is being worked on; None in a plain `populate`."""
    return _current.get()


@contextmanager
def working_on(job: CurrentJob) -> Iterator[None]:
    """Make `current_job` return this job inside."""
    token = _current.set(job)
    try:
        yield
    finally:
        _current.reset(token)
