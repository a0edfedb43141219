"""What the rows of `NetworkSummary` hold, and the compared network that a row describes."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

import models

from .rows import Row

Float = NDArray[np.float64]
WEIGHTS = ("W_rec", "W_inp", "W_out", "b_rec")
ARRAYS = {
    "components": "activity_components",
    "loadings": "activity_loadings",
    "dissimilarities": "trial_dissimilarities",
    "outputs": "compared_outputs",
    "choices": "compared_choices",
    "singular_values": "compared_singular_values",
}
IN_THE_ROW = ("compared_choices", "compared_singular_values", "dsa_operator")


def points_as_json(points: dict[str, models.PointSpectra]) -> dict[str, Any]:
    """Return the fixed points of a network as `NetworkSummary.compared_points` has them."""
    return {
        name: {
            "n_unstable": one.n_unstable.tolist(),
            "real": one.eigenvalues.real.tolist(),
            "imaginary": one.eigenvalues.imag.tolist(),
        }
        for name, one in points.items()
    }


def _from_json(kept: dict[str, Any], n_kept: int) -> dict[str, models.PointSpectra]:
    return {
        name: models.point_spectra(
            one["n_unstable"], np.array(one["real"]) + 1j * np.array(one["imaginary"]), n_kept
        )
        for name, one in kept.items()
    }


def as_text(row: Row) -> Row:
    """Return a row whose short arrays and points are texts.

    What is fetched is hashed, which takes milliseconds for each array, and none for a text.
    """
    arrays = {name: row[name] for name in IN_THE_ROW if row[name] is not None}
    texts = {name: json.dumps(np.asarray(array).tolist()) for name, array in arrays.items()}
    points = row["compared_points"]
    return {**row, **texts, "compared_points": None if points is None else json.dumps(points)}


def compared_network(row: Row, settings: models.ComparisonSettings) -> models.ComparedNetwork:
    """Return what a row of `NetworkSummary` says, with the weights of its network."""
    values = {name: json.loads(row[name]) for name in (*IN_THE_ROW, "compared_points") if row[name]}
    row = {**row, **values}
    given = {name: row[column] for name, column in ARRAYS.items() if row[column] is not None}
    is_matched = settings.match == "units" and "components" in given
    points = row["compared_points"]
    return models.ComparedNetwork(
        row["summary_status"], row["summary_reason"], row["summary_units"], row["summary_trials"],
        **{name: np.asarray(array) for name, array in given.items()},
        kept_variance=row["kept_variance"] or 0.0,
        weights=_weights(row, WEIGHTS if is_matched else ()),
        points=None if points is None else _from_json(points, settings.n_eigenvalues),
        points_reason=row["points_reason"],
        operator=None if row["dsa_operator"] is None else np.asarray(row["dsa_operator"]),
        operator_reason=row["operator_reason"],
    )  # fmt: skip


def _weights(row: Row, names: Iterable[str]) -> dict[str, Float]:
    return {name: np.asarray(row[name.lower()], dtype=np.float64) for name in names}
