"""How often a search that calls its set complete has missed points, on networks whose set is known.

    python benchmarks/completeness.py [--networks 20] [--seeds 3] [--families NAME ...]

Prints a line a family: searches, claims of "complete", claims that were false, points missed, what
else searches said of sets that were complete, and the time of a search.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from fixed_point_benchmark.families import FAMILIES, Known

from models import DynamicSystemAnalyzer


def missing(known: np.ndarray, found: np.ndarray) -> int:
    """Return how many of the points ``known`` (P, N) are not among ``found`` (Q, N).

    Each known point is given the nearest found one that no nearer known point has.
    """
    if not len(found) or not len(known):
        return len(known)
    distance = np.linalg.norm(known[:, None] - found[None], axis=2)
    scale = 1e-5 * (1.0 + np.linalg.norm(known, axis=1))
    taken: set[int] = set()
    lost = 0
    for i in np.argsort(distance.min(axis=1)):
        near = [j for j in np.flatnonzero(distance[i] <= scale[i]) if j not in taken]
        if near:
            taken.add(min(near, key=lambda j: distance[i, j]))
        else:
            lost += 1
    return lost


def searches(case: Known, seeds: int) -> list[dict[str, Any]]:
    """Search one network from several seeds, and compare with all that is known or was found."""
    rows = [one_search(case, seed) for seed in range(seeds)]
    every = case.points
    for row in rows:
        every = np.vstack([every, beyond(every, row["points"])])
    for row in rows:
        points = row.pop("points")
        row["known"], row["missed"] = len(every), missing(every, points)
        row["beyond"] = len(every) - len(case.points)
    return rows


def beyond(known: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Return which of the points ``found`` (Q, N) are none of those ``known``."""
    if not len(known) or not len(found):
        return found
    near = np.linalg.norm(found[:, None] - known[None], axis=2).min(axis=1)
    return found[near > 1e-5 * (1.0 + np.linalg.norm(found, axis=1))]


def one_search(case: Known, seed: int) -> dict[str, Any]:
    """Search one network."""
    began = time.process_time()
    try:
        found = DynamicSystemAnalyzer(case.rnn, seed=seed).get_fixed_points(
            [0.0], trajectories=case.trials
        )
    except ValueError:
        seconds = time.process_time() - began
        return {"status": "refused", "points": case.points[:0], "seconds": seconds, "starts": 0}
    return {
        "status": found.status,
        "points": found.points,
        "seconds": time.process_time() - began,
        "starts": found.n_starts,
    }


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the numbers of a family."""
    claims = [r for r in rows if r["status"] == "complete"]
    whole = [r for r in rows if not r["missed"]]
    return {
        "searches": len(rows),
        "claims": len(claims),
        "false": sum(r["missed"] > 0 for r in claims),
        "missed": sum(r["missed"] for r in rows),
        "known": sum(r["known"] for r in rows),
        "beyond": sum(r["beyond"] for r in rows),
        "unsure": sum(r["status"] != "complete" and r["known"] > 0 for r in whole),
        "whole": sum(r["known"] > 0 for r in whole),
        "otherwise": dict(Counter(r["status"] for r in rows if r["status"] != "complete")),
        "seconds": float(np.mean([r["seconds"] for r in rows])),
        "median_seconds": float(np.median([r["seconds"] for r in rows])),
    }


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """Run, print and write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", type=int, default=20, help="of each family")
    parser.add_argument("--seeds", type=int, default=3, help="searches of each network")
    parser.add_argument("--families", nargs="*", default=list(FAMILIES), choices=list(FAMILIES))
    parser.add_argument("--seed", type=int, default=0, help="of the networks")
    parser.add_argument("--write", type=Path, help="a file for the numbers (JSON)")
    opts = parser.parse_args(argv)
    data: dict[str, Any] = {}
    for name in opts.families:
        rng = np.random.default_rng([opts.seed, list(FAMILIES).index(name)])
        cases = list(islice(FAMILIES[name](rng), opts.networks))
        rows = [row for case in cases for row in searches(case, opts.seeds)]
        data[name] = summary(rows)
        print(name, json.dumps(data[name]), flush=True)
        if opts.write:
            opts.write.write_text(json.dumps(data, indent=1) + "\n")
    return data


if __name__ == "__main__":
    main()
