"""Linearisation of a network's dynamics at given states."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tasks_lib.errors import ParameterError

from .fixed_points.spectrum import sorted_spectrum
from .rnn_numpy import RNNNumpy

Float = NDArray[np.float64]
Complex = NDArray[np.complex128]


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
        By real part, descending; the two of a complex pair stay neighbours.
    right, left : array (N,), complex
        Eigenvectors of the first eigenvalue, |right| = 1 and left . right = 1 (no conjugation).
        |left| is the eigenvalue's condition number: 1 if normal, without bound (NaN at the last)
        as the Jacobian becomes defective.
    right_vectors : array (N, N), complex
        All right eigenvectors, one a column.
    left_vectors : array (N, N), complex
        All left eigenvectors, one a row: left_vectors @ right_vectors is the identity.
    henrici : float or array (P,)
        Departure from normality, sqrt(|J|^2 - sum |eigenvalue|^2) / |J| (Frobenius): 0 if normal.
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
    henrici: float | Float
    input_participation: Float
    output_participation: Float


def analyse_points(rnn: RNNNumpy, x: ArrayLike, u: Float) -> PointAnalytics:
    """Linearise at state ``x`` (N,), or at the rows of ``x`` (P, N), under the input ``u``."""
    states = np.asarray(x, dtype=np.float64)
    if states.ndim not in (1, 2) or states.shape[-1] != rnn.N:
        raise ParameterError(
            "x.shape", states.shape, f"is not ({rnn.N},) or (P, {rnn.N})", "pass one state a row"
        )
    if not np.isfinite(states).all():
        raise ParameterError("x", "non-finite", "has NaN or infinite entries", "pass finite states")
    rows = np.atleast_2d(states)
    field = rnn.rhs(rows.T, u)
    J = rnn.jacobian(rows.T, u)
    values, right = sorted_spectrum(J)
    # a fixed phase makes vectors comparable: the largest entry is real and positive
    peak = np.abs(right).argmax(axis=1)[:, None, :]
    phase = np.take_along_axis(right, peak, axis=1)
    right = right * (np.abs(phase) / phase)
    left = _left_vectors(right)
    # f' at each state: dF/du = f' W_inp in form s, dy/dx = W_out f' in form h
    if rnn.equation_type == "s":
        gain = rnn.activation.df(rnn.W_rec @ rows.T + rnn.drive(u)[:, None]).T
        from_input = gain[:, :, None] * rnn.W_inp
        to_output = np.broadcast_to(rnn.W_out, (len(rows), *rnn.W_out.shape))
    else:
        from_input = np.broadcast_to(rnn.W_inp, (len(rows), *rnn.W_inp.shape))
        to_output = rnn.W_out * rnn.activation.df(rows)[:, None, :]
    total = np.einsum("pij,pij->p", J, J)
    departure = np.maximum(total - np.sum(np.abs(values) ** 2, axis=1), 0.0)
    analytics = {
        "fun_val": np.sum(field**2, axis=0),
        "jacobian": J,
        "eigenvalues": values,
        "right": right[:, :, 0],
        "left": left[:, 0, :],
        "right_vectors": right,
        "left_vectors": left,
        "henrici": np.sqrt(departure / total),
        "input_participation": np.abs(left @ from_input),
        "output_participation": np.swapaxes(np.abs(to_output @ right), 1, 2),
    }
    if states.ndim == 1:
        single = {name: value[0] for name, value in analytics.items()}
        single["fun_val"], single["henrici"] = float(single["fun_val"]), float(single["henrici"])
        return PointAnalytics(**single)
    return PointAnalytics(**analytics)


def _left_vectors(right: Complex) -> Complex:
    """Return the inverses of eigenvector matrices (P, N, N), with rows scaled to l . r = 1."""
    try:
        left = np.linalg.inv(right)
    except np.linalg.LinAlgError:
        left = np.linalg.pinv(right)
    product = np.einsum("pkn,pnk->pk", left, right)
    defective = ~(np.abs(product - 1.0) < 1e-6)
    product[defective] = np.nan
    return left / product[:, :, None]
