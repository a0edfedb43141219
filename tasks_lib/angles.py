"""The code of an angle over channels, and the tasks that remember an angle."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from .base import Condition, Float, Trial
from .errors import ParameterError, check_float, check_int
from .memory import RecallTask
from .windows import check_condition, check_order, check_shifts, draw_shifts, latest_end


def angle_code(theta: ArrayLike, n_channels: int) -> Float:
    """Return the code of angles: each lies between two channels and is shared by them.

    With arc = 2 pi / k over k channels, i = floor(theta / arc) and v = theta mod arc, channel i
    is 1 - v / arc and channel i + 1 (mod k) is v / arc.

    Parameters
    ----------
    theta : array (...)
        Angles in radians.
    n_channels : int
        Number of channels k.

    Returns
    -------
    array (k, ...)
    """
    angle = np.asarray(theta, dtype=np.float64)
    arc = 2 * np.pi / n_channels
    rest = np.mod(angle, arc)
    # The channel follows from the rest: floor(theta / arc) can round to the next channel alone.
    first = np.mod(np.rint((angle - rest) / arc), n_channels)
    share = rest / arc
    channels = np.arange(n_channels).reshape(-1, *[1] * angle.ndim)
    here, after = channels == first, channels == (first + 1) % n_channels
    return np.where(here, 1.0 - share, 0.0) + np.where(after, share, 0.0)


def check_code(field: str, value: Any, others: int = 0) -> int:
    """Return a number of channels after checking that they can hold an angle's code.

    ``others`` of the channels serve other ends.
    """
    least = 3 + others
    number = check_int(field, value)
    if number < least:
        raise ParameterError(
            field,
            number,
            "is too few for the code of an angle: two cannot tell it from its mirror image",
            f"give at least {least}",
        )
    return number


class MemoryAngle(RecallTask):
    """Recall an angle.

    Inputs: the angle's code on the first n_inputs - 2 channels during the stimulus, whose window
    is shifted by an integer from [-random_window, random_window); then a constant 1; last, 1
    during the recall. The target during the recall is the angle's code over the outputs.

    Parameters
    ----------
    n_steps : int
        Length of a trial.
    n_inputs, n_outputs : int
        At least 5 inputs and 3 outputs.
    stim_on, stim_off : int
        Window of the stimulus before it is shifted.
    random_window : int
        Half-width of the shifts in steps; 0 for none.
    recall_on, recall_off : int
        Window of the recall, to the trial's end by default.
    batch_size : int
        Angles equally spaced from 0 to 2 pi, both counted. As 2 pi is 0 again it is left out: a
        batch has batch_size - 1 trials.
    seed : int, optional
    """

    grace: ClassVar[int] = 10
    offset: ClassVar[float] = 0.0  # from the angle shown to the angle recalled, in radians

    def __init__(
        self,
        n_steps: int = 200,
        n_inputs: int = 5,
        n_outputs: int = 3,
        stim_on: int = 10,
        stim_off: int = 20,
        random_window: int = 10,
        recall_on: int = 120,
        recall_off: int | None = None,
        batch_size: int = 73,
        seed: int | None = None,
    ) -> None:
        super().__init__(n_steps, n_inputs, n_outputs, seed)
        check_code("n_inputs", self.n_inputs, others=2)
        check_code("n_outputs", self.n_outputs)
        self.stim_on = check_int("stim_on", stim_on, 0, self.n_steps - 1)
        self.stim_off = check_int("stim_off", stim_off, maximum=self.n_steps)
        check_order("stim_off", self.stim_off, "stim_on", self.stim_on + 1)
        stimulus = self.stim_on, self.stim_off
        self.random_window = check_shifts(random_window, {"stim_on": stimulus}, self.n_steps)
        self._set_recall(
            recall_on, recall_off, "the shifted stimulus", latest_end(stimulus, self.random_window)
        )
        self.batch_size = check_int("batch_size", batch_size, minimum=2)

    @property
    def analysis_inputs(self) -> dict[str, Float]:
        """The inputs during a stimulus of angle 0, the delay and the recall."""
        nothing = np.zeros(self.n_inputs - 2)
        return {
            "stimulus": np.array([*angle_code(0.0, self.n_inputs - 2), 1.0, 0.0]),
            "delay": np.array([*nothing, 1.0, 0.0]),
            "recall": np.array([*nothing, 1.0, 1.0]),
        }

    @property
    def input_names(self) -> tuple[str, ...]:
        """Name of each input channel."""
        return (*(f"angle {i}" for i in range(self.n_inputs - 2)), "constant", "recall cue")

    @property
    def output_names(self) -> tuple[str, ...]:
        """Name of each output channel."""
        return tuple(f"angle {i}" for i in range(self.n_outputs))

    def conditions(self) -> list[Condition]:
        """Return the angles, ascending, with the onsets of the stimuli drawn."""
        n_trials = self.batch_size - 1
        shifts = draw_shifts(self.rng, self.random_window, n_trials)
        thetas = 2 * np.pi * np.linspace(0.0, 1.0, self.batch_size)[:-1]
        return [
            {"theta": float(theta), "stim_on": self.stim_on + int(shift)}
            for theta, shift in zip(thetas, shifts, strict=True)
        ]

    def generate_input_target_stream(  # type: ignore[override]
        self,
        theta: float | None = None,
        stim_on: int | None = None,
        Theta: float | None = None,
        **rest: Any,
    ) -> Trial:
        """Return input, target and condition of one trial.

        Parameters
        ----------
        theta : float
            The angle in radians.
        stim_on : int, optional
            First step of the stimulus; drawn by default.
        Theta : float, optional
            The angle in degrees, as conditions hold it; only where theta is not given.

        Returns
        -------
        input : array (n_inputs, T)
        target : array (n_outputs, T)
        condition : dict
            ``Theta`` in degrees, rounded to 0.1, the windows, and the codes of the angle shown
            and, where it is another, of the angle recalled, rounded to 0.01.
        """
        known = ("stim_off", "recall_on", "recall_off", "Theta encoding", "Anti-Theta encoding")
        check_condition(type(self).__name__, rest, known)
        if theta is None and Theta is None:
            raise ParameterError("theta", None, "is missing", "give the angle in radians")
        angle = (
            check_float("theta", theta)
            if theta is not None
            else float(np.deg2rad(check_float("Theta", Theta)))
        )
        if stim_on is None:
            stim_on = self.stim_on + draw_shifts(self.rng, self.random_window, 1)[0]
        on = check_int("stim_on", stim_on, 0, self.n_steps - 1)
        off = on + self.stim_off - self.stim_on
        shown = angle_code(angle, self.n_inputs - 2)
        recalled = angle_code((angle + self.offset) % (2 * np.pi), self.n_outputs)
        inputs = np.zeros((self.n_inputs, self.n_steps))
        inputs[:-2, on:off] = shown[:, None]
        inputs[-2] = 1.0
        inputs[-1, self.recall_on : self.recall_off] = 1.0
        target = np.zeros((self.n_outputs, self.n_steps))
        target[:, self.recall_on : self.recall_off] = recalled[:, None]
        condition = {
            "Theta": round(float(np.rad2deg(angle)), 1),
            "stim_on": on,
            "stim_off": off,
            "recall_on": self.recall_on,
            "recall_off": self.recall_off,
            "Theta encoding": np.round(shown, 2).tolist(),
        }
        if self.offset:
            condition["Anti-Theta encoding"] = np.round(recalled, 2).tolist()
        return inputs, target, condition


class MemoryAntiAngle(MemoryAngle):
    """Recall the opposite of an angle: `MemoryAngle` with the code of the angle + pi recalled."""

    offset: ClassVar[float] = float(np.pi)
