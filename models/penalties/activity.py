"""Penalties on activity: rates, net inputs and outputs."""

from __future__ import annotations

from math import floor, log
from typing import Any

import torch
from torch import Tensor

from tasks_lib.errors import ParameterError

from ..engine.statistics import (
    MEAN_ABS_STATE,
    MEAN_SQUARE_RATE,
    SOFT_MAXIMUM_RATE,
    SOFT_MAXIMUM_STATE,
    Statistic,
)
from .registry import EXPONENT, NON_NEGATIVE, POSITIVE, PenaltyContext, no_statistics, register

AGGREGATIONS = ("mean", "logsumexp")
INEQUALITIES = ("hhi", "gini")
QUANTILE_GAPS = ((0.1, 0.9), (0.25, 0.75), (0.4, 0.6), (0.1, 0.6), (0.4, 0.9))
MAX_Z = 8.0  # largest |z| whose exponential is taken


def constant(normaliser: Tensor) -> Tensor:
    """Take a normaliser out of the gradient: penalties are to shrink the numerator only."""
    return normaliser.detach()


@register("task", needs=no_statistics)
def task(context: PenaltyContext) -> Tensor:
    """Mean squared error of the outputs over the masked steps: the task's own loss.

    Every training has it already, with weight 1.
    """
    error = context.outputs[:, context.mask] - context.targets[:, context.mask]
    counts = ~torch.isnan(context.targets[:, context.mask])
    return torch.where(counts, error, torch.zeros_like(error)).square().sum() / counts.sum()


@register("metabolic", needs=lambda args: [Statistic(MEAN_SQUARE_RATE)])
def metabolic(context: PenaltyContext) -> Tensor:
    """Penalise firing: mean r^2. trainRNNbrain's definition."""
    return context.statistic(MEAN_SQUARE_RATE).mean()


@register("output_var", needs=no_statistics, eps=POSITIVE)
def output_var(context: PenaltyContext, eps: float = 1e-12) -> Tensor:
    """Penalise outputs that differ between trials: ``E[(y - <y>_trials)^2] / E[y^2]``.

    trainRNNbrain's definition. The denominator is part of the gradient, and at least ``eps``.
    """
    y = context.outputs
    centred = y - y.mean(dim=2, keepdim=True)
    return centred.square().mean() / y.square().mean().clamp_min(eps)


def _soft_maximum(values: Tensor, tau: float) -> Tensor:
    """Return tau (logsumexp(values / tau) - ln n) over the last axis; the maximum as tau -> 0."""
    return tau * (torch.logsumexp(values / tau, dim=-1) - log(values.shape[-1]))


def _pool(
    under: Tensor, over: Tensor, alpha: float, beta: float, aggregation: str, tau_n: float
) -> Tensor:
    """Pool the units' penalties (N,) below and above a cap into one."""
    if aggregation == "logsumexp":
        return alpha * _soft_maximum(under, tau_n) + beta * _soft_maximum(over, tau_n)
    return (alpha * under + beta * over).mean()


@register(
    "fr_magnitude",
    needs=lambda args: [Statistic(SOFT_MAXIMUM_RATE, args["tau"])],
    cap_fr=POSITIVE,
    tau=POSITIVE,
    g_top=EXPONENT,
    g_bot=EXPONENT,
    alpha=NON_NEGATIVE,
    beta=NON_NEGATIVE,
    eps=NON_NEGATIVE,
    aggregation=AGGREGATIONS,
    tau_n=POSITIVE,
)
def fr_magnitude(
    context: PenaltyContext,
    cap_fr: float = 0.3,
    tau: float = 0.1,
    g_top: float = 5.0,
    g_bot: float = 5.0,
    alpha: float = 1.0,
    beta: float = 1.0,
    eps: float = 1e-12,
    aggregation: str = "mean",
    tau_n: float = 1.0,
) -> Tensor:
    """Penalise the difference of each unit's soft-maximal rate from a cap.

    a_i = tau (logsumexp(r_i / tau) - ln TB), cap = cap_fr ln 101 / ln(N + 1);
    mean[alpha (max(0, cap - a)/cap)^g_bot + beta (max(0, a - cap)/cap)^g_top] over units.
    ``aggregation="logsumexp"`` pools units by tau_n (logsumexp(p / tau_n) - ln N) instead, the
    terms below and above the cap each by itself. trainRNNbrain's definition, differing in
    ``tau_n``, which has a default (there, leaving it out fell back to the mean).
    """
    cap = cap_fr * context.size_scale
    activity = context.statistic(SOFT_MAXIMUM_RATE, tau)
    under = (torch.relu(cap - activity) / (cap + eps)).pow(g_bot)
    over = (torch.relu(activity - cap) / (cap + eps)).pow(g_top)
    return _pool(under, over, alpha, beta, aggregation, tau_n)


