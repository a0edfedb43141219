"""How long the figures take that workers draw: a trial plot, and fixed points in 2D and 3D.

    python benchmarks/figures.py [--before REVISION] [--rounds 7] [--write FILE]

Drawing and writing the PNG file, as a job does it, of a network of 50 units on context-dependent
decisions; medians of CPU seconds, of one process each, after one drawing that does not count. (The
principal components are found once for both figures of fixed points, and are not among it.) With
``--before`` the code of another revision is measured in turns with this one.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
KINDS = ("trial plot", "fixed points, 2D", "fixed points, 3D")
GOAL = 0.2  # s a figure


def measure() -> dict[str, dict[str, float]]:
    """Return CPU seconds, wall seconds and bytes of each kind, with the code that is imported."""
    import numpy as np

    import models
    from pipeline.store.codecs import to_png
    from tasks_lib import CDDM

    rng = np.random.default_rng(0)
    n = 50
    rnn = models.RNNNumpy(
        W_rec=0.3 * rng.standard_normal((n, n)) / np.sqrt(n) + 0.9 * np.eye(n),
        W_inp=0.3 * rng.standard_normal((n, 6)), W_out=0.1 * rng.standard_normal((2, n)),
        activation="tanh",
    )  # fmt: skip
    task = CDDM(seed=0)
    analyser = models.DynamicSystemAnalyzer(rnn, task)
    sets = {name: analyser.get_fixed_points(name) for name in task.analysis_inputs}
    flow = {name: models.saddle_connections(rnn, found) for name, found in sets.items()}
    states = rnn.run(task.get_batch()[0])[0]
    shown: Any = states
    if hasattr(models, "figure_style"):
        shown = models.get_trials(rnn, task, max_trials=64)

    frame = models.Projection.principal(states)

    def trials() -> bytes:
        return to_png(models.PerformanceAnalyzer(rnn, task).plot_trials())

    def points(projection: str) -> bytes:
        return to_png(models.plot_fixed_points(sets, projection, frame, shown, flow))

    drawings: tuple[Callable[[], bytes], ...] = (
        trials,
        partial(points, "2D"),
        partial(points, "3D"),
    )
    return {name: _timed(draw) for name, draw in zip(KINDS, drawings, strict=True)}


def _timed(draw: Callable[[], bytes]) -> dict[str, float]:
    draw()
    cpu, wall = [], []
    for _ in range(5):
        began, began_wall = time.process_time(), time.perf_counter()
        content = draw()
        cpu.append(time.process_time() - began)
        wall.append(time.perf_counter() - began_wall)
    size = len(content) / 1000
    return {"cpu": statistics.median(cpu), "wall": statistics.median(wall), "kB": size}


def _measured(root: Path) -> dict[str, dict[str, float]]:
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", __file__, "--measure"]
    done = subprocess.run(
        command, env=environment, cwd=root, check=True, capture_output=True, text=True
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--before", metavar="REVISION")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--write", type=Path)
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure()))
        return
    with tempfile.TemporaryDirectory() as folder:
        roots = {"now": ROOT}
        if options.before:
            archive = subprocess.run(
                ["git", "-C", str(ROOT), "archive", options.before], check=True, capture_output=True
            ).stdout
            subprocess.run(["tar", "-x", "-C", folder], input=archive, check=True)
            roots = {"before": Path(folder), **roots}
        rounds: dict[str, list[dict[str, dict[str, float]]]] = {name: [] for name in roots}
        for number in range(options.rounds):
            for name in roots if number % 2 else reversed(roots):
                rounds[name].append(_measured(roots[name]))
    result = {
        kind: {
            f"{name}, {what}": round(statistics.median(r[kind][what] for r in found), 3)
            for name, found in rounds.items()
            for what in ("cpu", "wall", "kB")
        }
        for kind in KINDS
    }
    text = json.dumps({"rounds": options.rounds, "before": options.before, **result}, indent=1)
    print(text)
    if options.write:
        options.write.write_text(text + "\n")


if __name__ == "__main__":
    main()
