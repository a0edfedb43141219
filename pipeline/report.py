"""The table of networks that `rnn demo` and `rnn show` print."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .dynamics import FixedPointPlot, FixedPoints
from .performance import TrialPlot, Validation
from .training import Training


@dataclass(frozen=True)
class NetworkReport:
    """One network in a line."""

    name: str
    key: dict[str, Any]
    status: str
    r2: float | None
    accuracy: float | None
    by_unstable_modes: dict[int, int]
    max_eigenvalue: float | None
    seconds: float


def network_reports(restriction: Any = None) -> list[NetworkReport]:
    """Return a line for each trained network that satisfies a restriction."""
    networks = Training.Network * Training.proj("seconds")
    if restriction is not None:
        networks &= restriction
    reports = []
    for row in networks.proj("status", "seconds").to_dicts(order_by="KEY"):
        key = {k: row[k] for k in Training.Network.primary_key}
        scores = (Validation & key & {"validation_name": "noise_free"}).to_dicts()
        points = (FixedPoints.Point & key).proj("n_unstable_modes", "max_eigenvalue").to_dicts()
        siblings = len(Training.Network & {k: v for k, v in key.items() if k != "seed"})
        reports.append(
            NetworkReport(
                name=f"{key['task_name']}/{key['network_name']}/{key['training_name']}"
                f" seed {key['seed']}",
                key=key,
                status=row["status"],
                r2=scores[0]["r2_pooled"] if scores else None,
                accuracy=scores[0]["accuracy"] if scores else None,
                by_unstable_modes=dict(
                    sorted(Counter(p["n_unstable_modes"] for p in points).items())
                ),
                max_eigenvalue=max((p["max_eigenvalue"] for p in points), default=None),
                # A cohort is trained as a whole: its time is shared evenly.
                seconds=row["seconds"] / siblings,
            )
        )
    return reports


def export_figures(folder: Path, restriction: Any = None) -> list[Path]:
    """Write the figures of the networks as PNG files; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for table, kind in ((TrialPlot, "trials"), (FixedPointPlot, "fixed_points")):
        query = table() if restriction is None else table & restriction
        for row in query.to_dicts():
            tail = row.get("validation_name") or row.get("search_name")
            name = f"{row['task_name']}_{row['network_name']}_{row['training_name']}"
            path = folder / f"{name}_seed{row['seed']}_{kind}_{tail}.png"
            row["figure"].save(path)
            written.append(path)
    return written
