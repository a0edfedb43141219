"""Hash of parameter sets what differs from the defaults that releases had.

By recipe 1 the hash was over all fields, so that it changed with every field that was added. Equal
sets are found under either recipe; this renews those of recipe 1.
"""

from __future__ import annotations

from pipeline.database.alterations import Alterations
from pipeline.tables.network import NetworkParams
from pipeline.tables.parameters import ParameterTable
from pipeline.tables.task import Task
from pipeline.tables.training_params import TrainingParams, penalties_of


def migrate(database: Alterations) -> None:
    """Renew the hashes of tasks, networks and trainings that are those of recipe 1."""
    penalties = database.rows("training", TrainingParams.Penalty.table_name)
    tables: list[tuple[str, type[ParameterTable]]] = [
        ("task", Task), ("network", NetworkParams), ("training", TrainingParams),
    ]  # fmt: skip
    for schema, table in tables:
        name_field = ", ".join(database.table(schema, table.table_name).primary_key)
        for row in database.rows(schema, table.table_name):
            parameters = table.fields_of_row(row, name_field)
            if table is TrainingParams:
                own = [p for p in penalties if p[name_field] == row[name_field]]
                parameters["penalties"] = penalties_of(own)
            present, *earlier = table.hashes(parameters)
            # Another one was not that of these columns, and is left for `rnn verify` to tell.
            if row[table.hash_field] in earlier:
                key = {name_field: row[name_field]}
                database.update(schema, table.table_name, key, {table.hash_field: present})
