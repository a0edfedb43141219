"""Let the name of an activation have 128 characters: it may be that of a user's own package.

Databases of before 0.1.0 hold 32. What is done here is only what the definition says; it stands
here as the first step of every database that was made before there were migrations.
"""

from __future__ import annotations

from pipeline.database.alterations import Alterations


def migrate(database: Alterations) -> None:
    """Widen ``NetworkParams.activation``."""
    line = 'activation : varchar(128) # tanh, relu, ..., or "package.module:attribute"'
    database.add_column("network", "network_params", line)
