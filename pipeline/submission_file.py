"""The outline of a submission: its sections and entries, from a YAML file or a mapping."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from models.files.yaml_documents import read_yaml
from tasks_lib.errors import ParameterError, collecting, raise_all, use_one_of

SECTIONS = ("tasks", "networks", "trainings", "cohorts", "sweeps")
NAMING = ("task", "network", "training")
NAMES = (
    rf"(cohorts\[\d+\]|sweeps\.[^.]*)\.({'|'.join(NAMING)})"  # places of names, which must be text
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
    named = {error.field for error in errors}
    sections: dict[str, Any] = {}
    for name, section in content.items():
        with collecting(errors):
            if isinstance(name, str) or str(name) not in named:
                sections[name] = _section(name, section, errors)
    return sections


def _section(name: Any, section: Any, errors: list[ParameterError]) -> Any:
    """Return the entries of a section that are sets of fields."""
    if name not in SECTIONS:
        said = use_one_of(name, SECTIONS)
        remedy = said if said.endswith("?") else f"use one of {', '.join(SECTIONS)}"
        raise ParameterError("section", name, "does not exist", remedy)
    kind = list if name == "cohorts" else Mapping
    shape = "a list of cohorts" if kind is list else "name: {field: value}"
    if section is None:
        raise ParameterError(name, section, "is empty", f"remove it, or write {shape}")
    if not isinstance(section, kind):
        raise ParameterError(name, section, "has the wrong form", f"write {shape}")
    entries: Iterable[tuple[Any, Any]]
    if isinstance(section, list):
        entries = ((f"{name}[{number}]", row) for number, row in enumerate(section))
    else:
        entries = ((f"{name}.{entry}", row) for entry, row in section.items())
    for entry, row in entries:
        if not isinstance(row, Mapping):
            own = entry.rpartition(".")[2]
            remedy = f"write {own}: {{}} for the defaults" if row is None else "write field: value"
            errors.append(ParameterError(entry, row, "is not a set of fields", remedy))
    if isinstance(section, list):
        return [row if isinstance(row, Mapping) else None for row in section]
    return {entry: row for entry, row in section.items() if isinstance(row, Mapping)}
