"""Axes that change nothing, since another field switches off what they are about."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tasks_lib.errors import ParameterError

from ..tables.rows import Row
from .design import Axis, value_at


def _drops(row: Row) -> bool:
    return bool(row["dropout_rate"])


def _drops_some_rather(row: Row) -> bool:
    return _drops(row) and row["dropout_sampling"] != "uniform"


def _drops_active(row: Row) -> bool:
    return _drops(row) and row["dropout_sampling"] == "participation"


def _has_penalties(row: Row) -> bool:
    return any(penalty["weight"] for penalty in row["penalties"].values())


def _has_recurrent_noise(row: Row) -> bool:
    return bool(row["sigma_rec"])


_DROPOUT = "dropout_rate is 0", "set training.dropout_rate, or vary it too"
# Field -> when it has an effect; why it has none otherwise, and the remedy.
_NEEDED: Mapping[tuple[str, str], tuple[Callable[[Row], bool], str, str]] = {
    ("training", "dropout_kind"): (_drops, *_DROPOUT),
    ("training", "dropout_sampling"): (_drops, *_DROPOUT),
    ("training", "dropout_rescale"): (_drops, *_DROPOUT),
    ("training", "dropout_beta"): (
        _drops_some_rather,
        "dropout_rate is 0 or dropout_sampling is uniform",
        "set training.dropout_rate and training.dropout_sampling, or vary them too",
    ),
    **dict.fromkeys(
        (("training", "participation_rate"), ("training", "participation_quantile")),
        (
            _drops_active,
            "dropout_rate is 0 or dropout_sampling is not participation",
            "set training.dropout_rate and training.dropout_sampling, or vary them too",
        ),
    ),
    ("training", "task_safe_gradients"): (
        _has_penalties,
        "no penalty has a weight",
        "give the training a penalty, or vary the weight of one too",
    ),
    ("network", "noise_inside"): (
        _has_recurrent_noise,
        "sigma_rec is 0",
        "set network.sigma_rec, or vary it too",
    ),
}


def refuse_without_effect(axes: Sequence[Axis], sets: Sequence[Row]) -> None:
    """Refuse an axis with several values that changes no network at any point.

    Parameters
    ----------
    axes : sequence of Axis
        Of one table.
    sets : sequence of dict
        The complete parameters of that table at the points.

    Raises
    ------
    ParameterError
        For the first such axis.
    """
    for axis in axes:
        has_effect, reason, remedy = _need(axis)
        values: list[Any] = []
        for row in sets:
            value = value_at(row, axis.path)
            if value not in values:
                values.append(value)
        if len(values) > 1 and not any(map(has_effect, sets)):
            field, problem = f"vary.{axis.name}", f"changes no network: {reason} at every point"
            raise ParameterError(field, values[-1], problem, remedy)


def _need(axis: Axis) -> tuple[Callable[[Row], bool], str, str]:
    if axis.path[0] == "penalties" and axis.path[2:3] == ("args",):
        weight = (*axis.path[:2], "weight")
        name = ".".join(("training", *weight))
        return lambda row: bool(value_at(row, weight)), "its weight is 0", f"set {name}"
    return _NEEDED.get((axis.which, axis.path[0]), (lambda _: True, "", ""))
