"""A few iterations of a training, measured here."""

from __future__ import annotations

import time
from contextlib import suppress

from models.training.checkpoints import TrainingStopped

from ..tables.training_rows import TrainingRows, train_from_rows

PROBE_SECONDS = 3.0  # that are measured
WARM_UP = 3  # iterations before: what is compiled and allocated then is not measured
MOST_NETWORKS = 16  # of a batch on a CPU


def probe(
    rows: TrainingRows, n_networks: int, device: str, seconds: float = PROBE_SECONDS
) -> float:
    """Return how long an iteration of one network takes on this machine (s).

    Parameters
    ----------
    rows : TrainingRows
        Of the parameters.
    n_networks : int
        In the cohort; on a CPU no more of them are made than are trained together.
    device : str
    seconds : float
        For which is measured, but two iterations at least.
    """
    if device == "cpu":
        n_networks = min(n_networks, MOST_NETWORKS)
    training = {**rows.training, "max_iter": max(int(rows.training["max_iter"]), 10_000)}
    times: list[float] = []
    at_once = float(n_networks)

    def report(step: int, n_steps: int, loss: float) -> None:
        nonlocal at_once
        times.append(time.perf_counter())
        at_once = n_networks * training["max_iter"] / n_steps

    def stop() -> bool:
        measured = times[WARM_UP:]
        return len(measured) > 2 and measured[-1] - measured[0] > seconds

    with suppress(TrainingStopped):
        train_from_rows(
            rows._replace(training=training), range(n_networks), device=device, progress=report,
            stop=stop,
        )  # fmt: skip
    # One that reached its score at once has no more.
    measured = times[WARM_UP:] if len(times) > WARM_UP + 1 else times
    if len(measured) < 2:
        return 0.0
    return (measured[-1] - measured[0]) / (len(measured) - 1) / at_once
