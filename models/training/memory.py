"""How much memory a training takes, before it starts, and how to divide one that does not fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from tasks_lib.errors import ParameterError
from tasks_lib.sizes import bytes_in_words

from ..engine import NetworkKind, choose_back_end
from ..machine.memory import SHARE, free_bytes, more_memory
from ..network.config import WEIGHT_ARRAYS, NetworkConfig
from ..penalties import PenaltyTerm
from .config import WINDOWS, TrainingConfig
from .gradient_noise import MOST_TRIALS

# Arrays (T, B, N) of one network that a penalty's own graph holds at its peak.
_GRAPH_ARRAYS = 6.0


def bound_to_trajectories(penalties: Sequence[PenaltyTerm], training: TrainingConfig) -> list[str]:
    """Return what in a training needs all trajectories at a time, by name."""
    named = [f"the penalty {term.name}" for term in penalties if term.needs_trajectories]
    if training.dropout_rate and training.dropout_sampling == "participation":
        named.append("dropout by participation")
    if penalties and training.dropout_rate and training.dropout_kind == "dead":
        named.append("penalties with dead units")
    return named


@dataclass(frozen=True)
class TrainingSize:
    """What the memory of a training depends on.

    Attributes
    ----------
    network, training : NetworkConfig, TrainingConfig
    n_inputs, n_outputs, n_steps, n_trials : int
        Shape of a batch.
    device : torch.device
    dtype : torch.dtype
    has_gaps : bool
        Whether targets are NaN where nothing is asked.
    """

    network: NetworkConfig
    training: TrainingConfig
    n_inputs: int
    n_outputs: int
    n_steps: int
    n_trials: int
    device: torch.device
    dtype: torch.dtype
    has_gaps: bool = False

    @property
    def _penalties(self) -> list[PenaltyTerm]:
        return [term for term in PenaltyTerm.of(self.training.penalties) if term.is_used]

    @property
    def bound_to_trajectories(self) -> list[str]:
        """What in the training needs all trajectories at a time, by name."""
        return bound_to_trajectories(self._penalties, self.training)

    def bytes_needed(self, n_networks: int, trials_at_once: int | None = None) -> int:
        """Estimate the peak of a training of K networks.

        Parameters
        ----------
        n_networks : int
        trials_at_once : int, optional
            Trials whose trajectories are held; all by default.
        """
        n, size = self.network.n_units, self.dtype.itemsize
        equation = self.network.equation
        back_end = choose_back_end(NetworkKind(equation, n, self.dtype, self.device))
        terms = self._penalties
        n_adjoints = 1
        if terms and (self.training.task_safe_gradients or self.training.monitor):
            n_adjoints = 1 + (len(terms) if self.training.monitor else 1)
        arrays = back_end.arrays_held(equation, n_adjoints)
        graph = 0.0
        has_statistics = any(term.statistics for term in terms)
        if self.bound_to_trajectories or (has_statistics and not back_end.takes_statistics):
            arrays += n_adjoints
            graph = _GRAPH_ARRAYS
        trials = min(trials_at_once or self.n_trials, self.n_trials)
        of_units = self.n_steps * trials * n
        of_channels = (
            self.n_steps
            * self.n_trials
            * (4 * self.n_inputs + (6 + 2 * n_adjoints + 2 * self.has_gaps) * self.n_outputs)
        )
        # On a CPU autograd goes through the penalties of one network at a time.
        n_graphs = 1 if self.device.type == "cpu" else n_networks
        copies = WEIGHT_ARRAYS * (1 + n_adjoints)
        of_weights = copies * n * (n + self.n_inputs + self.n_outputs + 2)
        if self.training.trace_interval:
            windows = [n for n in WINDOWS if n <= self.training.max_iter]
            of_weights += 2 * len(windows) * (of_weights // copies)
            # The runs that the noise of the gradient is estimated from are beside the others.
            traced = min(MOST_TRIALS, trials) * self.n_steps
            of_units += traced * n
            of_channels += traced * (2 * self.n_inputs + 6 * self.n_outputs)
        each = arrays * of_units + of_channels + of_weights
        return int(size * (n_networks * each + n_graphs * graph * of_units))


@dataclass(frozen=True)
class MemoryPlan:
    """How a training is divided.

    Attributes
    ----------
    networks_at_once : int
    trials_at_once : int or None
        Trials whose trajectories are held at a time; None for all.
    """

    networks_at_once: int
    trials_at_once: int | None = None


def plan_memory(size: TrainingSize, n_networks: int, free: int | None = None) -> MemoryPlan:
    """Divide a training so that it fits.

    Networks first: as many as fit are trained at once. Where not even one does, its trajectories
    are held for some trials at a time, and run twice.

    Raises
    ------
    ParameterError
        Where one network does not fit however divided; it says what would.
    """
    allowed = SHARE * (free_bytes(size.device) if free is None else free)
    one = size.bytes_needed(1)
    if one <= allowed:
        more = size.bytes_needed(2) - one  # each further network's
        return MemoryPlan(min(n_networks, 1 + int((allowed - one) // max(more, 1))))
    bound = size.bound_to_trajectories
    trials = size.n_trials
    while trials > 1:
        trials = -(-trials // 2)
        if size.bytes_needed(1, trials) <= allowed and not bound:
            return MemoryPlan(1, trials)
    raise ParameterError(
        "n_units",
        size.network.n_units,
        f"one network on batches of {size.n_trials} trials of {size.n_steps} steps takes about "
        f"{bytes_in_words(one)}, and {bytes_in_words(allowed)} of what is free may be used",
        _remedy(size, bound, allowed),
    )


def _remedy(size: TrainingSize, bound: Sequence[str], allowed: float) -> str:
    if bound and size.bytes_needed(1, 1) <= allowed:
        trials = max(t for t in range(1, size.n_trials) if size.bytes_needed(1, t) <= allowed)
        return (
            f"leave out {' and '.join(bound)}, which need all trajectories at a time, or give "
            f"batches of at most {trials} trials"
        )
    needed = size.bytes_needed(1, 1 if not bound else None)
    return more_memory(needed)
