"""Eigenvalues of Jacobians in one order everywhere."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Complex = NDArray[np.complex128]


def sorted_spectrum(J: Float) -> tuple[Complex, Complex]:
    """Return eigenvalues (P, N) and right eigenvectors (P, N, N) of Jacobians (P, N, N).

    By real part, descending; the two of a complex pair stay neighbours, positive imaginary part
    first. Column k of a matrix belongs to eigenvalue k.
    """
    values, vectors = np.linalg.eig(J)
    values, vectors = values.astype(np.complex128), vectors.astype(np.complex128)
    # LAPACK gives pairs as neighbours, positive imaginary part first. The order is stable, and
    # without the sign of the imaginary part among its keys equal pairs are not torn apart.
    order = np.lexsort((np.abs(values.imag), -values.real), axis=-1)
    values = np.take_along_axis(values, order, axis=-1)
    return values, np.take_along_axis(vectors, order[:, None, :], axis=-1)
