"""Where and how often the state of a training is written, and how a training is stopped."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, runtime_checkable

from tasks_lib.documents import read_file
from tasks_lib.errors import ParameterError, check_float, check_int

from ..machine.atomic_file import write_atomically

MAX_BYTES = 2**40  # of a state; larger than any that memory holds

# So many times as long as the last writing took pass before the next: 1 % of the time is spent.
TIMES_THE_WRITING = 100
# Seconds from one writing to the next where writing takes no time to speak of.
CHECKPOINT_SECONDS = 60.0
# Seconds that pass at most, unless more are asked for: one slow writing must not cost hours.
LONGEST_PAUSE = 600.0


class TrainingStopped(Exception):
    """A training was asked to stop, and has; its state is in the checkpoints, if they took it.

    Attributes
    ----------
    iteration : int
        Iterations done, counted as ``progress`` counts them.
    """

    def __init__(self, iteration: int) -> None:
        super().__init__(iteration)
        self.iteration = iteration

    def __str__(self) -> str:
        """Return one line."""
        return f"the training was asked to stop, and did after iteration {self.iteration}"


class CheckpointNotWritten(Exception):
    """A state could not be written now: the training goes on, and writes a later one soon."""


@runtime_checkable
class Checkpoints(Protocol):
    """Where the states of trainings are kept, by name.

    What either method raises ends the training, but for `CheckpointNotWritten` of ``write``. One
    that returns has written: a failure that it keeps to itself is taken for a state.
    """

    def read(self, name: str) -> bytes | None:
        """Return what was last written under the name, None where there is nothing."""

    def write(self, name: str, content: bytes) -> None:
        """Keep the content in place of what is there; a kill meanwhile leaves the old, whole."""


class CheckpointFolder:
    """Checkpoints that are the files of a folder.

    Parameters
    ----------
    folder : str or Path
        It must exist.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise ParameterError("checkpoints", str(folder), "is not a folder", "create it")

    def read(self, name: str) -> bytes | None:
        """Return the file's content, None where there is no such file.

        Raises
        ------
        ParameterError
            Where it is there and cannot be read, or is no file.
        """
        path = self.folder / name
        if not os.path.lexists(path):
            return None
        return read_file("checkpoint", path, MAX_BYTES, "give a folder of checkpoints")

    def write(self, name: str, content: bytes) -> None:
        """Write the file: it is the old one or the new one, whole."""
        write_atomically(self.folder / name, lambda file: file.write(content))


def checkpoints_of(given: str | Path | Checkpoints | None) -> Checkpoints | None:
    """Return checkpoints where a folder or checkpoints were given."""
    if given is None:
        return None
    if isinstance(given, str | Path):
        return CheckpointFolder(given)
    if not isinstance(given, Checkpoints):
        raise ParameterError(
            "checkpoints", given, "cannot be read and written", "give a folder, or `Checkpoints`"
        )
    return given


class Schedule:
    """When states are written: every so many iterations or, without them, as time goes.

    By time, at least ``seconds`` pass from one writing to the next, and at least 100 times what the
    last one took, up to ten minutes: checkpoints cost about 1 % of the time at most, unless one
    takes longer than six seconds. After one that failed it is ``seconds``, whatever it took.

    Parameters
    ----------
    every : int, optional
        Iterations from one writing to the next.
    seconds : float
    """

    def __init__(self, every: int | None = None, seconds: float = CHECKPOINT_SECONDS) -> None:
        self.every = None if every is None else check_int("checkpoint_every", every, minimum=1)
        self.seconds = check_float("checkpoint_seconds", seconds, exclusive_minimum=0)
        self._took = 0.0
        self._last = time.monotonic()

    def is_due(self, iteration: int) -> bool:
        """Return whether a state is to be written after this iteration."""
        if self.every is not None:
            return iteration % self.every == 0
        return time.monotonic() - self._last >= self.pause(self._took)

    def pause(self, took: float) -> float:
        """Return the seconds from a writing that took so many to the next."""
        return max(self.seconds, min(TIMES_THE_WRITING * took, LONGEST_PAUSE))

    def written(self, began: float) -> None:
        """Count a writing that began at that time (``time.monotonic``) and ends now."""
        self._last = time.monotonic()
        self._took = self._last - began

    def failed(self) -> None:
        """Count a writing that failed now."""
        # What it took says how long the store was away, and nothing of what a writing costs.
        self._last, self._took = time.monotonic(), 0.0


class KeptState:
    """The state of one training among checkpoints.

    Parameters
    ----------
    checkpoints : Checkpoints
    name : str
    schedule : Schedule, optional
        One for all trainings that follow one another in the same checkpoints.
    before : callable, optional
        Called before each writing, and part of it: writes what must be there first.

    Attributes
    ----------
    iteration : int or None
        That of the state which is there, as far as it was read or written from here.
    """

    def __init__(
        self,
        checkpoints: Checkpoints,
        name: str,
        schedule: Schedule | None = None,
        before: Callable[[], None] | None = None,
    ) -> None:
        self.checkpoints = checkpoints
        self.name = name
        self.schedule = Schedule() if schedule is None else schedule
        self._before = before
        self.iteration: int | None = None

    @property
    def source(self) -> str:
        """What a message calls it: the file, or its name."""
        if isinstance(self.checkpoints, CheckpointFolder):
            return str(self.checkpoints.folder / self.name)
        return self.name

    def read(self) -> bytes | None:
        """Return the state, None where there is none."""
        return self.checkpoints.read(self.name)

    def write(self, iteration: int, state: Callable[[], bytes]) -> None:
        """Write the state of an iteration, unless it is there already.

        Where it could not be written, the one before counts as the one that is there.
        """
        if iteration == self.iteration:
            return
        began = time.monotonic()
        try:
            if self._before is not None:
                self._before()
            self.checkpoints.write(self.name, state())
        except CheckpointNotWritten:
            self.schedule.failed()
            return
        self.schedule.written(began)
        self.iteration = iteration
