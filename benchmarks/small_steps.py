"""CPU time of a training iteration that has next to nothing to compute: Python and torch's calls.

    python benchmarks/small_steps.py [--rounds 7] [--iterations 400] [--before FOLDER]
        [--write FILE]

Networks of 10 units on 2 trials of 6 steps: the loops take microseconds, and what is measured lies
beside them. The CPU time of the process is taken, which depends less on what else the machine does
than the time on the clock; medians over rounds of the median over blocks of iterations. Every round
of every case is a process of its own. ``--before``: a checkout of an earlier version, measured in
turns with this one. The goal is that of the first case. The last line is a training's end: 16
networks with 4 terms after 100,000 iterations give their curves.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parents[1]
GOAL_MS, CURVES_GOAL_S = 1.0, 1.0
BLOCK = 50  # iterations between two readings of the clock
ONE = {"metabolic": {"weight": 0.1}}
FOUR = {
    **ONE,
    "fr_magnitude": {"weight": 0.1},
    "fr_inequality": {"weight": 0.1},
    "rec_weights_magnitude": {"weight": 0.1},
}
# Name -> number of networks and settings of the training.
CASES: dict[str, tuple[int, dict[str, Any]]] = {
    "4 networks, 1 penalty, monitored": (4, {"penalties": ONE, "monitor": True}),
    "1 network": (1, {}),
    "4 networks": (4, {}),
    "16 networks": (16, {}),
    "16 networks, 1 penalty, monitored": (16, {"penalties": ONE, "monitor": True}),
    "4 networks, 4 penalties": (4, {"penalties": FOUR}),
    "4 networks, 4 penalties, monitored": (4, {"penalties": FOUR, "monitor": True}),
    "4 networks, noise everywhere": (4, {}),
}
CURVES = "curves of 16 networks, 4 terms, 100,000 iterations"


def measure(case: str, iterations: int) -> float:
    """Return the median CPU seconds of an iteration, in this process."""
    import torch

    from models import NetworkConfig, RNNTorch, Trainer, TrainingConfig
    from tasks_lib import NBitFlipFlop

    torch.set_num_threads(1)
    n_networks, settings = CASES[case]
    noise = 0.1 if "noise" in case else 0.0
    network = NetworkConfig(n_units=10, sigma_rec=noise, sigma_inp=noise, sigma_out=noise)
    rnn = RNNTorch.from_config(network, 2, 2, seed=list(range(n_networks)))
    task = NBitFlipFlop(n_steps=6, n_bits=2, pulse=1, mu=2, batch_size=2, seed=0)
    trainer = Trainer(rnn, task, TrainingConfig(max_iter=10**6, **settings))
    blocks = []
    with trainer._threads():
        for _ in range(BLOCK):  # compiling, and everything that is made once
            trainer._iterate()
        for _ in range(max(1, iterations // BLOCK)):
            began = time.process_time()
            for _ in range(BLOCK):
                trainer._iterate()
            blocks.append((time.process_time() - began) / BLOCK)
    return statistics.median(blocks)


def measure_curves() -> float:
    """Return the CPU seconds that the curves of a long training take at its end."""
    import numpy as np
    import torch

    from models.training.record import TrainingRecord

    names = [f"{kind}.{i}" for kind in ("loss", "gradient") for i in range(4)]
    record = TrainingRecord(16, names)
    arrays = record.arrays()
    arrays |= {
        "iteration": np.array(100_000),
        "n_losses": np.full(16, 100_000),
        "curves": np.zeros((1 + len(names), 16, 100_000), np.float32),
    }
    try:
        record.load(arrays)
    except TypeError:  # of earlier versions
        record.load(arrays, torch.device("cpu"))
    began = time.process_time()
    for i in range(16):
        record.loss_curve(i)
        for kind in ("loss", "gradient"):
            record.term_curves(i, kind, ["0", "1", "2", "3"])
    return time.process_time() - began


def in_a_process(checkout: Path, case: str, iterations: int) -> float:
    """Return what a process with the code of a checkout measures."""
    found = subprocess.run(
        [sys.executable, "-P", __file__, "--only", case, "--iterations", str(iterations)],
        env={**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(json.loads(found.stdout.splitlines()[-1]))


def page(figures: dict[str, dict[str, list[float]]], rounds: int, iterations: int) -> str:
    """Return the figures as a page of Markdown; seconds by version, then by case."""
    versions = list(figures)
    lines = [
        "# Small steps",
        "",
        "CPU time of a training iteration of networks of 10 units on 2 trials of 6 steps: medians "
        f"(least to most) of {rounds} rounds of `python benchmarks/small_steps.py --iterations "
        f"{iterations}`, {os.cpu_count()} CPUs ({platform.machine()}), Python "
        f"{platform.python_version()}.",
        "",
        "| | " + " | ".join(f"{version}, ms" for version in versions) + " | goal, ms |",
        "| --- |" + " ---: |" * (len(versions) + 1),
    ]
    for number, case in enumerate(CASES):
        each = [_figures(figures[version][case], 1e3) for version in versions]
        lines.append(f"| {case} | {' | '.join(each)} | {GOAL_MS if number == 0 else ''} |")
    each = [_figures(figures[version][CURVES], 1.0) for version in versions]
    lines += [
        "",
        "A training's end, seconds:",
        "",
        "| | " + " | ".join(f"{version}, s" for version in versions) + " | goal, s |",
        "| --- |" + " ---: |" * (len(versions) + 1),
        f"| {CURVES} | {' | '.join(each)} | {CURVES_GOAL_S} |",
        "",
    ]
    return "\n".join(lines)


def _figures(values: list[float], factor: float) -> str:
    low, mid, high = (f(values) * factor for f in (min, statistics.median, max))
    return f"{mid:.2f} ({low:.2f}-{high:.2f})"


def main() -> None:
    """Measure, print, and write the page if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--iterations", type=int, default=400)
    parser.add_argument("--before", type=Path, help="a checkout of an earlier version")
    parser.add_argument("--write", type=Path, help="file of Markdown to write")
    parser.add_argument("--only", choices=[*CASES, CURVES], help="one case, in this process")
    args = parser.parse_args()
    if args.only is not None:
        found = measure_curves() if args.only == CURVES else measure(args.only, args.iterations)
        print(json.dumps(found))
        return
    checkouts = {"now": HERE}
    if args.before is not None:
        checkouts = {"before": args.before.resolve(), **checkouts}
    figures: dict[str, dict[str, list[float]]] = {version: {} for version in checkouts}
    for number in range(args.rounds):
        for case in [*CASES, CURVES]:
            for version, checkout in checkouts.items():
                found = in_a_process(checkout, case, args.iterations)
                figures[version].setdefault(case, []).append(found)
        print(f"round {number + 1} of {args.rounds}", file=sys.stderr, flush=True)
    text = page(figures, args.rounds, args.iterations)
    print(text)
    if args.write is not None:
        args.write.write_text(text)


if __name__ == "__main__":
    main()
