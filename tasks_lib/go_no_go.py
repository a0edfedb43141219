"""Go or no-go: respond to a strong stimulus during the cue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .base import Batch, Condition, Float, Task, Trial
from .columns import check_fields, first_trial, make_conditions, read_floats
from .errors import check_int
from .windows import (
    after_grace,
    check_channels,
    check_due,
    check_window,
    decision_sign,
    steps,
)

GRACE = 10  # steps after a change of the inputs that do not count
CRITERION = 0.5  # go above it


class GoNoGo(Task):
    """Answer 1 during the cue if the stimulus is above 0.5.

    Input channel 0 is the stimulus x, always by default; channel 1 is 1 during the cue; channel
    2 is always 1. The target is 1 during the cue if x > 0.5, else 0.

    Parameters
    ----------
    n_steps : int
        Length of a trial.
    n_inputs, n_outputs : int
        3 inputs, 1 output.
    stim_on, stim_off, cue_on, cue_off : int
        Windows of stimulus and cue, to the trial's end by default. The cue starts with the
        stimulus at the earliest.
    batch_size : int
        Trials in a batch: stimuli equally spaced from 0 to 1.
    seed : int, optional
    """

    condition_fields: ClassVar[tuple[str, ...]] = ("input_value",)

    def __init__(
        self,
        n_steps: int = 60,
        n_inputs: int = 3,
        n_outputs: int = 1,
        stim_on: int = 0,
        stim_off: int | None = None,
        cue_on: int = 30,
        cue_off: int | None = None,
        batch_size: int = 256,
        seed: int | None = None,
    ) -> None:
        super().__init__(n_steps, n_inputs, n_outputs, seed)
        check_channels("GoNoGo", "n_inputs", n_inputs, (3,))
        check_channels("GoNoGo", "n_outputs", n_outputs, (1,))
        self.stim_on, self.stim_off = check_window("stim", stim_on, stim_off, self.n_steps)
        self.cue_on, self.cue_off = check_window("cue", cue_on, cue_off, self.n_steps)
        check_due({"cue_on": self.cue_on}, {"stim_on": self.stim_on})
        self.batch_size = check_int("batch_size", batch_size, minimum=2)
        self.expect_trials("batch_size", self.batch_size, self.batch_size)

    @property
    def mask(self) -> NDArray[np.int64]:
        """Steps before the cue and steps of the cue, but the first 10 of each."""
        cue = after_grace((self.cue_on, self.cue_off), GRACE)
        return steps(after_grace((0, self.cue_on), GRACE), cue)

    @property
    def analysis_inputs(self) -> dict[str, Float]:
        """A stimulus at the criterion before the cue; during it, stimuli on each side and at it."""
        return {
            "wait": np.array([0.5, 0.0, 1.0]),
            "no-go": np.array([0.25, 1.0, 1.0]),
            "criterion": np.array([0.5, 1.0, 1.0]),
            "go": np.array([0.75, 1.0, 1.0]),
        }

    @property
    def input_names(self) -> tuple[str, ...]:
        """Name of each input channel."""
        return ("stimulus", "cue", "constant")

    @property
    def output_names(self) -> tuple[str, ...]:
        """Name of each output channel."""
        return ("go",)

    def conditions(self) -> list[Condition]:
        """Return the stimuli, ascending."""
        return [{"input_value": x} for x in np.linspace(0.0, 1.0, self.batch_size).tolist()]

    def generate_input_target_stream(  # type: ignore[override]
        self, input_value: float, **rest: Any
    ) -> Trial:
        """Return input, target and condition of one trial.

        Parameters
        ----------
        input_value : float
            The stimulus.

        Returns
        -------
        input : array (3, T)
        target : array (1, T)
        condition : dict
            ``input_value`` and the target during the cue, ``output_value``.
        """
        return first_trial(GoNoGo.generate_trials(self, [{"input_value": input_value, **rest}]))

    def generate_trials(self, conditions: Sequence[Condition]) -> Batch:
        """Return inputs (3, T, B), targets (1, T, B) and conditions of many trials."""
        check_fields("GoNoGo", conditions, ("input_value", "output_value"))
        x = read_floats(conditions, "input_value")
        go = (x > CRITERION).astype(np.int64)
        inputs = np.zeros((3, self.n_steps, len(conditions)))
        inputs[0, self.stim_on : self.stim_off] = x
        inputs[1, self.cue_on : self.cue_off] = 1.0
        inputs[2] = 1.0
        targets = np.zeros((1, self.n_steps, len(conditions)))
        targets[0, self.cue_on : self.cue_off] = go
        return inputs, targets, make_conditions(len(conditions), input_value=x, output_value=go)

    def get_choices(self, outputs: Float) -> NDArray[np.int64]:
        """Return 1 for go, -1 for no-go, read at the last step of the cue."""
        return decision_sign(outputs, (self.cue_off - 1, self.cue_off), threshold=0.5)

    def signed_stimuli(self, condition: Condition) -> tuple[str, dict[str, float]]:
        """Return the stimulus above the criterion of 0.5."""
        return "all", {"relevant": float(condition["input_value"]) - CRITERION}
