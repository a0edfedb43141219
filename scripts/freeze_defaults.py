"""Write the defaults that a release brings into pipeline/tables/released_defaults.py.

    .venv/bin/python scripts/freeze_defaults.py 0.2.0

Of fields, arguments, tasks, activations and penalties that no release before has had. Done once,
when the release is made: from then on its rows mean these values.
"""

from __future__ import annotations

import inspect
import pprint
import sys
from pathlib import Path
from typing import Any

import tasks_lib
from models import penalties
from models.comparison.settings import ComparisonSettings
from models.formulas.functions import FUNCTIONS
from pipeline.database.schemas import SCHEMAS, import_tables
from pipeline.tables.current_defaults import current_defaults
from pipeline.tables.parameters import defaults_of
from pipeline.tables.released_defaults import DEFAULTS

FILE = Path(__file__).resolve().parent.parent / "pipeline" / "tables" / "released_defaults.py"
BEGIN = "DEFAULTS: dict[str, dict[str, dict[str, Any]]] = "


def configurations() -> dict[str, type[Any]]:
    """Return the dataclass of every table whose rows are parameters or settings, by its name."""
    import_tables()
    tables = [table for schema in SCHEMAS.values() for table in schema.tables]
    found = {table.__name__: getattr(table, "config", None) for table in tables}
    found["Comparison"] = ComparisonSettings  # by which its rows are hashed
    return {name: config for name, config in found.items() if config is not None}


def defaults_of_the_code() -> dict[str, dict[str, Any]]:
    """Return what has parameters -> field -> default, as the code has them now."""
    found = {name: defaults_of(config) for name, config in configurations().items()}
    for name in tasks_lib.TASKS:
        found[f"Task {name}"] = current_defaults(f"Task {name}")
    for name in FUNCTIONS:
        found[f"activation {name}"] = current_defaults(f"activation {name}")
    for name in penalties.names():
        function = penalties.get(name)
        if function.__module__.startswith("models."):
            arguments = list(inspect.signature(function).parameters.items())[1:]
            found[f"penalty {name}"] = {argument: p.default for argument, p in arguments}
    return {
        kind: {field: list(v) if isinstance(v, tuple) else v for field, v in fields.items()}
        for kind, fields in found.items()
    }


def unreleased() -> dict[str, dict[str, Any]]:
    """Return what `defaults_of_the_code` has and no release had."""
    released: dict[str, dict[str, Any]] = {}
    for kinds in DEFAULTS.values():
        for kind, fields in kinds.items():
            released.setdefault(kind, {}).update(fields)
    found = {}
    for kind, fields in defaults_of_the_code().items():
        new = {name: v for name, v in fields.items() if name not in released.get(kind, {})}
        if new or kind not in released:
            found[kind] = new
    return found


def main(release: str) -> None:
    """Write the entries of a release."""
    if release in DEFAULTS:
        sys.exit(f"{FILE} has the defaults of {release}: what a release had is never changed")
    head, _, _ = FILE.read_text(encoding="utf-8").partition(BEGIN)
    entries = pprint.pformat({**DEFAULTS, release: unreleased()}, sort_dicts=False, width=100)
    FILE.write_text(f"{head}{BEGIN}{entries}\n", encoding="utf-8")
    print(f"{FILE}: now run `make format`")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
