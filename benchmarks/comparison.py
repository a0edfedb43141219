"""Seconds and memory of comparing many networks; writes comparison.md.

    python benchmarks/comparison.py --networks 1000 --stored 60

Networks are random (N 100, gain 1, tanh), on the decision task with its 300 steps, and have random
sets of fixed points at four inputs: how long a distance takes does not depend on what was learnt.
Time is that of the processor, on one thread. In the first part the library compares them block by
block, as jobs do, and embeds them; memory is what the process has at most. In the second part some
of them go through the tables of an embedded database: what these add to a pair is the difference.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

PAGE = Path(__file__).with_suffix(".md")
N_UNITS = 100
MEASURES = {
    "all of them": {},
    "without matching units": {"match": "none"},
    "without matching and fixed points": {"match": "none", "search": ""},
}


def random_network(seed: int) -> tuple[Any, Any]:
    """Return a network, and the task."""
    import numpy as np

    import models
    import tasks_lib

    task = tasks_lib.CDDM(seed=0)
    rng = np.random.default_rng(seed)
    rnn = models.RNNNumpy(
        W_rec=rng.standard_normal((N_UNITS, N_UNITS)) / np.sqrt(N_UNITS),
        W_inp=rng.standard_normal((N_UNITS, task.n_inputs)) / np.sqrt(N_UNITS),
        W_out=rng.standard_normal((task.n_outputs, N_UNITS)) / np.sqrt(N_UNITS),
        activation="tanh",
        tau=10.0,
        dt=1.0,
        seed=seed,
    )
    return rnn, task


def random_points(seed: int) -> dict[str, Any]:
    """Return up to four fixed points at each of four inputs."""
    import numpy as np

    import models

    rng = np.random.default_rng(seed)
    found = {}
    for name in "abcd":
        values = -np.sort(rng.exponential(size=(int(rng.integers(1, 5)), N_UNITS))) + 0.05
        found[name] = models.point_spectra((values > 0).sum(axis=1), values, 5)
    return found


def processor_time(function: Any, *arguments: Any, **options: Any) -> tuple[float, Any]:
    """Return seconds of processor time of a call, and its result."""
    started = time.process_time()
    result = function(*arguments, **options)
    return time.process_time() - started, result


def library(n_networks: int) -> dict[str, Any]:
    """Compare networks block by block."""
    import numpy as np

    import models
    from pipeline.tables.comparing import blocks_of

    made, networks = [random_network(seed) for seed in range(n_networks)], []
    reducing = 0.0
    for seed, (rnn, task) in enumerate(made):
        seconds, one = processor_time(
            models.reduce_network, rnn, task, points=random_points(seed), seed=0
        )
        reducing += seconds
        networks.append(one)
    blocks = list(blocks_of(0, n_networks, N_UNITS))
    times = {}
    for title, options in MEASURES.items():
        settings = models.ComparisonSettings(**options)
        # Of the cheaper ones some blocks are enough.
        some = blocks if not options else blocks[: max(1, len(blocks) // 10)]
        seconds, n_pairs = 0.0, 0
        matrix = np.full((n_networks, n_networks), np.nan)
        for a, b, c, d in some:
            first = networks[a:b]
            second = first if a == c else networks[c:d]
            took, found = processor_time(models.compare_networks, first, second, settings)
            seconds += took
            n_pairs += (b - a) * (d - c) if a != c else (b - a) * (b - a - 1) // 2
            matrix[a:b, c:d] = found["procrustes_distance"]
            matrix[c:d, a:b] = found["procrustes_distance"].T
        times[title] = 1000 * seconds / n_pairs
        if not options:
            np.fill_diagonal(matrix, 0.0)
            rows = np.arange(n_networks)
            parameters = {"half": (rows % 2).tolist()}
            embedding, _ = processor_time(models.embed_networks, matrix, parameters=parameters)
    return {
        "networks": n_networks,
        "pairs": n_networks * (n_networks - 1) // 2,
        "jobs": len(blocks),
        "reducing": reducing,
        "milliseconds": times,
        "embedding": embedding,
        "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def stored(n_networks: int) -> dict[str, Any]:
    """Compare networks through the tables of an embedded database."""
    os.environ["RNN_HOME"] = folder = tempfile.mkdtemp(prefix="rnn", dir="/tmp")
    import models
    import pipeline as p

    p.connect()
    p.submit({"tasks": {"cddm": {"class": "CDDM"}}})
    config = models.NetworkConfig(n_units=N_UNITS, activation="tanh", tau=10.0, dt=1.0)
    for seed in range(n_networks):
        path = models.write_network(Path(folder) / f"{seed}.npz", random_network(seed)[0], config)
        p.import_network(path, "cddm", "random")
    p.compare("all", search="")
    found: dict[str, Any] = {"networks": n_networks}
    for table in (p.NetworkSummary, p.PairBlock, p.Embedding):
        clock = time.monotonic()
        seconds, done = processor_time(p.fill, (table,))
        assert not done.errors
        found[table.__name__] = {"processor": seconds, "wall": time.monotonic() - clock}
    found["pairs"] = len(p.NetworkPair())
    p.disconnect()
    return found


def apart(which: str, number: int) -> dict[str, Any]:
    """Return what a process of its own has measured."""
    words = [sys.executable, __file__, "--one", which, str(number)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, capture_output=True, text=True, check=True, env=environment)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def page(one: dict[str, Any], other: dict[str, Any]) -> str:
    """Return the page."""
    every = one["milliseconds"]["all of them"]
    jobs = one["reducing"] + every * one["pairs"] / 1000
    total, in_two = jobs + one["embedding"], jobs / 2 + one["embedding"]  # which is one job
    lines = [
        "# Speed of comparisons",
        "",
        f"Made by `benchmarks/comparison.py --networks {one['networks']} --stored "
        f"{other['networks']}`: seconds of processor time on one thread, random networks of "
        f"{N_UNITS} units on the decision task of 300 steps, default settings.",
        "",
        f"| {one['networks']:,} networks, {one['pairs']:,} pairs, {one['jobs']} jobs "
        "| in the library |",
        "|---|---|",
        f"| trials and their reduction | {one['reducing']:.0f} s |",
        f"| all distances but DSA | {every * one['pairs'] / 1000:.0f} s |",
        f"| one embedding, 200 permutations | {one['embedding']:.0f} s |",
        f"| together | {total / 60:.1f} min; by two workers {in_two / 60:.1f} min |",
        f"| memory at most (all networks in one process) | {one['megabytes']:.0f} MB |",
        "",
        "| distances | ms a pair |",
        "|---|---|",
        *(f"| {title} | {value:.2f} |" for title, value in one["milliseconds"].items()),
        "",
        f"Through the tables of an embedded database, {other['networks']} networks and "
        f"{other['pairs']:,} pairs without fixed points:",
        "",
        "| table | processor, s | wall, s | a row, ms of the processor |",
        "|---|---|---|---|",
    ]
    numbers = {"NetworkSummary": other["networks"], "PairBlock": other["pairs"], "Embedding": 2}
    for table, number in numbers.items():
        took = other[table]
        lines.append(
            f"| {table} | {took['processor']:.1f} | {took['wall']:.1f} "
            f"| {1000 * took['processor'] / number:.2f} |"
        )
    lines += ["", "The rows of `PairBlock` are counted as pairs. The server's own time is in the "
              "wall time alone, on a machine that was shared with others."]  # fmt: skip
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", type=int, default=1000)
    parser.add_argument("--stored", type=int, default=60)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        which, number = arguments.one
        print(json.dumps({"library": library, "stored": stored}[which](int(number))))
        return
    other = apart("stored", arguments.stored)
    print(other, flush=True)
    one = apart("library", arguments.networks)
    print(one, flush=True)
    PAGE.write_text(page(one, other), encoding="utf-8")


if __name__ == "__main__":
    main()
