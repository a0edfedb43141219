"""Values of columns as texts that people read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from statistics import median
from typing import Any

import numpy as np

MISSING = "–"


def text_of_value(value: Any, digits: int = 4) -> str:
    """Return a value as a page shows it; a dash where there is none."""
    if value is None:
        return MISSING
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, float | np.floating):
        return f"{value:.{digits}g}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S} UTC"
    if isinstance(value, dict | list | tuple):
        return json.dumps(value, sort_keys=True, default=str, ensure_ascii=False)
    return str(value)


def spread(values: Sequence[float]) -> list[str]:
    """Return number, lowest, quartiles and highest of values, as texts."""
    if not len(values):
        return ["0"] + [MISSING] * 5
    cuts = np.quantile(np.asarray(values, dtype=float), [0, 0.25, 0.5, 0.75, 1])
    return [str(len(values)), *(text_of_value(float(cut)) for cut in cuts)]


def median_and_lowest(values: Sequence[float]) -> tuple[float | None, float | None]:
    """Return median and lowest value; None where there are none."""
    return (median(values), min(values)) if values else (None, None)


def filled_columns(headings: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[int]:
    """Return the numbers of the columns that have a value in some row."""
    return [
        i for i in range(len(headings)) if any(text_of_value(row[i]) != MISSING for row in rows)
    ]
