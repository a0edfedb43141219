"""Which tasks networks learn, how well and how fast: ten networks of every example submission.

    python benchmarks/solve_tasks.py [--home DIR] [--workers 2] [--write PAGE.md] [FILE ...]

Enters the submissions (all of examples/ by default) into an embedded database under ``--home``,
trains and validates with so many worker processes, and prints the table. Typed again with the
same ``--home``, it goes on where it stopped.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parent.parent
WORKER = """
import pipeline
pipeline.connect()
validations = {"validation_name": "noise_free"}
while pipeline.fill((pipeline.Training,)).made:
    pass
pipeline.fill((pipeline.Validation,), validations)
"""


def page(table: str, workers: int) -> str:
    """Return the page that holds the table."""
    from pipeline.tables.provenance import code_version

    version, dirty = code_version()
    return f"""# What the examples reach

Ten networks (seeds 0 to 9) of the submissions in `examples/`, trained and validated through the
tables. A network solves its task with a noise-free R² pooled over trials of at least 0.9 and, where
there are choices, an accuracy of at least 0.95, on trials that it was not trained on. (Two recipes
are for long lines and for rings: of `cddm_line.yaml` 5 of 10 networks solve their task, with weak
evidence in noise, of `memory_angle_ring.yaml` 10 of 10; docs/dynamics.md.) Printed by

    python benchmarks/solve_tasks.py --write docs/solved_tasks.md

{table}

Seconds are those of training one network on one core, with {workers} workers side by side, on
{platform.machine()} with {os.cpu_count()} cores, torch {torch.__version__}, on the CPU; code
{version}{" with uncommitted changes" if dirty else ""}.
"""


def main() -> None:
    """Train, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--home", type=Path, default=ROOT / "build" / "solve_tasks")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--write", type=Path, help="write the page here too")
    options = parser.parse_args()
    options.home.mkdir(parents=True, exist_ok=True)
    # The database is one of its own, whatever the user has configured.
    for name in [n for n in os.environ if n.startswith(("DJ_", "RNN_"))]:
        del os.environ[name]
    os.environ |= {"RNN_HOME": str(options.home.resolve()), "OMP_NUM_THREADS": "1"}
    import pipeline
    from pipeline.cli.report import cohort_reports, markdown_table, summary_rows

    pipeline.connect()
    try:
        for file in options.files or sorted((ROOT / "examples").glob("*.yaml")):
            pipeline.submit(pipeline.read_submission(file))
        command = [sys.executable, "-c", WORKER]
        workers = [subprocess.Popen(command) for _ in range(options.workers)]
        failed = [worker.wait() for worker in workers]
        table = markdown_table(*summary_rows(cohort_reports()))
        print(table)
        if options.write:
            options.write.write_text(page(table, options.workers), encoding="utf-8")
        if any(failed):
            sys.exit("error: a worker failed")
    finally:
        pipeline.disconnect()


if __name__ == "__main__":
    main()
