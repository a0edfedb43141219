"""Share of a training's processor time that traces and snapshots take, at their defaults.

    python benchmarks/traces.py [--blocks 5] [--write FILE]

Each case trains networks on the decision task, once with traces (every 100 iterations, the default)
and ten snapshots, and once without, block of 100 iterations by block in turns. What is measured is
the processor time of the process, one thread. ``beside``: medians over blocks of the time with
records by that without, less 1, which other load moves by some percent. ``inside``: the time that
passes in recording by that of the iterations around it, which is what the goal is of: 3 %.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

GOAL = 0.03
EVERY = 100
PENALTIES = {"metabolic": {"weight": 0.1}, "fr_magnitude": {"weight": 0.1}}
# Units, networks, trials for each pair of coherences, settings.
CASES: dict[str, tuple[int, int, dict[str, Any]]] = {
    "N 20, 4 networks": (20, 4, {}),
    "N 50, 4 networks, 2 penalties": (50, 4, {"penalties": PENALTIES}),
    "N 100": (100, 1, {}),
    "N 100, fresh batches": (100, 1, {"same_batch": False}),
    "N 400": (400, 1, {}),
}


def trainer_of(n_units: int, n_networks: int, settings: dict[str, Any]) -> Any:
    """Return a trainer; no training ends within the benchmark."""
    from models import NetworkConfig, RNNTorch, Trainer, TrainingConfig
    from tasks_lib import CDDM

    config = NetworkConfig(n_units=n_units, sigma_rec=0.05, sigma_inp=0.05)
    seeds = list(range(n_networks))
    tasks = [CDDM(n_steps=60, cue_on=0, cue_off=60, stim_on=15, stim_off=60, dec_on=30, dec_off=60,
                  seed=seed) for seed in seeds]  # fmt: skip
    rnn = RNNTorch.from_config(config, tasks[0].n_inputs, tasks[0].n_outputs, seed=seeds)
    return Trainer(rnn, tasks, TrainingConfig(max_iter=3000, **settings))


def timed(trainer: Any) -> tuple[float, float]:
    """Return the processor time of a block of iterations, and what of it went to records."""
    inside = 0.0
    record = type(trainer)._look_at_weights

    def timed_record() -> None:
        nonlocal inside
        began = time.process_time()
        record(trainer)
        inside += time.process_time() - began

    trainer._look_at_weights = timed_record
    began = time.process_time()
    for _ in range(EVERY):
        trainer._iterate()
    return time.process_time() - began, inside


def measure(case: str, blocks: int) -> tuple[float, float, float]:
    """Return ms of an iteration without records, and the share of records beside and inside."""
    from models.engine import torch_on_one

    n_units, n_networks, settings = CASES[case]
    with torch_on_one():
        traced = trainer_of(n_units, n_networks, {**settings, "snapshots": 10})
        bare = trainer_of(n_units, n_networks, {**settings, "trace_interval": 0})
        timed(traced), timed(bare)  # what is compiled and allocated once
        pairs = [(timed(traced), timed(bare)) for _ in range(blocks)]
    with_records = statistics.median(t for (t, _), _ in pairs)
    without = statistics.median(t for _, (t, _) in pairs)
    inside = statistics.median(i / (t - i) for (t, i), _ in pairs)
    return 1000 * without / EVERY, with_records / without - 1.0, inside


def main() -> None:
    """Measure, print, and write where asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--blocks", type=int, default=5)
    parser.add_argument("--cases", nargs="*", default=list(CASES))
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    lines = ["| case | ms an iteration | beside | inside | within 3 % |", "|---|---|---|---|---|"]
    for case in options.cases:
        each, beside, inside = measure(case, options.blocks)
        right = "yes" if inside <= GOAL else "no"
        lines.append(f"| {case} | {each:.2f} | {beside:+.1%} | {inside:.1%} | {right} |")
        print(lines[-1], flush=True)
    if options.write:
        options.write.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
