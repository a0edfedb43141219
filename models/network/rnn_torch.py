"""K networks of one shape as one batched torch module."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from tasks_lib.errors import ParameterError

from ..engine import Statistic
from ..engine.philox import network_key
from ..machine.devices import checked_device
from ..machine.torch_modes import plain_torch
from .batch import check_networks, one_for_each
from .config import NetworkConfig
from .connectivity import Connectivity, initial_connectivity, sizes_in_words, stream
from .constrained_weights import ConstrainedWeights
from .dropout_mask import DropoutMask
from .noise import AnyNoise, RunNoise
from .noise_draws import NoiseDraws, NoiseSources, to_internal
from .rnn_numpy import RNNNumpy
from .run import Run, RunMemory, differentiable_run, run_networks


class RNNTorch(ConstrainedWeights):
    """Continuous-time recurrent networks for training.

    Parameters
    ----------
    weights : Connectivity, or sequence of K
        Weights and constraints of one network, or of each of K networks. `initial_connectivity`
        draws them, `Connectivity.of` takes those that exist. For a sequence, what is given and
        returned has a leading axis K.
    config : NetworkConfig, or sequence of K
        What the networks are: one for all, or one for each; they may differ in what
        `models.network.batch.NETWORKS_DIFFER_IN` says.
    seeds : int or sequence of K, optional
        One seed for each network, for its noise; 0 ... K-1 by default.
    device, dtype
        Where and in which precision; CPU and float32 by default.

    Attributes
    ----------
    equations : tuple of Equation (K,)
        The equation of each network; they differ in their noise levels alone.
    equation : Equation
        That of the first, for what all have in common.

    Raises
    ------
    ParameterError
        Where shapes disagree, the networks differ in more than networks of one batch may, or the
        device is not there.
    """

    @plain_torch()
    def __init__(
        self,
        weights: Connectivity | Sequence[Connectivity],
        config: NetworkConfig | Sequence[NetworkConfig],
        seeds: int | Sequence[int] | None = None,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        each = [weights] if isinstance(weights, Connectivity) else list(weights)
        if not each:
            raise ParameterError("weights", [], "are of no network", "give those of one at least")
        configs = one_for_each("config", config, len(each))
        check_networks(configs)
        super().__init__(each, configs[0], torch.device(checked_device(device)), dtype)
        self.is_batched = not isinstance(weights, Connectivity)
        self.equations = tuple(own.equation for own in configs)
        self.equation = self.equations[0]
        given = range(len(each)) if seeds is None else seeds
        self.seeds = [int(s) for s in (given if isinstance(given, Sequence) else [given])]
        if len(self.seeds) != self.n_networks:
            raise ParameterError(
                "seeds", seeds, f"there are {self.n_networks} networks", "give one seed for each"
            )
        self.noise_keys = [network_key(stream(s, "noise")) for s in self.seeds]
        self.noise_sources = NoiseSources(self.equations, self.noise_keys, self.device)
        # Noisy simulations so far: with the key it names the draws of the next one.
        self.n_simulations = 0

    def extra_repr(self) -> str:
        """Return what stands between the parentheses where the network is printed."""
        many = f"{self.n_networks} networks of " if self.is_batched else ""
        sizes = sizes_in_words(self.n_units, self.n_inputs, self.n_outputs)
        return f"{many}{sizes}; {self.equation.in_brief()}"

    @classmethod
    def from_config(
        cls,
        config: NetworkConfig,
        n_inputs: int,
        n_outputs: int,
        seed: int | Sequence[int] = 0,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> RNNTorch:
        """Draw one network (``seed`` a number) or K networks (``seed`` a sequence)."""
        if isinstance(seed, Sequence):
            configs = [config] * len(seed)
            return cls.from_configs(configs, n_inputs, n_outputs, seed, device, dtype)
        drawn = initial_connectivity(config, n_inputs, n_outputs, int(seed))
        return cls(drawn, config, seed, device, dtype)

    @classmethod
    def from_configs(
        cls,
        configs: Sequence[NetworkConfig],
        n_inputs: int,
        n_outputs: int,
        seeds: Sequence[int],
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> RNNTorch:
        """Draw networks whose configurations may differ, one seed for each.

        They may differ in noise levels and in what decides the initial weights and their
        constraints (`models.network.batch.NETWORKS_DIFFER_IN`). Other differences are refused:
        they would make arrays of other shapes or another equation.
        """
        if not configs or len(configs) != len(seeds):
            raise ParameterError(
                "seeds", list(seeds), f"there are {len(configs)} configs", "give one seed for each"
            )
        check_networks(configs)
        seeds = [int(seed) for seed in seeds]
        pairs = zip(configs, seeds, strict=True)
        drawn = [initial_connectivity(c, n_inputs, n_outputs, seed) for c, seed in pairs]
        return cls(drawn, configs, seeds, device, dtype)

    def run(
        self,
        u: Tensor,
        noise: AnyNoise = False,
        dropout: DropoutMask | None = None,
        statistics: Sequence[Statistic] = (),
        memory: RunMemory | None = None,
    ) -> Run:
        """Run all networks in the internal layout, linked to no graph.

        Parameters
        ----------
        u : Tensor (T, B, n_inputs) or (K, T, B, n_inputs)
            Inputs shared by all networks, or of each.
        noise : bool, Noise or RunNoise
            Whether to draw noise, or the draws to use, the same for all networks; with a factor
            on all of it.
        dropout : DropoutMask, optional
            Which units are dropped.
        statistics : sequence of Statistic
            To be taken on the way.
        memory : RunMemory, optional
            What memory to use.
        """
        asked = RunNoise.of(noise)
        weights = self.effective_weights()
        number = self.n_simulations if asked.number is None else asked.number
        draws = NoiseDraws(asked, self.noise_sources, number, weights.W_rec.detach())
        if asked.draws is True and asked.number is None:
            self.n_simulations += 1
        inputs = u.expand(self.n_networks, *u.shape[-3:])
        return run_networks(
            self.equation, weights, inputs, draws, dropout, statistics, memory or RunMemory()
        )

    def simulate(
        self, u: Tensor, noise: AnyNoise = False, dropout: DropoutMask | None = None
    ) -> tuple[Tensor, Tensor]:
        """Run all networks in the internal layout, differentiably; parameters as for `run`.

        Returns
        -------
        states : Tensor (K, T, B, N)
        outputs : Tensor (K, T, B, n_outputs)
        """

        def run(inputs: Tensor) -> Run:
            return self.run(inputs, noise, dropout)

        return differentiable_run(run, self.effective_weights(), u)

    def to_internal(self, array: ArrayLike | Tensor) -> Tensor:
        """Turn (..., channels, T, B) into the internal layout (..., T, B, channels)."""
        return to_internal(array, self.dtype, self.device)

    def forward(self, u: ArrayLike | Tensor, noise: AnyNoise = False) -> tuple[Tensor, Tensor]:
        """Simulate trials, differentiably.

        Parameters
        ----------
        u : array (n_inputs, T, B) or (K, n_inputs, T, B)
            Inputs.
        noise : bool, Noise or RunNoise
            Whether to draw noise, or the draws to use.

        Returns
        -------
        states : Tensor (N, T, B), or (K, N, T, B) for K networks
        outputs : Tensor (n_outputs, T, B), or (K, n_outputs, T, B)
        """
        inputs = self.to_internal(u)
        if inputs.ndim < 3 or inputs.shape[-1] != self.n_inputs:
            raise ParameterError(
                "u.shape",
                tuple(np.shape(u)),
                f"this network takes {self.n_inputs} input channels",
                f"pass an array of shape ({self.n_inputs}, T, B)",
            )
        states, outputs = self.simulate(inputs, noise)
        return self._public(states.movedim(-1, -3)), self._public(outputs.movedim(-1, -3))

    def to_numpy(self, index: int = 0) -> RNNNumpy:
        """Return one network for analysis."""
        equation = vars(self.equations[index])
        return RNNNumpy(**self.weights(index), **equation, seed=self.seeds[index])
