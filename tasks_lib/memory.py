"""Remember a number, and recall it or its negative during the cue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .base import Batch, Condition, Float, Task, Trial
from .columns import (
    check_fields,
    draw_missing,
    first_trial,
    make_conditions,
    read_floats,
    read_ints,
)
from .errors import ParameterError, check_int
from .windows import (
    after_grace,
    check_channels,
    check_order,
    check_shifts,
    check_window,
    draw_shift,
    draw_shifts,
    latest_end,
    shifted,
    steps,
)


class RecallTask(Task):
    """A task whose target is 0 until the recall; its first steps do not count in the scores."""

    grace: ClassVar[int] = 20
    recall_on: int
    recall_off: int

    def _set_recall(self, on: Any, off: Any, stimulus: str, stimulus_end: int) -> None:
        self.recall_on, self.recall_off = check_window("recall", on, off, self.n_steps)
        check_order("recall_on", self.recall_on, f"the end of {stimulus}", stimulus_end)

    @property
    def mask(self) -> NDArray[np.int64]:
        """Steps before the recall, and those of the recall but the first ones."""
        recall = after_grace((self.recall_on, self.recall_off), self.grace)
        return steps((0, self.recall_on), recall)


class MemoryNumber(RecallTask):
    """Recall a number in [0, 1].

    Input channel 0 is the number for ``stim_duration`` steps from stim_on + an integer from
    [-random_window, random_window), channel 1 is 1 during the recall, channel 2 is always 1. The
    target is the number during the recall.

    Parameters
    ----------
    n_steps : int
        Length of a trial.
    n_inputs, n_outputs : int
        3 inputs, 1 output.
    stim_on, stim_duration : int
        First step of the stimulus before it is shifted, and its length in steps.
    recall_on, recall_off : int
        Window of the recall, to the trial's end by default.
    random_window : int
        Half-width of the shifts in steps; 0 for none.
    batch_size : int
        Trials in a batch: numbers equally spaced from 0 to 1.
    seed : int, optional
    """

    condition_fields: ClassVar[tuple[str, ...]] = ("number",)

    def __init__(
        self,
        n_steps: int = 120,
        n_inputs: int = 3,
        n_outputs: int = 1,
        stim_on: int = 20,
        stim_duration: int = 10,
        recall_on: int = 60,
        recall_off: int | None = None,
        random_window: int = 20,
        batch_size: int = 256,
        seed: int | None = None,
    ) -> None:
        super().__init__(n_steps, n_inputs, n_outputs, seed)
        check_channels("MemoryNumber", "n_inputs", n_inputs, (3,))
        check_channels("MemoryNumber", "n_outputs", n_outputs, (1,))
        self.stim_on = check_int("stim_on", stim_on, 0, self.n_steps - 1)
        longest = self.n_steps - self.stim_on
        self.stim_duration = check_int("stim_duration", stim_duration, 1, longest)
        stimulus = self.stim_on, self.stim_on + self.stim_duration
        self.random_window = check_shifts(random_window, {"stim_on": stimulus}, self.n_steps)
        self._set_recall(
            recall_on, recall_off, "the shifted stimulus", latest_end(stimulus, self.random_window)
        )
        self.batch_size = check_int("batch_size", batch_size, minimum=2)
        self.expect_trials("batch_size", self.batch_size, self.batch_size)

    @property
    def analysis_inputs(self) -> dict[str, Float]:
        """The inputs during a stimulus of 0.5, the delay and the recall."""
        return {
            "stimulus": np.array([0.5, 0.0, 1.0]),
            "delay": np.array([0.0, 0.0, 1.0]),
            "recall": np.array([0.0, 1.0, 1.0]),
        }

    @property
    def input_names(self) -> tuple[str, ...]:
        """Name of each input channel."""
        return ("number", "recall cue", "constant")

    @property
    def output_names(self) -> tuple[str, ...]:
        """Name of each output channel."""
        return ("number",)

    def conditions(self) -> list[Condition]:
        """Return the numbers, ascending, with the onsets of the stimuli drawn."""
        shifts = draw_shifts(self.rng, self.random_window, self.batch_size)
        numbers = np.linspace(0.0, 1.0, self.batch_size)
        return make_conditions(self.batch_size, number=numbers, stim_on=self.stim_on + shifts)

    def generate_input_target_stream(  # type: ignore[override]
        self, number: float, stim_on: int | None = None, **rest: Any
    ) -> Trial:
        """Return input, target and condition of one trial.

        Parameters
        ----------
        number : float
            What to remember.
        stim_on : int, optional
            First step of the stimulus; drawn by default.

        Returns
        -------
        input : array (3, T)
        target : array (1, T)
        condition : dict
            The above and the ``duration`` of the stimulus.
        """
        fields = {"number": number, "stim_on": stim_on, **rest}
        return first_trial(MemoryNumber.generate_trials(self, [fields]))

    def generate_trials(self, conditions: Sequence[Condition]) -> Batch:
        """Return inputs (3, T, B), targets (1, T, B) and conditions of many trials."""
        check_fields("MemoryNumber", conditions, ("number", "stim_on", "duration"))
        conditions = draw_missing(conditions, stim_on=self._draw_onset)
        x = read_floats(conditions, "number")
        onset = read_ints(conditions, "stim_on", 0, self.n_steps - 1)
        recall = slice(self.recall_on, self.recall_off)
        inputs = np.zeros((3, self.n_steps, len(conditions)))
        inputs[0] = np.where(shifted(onset, self.stim_duration, self.n_steps), x, 0.0)
        inputs[1, recall] = 1.0
        inputs[2] = 1.0
        targets = np.zeros((1, self.n_steps, len(conditions)))
        targets[0, recall] = x
        said = make_conditions(
            len(conditions), number=x, stim_on=onset, duration=self.stim_duration
        )
        return inputs, targets, said

    def _draw_onset(self) -> int:
        return self.stim_on + draw_shift(self.rng, self.random_window)


class MemoryAntiNumber(RecallTask):
    """Recall the negative of a number in [-2, 2].

    Input channels 0 and 1 are the positive and the negative part of the number, for
    ``stim_duration`` steps from an onset drawn from ``stim_on_range``; channel 2 is 1 during the
    recall. The targets during the recall: output 0 the negative part, output 1 the positive one.

    Parameters
    ----------
    n_steps : int
        Length of a trial.
    n_inputs, n_outputs : int
        3 inputs, 2 outputs.
    stim_on_range : pair of int
        Range [first, last) of the onset of the stimulus.
    stim_duration : int
        Length of the stimulus in steps.
    recall_on, recall_off : int
        Window of the recall, to the trial's end by default.
    batch_size : int
        Trials in a batch: numbers equally spaced from -2 to 2.
    seed : int, optional
    """

    condition_fields: ClassVar[tuple[str, ...]] = ("number",)

    def __init__(
        self,
        n_steps: int = 320,
        n_inputs: int = 3,
        n_outputs: int = 2,
        stim_on_range: Sequence[int] = (0, 140),
        stim_duration: int = 15,
        recall_on: int = 160,
        recall_off: int | None = None,
        batch_size: int = 128,
        seed: int | None = None,
    ) -> None:
        super().__init__(n_steps, n_inputs, n_outputs, seed)
        check_channels("MemoryAntiNumber", "n_inputs", n_inputs, (3,))
        check_channels("MemoryAntiNumber", "n_outputs", n_outputs, (2,))
        if not isinstance(stim_on_range, (list, tuple)) or len(stim_on_range) != 2:
            raise ParameterError("stim_on_range", stim_on_range, "is no pair", "give [first, last)")
        first = check_int("stim_on_range[0]", stim_on_range[0], 0, self.n_steps - 1)
        last = check_int("stim_on_range[1]", stim_on_range[1], first + 1, self.n_steps)
        self.stim_on_range = [first, last]
        self.stim_duration = check_int("stim_duration", stim_duration, 1, self.n_steps - last + 1)
        self._set_recall(recall_on, recall_off, "the last stimulus", last - 1 + self.stim_duration)
        self.batch_size = check_int("batch_size", batch_size, minimum=2)
        self.expect_trials("batch_size", self.batch_size, self.batch_size)

    @property
    def analysis_inputs(self) -> dict[str, Float]:
        """The inputs during a stimulus of 1, the delay and the recall."""
        return {
            "stimulus": np.array([1.0, 0.0, 0.0]),
            "delay": np.zeros(3),
            "recall": np.array([0.0, 0.0, 1.0]),
        }

    @property
    def input_names(self) -> tuple[str, ...]:
        """Name of each input channel."""
        return ("number +", "number -", "recall cue")

    @property
    def output_names(self) -> tuple[str, ...]:
        """Name of each output channel."""
        return ("number -", "number +")

    def conditions(self) -> list[Condition]:
        """Return the numbers, ascending, with the onsets of the stimuli drawn."""
        first, last = self.stim_on_range
        onsets = self.rng.integers(first, last, size=self.batch_size)
        numbers = np.linspace(-2.0, 2.0, self.batch_size)
        return make_conditions(self.batch_size, number=numbers, stim_on=onsets)

    def generate_input_target_stream(  # type: ignore[override]
        self, number: float, stim_on: int | None = None, **rest: Any
    ) -> Trial:
        """Return input, target and condition of one trial.

        Parameters
        ----------
        number : float
            Whose negative to recall.
        stim_on : int, optional
            First step of the stimulus; drawn by default.

        Returns
        -------
        input : array (3, T)
        target : array (2, T)
        condition : dict
            The above and the ``duration`` of the stimulus.
        """
        fields = {"number": number, "stim_on": stim_on, **rest}
        return first_trial(MemoryAntiNumber.generate_trials(self, [fields]))

    def generate_trials(self, conditions: Sequence[Condition]) -> Batch:
        """Return inputs (3, T, B), targets (2, T, B) and conditions of many trials."""
        check_fields("MemoryAntiNumber", conditions, ("number", "stim_on", "duration"))
        conditions = draw_missing(conditions, stim_on=self._draw_onset)
        x = read_floats(conditions, "number")
        onset = read_ints(conditions, "stim_on", 0, self.n_steps - 1)
        positive, negative = np.where(x < 0, 0.0, x), np.where(x > 0, 0.0, -x)
        shown = shifted(onset, self.stim_duration, self.n_steps)
        recall = slice(self.recall_on, self.recall_off)
        inputs = np.zeros((3, self.n_steps, len(conditions)))
        inputs[0] = np.where(shown, positive, 0.0)
        inputs[1] = np.where(shown, negative, 0.0)
        inputs[2, recall] = 1.0
        targets = np.zeros((2, self.n_steps, len(conditions)))
        targets[0, recall] = negative
        targets[1, recall] = positive
        said = make_conditions(
            len(conditions), number=x, stim_on=onset, duration=self.stim_duration
        )
        return inputs, targets, said

    def _draw_onset(self) -> int:
        first, last = self.stim_on_range
        return int(self.rng.integers(first, last))
