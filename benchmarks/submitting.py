"""How long entering takes: points of sweeps, and cohorts beside many of the same parameters.

    python benchmarks/submitting.py [--points 1000 4000 10000] [--cohorts 500 1000 2000]

Uses the server that DJ_HOST and its kin name, the embedded database otherwise, and schemas of its
own, which it drops. Each sweep has two axes and a name of its own; the cohorts are entered one
after the other into one database, as further seeds of one set of parameters.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from typing import Any

import pipeline
from pipeline.database import schemas

SETS: dict[str, Any] = {
    "tasks": {"memory": {"class": "NBitFlipFlop", "n_steps": 20, "params": {"pulse": 3}}},
    "networks": {"n8": {"n_units": 8}},
    "trainings": {"base": {"max_iter": 3, "penalties": {"metabolic": {"weight": 0.1}}}},
}
NAMES = {"task": "memory", "network": "n8", "training": "base"}


def sweep(n_points: int) -> dict[str, Any]:
    """Return a submission of a sweep of about so many points, a grid that is nearly square."""
    side = math.isqrt(n_points)
    vary = {
        "training.lr": {"log": [1e-4, 1e-1], "n": n_points // side},
        "network.sigma_rec": {"linear": [0.01, 0.2], "n": side},
    }
    return {**SETS, "sweeps": {f"of_{n_points}": {**NAMES, "vary": vary}}}


def further_cohorts(first: int, number: int) -> dict[str, Any]:
    """Return a submission of so many cohorts of one network each."""
    cohorts = [
        {**NAMES, "first_seed": seed, "n_networks": 1} for seed in range(first, first + number)
    ]
    return {**SETS, "cohorts": cohorts}


def timed(submission: dict[str, Any]) -> tuple[float, dict[str, int]]:
    """Submit; return the time that it took (s), and what was new."""
    began = time.perf_counter()
    new = pipeline.submit(submission)
    return time.perf_counter() - began, new


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, nargs="*", default=[1000, 4000, 10_000])
    parser.add_argument("--cohorts", type=int, nargs="*", default=[500, 1000, 2000])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as store:
        pipeline.connect(prefix="rnn_benchmark", store=store)
        try:
            pipeline.submit(SETS)  # what is loaded at the first submission is loaded
            first = 0
            for number in options.cohorts:
                seconds, _ = timed(further_cohorts(first, number))
                first += number
                print(f"{number} cohorts: {seconds:.1f} s, {1e3 * seconds / number:.2f} ms each")
            for number in options.points:
                seconds, new = timed(sweep(number))
                count = new["sweep points"]
                print(f"{count} points: {seconds:.1f} s, {1e3 * seconds / count:.2f} ms each")
        finally:
            schemas.drop()
            pipeline.disconnect()


if __name__ == "__main__":
    main()
