"""Gradients of losses with respect to trajectories: collected over networks and losses."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..engine import Cotangent, Weights, stacked
from ..network.by_network import inner

# What arrives at the outputs, states, statistics and each block of weights of one network.
Pulled = Sequence[Tensor | None]


def collected(
    received: Sequence[Pulled], outputs: Tensor, weights: Weights
) -> tuple[Cotangent | None, Weights]:
    """Return gradients with respect to outputs, states, statistics and weights of K networks."""
    on_outputs, on_states, on_statistics, *by_weights = map(stacked, zip(*received, strict=True))
    cotangent = None
    if not (on_outputs is None and on_states is None and on_statistics is None):
        cotangent = Cotangent(
            torch.zeros_like(outputs) if on_outputs is None else on_outputs,
            on_states,
            None if on_statistics is None else on_statistics.transpose(0, 1),
        )
    blocks = zip(by_weights, weights, strict=True)
    return cotangent, Weights(*(torch.zeros_like(w) if g is None else g for g, w in blocks))


def added(first: Cotangent, *others: Cotangent) -> Cotangent:
    """Return the gradients of a sum of losses."""
    outputs, states, statistics = first.outputs, first.states, first.statistics
    for other in others:
        outputs = outputs + other.outputs
        if other.states is not None:
            states = other.states if states is None else states + other.states
        if other.statistics is not None:
            more = other.statistics
            statistics = more if statistics is None else statistics + more
    return Cotangent(outputs, states, statistics)


def remove_conflict(wrt_task: list[Tensor], wrt_penalty: list[Tensor]) -> list[Tensor]:
    """Project out of the penalties' gradient its component against the task's gradient.

    Where their inner product <p, g>, over all blocks of one network, is negative, p becomes
    p - g <p, g> / <g, g>; elsewhere it stays. The first axis of each block is the network.
    """
    product = inner(wrt_penalty, wrt_task)
    square = inner(wrt_task, wrt_task)
    share = torch.where(product < 0, product / square.clamp_min(1e-30), torch.zeros_like(product))
    pairs = zip(wrt_penalty, wrt_task, strict=True)
    return [p - share.view(-1, *[1] * (p.ndim - 1)) * g for p, g in pairs]
