"""Penalties of K networks at once, with their gradients by formulas in place of autograd.

Each takes the same steps as autograd does through the penalty of one network, in the same order, so
that the numbers are those of autograd to the bit; only nothing is recorded, and no network by
itself. Those that are not here, and those of users, autograd goes through.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from inspect import Parameter, signature
from math import log, log1p
from typing import Any

import torch
from torch import Tensor

from ..engine import Statistic, Weights
from ..engine.passes import runs_on
from ..engine.statistics import (
    MEAN_ABS_STATE,
    MEAN_SQUARE_RATE,
    SOFT_MAXIMUM_RATE,
    SOFT_MAXIMUM_STATE,
)
from ..network.by_network import empty_rows_apart, means, rows_apart, sums
from . import activity, passes, weights
from .registry import Penalty, size_scale


@dataclass(frozen=True, eq=False)
class Networks:
    """K networks as closed forms see them.

    Attributes
    ----------
    weights : Weights
        Effective ones.
    statistics : mapping
        Statistics of the units, (K, N) each.
    units_of_kinds : tuple of two Tensors, or None
        Indices of excitatory and of inhibitory units; None without Dale's law.
    exc_to_inh_ratio : float
    n_units : int
    """

    weights: Weights
    statistics: Mapping[Statistic, Tensor]
    units_of_kinds: tuple[Tensor, Tensor] | None
    exc_to_inh_ratio: float
    n_units: int

    @property
    def size_scale(self) -> float:
        """Factor by which caps shrink as the network grows; see `PenaltyContext`."""
        return size_scale(self.n_units)


@dataclass(frozen=True, eq=False)
class Slopes:
    """Values of a penalty of K networks, and its gradients times given weights.

    Attributes
    ----------
    value : Tensor (K,)
        Before its weight.
    statistics : dict
        Statistic -> gradient (K, N).
    weights : dict
        Name of a block of weights -> gradient (K, ...).
    """

    value: Tensor
    statistics: dict[Statistic, Tensor] = field(default_factory=dict)
    weights: dict[str, Tensor] = field(default_factory=dict)


# Of networks, the weights (K,) of the penalty and its arguments; None where it has no formula.
ClosedForm = Callable[..., Slopes | None]
_FORMS: dict[Penalty, ClosedForm] = {}


def of(penalty: Penalty) -> ClosedForm | None:
    """Return the closed form of a penalty, if it has one."""
    return _FORMS.get(penalty)


def _closed_form(penalty: Penalty) -> Callable[[ClosedForm], ClosedForm]:
    every = signature(penalty).parameters.values()
    defaults = {p.name: p.default for p in every if p.default is not Parameter.empty}

    def keep(function: ClosedForm) -> ClosedForm:
        def with_defaults(networks: Networks, scale: Tensor, **args: Any) -> Slopes | None:
            return function(networks, scale, **{**defaults, **args})

        _FORMS[penalty] = with_defaults
        return function

    return keep


def _powers(base: Tensor, exponent: float) -> tuple[Tensor, Tensor]:
    """Return a power of values (K, ...) as of each network alone, and the power one below."""
    rows = rows_apart(base)
    power, below = (rows.pow(e).view(base.shape) for e in (exponent, exponent - 1.0))
    return power, below


def _passed(gradient: Tensor, rectified: Tensor) -> Tensor:
    """Return the gradient by what was rectified, max(0, z)."""
    return torch.where(rectified > 0, gradient, torch.zeros_like(gradient))


@_closed_form(activity.metabolic)
def metabolic(networks: Networks, scale: Tensor) -> Slopes | None:
    """Mean r^2: the same slope for every unit."""
    statistic = Statistic(MEAN_SQUARE_RATE)
    values = networks.statistics.get(statistic)
    if values is None:
        return None
    slope = (scale / values.shape[1])[:, None].expand_as(values)
    return Slopes(means(values), {statistic: slope})


def _pooled(
    under: Tensor, over: Tensor, scale: Tensor, args: Mapping[str, Any]
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the pool (K,) of penalties below and above a cap, and its gradient by each (K, N)."""
    alpha, beta = args["alpha"], args["beta"]
    if args["aggregation"] == "logsumexp":
        low, on_low = _soft_maximum(under, args["tau_n"], scale * alpha)
        high, on_high = _soft_maximum(over, args["tau_n"], scale * beta)
        return alpha * low + beta * high, on_low, on_high
    share = (scale / under.shape[1])[:, None]
    return means(alpha * under + beta * over), share * alpha, share * beta


def _soft_maximum(values: Tensor, tau: float, scale: Tensor) -> tuple[Tensor, Tensor]:
    """Return the soft maximum (K,) over units, and its gradient times a scale (K,)."""
    scaled = values / tau
    largest = torch.logsumexp(scaled, dim=1)
    share = (scaled - largest[:, None]).exp()
    return tau * (largest - log(values.shape[1])), (scale * tau)[:, None] * share / tau


