"""Linearisation of a network's dynamics at given states."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tasks_lib.brief import brief
from tasks_lib.errors import ParameterError, check_int

from ..fixed_points.spectrum import sorted_spectrum
from ..machine.threads import blas_on_one
from ..network.rnn_numpy import RNNNumpy

Float = NDArray[np.float64]
Complex = NDArray[np.complex128]
# Rounding moves the eigenvalues of a 2 x 2 Jordan block by about sqrt(eps), and the condition
# that is found for them is about 1 / sqrt(eps) = 7e7; of larger blocks it is larger still.
DEFECTIVE_CONDITION = 1e7
CHUNK_BYTES = 2**28  # temporary arrays of the states worked on at once


@brief
@dataclass(frozen=True, eq=False)
class PointAnalytics:
    """Linearisation at one state, or at P states (then every array has a leading axis P).

    Attributes
    ----------
    fun_val : float or array (P,)
        |F|^2.
    jacobian : array (N, N)
        dF/dx, in units of 1 / tau.
    eigenvalues : array (N,), complex
        By real part, descending, in units of 1 / tau. The two of a complex pair are neighbours
        and conjugate to the bit, positive imaginary part first; real ones have none.
    right, left : array (N,), complex
        Eigenvectors of the first eigenvalue, |right| = 1 and left . right = 1 (no conjugation).
    right_vectors : array (N, N), complex
        All right eigenvectors, one a column, of unit length, the largest entry real and positive.
        Those of real eigenvalues are real, those of a pair conjugate, both to the bit.
    left_vectors : array (N, N), complex
        All left eigenvectors, one a row: left_vectors @ right_vectors is the identity. NaN where
        no vector with l . r = 1 exists in float64.
    condition : array (N,)
        Condition number of each eigenvalue, |l_k| |r_k|: how far, at most, a change of the
        Jacobian by 1 moves it to first order. 1 if normal; without bound, then NaN, as the
        Jacobian becomes defective.
    defective : bool or array (P,)
        Some condition number is above 1e7 or NaN: in float64 the eigenvectors are no basis, and
        modes that share an eigenvalue must not be read one by one.
    henrici : float or array (P,)
        Departure from normality, sqrt(|J|^2 - sum |eigenvalue|^2) / |J| (Frobenius; Henrici
        1962), 0 if normal, below 1; NaN where J = 0.
    input_directions : array (N, n_inputs)
        dF/du, per tau: where each input pushes the state.
    output_directions : array (n_outputs, N)
        dy/dx: what each output reads.
    input_participation : array (N, n_inputs)
        |left_k . dF/du_i|: how strongly input i drives mode k.
    output_participation : array (N, n_outputs)
        |dy_o/dx . right_k|: how strongly mode k shows in output o.
    """

    fun_val: float | Float
    jacobian: Float
    eigenvalues: Complex
    right: Complex
    left: Complex
    right_vectors: Complex
    left_vectors: Complex
    condition: Float
    defective: bool | NDArray[np.bool_]
    henrici: float | Float
    input_directions: Float
    output_directions: Float
    input_participation: Float
    output_participation: Float


def analyse_points(rnn: RNNNumpy, x: ArrayLike, u: Float) -> PointAnalytics:
    """Linearise at state ``x`` (N,), or at the rows of ``x`` (P, N), under the input ``u``.

    States are worked on in chunks, so that what is needed besides the result stays below about
    256 MiB (or what one state needs). The result itself holds 40 N^2 bytes a state: 40 MB at
    N = 1000. `iterate_analytics` yields it piece by piece.
    """
    states = _checked_states(rnn, x)
    pieces = list(iterate_analytics(rnn, np.atleast_2d(states), u))
    if states.ndim == 1:
        return _first(pieces[0])
    if len(pieces) == 1:
        return pieces[0]
    return PointAnalytics(
        **{f.name: np.concatenate([getattr(p, f.name) for p in pieces]) for f in _FIELDS}
    )


def iterate_analytics(
    rnn: RNNNumpy, x: ArrayLike, u: Float, chunk: int | None = None
) -> Iterator[PointAnalytics]:
    """Yield the linearisation of the rows of ``x`` (P, N), at most ``chunk`` states at a time.

    For many points of a large network, whose eigenvectors together need not fit the memory.

    Parameters
    ----------
    rnn : RNNNumpy
    x : array (P, N)
        One state a row, P at least 1.
    u : array (n_inputs,)
    chunk : int, optional
        States a piece; by default as many as 256 MiB of temporary arrays allow.
    """
    states = _checked_states(rnn, x)
    if states.ndim != 2 or not len(states):
        raise ParameterError("x.shape", states.shape, "has no row", "pass (P, N) states, P >= 1")
    if chunk is None:
        chunk = max(1, CHUNK_BYTES // (120 * rnn.N**2))
    check_int("chunk", chunk, minimum=1)
    for start in range(0, len(states), chunk):
        with blas_on_one:  # not around the yield: the threads are the caller's in between
            piece = _linearise(rnn, states[start : start + chunk], u)
        yield piece


def _checked_states(rnn: RNNNumpy, x: ArrayLike) -> Float:
    states = np.asarray(x, dtype=np.float64)
    if states.ndim not in (1, 2) or states.shape[-1] != rnn.N or not states.size:
        raise ParameterError(
            "x.shape", states.shape, f"is not ({rnn.N},) or (P, {rnn.N})", "pass one state a row"
        )
    if not np.isfinite(states).all():
        raise ParameterError("x", "non-finite", "has NaN or infinite entries", "pass finite states")
    return states


def _linearise(rnn: RNNNumpy, rows: Float, u: Float) -> PointAnalytics:
    field = rnn.rhs_at(rows, u)
    J = rnn.jacobian_at(rows, u)
    values, right = _spectrum(J)
    left = np.stack([_left_vectors(v, r) for v, r in zip(values, right, strict=True)])
    # f' at each state: dF/du = f' W_inp in form s, dy/dx = W_out f' in form h
    if rnn.equation_type == "s":
        gain = rnn.activation.df(rnn.W_rec @ rows.T + rnn.drive(u)[:, None]).T
        from_input = gain[:, :, None] * rnn.W_inp
        to_output = np.repeat(rnn.W_out[None], len(rows), axis=0)
    else:
        from_input = np.repeat(rnn.W_inp[None], len(rows), axis=0)
        to_output = rnn.W_out * rnn.activation.df(rows)[:, None, :]
    total = np.einsum("pij,pij->p", J, J)
    departure = np.maximum(total - np.sum(np.abs(values) ** 2, axis=1), 0.0)
    condition = np.linalg.norm(left, axis=2)  # the right ones have unit length
    with np.errstate(invalid="ignore"):
        henrici = np.sqrt(departure / total)
    return PointAnalytics(
        fun_val=np.sum(field**2, axis=1),
        jacobian=J,
        eigenvalues=values,
        right=right[:, :, 0],
        left=left[:, 0, :],
        right_vectors=right,
        left_vectors=left,
        condition=condition,
        defective=~(condition < DEFECTIVE_CONDITION).all(axis=1),
        henrici=henrici,
        input_directions=from_input,
        output_directions=to_output,
        input_participation=np.abs(left @ from_input),
        output_participation=np.swapaxes(np.abs(to_output @ right), 1, 2),
    )


def _spectrum(J: Float) -> tuple[Complex, Complex]:
    """Return eigenvalues (P, N) and right eigenvectors (P, N, N) in the order documented above."""
    values, right = sorted_spectrum(J)
    # A fixed phase makes vectors comparable.
    peak = np.abs(right).argmax(axis=1)[:, None, :]
    phase = np.take_along_axis(right, peak, axis=1)
    right *= np.abs(phase) / phase
    point, first = np.nonzero(values.imag > 0)
    right[point, :, first + 1] = right[point, :, first].conj()
    return values, right


def _left_vectors(values: Complex, right: Complex) -> Complex:
    """Return left eigenvectors, one a row, for right ones (N, N) with l . r = 1; NaN if none.

    The inverse of the eigenvectors, taken in the real basis of Re r, Im r for each pair: a
    quarter of the work of a complex one, real where it should be and conjugate where it should be.
    """
    first = np.flatnonzero(values.imag > 0)
    basis = right.real.copy()
    basis[:, first + 1] = right[:, first].imag
    try:
        rows = np.linalg.inv(basis)
    except np.linalg.LinAlgError:
        rows = np.linalg.pinv(basis)
    left = rows.astype(np.complex128)
    left[first] = 0.5 * (rows[first] - 1j * rows[first + 1])
    left[first + 1] = left[first].conj()
    product = np.einsum("kn,nk->k", left, right)
    missing = ~(np.abs(product - 1.0) < 1e-6)
    scale = np.where(values.imag == 0, product.real, product)  # real rows stay real
    scale[missing] = np.nan
    with np.errstate(invalid="ignore"):
        left = left / scale[:, None]
    left[missing] = complex(np.nan, np.nan)
    left[first + 1] = left[first].conj()
    return left


_FIELDS = fields(PointAnalytics)


def _first(piece: PointAnalytics) -> PointAnalytics:
    single: dict[str, Any] = {f.name: getattr(piece, f.name)[0] for f in _FIELDS}
    for name, kind in (("fun_val", float), ("henrici", float), ("defective", bool)):
        single[name] = kind(single[name])
    return PointAnalytics(**single)
