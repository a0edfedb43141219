"""How long `rnn report` takes for 1,000 networks, and how large it is.

    python benchmarks/report.py [--networks 1000] [--write FILE]

Ten networks are trained and analysed in full: scores, pictures, psychometric curves, fixed points,
linearisations, line attractors, populations, clusters, subspaces, an intervention, Lyapunov
exponents and basins. Their rows are then copied under other seeds until there are as
many as wanted; copies share the files of the store. It uses the server that DJ_HOST and its kin
name, the embedded database otherwise, and schemas of its own, which it drops.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datajoint as dj

import pipeline
from pipeline.database import schemas
from pipeline.database.connection import connection
from pipeline.report.write import Report, write_report
from pipeline.tables.clusters import Clusters
from pipeline.tables.computed import COMPUTED
from pipeline.tables.fixed_point_plots import FixedPointPlot
from pipeline.tables.fixed_points import FixedPoints
from pipeline.tables.interventions import Intervention
from pipeline.tables.line_attractors import LineAttractor
from pipeline.tables.linearization import Linearization
from pipeline.tables.lyapunov import Basins, Lyapunov
from pipeline.tables.populations import Population
from pipeline.tables.subspaces import SelectionAngle, Subspaces

EACH = 10  # networks of a cohort
LIMIT_S, LIMIT_MB = 120.0, 5.0  # of 1,000 networks
SUBMISSION = {
    "tasks": {
        "cddm": {"class": "CDDM", "n_steps": 40, "params": {"stim_on": 10, "dec_on": 30}},
    },
    "networks": {"relu_dale": {"n_units": 20, "dale": True, "activation": "relu", "tau": 5.0}},
    "trainings": {
        "short": {
            "max_iter": 100,
            "lr": 0.02,
            "trace_interval": 20,
            "penalties": {"metabolic": {"weight": 0.001}},
        }
    },
    "cohorts": [{"task": "cddm", "network": "relu_dale", "training": "short", "n_networks": EACH}],
}
# Name, seconds by the clock and of this process's processor time, report, and the sizes of figures
# and of everything else (MB).
Case = tuple[str, tuple[float, float], Report, tuple[float, float]]
FILLED = (
    pipeline.Training, pipeline.Validation, pipeline.TrialPlot, pipeline.Psychometric, FixedPoints,
    Linearization, FixedPointPlot, LineAttractor, Population, Clusters, Subspaces, SelectionAngle,
    Intervention, Lyapunov, Basins,
)  # fmt: skip


def copy_rows(table: type[Any], shift: int) -> None:
    """Copy the rows of the first cohort to one whose seeds are larger."""
    quote = connection().adapter.quote_identifier
    names = list(table().heading.names)
    values = [
        f"{quote(name)} + {shift}" if name in ("first_seed", "seed") else quote(name)
        for name in names
    ]
    source = table().full_table_name
    connection().query(
        f"INSERT INTO {source} ({', '.join(map(quote, names))}) "
        f"SELECT {', '.join(values)} FROM {source} WHERE {quote('first_seed')} = 0"
    )


def tables() -> list[type[Any]]:
    """Return the tables with rows of networks, parents first."""
    found: list[type[Any]] = [pipeline.Cohort]
    for table in COMPUTED:
        parts = [
            part
            for part in vars(table).values()
            if isinstance(part, type) and issubclass(part, dj.Part)
        ]
        found += [table, *parts]
    return [table for table in found if "first_seed" in table().heading.names]


def make_rows(n_networks: int) -> None:
    """Train and analyse ten networks, and copy their rows."""
    pipeline.submit(SUBMISSION)
    done = pipeline.fill(FILLED)
    if done.errors:
        sys.exit(str(done.errors))
    with connection().transaction:
        for number in range(1, n_networks // EACH):
            for table in tables():
                copy_rows(table, number * EACH)


def megabytes(folder: Path) -> tuple[float, float]:
    """Return the size of the figures of a report, and of everything else."""
    sizes = {True: 0, False: 0}
    for path in folder.rglob("*"):
        if path.is_file():
            is_figure = path.relative_to(folder).parts[0] in ("figures", "thumbnails")
            sizes[is_figure] += path.stat().st_size
    return sizes[True] / 1e6, sizes[False] / 1e6


def measure(folder: Path, write_down: Callable[[list[Case]], object]) -> None:
    """Measure, and have what is measured so far written down after each case."""
    rows: list[Case] = []

    def timed(name: str, out: Path, write: Callable[[], Report]) -> None:
        began = time.perf_counter(), time.process_time()
        report = write()
        seconds = time.perf_counter() - began[0], time.process_time() - began[1]
        rows.append((name, seconds, report, megabytes(out)))
        print(f"{name}: {seconds[0]:.1f} s, {seconds[1]:.1f} s of the processor, "
              f"{report.n_written} files", flush=True)  # fmt: skip
        write_down(rows)

    bare, whole = folder / "bare", folder / "whole"
    timed("numbers alone (`--no-figures`)", bare, lambda: write_report(bare, figures=False))
    timed("the same again, nothing changed", bare, lambda: write_report(bare, figures=False))
    timed("with copies of all figures", whole, lambda: write_report(whole, draw=False))
    timed("the same again, nothing changed", whole, lambda: write_report(whole, draw=False))
    (pipeline.Validation & {"first_seed": 0}).delete(prompt=False)
    timed("the same, scores of ten networks gone", whole,
          lambda: write_report(whole, draw=False))  # fmt: skip
    drawn, few = folder / "drawn", {"first_seed": 0}
    timed("ten networks, with figures of analyses", drawn, lambda: write_report(drawn, few))


def page(rows: list[Case], backend: str) -> str:
    """Return the results as a page."""
    n = rows[0][2].n_networks
    machine = f"{os.cpu_count()} CPUs ({platform.machine()}), Python {platform.python_version()}"
    lines = [
        "# Reports",
        "",
        f"`python benchmarks/report.py`, {machine}, {backend}: {n} networks of "
        f"{rows[0][2].n_cohorts} cohorts, each with scores, pictures, psychometric curves, fixed "
        "points, linearisations, line attractors, populations, clusters, subspaces, an "
        "intervention, Lyapunov exponents and basins. Pages: everything but figures and small "
        "pictures; figures of analyses are not drawn, but for the last line. Goal for 1,000 "
        f"networks, without figures: {LIMIT_S:.0f} s, and {LIMIT_MB:.0f} MB, which are met "
        "without the analyses from populations on (4.95 MB) and missed with them. "
        "Seconds of the processor are those of the program; the server's are not among them.",
        "",
        "|  | seconds | of the processor | files written | pages, MB | figures, MB |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, seconds, report, (figures, pages) in rows:
        lines.append(
            f"| {name} | {seconds[0]:.1f} | {seconds[1]:.1f} | {report.n_written} | {pages:.2f} | "
            f"{figures:.0f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and print; write the page where asked to."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--networks", type=int, default=1000)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="rnn"))
    os.environ.setdefault("RNN_HOME", str(folder / "home"))
    (folder / "store").mkdir()
    pipeline.connect(prefix=f"bench{os.getpid()}", store=folder / "store")
    try:
        make_rows(options.networks)
        backend = connection().adapter.backend

        def write_down(rows: list[Case]) -> None:
            if options.write is not None:
                options.write.write_text(page(rows, backend), encoding="utf-8")

        measure(folder, write_down)
    finally:
        schemas.drop()
        pipeline.disconnect()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
