"""The one row that a query is to select."""

from __future__ import annotations

from typing import Any

import datajoint as dj

from .in_use import class_title

MOST_READ = 1000  # keys, to see by which columns rows differ


def one_row(query: Any) -> dict[str, Any]:
    """Return the one row that a query selects.

    Raises
    ------
    datajoint.DataJointError
        Where it selects none, or several: says how many, and what to restrict by.
    """
    rows = query.to_dicts(limit=2)
    if len(rows) != 1:
        raise _problem(query)
    return dict(rows[0])


def one_key(query: Any) -> dict[str, Any]:
    """Return the key of the one row that a query selects.

    Raises
    ------
    datajoint.DataJointError
        As `one_row` does.
    """
    keys = query.keys(limit=2)
    if len(keys) != 1:
        raise _problem(query)
    return dict(keys[0])


def _problem(query: Any) -> dj.DataJointError:
    name = class_title(query)
    keys = query.keys(limit=MOST_READ)
    if not keys:
        return dj.DataJointError(
            f"{name} = 0 rows: exactly one is needed; see whether the restriction is right, and "
            "with rnn status whether the row is computed"
        )
    differ = [column for column in query.primary_key if len({str(k[column]) for k in keys}) > 1]
    return dj.DataJointError(
        f"{name} = {len(query)} rows: exactly one is needed; restrict it by {', '.join(differ)}"
    )
