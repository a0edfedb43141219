"""A study: networks to train, the published numbers, and how each is measured."""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from tasks_lib.errors import (
    ParameterError,
    use_one_of,
)

FILE, MEASURES = "study.yaml", "measures.py"
SHIPPED = "studies"  # the package of the studies that come with the project
LEAST_NETWORKS = 3  # that a verdict takes


@dataclass(frozen=True)
class Expected:
    """A published result, and how ours is measured.

    Attributes
    ----------
    name, text : str
        Short name, and what it is in words, with its unit.
    paper, source : str
        What was published, in words, and where: section, figure.
    cohort : str
        Networks that it is measured in.
    measure : str
        Function of the study's measures: of the key of a network, and arguments; of pairs, of the
        keys of all networks of a cohort, and arguments.
    arguments : mapping
    statistic : {"median", "mean", "share", "standard_deviation"}
        Over networks; of pairs the mean over these.
    within : (float, float)
        What counts as reproduced.
    versus : str or None
        Cohort that it is compared with.
    comparison : {"difference", "ratio"}
    of_all : bool
        Whether networks count that do not solve their task.
    of_pairs : bool
        Whether the measure gives a number of each pair of networks: a matrix.
    """

    name: str
    text: str
    paper: str
    source: str
    cohort: str
    measure: str
    arguments: Mapping[str, Any]
    statistic: str
    within: tuple[float, float]
    versus: str | None = None
    comparison: str = "difference"
    of_all: bool = False
    of_pairs: bool = False


@dataclass(frozen=True)
class Study:
    """A study in one of its forms.

    Attributes
    ----------
    name, title, citation : str
    folder : Path
    form : {"reduced", "whole"}
    submission : dict
        Sections of an ordinary submission.
    cohorts : dict of str to dict
        The study's name of a cohort -> its fields.
    changes : list of str
        What differs from the whole form, a line each.
    conditions : list of str
        What differs from the publication, a line each.
    analyses : dict of str to dict of str to dict
        Sets of settings that the study brings along: table of settings -> name -> columns.
    tables : dict of str to list of dict
        Computed tables that the measures read, and the keys of which each is filled: columns and
        values, one of the list.
    compared : dict or None
        Settings of the comparison of the networks of each cohort with each other; None: they are
        not compared.
    settings : dict
        Columns of keys: which sets of settings all tables are filled for, and measures read.
    solved : dict
        Lowest r2_pooled or accuracy of a network that counts.
    expected : list of Expected
    figure : str or None
        Function of the measures that draws the figure.
    """

    name: str
    title: str
    citation: str
    folder: Path
    form: str
    submission: dict[str, Any]
    cohorts: dict[str, dict[str, Any]]
    changes: list[str]
    conditions: list[str]
    analyses: dict[str, dict[str, dict[str, Any]]]
    tables: dict[str, list[dict[str, Any]]]
    compared: dict[str, Any] | None
    settings: dict[str, Any]
    solved: dict[str, float]
    expected: list[Expected] = field(repr=False)
    figure: str | None = None

    def measures(self) -> ModuleType:
        """Import the functions that measure, and draw, and return them."""
        if self.folder.parent == shipped_folder():
            return importlib.import_module(f"{SHIPPED}.{self.folder.name}.measures")
        path = self.folder / MEASURES
        if not path.is_file():
            raise ParameterError("NAME", str(path), "is not there", f"write {MEASURES}")
        # As a package, so that its modules can import each other; anew, for it may have changed.
        name = "_study_" + re.sub(r"\W", "_", self.folder.name)
        for old in [n for n in sys.modules if n == name or n.startswith(f"{name}.")]:
            del sys.modules[old]
        package = ModuleType(name)
        package.__path__ = [str(self.folder)]
        sys.modules[name] = package
        importlib.invalidate_caches()
        return importlib.import_module(f"{name}.measures")

    def function(self, module: ModuleType, name: str, place: str) -> Callable[..., Any]:
        """Return a function of the measures.

        Raises
        ------
        ParameterError
            Where there is none of this name.
        """
        found = getattr(module, name, None)
        if not callable(found) or name.startswith("_"):
            known = [n for n, f in vars(module).items() if callable(f) and not n.startswith("_")]
            raise ParameterError(place, name, f"is not in {MEASURES}", use_one_of(name, known))
        return found


def shipped_folder() -> Path | None:
    """Return the folder of the studies that come with the project; None: not installed."""
    spec = importlib.util.find_spec(SHIPPED)
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    return Path(places[0]) if places else None


def shipped_studies() -> dict[str, Path]:
    """Return the studies that come with the project: name -> folder."""
    folder = shipped_folder()
    files = sorted(folder.glob(f"*/{FILE}")) if folder is not None else []
    return {file.parent.name: file.parent for file in files}


def find_study(name: str) -> Path:
    """Return the folder of a study, by its name or by the path of a folder of one's own.

    Raises
    ------
    ParameterError
        Where there is none, naming those that are known.
    """
    known = shipped_studies()
    if name in known:
        return known[name]
    if (Path(name) / FILE).is_file():
        return Path(name).resolve()
    said = use_one_of(name, known)
    remedy = said if said.endswith("?") else f"use one of {', '.join(known)}"
    raise ParameterError("NAME", name, f"is no study, nor a folder with {FILE}", remedy)
