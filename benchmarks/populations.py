"""Seconds a network and peak memory of the analyses of populations; writes populations.md.

    python benchmarks/populations.py --networks 100 4

Networks are random (gain 1, tanh), on the decision task with its 300 steps: how long an analysis
takes does not depend on what was learnt. Each size and analysis is a process of its own, with one
thread; the first network, which imports libraries, is not counted. Memory is what the process has
at most, all libraries and the interpreter among it.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

PAGE = Path(__file__).with_suffix(".md")
SIZES = (100, 1000)
ANALYSES = (
    "population", "clusters", "subspaces", "intervention", "lyapunov", "basins", "latent_circuit",
)  # fmt: skip


# To fit a latent circuit takes a hundred times as long as the others.
FEW = {"latent_circuit": (10, 1)}


def random_network(n_units: int, seed: int) -> tuple[Any, Any]:
    """Return a network, and the task."""
    import numpy as np

    import models
    import tasks_lib

    task = tasks_lib.CDDM(seed=0)
    rng = np.random.default_rng(seed)
    rnn = models.RNNNumpy(
        W_rec=rng.standard_normal((n_units, n_units)) / np.sqrt(n_units),
        W_inp=rng.standard_normal((n_units, task.n_inputs)) / np.sqrt(n_units),
        W_out=rng.standard_normal((task.n_outputs, n_units)) / np.sqrt(n_units),
        activation="tanh",
        sigma_rec=0.03,
        seed=seed,
    )
    return rnn, task


def analyse(analysis: str, rnn: Any, task: Any) -> None:
    """Make one analysis."""
    import numpy as np

    import models

    if analysis == "basins":
        starts = np.random.default_rng(0).standard_normal((200, rnn.n_units))
        models.get_basins(rnn, np.zeros(task.n_inputs), np.zeros((1, rnn.n_units)), starts)
    elif analysis == "intervention":
        models.intervene(rnn, task)
    elif analysis == "latent_circuit":
        models.fit_latent_circuit(rnn, task)
    else:
        getattr(models, f"get_{analysis}")(rnn, task)


def run(analysis: str, n_units: int, n_networks: int) -> dict[str, float]:
    """Return seconds of processor time a network, and the peak of memory in MB."""
    times = []
    for seed in range(n_networks + 1):
        rnn, task = random_network(n_units, seed)
        started = time.process_time()
        analyse(analysis, rnn, task)
        times.append(time.process_time() - started)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": median(times[1:]), "megabytes": peak}


def measured(analysis: str, n_units: int, n_networks: int) -> dict[str, float]:
    """Return what a process of its own has measured."""
    words = [sys.executable, __file__, "--one", analysis, str(n_units), str(n_networks)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, capture_output=True, text=True, check=True, env=environment)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def page(rows: dict[str, list[dict[str, float]]], numbers: list[int]) -> str:
    """Return the page."""
    lines = [
        "# Speed of the analyses of populations",
        "",
        f"Made by `benchmarks/populations.py --networks {numbers[0]} {numbers[1]}`: seconds of "
        "processor time a network on one thread (median), and the peak of memory of the whole "
        f"process, for {numbers[0]} networks of 100 units and {numbers[1]} of 1,000, on the "
        "decision task of 300 steps, default settings.",
        "",
        "| analysis | N 100, s | MB | N 1000, s | MB |",
        "|---|---|---|---|---|",
    ]
    for analysis, cells in rows.items():
        values = " | ".join(f"{c['seconds']:.2f} | {c['megabytes']:.0f}" for c in cells)
        lines.append(f"| {analysis} | {values} |")
    lines += [
        "",
        "Of large networks fewer trials are run ([why](../docs/populations.md#the-trials)): one "
        "array of activity takes 0.2 GB at most, and a few of them are held at a time.",
        *(
            f"{analysis.replace('_', ' ').capitalize()}s are those of {few[0]} networks and of "
            f"{few[1]} at most."
            for analysis, few in FEW.items()
            if analysis in rows
        ),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", type=int, nargs=2, default=[100, 4])
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        analysis, n_units, n_networks = arguments.one
        print(json.dumps(run(analysis, int(n_units), int(n_networks))))
        return
    rows = {}
    for analysis in ANALYSES:
        most = FEW.get(analysis, arguments.networks)
        pairs = zip(SIZES, map(min, arguments.networks, most), strict=True)
        rows[analysis] = [measured(analysis, size, number) for size, number in pairs]
        print(analysis, rows[analysis], flush=True)
        # After each: what has been measured is kept, whatever ends the rest.
        PAGE.write_text(page(rows, arguments.networks), encoding="utf-8")


if __name__ == "__main__":
    main()
