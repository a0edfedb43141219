"""Files and floors of each room: a module stands on the floor above the highest that it imports.

    python scripts/count_floors.py

Imports inside of functions count; those for types only do not.
"""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("pipeline", "models", "tasks_lib")


def count(graph: grimp.ImportGraph, modules: set[str]) -> tuple[int, int]:
    """Return how many modules there are, and on how many floors they stand above each other."""

    @cache
    def floor(module: str) -> int:
        below = graph.find_modules_directly_imported_by(module) & modules
        return 1 + max(map(floor, below - {module}), default=0)

    return len(modules), max(map(floor, modules), default=0)


def rooms(graph: grimp.ImportGraph, package: str) -> dict[str, set[str]]:
    """Return the modules of a package by its folders; those beside these under its own name."""
    found: dict[str, set[str]] = {}
    for module in graph.modules:
        if module.split(".")[0] == package and not graph.find_children(module):
            parts = module.split(".")
            found.setdefault(".".join(parts[:2]) if len(parts) > 2 else package, set()).add(module)
    return found


def main() -> None:
    """Print a line for each room."""
    sys.path.insert(0, str(ROOT))
    graph = grimp.build_graph(*PACKAGES, exclude_type_checking_imports=True)
    print(f"{'room':24} {'files':>5} {'floors':>6}")
    for package in PACKAGES:
        whole = {m for m in graph.modules if m.split(".")[0] == package}
        print(f"{package + ', all':24} {len(whole):5}")
        for name, modules in sorted(rooms(graph, package).items()):
            n_files, n_floors = count(graph, modules)
            print(f"{name:24} {n_files:5} {n_floors:6}")


if __name__ == "__main__":
    main()