@register(
    "h_magnitude",
    needs=lambda args: [Statistic(SOFT_MAXIMUM_STATE, args["tau"])],
    tau=POSITIVE,
    g_top=EXPONENT,
    g_bot=EXPONENT,
    alpha=NON_NEGATIVE,
    beta=NON_NEGATIVE,
    aggregation=AGGREGATIONS,
    tau_n=POSITIVE,
)
def h_magnitude(
    context: PenaltyContext,
    h_thr: float = -0.1,
    tau: float = 0.1,
    g_top: float = 5.0,
    g_bot: float = 5.0,
    alpha: float = 1.0,
    beta: float = 1.0,
    aggregation: str = "mean",
    tau_n: float = 1.0,
) -> Tensor:
    """Penalise the difference of each unit's soft-maximal |x| from a threshold.

    a_i = tau (logsumexp(|x_i| / tau) - ln TB), c = h_thr ln 101 / ln(N + 1);
    mean[alpha max(0, c - a)^g_bot + beta max(0, a - c)^g_top] over units, pooled as in
    `fr_magnitude`. trainRNNbrain's definition. With a threshold below 0 the first term is 0.
    """
    threshold = h_thr * context.size_scale
    activity = context.statistic(SOFT_MAXIMUM_STATE, tau)
    under = torch.relu(threshold - activity).pow(g_bot)
    over = torch.relu(activity - threshold).pow(g_top)
    return _pool(under, over, alpha, beta, aggregation, tau_n)


def _sample_scale(values: Tensor) -> Tensor:
    """Return the mean of a sample's quantile gaps (nearest rank), which outliers hardly move."""
    ordered = values.sort().values
    last = len(ordered) - 1
    gaps = [ordered[round(high * last)] - ordered[round(low * last)] for low, high in QUANTILE_GAPS]
    return torch.stack(gaps).mean()


def _inequality(values: Tensor, method: str, eps: float) -> Tensor:
    """Return the inequality of exp(z) between units, z = clip((v - mean)/scale, +-8).

    Mean and scale are constants to the gradient. hhi: (n sum p^2 - 1) / (n - 1), p = exp(z) / sum
    exp(z). gini: mean |exp(z_i) - exp(z_j)| / (2 mean exp(z)). Both lie between 0 and 1.
    """
    n = len(values)
    centre, scale = constant(values.mean()), constant(_sample_scale(values))
    z = ((values - centre) / (scale + eps)).clamp(-MAX_Z, MAX_Z)
    if method == "gini":
        u = z.exp()
        return (u[:, None] - u).abs().mean() / (2 * u.mean())
    return (n * z.softmax(dim=0).square().sum() - 1.0) / max(n - 1, 1)


@register(
    "fr_inequality",
    needs=lambda args: [Statistic(MEAN_ABS_STATE)],
    method=INEQUALITIES,
    eps=POSITIVE,
)
def fr_inequality(context: PenaltyContext, method: str = "hhi", eps: float = 1e-8) -> Tensor:
    """Penalise inequality between units of v = mean |x| over time and trials.

    With z = clip((v - mean) / scale, +-8), mean and scale constant to the gradient, scale the mean
    of v's quantile gaps .1-.9, .25-.75, .4-.6, .1-.6, .4-.9, and u = exp(z):
    ``hhi`` (n sum p^2 - 1)/(n - 1) with p = u / sum u, or ``gini`` mean |u_i - u_j| / (2 mean u).
    trainRNNbrain's definition.
    """
    return _inequality(context.statistic(MEAN_ABS_STATE), method, eps)


@register("h_inequality", method=INEQUALITIES, eps=POSITIVE)
def h_inequality(context: PenaltyContext, method: str = "hhi", eps: float = 1e-8) -> Tensor:
    """Penalise inequality between units of v = mean of W_rec x + W_inp u over time and trials.

    As `fr_inequality` otherwise. trainRNNbrain's definition.
    """
    # The mean of a linear map is the map of the mean: no (N, T, B) array is needed.
    x, u = context.states.mean(dim=(1, 2)), context.inputs.mean(dim=(1, 2))
    return _inequality(context.W_rec @ x + context.W_inp @ u, method, eps)


