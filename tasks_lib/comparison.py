"""Comparison of two stimuli that are apart in time (Romo's two-interval discrimination)."""

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
from .errors import ParameterError, check_float, check_int
from .windows import (
    after_grace,
    check_channels,
    check_stimulus_pair,
    decision_sign,
    draw_shift,
    draw_shifts,
    shifted,
    steps,
)

GRACE = 10  # steps after the decision's onset that do not count
FREQUENCIES = (10.0, 14.0, 18.0, 22.0, 26.0, 30.0, 34.0)


class TwoIntervalComparison(Task):
    """Tell which of two vibrations, one after the other, had the higher frequency.

    As monkeys do in Romo, Brody, Hernandez & Lemus (1999), and the model of Machens, Romo & Brody
    (2005). A frequency f is shown as rates: input channel 0 is x = (f - f_min) / (f_max - f_min),
    channel 1 is 1 - x, both 0 where there is no stimulus. Each stimulus comes in its window,
    shifted by its own integer from [-random_window, random_window); channel 2 is 1 during the
    decision. Then output 0 is 1 if the first frequency is higher, and with two outputs, output 1
    is 1 if the second is.

    Parameters
    ----------
    n_steps : int
        Length of a trial.
    n_inputs, n_outputs : int
        3 inputs, 1 or 2 outputs.
    stim_on_first, stim_off_first, stim_on_second, stim_off_second : int
        Windows of the stimuli before they are shifted.
    dec_on, dec_off : int
        Window of the decision, to the trial's end by default.
    frequencies : sequence of float, optional
        Frequencies in Hz; 10, 14, ..., 34 by default. A batch has all pairs of different ones.
    random_window : int
        Half-width of the shifts in steps; 0 for none.
    n_repeats : int
        Trials of each pair in a batch.
    seed : int, optional
    """

    condition_fields: ClassVar[tuple[str, ...]] = ("first_frequency", "second_frequency")

    def __init__(
        self,
        n_steps: int = 180,
        n_inputs: int = 3,
        n_outputs: int = 2,
        stim_on_first: int = 20,
        stim_off_first: int = 40,
        stim_on_second: int = 110,
        stim_off_second: int = 130,
        dec_on: int = 140,
        dec_off: int | None = None,
        frequencies: Sequence[float] | None = None,
        random_window: int = 10,
        n_repeats: int = 4,
        seed: int | None = None,
    ) -> None:
        super().__init__(n_steps, n_inputs, n_outputs, seed)
        check_channels("TwoIntervalComparison", "n_inputs", n_inputs, (3,))
        check_channels("TwoIntervalComparison", "n_outputs", n_outputs, (1, 2))
        first, second, decision, self.random_window = check_stimulus_pair(
            {
                "first": (stim_on_first, stim_off_first),
                "second": (stim_on_second, stim_off_second),
            },
            ("the shifted first stimulus", "the shifted second stimulus"),
            (dec_on, dec_off),
            random_window,
            self.n_steps,
        )
        self.stim_on_first, self.stim_off_first = first
        self.stim_on_second, self.stim_off_second = second
        self.dec_on, self.dec_off = decision
        self.frequencies = _checked_frequencies(frequencies)
        self.n_repeats = check_int("n_repeats", n_repeats, minimum=1)
        n_pairs = len(self.frequencies) * (len(self.frequencies) - 1)
        self.expect_trials("n_repeats", self.n_repeats, n_pairs * self.n_repeats)

    @property
    def mask(self) -> NDArray[np.int64]:
        """Steps before the decision, and those of the decision but the first 10."""
        return steps((0, self.dec_on), after_grace((self.dec_on, self.dec_off), GRACE))

    @property
    def analysis_inputs(self) -> dict[str, Float]:
        """The inputs of the delay, of the lowest, a middle and the highest stimulus, and later."""
        return {
            "delay": np.zeros(3),
            "lowest": np.array([0.0, 1.0, 0.0]),
            "middle": np.array([0.5, 0.5, 0.0]),
            "highest": np.array([1.0, 0.0, 0.0]),
            "decision": np.array([0.0, 0.0, 1.0]),
        }

    @property
    def input_names(self) -> tuple[str, ...]:
        """Name of each input channel."""
        return ("rises with f", "falls with f", "decision cue")

    @property
    def output_names(self) -> tuple[str, ...]:
        """Name of each output channel."""
        return ("first higher", "second higher")[: self.n_outputs]

    def conditions(self) -> list[Condition]:
        """Return every (repeat, first frequency, second frequency), with the onsets drawn."""
        pairs = [(f, g) for f in self.frequencies for g in self.frequencies if f != g]
        n_trials = len(pairs) * self.n_repeats
        shifts = draw_shifts(self.rng, self.random_window, 2 * n_trials).reshape(-1, 2)
        onsets = shifts + np.array([self.stim_on_first, self.stim_on_second])
        return make_conditions(
            n_trials,
            first_frequency=[f for f, _ in pairs] * self.n_repeats,
            second_frequency=[g for _, g in pairs] * self.n_repeats,
            first_on=onsets[:, 0],
            second_on=onsets[:, 1],
        )

    def generate_input_target_stream(  # type: ignore[override]
        self,
        first_frequency: float,
        second_frequency: float,
        first_on: int | None = None,
        second_on: int | None = None,
        **rest: Any,
    ) -> Trial:
        """Return input, target and condition of one trial.

        Parameters
        ----------
        first_frequency, second_frequency : float
            In Hz, within the range of the task's frequencies.
        first_on, second_on : int, optional
            First step of each stimulus; drawn by default.

        Returns
        -------
        input : array (3, T)
        target : array (n_outputs, T)
        condition : dict
            The above, the ends ``first_off`` and ``second_off``, and ``correct_choice``: 1 where
            the first frequency is higher, -1 where the second is, 0 where they are equal (then
            the target is 0.5).
        """
        fields = {
            "first_frequency": first_frequency,
            "second_frequency": second_frequency,
            "first_on": first_on,
            "second_on": second_on,
            **rest,
        }
        return first_trial(TwoIntervalComparison.generate_trials(self, [fields]))

    def generate_trials(self, conditions: Sequence[Condition]) -> Batch:
        """Return inputs (3, T, B), targets (n_outputs, T, B) and conditions of many trials."""
        computed = ("first_off", "second_off", "correct_choice")
        known = (*self.condition_fields, "first_on", "second_on", *computed)
        check_fields("TwoIntervalComparison", conditions, known)
        conditions = draw_missing(
            conditions,
            first_on=lambda: self.stim_on_first + draw_shift(self.rng, self.random_window),
            second_on=lambda: self.stim_on_second + draw_shift(self.rng, self.random_window),
        )
        lowest, highest = min(self.frequencies), max(self.frequencies)
        first = read_floats(conditions, "first_frequency", lowest, highest)
        second = read_floats(conditions, "second_frequency", lowest, highest)
        first_on = read_ints(conditions, "first_on", 0, self.n_steps - 1)
        second_on = read_ints(conditions, "second_on", 0, self.n_steps - 1)
        lengths = (
            self.stim_off_first - self.stim_on_first,
            self.stim_off_second - self.stim_on_second,
        )
        inputs = np.zeros((3, self.n_steps, len(conditions)))
        for onsets, length, frequency in (
            (first_on, lengths[0], first),
            (second_on, lengths[1], second),
        ):
            shown = shifted(onsets, length, self.n_steps)
            rate = (frequency - lowest) / (highest - lowest)
            inputs[0] += shown * rate
            inputs[1] += shown * (1.0 - rate)
        decided = slice(self.dec_on, self.dec_off)
        inputs[2, decided] = 1.0
        choice = np.sign(first - second).astype(np.int64)
        targets = np.zeros((self.n_outputs, self.n_steps, len(conditions)))
        targets[0, decided] = (1 + choice) / 2
        targets[1:, decided] = (1 - choice) / 2
        said = make_conditions(
            len(conditions),
            first_frequency=first,
            second_frequency=second,
            first_on=first_on,
            first_off=first_on + lengths[0],
            second_on=second_on,
            second_off=second_on + lengths[1],
            correct_choice=choice,
        )
        return inputs, targets, said

    def get_choices(self, outputs: Float) -> NDArray[np.int64]:
        """Return 1 for the first, -1 for the second, read at the last step of the decision."""
        return decision_sign(outputs, (self.dec_off - 1, self.dec_off), threshold=0.5)

    def signed_stimuli(self, condition: Condition) -> tuple[str, dict[str, float]]:
        """Return the first frequency minus the second, in Hz."""
        difference = float(condition["first_frequency"]) - float(condition["second_frequency"])
        return "all", {"relevant": difference}


def _checked_frequencies(frequencies: Sequence[float] | None) -> list[float]:
    if frequencies is None:
        return list(FREQUENCIES)
    if isinstance(frequencies, str) or not isinstance(frequencies, (Sequence, np.ndarray)):
        raise ParameterError("frequencies", frequencies, "is not a list", "give a list of numbers")
    values = [
        check_float(f"frequencies[{i}]", f, exclusive_minimum=0.0)
        for i, f in enumerate(frequencies)
    ]
    if len(values) < 2 or len(set(values)) < len(values):
        raise ParameterError(
            "frequencies", values, "are fewer than two, or not distinct", "give distinct numbers"
        )
    return values
