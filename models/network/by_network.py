"""Sums and products of K networks that are rounded as those of each alone.

How a sum is cut into parts, and so how it is rounded, depends on the shape of the array and, in
products, on where it lies in memory. On a CPU each network is therefore taken by itself, from
memory of its own, so that its companions do not change its numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def means(values: Tensor) -> Tensor:
    """Return the mean of each network's values, (K, ...) -> (K,)."""
    if values.device.type == "cpu":
        return torch.stack([own.contiguous().mean() for own in values])
    return values.flatten(1).mean(dim=1)


def sums(values: Tensor) -> Tensor:
    """Return the sum of each network's values, (K, ...) -> (K,)."""
    if values.device.type == "cpu":
        return torch.stack([own.contiguous().sum() for own in values])
    return values.flatten(1).sum(dim=1)


def products(a: Tensor, b: Tensor) -> Tensor:
    """Return the product of each network's matrices, (K, m, k) and (K, k, n)."""
    if a.device.type == "cpu":
        return torch.stack([x.clone() @ y.clone() for x, y in zip(a, b, strict=True)])
    return torch.bmm(a, b)


def orthonormal_rows(matrices: Tensor) -> Tensor:
    """Return an orthonormal basis of the space of each matrix's rows, (K, m, n) -> (K, n, m)."""
    columns = matrices.transpose(1, 2)
    if columns.device.type == "cpu":
        return torch.stack([torch.linalg.qr(own.clone()).Q for own in columns])
    return torch.linalg.qr(columns).Q


def inner(a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
    """Return the inner product (K,) of each network's gradients, over all blocks."""
    pairs = list(zip(a, b, strict=True))
    if a[0].device.type == "cpu":
        rows = [
            torch.stack([(x[i] * y[i]).sum() for x, y in pairs]).sum() for i in range(len(a[0]))
        ]
        return torch.stack(rows)
    return torch.stack([(x * y).flatten(1).sum(1) for x, y in pairs]).sum(0)
