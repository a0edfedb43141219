"""Sums and products of K networks that are rounded as those of each alone.

How a sum is cut into parts, and so how it is rounded, depends on the shape of the array: sums are
taken over rows, one row for each network, which torch, on one thread, sums one by one and all
alike. How a product is rounded depends on where its arrays lie in memory too. On a CPU the
products of each network are therefore taken by themselves, from memory of their own.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..machine.torch_modes import without_graph
from .rows import Rows

ALIGNMENT = 64  # bytes, of every array that torch makes on a CPU


def means(values: Tensor) -> Tensor:
    """Return the mean of each network's values, (K, ...) -> (K,)."""
    return values.flatten(1).mean(dim=1)


def sums(values: Tensor) -> Tensor:
    """Return the sum of each network's values, (K, ...) -> (K,)."""
    return values.flatten(1).sum(dim=1)


def rows_apart(values: Tensor) -> Tensor:
    """Return values (K, ...) as rows (K, n) that do not follow one another in memory.

    Torch rounds some functions of one number, such as a power, in one way for most of an array and
    in another for the few numbers at its end. It takes rows with gaps between them one by one, so
    that each has an end of its own, as alone.
    """
    rows = values.flatten(1)
    if rows.device.type != "cpu":
        return rows
    return empty_rows_apart(rows).copy_(rows)


def empty_rows_apart(like: Tensor) -> Tensor:
    """Return rows of the shape of others (K, n) that do not follow one another in memory."""
    return like.new_empty((like.shape[0], like.shape[1] + 1))[:, :-1]


def products(a: Tensor, b: Tensor) -> Tensor:
    """Return the product of each network's matrices, (K, m, k) and (K, k, n)."""
    if a.device.type != "cpu":
        return torch.bmm(a, b)
    each = [_apart(x) @ _apart(y) for x, y in zip(a, b, strict=True)]
    return each[0][None] if len(each) == 1 else torch.stack(each)


def _apart(matrix: Tensor) -> Tensor:
    """Return a matrix that begins where an array of its own does: itself, if it does already."""
    is_dense = matrix.is_contiguous() or matrix.T.is_contiguous()
    return matrix if is_dense and matrix.data_ptr() % ALIGNMENT == 0 else matrix.clone()


def orthonormal_rows(matrices: Tensor) -> Tensor:
    """Return an orthonormal basis of the space of each matrix's rows, (K, m, n) -> (K, n, m).

    Elsewhere than on a CPU without a library, whose decomposition may wait for the device.
    """
    if matrices.device.type == "cpu":
        columns = matrices.transpose(1, 2)
        return torch.stack([torch.linalg.qr(own.clone()).Q for own in columns])
    return reflected_rows(matrices)


@without_graph
def reflected_rows(matrices: Tensor) -> Tensor:
    """Return what `orthonormal_rows` returns on a CPU, to rounding and with the same signs.

    Householder's reflections, with the conventions of LAPACK's geqrf and orgqr, of all networks at
    once, a row after the other.
    """
    columns = matrices.transpose(1, 2).clone()
    k, n, m = columns.shape
    number = min(n, m)
    basis = torch.eye(n, number, dtype=columns.dtype, device=columns.device).repeat(k, 1, 1)
    reflections = []
    for i in range(number):
        x = columns[:, i:, i]
        alpha, below = x[:, 0], torch.linalg.vector_norm(x[:, 1:], dim=1)
        size = torch.hypot(alpha, below)
        beta = torch.where(alpha < 0, size, -size)
        is_there = below > 0  # otherwise there is nothing to reflect
        one = torch.ones_like(beta)
        tau = torch.where(is_there, (beta - alpha) / torch.where(is_there, beta, one), 0 * one)
        v = x / torch.where(is_there, alpha - beta, one)[:, None]
        v[:, 0].fill_(1)
        reflections.append((i, v, tau[:, None, None]))
        _reflect(columns[:, i:, i:], v, tau[:, None, None])
    for i, v, scale in reversed(reflections):
        _reflect(basis[:, i:], v, scale)
    return basis


def _reflect(columns: Tensor, v: Tensor, scale: Tensor) -> None:
    """Replace columns (K, n, m) by (1 - scale v vᵀ) times them."""
    columns -= scale * v[:, :, None] * torch.bmm(v[:, None], columns)


def inner(a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
    """Return the inner product (K,) of each network's gradients, over all blocks.

    A block is summed by itself, and the sums of all blocks then: so it is rounded.
    """
    one = Rows.of(a)
    product = one.rows * (one.rows if b is a else Rows.of(b).rows)
    parts = product.split_with_sizes(one.sizes, dim=1)
    if product.device.type != "cpu":  # a GPU sums by where a row begins
        parts = tuple(part.contiguous() for part in parts)
    return torch.stack([part.sum(1) for part in parts], dim=1).sum(1)
