"""What is recorded of K networks while they are trained, beside their losses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import gcd
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tasks_lib.brief import brief

from ..network.rnn_torch import RNNTorch
from ..network.run import RunMemory
from .batches import Batch, Batches
from .config import WINDOWS, TrainingConfig
from .gradient_noise import GradientNoise
from .weight_changes import WeightChanges

SILENT_BELOW = 1e-3  # largest |rate| of a silent unit, as of populations
VALUES_AT_ONCE = 2**20
MOST_SAMPLES = 4096  # of the rates, or four for each unit
NOTHING = 1e-12  # of the mean square: what rounding to 32 bits leaves of a variance
COLUMNS = (
    "participation_ratio", "n_silent",
    *(f"change_{n}" for n in WINDOWS), *(f"cosine_{n}" for n in WINDOWS),
    "gradient_square", "gradient_variance",
)  # fmt: skip


@brief
@dataclass(frozen=True)
class TrainingTrace:
    """What is known of a network after some iterations of its training.

    Attributes
    ----------
    iteration : int
        Optimiser steps done.
    status : {"traced", "partly", "not_finite"}
        Partly: some of it is not defined. Not finite: rates or weights overflow.
    reason : str
        What is None and why; empty where nothing is, but for windows that do not end here.
    participation_ratio : float or None
        Of the rates in noise-free trials: (tr C)^2 / tr C^2 of their covariance C (Gao et al.
        2017); at most `MOST_SAMPLES` steps of all trials, evenly spaced, are taken.
    n_silent : int or None
        Units whose |rate| stays below `SILENT_BELOW` in these trials.
    changes : dict
        Iterations n -> norm of the change of all trained weights over the last n; of windows that
        end here (`WeightChanges`).
    cosines : dict
        Iterations n -> cosine of that change with the one over the n iterations before.
    gradient_square, gradient_variance : float or None
        Unbiased estimates of |G|^2 and of tr S, the variance from trial to trial
        (`GradientNoise`); the first may be negative.
    noise_scale : float or None
        tr S / |G|^2: trials of a batch whose gradient has as much noise as signal; None where
        |G|^2 is not above 0.
    """

    iteration: int
    status: str = "traced"
    reason: str = ""
    participation_ratio: float | None = None
    n_silent: int | None = None
    changes: dict[int, float] = field(default_factory=dict)
    cosines: dict[int, float] = field(default_factory=dict)
    gradient_square: float | None = None
    gradient_variance: float | None = None
    noise_scale: float | None = None


class Traces:
    """Records the traces of K networks, every so many iterations.

    What it runs is apart from the training: no noise of its streams is used up, and no batch.

    Parameters
    ----------
    rnn : RNNTorch
    batches : Batches
    params : sequence of Tensor (K, ...)
        The trained weights.
    config : TrainingConfig
    memory : RunMemory
        Of the training, for trials of the same number.
    """

    def __init__(
        self,
        rnn: RNNTorch,
        batches: Batches,
        params: Sequence[Tensor],
        config: TrainingConfig,
        memory: RunMemory,
    ) -> None:
        self.rnn, self.batches, self.memory = rnn, batches, memory
        self.config = config
        self.every = config.trace_interval
        self.changes = WeightChanges(params, config.max_iter if self.every else 0)
        self.noise = GradientNoise(rnn, torch.as_tensor(batches.steps, device=rnn.device))
        self._batch: Batch | None = None
        self._iterations: list[int] = []
        self._rows: list[Tensor] = []  # (K, columns) each
        self._active: list[NDArray[np.bool_]] = []  # (K,) each

    def next_due(self, iteration: int) -> int | None:
        """Return the next iteration after which there is something to do."""
        if not self.every:
            return None
        return min(n * (iteration // n + 1) for n in self._intervals)

    @property
    def _intervals(self) -> tuple[int, ...]:
        """Iterations from one record to the next, and between two looks at the weights."""
        return (self.every, *self.changes.windows)

    def take(self, iteration: int, active: NDArray[np.bool_]) -> None:
        """Record the networks (K,) that still train, where it is time to."""
        is_due = self.every and iteration and not all(iteration % n for n in self._intervals)
        if is_due and active.any():
            self._take(iteration, active)

    @torch.no_grad()
    def _take(self, iteration: int, active: NDArray[np.bool_]) -> None:
        changes = self.changes.take(iteration)
        if iteration % self.every or iteration in self._iterations:
            return
        if self._batch is None:
            self._batch = self.batches.first()
            self.noise.choose(self._batch, self.memory.trials_at_once)
        found = self._of_rates(self._batch[0])
        for n, (size, cosine) in changes.items():
            found |= {f"change_{n}": size, f"cosine_{n}": cosine}
        level = self.config.noise_level(iteration - 1)
        estimate = self.noise.estimate(len(self._rows), level)
        if estimate is not None:
            found |= dict(zip(("gradient_square", "gradient_variance"), estimate, strict=True))
        missing = torch.full((self.rnn.n_networks,), torch.nan, device=self.rnn.device)
        row = [found.get(name, missing).to(self._real) for name in COLUMNS]
        self._iterations.append(iteration)
        self._rows.append(torch.stack(row, dim=1))
        self._active.append(active.copy())

    @property
    def _real(self) -> torch.dtype:
        return torch.float32 if self.rnn.device.type == "mps" else torch.float64

    def _of_rates(self, u: Tensor) -> dict[str, Tensor]:
        """Return participation ratio and number of silent units, (K,) each; none if not kept."""
        run = self.rnn.run(u, memory=self.memory)
        if run.is_sliced:
            return {}
        states = run.states.flatten(1, 2)  # (K, T B, N)
        # On a CPU one by one: each is then rounded as alone.
        each = torch.chunk(states, len(states)) if states.device.type == "cpu" else [states]
        found = [self._of_samples(own, run.states.shape[2]) for own in each]
        silent, ratios = zip(*found, strict=True)
        return {"n_silent": torch.cat(silent), "participation_ratio": torch.cat(ratios)}

    def _of_samples(self, states: Tensor, n_trials: int) -> tuple[Tensor, Tensor]:
        """Return number of silent units and participation ratio at states (K, samples, N).

        Samples are the steps of all trials, those of one step together.
        """
        n_samples, n = states.shape[1:]
        rates = self.rnn.equation.rates
        # Some samples at a time: no second array as large as the trajectories.
        parts = torch.chunk(states, -(-states.numel() // VALUES_AT_ONCE), dim=1)
        largest = torch.stack([rates(part).abs().amax(dim=1) for part in parts]).amax(dim=0)
        silent = (largest <= SILENT_BELOW).sum(dim=1).to(self._real)
        silent = torch.where(torch.isfinite(largest).all(dim=1), silent, torch.nan)
        apart = max(1, n_samples // max(MOST_SAMPLES, 4 * n))
        while gcd(apart, n_trials) > 1:  # some trials would never be taken
            apart += 1
        samples = rates(states[:, ::apart]).to(self._real)
        mean = samples.mean(dim=1, keepdim=True)
        centred = samples - mean
        covariance = torch.bmm(centred.transpose(1, 2), centred) / samples.shape[1]
        total = covariance.diagonal(dim1=1, dim2=2).sum(dim=1)
        ratio = total.square() / covariance.square().flatten(1).sum(dim=1)
        varies = total > NOTHING * mean.square().flatten(1).sum(dim=1)
        is_known = varies if samples.shape[1] > n else torch.zeros_like(varies)
        return silent, torch.where(is_known, ratio, torch.nan)

    def of(self, index: int) -> list[TrainingTrace]:
        """Return the traces of one network, in their order."""
        if not self._rows:
            return []
        rows = torch.stack([row[index] for row in self._rows]).cpu().numpy()
        return [
            _trace(iteration, dict(zip(COLUMNS, row.tolist(), strict=True)), self.rnn.n_units)
            for iteration, row, active in zip(self._iterations, rows, self._active, strict=True)
            if active[index]
        ]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what was recorded by name; the changes of weights are tensors of their own."""
        k = self.rnn.n_networks
        rows = (
            torch.stack(self._rows).cpu().numpy() if self._rows else np.empty((0, k, len(COLUMNS)))
        )
        return {
            "trace.iterations": np.array(self._iterations, dtype=np.int64),
            "trace.rows": rows,
            "trace.active": np.array(self._active, dtype=np.bool_).reshape(-1, k),
        }

    def load(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Go back to what `arrays` gave."""
        self._iterations = arrays["trace.iterations"].tolist()
        self._rows = [torch.from_numpy(row).to(self.rnn.device) for row in arrays["trace.rows"]]
        self._active = list(arrays["trace.active"])


def _trace(iteration: int, values: dict[str, float], n_units: int) -> TrainingTrace:
    """Return the trace of a row, in which NaN is what is not defined."""
    known = {name: v for name, v in values.items() if np.isfinite(v)}
    changes = {n: known[f"change_{n}"] for n in WINDOWS if f"change_{n}" in known}
    cosines = {n: known[f"cosine_{n}"] for n in WINDOWS if f"cosine_{n}" in known}
    overflows = any(np.isinf(v) for v in values.values())
    square, variance = known.get("gradient_square"), known.get("gradient_variance")
    silent = known.get("n_silent")
    missing = []
    if "participation_ratio" not in known:
        if silent is None:
            why = "rates are not finite, or too many to be kept"
        else:
            why = "no rate varies" if silent == n_units else "rates vary too little or too rarely"
        missing.append(f"participation_ratio: {why}")
    if square is None:
        missing.append("gradient: not finite, or of one trial alone")
    elif square <= 0.0:
        missing.append("noise_scale: the gradient is not larger than its noise")
    missing += [f"cosine_{n}: no change before" for n in changes if n not in cosines]
    status = "partly" if missing else "traced"
    if overflows or (silent is None and square is None):
        status = "not_finite"
    scale = None
    if square is not None and square > 0.0 and variance is not None:
        scale = variance / square
    return TrainingTrace(
        iteration, status, "; ".join(missing),
        known.get("participation_ratio"), None if silent is None else int(silent),
        changes, cosines, square, variance,
        scale,
    )  # fmt: skip