@_closed_form(activity.fr_magnitude)
def fr_magnitude(networks: Networks, scale: Tensor, **args: Any) -> Slopes | None:
    """Powers of the distance from a cap, relative to it."""
    statistic = Statistic(SOFT_MAXIMUM_RATE, args["tau"])
    values = networks.statistics.get(statistic)
    if values is None:
        return None
    cap = args["cap_fr"] * networks.size_scale
    return _beside(values, statistic, cap, cap + args["eps"], scale, args)


@_closed_form(activity.h_magnitude)
def h_magnitude(networks: Networks, scale: Tensor, **args: Any) -> Slopes | None:
    """Powers of the distance from a threshold."""
    statistic = Statistic(SOFT_MAXIMUM_STATE, args["tau"])
    values = networks.statistics.get(statistic)
    if values is None:
        return None
    return _beside(values, statistic, args["h_thr"] * networks.size_scale, None, scale, args)


def _beside(
    values: Tensor,
    statistic: Statistic,
    cap: float,
    unit: float | None,
    scale: Tensor,
    args: Mapping[str, Any],
) -> Slopes:
    """Penalise values (K, N) beside a cap, in units of ``unit``."""
    g_bot, g_top = args["g_bot"], args["g_top"]
    if runs_on(values) and args["aggregation"] == "mean":
        return _beside_in_passes(values, statistic, cap, 1.0 if unit is None else unit, scale, args)
    below, above = torch.relu(cap - values), torch.relu(values - cap)
    low, high = (below, above) if unit is None else (below / unit, above / unit)
    (under, low_power), (over, high_power) = _powers(low, g_bot), _powers(high, g_top)
    value, on_under, on_over = _pooled(under, over, scale, args)
    on_low, on_high = on_under * (g_bot * low_power), on_over * (g_top * high_power)
    if unit is not None:
        on_low, on_high = on_low / unit, on_high / unit
    return Slopes(value, {statistic: _passed(on_high, above) - _passed(on_low, below)})


def _beside_in_passes(
    values: Tensor,
    statistic: Statistic,
    cap: float,
    unit: float,
    scale: Tensor,
    args: Mapping[str, Any],
) -> Slopes:
    """Do what `_beside` does, for the mean over units on a CPU, to the same bits."""
    v, exponents = values.contiguous().numpy(), (args["g_bot"], args["g_top"])
    distances = [empty_rows_apart(values) for _ in exponents]
    passes.distances_from_cap(v, cap, unit, *(d.numpy() for d in distances))
    under, over = (d.pow(g).numpy() for d, g in zip(distances, exponents, strict=True))
    low, high = (d.pow(g - 1.0).numpy() for d, g in zip(distances, exponents, strict=True))
    pooled, slopes = values.new_empty((2, *values.shape)).unbind(0)
    passes.slopes_beside_cap(
        v, cap, unit, under, over, low, high, scale.numpy(), args["alpha"], args["beta"],
        *exponents, pooled.numpy(), slopes.numpy(),
    )  # fmt: skip
    return Slopes(means(pooled), {statistic: slopes})


@_closed_form(activity.fr_inequality)
def fr_inequality(networks: Networks, scale: Tensor, method: str, eps: float) -> Slopes | None:
    """Herfindahl's index of exp(z); mean and scale of z are constants."""
    statistic = Statistic(MEAN_ABS_STATE)
    values = networks.statistics.get(statistic)
    if values is None or method != "hhi":
        return None
    if runs_on(values):
        return _inequality_in_passes(values, statistic, eps, scale)
    n = values.shape[1]
    spread = _spread(values, eps)[:, None]
    raw = (values - means(values)[:, None]) / spread
    p = raw.clamp(-activity.MAX_Z, activity.MAX_Z).softmax(dim=1)
    pairs = max(n - 1, 1)
    value = (n * sums(p.square()) - 1.0) / pairs
    on_p = (scale / pairs * n)[:, None] * (2.0 * p)
    on_z = torch.ops.aten._softmax_backward_data(on_p, p, 1, p.dtype)
    within = (raw >= -activity.MAX_Z) & (raw <= activity.MAX_Z)
    slope = torch.where(within, on_z, torch.zeros_like(on_z)) / spread
    return Slopes(value, {statistic: slope})


def _spread(values: Tensor, eps: float) -> Tensor:
    """Return the mean gap between quantiles of values (K, N), and eps: (K,)."""
    n, ordered = values.shape[1], values.sort(dim=1).values
    # One by one: a list of places would be copied to a GPU.
    at = {q: ordered.select(1, round(q * (n - 1))) for gap in activity.QUANTILE_GAPS for q in gap}
    low, high = (
        torch.stack([at[q] for q in each], dim=1)
        for each in zip(*activity.QUANTILE_GAPS, strict=True)
    )
    return (high - low).mean(dim=1) + eps


