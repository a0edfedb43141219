"""Let the name of an activation have 128 characters: it may be that of a user's own package.

Databases of 0.1.0 hold 32.
"""

from __future__ import annotations

from pipeline.database.alterations import Alterations


def migrate(database: Alterations) -> None:
    """Widen ``NetworkParams.activation``."""
    line = 'activation : varchar(128) # tanh, relu, ..., or "package.module:attribute"'
    database.add_column("network", "network_params", line)
