"""The pages of the API reference: what the public packages name, wherever it is defined.

What is shown of each name is read from its docstring by mkdocstrings; these pages say only where
it is. The names are those of the packages' ``__all__``, so that no list has to be kept.
"""

from __future__ import annotations

import inspect
import tomllib
from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import griffe

ROOT = Path(__file__).resolve().parent.parent

HEADS = {
    "tasks_lib": """# tasks_lib: behavioural tasks

What a trial is. Needs NumPy alone. [Tasks](../docs/tasks.md) shows every task with its inputs and
targets.
""",
    "models": """# models: networks, training, dynamics

What networks are, how they are trained, and what their dynamics are. Needs no database.
""",
    "pipeline": """# pipeline: the tables and who fills them

The DataJoint tables, and the functions that enter parameters, fill tables and exchange networks.
`pipeline.connect()` comes first. [Tables](../docs/tables.md) has the columns of every table; here
are the methods that they have beside DataJoint's own.
""",
}
EXTENSIONS = """# Extensions

What code of your own builds on. [examples/own_task.py](../examples/own_task.py) is a task to copy,
and [Penalties](../docs/penalties.md#a-penalty-of-your-own) has two complete penalties.

| what | builds on | see |
|---|---|---|
| a task | a subclass of `Task`; `check_task` says what is wrong with it | {Task}, {check_task} |
| a penalty | a function of a `PenaltyContext`; `register` gives it a name | [below](#penalties) |
| an activation | f, f', f'' and what holds of them | {ActivationFunction} |
| a back end of the engine | a subclass of `BackEnd` | [below](#the-engine) |
| where the states of trainings are kept | the protocol `Checkpoints` | {Checkpoints} |

[CONTRIBUTING.md](../CONTRIBUTING.md#recipes) says, step by step, what to write for each of them in
this library.
"""
# Packages below a public one whose names the page of extensions shows, and what it says of them.
EXTENSION_PACKAGES = {
    "Penalties": ("models.penalties", "What a penalty is given, and how it is found by its name."),
    "The engine": (
        "models.engine",
        "How networks run, and how gradients go back "
        "([what happens in an iteration](../docs/engine.md)).",
    ),
}


def reference_pages() -> dict[str, str]:
    """Return the pages by their names."""
    pages = {f"{name}.md": face_page(name, head) for name, head in HEADS.items()}
    pages["extensions.md"] = extension_page()
    return pages


def face_page(name: str, head: str) -> str:
    """Return the page of all that a package names, by the folders that it is defined in."""
    package = import_module(name)
    places = {public: place(package, public) for public in package.__all__}
    rooms = folders(name)
    parts = [head]
    for room in ["", *rooms]:
        here = [p for p, where in places.items() if _room(where, rooms) == room]
        if here and room:
            parts.append(f"## {room}\n\n{first_line(import_module(f'{name}.{room}'))}\n")
        parts += sections(package, here, level=3 if room else 2)
    return "\n".join(parts)


def folders(package: str) -> list[str]:
    """Return the folders of a package, the lowest layer first (the contracts in pyproject.toml)."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    for contract in settings["tool"]["importlinter"]["contracts"]:
        if contract.get("containers") == [package]:
            rows = reversed(contract["layers"])
            return [name.strip() for row in rows for name in row.replace(":", "|").split("|")]
    return []


def _room(where: str, rooms: list[str]) -> str:
    second = where.split(".")[1]
    return second if second in rooms else ""


def sections(package: ModuleType, names: Iterable[str], level: int = 2) -> list[str]:
    """Return a section for each name of a package."""
    parts = []
    for public in sorted(names, key=str.lower):
        thing = getattr(package, public)
        if isinstance(thing, ModuleType):
            parts.append(f"{'#' * level} {public}\n\n`{thing.__name__}`: {first_line(thing)}\n")
        elif getattr(thing, "__name__", public) in (set(package.__all__) - {public}):
            other = f"[`{thing.__name__}`][{place(package, public)}]"
            parts.append(f"{'#' * level} {public}\n\nAnother name of {other}.\n")
        elif inspect.isclass(thing) and hasattr(thing, "definition"):
            parts.append(described_section(public, thing, level, table_text(public, thing)))
        elif declares_fields(thing):
            text = "Its fields, with defaults and limits: [Parameters](../docs/parameters.md)."
            parts.append(described_section(public, thing, level, text))
        else:
            options = f"      show_root_full_path: false\n      heading_level: {level}\n"
            parts.append(f"::: {place(package, public)}\n    options:\n{options}")
    return parts


def described_section(name: str, cls: type, level: int, text: str) -> str:
    """Return the section of a class whose fields another page describes: a text and its methods."""
    where = f"{cls.__module__}.{cls.__qualname__}"
    options = (
        "show_root_heading: false",
        "show_root_toc_entry: false",
        f"heading_level: {level + 1}",
    )
    lines = [f"{'#' * level} {name}", "", text, "", f"::: {where}", "    options:"]
    return "\n".join([*lines, *(f"      {option}" for option in options), ""])


def table_text(name: str, table: Any) -> str:
    """Return what a table is: its definition says it, which no docstring repeats."""
    comment = table.definition.strip().partition("\n")[0].lstrip("# ")
    columns = f"[columns](../docs/tables.md#{name.lower()})"
    return f"{comment[:1].upper()}{comment[1:]} ({columns})."


def declares_fields(thing: Any) -> bool:
    """Return whether a class declares its fields with `models.parameters`: docs/parameters.md."""
    return is_dataclass(thing) and any(field.metadata for field in fields(thing))


def place(package: ModuleType, name: str) -> str:
    """Return where a public name is defined."""
    thing = getattr(package, name)
    if isinstance(thing, ModuleType):
        return thing.__name__
    if inspect.isclass(thing) or inspect.isfunction(thing):
        if thing.__name__ != name and thing.__name__ not in package.__all__:
            return f"{package.__name__}.{name}"  # known by this name alone
        return f"{thing.__module__}.{thing.__qualname__}"
    found = _sources(package.__name__.partition(".")[0])[f"{package.__name__}.{name}"]
    return str(found.canonical_path)


@cache
def _sources(package: str) -> griffe.ModulesCollection:
    """Return what griffe reads in the sources of a package, for values, which say not whose."""
    loader = griffe.GriffeLoader(search_paths=[ROOT])
    loader.load(package)
    loader.resolve_aliases()
    return loader.modules_collection


def extension_page() -> str:
    """Return the page of the extension points."""
    referred = {
        "tasks_lib": ("Task", "check_task"),
        "models": ("ActivationFunction", "Checkpoints"),
    }
    references = {
        name: f"[`{name}`][{place(import_module(package), name)}]"
        for package, names in referred.items()
        for name in names
    }
    parts = [EXTENSIONS.format(**references)]
    shown: set[str] = set()
    for title, (package, text) in EXTENSION_PACKAGES.items():
        module = import_module(package)
        places = {name: place(module, name) for name in module.__all__}
        new = [name for name, where in places.items() if where not in shown]
        parts += [f"## {title}\n\n{text}\n", *sections(module, new, level=3)]
        shown |= {*places.values()}
    return "\n".join(parts)


def first_line(thing: object) -> str:
    """Return the first line of a docstring."""
    return (inspect.getdoc(thing) or "").partition("\n")[0]
