"""Distances between many networks at once: each of one list with each of another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tasks_lib.errors import ParameterError

from .dsa import dsa_distances
from .matching import matched_distances, unit_features
from .point_sets import point_set_distances
from .reduction import ComparedNetwork
from .settings import DISTANCES, ComparisonSettings

Float = NDArray[np.float64]
Networks = Sequence[ComparedNetwork]
ACTIVITY = ("procrustes_distance", "matching_distance", "cka_distance", "rsa_distance")
POINTS = ("point_number_distance", "point_index_distance", "point_spectrum_distance")
WEIGHTS = ("weight_distance", "singular_value_distance")
AT_ONCE = 4096  # pairs whose products of components are held


def compare_networks(
    first: Networks, second: Networks, settings: ComparisonSettings | None = None
) -> dict[str, Float]:
    """Return the distances of every network of one list to every one of another.

    All are to be of one task, by the same settings and seed (`reduce_network`).

    Parameters
    ----------
    first, second : sequence of ComparedNetwork
        n and m of them. Where both are the same list, pairs are compared once.
    settings : ComparisonSettings, optional

    Returns
    -------
    dict of str to array (n, m)
        Each of `models.comparison.settings.DISTANCES`; NaN where a pair has none
        (`missing_reason` says why). Formulas and sources are in docs/comparison.md.

    Raises
    ------
    ParameterError
        For networks of different tasks or settings, as far as sizes tell.
    """
    chosen = ComparisonSettings() if settings is None else settings
    _check_alike([*first, *second])
    shape = len(first), len(second)
    found: dict[str, Float] = {name: np.full(shape, np.nan) for name in DISTANCES}
    found["output_distance"] = _between(first, second, "outputs", "euclidean")
    found["choice_distance"] = _between(first, second, "choices", "hamming")
    ranks = _between(first, second, "dissimilarities", "sqeuclidean")
    found["rsa_distance"] = _angle(1.0 - ranks / 2.0)
    _compare_activity(first, second, chosen.match == "units", found)
    found["singular_value_distance"] = _between(first, second, "singular_values", "euclidean")
    sizes = np.array([one.n_units for one in first], dtype=np.float64)
    found["singular_value_distance"] /= np.sqrt(sizes)[:, None]
    if chosen.search:
        _compare_points(first, second, chosen.cutoff, found)
    if chosen.dsa != "none":
        operators = [[one.operator for one in side] for side in (first, second)]
        found["dsa_distance"] = dsa_distances(operators[0], operators[1], chosen)
    return found


def _check_alike(networks: Networks) -> None:
    """Check that networks ran the same trials, reduced in the same way."""
    sizes = {
        "trials": {one.n_trials for one in networks},
        "samples of activity": {len(one.components) for one in networks if one.components.size},
        "outputs that count": {one.outputs.size for one in networks if one.outputs.size},
    }
    for what, found in sizes.items():
        if len(found) > 1:
            few = " and ".join(str(n) for n in sorted(found)[:3])
            remedy = "reduce networks of one task with the same settings and seed"
            raise ParameterError("networks", few, f"are numbers of {what}", remedy)


def distance_matrix(
    networks: Networks, settings: ComparisonSettings | None = None
) -> dict[str, Float]:
    """Return the distances between all networks of a list (n, n), 0 on the diagonal.

    As `compare_networks`, whose parameters and distances these are.
    """
    found = compare_networks(networks, networks, settings)
    for values in found.values():
        upper = np.triu(values, 1)
        values[...] = upper + upper.T
    return found


def missing_reason(
    first: ComparedNetwork, second: ComparedNetwork, distances: Mapping[str, float]
) -> str:
    """Return why a pair lacks distances that were asked for, in words; "" where it lacks none."""
    reasons = {}
    lacks = {name for name, value in distances.items() if not np.isfinite(value)}
    for one in (first, second):
        if not lacks.isdisjoint({*ACTIVITY, "output_distance"}) and one.reason:
            reasons["activity"] = one.reason
        if not lacks.isdisjoint(POINTS) and one.points_reason:
            reasons["fixed points"] = one.points_reason
        if "dsa_distance" in lacks and one.operator_reason and one.components.size:
            reasons["DSA"] = one.operator_reason
    if not lacks.isdisjoint(WEIGHTS) and first.n_units != second.n_units:
        reasons["weights"] = f"{first.n_units} and {second.n_units} units"
    if "rsa_distance" in lacks and "activity" not in reasons:
        reasons["RSA"] = "all trials are equally far apart"
    wanted = {k: v for k, v in reasons.items() if v != "not asked for"}
    return "; ".join(f"{what}: {why}" for what, why in wanted.items())


def _angle(cosine: Float) -> Float:
    """Return the angle in radians; NaN stays NaN."""
    return np.asarray(np.arccos(np.clip(cosine, -1.0, 1.0)))


def _between(first: Networks, second: Networks, name: str, metric: str) -> Float:
    """Return distances of an attribute of vectors (n, m); NaN where one is empty or longer."""
    from scipy.spatial.distance import cdist

    found = np.full((len(first), len(second)), np.nan)
    sides = [[np.asarray(getattr(one, name)) for one in side] for side in (first, second)]
    for length in {a.size for a in sides[0]} & {b.size for b in sides[1]} - {0}:
        rows, columns = ([i for i, a in enumerate(side) if a.size == length] for side in sides)
        a, b = (np.stack([side[i] for i in own]) for side, own in
                zip(sides, (rows, columns), strict=True))  # fmt: skip
        found[np.ix_(rows, columns)] = cdist(a, b, metric)
    return found


def _compare_activity(
    first: Networks, second: Networks, is_matched: bool, found: dict[str, Float]
) -> None:
    """Fill in the distances that follow from products of components."""
    rows, columns = (
        [i for i, one in enumerate(side) if one.components.size] for side in (first, second)
    )
    if not (rows and columns):
        return
    rank = max(one.components.shape[1] for one in (*first, *second))
    right = _stacked([second[j] for j in columns], rank)
    norms = [[_gram_norm(side[i]) for i in own] for side, own in ((first, rows), (second, columns))]
    step = max(1, min(AT_ONCE, AT_ONCE * 20**2 // rank**2) // len(columns))
    for start in range(0, len(rows), step):
        some = rows[start : start + step]
        left = _stacked([first[i] for i in some], rank)
        flat = (left.T @ right).reshape(len(some), rank, len(columns), rank)
        product = np.ascontiguousarray(flat.transpose(0, 2, 1, 3))
        own = np.outer(norms[0][start : start + step], norms[1])
        at = np.ix_(some, columns)
        found["cka_distance"][at] = _angle((product**2).sum(axis=(2, 3)) / own)
        nuclear = np.linalg.svd(product, compute_uv=False).sum(axis=2)
        found["procrustes_distance"][at] = _angle(nuclear)
        if is_matched:
            _match(first, second, (some, columns), product, found)


def _match(
    first: Networks,
    second: Networks,
    places: tuple[list[int], list[int]],
    product: Float,
    found: dict[str, Float],
) -> None:
    """Fill in the distances of matched units, pair by pair."""
    features = [unit_features(second[j]) for j in places[1]]
    for i, own in zip(places[0], product, strict=True):
        left, a = unit_features(first[i]), first[i]
        for j, right, both in zip(places[1], features, own, strict=True):
            if first is second and j < i:
                for name in ("matching_distance", "weight_distance"):
                    found[name][i, j] = found[name][j, i]
                continue
            kept = both[: a.loadings.shape[1], : second[j].loadings.shape[1]]
            found["matching_distance"][i, j], found["weight_distance"][i, j] = matched_distances(
                a, second[j], kept, left @ right.T
            )


def _gram_norm(one: ComparedNetwork) -> float:
    """Return the Frobenius norm of the products of components: these are orthogonal."""
    return float(np.linalg.norm((one.components**2).sum(axis=0)))


def _stacked(networks: Networks, rank: int) -> Float:
    """Return components side by side (samples, n * rank), filled with zeros."""
    n_samples = len(networks[0].components)
    found = np.zeros((n_samples, len(networks), rank))
    for i, one in enumerate(networks):
        found[:, i, : one.components.shape[1]] = one.components
    return found.reshape(n_samples, -1)


def _compare_points(
    first: Networks, second: Networks, cutoff: float, found: dict[str, Float]
) -> None:
    for i, a in enumerate(first):
        for j, b in enumerate(second):
            if first is second and j < i:
                for name in POINTS:
                    found[name][i, j] = found[name][j, i]
            elif a.points and b.points:
                for name, value in zip(
                    POINTS, point_set_distances(a.points, b.points, cutoff), strict=True
                ):
                    found[name][i, j] = value
