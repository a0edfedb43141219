"""How long one waits for ``rnn``: help, refusals, status, and a worker's first job.

    python benchmarks/start_up.py [--rounds 9] [--before FOLDER] [--write FILE]

Uses the server that DJ_HOST and its kin name, the embedded database otherwise, and schemas of its
own, which it drops. Every command is a process of its own; medians over rounds, in which the
commands take turns. Beside the time on the clock the CPU time of a process, which depends less on
what else the machine does. ``--before``: a checkout of an earlier version, measured in turns with
this one. ``rnn status`` beyond the query: without what connecting and its queries take in a process
that has imported everything.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import pipeline
from pipeline.cli.status_page import status_page
from pipeline.database import schemas
from pipeline.workers.status import Pace

HERE = Path(__file__).resolve().parents[1]
LIMITS = {"rnn --help": 0.7, "rnn worker --help": 0.7, "rnn worker --threads none": 0.7}
STATUS, BEYOND, STATUS_LIMIT = "rnn status", "rnn status, beyond the query", 1.5
FIRST_JOB = "rnn worker, until its first job"
FIRST_JOB_OF_MANY = "rnn worker --processes 2, until its first job"
NOTHING_TO_DO = "rnn worker, with nothing to do"
COHORT = {
    "tasks": {"flip_flop": {"class": "NBitFlipFlop", "n_steps": 50}},
    "networks": {"small": {"n_units": 10}},
    "trainings": {"long": {"max_iter": 1_000_000}},
    "cohorts": [{"task": "flip_flop", "network": "small", "training": "long", "n_networks": 1}],
}


def start(arguments: list[str], checkout: Path, **options: Any) -> subprocess.Popen[bytes]:
    """Start Python with the code of a checkout."""
    path = os.pathsep.join(filter(None, (str(checkout), os.environ.get("PYTHONPATH"))))
    return subprocess.Popen(
        [sys.executable, "-P", *arguments],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        **options,
    )


def rnn(command: str) -> list[str]:
    """Return the arguments of Python that run a command of ``rnn``."""
    return ["-m", "pipeline.cli", *command.split()[1:]]


def run(arguments: list[str], checkout: Path) -> tuple[float, float]:
    """Run to the end; return seconds on the clock and of CPU."""
    began = time.perf_counter()
    process = start(arguments, checkout)
    _, _, used = os.wait4(process.pid, 0)
    process.returncode = 0  # it has been waited for
    return time.perf_counter() - began, used.ru_utime + used.ru_stime


def until_first_job(command: str, checkout: Path) -> float:
    """Return the seconds from a worker's start until it has taken a job."""
    jobs = pipeline.Training().jobs
    began = time.perf_counter()
    worker = start(rnn(command), checkout)
    try:
        while not jobs & {"status": "reserved"}:
            if worker.poll() is not None:
                raise SystemExit(f"{command} ended with status {worker.returncode}")
            time.sleep(0.02)
        return time.perf_counter() - began
    finally:
        worker.terminate()
        worker.wait()


def query_seconds(connection: dict[str, Any]) -> float:
    """Return what connecting and the queries of ``rnn status`` take here."""
    began = time.perf_counter()
    pipeline.connect(**connection)
    status_page(Pace(), 5)
    return time.perf_counter() - began


def measure(
    rounds: int, checkouts: dict[str, Path], connection: dict[str, Any]
) -> dict[str, dict[str, list[tuple[float, float]]]]:
    """Return what each command took in each round, by command and checkout."""
    taken: dict[str, dict[str, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
    imports = {f"import {name}": ["-c", f"import {name}"] for name in ("pipeline", "models")}
    commands = imports | {command: rnn(command) for command in (*LIMITS, STATUS)}
    for number in range(-1, rounds):  # a first time that does not count: files come into memory
        query = query_seconds(connection)
        for which, checkout in checkouts.items():
            found = {name: run(arguments, checkout) for name, arguments in commands.items()}
            wall, cpu = found[STATUS]
            found[BEYOND] = (wall - query, cpu)
            found[NOTHING_TO_DO] = run(rnn("rnn worker --table=Validation --quiet"), checkout)
            for name, options in ((FIRST_JOB, ""), (FIRST_JOB_OF_MANY, " --processes=2")):
                command = f"rnn worker --table=Training{options}"
                found[name] = (until_first_job(command, checkout), float("nan"))
            for name, values in found.items() if number >= 0 else ():
                taken[name][which].append(values)
    return taken


def page(taken: dict[str, dict[str, list[tuple[float, float]]]], about: str) -> str:
    """Return the results as Markdown."""
    checkouts = list(next(iter(taken.values())))
    headings = [
        "",
        *(f"{which}, {unit}" for which in checkouts for unit in ("s", "CPU s")),
        "at most",
    ]
    limits = {**LIMITS, BEYOND: STATUS_LIMIT}
    rows = []
    for name, by_checkout in taken.items():
        cells = [f"`{name}`" if name.startswith(("import", "rnn")) and "," not in name else name]
        for which in checkouts:
            for values in zip(*by_checkout[which], strict=True):
                middle = statistics.median(values)
                cells.append("" if middle != middle else f"{middle:.2f}")
        rows.append([*cells, f"{limits[name]} s" if name in limits else ""])
    lines = [headings, ["---", *["---:"] * (len(headings) - 1)], *rows]
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return f"# Start-up\n\n{about}\n\n{table}\n"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--before", type=Path, help="Checkout of an earlier version.")
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    checkouts = {"before": options.before.resolve()} if options.before else {}
    checkouts["now"] = HERE
    with tempfile.TemporaryDirectory() as store:
        os.environ |= {"RNN_PREFIX": "rnn_start_up", "RNN_STORE": store}
        connection = {"prefix": "rnn_start_up", "store": store}
        pipeline.connect(**connection)
        try:
            pipeline.submit(COHORT)
            taken = measure(options.rounds, checkouts, connection)
            backend = pipeline.database.connection.connection().adapter.backend
        finally:
            schemas.drop()
            pipeline.disconnect()
    about = (
        f"Medians of {options.rounds} rounds of `python benchmarks/start_up.py`, "
        f"{os.cpu_count()} CPUs ({platform.machine()}), Python {platform.python_version()}, "
        f"{backend}. CPU: user and system time of the process. A worker loads all "
        "code that a job may need before it takes one: rows name the version that computed them."
    )
    text = page(taken, about)
    print(text, end="")
    if options.write:
        options.write.write_text(text)


if __name__ == "__main__":
    main()
