"""What one row costs beyond its computation: DataJoint, job reservation, fetching and inserting.

    python benchmarks/populate_overhead.py [--rows 60] [--rounds 3]

Uses the server that DJ_HOST and its kin name, the embedded database otherwise, and schemas of its
own, which it drops. Reported: milliseconds a row of `populate(reserve_jobs=True)` and of
`populate()` on Validation, less the time inside the scoring itself; median over rounds.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time

import pipeline
from models import PerformanceAnalyzer
from pipeline.database import schemas

SUBMISSION = {
    "tasks": {
        "cddm": {
            "class": "CDDM",
            "n_steps": 20,
            "params": {"stim_on": 5, "dec_on": 14, "coherences": [-1.0, 1.0]},
        }
    },
    "networks": {"small": {"n_units": 10}},
    "trainings": {"short": {"max_iter": 1}},
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    computing = 0.0
    validate = PerformanceAnalyzer.validate

    def timed(self, *args, **kwargs):
        nonlocal computing
        began = time.perf_counter()
        result = validate(self, *args, **kwargs)
        computing += time.perf_counter() - began
        return result

    PerformanceAnalyzer.validate = timed
    with tempfile.TemporaryDirectory() as store:
        connection = pipeline.connect(prefix="rnn_benchmark", store=store)
        try:
            cohort = {"task": "cddm", "network": "small", "training": "short"}
            n = options.rows // 2  # each network is validated in two ways
            pipeline.submit({**SUBMISSION, "cohorts": [{**cohort, "n_networks": n}]})
            pipeline.Training.populate()
            costs: dict[bool, list[float]] = {True: [], False: []}
            for _ in range(options.rounds):
                for reserve in (True, False):
                    pipeline.Validation.delete_quick()
                    pipeline.Validation.jobs.delete_quick()
                    computing = 0.0
                    began = time.perf_counter()
                    pipeline.Validation.populate(reserve_jobs=reserve)
                    spent = time.perf_counter() - began - computing
                    costs[reserve].append(1e3 * spent / (2 * n))
            for reserve, values in costs.items():
                name = "with job reservation" if reserve else "without reservation"
                print(
                    f"{connection.adapter.backend}, {name}: {statistics.median(values):.1f} ms a "
                    f"row (from {min(values):.1f} to {max(values):.1f}, {2 * n} rows)"
                )
        finally:
            schemas.drop()
            pipeline.disconnect()


if __name__ == "__main__":
    main()
