"""What a worker adds to a training: heartbeats, reports and checkpoints; and how many threads pay.

    python benchmarks/worker_overhead.py [--rounds 5] [--seconds 6] [--threads] [--write FILE]

Uses the server that DJ_HOST and its kin name, the embedded database otherwise, and schemas of its
own, which it drops. The same training alone and as a worker's job, in turns in one process; the
ratio is the median over rounds. Checkpoints: the time to write one, as a share of the time from one
to the next, which is at least 60 s and a hundred times the writing, up to 600 s. ``--threads``: the
time of two trainings at once on one thread each, beside one after the other on two.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import pipeline
from models import NetworkConfig, TrainingConfig, train_cohort
from models.training.checkpoints import Schedule
from pipeline.database import schemas
from pipeline.workers.checkpoints import StoredCheckpoints
from pipeline.workers.job import Job
from pipeline.workers.queue import Queue
from pipeline.workers.reports import report_job
from pipeline.workers.worker import WorkLoop
from tasks_lib import CDDM, NBitFlipFlop

SIZES = {
    "16 networks of 50 units, flip-flop": (NBitFlipFlop(100, seed=0, batch_size=32), 50, 16),
    "2 networks of 200 units, CDDM": (CDDM(seed=0), 200, 2),
}


def train(name: str, iterations: int, **options: Any) -> float:
    """Train, and return the seconds that it took."""
    task, n_units, n_networks = SIZES[name]
    training = TrainingConfig(max_iter=iterations)
    began = time.perf_counter()
    train_cohort(
        task, NetworkConfig(n_units=n_units), training, range(n_networks), "cpu", **options
    )
    return time.perf_counter() - began


class Timed(StoredCheckpoints):
    """Checkpoints that note how long each writing takes, and how large the state is."""

    seconds: list[float]
    n_bytes: int

    def write(self, name: str, content: bytes) -> None:
        """Write, and note."""
        began = time.perf_counter()
        super().write(name, content)
        self.seconds.append(time.perf_counter() - began)
        self.n_bytes = len(content)


def overhead(name: str, rounds: int, seconds: float) -> dict[str, Any]:
    """Measure one size of training."""
    train(name, 3)
    iterations = max(int(seconds / (train(name, 10) / 10)), 10)
    loop = WorkLoop()
    loop.heartbeat.start()
    ratios = []
    try:
        for number in range(rounds):
            job = Job(
                Queue(pipeline.Training), {"round": number}, loop.heartbeat, threading.Event()
            )
            report_job(loop.heartbeat, job.queue, job.key)
            times = {}
            for kind in ("alone", "job") if number % 2 else ("job", "alone"):
                reporting = {"progress": job.report, "stop": job.must_stop}
                times[kind] = train(name, iterations, **(reporting if kind == "job" else {}))
            ratios.append(times["job"] / times["alone"])
    finally:
        loop.heartbeat.stop()
    kept = Timed("benchmark", "state")
    kept.seconds, kept.n_bytes = [], 0
    train(name, 20, checkpoints=kept, checkpoint_every=1)
    states = kept.seconds[1:]  # the first is the division into batches
    kept.remove()
    writing = statistics.median(states)
    return {
        "training": name,
        "iterations": iterations,
        "heartbeats and reports (%)": round(100 * (statistics.median(ratios) - 1), 2),
        "each round (%)": [round(100 * (ratio - 1), 2) for ratio in ratios],
        "state (MB)": round(kept.n_bytes / 1e6, 2),
        "writing it (ms)": round(1e3 * writing, 1),
        "checkpoints (%)": round(100 * writing / Schedule().pause(writing), 3),
    }


def threads(rounds: int, seconds: float) -> list[dict[str, Any]]:
    """Compare two processes of one thread with one process of two threads, twice the work."""
    results = []
    for name in SIZES:
        iterations = max(int(seconds / (train(name, 10) / 10)), 10)
        ratios = []
        for _ in range(rounds):
            two_by_two = sum(_run(name, iterations, 2) for _ in range(2))
            both = [_start(name, iterations, 1) for _ in range(2)]
            at_once = max(float(process.communicate()[0]) for process in both)
            ratios.append(two_by_two / at_once)
        results.append(
            {
                "training": name,
                "one worker of two threads / two workers of one": round(
                    statistics.median(ratios), 2
                ),
                "each round": [round(r, 2) for r in ratios],
            }
        )
    return results


def _start(name: str, iterations: int, number: int) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": str(number)}
    command = [sys.executable, __file__, "--train", name, "--iterations", str(iterations)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def _run(name: str, iterations: int, number: int) -> float:
    return float(_start(name, iterations, number).communicate()[0])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--threads", action="store_true")
    parser.add_argument("--write", type=Path)
    parser.add_argument("--train", help=argparse.SUPPRESS)
    parser.add_argument("--iterations", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.train:
        train(options.train, 3)
        print(train(options.train, options.iterations))
        return
    with tempfile.TemporaryDirectory() as store:
        pipeline.connect(prefix="rnn_overhead", store=store)
        try:
            result: dict[str, Any] = {
                "server": pipeline.database.connection.connection().adapter.backend,
                "overhead": [overhead(name, options.rounds, options.seconds) for name in SIZES],
            }
        finally:
            schemas.drop()
            pipeline.disconnect()
    if options.threads:
        result["threads"] = threads(options.rounds, options.seconds)
    text = json.dumps(result, indent=1)
    print(text)
    if options.write:
        options.write.write_text(text + "\n")


if __name__ == "__main__":
    main()
