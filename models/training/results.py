"""What comes out of a training: its networks, with their curves and scores."""

from __future__ import annotations

from collections.abc import Sequence

from ..network.rnn_torch import RNNTorch
from .early_stopping import BestWeights
from .losses import LossFunction
from .record import TrainedNetwork, TrainingRecord
from .snapshots import Snapshots
from .traces import Traces


def trained_networks(
    rnn: RNNTorch,
    losses: LossFunction,
    record: TrainingRecord,
    best: BestWeights,
    traces: Traces,
    snapshots: Snapshots,
    scores: Sequence[float | None],
) -> list[TrainedNetwork]:
    """Return every network of a training that is over.

    Parameters
    ----------
    rnn : RNNTorch
    losses : LossFunction
    record : TrainingRecord
    best : BestWeights
    traces : Traces
    snapshots : Snapshots
    scores : sequence of float or None (K,)
        Noise-free pooled R^2 of each network.
    """
    networks = []
    for i, seed in enumerate(rnn.seeds):
        curve, terms = record.loss_curve(i), losses.names_of(i)
        networks.append(
            TrainedNetwork(
                seed=seed,
                status="diverged" if record.diverged[i] else "finished",
                iterations=int(record.weights_seen[i]),
                loss=float(curve[-1]) if curve.size else float("nan"),
                r2=scores[i],
                weights=rnn.weights(i),
                loss_curve=curve,
                term_curves=record.term_curves(i, "loss", terms if terms[1:] else ()),
                gradient_curves=record.term_curves(i, "gradient", terms),
                stopped_by=best.stopped_by(i),
                score_curve=best.score_curve(i),
                traces=traces.of(i),
                snapshots=snapshots.of(i),
            )
        )
    return networks
