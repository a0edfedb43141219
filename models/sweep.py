"""Networks that train as one batch: what may differ between their configurations."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import fields
from typing import Any, TypeVar

import numpy as np

from tasks_lib.errors import ParameterError

Config = TypeVar("Config")


def one_for_each(field: str, given: Config | Sequence[Config], n_networks: int) -> list[Config]:
    """Return one configuration, or a number, for each network; one alone is that of all.

    Parameters
    ----------
    field : str
        What it is called where it is wrong.
    given
        One, or a sequence of as many as there are networks.
    n_networks : int
    """
    if isinstance(given, np.ndarray):
        given = given.tolist()
    if not isinstance(given, Sequence):
        return [given] * n_networks
    if len(given) != n_networks:
        raise ParameterError(
            field, len(given), f"there are {n_networks} networks", "give one, or one for each"
        )
    return list(given)


def check_alike(configs: Sequence[Any], but_for: Collection[str]) -> None:
    """Refuse configurations that differ in more than the fields ``but_for``.

    What differs there would make arrays of other shapes, or another computation.
    """
    for field in fields(configs[0]):
        if field.name in but_for:
            continue
        values = [getattr(config, field.name) for config in configs]
        if any(value != values[0] for value in values):
            raise ParameterError(
                field.name,
                distinct(values),
                "differs between networks of one batch",
                f"make it the same for all, or train these networks apart (what may differ: "
                f"{', '.join(but_for)})",
            )


def distinct(values: Sequence[Any]) -> list[Any]:
    """Return the values that there are, each once, in the order in which they come."""
    found: list[Any] = []
    for value in values:
        if value not in found:
            found.append(value)
    return found


def told(values: Sequence[Any]) -> Any:
    """Return a value that all networks share, or the list of each network's."""
    return values[0] if len(distinct(values)) == 1 else list(values)


def joint_penalties(each: Sequence[dict[str, dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Return the penalties of all networks, the weight of each a list: 0 where one lacks it.

    A penalty's arguments are those of all networks that have it.
    """
    joint: dict[str, dict[str, Any]] = {}
    for name in sorted({name for penalties in each for name in penalties}):
        args = [penalties[name]["args"] for penalties in each if name in penalties]
        if len(distinct(args)) > 1:
            raise ParameterError(
                f"penalties.{name}.args",
                distinct(args),
                "differs between networks of one batch",
                "make them the same for all, or train these networks apart (weights may differ)",
            )
        weights = [penalties[name]["weight"] if name in penalties else 0.0 for penalties in each]
        joint[name] = {"weight": weights, "args": args[0]}
    return joint
