"""Penalties on the weights."""

from __future__ import annotations

from math import log1p

import torch
from torch import Tensor

from .registry import NON_NEGATIVE, POSITIVE, PenaltyContext, no_statistics, register


def _over_cap(weights: Tensor, cap: float, gamma: float, eps: float) -> Tensor:
    """Return (max(0, |W| / cap - 1) + 1)^gamma - 1 of each weight: 0 below the cap."""
    ratio = (weights.abs() + eps) / (cap + eps)
    return (torch.relu(ratio - 1.0) + 1.0).pow(gamma) - 1.0


def _mean(values: Tensor) -> Tensor:
    """Return the mean, 0 (and not NaN) where there is nothing to average."""
    return values.sum() / max(values.numel(), 1)


@register(
    "inp_weights_magnitude", needs=no_statistics, cap100=POSITIVE, gamma=POSITIVE, eps=NON_NEGATIVE
)
def inp_weights_magnitude(
    context: PenaltyContext, cap100: float = 0.5, gamma: float = 5.0, eps: float = 1e-12
) -> Tensor:
    """Penalise input weights above a cap: mean[(max(0, |W|/cap - 1) + 1)^gamma - 1].

    cap = cap100 (M / N) ln(N + 1) / ln(M + 1), M the number of input channels. trainRNNbrain's
    definition, differing in M: there it was the number of time steps of a trial, by mistake, so
    that values agree only where T equals the number of channels.
    """
    n, m = context.n_units, context.W_inp.shape[1]
    cap = cap100 * (m / n) * log1p(n) / log1p(m)
    return _mean(_over_cap(context.W_inp, cap, gamma, eps))


@register(
    "out_weights_magnitude", needs=no_statistics, cap100=POSITIVE, gamma=POSITIVE, eps=NON_NEGATIVE
)
def out_weights_magnitude(
    context: PenaltyContext, cap100: float = 0.03, gamma: float = 5.0, eps: float = 1e-12
) -> Tensor:
    """Penalise output weights above a cap: mean[(max(0, |W|/cap - 1) + 1)^gamma - 1].

    cap = cap100 s with s = ln 101 / ln(N + 1). trainRNNbrain's definition.
    """
    return _mean(_over_cap(context.W_out, cap100 * context.size_scale, gamma, eps))


@register(
    "rec_weights_magnitude",
    needs=no_statistics,
    cap100=POSITIVE,
    N_ref=POSITIVE,
    k_ref=POSITIVE,
    gamma=POSITIVE,
    eps=NON_NEGATIVE,
)
def rec_weights_magnitude(
    context: PenaltyContext,
    account4dale: bool = True,
    cap100: float = 0.07,
    N_ref: float = 100.0,
    k_ref: float = 20.0,
    gamma: float = 5.0,
    eps: float = 1e-12,
) -> Tensor:
    """Penalise recurrent weights above a cap, with N / (N_ref k_ref) in front.

    P(W, cap) = mean[(max(0, |W|/cap - 1) + 1)^gamma - 1], cap = cap100 s, s = ln 101 / ln(N + 1).
    With Dale's law: P(columns of E units, cap) + P(columns of I units, R cap), R the ratio of
    excitatory to inhibitory units; otherwise, or with ``account4dale=False``, P(W_rec, cap).
    trainRNNbrain's definition, differing where a network has no I (or E) units: that mean is then
    0 and not NaN.
    """
    cap = cap100 * context.size_scale
    factor = context.n_units / (N_ref * k_ref)
    if not account4dale or context.dale is None:
        return factor * _mean(_over_cap(context.W_rec, cap, gamma, eps))
    excitatory = context.W_rec[:, context.excitatory]
    inhibitory = context.W_rec[:, context.inhibitory]
    over_e = _mean(_over_cap(excitatory, cap, gamma, eps))
    over_i = _mean(_over_cap(inhibitory, cap * context.exc_to_inh_ratio, gamma, eps))
    return factor * (over_e + over_i)


@register("rec_weights_sparsity", needs=no_statistics, tg_deg=POSITIVE, eps=NON_NEGATIVE)
def rec_weights_sparsity(
    context: PenaltyContext, tg_deg: float = 20.0, eps: float = 1e-12
) -> Tensor:
    """Penalise units that listen to more than D = ``tg_deg`` others: mean max(0, S - D)^2 / D^2.

    S_i = (sum_j |W_ij|)^2 / (sum_j W_ij^2 + eps) is the effective number of inputs of unit i.
    trainRNNbrain's definition.
    """
    magnitudes = context.W_rec.abs()
    support = magnitudes.sum(dim=1).square() / (magnitudes.square().sum(dim=1) + eps)
    return (torch.relu(support - tg_deg) / tg_deg).square().mean()


@register("rec_weights_l1", needs=no_statistics)
def rec_weights_l1(context: PenaltyContext) -> Tensor:
    """Penalise all recurrent weights by their absolute value: sum_ij |W_ij|.

    The l1 norm of W_rec, of the lasso (Tibshirani 1996): most weights become small. The optimiser
    steps over 0, so that few are exactly 0.
    """
    return context.W_rec.abs().sum()


@register("channel_overlap", needs=no_statistics, eps=POSITIVE)
def channel_overlap(
    context: PenaltyContext, orth_input_only: bool = True, eps: float = 1e-8
) -> Tensor:
    """Penalise overlap of channels: root mean square of the cosines between pairs of channels.

    Channels are the columns of W_inp, and with ``orth_input_only=False`` the rows of W_out too.
    trainRNNbrain's definition, differing in the gradient where every cosine is 0 (0, not NaN).
    """
    columns = context.W_inp
    if not orth_input_only:
        columns = torch.cat((columns, context.W_out.T), dim=1)
    units = columns / (torch.linalg.vector_norm(columns, dim=0) + eps)
    i, j = torch.tril_indices(columns.shape[1], columns.shape[1], -1, device=columns.device)
    cosines = (units.T @ units)[i, j]
    # vector_norm, unlike a square root, has slope 0 at 0.
    root: Tensor = torch.linalg.vector_norm(cosines) / max(cosines.numel(), 1) ** 0.5
    return root
