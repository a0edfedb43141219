"""What the rows of traces and snapshots hold, and the network that a snapshot is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import models
from models.network.connectivity import WEIGHTS
from models.training.config import WINDOWS

from .network import NetworkParams
from .network_rows import load_network


def trace_rows(network: models.TrainedNetwork) -> list[dict[str, Any]]:
    """Return the rows of a network in `Training.Trace`, without its key."""
    return [
        {
            "trace_iteration": trace.iteration,
            "trace_status": trace.status,
            "trace_reason": trace.reason,
            "trace_participation": trace.participation_ratio,
            "trace_n_silent": trace.n_silent,
            **{f"change_{n}": trace.changes.get(n) for n in WINDOWS},
            **{f"cosine_{n}": trace.cosines.get(n) for n in WINDOWS},
            "gradient_square": trace.gradient_square,
            "gradient_variance": trace.gradient_variance,
            "gradient_noise_scale": trace.noise_scale,
        }
        for trace in network.traces
    ]


def snapshot_rows(network: models.TrainedNetwork) -> list[dict[str, Any]]:
    """Return the rows of a network in `Training.Snapshot`, without its key."""
    return [
        {"snapshot_iteration": iteration}
        | {f"snapshot_{name.lower()}": weights[name] for name in WEIGHTS}
        for iteration, weights in network.snapshots.items()
    ]


def load_snapshot(row: Mapping[str, Any]) -> models.RNNNumpy:
    """Make the network of a row of `Training.Snapshot`, reading its weights from the store."""
    config = NetworkParams.build((NetworkParams & dict(row)).fetch1())
    return load_network({"seed": row["seed"], **snapshot_weights(row)}, config)


def snapshot_weights(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the weights of a row of `Training.Snapshot` as columns of `Training.Network`."""
    return {name.lower(): row[f"snapshot_{name.lower()}"] for name in WEIGHTS}


def trace_of(row: Mapping[str, Any]) -> models.TrainingTrace:
    """Return the trace that a row of `Training.Trace` is of."""
    windows = {kind: {n: row[f"{kind}_{n}"] for n in WINDOWS if row[f"{kind}_{n}"] is not None}
               for kind in ("change", "cosine")}  # fmt: skip
    return models.TrainingTrace(
        iteration=row["trace_iteration"],
        status=row["trace_status"],
        reason=row["trace_reason"],
        participation_ratio=row["trace_participation"],
        n_silent=row["trace_n_silent"],
        changes=windows["change"],
        cosines=windows["cosine"],
        gradient_square=row["gradient_square"],
        gradient_variance=row["gradient_variance"],
        noise_scale=row["gradient_noise_scale"],
    )
