"""How long a batch takes: trials built together against trials built one by one.

    python benchmarks/task_batches.py [--rounds 15]

For each task with its defaults, milliseconds from the same conditions by the task's own
`generate_trials` and by the loop that `Task` has for a class without one, and of a whole
`get_batch`, which also draws the conditions. All are timed in turns; medians over rounds.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

from tasks_lib import TASKS, Task


def milliseconds(function: Callable[[], Any]) -> float:
    """Return how long a call takes."""
    began = time.perf_counter()
    function()
    return 1e3 * (time.perf_counter() - began)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    print(f"{'task':<18}{'trials':>7}{'together':>10}{'one by one':>12}{'get_batch':>11}  (ms)")
    for name, cls in TASKS.items():
        task = cls(seed=0)
        conditions = task.conditions()
        calls: tuple[Callable[[], Any], ...] = (
            lambda task=task, c=conditions: task.generate_trials(c),
            lambda task=task, c=conditions: Task.generate_trials(task, c),
            task.get_batch,
        )
        times = [[milliseconds(call) for call in calls] for _ in range(rounds + 1)][1:]
        together, one_by_one, batch = map(statistics.median, zip(*times, strict=True))
        print(f"{name:<18}{len(conditions):>7}{together:>10.2f}{one_by_one:>12.2f}{batch:>11.2f}")


if __name__ == "__main__":
    main()
