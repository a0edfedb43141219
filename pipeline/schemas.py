"""The six schemas, declared without a database until `activate` gives them one."""

from __future__ import annotations

import datajoint as dj

task = dj.Schema()
network = dj.Schema()
training = dj.Schema()
performance = dj.Schema()
dynamics = dj.Schema()
work = dj.Schema()

# In the order of their foreign keys.
SCHEMAS: dict[str, dj.Schema] = {
    "task": task,
    "network": network,
    "training": training,
    "performance": performance,
    "dynamics": dynamics,
    "work": work,
}


def activate(prefix: str, connection: dj.Connection) -> None:
    """Bind every schema and its tables to ``{prefix}_{name}`` on a connection.

    May be called again for another prefix or server: the tables then point there.
    """
    deactivate()
    for name, schema in SCHEMAS.items():
        schema.activate(f"{prefix}_{name}", connection=connection)


def deactivate() -> None:
    """Unbind every schema, so that it can be activated elsewhere."""
    for schema in SCHEMAS.values():
        # DataJoint refuses to activate a bound schema under another name, and has no call to
        # unbind one; its tables are bound anew at the next activation.
        schema.database = None
        schema.connection = None


def drop() -> None:
    """Drop the activated schemas with all their rows, without asking: for tests."""
    for schema in reversed(SCHEMAS.values()):
        if schema.is_activated():
            schema.drop(prompt=False)
