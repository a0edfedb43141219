"""K networks of one shape as one batched torch module, with constrained weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from tasks_lib.errors import ParameterError

from ..engine import Buffers, Cotangent, Statistic, Weights
from ..engine.philox import network_key
from ..formulas.equations import SIGMAS, Equation
from .batch import check_networks, one_for_each
from .config import NetworkConfig
from .connectivity import dale_signs, initial_connectivity, stream
from .noise import Noise
from .rnn_numpy import RNNNumpy, as_weights, initial_state
from .run import Run, run_networks

BLOCKS = ("W_rec", "W_inp", "W_out")
WEIGHTS = (*BLOCKS, "b_rec", "x_init")
# Violators of a sign are set to this, not to 0, so that the sign of the connection stays known.
NEARLY_ZERO = 1e-12


def _representable(bounds: tuple[float, float], dtype: torch.dtype) -> tuple[float, float]:
    """Return the widest range within ``bounds`` whose ends are numbers of this precision."""
    low, high = (torch.tensor(bound, dtype=dtype) for bound in bounds)
    if float(low) < bounds[0]:
        low = torch.nextafter(low, high.new_tensor(torch.inf))
    if float(high) > bounds[1]:
        high = torch.nextafter(high, high.new_tensor(-torch.inf))
    return float(low), float(high)


class HasMoments(Protocol):
    """An optimiser: torch's, or ours (`models.training.adam.Adam`)."""

    @property
    def state(self) -> Mapping[Any, Any]:
        """Parameter -> its moments by name."""


class _Simulation(torch.autograd.Function):
    """A run as one node of the graph, from the effective weights and the inputs."""

    @staticmethod
    def forward(ctx: Any, *tensors: Any) -> tuple[Tensor, Tensor]:
        *_, u, rnn, noise, level, kept, dead = tensors
        run: Run = rnn.run(u.detach(), noise, level, kept, dead)
        ctx.run, ctx.shape = run, u.shape
        # Saved so that torch notices where they change before the way back: the run shares them.
        ctx.save_for_backward(*tensors[: len(WEIGHTS) + 1])
        # What leaves the node is not the run's own: a change in place would spoil the gradients.
        return run.states.clone(), run.outputs.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Any) -> Any:
        _ = ctx.saved_tensors
        states, outputs = gradients
        (found,) = ctx.run.effective_gradients([Cotangent(outputs.contiguous(), states)])
        onto_inputs = None
        if ctx.needs_input_grad[len(WEIGHTS)]:
            onto = ctx.run.input_gradient(Cotangent(outputs.contiguous(), states))
            onto_inputs = onto if len(ctx.shape) == 4 else onto.sum(dim=0)
        return (*found, onto_inputs, None, None, None, None, None)


