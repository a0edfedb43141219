"""The study of a search: Optuna's, kept on the same database server as everything else."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import datajoint as dj

from tasks_lib.errors import ParameterError

from ..database import connection as database
from ..database.configuration import DatabaseError, one_line
from ..database.schemas import SCHEMAS
from ..tables.hashing import canonical_json
from .settings import Dimension, SearchSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    import optuna

EXTRA = "search"
_DRIVERS = {"mysql": "mysql+pymysql", "postgresql": "postgresql+psycopg2"}


def optuna_library() -> Any:
    """Return Optuna, which says nothing but warnings.

    Raises
    ------
    ParameterError
        Where it is not installed.
    """
    try:
        import optuna
    except ImportError:
        raise ParameterError(
            "rnn search", None, "needs Optuna, which is not installed",
            f'install it with `pip install "rnn-pipeline[{EXTRA}]"`',
        ) from None  # fmt: skip
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def schema_of_studies() -> str:
    """Return the name of the schema that holds Optuna's tables: ``rnn_search``."""
    own = str(SCHEMAS["task"].database)
    return f"{own.removesuffix('_task')}_search"


@contextmanager
def study_of(settings: SearchSettings) -> Iterator[optuna.Study]:
    """Open the study of a search, and make it where it is not there.

    Raises
    ------
    ParameterError
        Where Optuna is not installed, or the study has other objectives.
    DatabaseError
        Where its schema can be neither used nor made.
    """
    with _storage() as storage:
        yield _study(optuna_library(), storage, settings)


def declare_studies() -> str | None:
    """Make the schema and the tables of studies; return its name, None where Optuna is missing.

    For an administrator: who only runs searches needs no right to make tables then.
    """
    try:
        optuna_library()
    except ParameterError:
        return None
    with _storage():
        return schema_of_studies()


@contextmanager
def _storage() -> Iterator[optuna.storages.RDBStorage]:
    """Open Optuna's tables, and make them where they are missing."""
    optuna = optuna_library()
    opened: list[dj.Connection] = []
    here = database.connection()
    kind, schema = here.adapter.backend, schema_of_studies()
    quoted = here.adapter.quote_identifier(schema)
    is_there = "SELECT 1 FROM information_schema.schemata WHERE schema_name = %s"
    if here.query(is_there, args=(schema,)).fetchone() is None:
        try:
            here.query(f"CREATE SCHEMA IF NOT EXISTS {quoted}")
        except Exception as error:
            raise DatabaseError(
                f"schema = {schema!r}: cannot be made ({one_line(error)}); ask the server's "
                "administrator for rnn declare, where Optuna is installed, and rnn roles"
            ) from error

    def connect() -> Any:
        """Open a connection as the pipeline does, with its TLS, for transactions of SQLAlchemy."""
        opened.append(database.second_connection())
        raw: Any = opened[-1]._conn
        if kind == "mysql":
            raw.autocommit(False)
            raw.select_db(schema)
        else:
            with raw.cursor() as cursor:
                cursor.execute(f"SET search_path TO {quoted}")
            if not raw.autocommit:
                raw.commit()
            raw.autocommit = False
        return raw

    try:
        storage = optuna.storages.RDBStorage(
            f"{_DRIVERS[kind]}://", engine_kwargs={"creator": connect, "pool_pre_ping": True}
        )
        yield storage
    finally:
        for each in opened:
            each.close()


def _study(optuna: Any, storage: Any, settings: SearchSettings) -> optuna.Study:
    directions = [each.direction for each in settings.objectives]
    study: optuna.Study = optuna.create_study(
        storage=storage,
        study_name=settings.name,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=1),
        directions=directions,
        load_if_exists=True,
    )
    there = [each.name.lower() for each in study.directions]
    columns = [each.column for each in settings.objectives]
    kept = study.user_attrs.get("objectives", columns)
    if there != directions or kept != columns:
        said = ", ".join(f"{d} {c}" for d, c in zip(there, kept, strict=False))
        raise ParameterError(
            "search.objectives", columns, f"are others than those of the search there is ({said})",
            "give the search another name",
        )  # fmt: skip
    study.set_user_attr("objectives", columns)
    # Points are kept by the places of their values; the ends of ranges may be others.
    space = canonical_json({each.axis.name: list(each.choices) for each in settings.space})
    if study.user_attrs.get("space", space) != space:
        raise ParameterError(
            "search.space", [each.axis.name for each in settings.space],
            "has other axes or choices than the search there is", "give the search another name",
        )  # fmt: skip
    study.set_user_attr("space", space)
    # One that goes on does not draw the same points again.
    seed = settings.seed + len(study.get_trials(deepcopy=False))
    made = {
        "tpe": lambda: optuna.samplers.TPESampler(seed=seed, constant_liar=True),
        "random": lambda: optuna.samplers.RandomSampler(seed=seed),
    }
    study.sampler = made[settings.sampler]()
    return study


def distributions(space: list[Dimension]) -> dict[str, Any]:
    """Return what Optuna chooses from, by axis."""
    optuna = optuna_library()
    made: dict[str, Any] = {}
    for each in space:
        if each.choices:
            # Optuna chooses among plain values; by their place, others may be chosen too.
            made[each.axis.name] = optuna.distributions.CategoricalDistribution(
                tuple(range(len(each.choices)))
            )
        elif each.axis.is_whole:
            made[each.axis.name] = optuna.distributions.IntDistribution(
                round(each.low), round(each.high), log=each.is_log
            )
        else:
            made[each.axis.name] = optuna.distributions.FloatDistribution(
                each.low, each.high, log=each.is_log
            )
    return made
