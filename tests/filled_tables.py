"""Which tables the tests insert rows into on each back end: on both the same, or CI fails.

Many tests run on one back end (`either_backend`). That no table is left out on the other by that is
what `scripts/count_tests.py` sees in the files that are written here.
"""

from __future__ import annotations

import json
import os
import re
from collections import defaultdict
from pathlib import Path

FOLDER = "RNN_TEST_FILLED_TABLES"
# Of schemas with a prefix of the tests' own: those of examples have names of theirs.
INSERTS = re.compile(
    r"\s*(?:INSERT|REPLACE)\s+(?:IGNORE\s+)?INTO\s+[`\"][to]\d+(?:_\d+)?_([a-z]+)[`\"]\.[`\"]([^`\"]+)"
)

_filled: defaultdict[str, set[str]] = defaultdict(set)


def filled_by(statement: str) -> str | None:
    """Return the table that a statement inserts into, as ``schema.table``; None where none."""
    found = INSERTS.match(statement)
    return f"{found[1]}.{found[2]}" if found and not found[2].startswith("~") else None


def note(backend: str, statement: str) -> None:
    """Remember what a statement fills."""
    table = filled_by(statement)
    if table is not None:
        _filled[backend].add(table)


def save() -> None:
    """Write which of the pipeline's tables this process has seen, where somebody asks for it."""
    if FOLDER in os.environ and _filled:
        from pipeline.database.schemas import SCHEMAS

        folder = Path(os.environ[FOLDER])
        folder.mkdir(exist_ok=True)
        seen = {
            backend: sorted(table for table in tables if table.partition(".")[0] in SCHEMAS)
            for backend, tables in _filled.items()
        }
        (folder / f"{os.getpid()}.json").write_text(json.dumps(seen))