class RNNTorch(nn.Module):
    """Continuous-time recurrent networks for training.

    Parameters
    ----------
    W_rec, W_inp, W_out, b_rec, x_init : array
        Weights of one network, shaped as in `RNNNumpy`, or of K networks with a leading axis K.
        ``x0`` is another name for x_init.
    masks, signs : dict, optional
        Constraints on each block of weights, shaped like the block: where a weight exists, and
        the sign that it keeps (0: free).
    constraint_method : {"clamp", "reflect"}
        How they are kept (`NetworkConfig`).
    bias_range : (float, float)
        Range of a trained bias; a degenerate range fixes the bias at what is given.
    train_x_init : bool
        Whether the initial state is trained.
    dale : array (N,), optional
        Sign of each unit's outgoing weights, for penalties.
    seeds : sequence of int, optional
        One seed for each network, for its noise; 0 ... K-1 by default.
    device, dtype
        Where and in which precision; CPU and float32 by default.
    sigma_rec, sigma_inp, sigma_out : float or sequence of float (K,)
        Noise levels of all networks, or of each.
    activation, equation_type, tau, dt, gamma, noise_inside
        See `models.formulas.equations.Equation`.

    Attributes
    ----------
    equations : tuple of Equation (K,)
        The equation of each network; they differ in their noise levels alone.
    equation : Equation
        That of the first, for what all have in common.
    """

    def __init__(
        self,
        *,
        W_rec: ArrayLike,
        W_inp: ArrayLike,
        W_out: ArrayLike,
        b_rec: ArrayLike | None = None,
        x_init: ArrayLike | None = None,
        x0: ArrayLike | None = None,
        masks: dict[str, ArrayLike] | None = None,
        signs: dict[str, ArrayLike] | None = None,
        constraint_method: str = "clamp",
        bias_range: tuple[float, float] = (0.0, 0.0),
        train_x_init: bool = False,
        dale: ArrayLike | None = None,
        exc_to_inh_ratio: float = 4.0,
        seeds: Sequence[int] | None = None,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
        activation: Any = "relu",
        **equation: Any,
    ) -> None:
        super().__init__()
        self.device, self.dtype = torch.device(device), dtype
        self.constraint_method = constraint_method
        self.bias_range = bias_range
        self.train_x_init = train_x_init
        self.exc_to_inh_ratio = exc_to_inh_ratio
        self.is_batched = np.ndim(W_rec) == 3  # whether a leading axis K is given and returned
        lead = (None,) if self.is_batched else ()
        w_inp = as_weights("W_inp", W_inp, (*lead, None, None))
        self.n_units, self.n_inputs = w_inp.shape[-2:]
        k = (w_inp.shape[0],) if self.is_batched else ()
        self.n_networks = k[0] if k else 1
        sigmas = {
            name: one_for_each(name, equation.pop(name), self.n_networks)
            for name in SIGMAS
            if name in equation
        }
        self.equations = tuple(
            Equation(activation, **equation, **{name: each[i] for name, each in sigmas.items()})
            for i in range(self.n_networks)
        )
        self.equation = self.equations[0]
        w_out = as_weights("W_out", W_out, (*k, None, self.n_units))
        self.n_outputs = w_out.shape[-2]
        zeros = np.zeros((*k, self.n_units))
        x_init = initial_state(x_init, x0)
        blocks = {
            "W_rec": as_weights("W_rec", W_rec, (*k, self.n_units, self.n_units)),
            "W_inp": w_inp,
            "W_out": w_out,
            "b_rec": as_weights("b_rec", zeros if b_rec is None else b_rec, zeros.shape),
            "x_init": as_weights("x_init", zeros if x_init is None else x_init, zeros.shape),
        }
        for name, value in blocks.items():
            tensor = self._tensor(value if self.is_batched else value[None])
            if (
                name in BLOCKS
                or (name == "b_rec" and bias_range[1] > bias_range[0])
                or (name == "x_init" and train_x_init)
            ):
                setattr(self, f"_{name}", nn.Parameter(tensor))
            else:
                self.register_buffer(f"_{name}", tensor)
        for name in BLOCKS:
            shape = tuple(getattr(self, f"_{name}").shape)
            mask = np.broadcast_to(np.asarray((masks or {}).get(name, True)), shape)
            sign = np.broadcast_to(np.asarray((signs or {}).get(name, 0.0)), shape)
            self.register_buffer(f"_mask_{name}", self._tensor(mask))
            self.register_buffer(f"_sign_{name}", self._tensor(sign))
        self.dale = None if dale is None or not np.any(dale) else self._tensor(dale)
        self.seeds = list(range(self.n_networks)) if seeds is None else [int(s) for s in seeds]
        if len(self.seeds) != self.n_networks:
            raise ParameterError(
                "seeds", seeds, f"there are {self.n_networks} networks", "give one seed for each"
            )
        self.noise_keys = [network_key(stream(s, "noise")) for s in self.seeds]
        # Noisy simulations so far: with the key it names the draws of the next one.
        self.n_simulations = 0

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
        seeds = seed if isinstance(seed, Sequence) else [seed]
        configs = [config] * len(seeds)
        rnn = cls.from_configs(configs, n_inputs, n_outputs, seeds, device, dtype)
        rnn.is_batched = isinstance(seed, Sequence)
        return rnn

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
        config = configs[0]
        pairs = list(zip(configs, (int(s) for s in seeds), strict=True))
        drawn = [initial_connectivity(c, n_inputs, n_outputs, s) for c, s in pairs]
        shared = {k: v for k, v in vars(config.equation).items() if k not in SIGMAS}
        return cls(
            **{k: np.stack([getattr(c, k) for c in drawn]) for k in (*BLOCKS, "b_rec")},
            masks={name: np.stack([c.masks[name] for c in drawn]) for name in BLOCKS},
            signs={name: np.stack([c.signs[name] for c in drawn]) for name in BLOCKS},
            constraint_method=config.constraint_method,
            bias_range=(config.bias_min, config.bias_max),
            train_x_init=config.train_x_init,
            dale=dale_signs(config),
            exc_to_inh_ratio=config.exc_to_inh_ratio,
            seeds=[seed for _, seed in pairs],
            device=device,
            dtype=dtype,
            **shared,
            **{name: [getattr(c, name) for c in configs] for name in SIGMAS},
        )

    def _tensor(self, value: Any) -> Tensor:
        return torch.as_tensor(np.array(value), dtype=self.dtype, device=self.device)

    def effective(self, name: str) -> Tensor:
        """Return the weights (K, ...) that the network runs with, constraints applied."""
        raw: Tensor = getattr(self, f"_{name}")
        if self.constraint_method != "reflect" or name not in BLOCKS:
            return raw
        sign = getattr(self, f"_sign_{name}")
        return torch.where(sign == 0, raw, raw.abs() * sign) * getattr(self, f"_mask_{name}")

    def _public(self, tensor: Tensor) -> Tensor:
        return tensor if self.is_batched else tensor[0]

    @property
    def W_rec(self) -> Tensor:
        """Effective recurrent weights (N, N) or (K, N, N)."""
        return self._public(self.effective("W_rec"))

    @property
    def W_inp(self) -> Tensor:
        """Effective input weights (N, n_inputs) or (K, N, n_inputs)."""
        return self._public(self.effective("W_inp"))

    @property
    def W_out(self) -> Tensor:
        """Effective readout weights (n_outputs, N) or (K, n_outputs, N)."""
        return self._public(self.effective("W_out"))

    @property
    def b_rec(self) -> Tensor:
        """Biases (N,) or (K, N)."""
        return self._public(self.effective("b_rec"))

    @property
    def x_init(self) -> Tensor:
        """Initial states (N,) or (K, N)."""
        return self._public(self.effective("x_init"))

    def noise_scales(self, part: str) -> list[float]:
        """Return the standard deviation of one step's noise ``inp``, ``rec`` or ``out``, (K,)."""
        return [eq.noise_scale(getattr(eq, f"sigma_{part}")) for eq in self.equations]

    def effective_weights(self) -> Weights:
        """Return all weights that the networks run with."""
        return Weights(*(self.effective(name) for name in WEIGHTS))

    def run(
        self,
        u: Tensor,
        noise: bool | Noise = False,
        level: float = 1.0,
        kept: Tensor | None = None,
        dead: bool = False,
        statistics: Sequence[Statistic] = (),
        buffers: Buffers | None = None,
        trials_at_once: int | None = None,
    ) -> Run:
        """Run all networks in the internal layout, linked to no graph.

        Parameters
        ----------
        u : Tensor (T, B, n_inputs) or (K, T, B, n_inputs)
            Inputs shared by all networks, or of each.
        noise : bool or Noise
            Whether to draw noise, or the draws to use, the same for all networks.
        level : float
            Factor on all noise (annealing).
        kept : Tensor (K, N), optional
            Factor on what the readout receives from each unit (`models.training.dropout`).
        dead : bool
            Whether other units receive that much too.
        statistics : sequence of Statistic
            To be taken on the way.
        buffers : Buffers, optional
            Memory to use; the next run with it overwrites this one's.
        trials_at_once : int, optional
            Trials whose trajectories are in memory at a time, where those of all are too many:
            none are then kept, and gradients run the trials again.
        """
        return run_networks(self, u, noise, level, kept, dead, statistics, buffers, trials_at_once)

    def simulate(
        self,
        u: Tensor,
        noise: bool | Noise,
        level: float = 1.0,
        kept: Tensor | None = None,
        dead: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """Run all networks in the internal layout, differentiably; parameters as for `run`.

        Returns
        -------
        states : Tensor (K, T, B, N)
        outputs : Tensor (K, T, B, n_outputs)
        """
        weights = self.effective_weights()
        tracked = (*weights, u) if torch.is_grad_enabled() else ()
        if not any(tensor.requires_grad for tensor in tracked):
            run = self.run(u, noise, level, kept, dead)
            return run.states, run.outputs
        states, outputs = _Simulation.apply(  # type: ignore[no-untyped-call]
            *weights, u, self, noise, level, kept, dead
        )
        return states, outputs

    def to_internal(self, array: ArrayLike | Tensor) -> Tensor:
        """Turn (..., channels, T, B) into the internal layout (..., T, B, channels)."""
        tensor = torch.as_tensor(array, dtype=self.dtype, device=self.device)
        return tensor.movedim(-3, -1).contiguous()

    def forward(self, u: ArrayLike | Tensor, noise: bool | Noise = False) -> tuple[Tensor, Tensor]:
        """Simulate trials, differentiably.

        Parameters
        ----------
        u : array (n_inputs, T, B) or (K, n_inputs, T, B)
            Inputs.
        noise : bool or Noise
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

    @torch.no_grad()
    def raw_gradients(self, gradient: Weights) -> list[Tensor]:
        """Return a gradient by the effective weights as one by the parameters, in their order.

        It is 0 for weights that do not exist: they neither conflict nor count in a norm.
        """
        found = []
        for name, p in self.named_parameters():
            g: Tensor = getattr(gradient, name[1:])
            if name[1:] in BLOCKS:
                sign = getattr(self, f"_sign{name}")
                if self.constraint_method == "reflect":
                    g = torch.where(sign == 0, g, g * p.sign() * sign)
                g = g * getattr(self, f"_mask{name}")
            found.append(g)
        return found

    @torch.no_grad()
    def enforce_constraints(self, optimizer: HasMoments | None = None) -> None:
        """Bring the weights back to their constraints, and the optimiser's moments with them.

        Masked weights and their Adam moments become exactly 0; a weight that left its sign
        becomes 1e-12 of that sign; a trained bias returns to its range.
        """
        for name in BLOCKS:
            raw: Tensor = getattr(self, f"_{name}")
            mask, sign = getattr(self, f"_mask_{name}"), getattr(self, f"_sign_{name}")
            if self.constraint_method == "clamp":
                wrong = (sign != 0) & (raw * sign < NEARLY_ZERO)
                raw.copy_(torch.where(wrong, sign * NEARLY_ZERO, raw))
            raw.mul_(mask)
            for moment in (optimizer.state.get(raw, {}) if optimizer else {}).values():
                if isinstance(moment, Tensor) and moment.shape == raw.shape:
                    moment.mul_(mask)
        if self.bias_range[1] > self.bias_range[0]:
            self._b_rec.clamp_(*_representable(self.bias_range, self.dtype))  # type: ignore[operator]

    def weights(self, index: int = 0) -> dict[str, NDArray[Any]]:
        """Return one network's effective weights as NumPy arrays of this precision."""
        return {n: self.effective(n)[index].detach().cpu().numpy().copy() for n in WEIGHTS}

    def to_numpy(self, index: int = 0) -> RNNNumpy:
        """Return one network for analysis."""
        equation = vars(self.equations[index])
        return RNNNumpy(**self.weights(index), **equation, seed=self.seeds[index])
