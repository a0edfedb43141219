"""How long a capsule takes to be made, checked and opened, and how large it is.

    python benchmarks/capsules.py [--networks 20] [--write FILE]

Small networks are trained and analysed in full, every table of the pipeline, and compared with each
other. It uses an embedded database of its own, and opens the capsule into another.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
import zipfile
from collections import Counter
from pathlib import Path

import pipeline

EACH = 10  # networks of a cohort
PARTS = {"rows": "rows", "files": "arrays and figures", "report": "report, with its figures"}


def submission(n_networks: int) -> dict:
    """Return cohorts of two tasks."""
    half = max(1, n_networks // 2)
    return {
        "tasks": {
            "cddm": {"class": "CDDM", "n_steps": 40, "params": {"stim_on": 10, "dec_on": 30}},
            "flips": {"class": "NBitFlipFlop", "n_steps": 40, "params": {"n_bits": 2}},
        },
        "networks": {"relu_dale": {"n_units": 20, "dale": True, "tau": 5.0},
                     "tanh": {"n_units": 20, "activation": "tanh"}},
        "trainings": {"short": {"max_iter": 100, "lr": 0.02, "snapshots": 3}},
        "cohorts": [
            {"task": "cddm", "network": "relu_dale", "training": "short", "n_networks": half},
            {"task": "flips", "network": "tanh", "training": "short",
             "n_networks": n_networks - half},
        ],
    }  # fmt: skip


def times() -> tuple[float, float]:
    """Return seconds by the clock, and of this process's processor time."""
    return time.perf_counter(), time.process_time()


def measure(folder: Path, n_networks: int) -> list[tuple[str, str]]:
    """Return what was measured, in words."""
    found: list[tuple[str, str]] = []

    def timed(what: str, began: tuple[float, float]) -> None:
        clock, processor = (now - then for now, then in zip(times(), began, strict=True))
        found.append((what, f"{clock:.1f} s, of the processor {processor:.1f} s"))
        print(*found[-1], flush=True)

    os.environ["RNN_HOME"] = str(folder / "home")
    pipeline.connect()
    began = times()
    pipeline.submit(submission(n_networks))
    errors = pipeline.fill().errors
    pipeline.compare("flips", {"task_name": "flips"})
    errors += pipeline.fill().errors
    if errors:
        sys.exit(str(errors))
    timed("training and analysing, for comparison", began)
    path = folder / "paper.zip"
    began = times()
    made = pipeline.make_capsule(path)
    timed("making it", began)
    pipeline.disconnect()
    began = times()
    assert pipeline.check_capsule(path).is_whole
    timed("checking it", began)
    began = times()
    pipeline.open_capsule(path, home=folder / "opened")
    timed("opening it, with a new embedded database", began)
    found += [
        ("networks", str(made.n_networks)), ("rows", str(made.n_rows)),
        ("arrays and figures of different content", str(made.n_files)),
        ("the archive", f"{made.n_bytes / 1e6:.1f} MB"),
    ]  # fmt: skip
    sizes: Counter[str] = Counter()
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            part = entry.filename.split("/")[1]
            sizes[PARTS.get(part, "everything else")] += entry.compress_size
    found += [(f"of it {part}", f"{n / 1e6:.2f} MB") for part, n in sizes.most_common()]
    stored = sum(f.stat().st_size for f in (folder / "home/store").rglob("*") if f.is_file())
    found.append(("the files of its store", f"{stored / 1e6:.1f} MB"))
    return found


def main() -> None:
    """Measure, print, and write a page if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--networks", type=int, default=2 * EACH)
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    for name in [name for name in os.environ if name.startswith(("DJ_", "RNN_"))]:
        del os.environ[name]
    with tempfile.TemporaryDirectory(prefix="rnn") as folder:
        found = measure(Path(folder), given.networks)
    lines = [
        "# Capsules", "",
        f"`python benchmarks/capsules.py --networks {given.networks}`, {os.cpu_count()} CPUs "
        f"({platform.machine()}), Python {platform.python_version()}: networks of 20 units of two "
        "tasks, with every analysis, those of one task compared with each other. Seconds of the "
        "processor are those of the program; the database server's are not among them.", "",
        "|  |  |", "| --- | ---: |", *(f"| {what} | {value} |" for what, value in found),
    ]  # fmt: skip
    text = "\n".join(lines) + "\n"
    print(text)
    if given.write:
        given.write.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
