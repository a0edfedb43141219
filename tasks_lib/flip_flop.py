"""The N-bit flip-flop: remember the sign of each channel's last pulse."""

from __future__ import annotations

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
    n_inputs, n_outputs : int
        Number of bits, both.
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
        n_inputs: int = 3,
        n_outputs: int = 3,
        mu: float = 6.0,
        pulse: int = 10,
        batch_size: int = 256,
        seed: int | None = None,
    ) -> None:
        super().__init__(n_steps, n_inputs, n_outputs, seed)
        if self.n_inputs != self.n_outputs:
            raise ParameterError(
                "n_outputs",
                self.n_outputs,
                f"disagrees with n_inputs = {self.n_inputs}",
                "give both the number of bits",
            )
        self.mu = check_float("mu", mu, exclusive_minimum=0.0)
        self.pulse = check_int("pulse", pulse, minimum=1, maximum=self.n_steps)
        self.batch_size = check_int("batch_size", batch_size, minimum=1)

    @property
    def n_bits(self) -> int:
        """Number of bits."""
        return self.n_inputs

    def conditions(self) -> list[Condition]:
        """Draw the pulses of every trial."""
        return [self._draw() for _ in range(self.batch_size)]

    def _draw(self) -> Condition:
        onsets, signs = [], []
        for _ in range(self.n_bits):
            times: list[int] = []
            onset = 0
            while True:
                onset += self.pulse + int(self.rng.exponential(self.n_steps / self.mu))
                if onset >= self.n_steps:
                    break
                times.append(onset)
            onsets.append(times)
            signs.append([int(s) for s in self.rng.choice([-1, 1], size=len(times))])
        return {"onsets": onsets, "signs": signs}

    def generate_input_target_stream(  # type: ignore[override]
        self,
        onsets: list[list[int]] | None = None,
        signs: list[list[int]] | None = None,
        **_: Any,
    ) -> Trial:
        """Return input, target and condition of one trial, with given pulses or drawn ones."""
        if onsets is None or signs is None:
            drawn = self._draw()
            onsets, signs = drawn["onsets"], drawn["signs"]
        inputs = np.zeros((self.n_bits, self.n_steps))
        target = np.zeros((self.n_bits, self.n_steps))
        for bit, (times, values) in enumerate(zip(onsets, signs, strict=True)):
            for onset, sign in zip(times, values, strict=True):
                inputs[bit, onset : onset + self.pulse] = sign
                target[bit, onset:] = sign
        return inputs, target, {"onsets": onsets, "signs": signs}

    @property
    def input_names(self) -> tuple[str, ...]:
        """Name of each input channel."""
        return tuple(f"bit {i + 1}" for i in range(self.n_bits))

    @property
    def output_names(self) -> tuple[str, ...]:
        """Name of each output channel."""
        return self.input_names
