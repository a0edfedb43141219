"""Entering comparisons: which networks are compared, and which pairs are a job."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Any

from models.comparison.settings import ComparisonSettings
from tasks_lib.errors import ParameterError

from ..database import schemas
from ..database.types import Query, Restriction
from .comparisons import SETTINGS, Comparison, ComparisonMember
from .given_settings import check_fields, settings_from_texts
from .in_use import all_or_nothing, entering_alone
from .network import NetworkParams
from .parameters import check_name
from .performance import finished_networks
from .rows import Row, in_chunks
from .selections import Selection
from .training import Training

UNKNOWN = "is no setting of a comparison"

PAIRS_OF_A_JOB = 10_000
JOB_BYTES = 400_000_000  # of what a job holds of networks
LEAST_VALUES = 60_000  # that are reckoned for the activity of a network


@dataclass(frozen=True)
class Compared:
    """What entering a comparison has changed.

    Attributes
    ----------
    name : str
    n_members : int
        Networks of the comparison.
    n_new : int
        Of these, those that are new.
    n_pairs : int
        Pairs that are still to be computed because of them.
    n_jobs : int
        Jobs that compute these pairs.
    """

    name: str
    n_members: int
    n_new: int
    n_pairs: int
    n_jobs: int


def compare(
    name: str, selection: Selection | Mapping[str, Any] | None = None, **settings: Any
) -> Compared:
    """Compare the finished networks of a selection with each other; workers compute the distances.

    The same name again adds those networks of the selection that are new: pairs that are there
    are kept. Where networks were deleted since, the embeddings are made anew.

    Parameters
    ----------
    name : str
        Of the comparison.
    selection : Selection or mapping, optional
        As all commands take it: ``{"task_name": "cddm", "where": "r2 > 0.9"}``, say.
    settings
        Fields of `models.ComparisonSettings`, of a comparison that is new.

    Raises
    ------
    ParameterError
        For networks of several tasks or fewer than two, and for other settings than the
        comparison has.
    """
    chosen = Selection.of(selection)
    chosen.check()
    return _compare(name, chosen.networks().proj(), chosen.in_words(), settings)


def compare_keys(name: str, keys: Sequence[Row], settings: Mapping[str, Any]) -> Compared:
    """Compare the networks of some keys with each other, as `compare` does those of a selection.

    Parameters
    ----------
    name : str
    keys : sequence of dict
        Of `Training.Network`, with further columns or without.
    settings : mapping
    """
    own = [{column: key[column] for column in Training.Network.primary_key} for key in keys]
    return _compare(name, own, f"{len(own)} networks", settings)


def _compare(
    name: str, chosen: Restriction, in_words: str, settings: Mapping[str, Any]
) -> Compared:
    check_name("comparison_name", name)
    check_fields(ComparisonSettings, settings.items(), UNKNOWN)
    networks = finished_networks() & chosen
    connection = Training.Network().connection
    with entering_alone(connection, schemas.task.database), all_or_nothing(connection):
        key = _enter_comparison(name, networks, in_words, settings)
        return _enter_members(key, networks)


def parse_settings(given: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Return settings of a comparison as a command line has them: texts, by their fields.

    Raises
    ------
    ParameterError
        For a field that there is not, and a number that is none.
    """
    return settings_from_texts(ComparisonSettings, given, UNKNOWN, "is no number")


def _enter_comparison(
    name: str, networks: Query, in_words: str, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the key of a comparison, which is there then."""
    tasks = sorted(set(networks.to_arrays("task_name").tolist()))
    there = (Comparison & {"comparison_name": name}).to_dicts()
    if len(tasks) > 1:
        problem = f"are of the tasks {', '.join(tasks)}"
        remedy = "choose one, with task_name or --task"
        raise ParameterError("selection", in_words, problem, remedy)
    if not tasks:
        raise ParameterError(
            "selection", in_words, "has no network that is trained",
            "choose others, or wait until they are",
        )  # fmt: skip
    key = {"task_name": tasks[0], "comparison_name": name}
    if not there and len(networks) < 2:
        raise ParameterError(
            "selection", in_words, "has one network that is trained", "choose two or more"
        )
    # What is given of one that is there is to be what it has.
    kept = {column: there[0][column] for column in SETTINGS.values()} if there else {}
    row = {**key, **kept, **{SETTINGS[field]: value for field, value in settings.items()}}
    if there:
        complete = Comparison().checked(Comparison().normal(row))
        for field, column in SETTINGS.items():
            if complete[column] != kept[column]:
                problem = f"is {kept[column]!r} in the comparison {name}"
                raise ParameterError(field, complete[column], problem, "give it another name")
    else:
        Comparison.insert1(row)
    return key


def _enter_members(key: dict[str, Any], networks: Query) -> Compared:
    """Enter the networks that are new, and the blocks of their pairs."""
    there = (ComparisonMember & key).to_arrays("member").tolist()
    new = (networks - (ComparisonMember & key).proj()).keys()
    new = sorted(new, key=lambda row: [row[column] for column in Training.Network.primary_key])
    entries = (Comparison.Entry & key).to_dicts(order_by="entry")
    known = entries[-1]["entry_members"] if entries else -1
    blocks = (Comparison.Block & key).to_arrays("first_to", "second_to")
    # Numbers of networks that were deleted are not given again.
    first = max([-1, *there, *(int(v) - 1 for array in blocks for v in array)]) + 1
    total = len(there) + len(new)
    if not new and total == known:
        return Compared(key["comparison_name"], total, 0, 0, 0)
    members = [{**key, **row, "member": first + i} for i, row in enumerate(new)]
    entry = {**key, "entry": entries[-1]["entry"] + 1 if entries else 0}
    Comparison.Entry.insert1({**entry, "entry_members": total})
    for some in in_chunks(members):
        ComparisonMember.insert(some)
    sizes = (NetworkParams & (ComparisonMember & key).proj()).to_arrays("n_units").tolist()
    asked = Comparison.build((Comparison & key).fetch1())
    values = asked.max_trials * (asked.n_times * asked.n_components + asked.max_trials // 2)
    ranges = list(blocks_of(first, len(new), max([1, *sizes]), max(LEAST_VALUES, values)))
    Comparison.Block.insert(
        {**entry, "block": number, "first_from": a, "first_to": b, "second_from": c, "second_to": d}
        for number, (a, b, c, d) in enumerate(ranges)
    )
    n_pairs = len(new) * len(there) + len(new) * (len(new) - 1) // 2
    return Compared(key["comparison_name"], total, len(new), n_pairs, len(ranges))


def blocks_of(
    n_old: int, n_new: int, n_units: int, n_values: int = LEAST_VALUES
) -> Iterator[tuple[int, int, int, int]]:
    """Yield the blocks of all pairs with a new network, each pair in one of them.

    Parameters
    ----------
    n_old : int
        Numbers that are given; those of the new networks follow.
    n_new : int
    n_units : int
        Of the largest network: a block holds two ranges of networks.
    n_values : int
        Numbers that hold the activity of a network at most.

    Yields
    ------
    first_from, first_to, second_from, second_to : int
        Half-open ranges, the same or one after the other.
    """
    room = max(2, JOB_BYTES // (8 * (n_units**2 + 60 * n_units + n_values)))
    width = min(isqrt(PAIRS_OF_A_JOB), max(1, room // 2))
    for start in range(n_old, n_old + n_new, width):
        end = min(start + width, n_old + n_new)
        own = max(1, min(PAIRS_OF_A_JOB // (end - start), room - (end - start)))
        for first in range(0, start, own):
            yield first, min(first + own, start), start, end
        if end - start > 1:
            yield start, end, start, end
