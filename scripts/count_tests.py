"""Fail unless a test report shows that tests ran, on both back ends, and none was skipped there."""

from __future__ import annotations

import sys
from collections import Counter
from xml.etree import ElementTree

BACKENDS = ("mysql", "postgresql")


def main(path: str) -> int:
    """Count the tests of a JUnit report by back end; return the exit status."""
    counts: Counter[str] = Counter()
    skipped: list[str] = []
    for case in ElementTree.parse(path).iter("testcase"):
        name = case.get("name", "")
        where = next((b for b in BACKENDS if f"[{b}" in name or f"-{b}" in name), "no database")
        if case.find("skipped") is not None:
            skipped.append(f"{case.get('classname')}.{name}")
        else:
            counts[where] += 1
    for where in ("no database", *BACKENDS):
        print(f"tests on {where}: {counts[where]}")
    for name in skipped:
        print(f"skipped: {name}")
    missing = [where for where in ("no database", *BACKENDS) if not counts[where]]
    if missing or skipped:
        print(f"error: no tests ran on {missing}" if missing else "error: tests were skipped")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
