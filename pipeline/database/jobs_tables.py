"""DataJoint's jobs tables, opened without the queries that only their declaration needs.

DataJoint reads the foreign keys of all tables from the server's catalogue for each jobs table that
it opens: some 50 ms each, which `rnn status`, `rnn gc` and every worker waited for 25 times.
"""

from __future__ import annotations

from typing import Any

from datajoint.jobs import Job as JobsOfDataJoint

from .types import Job


class JobsTable(JobsOfDataJoint):
    """The jobs table of a computed table, whose definition is made when it is declared."""

    def _generate_definition(self) -> str:
        return ""

    @property
    def definition(self) -> str:
        """DataJoint's definition of the jobs table."""
        return str(super()._generate_definition())

    def _get_fk_derived_pk_attrs(self) -> list[tuple[str, str]]:
        # As DataJoint does it, with the foreign keys that were read for another jobs table.
        table: Any = self._target
        if table.full_table_name not in self.connection.dependencies:
            self.connection.dependencies.load()
        parents = table.parents(primary=True, foreign_key_info=True)
        foreign = {name for _, key in parents for name in key["attr_map"]}
        heading = table.heading
        if not foreign.issuperset(heading.primary_key):
            return list(super()._get_fk_derived_pk_attrs())  # it warns
        columns = [(name, heading[name]) for name in heading.primary_key]
        return [(name, column.original_type or column.type) for name, column in columns]


def jobs_table(table: Any) -> Job:
    """Return the jobs table of a computed or imported table, declared where it is missing.

    Parameters
    ----------
    table : Computed or Imported
        An instance, with its schema activated.
    """
    if table._jobs is None:
        jobs: Any = JobsTable(table)
        if not jobs.is_declared:
            jobs.declare()
        table._jobs = jobs
    found: Job = table._jobs
    return found
