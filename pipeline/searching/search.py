"""A search: points are asked for, entered as cohorts of a sweep, and told when they have results.

It computes nothing itself: any number of workers train. All that it knows is in the database, so
that one that was killed goes on, and several may run at once.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tasks_lib.brief import brief
from tasks_lib.errors import ParameterError, ParameterErrors, renamed, use_one_of

from ..submission import submit
from ..sweeps.design import rounded
from ..sweeps.table import cohorts_of_points, sweep_table, text_of_point
from ..tables.keys import COHORT, Key
from ..tables.selections import Selection
from ..tables.sweeps import Sweep, SweepPoint
from ..upkeep.deletion import delete
from .outcomes import Outcomes, sources_of
from .pruning import is_to_end, live_losses, report_curves
from .settings import SearchSettings, read_search
from .study import distributions, optuna_library, study_of

if TYPE_CHECKING:
    import optuna

ENTERED, WHY = "entered", "why"  # attributes of a trial: it has been entered; why it failed
DELETED = "its cohort was deleted"
log = logging.getLogger(__name__)


@brief
@dataclass(frozen=True)
class Found:
    """What a search has found.

    Attributes
    ----------
    n_told, n_failed, n_pruned, n_running : int
        Points with results, without any (`notes` say why), given up, and waiting.
    best : list of tuple
        Values of the objectives, and the point, axis -> value: the best one; of several objectives
        those of which none is better in all.
    n_deleted : int
        Points whose cohort was deleted, with results or before: others are chosen in their place.
    notes : dict of int to str
        Number of a point that failed or was deleted, from 0 -> what became of it, in words.
    """

    n_told: int
    n_failed: int
    n_pruned: int
    n_running: int
    best: list[tuple[list[float], dict[str, Any]]]
    n_deleted: int = 0
    notes: dict[int, str] = field(default_factory=dict)


def search(
    content: Mapping[str, Any] | str | Path,
    wait: Callable[[Found], Any],
) -> Found:
    """Run a search to its end.

    Parameters
    ----------
    content : mapping, str or Path
        Its section ``search`` and those of a submission, or the file that holds them.
    wait : callable
        Called between two looks with what has been found so far; returns after a while.

    Raises
    ------
    ParameterError
        For what is wrong with the file, a column that no table has, and where Optuna is not
        installed.
    """
    settings = read_search(content)
    optuna_library()
    sources_of(settings)
    if settings.sections:
        submit(settings.sections)
    there = (Sweep & {"sweep_name": settings.name}).to_arrays("sweep_description")
    if len(there) and settings.description and there[0] != settings.description:
        log.warning("search.description: the sweep is there and keeps %r", str(there[0]))
    with study_of(settings) as study:
        while True:
            found = step(settings, study)
            if not found.n_running:
                return found
            wait(found)


def step(settings: SearchSettings, study: optuna.Study) -> Found:
    """Tell what has results, ask for further points and enter them; return what is there."""
    state = optuna_library().trial.TrialState
    _look(settings, study, study.get_trials(deepcopy=False, states=(state.RUNNING,)))
    trials = study.get_trials(deepcopy=False)
    there = _cohorts_of_points(settings)
    n_asked = sum(not _is_deleted(settings, trial, there) for trial in trials)
    running = [t for t in trials if t.state == state.RUNNING]
    while len(running) < settings.at_once and n_asked < settings.n_points:
        asked = study.ask(fixed_distributions=distributions(settings.space))
        running.append(study._storage.get_trial(asked._trial_id))
        n_asked += 1
    # Also those of one that was killed before it had entered them.
    _enter(settings, study, running)
    return _found(settings, study)


def _found(settings: SearchSettings, study: optuna.Study) -> Found:
    """Return what there is: a point whose cohort is not there any more does not count."""
    state = optuna_library().trial.TrialState
    trials, there = study.get_trials(deepcopy=False), _cohorts_of_points(settings)
    deleted = {t.number for t in trials if _is_deleted(settings, t, there)}
    number = {
        each: sum(t.state == each and t.number not in deleted for t in trials) for each in state
    }
    told = [t for t in trials if t.state == state.COMPLETE and t.number not in deleted]
    notes = {}
    for trial in trials:
        if trial.number in deleted or trial.state == state.FAIL:
            why = DELETED if trial.number in deleted else trial.user_attrs.get(WHY, "it failed")
            point = _point(settings, trial)
            at = ", ".join(f"{axis} {value}" for axis, value in point.items())
            notes[trial.number] = f"{why}, at {at}"
    return Found(
        number[state.COMPLETE], number[state.FAIL], number[state.PRUNED], number[state.RUNNING],
        [(list(t.values), _point(settings, t)) for t in _best(settings, told)],
        len(deleted), notes,
    )  # fmt: skip


def _best(settings: SearchSettings, trials: Sequence[Any]) -> list[Any]:
    """Return the trials of which no other one is better in one objective and as good in all."""
    if not trials:
        return []
    signs = [1.0 if each.direction == "minimize" else -1.0 for each in settings.objectives]
    costs = np.array([t.values for t in trials]) * signs
    return [
        trial
        for trial, cost in zip(trials, costs, strict=True)
        if not ((costs <= cost).all(axis=1) & (costs < cost).any(axis=1)).any()
    ]


def _is_deleted(settings: SearchSettings, trial: Any, there: Mapping[str, Key]) -> bool:
    """Return whether the cohort of a point was deleted, after it had results or before."""
    if trial.user_attrs.get(WHY) == DELETED:
        return True
    is_told = trial.state == optuna_library().trial.TrialState.COMPLETE
    return is_told and text_of_point(_point(settings, trial)) not in there


def _cohorts_of_points(settings: SearchSettings) -> dict[str, Key]:
    """Return the cohort of each point that is there, by `text_of_point`."""
    return {  # somebody may have given a point further networks
        text: next((key for key in keys if key[-1] == settings.first_seed), keys[0])
        for text, keys in cohorts_of_points(settings.name).items()
    }


def _point(settings: SearchSettings, trial: Any) -> dict[str, Any]:
    """Return the point of a trial: axis -> value."""
    point = {}
    for each in settings.space:
        value = trial.params[each.axis.name]
        point[each.axis.name] = each.choices[value] if each.choices else rounded(each.axis, value)
    return point


# Entering -----------------------------------------------------------------------------------------


def _enter(settings: SearchSettings, study: optuna.Study, trials: Sequence[Any]) -> None:
    """Enter the points of a sweep that are not there; those that cannot be have failed."""
    there = _cohorts_of_points(settings)
    points = {text_of_point(p): p for p in (_point(settings, trial) for trial in trials)}
    new = {text: point for text, point in points.items() if text not in there}
    refused: dict[str, ParameterError] = {}
    try:
        _submit(settings, list(new.values()))
    except ParameterError as error:
        if not _is_of_values(error):
            raise
        for text, point in new.items():  # which of them it is
            try:
                _submit(settings, [point])
            except ParameterError as own:
                if not _is_of_values(own):
                    raise
                refused[text] = own
    for trial in trials:
        text = text_of_point(_point(settings, trial))
        if text in refused:
            _fail(study, trial, str(refused[text]))
        elif ENTERED not in trial.user_attrs:
            _note(study, trial, ENTERED, True)


def _submit(settings: SearchSettings, points: list[dict[str, Any]]) -> None:
    if not points:
        return
    sweep = {
        **settings.base, "points": points, "n_networks": settings.n_networks,
        "first_seed": settings.first_seed, "without": settings.sections.get("without") or [],
    }  # fmt: skip
    if not Sweep & {"sweep_name": settings.name}:
        sweep["description"] = settings.description
    try:
        submit({"sweeps": {settings.name: sweep}})
    except ParameterError as error:
        place = f"sweeps.{settings.name}."
        raise renamed(
            error, lambda name: name.replace(place, "search.").replace(".vary.", ".space.")
        ) from error


def _is_of_values(error: ParameterError) -> bool:
    """Return whether what is wrong are values of a point, and not what all points begin with."""
    each = error.errors if isinstance(error, ParameterErrors) else (error,)
    return all(one.field.startswith("search.space.") for one in each)


def _note(study: optuna.Study, trial: Any, name: str, value: Any) -> None:
    """Note something of a point, unless another search has finished it meanwhile."""
    with suppress(optuna_library().exceptions.UpdateFinishedTrialError):
        study._storage.set_trial_user_attr(trial._trial_id, name, value)


def _fail(study: optuna.Study, trial: Any, why: str) -> None:
    _note(study, trial, WHY, why)
    failed = optuna_library().trial.TrialState.FAIL
    study.tell(trial.number, state=failed, skip_if_finished=True)


# Results ------------------------------------------------------------------------------------------


def _look(settings: SearchSettings, study: optuna.Study, running: Sequence[Any]) -> None:
    """Tell the results of points that have them, why others will have none; give up some."""
    keys: dict[int, Key] = {}
    there = _cohorts_of_points(settings) if running else {}
    for trial in running:
        key = there.get(text_of_point(_point(settings, trial)))
        if key is not None:
            keys[trial.number] = key
        elif ENTERED in trial.user_attrs:
            _fail(study, trial, DELETED)
    if not keys:
        return
    outcomes = Outcomes.read(settings.name, sources_of(settings), keys.values())
    table = sweep_table(settings.name)  # after that: what is computed by then is in it
    diverged = {
        tuple(row[k] for k in (*COHORT, "seed"))
        for row in (Selection(sweep_name=settings.name).networks() & "status = 'diverged'")
        .proj().to_dicts()
    }  # fmt: skip
    rows: dict[Key, list[dict[str, Any]]] = {}
    for row in table.to_dict("records"):
        rows.setdefault(tuple(row[k] for k in COHORT), []).append(row)
    live = live_losses() if settings.prune else {}
    training: list[tuple[Any, Key]] = []
    for trial in running:
        key = keys.get(trial.number)
        if key is None or key not in rows:
            continue
        kept = [row for row in rows[key] if (*key, row["seed"]) not in diverged]
        values = [_mean(kept, each.column, table.columns) for each in settings.objectives]
        if all(value is not None for value in values):
            if settings.prune:
                report_curves(settings, study, trial, key)
            told = [float(value) for value in values if value is not None]
            study.tell(trial.number, told, skip_if_finished=True)
        elif why := outcomes.why_not(key, kept, len(rows[key]) - len(kept)):
            _fail(study, trial, why)
        elif key in live and not is_shared(settings, key):
            training.append((trial, key))
    for trial, key in training:  # compared with all that are finished by now
        if is_to_end(settings, study, trial, *live[key]):
            pruned = optuna_library().trial.TrialState.PRUNED
            study.tell(trial.number, state=pruned, skip_if_finished=True)
            delete(dict(zip(COHORT, key, strict=True)))


def is_shared(settings: SearchSettings, key: Key) -> bool:
    """Return whether another sweep has this cohort too, so that it is not given up."""
    points = SweepPoint & dict(zip(COHORT, key, strict=True))
    return bool(len(points - {"sweep_name": settings.name}))


def _mean(rows: list[dict[str, Any]], column: str, columns: Any) -> float | None:
    """Return the mean over the networks of a point; None while one has no value."""
    found = []
    for row in rows:
        value = row.get(column)
        if value is None or value != value:
            return None
        if isinstance(value, str) or not isinstance(value, (bool, int, float, np.number)):
            numbers = [str(name) for name in columns]
            raise ParameterError(
                "search.objectives", column, "holds no numbers", use_one_of(column, numbers)
            )
        found.append(float(value))
    return math.fsum(found) / len(found) if found else None
