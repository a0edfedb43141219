"""What is trained: networks and a batch that every side is given alike."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models import NetworkConfig
from models.network.connectivity import Connectivity, dale_signs, initial_connectivity
from tasks_lib import Task

MODES = ("bare", "penalties")
BLOCKS = ("W_rec", "W_inp", "W_out")
N_INPUTS, N_OUTPUTS = 6, 2
# trainRNNbrain's defaults: form h, rectified, Dale's law, these noise levels and penalties.
ALPHA = 0.1
SIGMAS = {"inp": 0.05, "rec": 0.05, "out": 0.03}
TARGET_DEGREE, SPARSITY_WEIGHT = 20.0, 0.05
RATE_CAP, RATE_TAU, RATE_POWER, RATE_WEIGHT = 0.3, 0.1, 3.0, 0.2
MAX_GRAD_NORM = 50.0
WEIGHT_DECAY = 1e-6
NEARLY_ZERO = 1e-12
# What a step needs at least, in products of B x N by N x N for each time step: one forward, and
# an adjoint and a weight gradient for each of the gradients that are told apart.
PRODUCTS = {"bare": 3, "penalties": 5}

Arrays = dict[str, NDArray[np.float32]]


class SyntheticTask(Task):
    """Trials shaped like context-dependent decisions, as many as wanted.

    A context cue for the whole trial, two constant stimuli from a third on, and a choice to be
    told in the last third; all values are drawn.
    """

    def __init__(self, n_steps: int = 300, n_trials: int = 225, seed: int | None = None) -> None:
        super().__init__(n_steps, N_INPUTS, N_OUTPUTS, seed)
        self.n_trials = n_trials

    @property
    def mask(self) -> NDArray[Any]:
        """All steps but those in which the choice is made."""
        third = self.n_steps // 3
        return np.r_[0:third, 2 * third : self.n_steps]

    def conditions(self) -> list[dict[str, Any]]:
        """Draw a context and two coherences for each trial."""
        contexts = self.rng.integers(0, 2, self.n_trials)
        coherences = self.rng.uniform(-1, 1, (self.n_trials, 2))
        return [
            {"context": int(c), "motion": float(m), "colour": float(k)}
            for c, (m, k) in zip(contexts, coherences, strict=True)
        ]

    def generate_input_target_stream(self, context: int, motion: float, colour: float) -> Any:
        """Return one trial."""
        third = self.n_steps // 3
        inputs = np.zeros((N_INPUTS, self.n_steps))
        targets = np.zeros((N_OUTPUTS, self.n_steps))
        inputs[context] = 1.0
        for channel, coherence in ((2, motion), (4, colour)):
            inputs[channel, third:] = (1 + coherence) / 2
            inputs[channel + 1, third:] = (1 - coherence) / 2
        chosen = int((motion, colour)[context] < 0)
        targets[chosen, 2 * third :] = 1.0
        return inputs, targets, {"context": context, "motion": motion, "colour": colour}


@lru_cache(maxsize=8)
def _connectivity(config_items: tuple[tuple[str, Any], ...]) -> Connectivity:
    return initial_connectivity(NetworkConfig(**dict(config_items)), N_INPUTS, N_OUTPUTS, seed=0)


@dataclass(frozen=True)
class Problem:
    """K networks of N units, B trials of T steps, and whether the defaults' penalties are on."""

    mode: str
    n_units: int
    n_trials: int
    n_networks: int
    n_steps: int = 300
    device: str = "cpu"
    precision: str = "ieee"  # of ours on a GPU

    @property
    def penalised(self) -> bool:
        """Whether penalties, task-safe gradients and the monitor are on."""
        return self.mode == "penalties"

    @property
    def learning_rate(self) -> float:
        """Learning rate of Adam."""
        return 1e-3 * (100.0 / self.n_units) ** (1.0 / 3.0)

    @property
    def rate_cap(self) -> float:
        """The cap on rates, which shrinks as networks grow."""
        return float(RATE_CAP * np.log(101.0) / np.log(self.n_units + 1.0))

    def noise_scales(self) -> dict[str, float]:
        """Return the standard deviations of one step's noise."""
        return {name: float(np.sqrt(2.0 / ALPHA) * sigma) for name, sigma in SIGMAS.items()}

    def network_config(self, noise: bool = True) -> NetworkConfig:
        """Return the parameters of the networks."""
        return NetworkConfig(**dict(self._items(noise)))

    def _items(self, noise: bool) -> tuple[tuple[str, Any], ...]:
        sigmas = {f"sigma_{name}": sigma if noise else 0.0 for name, sigma in SIGMAS.items()}
        fields = {"n_units": self.n_units, "equation_type": "h", "dale": True, **sigmas}
        return tuple(fields.items())

    @property
    def connectivity(self) -> Connectivity:
        """The first network."""
        return _connectivity(self._items(noise=True))

    @cached_property
    def weights(self) -> Arrays:
        """Initial weights (K, ...): one draw, scaled a little differently for each network."""
        scale = np.linspace(1.0, 0.9, self.n_networks).reshape(-1, 1, 1)
        blocks = {name: getattr(self.connectivity, name) for name in BLOCKS}
        return {name: (scale * block).astype(np.float32) for name, block in blocks.items()}

    def connectivity_of(self, index: int) -> Connectivity:
        """Return one of the networks, with its constraints."""
        return replace(self.connectivity, **{k: w[index] for k, w in self.weights.items()})

    @property
    def masks(self) -> Arrays:
        """Where a weight exists."""
        return {k: np.asarray(v, np.float32) for k, v in self.connectivity.masks.items()}

    @property
    def signs(self) -> Arrays:
        """The sign that it keeps."""
        return {k: np.asarray(v, np.float32) for k, v in self.connectivity.signs.items()}

    @property
    def dale(self) -> NDArray[np.float64]:
        """Sign of each unit."""
        return dale_signs(self.network_config())

    def task(self) -> SyntheticTask:
        """Return the task, as at the start."""
        return SyntheticTask(self.n_steps, self.n_trials, seed=0)

    @cached_property
    def batch(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Inputs (n_inputs, T, B) and targets (n_outputs, T, B)."""
        inputs, targets, _ = self.task().get_batch()
        return inputs.astype(np.float32), targets.astype(np.float32)

    def product_flops(self) -> float:
        """Operations of one product of all steps and trials with W_rec, for one network."""
        return 2.0 * (self.n_steps - 1) * self.n_trials * self.n_units**2

    def array_bytes(self, n_networks: int) -> float:
        """Size of one array of all units, steps and trials."""
        return 4.0 * n_networks * self.n_steps * self.n_trials * self.n_units


def existing(gradients: dict[str, Any], problem: Problem) -> Arrays:
    """Return gradients as arrays (n, ...), 0 for weights that do not exist."""
    return {k: np.asarray(gradients[k], np.float32) * problem.masks[k] for k in BLOCKS}
