"""The task's part of the loss: the mean square of y - t over all that counts."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tasks_lib.masks import check_asked

from ..engine.passes import runs_on
from ..machine.torch_modes import without_graph
from ..network.by_network import means, sums
from . import passes


@dataclass(frozen=True, eq=False)
class TaskError:
    """Errors of K networks at the steps of the mask.

    With c = 1 where an entry counts, at a step of the mask at which the target is not NaN, and
    c = 0 elsewhere, the loss is sum c (y - t)^2 / sum c: every entry that counts has the same
    weight, whatever the length of its trial.

    Attributes
    ----------
    values : Tensor (K, M, B, n_outputs)
        y - t; 0 where nothing is asked.
    numbers : Tensor (K or 1, B), or None
        Entries that count in each trial; None where all of ``values`` do.
    """

    values: Tensor
    numbers: Tensor | None

    def loss(self) -> Tensor:
        """Return the mean square of all that counts, (K,)."""
        if self.numbers is None:
            return means(self.values.square())
        return sums(self.values.square()) / self.numbers.sum(dim=1)

    def by_trial(self) -> Tensor:
        """Return the mean square of what counts in each trial, (K, B)."""
        if self.numbers is None:
            return self.values.square().mean(dim=(1, 3))
        return self.values.square().sum(dim=(1, 3)) / self.numbers

    def slope(self) -> Tensor:
        """Return the derivative of the loss by the outputs at these steps, as ``values``."""
        if self.numbers is None:
            return self.values * (2.0 / self.values[0].numel())
        return self.values * _factors(self.numbers)[:, None, None, None]


def _factors(numbers: Tensor) -> Tensor:
    """Return 2 / n of each network, from the entries that count in its trials (K or 1, B)."""
    return 2.0 / numbers.sum(dim=1)


@dataclass(frozen=True, eq=False)
class _Asked:
    """What a batch asks of outputs, as `passes.square_errors` takes it.

    Attributes
    ----------
    targets, steps, counts, factors : array
        As there.
    size : int
        Entries at the steps of the mask, M B n_outputs.
    numbers : Tensor (K or 1,), or None
        Entries that count; None where all of them do.
    """

    targets: NDArray[Any]
    steps: NDArray[np.int64]
    counts: NDArray[np.bool_]
    factors: NDArray[Any]
    size: int
    numbers: Tensor | None

    @classmethod
    def of(cls, t: Tensor, counts: Tensor | None, steps: Tensor, outputs: Tensor) -> _Asked:
        """Return what targets ask at steps, where entries (K or 1, M, B, n_outputs) count."""
        size = len(steps) * prod(outputs.shape[2:])
        targets = (t if t.ndim == 4 else t[None]).contiguous().numpy()
        if counts is None:
            factors = outputs.new_tensor([2.0 / size]).numpy()
            all_count = np.empty((0, 0, 0, 0), np.bool_)
            return cls(targets, steps.numpy(), all_count, factors, size, None)
        of_trials = counts.sum(dim=(1, 3)).to(outputs.dtype)
        numbers, factors = of_trials.sum(dim=1), _factors(of_trials).numpy()
        return cls(targets, steps.numpy(), counts.contiguous().numpy(), factors, size, numbers)


class TaskErrors:
    """Takes the errors of outputs, batch after batch.

    Parameters
    ----------
    steps : Tensor (M,)
        Indices of the steps of the mask.
    looks : bool
        Whether targets are looked at, for which a GPU is waited for at each new batch. Otherwise
        something may be left out of every batch, and it is for others to refuse trials in which
        nothing is asked.
    """

    def __init__(self, steps: Tensor, looks: bool = True) -> None:
        self.steps = steps
        self.looks = looks
        # Of the last batch: a GPU would have to be waited for at every iteration.
        self._last: tuple[Tensor, int, Tensor | None] | None = None
        self._known: _Asked | None = None

    def __call__(self, outputs: Tensor, t: Tensor) -> TaskError:
        """Return the errors of outputs (K, T, B, n_outputs) against targets (..., T, B, n_outputs).

        Raises
        ------
        ParameterError
            Where nothing is asked in a trial.
        """
        error = (outputs - t)[:, self.steps]
        counts = self._counts(t)
        if counts is None:
            return TaskError(error, None)
        numbers = counts.sum(dim=(1, 3)).to(error.dtype)
        return TaskError(torch.where(counts, error, torch.zeros_like(error)), numbers)

    @without_graph
    def loss_and_slope(self, outputs: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return the loss (K,) and its derivative by the outputs (K, T, B, n_outputs).

        They are those of `TaskError`, and 0 at the steps outside of the mask.
        """
        slopes = torch.zeros_like(outputs)
        if not runs_on(outputs):
            error = self(outputs, t)
            slopes[:, self.steps] = error.slope()
            return error.loss(), slopes
        asked = self._asked(t, outputs)
        squares = outputs.new_empty((len(outputs), asked.size))
        passes.square_errors(
            outputs.contiguous().numpy(), asked.targets, asked.steps, asked.counts, asked.factors,
            squares.numpy(), slopes.numpy(),
        )  # fmt: skip
        if asked.numbers is None:
            return squares.mean(dim=1), slopes
        return squares.sum(dim=1) / asked.numbers, slopes

    def _asked(self, t: Tensor, outputs: Tensor) -> _Asked:
        """Return what targets ask of outputs, of the last batch without computing it again."""
        counts = self._counts(t)
        if self._last is None or self._last[0] is not t:
            return _Asked.of(t, counts, self.steps, outputs)
        if self._known is None:
            self._known = _Asked.of(t, counts, self.steps, outputs)
        return self._known

    def _counts(self, t: Tensor) -> Tensor | None:
        """Return what counts (K or 1, M, B, n_outputs); None where all does."""
        if self._last is not None:
            known, version, counts = self._last
            if known is t and version == t._version:
                return counts
        counts = ~torch.isnan(t if t.ndim == 4 else t[None])[:, self.steps]
        if not self.looks:
            return counts
        if bool(counts.all()):
            counts = None
        else:
            for own in counts.any(dim=3).any(dim=1).cpu().numpy():
                check_asked(own)
        self._last, self._known = (t, t._version, counts), None
        return counts
