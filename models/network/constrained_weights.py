"""The weights of K networks of one shape as parameters of torch, and the constraints on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tasks_lib.errors import ParameterError

from ..engine import Weights
from ..machine.torch_modes import without_graph
from .by_network import products
from .config import NetworkConfig
from .connectivity import BLOCKS, NEARLY_ZERO, WEIGHTS, Connectivity, dale_signs
from .low_rank import factors_of
from .rows import Rows

FACTORS = ("left_rec", "right_rec")  # of W_rec, where its rank is limited
CONSTRAINTS = [(kind, name) for kind in ("mask", "sign") for name in BLOCKS]


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


class Bounds(NamedTuple):
    """What binds the parameters of K networks, as `Rows` have them; arrays (K, n).

    Attributes
    ----------
    signs : array
        0 where a weight may have either sign.
    mask : array
        0 where a weight does not exist, otherwise 1.
    low, high : array (n,)
        The range of each weight.
    fixed : array of bool
        Weights that are not trained.
    start : array
        What these stay.
    """

    signs: NDArray[Any]
    mask: NDArray[Any]
    low: NDArray[Any]
    high: NDArray[Any]
    fixed: NDArray[np.bool_]
    start: NDArray[Any]


class ConstrainedWeights(nn.Module):
    """Weights of K networks that are alike but for their numbers, and their constraints.

    Parameters
    ----------
    weights : sequence of Connectivity (K,)
    config : NetworkConfig
        What all networks have in common: which weights are trained, and how constraints are kept.
        Where it limits the rank of W_rec, its factors (K, N, R) are parameters in its place.
    device : torch.device
    dtype : torch.dtype

    Raises
    ------
    ParameterError
        Where the networks have other shapes than the configuration or than each other.
    """

    def __init__(
        self,
        weights: Sequence[Connectivity],
        config: NetworkConfig,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        super().__init__()
        self.device, self.dtype = device, dtype
        self.constraint_method = config.constraint_method
        self.bias_range = (config.bias_min, config.bias_max)
        self._bias_range = _representable(self.bias_range, dtype)
        self.train_x_init = config.train_x_init
        self.exc_to_inh_ratio = config.exc_to_inh_ratio
        self.max_rank = config.max_rank
        self.is_batched = True  # whether a leading axis K is returned
        self.n_networks, self.n_units = len(weights), config.n_units
        self.n_inputs, self.n_outputs = weights[0].W_inp.shape[-1], weights[0].W_out.shape[0]
        shapes = {
            "W_rec": (self.n_units, self.n_units),
            "W_inp": (self.n_units, self.n_inputs),
            "W_out": (self.n_outputs, self.n_units),
            "b_rec": (self.n_units,),
            "x_init": (self.n_units,),
        }
        self._bound: dict[str, bool] = {}
        self._bounds: tuple[list[tuple[int, int]], Bounds, list[Tensor | None]] | None = None
        trained = {"b_rec": config.trains_bias, "x_init": config.train_x_init}
        for name in WEIGHTS:
            each = [getattr(own, name) for own in weights]
            each = [np.zeros(shapes[name]) if w is None else np.asarray(w) for w in each]
            for w in each:
                if w.shape != shapes[name]:
                    raise ParameterError(
                        f"{name}.shape",
                        w.shape,
                        f"should be {shapes[name]}",
                        "give networks of one shape, and the configuration that they have",
                    )
            if name == "W_rec" and self.max_rank:
                self._set_factors(weights)
                continue
            tensor = self._tensor(np.stack(each))
            if trained.get(name, True):
                setattr(self, f"_{name}", nn.Parameter(tensor))
            else:
                self.register_buffer(f"_{name}", tensor)
        for name in BLOCKS:
            masks, signs = (
                np.stack([np.broadcast_to(kind[name], shapes[name]) for kind in kinds])
                for kinds in ([own.masks for own in weights], [own.signs for own in weights])
            )
            self.register_buffer(f"_mask_{name}", self._tensor(masks))
            self.register_buffer(f"_sign_{name}", self._tensor(signs))
            # Where all weights exist, or all may have either sign, there is nothing to keep.
            self._bound[f"_mask_{name}"] = bool((masks != 1).any())
            self._bound[f"_sign_{name}"] = bool((signs != 0).any())
        # Arrays some of whose weights are not trained, and what these stay.
        self.with_fixed: list[str] = []
        for name in dict.fromkeys(name for own in weights for name in own.fixed):
            if not trained.get(name, True):
                continue  # no weight of this array is trained
            fixed = [own.fixed.get(name, np.zeros(shapes[name], np.bool_)) for own in weights]
            self.with_fixed.append(name)
            # They follow from the configuration and the initial weights, and need not be saved.
            fixed_tensor = torch.as_tensor(np.stack(fixed), device=self.device)
            self.register_buffer(f"_fixed_{name}", fixed_tensor, persistent=False)
            start = getattr(self, f"_{name}").detach().clone()
            self.register_buffer(f"_start_{name}", start, persistent=False)
        self.dale: Tensor | None = None
        self.units_of_kinds: tuple[Tensor, Tensor] | None = None  # excitatory, inhibitory
        if config.dale:
            signs_of_units = dale_signs(config)
            self.dale = self._tensor(signs_of_units)
            excitatory, inhibitory = (
                torch.as_tensor(np.flatnonzero(signs_of_units * sign > 0), device=self.device)
                for sign in (1, -1)
            )
            self.units_of_kinds = excitatory, inhibitory

    def _set_factors(self, weights: Sequence[Connectivity]) -> None:
        factors = [own.factors or factors_of(own.W_rec, self.max_rank) for own in weights]
        shape = self.n_units, self.max_rank
        for name, each in zip(FACTORS, zip(*factors, strict=True), strict=True):
            for factor in each:
                if factor.shape != shape:
                    raise ParameterError(
                        "factors.shape",
                        factor.shape,
                        f"should be {shape}",
                        "give factors of as many columns as max_rank says",
                    )
            setattr(self, f"_{name}", nn.Parameter(self._tensor(np.stack(each))))

    def _tensor(self, value: Any) -> Tensor:
        return torch.as_tensor(np.array(value), dtype=self.dtype, device=self.device)

    def _constraint(self, kind: str, name: str) -> Tensor | None:
        """Return the ``mask`` or ``sign`` (K, ...) of a block; None where it binds no weight."""
        constraint = self._buffers[f"_{kind}_{name}"]
        assert constraint is not None
        # One that was written to since may bind some.
        unknown = constraint.is_inference() or constraint._version > 0
        return constraint if self._bound[f"_{kind}_{name}"] or unknown else None

    def effective(self, name: str) -> Tensor:
        """Return the weights (K, ...) that the network runs with, constraints applied."""
        if name == "W_rec" and self.max_rank:
            left, right = self.factors
            return products(left, right.transpose(1, 2)) / self.n_units
        raw: Tensor = getattr(self, f"_{name}")
        if self.constraint_method != "reflect" or name not in BLOCKS:
            return raw
        sign, mask = self._constraint("sign", name), self._constraint("mask", name)
        if sign is not None:
            raw = torch.where(sign == 0, raw, raw.abs() * sign)
        return raw if mask is None else raw * mask

    @property
    def factors(self) -> tuple[Tensor, Tensor]:
        """The factors (K, N, R) of W_rec = left rightᵀ / N, where its rank is limited."""
        left, right = (getattr(self, f"_{name}") for name in FACTORS)
        return left, right

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

    def effective_weights(self) -> Weights:
        """Return all weights that the networks run with."""
        return Weights(*(self.effective(name) for name in WEIGHTS))

    def raw_gradients(self, gradient: Weights) -> Rows:
        """Return a gradient by the effective weights as one by the parameters, in their order.

        It is 0 for weights that do not exist and for those that are not trained: they neither
        conflict nor count in a norm.
        """
        return self.raw_gradients_of([gradient])

    @without_graph
    def raw_gradients_of(self, gradients: Sequence[Weights]) -> Rows:
        """Return what `raw_gradients` does of A gradients, one after the other: A K rows."""
        parameters = {name[1:]: p for name, p in self._parameters.items() if p is not None}
        shapes = [tuple(p.shape[1:]) for p in parameters.values()]
        found = Rows.empty(len(gradients) * self.n_networks, shapes, gradients[0].W_rec)
        for (name, p), block in zip(parameters.items(), found, strict=True):
            of_each = block.view(len(gradients), *p.shape).unbind(0)
            sign = mask = None
            if name in BLOCKS:
                mask = self._constraint("mask", name)
                if self.constraint_method == "reflect":
                    sign = self._constraint("sign", name)
            for gradient, own in zip(gradients, of_each, strict=True):
                if name in FACTORS:
                    own.copy_(self._gradient_of_factor(name, gradient.W_rec))
                    continue
                g: Tensor = getattr(gradient, name)
                if sign is not None:
                    g = torch.where(sign == 0, g, g * p.sign() * sign)
                if mask is None:
                    own.copy_(g)
                else:
                    torch.mul(g, mask, out=own)
                if name in self.with_fixed:
                    own.masked_fill_(getattr(self, f"_fixed_{name}"), 0.0)
        return found

    def _gradient_of_factor(self, name: str, by_product: Tensor) -> Tensor:
        """Return the gradient by a factor (K, N, R) from that by W_rec (K, N, N)."""
        left, right = self.factors
        if name == FACTORS[0]:
            return products(by_product, right) / self.n_units
        return products(by_product.transpose(1, 2), left) / self.n_units

    @without_graph
    def enforce_constraints(self, optimizer: HasMoments | None = None) -> None:
        """Bring the weights back to their constraints, and the optimiser's moments with them.

        Masked weights and their Adam moments become exactly 0; a weight that left its sign
        becomes 1e-12 of that sign; a trained bias returns to its range. Weights that are not
        trained become what they were, to the bit, and their moments 0.
        """
        for name in BLOCKS:
            if name == "W_rec" and self.max_rank:
                continue  # the configuration refuses constraints on it
            raw: Tensor = getattr(self, f"_{name}")
            mask, sign = self._constraint("mask", name), self._constraint("sign", name)
            if self.constraint_method == "clamp" and sign is not None:
                wrong = (sign != 0) & (raw * sign < NEARLY_ZERO)
                raw.copy_(torch.where(wrong, sign * NEARLY_ZERO, raw))
            if mask is None:
                continue
            raw.mul_(mask)
            for moment in (optimizer.state.get(raw, {}) if optimizer else {}).values():
                if isinstance(moment, Tensor) and moment.shape == raw.shape:
                    moment.mul_(mask)
        if self.bias_range[1] > self.bias_range[0]:
            self._b_rec.clamp_(*self._bias_range)  # type: ignore[operator]
        for name in self.with_fixed:
            raw, fixed, start = (
                getattr(self, f"_{kind}{name}") for kind in ("", "fixed_", "start_")
            )
            raw.copy_(torch.where(fixed, start, raw))
            for moment in (optimizer.state.get(raw, {}) if optimizer else {}).values():
                if isinstance(moment, Tensor) and moment.shape == raw.shape:
                    moment.masked_fill_(fixed, 0.0)

    @without_graph
    def bounds(self) -> Bounds:
        """Return what `enforce_constraints` brings the parameters back to, in rows; on a CPU."""
        constraints = [self._buffers[f"_{kind}_{name}"] for kind, name in CONSTRAINTS]
        # They can be written to, and those of inference mode do not count how often.
        if any(c is not None and c.is_inference() for c in constraints):
            return self._bounds_now()
        versions = [(id(c), c._version) for c in constraints if c is not None]
        if self._bounds is None or versions != self._bounds[0]:
            # The constraints are kept with them, so that no other tensor takes the place of one.
            self._bounds = versions, self._bounds_now(), constraints
        return self._bounds[1]

    def _bounds_now(self) -> Bounds:
        found: dict[str, list[Tensor]] = {name: [] for name in Bounds._fields}
        for own, p in self._parameters.items():
            assert p is not None
            name, free = own[1:], torch.zeros_like(p)
            sign = mask = fixed = start = None
            if name in BLOCKS:
                mask = self._constraint("mask", name)
                if self.constraint_method == "clamp":
                    sign = self._constraint("sign", name)
            if name in self.with_fixed:
                fixed, start = (self._buffers[f"_{kind}_{name}"] for kind in ("fixed", "start"))
            low, high = self._bias_range if name == "b_rec" else (-inf, inf)
            found["signs"].append(free if sign is None else sign)
            found["mask"].append(torch.ones_like(p) if mask is None else mask)
            found["low"].append(torch.full_like(p, low)[:1])
            found["high"].append(torch.full_like(p, high)[:1])
            found["fixed"].append(free.bool() if fixed is None else fixed)
            found["start"].append(free if start is None else start)
        rows = {name: Rows.of(blocks).rows.numpy() for name, blocks in found.items()}
        rows |= {name: rows[name][0] for name in ("low", "high")}
        return Bounds(**rows)

    def weights(self, index: int = 0) -> dict[str, NDArray[Any]]:
        """Return one network's effective weights as NumPy arrays of this precision."""
        return {n: self.effective(n)[index].detach().cpu().numpy().copy() for n in WEIGHTS}
