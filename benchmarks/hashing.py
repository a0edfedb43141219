"""What the hashes of stored files cost: of a training's job, and of one that reads a network.

    python benchmarks/hashing.py [--rounds 5] [--iterations 20] [--write FILE]

Uses the server that DJ_HOST and its kin name, the embedded database otherwise, and schemas of its
own, which it drops. Seconds inside the two functions that hash, as a share of the job's time, the
median over rounds. The trainings are far shorter than real ones, whose files are as large: the
share of a real one is that much smaller.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import pipeline
from pipeline.database import schemas
from pipeline.store import checked_files, codecs

SIZES = {"4 x 50": (50, 4), "16 x 100": (100, 16), "1 x 1000": (1000, 1)}  # units, networks
TASK = {
    "class": "CDDM",
    "n_steps": 60,
    "params": {"stim_on": 10, "dec_on": 40, "coherences": [-1.0, 0.0, 1.0]},
}


class Spent:
    """Seconds and bytes of hashing."""

    def __init__(self) -> None:
        self.seconds, self.n_bytes = 0.0, 0
        described, check = checked_files.described, checked_files._check

        def timed_writing(content: bytes) -> dict[str, Any]:
            began = time.perf_counter()
            result = described(content)
            self._add(began, len(content))
            return result

        def timed_reading(stored: Any, backend: Any, n_bytes: int, digest: Any) -> None:
            began = time.perf_counter()
            check(stored, backend, n_bytes, digest)
            self._add(began, n_bytes)

        codecs.described = timed_writing
        checked_files._check = timed_reading

    def _add(self, began: float, n_bytes: int) -> None:
        self.seconds += time.perf_counter() - began
        self.n_bytes += n_bytes


def measure(iterations: int, rounds: int, spent: Spent) -> list[dict[str, Any]]:
    """Do the jobs of each size, and return what of their time was hashing."""
    results = []
    for name, (n_units, n_networks) in SIZES.items():
        for table in (pipeline.Training, pipeline.Validation):
            shares, n_jobs, n_bytes, seconds = [], 0, 0, 0.0
            for number in range(rounds):
                cohort = {"task": "cddm", "network": f"n{n_units}", "training": "short"}
                cohort |= {"first_seed": 1000 * number, "n_networks": n_networks}
                pipeline.submit(
                    {
                        "tasks": {"cddm": TASK},
                        "networks": {f"n{n_units}": {"n_units": n_units}},
                        "trainings": {"short": {"max_iter": iterations}},
                        "cohorts": [cohort],
                    }
                )
                before = spent.seconds, spent.n_bytes
                began = time.perf_counter()
                made = pipeline.fill((table,)).made
                took = time.perf_counter() - began
                if made:
                    shares.append((spent.seconds - before[0]) / took)
                    n_jobs += made
                    n_bytes += spent.n_bytes - before[1]
                    seconds += spent.seconds - before[0]
            results.append(
                {
                    "networks x units": name,
                    "table": table.__name__,
                    "MB a job": round(n_bytes / n_jobs / 1e6, 3),
                    "hashing a job (ms)": round(1e3 * seconds / n_jobs, 3),
                    "hashing (ms a MB)": round(1e3 * seconds / (n_bytes / 1e6), 3),
                    "hashing (% of the job)": round(100 * statistics.median(shares), 3),
                }
            )
    return results


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--iterations", type=int, default=20)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as store:
        pipeline.connect(prefix="rnn_hashing", store=store)
        try:
            result = measure(options.iterations, options.rounds, Spent())
        finally:
            schemas.drop()
            pipeline.disconnect()
    text = json.dumps(result, indent=1)
    print(text)
    if options.write:
        options.write.write_text(text + "\n")


if __name__ == "__main__":
    main()
