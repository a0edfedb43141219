"""The N-bit flip-flop: remember the sign of each channel's last pulse."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from .base import Condition, Task, Trial
from .errors import ParameterError, check_float, check_int


class NBitFlipFlop(Task):
    """N memories of one bit, each set by pulses on its own channel.

    For each bit, the next pulse starts at the last onset + pulse + floor(Exp(mean T / mu)), the
    first counted from 0; it is +1 or -1 with equal probability and lasts ``pulse`` steps. The
    target takes the sign at the onset and keeps it; it is 0 before the first pulse.

    Parameters
    ----------
    n_steps : int
        Length of a trial T.
    n_inputs, n_outputs, n_bits : int, optional
        Number of bits: one of them is enough, 3 by default.
    mu : float
        Expected number of exponential gaps in a trial.
    pulse : int
        Duration of a pulse in steps.
    batch_size : int
        Trials in a batch.
    seed : int, optional
    """

    def __init__(
        self,
        n_steps: int = 100,
        n_inputs: int | None = None,
        n_outputs: int | None = None,
        mu: float = 6.0,
        pulse: int = 10,
        n_bits: int | None = None,
        batch_size: int = 256,
        seed: int | None = None,
    ) -> None:
        given = {"n_bits": n_bits, "n_inputs": n_inputs, "n_outputs": n_outputs}
        first, bits = next(((k, v) for k, v in given.items() if v is not None), ("n_bits", 3))
        self.n_bits = check_int(first, bits, minimum=1)
        for field, value in given.items():
            if value is not None and check_int(field, value, minimum=1) != self.n_bits:
                raise ParameterError(
                    field,
                    value,
                    f"disagrees with {first} = {self.n_bits}",
                    "give each the number of bits, or only one of them",
                )
        super().__init__(n_steps, self.n_bits, self.n_bits, seed)
        self.mu = check_float("mu", mu, exclusive_minimum=0.0)
        self.pulse = check_int("pulse", pulse, minimum=1, maximum=self.n_steps)
        self.batch_size = check_int("batch_size", batch_size, minimum=1)

    def conditions(self) -> list[Condition]:
        """Draw the pulses of every trial."""
        return self._draw(self.batch_size)

    def _draw(self, n_trials: int) -> list[Condition]:
        # Onsets are at least a pulse apart, so that no more than this many fit in a trial.
        shape = (n_trials, self.n_bits, self.n_steps // self.pulse)
        gaps = self.pulse + np.floor(self.rng.exponential(self.n_steps / self.mu, size=shape))
        onsets = np.cumsum(gaps, axis=2)
        signs = self.rng.choice([-1, 1], size=shape)
        fit = onsets < self.n_steps
        return [
            {
                "onsets": [[int(t) for t in o[f]] for o, f in zip(onsets[b], fit[b], strict=True)],
                "signs": [s[f].tolist() for s, f in zip(signs[b], fit[b], strict=True)],
            }
            for b in range(n_trials)
        ]

    def generate_input_target_stream(  # type: ignore[override]
        self, onsets: list[list[int]] | None = None, signs: list[list[int]] | None = None
    ) -> Trial:
        """Return input, target and condition of one trial, with given pulses or drawn ones.

        Parameters
        ----------
        onsets : list of n_bits lists of int, optional
            Steps at which the pulses of each bit start, ascending.
        signs : list of n_bits lists of int, optional
            Sign of each of these pulses, +1 or -1.

        Returns
        -------
        input : array (n_bits, T)
        target : array (n_bits, T)
        condition : dict
            ``onsets`` and ``signs``.
        """
        if onsets is None and signs is None:
            drawn = self._draw(1)[0]
            onsets, signs = drawn["onsets"], drawn["signs"]
        self._check_pulses(onsets, signs)
        assert onsets is not None
        assert signs is not None
        inputs = np.zeros((self.n_bits, self.n_steps))
        target = np.zeros((self.n_bits, self.n_steps))
        for bit, (times, values) in enumerate(zip(onsets, signs, strict=True)):
            for onset, sign in zip(times, values, strict=True):
                inputs[bit, onset : onset + self.pulse] = sign
                target[bit, onset:] = sign
        return inputs, target, {"onsets": onsets, "signs": signs}

    def _check_pulses(self, onsets: Any, signs: Any) -> None:
        for field, value in (("onsets", onsets), ("signs", signs)):
            if not isinstance(value, list) or [type(v) for v in value] != [list] * self.n_bits:
                raise ParameterError(
                    field, value, "is not one list a bit", f"give {self.n_bits} lists"
                )
        for times, values in zip(onsets, signs, strict=True):
            if len(times) != len(values) or any(v not in (-1, 1) for v in values):
                raise ParameterError(
                    "signs", values, f"are not the signs of onsets {times}", "give +1 or -1 each"
                )
            for t in times:
                check_int("onsets", t, minimum=0, maximum=self.n_steps - 1)
            if any(b <= a for a, b in pairwise(times)):
                raise ParameterError("onsets", times, "do not ascend", "sort them")

    @property
    def input_names(self) -> tuple[str, ...]:
        """Name of each input channel."""
        return tuple(f"bit {i + 1}" for i in range(self.n_bits))

    @property
    def output_names(self) -> tuple[str, ...]:
        """Name of each output channel."""
        return self.input_names
