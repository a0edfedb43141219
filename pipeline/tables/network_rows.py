"""What the rows of a trained network hold, and the network that a row describes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

import models
from models.network.connectivity import WEIGHTS
from models.training.config import TASK_TERM


def network_columns(network: models.TrainedNetwork) -> dict[str, Any]:
    """Return the row of a network in `Training.Network`, without its key."""
    return {
        "status": network.status,
        "iterations_done": network.iterations,
        "loss": None if np.isnan(network.loss) else network.loss,
        "r2": network.r2,
        **{name.lower(): network.weights[name] for name in WEIGHTS},
        "loss_curve": network.loss_curve,
        "stopped_by": network.stopped_by,
        "score_curve": network.score_curve,
    }


def term_rows(network: models.TrainedNetwork, weights: dict[str, float]) -> list[dict[str, Any]]:
    """Return the rows of a network in `Training.Term`, without its key."""
    # A network that was monitored without penalties has no curve of its one term: it is the loss.
    losses = network.term_curves or dict.fromkeys(network.gradient_curves, network.loss_curve)
    rows = []
    for term, curve in losses.items():
        gradient = network.gradient_curves.get(term)
        rows.append(
            {
                "term": term,
                "term_weight": 1.0 if term == TASK_TERM else weights[term],
                "final_loss": _last(curve),
                "final_gradient": _last(gradient),
                "term_curve": curve,
                "gradient_curve": gradient,
            }
        )
    return rows


def _last(curve: NDArray[Any] | None) -> float | None:
    """Return the last value; None where there is none or it is not finite (MySQL refuses it)."""
    if curve is None or not curve.size or not np.isfinite(curve[-1]):
        return None
    return float(curve[-1])


def curves_of(row: Mapping[str, Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return loss curve (iterations,) and score curve (V, 2) of a row of `Training.Network`."""
    return np.asarray(row["loss_curve"]), np.asarray(row["score_curve"]).reshape(-1, 2)


def learning_curve(
    row: Mapping[str, Any],
    group: str = "",
    terms: Sequence[Mapping[str, Any]] = (),
    value: float | None = None,
) -> models.LearningCurve:
    """Return what figures show of the training of a row of `Training.Network`.

    Parameters
    ----------
    row : mapping
    group : str
        What tells it apart in the figure.
    terms : sequence of mappings
        Its rows of `Training.Term`.
    value : float, optional
        What the group is, where that is a number.
    """
    losses, gradients = term_curves(terms)
    return models.LearningCurve(
        *curves_of(row), group, row["status"] == "diverged", losses, gradients, value
    )


def term_curves(
    rows: Sequence[Mapping[str, Any]],
) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
    """Return losses and norms of gradients of rows of `Training.Term`, by term, the task first."""
    ordered = sorted(rows, key=lambda row: row["term"] != TASK_TERM)
    losses = {row["term"]: np.asarray(row["term_curve"]) for row in ordered}
    known = [row for row in ordered if row["gradient_curve"] is not None]
    return losses, {row["term"]: np.asarray(row["gradient_curve"]) for row in known}


def load_network(row: dict[str, Any], config: models.NetworkConfig) -> models.RNNNumpy:
    """Make the network of a `Training.Network` row, reading its weights from the store."""
    eq = config.equation
    return models.RNNNumpy(
        **{name: np.asarray(row[name.lower()]) for name in WEIGHTS},
        **{name: getattr(eq, name) for name in eq.__dataclass_fields__},
        seed=int(row["seed"]),
    )
