"""Which fields may differ between the configurations of networks that form one batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any, TypeVar

import numpy as np

from tasks_lib.errors import ParameterError

from ..formulas.equations import SIGMAS
from .config import NetworkConfig

# What configurations of networks of one batch may differ in: neither the shape of an array nor the
# code of the equation depends on it.
NETWORKS_DIFFER_IN = (
    *SIGMAS,
    "spectral_radius",
    "density",
    "self_connections",
    "nonnegative_inp",
    "nonnegative_out",
    "bias_init",
)

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


def check_networks(configs: Sequence[NetworkConfig]) -> None:
    """Refuse networks that differ in more than networks of one batch may."""
    check_alike(configs, NETWORKS_DIFFER_IN)


def check_alike(configs: Sequence[Any], but_for: Sequence[str]) -> None:
    """Refuse configurations that differ in any field but those named."""
    for field in fields(configs[0]):
        values = [getattr(config, field.name) for config in configs]
        if field.name not in but_for and len(distinct(values)) > 1:
            raise differs(field.name, values, f"only {', '.join(but_for)} may differ")


def differs(field: str, values: Sequence[Any], what_may: str) -> ParameterError:
    """Return the error of a field that has to be the same for all networks of a batch."""
    return ParameterError(
        field,
        distinct(values),
        "differs between networks of one batch",
        f"make it the same for all, or train these networks apart ({what_may})",
    )


def distinct(values: Sequence[Any]) -> list[Any]:
    """Return the values that there are, each once, in the order in which they come."""
    found: list[Any] = []
    for value in values:
        if value not in found:
            found.append(value)
    return found


def common_or_listed(values: Sequence[Any]) -> Any:
    """Return the value that all networks share, or the list of each network's."""
    return values[0] if len(distinct(values)) == 1 else list(values)
