"""The learning curves of a training while it runs, as heartbeats write them and as signs."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Mapping, Sequence
from typing import Any

MOST_POINTS = 120
SIGNS = "▁▂▃▄▅▆▇█"
ITERATION, LOSS = "iteration", "loss"


class LiveCurves:
    """The curves of the training that a worker does, which another thread reads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._curves: dict[str, list[float | None]] = {}

    def add(self, iteration: int, values: Mapping[str, float]) -> None:
        """Add the values of an iteration; one that is not later begins anew."""
        with self._lock:
            there = self._curves.get(ITERATION, [])
            if there and (iteration <= (there[-1] or 0) or len(there) >= MOST_POINTS):
                self._curves = {}
            self._curves.setdefault(ITERATION, []).append(iteration)
            for name, value in values.items():
                # Four digits are enough to look at; NaN and infinity are no numbers of JSON.
                number = float(f"{value:.4g}")
                known = number if math.isfinite(number) else None
                self._curves.setdefault(name.removeprefix("loss."), []).append(known)

    def clear(self) -> None:
        """Forget them."""
        with self._lock:
            self._curves = {}

    def as_json(self) -> str | None:
        """Return them as a row has them; None where there are none."""
        with self._lock:
            return json.dumps(self._curves) if self._curves else None


def read_curves(value: Any) -> dict[str, list[float | None]]:
    """Return the curves of a row: the two servers give them as text or as a dictionary."""
    found = json.loads(value) if isinstance(value, str | bytes) else value or {}
    first = (ITERATION, LOSS)  # the servers give names in orders of their own
    return {name: found[name] for name in (*first, *sorted(set(found) - {*first})) if name in found}


def sparkline(values: Sequence[float | None], width: int = 20) -> str:
    """Return a curve in so many signs at most: each is the last value of its part.

    Values that are all positive are drawn by their logarithms, as losses are.
    """
    known = [value for value in values if value is not None]
    if not known:
        return ""
    number = min(width, len(known))
    parts = [known[(i + 1) * len(known) // number - 1] for i in range(number)]
    if min(parts) > 0:
        parts = [math.log(value) for value in parts]
    low, high = min(parts), max(parts)
    if high == low:
        return SIGNS[0] * number
    return "".join(SIGNS[round((v - low) / (high - low) * (len(SIGNS) - 1))] for v in parts)
