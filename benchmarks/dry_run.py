"""How near `rnn submit --dry-run` comes to the time that trainings take, on three sweeps.

    python benchmarks/dry_run.py [--seconds 20] [--cpu-time]

Uses the server that DJ_HOST and its kin name, the embedded database otherwise, and schemas of its
own, which it drops. Each sweep is estimated by iterations that are measured here, then trained by
one worker; then as many networks with other seeds are estimated by the trainings that are stored,
and trained. The number of iterations is such that each takes about so many seconds.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from typing import Any

import pipeline
from pipeline.database import schemas

MOST_RATIO = 1.5
TASK = {"class": "NBitFlipFlop", "n_steps": 100, "params": {"n_bits": 2, "pulse": 5}}
# Sets to begin with, and what varies.
SWEEPS: dict[str, dict[str, Any]] = {
    "penalty_by_rate": {
        "network": {"n_units": 50},
        "vary": {
            "training.lr": [0.001, 0.003, 0.01],
            "training.penalties.metabolic.weight": [0.01, 0.1],
        },
        "n_networks": 2,
    },
    "size": {
        "network": {"n_units": 50, "activation": "tanh"},
        "vary": {"network.n_units": [20, 50, 100]},
        "n_networks": 4,
    },
    "trial_length": {
        "network": {"n_units": 30, "dale": True},
        "vary": {"task.n_steps": [50, 100, 200]},
        "n_networks": 1,
    },
}


def submission(name: str, max_iter: int, first_seed: int) -> dict[str, Any]:
    """Return the submission of a sweep."""
    given = dict(SWEEPS[name])
    network = given.pop("network")
    return {
        "tasks": {"flip_flop": TASK},
        "networks": {name: network},
        "trainings": {f"{name}_base": {"max_iter": max_iter}},
        "sweeps": {
            name: {"task": "flip_flop", "network": name, "training": f"{name}_base", **given,
                   "first_seed": first_seed}
        },
    }  # fmt: skip


def trained(given: dict[str, Any]) -> float:
    """Submit and train; return the time of the one worker (s)."""
    pipeline.submit(given)
    began = time.perf_counter()
    filled = pipeline.fill([pipeline.Training])
    assert filled.made and not filled.errors, filled
    return time.perf_counter() - began


def main() -> None:
    """Measure and print; fail where an estimate is too far off."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=20.0, help="about, of each sweep")
    parser.add_argument(
        "--cpu-time", action="store_true",
        help="count the seconds of this process only: where others use the machine meanwhile",
    )  # fmt: skip
    options = parser.parse_args()
    if options.cpu_time:
        time.perf_counter = time.process_time
    far = []
    with tempfile.TemporaryDirectory() as store:
        pipeline.connect(prefix="rnn_dry_run", store=store)
        try:
            print("sweep, judged by: estimate (s), truth (s), their ratio")
            for name in SWEEPS:
                _, cost = pipeline.dry_run(submission(name, 100, 0))
                max_iter = max(round(100 * options.seconds / cost.time_with(1)), 20)
                for source, seed in (("iterations measured", 0), ("trainings stored", 100)):
                    given = submission(name, max_iter, seed)
                    _, cost = pipeline.dry_run(given)
                    estimate = cost.time_with(1)
                    truth = trained(given)
                    ratio = estimate / truth
                    print(f"{name}, {source}: {estimate:.1f}, {truth:.1f}, {ratio:.2f}", flush=True)
                    if not 1 / MOST_RATIO <= ratio <= MOST_RATIO:
                        far.append(f"{name}, {source}")
        finally:
            schemas.drop()
            pipeline.disconnect()
    if far:
        raise SystemExit(f"further off than a factor of {MOST_RATIO}: {'; '.join(far)}")


if __name__ == "__main__":
    main()
