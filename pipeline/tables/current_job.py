"""What a computation may ask of its worker: all that tables know of workers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Any, Protocol


class CurrentJob(Protocol):
    """The job that a computation belongs to."""

    def report(self, step: int, n_steps: int, loss: float) -> None:
        """Say how far a training is."""

    def checking_stop(self) -> AbstractContextManager[dict[str, Any]]:
        """Inside, the computation itself looks whether it is to stop.

        Yields what `models.train_cohort` is given: ``device``, ``checkpoints``,
        ``checkpoint_seconds`` and ``stop``.
        """


_current: ContextVar[CurrentJob | None] = ContextVar("job", default=None)


def current_job() -> CurrentJob | None:
    """Return the job that is being worked on; None in a plain `populate`."""
    return _current.get()


@contextmanager
def working_on(job: CurrentJob) -> Iterator[None]:
    """Inside, `current_job` is this one."""
    token = _current.set(job)
    try:
        yield
    finally:
        _current.reset(token)
