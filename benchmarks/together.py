"""What training several cohorts as one batch brings, on CPUs.

    python benchmarks/together.py [--sweep] [--sizes] [--rounds 3] [--points 64] [--iterations 300]
                                  [--units 50] [--workers 2] [--write FILE]

``--sweep``: a sweep of so many points of one network each (learning rate by a penalty's weight by
noise; 32 trials of 60 steps, two penalties), done by workers that wait for it, with
``--together=auto`` and with ``--together=1``, in turns: seconds from the submission until all rows
are there, and the workers' processor time meanwhile. Uses the server that DJ_HOST and its kin name,
the embedded database otherwise, and schemas of its own, which it drops.

``--sizes``: without a database, the processor's time of an iteration of one network in a cohort of
its own, beside that of one of 16 cohorts together, by units, trials and steps; medians over rounds,
in turns. It decides `models.training.together.PAYS_UP_TO`.

Both by default.
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
from pathlib import Path
from typing import Any

import pipeline
from models import CohortSettings, NetworkConfig, TrainingConfig, train_together
from pipeline.database import schemas
from pipeline.workers.registry import Worker
from pipeline.workers.status import worker_status
from tasks_lib import NBitFlipFlop, Task

PENALTIES = {"metabolic": {"weight": 0.1}, "fr_magnitude": {"weight": 0.1}}
SIZES = [(20, 32, 60), (50, 32, 60), (100, 32, 60), (50, 32, 140), (50, 64, 140), (100, 64, 140)]
AT_ONCE = 16
PREFIX = "rnn_benchmark"


def sweep(n_points: int, n_units: int, iterations: int) -> dict[str, Any]:
    """Return a submission of a sweep of so many points, a multiple of four."""
    vary = {
        "training.lr": {"log": [1e-3, 1e-2], "n": n_points // 4},
        "training.penalties.metabolic.weight": [0.1, 0.3],
        "network.sigma_rec": [0.03, 0.1],
    }
    task = {"class": "NBitFlipFlop", "n_steps": 60, "params": {"pulse": 5, "batch_size": 32}}
    return {
        "tasks": {"memory": task},
        "networks": {"net": {"n_units": n_units, "activation": "tanh"}},
        "trainings": {"base": {"max_iter": iterations, "penalties": PENALTIES}},
        "sweeps": {
            "points": {"task": "memory", "network": "net", "training": "base", "vary": vary}
        },
    }


def processor_seconds(pid: int) -> float:
    """Return the processor time that a process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def time_sweep(together: str, options: argparse.Namespace) -> dict[str, float]:
    """Have a sweep done by workers; return the seconds and the processor's seconds."""
    with tempfile.TemporaryDirectory() as store:
        pipeline.connect(prefix=PREFIX, store=store)
        environment = {**os.environ, "RNN_PREFIX": PREFIX, "RNN_STORE": store}
        command = [sys.executable, "-m", "rnn_start", "worker", "--forever", "--quiet"]
        command += ["--table=Training", "--device=cpu", f"--together={together}", "--heartbeat=0.5"]
        workers = [subprocess.Popen(command, env=environment) for _ in range(options.workers)]
        try:
            while sum(w.state == "idle" for w in worker_status()) < options.workers:
                time.sleep(0.1)
            before = sum(processor_seconds(w.pid) for w in workers)
            began = time.perf_counter()
            pipeline.submit(sweep(options.points, options.units, options.iterations))
            while len(pipeline.Training()) < options.points:
                time.sleep(0.1)
            found = {
                "seconds": time.perf_counter() - began,
                "processor_seconds": sum(processor_seconds(w.pid) for w in workers) - before,
                "most_together": float(max(pipeline.Training.to_arrays("n_together"))),
            }
        finally:
            for worker in workers:
                worker.terminate()
            for worker in workers:
                worker.wait()
            Worker.delete_quick()
            schemas.drop()
            pipeline.disconnect()
    return found


def compare_sweeps(options: argparse.Namespace) -> dict[str, Any]:
    """Measure the sweep both ways, in turns, and print."""
    found: dict[str, list[dict[str, float]]] = {"auto": [], "1": []}
    for _ in range(options.rounds):
        for together, measured in found.items():
            measured.append(time_sweep(together, options))
            print(f"--together={together}: {measured[-1]}", flush=True)
    result: dict[str, Any] = {}
    for unit in ("seconds", "processor_seconds"):
        for together, measured in found.items():
            result[f"{unit}, --together={together}"] = statistics.median(m[unit] for m in measured)
        pairs = zip(found["1"], found["auto"], strict=True)
        result[f"{unit}, ratio"] = statistics.median(a[unit] / b[unit] for a, b in pairs)
    for name, value in result.items():
        print(f"{options.points} points of {options.units} units: {name} {value:.2f}")
    return result


def compare_sizes(options: argparse.Namespace) -> list[dict[str, float]]:
    """Measure an iteration alone and among others, by size, and print."""
    rows = []
    for n_units, n_trials, n_steps in SIZES:

        def task(seed: int, n: int = n_steps, b: int = n_trials) -> NBitFlipFlop:
            return NBitFlipFlop(n, batch_size=b, seed=seed)

        network = NetworkConfig(n_units=n_units, activation="tanh", sigma_rec=0.05)
        alone, among = [], []
        for _ in range(options.rounds + 1):  # the first is not counted
            alone.append(each_iteration(task, network, 1, options.size_iterations))
            among.append(each_iteration(task, network, AT_ONCE, options.size_iterations))
        row = {
            "units": n_units, "trials": n_trials, "steps": n_steps,
            "values": n_units * n_trials * n_steps,
            "alone_ms": 1e3 * statistics.median(alone[1:]),
            "among_ms": 1e3 * statistics.median(among[1:]),
            "ratio": statistics.median(a / b for a, b in zip(alone[1:], among[1:], strict=True)),
        }  # fmt: skip
        rows.append(row)
        print(
            f"{n_units} units, {n_trials} trials, {n_steps} steps ({row['values']} values): "
            f"{row['alone_ms']:.2f} ms alone, {row['among_ms']:.2f} ms among {AT_ONCE}, "
            f"ratio {row['ratio']:.2f}",
            flush=True,
        )
    return rows


def each_iteration(
    task: Callable[[int], Task], network: NetworkConfig, n_cohorts: int, iterations: int
) -> float:
    """Return the processor's seconds of one iteration of one network, among so many cohorts.

    What a training takes beside its iterations is left out: the time of a short one is subtracted.
    """
    taken = []
    for number in (2, 2 + iterations):
        training = TrainingConfig(max_iter=number, penalties=PENALTIES)
        cohorts = [CohortSettings(task, network, training, [s]) for s in range(n_cohorts)]
        began = time.process_time()
        results = [result for _, result in train_together(cohorts, "cpu")]
        taken.append(time.process_time() - began)
        assert None not in results
    return (taken[1] - taken[0]) / (n_cohorts * iterations)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sweep", action="store_true")
    parser.add_argument("--sizes", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--points", type=int, default=64)
    parser.add_argument("--iterations", type=int, default=300)
    parser.add_argument("--size-iterations", type=int, default=40)
    parser.add_argument("--units", type=int, default=50)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    every = not (options.sweep or options.sizes)
    result: dict[str, Any] = {"options": {k: str(v) for k, v in vars(options).items()}}
    if options.sizes or every:
        result["sizes"] = compare_sizes(options)
    if options.sweep or every:
        result["sweep"] = compare_sweeps(options)
    if options.write is not None:
        options.write.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
