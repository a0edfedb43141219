"""How complete the search for fixed points is and what it takes, beside other ways to search.

    python benchmarks/fixed_points.py [--networks DIR] [--finder PATH] [--seed-repo PATH]
                                      [--write benchmarks/fixed_points.md]

Trains the networks (ten 3-bit flip-flops of both forms, decision and memory networks) unless
``--networks`` has them, searches each with our defaults from several seeds, and with a loop over
scipy's fsolve, FixedPointFinder and trainRNNbrain's class (where checkouts are given) from as many
starts. All points that any of them found are what there is to find. Then 50 networks at 4 inputs
in one call, beside fsolve one by one. ``--device cuda`` adds a GPU to that.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fixed_point_benchmark import sides
from fixed_point_benchmark.networks import Case, all_cases, flip_flop_inputs, flip_flops
from fixed_point_benchmark.page import write_page

import tasks_lib
from models import DynamicSystemAnalyzer, get_fixed_points_of_many


def options_of(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", type=Path, default=Path("build/fixed_point_networks"))
    parser.add_argument(
        "--finder",
        type=Path,
        help="a checkout of FixedPointFinder: it takes "
        "minutes, and searches the first network of each kind",
    )
    parser.add_argument("--seed-repo", type=Path, help="a checkout of trainRNNbrain")
    parser.add_argument("--starts", type=int, default=1000, help="of the other sides")
    parser.add_argument("--seeds", type=int, default=3, help="searches of ours")
    parser.add_argument("--units", type=int, default=100, help="of the flip-flops")
    parser.add_argument("--flip-flops", type=int, default=5, help="of each equation form")
    parser.add_argument("--others", type=int, default=3, help="networks of each other task")
    parser.add_argument("--batch", type=int, default=50, help="networks analysed in one call")
    parser.add_argument("--batch-units", type=int, default=50)
    parser.add_argument("--device", help="a GPU for the batch, besides the CPU")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--write", type=Path, help="write a page, and its data beside it")
    return parser.parse_args(argv)


def one_input(case: Case, name: str, u: np.ndarray, opts: argparse.Namespace) -> dict[str, Any]:
    """Search one network at one input with every side."""
    runs = [sides.ours(case.rnn, case.task, u, seed) for seed in range(opts.seeds)]
    first = runs[0][1]
    outcomes = {
        "fsolve": sides.fsolve_loop(case.rnn, case.task, u, opts.starts),
        "fsolve without Jacobian": sides.fsolve_loop(case.rnn, case.task, u, opts.starts, False),
    }
    if opts.finder and (case.task is None or case.name.endswith(" 0")):
        outcomes["FixedPointFinder"] = sides.fixed_point_finder(
            opts.finder.resolve(), case.rnn, case.task, u, opts.starts
        )
    if opts.seed_repo and case.task is not None:
        outcomes["trainRNNbrain"] = sides.seed_analyzer(
            opts.seed_repo.resolve(), case.rnn, case.task, u
        )
    everything = [outcome.points for outcome, _ in runs] + [o.points for o in outcomes.values()]
    union = sides.distinct(np.vstack(everything)) if everything else np.empty((0, case.rnn.N))
    return {
        "network": case.name,
        "n_units": case.rnn.N,
        "input": name,
        "union": len(union),
        "ours": [len(outcome.points) for outcome, _ in runs],
        "seconds": float(np.median([outcome.seconds for outcome, _ in runs])),
        "by_index": {str(k): n for k, n in first.by_index().items()},
        "coverage": None if first.enumerated else min(found.coverage for _, found in runs),
        "index_sum": first.index_sum,
        "index_expected": first.index_expected,
        "status": sorted({found.status for _, found in runs}),
        "starts": [found.n_starts for _, found in runs],
        "residual": max((float(f.residual.max()) for _, f in runs if len(f)), default=None),
        "certified": float(np.isfinite(first.existence_radius).mean()) if len(first) else None,
        "others": {
            side: {"found": len(o.points), "seconds": o.seconds} for side, o in outcomes.items()
        },
    }


def batch(opts: argparse.Namespace) -> dict[str, Any]:
    """Search many networks at four inputs in one call, and one by one with fsolve."""
    per_form = {"s": (opts.batch + 1) // 2, "h": opts.batch // 2}
    networks = [
        rnn
        for form, n in per_form.items()
        for rnn in flip_flops(opts.networks, form, opts.batch_units, n)
    ]
    task = tasks_lib.NBitFlipFlop(seed=0)
    inputs = flip_flop_inputs()
    seconds = {}
    for device in ("cpu", opts.device) if opts.device else ("cpu",):
        analyzers = [DynamicSystemAnalyzer(rnn, task, seed=0) for rnn in networks]
        began = time.perf_counter()
        sets = get_fixed_points_of_many(
            analyzers, list(inputs.values()), device=None if device == "cpu" else device
        )
        seconds[device] = time.perf_counter() - began
    loop = {"seconds": 0.0, "found": 0}
    missed = 0
    for rnn, own in zip(networks, sets, strict=True):
        for u, found in zip(inputs.values(), own.values(), strict=True):
            outcome = sides.fsolve_loop(rnn, task, u, opts.starts)
            loop["seconds"] += outcome.seconds
            loop["found"] += len(outcome.points)
            both = np.vstack([found.points, outcome.points])
            missed += len(sides.distinct(both)) - len(found)
    return {
        "n_networks": len(networks),
        "n_units": opts.batch_units,
        "n_inputs": len(inputs),
        "seconds": seconds,
        "found": sum(len(found) for own in sets for found in own.values()),
        "complete": sum(found.status == "complete" for own in sets for found in own.values()),
        "missed": missed,
        "fsolve": loop,
    }


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """Run, print, and write what was asked for."""
    opts = options_of(argv)
    torch.set_num_threads(opts.threads)
    data: dict[str, Any] = {"starts": opts.starts, "seeds": opts.seeds, "rows": []}
    for case in all_cases(opts.networks, opts.flip_flops, opts.others, opts.units):
        for name, u in case.inputs.items():
            row = one_input(case, name, u, opts)
            data["rows"].append(row)
            print(json.dumps(row), flush=True)
    if opts.batch:
        data["batch"] = batch(opts)
        print(json.dumps(data["batch"]), flush=True)
    if opts.write:
        write_page(opts.write, data, opts.threads)
    return data


if __name__ == "__main__":
    main()
