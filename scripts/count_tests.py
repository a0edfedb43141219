"""Fail unless a test report shows that tests ran, on both back ends, and none was skipped there.

With the folder that `tests/filled_tables.py` writes to, also where a table got rows on one alone.

Prints how many ran where, and which took longest: their files come first in `tests/conftest.py`.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

BACKENDS = ("mysql", "postgresql")
N_SLOWEST = 20


def filled_on_one(folder: Path) -> list[str]:
    """Return the tables that tests have inserted rows into on one back end only."""
    filled: dict[str, set[str]] = {where: set() for where in BACKENDS}
    for path in folder.glob("*.json"):
        for where, tables in json.loads(path.read_text()).items():
            filled[where].update(tables)
    every = set.union(*filled.values())
    return [f"{table} on {where}" for where in BACKENDS for table in sorted(every - filled[where])]


def main(path: str, folder: str | None = None) -> int:
    """Count the tests of a JUnit report by back end; return the exit status."""
    counts: Counter[str] = Counter()
    # With their fixtures: of each test, of each file, and of a back end.
    seconds: dict[str, Counter[str]] = {"tests": Counter(), "files": Counter()}
    seconds_where: Counter[str] = Counter()
    skipped: list[str] = []
    for case in ElementTree.parse(path).iter("testcase"):
        name, place = case.get("name", ""), case.get("classname", "")
        where = next((b for b in BACKENDS if f"[{b}" in name or f"-{b}" in name), "no database")
        took = float(case.get("time", 0))
        seconds["tests"][f"{place}.{name}"] += took
        seconds["files"][place] += took
        seconds_where[where] += took
        if case.find("skipped") is not None:
            skipped.append(f"{place}.{name}")
        else:
            counts[where] += 1
    for what, measured in seconds.items():
        print(f"slowest {what} (s):")
        for name, took in measured.most_common(N_SLOWEST):
            print(f"{took:8.1f}  {name}")
    for where in ("no database", *BACKENDS):
        print(f"tests on {where}: {counts[where]}, {seconds_where[where]:.0f} s")
    for name in skipped:
        print(f"skipped: {name}")
    unfilled = filled_on_one(Path(folder)) if folder else []
    if unfilled:
        print(f"error: no test inserts rows into {', '.join(unfilled)}")
        return 1
    missing = [where for where in ("no database", *BACKENDS) if not counts[where]]
    if missing or skipped:
        print(f"error: no tests ran on {missing}" if missing else "error: tests were skipped")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
