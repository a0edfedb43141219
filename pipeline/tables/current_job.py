"""The interface between a computation and the worker that runs it: progress, checkpoints, stop."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol

from models.machine.devices import default_device

if TYPE_CHECKING:
    import models


class CurrentJob(Protocol):
    """The job that a computation belongs to.

    Attributes
    ----------
    device : str or None
        Torch device of its worker; None: the GPU where there is one.
    """

    device: str | None

    def report(self, step: int, n_steps: int, loss: float) -> None:
        """Report the progress of a training."""

    def watch(self, iteration: int, n_iterations: int, values: Mapping[str, float]) -> None:
        """Report the loss of an iteration and its terms, now and then."""

    def checking_stop(self) -> AbstractContextManager[dict[str, Any]]:
        """Mark that the computation inside checks itself whether it must stop.

        Yields options of `models.train_cohort`: ``device``, ``checkpoints``,
        ``checkpoint_seconds`` and ``stop``.
        """


class CurrentJobs(Protocol):
    """Jobs of one worker that are computed together, by their places.

    Attributes
    ----------
    device : str or None
        As of `CurrentJob`.
    """

    @property
    def device(self) -> str | None:
        """The device of their worker."""

    def report(self, step: int, n_steps: int, loss: float) -> None:
        """Report the progress of all."""

    def watch(self, iteration: int, n_iterations: int, values: Mapping[str, float]) -> None:
        """Report the loss of an iteration and its terms, means over all, now and then."""

    def checking_stop(self) -> AbstractContextManager[dict[str, Any]]:
        """Mark that the computation inside checks itself whether it must stop.

        Yields options of `models.train_together`: ``device``, ``checkpoint_seconds`` and ``stop``.
        """

    def checkpoints(self, i: int) -> models.Checkpoints:
        """Return those of one job."""

    def is_unwanted(self, i: int) -> bool:
        """Return whether one job is not wanted any more; the others go on."""


_current: ContextVar[CurrentJob | None] = ContextVar("job", default=None)


def current_job() -> CurrentJob | None:
    """Return the job that is being worked on; None in a plain `populate`."""
    return _current.get()


def current_device() -> str:
    """Return the torch device to compute on: the worker's, else the GPU where there is one."""
    job = current_job()
    return (job.device if job is not None else None) or default_device()


@contextmanager
def working_on(job: CurrentJob) -> Iterator[None]:
    """Make `current_job` return this job inside."""
    token = _current.set(job)
    try:
        yield
    finally:
        _current.reset(token)
