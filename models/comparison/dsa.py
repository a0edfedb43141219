"""Dynamical similarity analysis (Ostrow, Eisen, Kozachkov & Fiete 2023), by its own library.

The optional extra ``dsa`` brings it (package ``dsa-metric``, which is imported as ``DSA``).
"""

from __future__ import annotations

import importlib
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .settings import ComparisonSettings

Float = NDArray[np.float64]
NO_LIBRARY = "the library dsa-metric is not installed: pip install 'rnn-pipeline[dsa]'"


def library() -> Any | None:
    """Return the library; None where it is not installed, or not of version 2."""
    try:
        found = importlib.import_module("DSA")
    except ImportError:
        return None
    wanted = ("DMD", "SimilarityTransformDist")
    return found if all(hasattr(found, name) for name in wanted) else None


def fit_operator(scores: Float, settings: ComparisonSettings) -> tuple[Float | None, str]:
    """Return the linear operator (R, R) by which states follow each other, and why there is none.

    Parameters
    ----------
    scores : array (B, T, r)
        Activity in principal components, of each trial.
    settings : ComparisonSettings
    """
    dsa = library()
    if dsa is None:
        return None, NO_LIBRARY
    n_delays = settings.dsa_delays
    if scores.shape[1] < n_delays + 2:
        return None, f"trials have fewer than {n_delays + 2} bins, {n_delays} delays need more"
    rank = min(settings.dsa_rank, scores.shape[2] * n_delays)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = dsa.DMD(scores, n_delays=n_delays, rank=rank, device="cpu")
        model.fit()
    operator = np.asarray(model.A_v, dtype=np.float64)
    return (operator, "") if np.isfinite(operator).all() else (None, "the fit is not finite")


def dsa_distances(
    first: list[Float | None], second: list[Float | None], settings: ComparisonSettings
) -> Float:
    """Return the distance of each pair of operators (n, m); NaN where one has none."""
    found = np.full((len(first), len(second)), np.nan)
    dsa = library()
    if dsa is None or not any(o is not None for o in first):
        return found
    method = settings.dsa
    compare = dsa.SimilarityTransformDist(score_method=method, device="cpu")
    prepared = [[_prepared(o, method) for o in side] for side in (first, second)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for i, a in enumerate(prepared[0]):
            for j, b in enumerate(prepared[1]):
                if (
                    a is not None
                    and b is not None
                    and (method == "wasserstein" or len(a) == len(b))
                ):
                    found[i, j] = float(compare.fit_score(a, b))
    return found


def _prepared(operator: Float | None, method: str) -> Any | None:
    """Return what the library compares: of its default method the eigenvalues."""
    if operator is None or method != "wasserstein":
        return operator
    return np.linalg.eigvals(operator).astype(np.complex64)
