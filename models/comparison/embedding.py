"""What many distances look like: an embedding, nearest neighbours, classes, and their controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tasks_lib.brief import brief
from tasks_lib.errors import ParameterError

from .related import RelatedParameter, related_parameters
from .settings import EmbeddingSettings

Float = NDArray[np.float64]
Int = NDArray[np.int64]
EMBEDDED, FEW_NETWORKS, NO_DISTANCES, ALIKE = "embedded", "few_networks", "no_distances", "alike"
FEWEST = 4  # networks


def _none() -> Int:
    return np.empty(0, dtype=np.int64)


@brief
@dataclass(frozen=True, eq=False)
class NetworkEmbedding:
    """Networks in a space where they are as far apart as their distances say.

    Attributes
    ----------
    status : str
        ``embedded``; ``few_networks``: fewer than four have all distances to each other;
        ``no_distances``: no pair has the distance; ``alike``: all distances are 0.
    reason : str
    networks : array (M,) of int
        Those that are embedded, by their place among all: networks that lack a distance are not.
    distances : array (M, M)
    coordinates : array (M, n_dimensions)
        Classical multidimensional scaling (Torgerson 1952; Gower 1966).
    stress : float or None
        How much of the distances is not in these dimensions: stress-1 (Kruskal 1964),
        sqrt(sum (d - d_embedded)^2 / sum d^2), 0 where all is.
    neighbours : array (M,) of int
        The nearest of the others, by its place among those that are embedded.
    labels : array (M,) of int
        Class of each, 0 the largest; empty where there are none.
    silhouettes : dict
        Number of classes -> mean silhouette (Rousseeuw 1987), from -1 to 1.
    chance : float or None
        Mean silhouette with as many classes where coordinates are permuted over networks.
    class_p : float or None
        Share of these permutations with no smaller silhouette, (1 + k) / (1 + n).
    parameters : tuple of RelatedParameter
        Whether networks of one value of a parameter are closer than chance.
    """

    status: str
    reason: str
    networks: Int = field(default_factory=_none)
    distances: Float = field(default_factory=lambda: np.empty((0, 0)))
    coordinates: Float = field(default_factory=lambda: np.empty((0, 0)))
    stress: float | None = None
    neighbours: Int = field(default_factory=_none)
    labels: Int = field(default_factory=_none)
    silhouettes: dict[int, float] = field(default_factory=dict)
    chance: float | None = None
    class_p: float | None = None
    parameters: tuple[RelatedParameter, ...] = ()

    @property
    def n_classes(self) -> int:
        """Number of classes; 0 where there are none."""
        return int(self.labels.max(initial=-1)) + 1


def embed_networks(
    distances: ArrayLike,
    settings: EmbeddingSettings | None = None,
    *,
    parameters: Mapping[str, Sequence[Any]] | None = None,
    seed: int = 0,
) -> NetworkEmbedding:
    """Embed networks by their distances, find classes, and compare both with permuted networks.

    Classes are those of average linkage (scikit-learn) of the distances, as many as give the
    largest mean silhouette.

    Parameters
    ----------
    distances : array (n, n)
        Symmetric; NaN where a pair has none. Networks are left out, those that lack most first,
        until all have theirs.
    settings : EmbeddingSettings, optional
    parameters : dict, optional
        Name -> value of each of the n networks.
    seed : int
        Of the permutations.

    Raises
    ------
    ParameterError
        For distances that are no symmetric matrix, and values that are not as many.
    """
    chosen = EmbeddingSettings() if settings is None else settings
    given = _checked(distances)
    for name, values in (parameters or {}).items():
        if len(values) != len(given):
            remedy = f"give one for each of the {len(given)} networks"
            raise ParameterError(f"parameters.{name}", len(values), "values are given", remedy)
    networks = _complete(given)
    if len(networks) < FEWEST:
        if len(given) > 1 and np.isnan(given[~np.eye(len(given), dtype=bool)]).all():
            return NetworkEmbedding(NO_DISTANCES, "no pair of networks has this distance")
        reason = f"{len(networks)} networks have all distances to each other, {FEWEST} are needed"
        return NetworkEmbedding(FEW_NETWORKS, reason)
    known = given[np.ix_(networks, networks)]
    known[np.diag_indices(len(known))] = 0.0
    neighbours = np.where(np.eye(len(known), dtype=bool), np.inf, known).argmin(axis=1)
    if known.max() <= 1e-6:  # an angle of 0 is known to about 1e-7
        reason = "all networks are the same by this distance"
        return NetworkEmbedding(ALIKE, reason, networks, known, neighbours=neighbours)
    space = _scaled(known)
    coordinates = space[:, : chosen.n_dimensions]
    if coordinates.shape[1] < chosen.n_dimensions:
        wider = chosen.n_dimensions - coordinates.shape[1]
        coordinates = np.pad(coordinates, ((0, 0), (0, wider)))
    stress = np.sqrt(((known - _apart(coordinates)) ** 2).sum() / (known**2).sum())
    rng = np.random.default_rng([seed, 5])
    labels, silhouettes = _classes(known, chosen.max_classes)
    chance, class_p = _by_chance(space, labels, chosen.n_shuffles, rng)
    own = {name: [values[i] for i in networks] for name, values in (parameters or {}).items()}
    related = related_parameters(known, own, labels, neighbours, chosen.n_shuffles, rng)
    return NetworkEmbedding(
        EMBEDDED, "", networks, known, coordinates, float(stress), neighbours, labels,
        silhouettes, chance, class_p, related,
    )  # fmt: skip


def _checked(distances: ArrayLike) -> Float:
    given = np.array(distances, dtype=np.float64)
    if given.ndim != 2 or given.shape[0] != given.shape[1]:
        raise ParameterError("distances", given.shape, "is no square matrix", "give (n, n)")
    if not np.allclose(given, given.T, rtol=0.0, atol=1e-9, equal_nan=True):
        raise ParameterError(
            "distances", given.shape, "is not symmetric", "give each pair one distance"
        )
    between = given[~np.eye(len(given), dtype=bool)]
    if np.isinf(between).any() or (between < 0).any():
        worst = float(between[np.isinf(between) | (between < 0)][0])
        remedy = "give distances of 0 or more, NaN where a pair has none"
        raise ParameterError("distances", worst, "is no distance", remedy)
    return given


def _complete(distances: Float) -> Int:
    """Return the networks that are left where all have distances to each other."""
    lacks = np.isnan(distances) & ~np.eye(len(distances), dtype=bool)
    left = np.arange(len(distances))
    while len(left):
        missing = lacks[np.ix_(left, left)].sum(axis=1)
        if not missing.any():
            break
        left = np.delete(left, int(missing.argmax()))
    return np.asarray(left, dtype=np.int64)


def _scaled(distances: Float) -> Float:
    """Return the principal coordinates of networks (M, K), of all positive eigenvalues."""
    from scipy.linalg import eigh

    squares = distances**2
    centred = squares - squares.mean(axis=0) - squares.mean(axis=1)[:, None] + squares.mean()
    values, vectors = eigh(-centred / 2)
    values, vectors = values[::-1], vectors[:, ::-1]
    kept = values > 1e-10 * values[0]
    vectors = vectors[:, kept]
    # Of a vector and its negative that whose largest entry is positive.
    signs = np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(vectors.shape[1])])
    return np.asarray(vectors * signs * np.sqrt(values[kept]))


def _apart(points: Float) -> Float:
    from scipy.spatial.distance import pdist, squareform

    return np.asarray(squareform(pdist(points)))


def _classes(distances: Float, most: int) -> tuple[Int, dict[int, float]]:
    """Return classes by the best number of them, and the silhouette of each number."""
    found = {k: _linked(distances, k) for k in range(2, min(most, len(distances) - 1) + 1)}
    silhouettes = {k: _silhouette(distances, labels) for k, labels in found.items()}
    best = max(silhouettes, key=lambda k: silhouettes[k])
    _, own, sizes = np.unique(found[best], return_inverse=True, return_counts=True)
    rank = np.empty(len(sizes), dtype=np.int64)
    rank[np.argsort(-sizes, kind="stable")] = np.arange(len(sizes))
    return np.asarray(rank[own]), silhouettes


def _linked(distances: Float, k: int) -> Int:
    from sklearn.cluster import AgglomerativeClustering

    model: Any = AgglomerativeClustering(n_clusters=k, metric="precomputed", linkage="average")
    return np.asarray(model.fit_predict(distances), dtype=np.int64)


def _silhouette(distances: Float, labels: Int) -> float:
    from sklearn.metrics import silhouette_score

    if not 1 < len(np.unique(labels)) < len(labels):
        return 0.0
    return float(silhouette_score(distances, labels, metric="precomputed"))


def _by_chance(
    space: Float, labels: Int, n_shuffles: int, rng: np.random.Generator
) -> tuple[float | None, float | None]:
    """Return the mean silhouette of permuted coordinates, and the share that is no smaller.

    Both are of distances in the space: those of permuted networks are.
    """
    if not n_shuffles:
        return None, None
    k = int(labels.max()) + 1
    apart = _apart(space)
    truth = _silhouette(apart, _linked(apart, k))
    found = []
    for _ in range(n_shuffles):
        mixed = _apart(rng.permuted(space, axis=0))
        found.append(_silhouette(mixed, _linked(mixed, k)))
    at_least = sum(value >= truth for value in found)
    return float(np.mean(found)), (1 + at_least) / (1 + n_shuffles)
