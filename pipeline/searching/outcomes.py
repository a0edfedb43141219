"""Whether the points of a search will have their values, and why one will not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tasks_lib.errors import ParameterError, use_one_of
from tasks_lib.sizes import counted

from ..database.schemas import SCHEMAS, parts, title_of
from ..database.types import Populated
from ..sweeps.table import tables_of_networks
from ..tables.computed import COMPUTED
from ..tables.keys import COHORT, Key, cohort_key
from ..tables.left_out import Analysis, not_wanted
from ..tables.rows import Row
from ..tables.selections import Selection
from ..tables.training import Training
from ..workers.failures import failures
from ..workers.queue import Queue
from .settings import SearchSettings


@dataclass(frozen=True)
class Source:
    """Where the values of an objective come from.

    Attributes
    ----------
    name : str
        Of the column, as `pipeline.sweep_table` has it: "accuracy[noisy]".
    table : Computed table
        That has it, or whose part has it.
    tables : tuple of Computed tables
        That it takes, this one included, each after those that it is computed from.
    settings : mapping
        Those that its brackets name, by the column of a key.
    """

    name: str
    table: type[Populated]
    tables: tuple[type[Populated], ...]
    settings: Mapping[str, str] = field(default_factory=dict)


def sources_of(settings: SearchSettings) -> list[Source]:
    """Return where the values of each objective come from.

    Raises
    ------
    ParameterError
        For a column that no table has, or never will have for a network: its points would be waited
        for for ever.
    """
    columns = {
        name: (table, further)
        for table, names, further in tables_of_networks()
        for name in names
    }  # fmt: skip
    without = settings.sections.get("without")
    left_out = without if isinstance(without, list) else []  # else it is refused when it is entered
    found = []
    for number, objective in enumerate(settings.objectives):
        place = f"search.objectives[{number}]"
        name, bracket, inner = objective.column.partition("[")
        if name not in columns:
            problem, remedy = "is no column of a network", use_one_of(name, sorted(columns))
            raise ParameterError(place, objective.column, problem, remedy)
        of_column, further = columns[name]
        if bool(further) != bool(bracket):
            problem, remedy = "has one value for a network", f"write {name}"
            if further:
                problem = "has a value for each of several settings or inputs"
                remedy = f"name one of them, as in {name}[...]"
            raise ParameterError(place, objective.column, problem, remedy)
        if further:
            _check_settings(place, objective.column, inner.removesuffix("]"), further)
        table = next(t for t in COMPUTED if of_column is t or of_column in parts(t))
        needed = table.with_needed() if issubclass(table, Analysis) else ()
        tables: list[type[Populated]] = [Training]
        tables += [t for t in COMPUTED if t in needed]
        for each in tables:
            if each.__name__ in left_out:
                problem = f"needs {each.__name__}, which the file does without"
                remedy = f"take {each.__name__} from without, or name another column"
                raise ParameterError(place, objective.column, problem, remedy)
        named = inner.removesuffix("]").split(", ") if further else []
        given = dict(zip(further, named, strict=True))
        found.append(Source(objective.column, table, tuple(tables), given))
    return found


def _check_settings(place: str, column: str, inner: str, further: Sequence[str]) -> None:
    """Refuse settings of an analysis that there are not; of inputs only their task knows."""
    given = inner.split(", ")
    if len(given) != len(further):
        problem = f"names {len(given)} of {', '.join(further)}"
        raise ParameterError(place, column, problem, "name one of each, in this order")
    for name, value in zip(further, given, strict=True):
        known = _settings_named_by(name)
        if known and value not in known:
            problem = f"names a {name} that there is not"
            raise ParameterError(place, column, problem, use_one_of(value, known))


def _settings_named_by(column: str) -> list[str]:
    """Return the names of the settings of analyses that a column of a key names."""
    for schema in SCHEMAS.values():
        for table in schema.tables:
            if list(table.primary_key) == [column]:
                return [str(name) for name in table.to_arrays(column)]
    return []


@dataclass(frozen=True)
class Outcomes:
    """What is known of the cohorts of some points, read before their values are.

    Attributes
    ----------
    sources : sequence of Source
    waiting : dict of str to set of tuple
        Objective -> keys of the cohorts of which rows are still to be computed that it takes.
    stuck : dict of str to dict
        Objective -> key of a cohort -> in words, which of its jobs have failed.
    without : mapping
        Key of a cohort -> names of tables that it does without.
    """

    sources: Sequence[Source]
    waiting: dict[str, set[Key]] = field(default_factory=dict)
    stuck: dict[str, dict[Key, str]] = field(default_factory=dict)
    without: Mapping[Key, frozenset[str]] = field(default_factory=dict)

    @classmethod
    def read(cls, sweep_name: str, sources: Sequence[Source], keys: Iterable[Key]) -> Outcomes:
        """Return what is known of some cohorts of a sweep.

        Tables are read in the order of the chain: what a later one is to have is known when those
        that it needs are full.
        """
        cohorts = [dict(zip(COHORT, key, strict=True)) for key in sorted(set(keys))]
        tables = dict.fromkeys(table for source in sources for table in source.tables)
        undone: dict[type[Populated], set[Key]] = {}
        failed: dict[type[Populated], list[Row]] = {}
        for table in tables:
            to_come = (table().key_source & cohorts) - table.proj()
            undone[table] = {cohort_key(row) for row in to_come.proj().to_dicts()}
            failed[table] = _failed(table, sweep_name) if undone[table] else []
        waiting: dict[str, set[Key]] = {}
        stuck: dict[str, dict[Key, str]] = {}
        for source in sources:
            waiting[source.name] = set[Key]().union(*(undone[table] for table in source.tables))
            stuck[source.name] = {}
            for table in source.tables:
                wanted = source.settings.items()  # jobs of other settings do not matter
                own = [job for job in failed[table] if all(job.get(n, v) == v for n, v in wanted)]
                for key, number in Counter(map(cohort_key, own)).items():
                    words = f"{counted(number, 'job')} of {title_of(table)} failed"
                    stuck[source.name].setdefault(key, words)
        return cls(sources, waiting, stuck, not_wanted(cohorts))

    def why_not(self, key: Key, rows: Sequence[Row], diverged: int) -> str | None:
        """Return why a point will have no values, in words; None where they may come.

        Parameters
        ----------
        key : tuple
            Of its cohort.
        rows : sequence of dict
            Its networks that have not diverged, as `pipeline.sweep_table` has them.
        diverged : int
            Number of the others.
        """
        if not rows and diverged:
            return "all of its networks diverged"
        for source in self.sources:
            if words := self.stuck[source.name].get(key):
                return words
            lacking = [row["seed"] for row in rows if _is_missing(row.get(source.name))]
            if not lacking or key in self.waiting[source.name]:
                continue
            missing = self.without.get(key, frozenset()) & {t.__name__ for t in source.tables}
            if missing:
                return f"its cohort does without {', '.join(sorted(missing))}"
            seeds = ", ".join(map(str, lacking))
            return f"{source.name} has no value, of seed {seeds}, and nothing is left to compute"
        return None


def _is_missing(value: object) -> bool:
    return value is None or value != value


def _failed(table: type[Populated], sweep_name: str) -> list[Row]:
    """Return the keys of the jobs of a sweep that have failed, or are never to be done."""
    selection = Selection(sweep_name=sweep_name)
    queue = Queue(table)
    ignored = queue.chosen(queue.jobs & {"status": "ignore"}, selection)
    return [f.key for f in failures(selection, [table])] + list(ignored.proj().to_dicts())
