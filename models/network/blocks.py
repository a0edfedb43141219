"""Blocks of weights between named groups of units: which exist, and which are trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tasks_lib.errors import ParameterError, check_choice, check_int, use_one_of

Bool = NDArray[np.bool_]
ALL, EXCITATORY, INHIBITORY = "all", "excitatory", "inhibitory"
ABSENT, FIXED, TRAINED = "absent", "fixed", "trained"
# Which side of each array of weights is units; the other one of W_inp and W_out is channels.
SIDES = {
    "W_rec": ("to", "from"),
    "W_inp": ("to", "from"),
    "W_out": ("to", "from"),
    "b_rec": ("to",),
}
_CHANNELS = {"W_inp": "from", "W_out": "to"}
_LONGEST = 64


class HasBlocks(Protocol):
    """What is asked of a `NetworkConfig`."""

    @property
    def groups(self) -> dict[str, list[int]]:
        """Name -> [first, last)."""

    @property
    def blocks(self) -> dict[str, list[dict[str, Any]]]:
        """Array of weights -> its blocks."""

    @property
    def n_units(self) -> int:
        """Number of units."""

    @property
    def n_excitatory(self) -> int:
        """Number of excitatory units, which come first."""


def checked_groups(groups: Mapping[str, Any], n_units: int) -> dict[str, list[int]]:
    """Return named groups of units, name -> [first, last), checked.

    Raises
    ------
    ParameterError
        Naming the group.
    """
    found = {}
    for name, given in groups.items():
        field = f"groups.{name}"
        if not isinstance(name, str) or not name.isprintable() or not 0 < len(name) <= _LONGEST:
            raise ParameterError("groups", name, "is not a name", f"use 1 to {_LONGEST} characters")
        if name in (ALL, EXCITATORY, INHIBITORY):
            problem, remedy = "is the name of a group that is there anyway", "choose another name"
            raise ParameterError(field, given, problem, remedy)
        if isinstance(given, (str, Mapping)) or not hasattr(given, "__len__") or len(given) != 2:
            remedy = "give [first, last), as [0, 40] for units 0 to 39"
            raise ParameterError(field, given, "is not a range of units", remedy)
        first = check_int(f"{field}[0]", given[0], 0, n_units - 1)
        found[name] = [first, check_int(f"{field}[1]", given[1], first + 1, n_units)]
    return {name: found[name] for name in sorted(found)}


def checked_blocks(
    blocks: Mapping[str, Any], groups: Mapping[str, list[int]], dale: bool
) -> dict[str, list[dict[str, Any]]]:
    """Return what is said of blocks of weights in normal form, checked.

    Raises
    ------
    ParameterError
        Naming the array of weights, the number of the entry, and its field.
    """
    known = [ALL, *groups, *((EXCITATORY, INHIBITORY) if dale else ())]
    found: dict[str, list[dict[str, Any]]] = {}
    for weights, entries in blocks.items():
        if weights not in SIDES:
            remedy = use_one_of(weights, SIDES)
            raise ParameterError(f"blocks.{weights}", entries, "is no array of weights", remedy)
        if isinstance(entries, (str, Mapping)) or not isinstance(entries, Sequence):
            remedy = "give a list, as [{to: all, from: all, weights: fixed}]"
            raise ParameterError(f"blocks.{weights}", entries, "is not a list of blocks", remedy)
        own = [
            _checked_block(f"blocks.{weights}[{i}]", weights, entry, known)
            for i, entry in enumerate(entries)
        ]
        if own:
            found[weights] = own
    return {weights: found[weights] for weights in SIDES if weights in found}


def _checked_block(field: str, weights: str, entry: Any, known: Sequence[str]) -> dict[str, Any]:
    sides = SIDES[weights]
    if not isinstance(entry, Mapping):
        remedy = f"give {', '.join(sides)} and weights"
        raise ParameterError(field, entry, "is not a block", remedy)
    for name in entry:
        if name not in (*sides, "weights"):
            remedy = use_one_of(name, (*sides, "weights"))
            raise ParameterError(f"{field}.{name}", entry[name], "is no field of a block", remedy)
    block: dict[str, Any] = {}
    for side in sides:
        value = entry.get(side, ALL)
        place = f"{field}.{side}"
        if _CHANNELS.get(weights) == side and value != ALL:
            block[side] = _checked_channels(place, value)
        elif value not in known or not isinstance(value, str):
            problem, remedy = "is no group of units", use_one_of(value, known)
            raise ParameterError(place, value, problem, remedy)
        else:
            block[side] = value
    # A bias exists, if only as 0.
    kinds = (ABSENT, FIXED, TRAINED) if weights != "b_rec" else (FIXED, TRAINED)
    block["weights"] = check_choice(f"{field}.weights", entry.get("weights"), kinds)
    return block


def _checked_channels(field: str, value: Any) -> list[int]:
    if isinstance(value, (str, Mapping)) or not isinstance(value, Sequence) or not value:
        remedy = "give a list of the numbers of channels, from 0, or all"
        raise ParameterError(field, value, "are no channels", remedy)
    channels = [check_int(f"{field}[{i}]", v, minimum=0) for i, v in enumerate(value)]
    if len(set(channels)) < len(channels):
        raise ParameterError(field, value, "names a channel twice", "name each once")
    return sorted(channels)


def check_channels(
    blocks: Mapping[str, Sequence[Mapping[str, Any]]], n_inputs: int, n_outputs: int
) -> None:
    """Refuse blocks that name an input or output channel that a task does not have.

    Raises
    ------
    ParameterError
        Naming the block and the side on which it stands.
    """
    for (name, side), size in zip(_CHANNELS.items(), (n_inputs, n_outputs), strict=True):
        for number, block in enumerate(blocks.get(name, ())):
            if isinstance(block[side], list):
                _check_channels(f"blocks.{name}[{number}].{side}", block[side], size)


def _check_channels(field: str, channels: list[int], size: int) -> None:
    if max(channels) >= size:
        problem, remedy = f"names a channel of {size}", f"give numbers from 0 to {size - 1}"
        raise ParameterError(field, channels, problem, remedy)


def states_of_weights(config: HasBlocks, name: str, shape: tuple[int, ...]) -> tuple[Bool, Bool]:
    """Return which weights of an array may exist, and which of them are fixed, as boolean arrays.

    Of entries that overlap the last one counts.

    Parameters
    ----------
    config : NetworkConfig
    name : str
        W_rec, W_inp, W_out or b_rec.
    shape : tuple of int
        Of that array.

    Raises
    ------
    ParameterError
        Where an entry names a channel that the array does not have.
    """
    exist: Bool = np.ones(shape, dtype=np.bool_)
    fixed: Bool = np.zeros(shape, dtype=np.bool_)
    for number, block in enumerate(config.blocks.get(name, ())):
        members = [
            _members(config, f"blocks.{name}[{number}].{side}", block[side], shape[axis])
            for axis, side in enumerate(SIDES[name])
        ]
        place = np.ix_(*members)
        exist[place] = block["weights"] != ABSENT
        fixed[place] = block["weights"] == FIXED
    return exist, fixed


def _members(config: HasBlocks, field: str, group: Any, size: int) -> NDArray[np.int64]:
    """Return the numbers of the units, or of the channels, of a group."""
    if isinstance(group, list):
        _check_channels(field, group, size)
        return np.array(group, dtype=np.int64)
    ranges = {
        ALL: [0, size],
        EXCITATORY: [0, config.n_excitatory],
        INHIBITORY: [config.n_excitatory, config.n_units],
    }
    first, last = ranges[group] if group in ranges else config.groups[group]
    return np.arange(first, last, dtype=np.int64)
