"""The outline of a submission: its sections and entries, from a YAML file or a mapping."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from models.files.yaml_documents import read_yaml
from tasks_lib.errors import ParameterError, collecting, raise_all, use_one_of

from .tables.keys import SETS

SECTIONS = ("tasks", "networks", "trainings", "cohorts", "sweeps", "without")
NAMES = (
    rf"(cohorts\[\d+\]|sweeps\.[^.]*)\.({'|'.join(SETS)})"  # places of names, which must be text
)


def read_submission(path: str | Path) -> dict[str, Any]:
    """Read and check the outline of a submission file.

    Raises
    ------
    ParameterError
        Where the file cannot be read, is not YAML or has sections that do not exist; where several
        things are wrong, as `ParameterErrors`.
    """
    errors: list[ParameterError] = []
    content = outline(path, errors)
    raise_all(errors)
    return content


def outline(
    content: Mapping[str, Any] | str | Path, errors: list[ParameterError]
) -> dict[str, Any]:
    """Return the sections of a submission that have the right form; append what is wrong.

    Entries that are no set of fields, and what is not named by a text, are left out.

    Raises
    ------
    ParameterError
        Where the file cannot be read or is not YAML.
    """
    if not isinstance(content, Mapping):
        path, before = content, len(errors)
        content = read_yaml("FILE", path, text_at=NAMES, errors=errors)
        if not isinstance(content, Mapping):
            if len(errors) == before:
                errors.append(
                    ParameterError(
                        "FILE", str(path), "holds no sections", f"write {', '.join(SECTIONS)}"
                    )
                )
            return {}
    elif not errors:
        _refuse_numbers_as_names(content, errors)
    named = {error.field for error in errors}
    sections: dict[str, Any] = {}
    for name, section in content.items():
        with collecting(errors):
            if isinstance(name, str) or str(name) not in named:
                sections[name] = _section(name, section, errors)
    return sections


def _refuse_numbers_as_names(content: Mapping[Any, Any], errors: list[ParameterError]) -> None:
    """Append an error for each name of an entry or a field that is no text; a file says its own."""
    entries: Iterable[tuple[str, Any]]
    for section, given in content.items():
        if isinstance(given, Mapping):
            errors += _no_texts(str(section), given)
            entries = ((f"{section}.{name}", row) for name, row in given.items())
        elif isinstance(given, list):
            entries = ((f"{section}[{number}]", row) for number, row in enumerate(given))
        else:
            continue
        for entry, row in entries:
            if isinstance(row, Mapping):
                errors += _no_texts(entry, row)


def _no_texts(place: str, named: Mapping[Any, Any]) -> list[ParameterError]:
    return [
        ParameterError(f"{place}.{name}", name, "is no text, as names are", f'write "{name}"')
        for name in named
        if not isinstance(name, str)
    ]


def sweep_entries(section: Mapping[Any, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Yield the place, the name and the fields of each sweep of a section.

    A sweep is a set of fields, or a list of several, which are entered one after the other.
    """
    for name, given in section.items():
        if isinstance(given, list) and given:
            for number, fields in enumerate(given):
                yield f"sweeps.{name}[{number}]", name, fields
        else:
            yield f"sweeps.{name}", name, given


def _section(name: Any, section: Any, errors: list[ParameterError]) -> Any:
    """Return the entries of a section that are sets of fields."""
    if name == "search":
        problem, remedy = "is no section of a submission", "enter the file with rnn search FILE"
        raise ParameterError("section", name, problem, remedy)
    if name not in SECTIONS:
        said = use_one_of(name, SECTIONS)
        remedy = said if said.endswith("?") else f"use one of {', '.join(SECTIONS)}"
        raise ParameterError("section", name, "does not exist", remedy)
    if name == "without":
        return section  # names of tables, which the tables know
    kind = list if name == "cohorts" else Mapping
    shape = "a list of cohorts" if kind is list else "name: {field: value}"
    if section is None:
        raise ParameterError(name, section, "is empty", f"remove it, or write {shape}")
    if not isinstance(section, kind):
        raise ParameterError(name, section, "has the wrong form", f"write {shape}")
    entries: Iterable[tuple[Any, Any]]
    if isinstance(section, list):
        entries = ((f"{name}[{number}]", row) for number, row in enumerate(section))
    elif name == "sweeps":
        entries = ((entry, row) for entry, _, row in sweep_entries(section))
    else:
        entries = ((f"{name}.{entry}", row) for entry, row in section.items())
    for entry, row in entries:
        if not isinstance(row, Mapping):
            own = entry.rpartition(".")[2]
            has_defaults = row is None and name not in ("cohorts", "sweeps")
            remedy = f"write {own}: {{}} for the defaults" if has_defaults else "write field: value"
            errors.append(ParameterError(entry, row, "is not a set of fields", remedy))
    if isinstance(section, list):
        return [row if isinstance(row, Mapping) else None for row in section]
    kept = (Mapping, list) if name == "sweeps" else Mapping
    return {entry: row for entry, row in section.items() if isinstance(row, kept)}
