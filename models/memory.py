"""How much memory a training takes, before it starts, and how to divide one that does not fit."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch

from tasks_lib.errors import ParameterError

from . import penalties as penalty_registry
from .config import NetworkConfig
from .engine import default_back_end
from .training_config import TrainingConfig

# Of the memory that is free, what a training may be planned for: estimates are not exact, and
# allocators keep more than is asked of them.
SHARE = 0.8
# Limits of control groups beyond this are none: the first version says so by a large number.
UNLIMITED = 2**60
# Arrays (K, T, B, N) that each back end holds at its peak: with states, arguments of form s are
# counted apart. Plain torch draws noise from words of 64 bits and keeps every intermediate.
_ARRAYS = {"compiled": 1.0, "fused": 1.0, "plain": 5.0}
_NOISE_ARRAYS = {"compiled": 0.0, "fused": 0.0, "plain": 8.0}
# Arrays (T, B, N) of one network that a penalty's own graph holds at its peak.
_GRAPH_ARRAYS = 6.0


def bound_to_trajectories(penalties: Collection[str], training: TrainingConfig) -> list[str]:
    """Return what in a training needs all trajectories at a time, by name."""
    named = [
        f"the penalty {name}" for name in penalties if penalty_registry.needs_trajectories(name)
    ]
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
    """

    network: NetworkConfig
    training: TrainingConfig
    n_inputs: int
    n_outputs: int
    n_steps: int
    n_trials: int
    device: torch.device
    dtype: torch.dtype

    @property
    def _penalties(self) -> dict[str, dict[str, object]]:
        return {k: p for k, p in self.training.penalties.items() if p["weight"] > 0}

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
        back_end = default_back_end(self.device, n, self.dtype)
        terms = self._penalties
        n_adjoints = 1
        if terms and (self.training.task_safe_gradients or self.training.monitor):
            n_adjoints = 1 + (len(terms) if self.training.monitor else 1)
        arrays = _ARRAYS[back_end] + (self.network.equation_type == "s")
        if self.network.sigma_rec:
            arrays += _NOISE_ARRAYS[back_end]
        if back_end != "compiled":
            arrays += 2.0 * n_adjoints  # their adjoints are kept, for products over all steps
        graph = 0.0
        has_statistics = any(penalty_registry.statistics(k, p["args"]) for k, p in terms.items())  # type: ignore[arg-type]
        if self.bound_to_trajectories or (has_statistics and back_end != "compiled"):
            arrays += n_adjoints
            graph = _GRAPH_ARRAYS
        trials = min(trials_at_once or self.n_trials, self.n_trials)
        of_units = self.n_steps * trials * n
        of_channels = (
            self.n_steps
            * self.n_trials
            * (4 * self.n_inputs + (6 + 2 * n_adjoints) * self.n_outputs)
        )
        of_weights = (10 + 10 * n_adjoints) * n * (n + self.n_inputs + self.n_outputs + 2)
        each = arrays * of_units + of_channels + of_weights
        return int(size * (n_networks * each + graph * of_units))


def free_bytes(device: torch.device) -> int:
    """Return the memory that is free on a device, and allowed to this process."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    free = int(psutil.virtual_memory().available)
    return min([free, *_allowed_by_control_group(), *_allowed_by_resource_limits()])


def _allowed_by_control_group(
    root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")
) -> list[int]:
    """Return what is left of the limits that a scheduler or a container sets, if any."""
    left: list[int] = []
    try:
        lines = [line.split(":", 2) for line in own.read_text().splitlines()]
    except OSError:
        return left  # no Linux
    for _, controllers, group in lines:
        first_version = "memory" in controllers.split(",")
        if not first_version and controllers:
            continue
        top = root / "memory" if first_version else root
        limit, usage = (
            ("memory.limit_in_bytes", "memory.usage_in_bytes")
            if first_version
            else ("memory.max", "memory.current")
        )
        folder = top / group.lstrip("/")
        for place in (folder, *folder.parents):
            if not place.is_relative_to(top):
                break
            try:
                text = (place / limit).read_text().strip()
                if text != "max" and int(text) < UNLIMITED:
                    used = int((place / usage).read_text()) - _reclaimable(place)
                    left.append(max(int(text) - used, 0))
            except (OSError, ValueError):
                pass  # no such group is seen from in here, or it sets none
    return left


def _reclaimable(group: Path) -> int:
    """Return what counts as used and is given up when it is needed: cached files."""
    found = {}
    for line in (group / "memory.stat").read_text().splitlines():
        name, number = line.split()
        found[name] = int(number)
    # The first version counts a group's own and, as total, those of the groups within it.
    cached = found.get("total_inactive_file", found.get("inactive_file", 0))
    return cached + found.get("slab_reclaimable", 0)


def _allowed_by_resource_limits() -> list[int]:
    """Return what is left of this process's own limits (``ulimit -v``, ``ulimit -d``), if any."""
    try:
        import resource
    except ImportError:  # Windows
        return []
    used = psutil.Process().memory_info()
    left = []
    for name, taken in (("RLIMIT_AS", used.vms), ("RLIMIT_DATA", getattr(used, "data", 0))):
        limit = resource.getrlimit(getattr(resource, name))[0]
        if limit != resource.RLIM_INFINITY:
            left.append(max(int(limit) - int(taken), 0))
    return left


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


def is_short_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory could not be had: of Python, NumPy or torch."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)
    )


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
        f"{_gib(one)}, and {_gib(allowed)} of what is free may be used",
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


def more_memory(needed: float) -> str:
    """Return the remedy where so many bytes cannot be planned for."""
    return f"use fewer units, or a machine with {_gib(needed / SHARE)} free"


def check_fits(n_units: int, what: str, needed: float, device: torch.device) -> None:
    """Refuse a computation that does not fit, before it begins.

    Parameters
    ----------
    n_units : int
    what : str
        The computation, as the message calls it.
    needed : float
        Bytes at its peak.
    device : torch.device

    Raises
    ------
    ParameterError
        With what it needs and what there is.
    """
    allowed = SHARE * free_bytes(device)
    if needed > allowed:
        raise ParameterError(
            "n_units",
            n_units,
            f"{what} takes about {_gib(needed)}, and {_gib(allowed)} of what is free may be used",
            more_memory(needed),
        )


def _gib(n_bytes: float) -> str:
    return f"{n_bytes / 2**30:.1f} GiB"
