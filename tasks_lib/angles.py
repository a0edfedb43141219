"""Tuning-curve code of an angle over channels, and tasks that remember an angle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from .base import Batch, Condition, Float, Trial
from .columns import (
    check_fields,
    draw_missing,
    first_trial,
    make_conditions,
    read_floats,
    read_ints,
)
from .errors import ParameterError, check_float, check_int
from .memory import RecallTask
from .windows import check_order, check_shifts, draw_shift, draw_shifts, latest_end, shifted


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
    first = np.rint((angle - rest) / arc).astype(np.int64).ravel() % n_channels
    share = (rest / arc).ravel()
    code = np.zeros((n_channels, angle.size))
    each = np.arange(angle.size)
    code[first, each] = 1.0 - share
    code[(first + 1) % n_channels, each] = share
    return code.reshape(n_channels, *angle.shape)


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

    condition_fields: ClassVar[tuple[str, ...]] = ("Theta",)
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
        # Conditions hold 0.1 degrees: angles nearer to each other could not be told apart.
        self.batch_size = check_int("batch_size", batch_size, minimum=2, maximum=3601)
        self.expect_trials("batch_size", self.batch_size, self.batch_size)

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
        return make_conditions(n_trials, theta=self._thetas(), stim_on=self.stim_on + shifts)

    def _thetas(self) -> Float:
        return 2 * np.pi * np.linspace(0.0, 1.0, self.batch_size, dtype=np.float64)[:-1]

    def generate_input_target_stream(
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
            The angle in degrees, as conditions hold it, where theta is not given. It stands for
            the angle of the batch that is rounded to it, where there is one.

        Returns
        -------
        input : array (n_inputs, T)
        target : array (n_outputs, T)
        condition : dict
            ``Theta`` in degrees, rounded to 0.1, the windows, and the codes of the angle shown
            and, where it is another, of the angle recalled, rounded to 0.01.
        """
        fields = {"theta": theta, "Theta": Theta, "stim_on": stim_on, **rest}
        return first_trial(MemoryAngle.generate_trials(self, [fields]))

    def generate_trials(self, conditions: Sequence[Condition]) -> Batch:
        """Return inputs (n_inputs, T, B), targets (n_outputs, T, B), conditions of many trials."""
        computed = ("stim_off", "recall_on", "recall_off", "Theta encoding", "Anti-Theta encoding")
        check_fields(type(self).__name__, conditions, ("theta", "Theta", "stim_on", *computed))
        conditions = draw_missing(self._in_radians(conditions), stim_on=self._draw_onset)
        theta = read_floats(conditions, "theta")
        onset = read_ints(conditions, "stim_on", 0, self.n_steps - 1)
        length = self.stim_off - self.stim_on
        shown = angle_code(theta, self.n_inputs - 2)
        recalled = angle_code((theta + self.offset) % (2 * np.pi), self.n_outputs)
        recall = slice(self.recall_on, self.recall_off)
        inputs = np.zeros((self.n_inputs, self.n_steps, len(conditions)))
        inputs[:-2] = np.where(shifted(onset, length, self.n_steps), shown[:, None], 0.0)
        inputs[-2] = 1.0
        inputs[-1, recall] = 1.0
        targets = np.zeros((self.n_outputs, self.n_steps, len(conditions)))
        targets[:, recall] = recalled[:, None]
        said = {
            "Theta": _rounded_degrees(theta),
            "stim_on": onset,
            "stim_off": onset + length,
            "recall_on": self.recall_on,
            "recall_off": self.recall_off,
            "Theta encoding": np.round(shown.T, 2),
        }
        if self.offset:
            said["Anti-Theta encoding"] = np.round(recalled.T, 2)
        return inputs, targets, make_conditions(len(conditions), **said)

    def _draw_onset(self) -> int:
        return self.stim_on + draw_shift(self.rng, self.random_window)

    def _in_radians(self, conditions: Sequence[Condition]) -> Sequence[Condition]:
        """Return conditions with ``theta`` in each, from ``Theta`` where it is missing."""
        if all(c.get("theta") is not None for c in conditions):
            return conditions
        thetas = self._thetas()
        own = dict(zip(_rounded_degrees(thetas), thetas.tolist(), strict=True))

        def complete(condition: Condition) -> Condition:
            if condition.get("theta") is not None:
                return condition
            if condition.get("Theta") is None:
                raise ParameterError("theta", None, "is missing", "give the angle in radians")
            degrees = check_float("Theta", condition["Theta"])
            return {**condition, "theta": own.get(degrees, float(np.deg2rad(degrees)))}

        return [complete(c) for c in conditions]


def _rounded_degrees(theta: Float) -> list[float]:
    return [round(degrees, 1) for degrees in np.rad2deg(theta).tolist()]


class MemoryAntiAngle(MemoryAngle):
    """Recall the opposite of an angle: `MemoryAngle` with the code of the angle + pi recalled."""

    offset: ClassVar[float] = float(np.pi)
