"""Context-dependent decision making (Mante, Sussillo, Shenoy & Newsome 2013)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .base import Batch, Condition, Float, Task, Trial
from .columns import check_fields, first_trial, make_conditions, read_choices, read_floats
from .errors import ParameterError, check_float
from .windows import check_channels, check_due, check_window, decision_sign, steps

CONTEXTS = ("motion", "color")


def default_coherences() -> list[float]:
    """Return 0 and +-2^-k for k = 0 ... 6, ascending."""
    positive = [2.0**-k for k in range(6, -1, -1)]
    return [-c for c in reversed(positive)] + [0.0] + positive


class CDDM(Task):
    """Report the sign of the coherence of motion or of colour, as a context cue tells.

    Input channels 0 and 1 are the cues (1 on [cue_on, cue_off)); 2 and 3 are (1 + c) / 2 and
    (1 - c) / 2 of the motion, 4 and 5 those of the colour, on [stim_on - 1, stim_off). The target
    on [dec_on - 1, dec_off): output 0 is 1 for a positive relevant coherence, output 1 for a
    negative one, both are 0.5 for none; with a single output, the sign.

    Parameters
    ----------
    n_steps : int
        Length of a trial.
    n_inputs, n_outputs : int
        6 inputs, 1 or 2 outputs.
    cue_on, cue_off, stim_on, stim_off, dec_on, dec_off : int
        Windows of cue, stimulus and decision; an end is the length of the trial by default. The
        decision starts with cue and stimulus at the earliest.
    coherences : sequence of float, optional
        Coherences in [-1, 1]; 0 and +-2^-k, k = 0 ... 6, by default.
    seed : int, optional
    """

    condition_fields: ClassVar[tuple[str, ...]] = ("context", "motion_coh", "color_coh")

    def __init__(
        self,
        n_steps: int = 300,
        n_inputs: int = 6,
        n_outputs: int = 2,
        cue_on: int = 0,
        cue_off: int | None = None,
        stim_on: int = 100,
        stim_off: int | None = None,
        dec_on: int = 200,
        dec_off: int | None = None,
        coherences: Sequence[float] | None = None,
        seed: int | None = None,
    ) -> None:
        super().__init__(n_steps, n_inputs, n_outputs, seed)
        check_channels("CDDM", "n_inputs", n_inputs, (6,))
        check_channels("CDDM", "n_outputs", n_outputs, (1, 2))
        self.cue_on, self.cue_off = check_window("cue", cue_on, cue_off, self.n_steps)
        self.stim_on, self.stim_off = check_window("stim", stim_on, stim_off, self.n_steps)
        self.dec_on, self.dec_off = check_window("dec", dec_on, dec_off, self.n_steps)
        check_due({"dec_on": self.dec_on}, {"cue_on": self.cue_on, "stim_on": self.stim_on})
        self.coherences = _checked_coherences(coherences)
        self.expect_trials("n_steps", self.n_steps, 2 * len(self.coherences) ** 2)

    @property
    def mask(self) -> NDArray[np.int64]:
        """Steps before the stimulus and from the decision on."""
        return steps((0, min(self.stim_on, self.dec_on)), (self.dec_on, self.n_steps))

    @property
    def analysis_inputs(self) -> dict[str, Float]:
        """The cue of each context with stimuli of no coherence."""
        return {
            context: np.array([i == 0, i == 1, 0.5, 0.5, 0.5, 0.5], dtype=np.float64)
            for i, context in enumerate(CONTEXTS)
        }

    @property
    def input_names(self) -> tuple[str, ...]:
        """Name of each input channel."""
        return ("motion cue", "color cue", "motion +", "motion -", "color +", "color -")

    @property
    def output_names(self) -> tuple[str, ...]:
        """Name of each output channel."""
        return ("choice",) if self.n_outputs == 1 else ("choice +", "choice -")

    def conditions(self) -> list[Condition]:
        """Return every (context, relevant coherence, irrelevant coherence), motion first."""
        fields = {"motion": ("motion_coh", "color_coh"), "color": ("color_coh", "motion_coh")}
        return [
            {"context": context, fields[context][0]: relevant, fields[context][1]: irrelevant}
            for context in CONTEXTS
            for relevant in self.coherences
            for irrelevant in self.coherences
        ]

    def generate_input_target_stream(  # type: ignore[override]
        self, context: str, motion_coh: float, color_coh: float, **rest: Any
    ) -> Trial:
        """Return input, target and condition of one trial.

        Parameters
        ----------
        context : "motion" or "color"
        motion_coh, color_coh : float
            Coherences in [-1, 1].

        Returns
        -------
        input : array (6, T)
        target : array (n_outputs, T)
        condition : dict
            The above and ``correct_choice``: the sign of the relevant coherence, 0 for none
            (where the original implementation says -1).
        """
        fields = {"context": context, "motion_coh": motion_coh, "color_coh": color_coh, **rest}
        return first_trial(CDDM.generate_trials(self, [fields]))

    def generate_trials(self, conditions: Sequence[Condition]) -> Batch:
        """Return inputs (6, T, B), targets (n_outputs, T, B) and conditions of many trials."""
        check_fields("CDDM", conditions, (*self.condition_fields, "correct_choice"))
        context = read_choices(conditions, "context", CONTEXTS)
        motion = read_floats(conditions, "motion_coh", -1.0, 1.0)
        color = read_floats(conditions, "color_coh", -1.0, 1.0)
        inputs = np.zeros((6, self.n_steps, len(conditions)))
        for i in range(len(CONTEXTS)):
            inputs[i, self.cue_on : self.cue_off] = context == i
        seen = slice(max(self.stim_on - 1, 0), self.stim_off)
        for channel, coherence in ((2, motion), (4, color)):
            inputs[channel, seen] = (1 + coherence) / 2
            inputs[channel + 1, seen] = (1 - coherence) / 2
        choice = np.sign(np.where(context == 0, motion, color)).astype(np.int64)
        targets = np.zeros((self.n_outputs, self.n_steps, len(conditions)))
        decided = slice(max(self.dec_on - 1, 0), self.dec_off)
        if self.n_outputs == 1:
            targets[0, decided] = choice
        else:
            targets[0, decided] = (1 + choice) / 2
            targets[1, decided] = (1 - choice) / 2
        said = make_conditions(
            len(conditions),
            context=[CONTEXTS[i] for i in context],
            motion_coh=motion,
            color_coh=color,
            correct_choice=choice,
        )
        return inputs, targets, said

    def get_choices(self, outputs: Float) -> NDArray[np.int64]:
        """Return the sign of output 0 minus output 1 at the last step of the decision."""
        return decision_sign(outputs, (self.dec_off - 1, self.dec_off))

    def signed_stimuli(self, condition: Condition) -> tuple[str, dict[str, float]]:
        """Return the context, the coherence that it asks for and the other one."""
        motion, color = float(condition["motion_coh"]), float(condition["color_coh"])
        context = str(condition["context"])
        relevant, irrelevant = (motion, color) if context == CONTEXTS[0] else (color, motion)
        return context, {"relevant": relevant, "irrelevant": irrelevant}


def _checked_coherences(coherences: Sequence[float] | None) -> list[float]:
    if coherences is None:
        return default_coherences()
    if isinstance(coherences, str) or not isinstance(coherences, (Sequence, np.ndarray)):
        raise ParameterError("coherences", coherences, "is not a list", "give a list of numbers")
    values = [check_float(f"coherences[{i}]", c, -1.0, 1.0) for i, c in enumerate(coherences)]
    if not values or len(set(values)) < len(values):
        raise ParameterError(
            "coherences", values, "is empty or has duplicates", "give distinct coherences"
        )
    return values
