"""The N-bit flip-flop: remember the sign of each channel's last pulse."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .base import Batch, Condition, Float, Task, Trial
from .columns import check_fields, check_ints, first_trial, make_conditions
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

    condition_fields: ClassVar[tuple[str, ...]] = ()  # all trials are of one kind

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
        self.expect_trials("batch_size", self.batch_size, self.batch_size)

    def conditions(self) -> list[Condition]:
        """Draw the pulses of every trial."""
        return self._draw(self.batch_size)

    def _draw(self, n_trials: int) -> list[Condition]:
        # Onsets are at least a pulse apart, so that no more than this many fit in a trial.
        shape = (n_trials, self.n_bits, self.n_steps // self.pulse)
        gaps = self.pulse + np.floor(self.rng.exponential(self.n_steps / self.mu, size=shape))
        onsets = np.minimum(np.cumsum(gaps, axis=2), self.n_steps).astype(np.int64)
        signs = self.rng.choice([-1, 1], size=shape)
        counts = (onsets < self.n_steps).sum(axis=2).tolist()

        def fitting(pulses: list[list[list[int]]]) -> list[list[list[int]]]:
            return [
                [train[:n] for train, n in zip(*trial, strict=True)]
                for trial in zip(pulses, counts, strict=True)
            ]

        said = {"onsets": fitting(onsets.tolist()), "signs": fitting(signs.tolist())}
        return make_conditions(n_trials, **said)

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
        fields = {"onsets": onsets, "signs": signs}
        return first_trial(NBitFlipFlop.generate_trials(self, [fields]))

    def generate_trials(self, conditions: Sequence[Condition]) -> Batch:
        """Return inputs and targets (n_bits, T, B) and conditions of many trials."""
        check_fields("NBitFlipFlop", conditions, ("onsets", "signs"))
        conditions = [
            self._draw(1)[0] if c.get("onsets") is None and c.get("signs") is None else c
            for c in conditions
        ]
        onsets, signs = ([c.get(field) for c in conditions] for field in ("onsets", "signs"))
        # The target of each bit is a run of 0 up to the first pulse, then one run a pulse.
        counts, times, values = self._read_pulses(onsets, signs)
        first, after = np.cumsum(counts) - counts, np.cumsum(counts)
        starts = np.insert(times, first, 0)
        lengths = np.insert(times, after, self.n_steps) - starts
        heights = np.insert(values, first, 0.0)
        pulses = np.minimum(lengths, self.pulse)
        target = np.repeat(heights, lengths)
        inputs = np.repeat(
            np.stack([heights, np.zeros_like(heights)], axis=1).ravel(),
            np.stack([pulses, lengths - pulses], axis=1).ravel(),
        )
        shape = len(conditions), self.n_bits, self.n_steps
        inputs, target = (
            np.ascontiguousarray(a.reshape(shape).transpose(1, 2, 0)) for a in (inputs, target)
        )
        return inputs, target, make_conditions(len(conditions), onsets=onsets, signs=signs)

    def _read_pulses(
        self, onsets: list[Any], signs: list[Any]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], Float]:
        """Return the number of pulses of each bit, and onsets and signs of all, checked."""
        for field, trials in (("onsets", onsets), ("signs", signs)):
            for value in trials:
                if not isinstance(value, list) or [type(v) for v in value] != [list] * self.n_bits:
                    raise ParameterError(
                        field, value, "is not one list a bit", f"give {self.n_bits} lists"
                    )
        trains, values = list(chain(*onsets)), list(chain(*signs))
        for train, sign in zip(trains, values, strict=True):
            if not len(train) == len(sign) == sign.count(1) + sign.count(-1):
                raise ParameterError(
                    "signs", sign, f"are not the signs of onsets {train}", "give +1 or -1 each"
                )
        times = check_ints("onsets", list(chain(*trains)), 0, self.n_steps - 1)
        for train in trains:
            if train != sorted(set(train)):
                raise ParameterError("onsets", train, "do not ascend", "sort them")
        counts = np.array([len(train) for train in trains], dtype=np.int64)
        return counts, times, np.array(list(chain(*values)), dtype=np.float64)

    @property
    def input_names(self) -> tuple[str, ...]:
        """Name of each input channel."""
        return tuple(f"bit {i + 1}" for i in range(self.n_bits))

    @property
    def output_names(self) -> tuple[str, ...]:
        """Name of each output channel."""
        return self.input_names
