"""Delayed match to sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .base import Batch, Condition, Float, Task, Trial
from .columns import check_fields, draw_missing, first_trial, make_conditions, read_ints
from .errors import check_int
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


class DMTS(Task):
    """Tell whether the second of two stimuli is the first one again.

    The sample is 1 on input channel 0 or 1, the match too, each in its window shifted by its own
    integer from [-random_window, random_window); channel 2 is 1 during the decision. Then output
    0 is 1 if they match; with two outputs, output 1 is 1 if they do not.

    Parameters
    ----------
    n_steps : int
        Length of a trial.
    n_inputs, n_outputs : int
        3 inputs, 1 or 2 outputs.
    stim_on_sample, stim_off_sample, stim_on_match, stim_off_match : int
        Windows of the stimuli before they are shifted.
    dec_on, dec_off : int
        Window of the decision, to the trial's end by default.
    random_window : int
        Half-width of the shifts in steps; 0 for none.
    n_repeats : int
        Trials of each pair of stimuli in a batch.
    seed : int, optional
    """

    condition_fields: ClassVar[tuple[str, ...]] = ("num_sample_channel", "num_match_channel")

    def __init__(
        self,
        n_steps: int = 140,
        n_inputs: int = 3,
        n_outputs: int = 2,
        stim_on_sample: int = 10,
        stim_off_sample: int = 20,
        stim_on_match: int = 80,
        stim_off_match: int = 90,
        dec_on: int = 100,
        dec_off: int | None = None,
        random_window: int = 10,
        n_repeats: int = 64,
        seed: int | None = None,
    ) -> None:
        super().__init__(n_steps, n_inputs, n_outputs, seed)
        check_channels("DMTS", "n_inputs", n_inputs, (3,))
        check_channels("DMTS", "n_outputs", n_outputs, (1, 2))
        sample, match, decision, self.random_window = check_stimulus_pair(
            {
                "sample": (stim_on_sample, stim_off_sample),
                "match": (stim_on_match, stim_off_match),
            },
            ("the shifted sample", "the shifted match"),
            (dec_on, dec_off),
            random_window,
            self.n_steps,
        )
        self.stim_on_sample, self.stim_off_sample = sample
        self.stim_on_match, self.stim_off_match = match
        self.dec_on, self.dec_off = decision
        self.n_repeats = check_int("n_repeats", n_repeats, minimum=1)
        self.expect_trials("n_repeats", self.n_repeats, 4 * self.n_repeats)

    @property
    def mask(self) -> NDArray[np.int64]:
        """Steps before the decision, and those of the decision but the first 10."""
        return steps((0, self.dec_on), after_grace((self.dec_on, self.dec_off), GRACE))

    @property
    def analysis_inputs(self) -> dict[str, Float]:
        """The inputs during each stimulus, the delay and the decision."""
        return {
            "stimulus 0": np.array([1.0, 0.0, 0.0]),
            "stimulus 1": np.array([0.0, 1.0, 0.0]),
            "delay": np.zeros(3),
            "decision": np.array([0.0, 0.0, 1.0]),
        }

    @property
    def input_names(self) -> tuple[str, ...]:
        """Name of each input channel."""
        return ("stimulus 0", "stimulus 1", "decision cue")

    @property
    def output_names(self) -> tuple[str, ...]:
        """Name of each output channel."""
        return ("match", "no match")[: self.n_outputs]

    def conditions(self) -> list[Condition]:
        """Return every (repeat, sample, match), with the onsets drawn."""
        shifts = draw_shifts(self.rng, self.random_window, 8 * self.n_repeats)
        onsets = shifts.reshape(-1, 2) + np.array([self.stim_on_sample, self.stim_on_match])
        trial = np.arange(len(onsets))
        return make_conditions(
            len(onsets),
            num_sample_channel=trial // 2 % 2,
            num_match_channel=trial % 2,
            sample_on=onsets[:, 0],
            match_on=onsets[:, 1],
        )

    def generate_input_target_stream(  # type: ignore[override]
        self,
        num_sample_channel: int,
        num_match_channel: int,
        sample_on: int | None = None,
        match_on: int | None = None,
        **rest: Any,
    ) -> Trial:
        """Return input, target and condition of one trial.

        Parameters
        ----------
        num_sample_channel, num_match_channel : int
            Channel of each stimulus, 0 or 1.
        sample_on, match_on : int, optional
            First step of each stimulus; drawn by default.

        Returns
        -------
        input : array (3, T)
        target : array (n_outputs, T)
        condition : dict
            The above, the ends ``sample_off`` and ``match_off``, and ``correct_choice``: 1 for a
            match, -1 for none.
        """
        fields = {
            "num_sample_channel": num_sample_channel,
            "num_match_channel": num_match_channel,
            "sample_on": sample_on,
            "match_on": match_on,
            **rest,
        }
        return first_trial(DMTS.generate_trials(self, [fields]))

    def generate_trials(self, conditions: Sequence[Condition]) -> Batch:
        """Return inputs (3, T, B), targets (n_outputs, T, B) and conditions of many trials."""
        computed = ("sample_off", "match_off", "correct_choice")
        known = (*self.condition_fields, "sample_on", "match_on", *computed)
        check_fields("DMTS", conditions, known)
        conditions = draw_missing(
            conditions,
            sample_on=lambda: self.stim_on_sample + draw_shift(self.rng, self.random_window),
            match_on=lambda: self.stim_on_match + draw_shift(self.rng, self.random_window),
        )
        sample = read_ints(conditions, "num_sample_channel", 0, 1)
        match = read_ints(conditions, "num_match_channel", 0, 1)
        sample_on = read_ints(conditions, "sample_on", 0, self.n_steps - 1)
        match_on = read_ints(conditions, "match_on", 0, self.n_steps - 1)
        sample_length = self.stim_off_sample - self.stim_on_sample
        match_length = self.stim_off_match - self.stim_on_match
        sample_shown = shifted(sample_on, sample_length, self.n_steps)
        match_shown = shifted(match_on, match_length, self.n_steps)
        inputs = np.zeros((3, self.n_steps, len(conditions)))
        for i in (0, 1):
            inputs[i] = (sample_shown & (sample == i)) | (match_shown & (match == i))
        decided = slice(self.dec_on, self.dec_off)
        inputs[2, decided] = 1.0
        targets = np.zeros((self.n_outputs, self.n_steps, len(conditions)))
        targets[0, decided] = sample == match
        targets[1:, decided] = sample != match
        said = make_conditions(
            len(conditions),
            num_sample_channel=sample,
            num_match_channel=match,
            sample_on=sample_on,
            sample_off=sample_on + sample_length,
            match_on=match_on,
            match_off=match_on + match_length,
            correct_choice=np.where(sample == match, 1, -1),
        )
        return inputs, targets, said

    def get_choices(self, outputs: Float) -> NDArray[np.int64]:
        """Return 1 for a match, -1 for none, read at the last step of the decision."""
        return decision_sign(outputs, (self.dec_off - 1, self.dec_off), threshold=0.5)