@register("h_time_variance", within=("units", "time"), eps=POSITIVE)
def h_time_variance(context: PenaltyContext, within: str = "units", eps: float = 1e-8) -> Tensor:
    """Penalise a population drive that changes with time: V / (V + W), denominator constant.

    h = W_rec x + W_inp u; V = variance over time of the mean of h over units and trials.
    W = mean over units of the variance of h over time and trials (``within="units"``).
    trainRNNbrain's definition has W = mean over time of the variance of h over units and trials,
    so that V + W is the whole variance of h: ``within="time"``.
    """
    h = context.net_input
    between = h.mean(dim=(0, 2)).var(correction=0)
    spread = h.var(dim=(1, 2) if within == "units" else (0, 2), correction=0).mean()
    return between / (constant(between + spread) + eps)


def _softplus(values: Tensor, beta: float) -> Tensor:
    return torch.logaddexp(beta * values, values.new_zeros(())) / beta


def _quantile(values: Tensor, q: float) -> Tensor:
    """Return a quantile, interpolated; torch's own takes no more than 16 million values."""
    ordered = values.sort().values
    position = q * (len(ordered) - 1)
    below = floor(position)
    above = min(below + 1, len(ordered) - 1)
    return torch.lerp(ordered[below], ordered[above], position - below)


def _distances(points: Tensor, eps: float) -> Tensor:
    """Return the distances of all pairs of rows, at least sqrt(eps), where their slope is 0."""
    points = points - points.mean(dim=0)  # smaller numbers cancel with less rounding
    gram = points @ points.T
    squares = gram.diagonal()
    i, j = torch.triu_indices(len(points), len(points), 1, device=points.device)
    return (squares[i] + squares[j] - 2 * gram[i, j]).clamp_min(eps).sqrt()


def _margins_in_order(args: dict[str, Any]) -> None:
    if args["repell_margin"] <= args["attract_margin"]:
        raise ParameterError(
            "penalties.clustering.args.repell_margin",
            args["repell_margin"],
            f"is not above attract_margin = {args['attract_margin']}",
            "raise it",
        )


@register(
    "clustering",
    _margins_in_order,
    attract_margin=POSITIVE,
    repell_margin=POSITIVE,
    diameter_quantile={"minimum": 0.0, "maximum": 1.0},
    beta=POSITIVE,
    eps=POSITIVE,
)
def clustering(
    context: PenaltyContext,
    attract_margin: float = 0.1,
    repell_margin: float = 0.3,
    diameter_quantile: float = 0.9,
    beta: float = 20.0,
    eps: float = 1e-8,
) -> Tensor:
    """Cluster units of similar activity: penalise pairs at intermediate distances.

    For excitatory and inhibitory units by themselves, over the distances d between units' rates:
    mean S(S(d/a) - S((d - a)/a) - S((d - a)/(rho - a))), S(z) = ln(1 + exp(beta z)) / beta,
    a = attract_margin D, rho = repell_margin D, D the 0.9 quantile of d, constant to the gradient;
    the two are added. trainRNNbrain's definition.
    """
    rates = context.rates.flatten(1)
    groups = [rates]
    if context.dale is not None:
        groups = [rates[context.excitatory], rates[context.inhibitory]]
    total = rates[:0].sum()  # 0, and linked to the graph
    for group in groups:
        if len(group) < 2:
            continue
        d = _distances(group, eps)
        diameter = constant(_quantile(d, diameter_quantile))
        near, far = attract_margin * diameter, repell_margin * diameter
        triangle = (
            _softplus(d / (near + eps), beta)
            - _softplus((d - near) / (near + eps), beta)
            - _softplus((d - near) / (far - near + eps), beta)
        )
        total = total + _softplus(triangle, beta).mean()
    return total


@register("eff_dim_tail_energy", k={"minimum": 0}, eps=POSITIVE)
def eff_dim_tail_energy(context: PenaltyContext, k: int = 6, eps: float = 1e-8) -> Tensor:
    """Penalise variance of the rates outside its k leading principal components.

    sum of all but the k largest eigenvalues of the rates' covariance (N, N) / sum of all, the
    denominator constant to the gradient. trainRNNbrain's definition.
    """
    rates = context.rates.flatten(1)
    centred = rates - rates.mean(dim=1, keepdim=True)
    covariance = centred @ centred.T / rates.shape[1]
    # A diverged network is a result, and eigvalsh would raise.
    is_finite = torch.isfinite(covariance).all()
    known = torch.where(is_finite, covariance, torch.zeros_like(covariance))
    eigenvalues: Tensor = torch.linalg.eigvalsh(known).flip(0)
    share = eigenvalues[k:].sum() / (constant(eigenvalues.sum()) + eps)
    return torch.where(is_finite, share, torch.full_like(share, torch.nan))
