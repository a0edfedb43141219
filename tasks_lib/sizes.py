"""Sizes and counts in words; refusing parameters that need too much memory."""

from __future__ import annotations

import os
from typing import Any

from .errors import ParameterError

# More than the machines and GPUs have on which such networks are trained. What needs more is a slip
# of the pen. It does not depend on the machine: a worker may have more memory than who submits.
MOST_BYTES = 4 * 2**40
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB")


def bytes_in_words(n_bytes: float) -> str:
    """Return a number of bytes as text, in the largest fitting unit: 512 B, 1.5 KiB."""
    number, unit = float(min(n_bytes, 1e40)), 0
    while number >= 1024 and unit < len(_UNITS) - 1:
        number, unit = number / 1024, unit + 1
    return f"{number:.3g} {_UNITS[unit]}" if number < 100 else f"{number:.0f} {_UNITS[unit]}"


def counted(number: int, one: str, many: str = "") -> str:
    """Return a number and its noun: "1 network", "2 networks"."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def check_bytes(field: str, value: Any, n_bytes: int, what: str, remedy: str) -> None:
    """Raise an error for a value that needs more memory than any machine has.

    Parameters
    ----------
    field, value
        As in a `ParameterError`.
    n_bytes : int
        What it asks for.
    what : str
        What for: the subject of "would take 3 TiB".
    remedy : str
    """
    if n_bytes > MOST_BYTES:
        raise ParameterError(
            field,
            value,
            f"{what} would take about {bytes_in_words(n_bytes)} of memory, and at most "
            f"{bytes_in_words(MOST_BYTES)} is accepted",
            remedy,
        )


def physical_bytes() -> int:
    """Return the memory of this machine; `MOST_BYTES` if it is unknown."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return MOST_BYTES
