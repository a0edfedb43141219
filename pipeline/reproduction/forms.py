"""The two forms of a study: whole, and reduced to what two cores do in minutes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

SETS = ("tasks", "networks", "trainings")
REDUCED = "reduced"


def merged(whole: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested mappings with some values changed.

    Lists and numbers are replaced; what is changed to None is left out.
    """
    found = dict(deepcopy(dict(whole)))
    for name, value in changes.items():
        inner = found.get(name)
        if value is None:
            found.pop(name, None)
        elif isinstance(value, Mapping) and isinstance(inner, Mapping):
            found[name] = merged(inner, value)
        else:
            found[name] = deepcopy(value)
    return found


def reduced_sections(whole: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the sections of the reduced form.

    Parameter sets that differ from those of the whole form have another name, with "_reduced" at
    its end: both forms can be in one database.
    """
    found = merged(whole, changes)
    renamed: dict[str, dict[str, str]] = {}
    for section in SETS:
        own, sets = whole.get(section, {}), found.get(section, {})
        names = {
            name: name if fields == own.get(name) else f"{name}_{REDUCED}"
            for name, fields in sets.items()
        }
        found[section] = {names[name]: fields for name, fields in sets.items()}
        renamed[section] = names
    for cohort in found["cohorts"].values():
        for section in SETS:
            name = cohort[section[:-1]]
            cohort[section[:-1]] = renamed[section].get(name, name)
    return found


def differences(whole: Mapping[str, Any], changes: Mapping[str, Any]) -> list[str]:
    """Return a line for each value that the reduced form changes: "trainings.x.max_iter: ..."."""
    return list(_differences(whole, changes, ""))


def _differences(whole: Any, changes: Mapping[str, Any], place: str) -> Iterator[str]:
    for name, value in changes.items():
        own = whole.get(name) if isinstance(whole, Mapping) else None
        where = f"{place}{name}"
        if isinstance(value, Mapping) and isinstance(own, Mapping):
            yield from _differences(own, value, f"{where}.")
        elif value is None:
            yield f"{where}: left out"
        elif value != own:
            yield f"{where}: {value} instead of {'the default' if own is None else own}"
