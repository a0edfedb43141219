"""Products over all steps and trials of many networks, in the same order alone or among others."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ...formulas.equations import Equation
from .triton_launch import activation_arguments, launch, products

# As compiled for sm_90 (N = 100, tanh): tiles of 64 x 64 weights, 16 rows at a time, on eight warps
# take 128 registers a thread and 16 KiB; on four warps, or of 32 rows, they spill.
SIDE = 64  # of a tile of weights
CHUNK = 16  # rows, or terms, that are multiplied at a time
# Parts are made of every number that a tile reads: in one that is four times as large each is
# multiplied twice as often (200 instructions of the chip's for 700, by count, at N = 100).
SPLIT_SIDE, SPLIT_CHUNK = 128, 32
WARPS = 8
# A product is divided into parts of the rows until there are so many programs, whatever the number
# of networks; more of them would only be more sums to write.
PROGRAMS, MOST_PARTS, FEWEST_ROWS = 256, 64, 512
BLOCK, GROUP = 128, 16  # of sums of parts
# Bytes of rates that may be made at a time from states, where cuBLAS multiplies.
_BYTES_OF_RATES = 2**28


def tile_of(precision: str) -> tuple[int, int]:
    """Return the side of a tile of weights, and the rows that it adds at a time."""
    return (SPLIT_SIDE, SPLIT_CHUNK) if precision == "bf16x6" else (SIDE, CHUNK)


def n_parts(n_rows: int, n_left: int, n_right: int, side: int) -> int:
    """Return into how many parts the rows are divided; the number of networks does not count."""
    tiles = max(1, -(-n_left // side) * -(-n_right // side))  # none of a network without outputs
    return max(1, min(MOST_PARTS, PROGRAMS // tiles, -(-n_rows // FEWEST_ROWS)))


def _code(equation: Equation | None) -> tuple[str, float, float]:
    """Return the name and parameters of what makes rates of states; none in form s."""
    if equation is None or equation.equation_type == "s":
        return "", 0.0, 0.0
    return (equation.activation.name, *activation_arguments(equation))


def rows_times(
    rows: Tensor, matrix: Tensor, bias: Tensor | None = None, equation: Equation | None = None
) -> Tensor:
    """Multiply every row by the matrix of its network.

    Parameters
    ----------
    rows : Tensor (A, K, T, B, I) or (K, T, B, I)
    matrix : Tensor (K, I, J)
    bias : Tensor (K, J), optional
        Added.
    equation : Equation, optional
        Whose rates are multiplied, of rows that are states.

    Returns
    -------
    Tensor (A, K, T, B, J) or (K, T, B, J)
    """
    if not products().same_bits:
        return _rows_times_by_torch(rows, matrix, bias, equation)
    from .. import row_kernels

    k, n_inner, n_out = matrix.shape
    n_rows = rows.shape[-3] * rows.shape[-2]
    n_runs = rows.shape[:-3].numel()
    out = rows.new_empty(*rows.shape[:-1], n_out)
    columns = 16 if n_out <= 16 else SIDE
    tiles = -(-n_rows // SIDE), -(-n_out // columns)
    name, *parameters = _code(equation)
    launch(
        row_kernels.rows_times_matrix_kernel, n_runs * tiles[0] * tiles[1], WARPS, 2, rows.device,
        rows.contiguous(), matrix.contiguous(), matrix if bias is None else bias.contiguous(), out,
        n_rows, k, *tiles, *parameters,
        {"INNER": n_inner, "OUT": n_out, "ACTIVATION": name, "HAS_BIAS": bias is not None,
         "ROWS": SIDE, "COLUMNS": columns, "CHUNK": CHUNK,
         "PRECISION": "ieee"},
    )  # fmt: skip
    return out


def _rows_times_by_torch(
    rows: Tensor, matrix: Tensor, bias: Tensor | None, equation: Equation | None
) -> Tensor:
    if rows.ndim == 5:
        return torch.matmul(rows.flatten(2, 3), matrix).view(*rows.shape[:-1], -1)
    out = rows.new_empty(*rows.shape[:-1], matrix.shape[-1])
    for some in slices_of_networks(rows):
        factor = rows[some] if equation is None else equation.rates(rows[some])
        flat = factor.flatten(1, 2)
        product = (
            torch.bmm(flat, matrix[some])
            if bias is None
            else torch.baddbmm(bias[some, None], flat, matrix[some])
        )
        out[some] = product.view_as(out[some])
    return out


def rows_by_rows(
    left: Tensor, states: Tensor, inputs: Tensor | None, equation: Equation, precision: str
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Sum left^T f(states), left^T inputs and left over all steps and trials of each run.

    Parameters
    ----------
    left : Tensor (A, K, T, B, L)
    states : Tensor (K, T, B, N)
    inputs : Tensor (K, T, B, M), optional
        None: only the first is wanted.
    equation : Equation
    precision : str

    Returns
    -------
    by_rates : Tensor (A, K, L, N)
    by_inputs : Tensor (A, K, L, M) or None
    sums : Tensor (A, K, L) or None
    """
    if not products().same_bits:
        return _rows_by_rows_by_torch(left, states, inputs, equation)
    from .. import row_kernels

    a, k, n_steps, n_trials, n_left = left.shape
    n, m = states.shape[-1], 0 if inputs is None else inputs.shape[-1]
    n_rows, width = n_steps * n_trials, n + m + (inputs is not None)
    side, chunk = tile_of(precision)
    number = n_parts(n_rows, n_left, width, side)
    each = -(-n_rows // number)
    parts = left.new_empty(a * k, number, n_left, width)
    left_side = 16 if n_left <= 16 else side
    tiles = -(-n_left // left_side), -(-width // side)
    name, *parameters = _code(equation)
    launch(
        row_kernels.rows_by_rows_kernel, a * k * number * tiles[0] * tiles[1], WARPS, 2,
        left.device, left.contiguous(), states.contiguous(),
        states if inputs is None else inputs.contiguous(), parts,
        n_rows, k, number, each, *tiles, *parameters,
        {"L": n_left, "N": n, "M": m, "HAS_ONE": inputs is not None, "ACTIVATION": name,
         "LEFT": left_side, "RIGHT": side, "CHUNK": chunk, "PRECISION": precision},
    )  # fmt: skip
    total = sum_of_parts(parts.flatten(2)).view(a, k, n_left, width)
    if inputs is None:
        return total, None, None
    return total[..., :n], total[..., n : n + m], total[..., n + m]


def _rows_by_rows_by_torch(
    left: Tensor, states: Tensor, inputs: Tensor | None, equation: Equation
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    a, k, _, _, n_left = left.shape
    by_rates = left.new_empty(a, k, n_left, states.shape[-1])
    by_inputs = None if inputs is None else left.new_empty(a, k, n_left, inputs.shape[-1])
    for some in slices_of_networks(states):
        rates = equation.rates(states[some])
        for i in range(a):
            by_rates[i, some] = _product_of_rows(left[i, some], rates)
            if inputs is not None and by_inputs is not None:
                by_inputs[i, some] = _product_of_rows(left[i, some], inputs[some])
    return by_rates, by_inputs, None if inputs is None else left.sum(dim=(2, 3))


def sum_of_parts(parts: Tensor) -> Tensor:
    """Sum parts (runs, P, size) to (runs, size), in an order that the runs do not change."""
    if not products().same_bits:
        return parts.sum(dim=1)
    from .. import row_kernels

    runs, number, size = parts.shape
    out = parts.new_empty(runs, size)
    n_blocks = -(-size // BLOCK)
    launch(
        row_kernels.sum_of_parts_kernel, runs * n_blocks, WARPS, 1, parts.device,
        parts.contiguous(), out, number, size, n_blocks,
        {"BLOCK": BLOCK, "GROUP": GROUP},
    )  # fmt: skip
    return out


def slices_of_networks(states: Tensor) -> Iterator[slice]:
    """Divide the networks so that their rates are not too much to hold beside the states."""
    n_together = max(1, _BYTES_OF_RATES // (states[0].numel() * states.element_size()))
    for first in range(0, len(states), n_together):
        yield slice(first, first + n_together)


def _product_of_rows(left: Tensor, right: Tensor) -> Tensor:
    """Return leftᵀ right over steps and trials: (K, T, B, m), (K, T, B, n) -> (K, m, n).

    A product of one network is but a few tiles wide and as long as all steps and trials: as several
    products of a part of the rows each, it occupies the whole chip.
    """
    n_networks, n_rows = left.shape[0], left.shape[1] * left.shape[2]
    wanted = -(-256 // n_networks)
    number = next((d for d in range(wanted, 8 * wanted + 1) if n_rows % d == 0), 1)
    left = left.reshape(n_networks * number, n_rows // number, left.shape[3])
    right = right.reshape(n_networks * number, n_rows // number, right.shape[3])
    product = torch.bmm(left.transpose(1, 2), right)
    return product.view(n_networks, number, *product.shape[1:]).sum(dim=1)
