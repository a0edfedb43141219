"""Names of the parameter sets of a sweep: that of what they come from, and what differs."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..tables.hashing import canonical_json
from ..tables.parameters import MAX_NAME

_DIGEST = 8  # characters


def set_name(base: str, values: Mapping[tuple[str, ...], Any]) -> str:
    """Return the name of a parameter set that differs from another one.

    Parameters
    ----------
    base : str
        Name of that one.
    values : mapping
        Path of a field -> its value, where it is another.

    Returns
    -------
    str
        ``base-lr_0.01-metabolic_0.1``: the same for the same values. One that would be too long, or
        has signs that no name has, ends with a digest of the values instead.
    """
    if not values:
        return base
    words = [f"{_short(path)}_{_word(value)}" for path, value in values.items()]
    name = "-".join([base, *words])
    if len(name) <= MAX_NAME and re.fullmatch(r"[\w.+-]+", name):
        return name
    return with_digest("-".join([base, *(_short(path) for path in values)]), values)


def with_digest(name: str, values: Mapping[tuple[str, ...], Any]) -> str:
    """Return a name that ends with a digest of values, and is short enough."""
    text = canonical_json({".".join(path): value for path, value in values.items()})
    digest = hashlib.sha256(text.encode()).hexdigest()[:_DIGEST]
    plain = re.sub(r"[^\w.+-]+", "_", name)
    return f"{plain[: MAX_NAME - _DIGEST - 1]}-{digest}"


def _short(path: Sequence[str]) -> str:
    """Return the part of a path that tells fields apart for a reader."""
    if path[0] == "penalties":
        return path[1] if path[-1] == "weight" else f"{path[1]}.{path[-1]}"
    return {"task_class": "class"}.get(path[-1], path[-1])


def _word(value: Any) -> str:
    """Return a value as it stands in a name; one that cannot has a sign that no name has."""
    if isinstance(value, bool) or value is None:
        return {True: "on", False: "off", None: "none"}[value]
    if isinstance(value, int | float):
        return canonical_json(value)
    return value if isinstance(value, str) else "*"