def _inequality_in_passes(
    values: Tensor, statistic: Statistic, eps: float, scale: Tensor
) -> Slopes:
    """Do what `fr_inequality` does, on a CPU and to the same bits."""
    n = values.shape[1]
    pairs, most = max(n - 1, 1), activity.MAX_Z
    v, spreads = values.contiguous().numpy(), _spread(values, eps).numpy()
    centres, z = means(values).numpy(), values.new_empty(values.shape)
    passes.standard_scores(v, centres, spreads, most, z.numpy())
    p = z.softmax(dim=1)
    squares, on_p, slopes = values.new_empty((3, *values.shape)).unbind(0)
    factors = (scale / pairs * n).numpy()
    passes.squared_shares(p.numpy(), factors, squares.numpy(), on_p.numpy())
    on_z = torch.ops.aten._softmax_backward_data(on_p, p, 1, p.dtype)
    passes.slopes_of_scores(v, centres, spreads, most, on_z.numpy(), slopes.numpy())
    return Slopes((n * sums(squares) - 1.0) / pairs, {statistic: slopes})


def _over_cap(
    block: Tensor, cap: float, args: Mapping[str, Any], scale: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the mean of what weights (K, m, n) are above a cap, and its gradient times (K,)."""
    gamma, eps = args["gamma"], args["eps"]
    if runs_on(block):
        return _over_cap_in_passes(block, cap, eps, gamma, scale)
    above = torch.relu((block.abs() + eps) / (cap + eps) - 1.0)
    base, number = above + 1.0, max(block[0].numel(), 1)
    power, below = _powers(base, gamma)
    value = sums(power - 1.0) / number
    on_base = (scale / number)[:, None, None] * (gamma * below)
    return value, _passed(on_base, above) / (cap + eps) * block.sgn()


def _over_cap_in_passes(
    block: Tensor, cap: float, eps: float, gamma: float, scale: Tensor
) -> tuple[Tensor, Tensor]:
    """Do what `_over_cap` does, on a CPU and to the same bits."""
    rows = block.detach().flatten(1).contiguous()
    number, w = max(rows.shape[1], 1), rows.numpy()
    ratios = empty_rows_apart(rows)
    passes.ratios_to_cap(w, cap, eps, ratios.numpy())
    power, below = ratios.pow(gamma).numpy(), ratios.pow(gamma - 1.0).numpy()
    excess, slopes = rows.new_empty((2, *rows.shape)).unbind(0)
    passes.slopes_over_cap(
        w, cap, eps, power, below, (scale / number).numpy(), gamma, excess.numpy(), slopes.numpy()
    )
    return sums(excess) / number, slopes.view(block.shape)


@_closed_form(weights.inp_weights_magnitude)
def inp_weights_magnitude(networks: Networks, scale: Tensor, **args: Any) -> Slopes | None:
    """Of the input weights."""
    block, n = networks.weights.W_inp, networks.n_units
    m = block.shape[2]
    cap = args["cap100"] * (m / n) * log1p(n) / log1p(m)
    value, slope = _over_cap(block, cap, args, scale)
    return Slopes(value, weights={"W_inp": slope})


@_closed_form(weights.out_weights_magnitude)
def out_weights_magnitude(networks: Networks, scale: Tensor, **args: Any) -> Slopes | None:
    """Of the output weights."""
    cap = args["cap100"] * networks.size_scale
    value, slope = _over_cap(networks.weights.W_out, cap, args, scale)
    return Slopes(value, weights={"W_out": slope})


@_closed_form(weights.rec_weights_magnitude)
def rec_weights_magnitude(networks: Networks, scale: Tensor, **args: Any) -> Slopes | None:
    """Of the recurrent weights, by the kind of the sending unit."""
    block = networks.weights.W_rec
    cap = args["cap100"] * networks.size_scale
    factor = networks.n_units / (args["N_ref"] * args["k_ref"])
    scale = scale * factor
    if not args["account4dale"] or networks.units_of_kinds is None:
        value, slope = _over_cap(block, cap, args, scale)
        return Slopes(factor * value, weights={"W_rec": slope})
    total, slope = torch.zeros_like(scale), torch.zeros_like(block)
    caps = cap, cap * networks.exc_to_inh_ratio
    for units, own_cap in zip(networks.units_of_kinds, caps, strict=True):
        if len(units):
            value, on_columns = _over_cap(block[:, :, units], own_cap, args, scale)
            total = total + value
            slope[:, :, units] = on_columns
    return Slopes(factor * total, weights={"W_rec": slope})


@_closed_form(weights.rec_weights_sparsity)
def rec_weights_sparsity(
    networks: Networks, scale: Tensor, tg_deg: float, eps: float
) -> Slopes | None:
    """Of the effective number of inputs of each unit."""
    block = networks.weights.W_rec
    magnitudes = block.abs()
    total = magnitudes.sum(dim=2)
    square, squares = total.square(), magnitudes.square().sum(dim=2) + eps
    support = square / squares
    above = torch.relu(support - tg_deg)
    relative = above / tg_deg
    value = means(relative.square())
    on_relative = (scale / block.shape[1])[:, None] * (2.0 * relative)
    on_support = _passed(on_relative / tg_deg, above)
    on_total = on_support / squares * (2.0 * total)
    on_squares = -on_support * (support / squares)
    slope = on_squares[:, :, None] * (2.0 * magnitudes) + on_total[:, :, None]
    return Slopes(value, weights={"W_rec": slope * block.sgn()})
