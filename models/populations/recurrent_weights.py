"""What recurrent weights are: spectrum, rank, change since the start, types of cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tasks_lib.brief import brief
from tasks_lib.errors import ParameterError

from .dimensions import effective_rank

Float = NDArray[np.float64]


@brief
@dataclass(frozen=True, eq=False)
class RecurrentWeights:
    """What the recurrent weights are, and how they have changed since the start.

    Attributes
    ----------
    spectral_radius, spectral_abscissa : float
        Largest modulus and largest real part of the eigenvalues of W_rec.
    singular_values : array (N,)
        Of W_rec, descending.
    effective_rank : float or None
        exp of the entropy of the singular values; None: all are 0.
    change_singular_values : array (N,) or None
        Of W_rec minus its initial value; None: that is not known.
    change_effective_rank : float or None
        None too where nothing has changed.
    change_norm : float or None
        Frobenius norm of the change over that of the initial weights.
    cell_types : array (N,) of int
        1: all weights that a unit sends are at least 0, -1: at most 0; all 0 where the network
        does not obey Dale's law.
    """

    spectral_radius: float
    spectral_abscissa: float
    singular_values: Float
    effective_rank: float | None
    change_singular_values: Float | None
    change_effective_rank: float | None
    change_norm: float | None
    cell_types: NDArray[np.int64]


def recurrent_weights(W_rec: ArrayLike, start: ArrayLike | None = None) -> RecurrentWeights:
    """Describe recurrent weights (N, N), and what has changed of them since the start.

    Raises
    ------
    ParameterError
        Where the initial weights have another shape, or are not finite.
    """
    w = np.asarray(W_rec, dtype=np.float64)
    eigenvalues = np.linalg.eigvals(w)
    values = np.asarray(np.linalg.svd(w, compute_uv=False), dtype=np.float64)
    change: dict[str, Any] = dict.fromkeys(
        ("change_singular_values", "change_effective_rank", "change_norm")
    )
    if start is not None:
        before = np.asarray(start, dtype=np.float64)
        if before.shape != w.shape:
            remedy = f"give those of this network, {w.shape}"
            raise ParameterError("W_rec_start", before.shape, "has another shape", remedy)
        if not np.isfinite(before).all():
            raise ParameterError(
                "W_rec_start", "non-finite", "has NaN or infinite entries", "pass finite ones"
            )
        moved = np.linalg.svd(w - before, compute_uv=False)
        norm = float(np.linalg.norm(before))
        change = {
            "change_singular_values": moved,
            "change_effective_rank": effective_rank(moved),
            "change_norm": float(np.linalg.norm(moved)) / norm if norm > 0 else None,
        }
    return RecurrentWeights(
        spectral_radius=float(np.abs(eigenvalues).max()),
        spectral_abscissa=float(eigenvalues.real.max()),
        singular_values=values,
        effective_rank=effective_rank(values),
        cell_types=cell_types(w),
        **change,
    )


def cell_types(W_rec: Float) -> NDArray[np.int64]:
    """Return 1 for units that excite, -1 for those that inhibit (N,), by the weights they send.

    0 for units that send nothing; all 0 where some unit does both, or where there are not both
    kinds: the network does not obey Dale's law, or nobody can tell.
    """
    positive, negative = (W_rec > 0).any(axis=0), (W_rec < 0).any(axis=0)
    obeys = not (positive & negative).any() and positive.any() and negative.any()
    return np.asarray((positive.astype(np.int64) - negative) * int(obeys))
