"""A study: networks to train, the published numbers, and how each is measured."""

from __future__ import annotations

import importlib
import importlib.util
import math
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from models.files.yaml_documents import read_yaml
from tasks_lib.errors import (
    ParameterError,
    check_bool,
    check_choice,
    check_float,
    check_int,
    use_one_of,
)

from .compared_settings import comparison_name, comparison_settings
from .forms import REDUCED, SETS, differences, reduced_sections
from .verdicts import COMPARISONS, STATISTICS

FILE, MEASURES = "study.yaml", "measures.py"
SHIPPED = "studies"  # the package of the studies that come with the project
FIELDS = (
    "title", "citation", *SETS, "cohorts", "reduced", "analyses", "tables", "compared", "settings",
    "solved", "conditions", "expected", "figure",
)  # fmt: skip
COHORT_FIELDS = ("task", "network", "training", "first_seed", "n_networks")
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


def read_study(name: str, whole: bool = False) -> Study:
    """Read and check a study in one of its forms.

    Parameters
    ----------
    name : str
        Of a study that comes with the project, or the path of a folder.
    whole : bool
        Whether it is as the publication has it, and not reduced.

    Raises
    ------
    ParameterError
        For a study or a field that does not exist, or has no sense.
    """
    folder = find_study(name)
    content = read_yaml(FILE, folder / FILE)
    if not isinstance(content, Mapping):
        raise ParameterError(FILE, content, "holds no fields", f"write {', '.join(FIELDS)}")
    for key in content:
        if key not in FIELDS:
            raise ParameterError(
                str(key), content[key], "does not exist", use_one_of(str(key), FIELDS)
            )
    sections = {key: _mapping(content, key) for key in (*SETS, "cohorts")}
    for label, cohort in sections["cohorts"].items():
        _check_cohort(f"cohorts.{label}", cohort)
    changes = _mapping(content, REDUCED, optional=True)
    form = sections if whole else reduced_sections(sections, changes)
    cohorts = form["cohorts"]
    compared = None
    if "compared" in content:
        compared = comparison_settings(_mapping(content, "compared"))
        for label in cohorts:
            comparison_name(folder.name, label, whole)
    expected = content.get("expected")
    if not isinstance(expected, list) or not expected:
        raise ParameterError("expected", expected, "is no list of results", "write what to hit")
    return Study(
        name=folder.name,
        title=_text(content, "title"),
        citation=_text(content, "citation"),
        folder=folder,
        form="whole" if whole else REDUCED,
        submission={**{s: form[s] for s in SETS}, "cohorts": list(cohorts.values())},
        cohorts=cohorts,
        changes=[] if whole else differences(sections, changes),
        conditions=[str(line) for line in content.get("conditions", [])],
        analyses=_analyses(_mapping(content, "analyses", optional=True)),
        tables=dict(_table(f"tables[{i}]", t) for i, t in enumerate(content.get("tables", []))),
        compared=compared,
        settings=dict(_mapping(content, "settings", optional=True)),
        solved=_solved(_mapping(content, "solved", optional=True)),
        expected=[
            _expected(f"expected[{i}]", e, cohorts, whole)
            for i, e in enumerate(expected)
            if whole or not _is_of_whole(e)
        ],
        figure=_text(content, "figure") if "figure" in content else None,
    )


def _check_cohort(place: str, cohort: Any) -> None:
    if not isinstance(cohort, Mapping):
        raise ParameterError(place, cohort, "is no cohort", f"write {', '.join(COHORT_FIELDS)}")
    for key in cohort:
        if key not in COHORT_FIELDS:
            remedy = use_one_of(str(key), COHORT_FIELDS)
            raise ParameterError(f"{place}.{key}", cohort[key], "does not exist", remedy)
    for key in COHORT_FIELDS:
        if key not in cohort:
            raise ParameterError(f"{place}.{key}", None, "is missing", f"write {key}")
    check_int(f"{place}.first_seed", cohort["first_seed"], minimum=0)
    check_int(f"{place}.n_networks", cohort["n_networks"], minimum=1)


def _analyses(given: Mapping[str, Any]) -> dict[str, dict[str, dict[str, Any]]]:
    """Return sets of settings, which their tables check when they are entered."""
    for title, sets in given.items():
        place = f"analyses.{title}"
        if not isinstance(sets, Mapping) or not sets:
            raise ParameterError(place, sets, "holds no settings", "write name: {column: value}")
        for name, columns in sets.items():
            if not isinstance(columns, Mapping):
                problem = "are no columns"
                raise ParameterError(f"{place}.{name}", columns, problem, "write column: value")
    return {title: {str(n): dict(c) for n, c in sets.items()} for title, sets in given.items()}


def _table(place: str, given: Any) -> tuple[str, list[dict[str, Any]]]:
    """Return the name of a table, and of which keys: "Name", or {Name: {column: [values]}}."""
    if isinstance(given, str):
        return given, [{}]
    if not isinstance(given, Mapping) or len(given) != 1:
        raise ParameterError(place, given, "is no table", "write Name, or Name: {column: value}")
    ((name, columns),) = given.items()
    if not isinstance(columns, Mapping):
        raise ParameterError(f"{place}.{name}", columns, "are no columns", "write column: value")
    keys: list[dict[str, Any]] = [{}]
    for column, values in columns.items():
        wanted = values if isinstance(values, list) else [values]
        keys = [{**key, column: value} for key in keys for value in wanted]
    return name, keys


def _is_of_whole(given: Any) -> bool:
    """Return whether a result is of the whole form alone: `reduced: null`."""
    return isinstance(given, Mapping) and REDUCED in given and given[REDUCED] is None


def _expected(place: str, given: Any, cohorts: Mapping[str, Any], whole: bool) -> Expected:
    if not isinstance(given, Mapping):
        raise ParameterError(place, given, "is no result", "write name, text, paper, ...")
    own = {key: value for key, value in given.items() if key != REDUCED}
    # Where the source has other numbers for it.
    given = own if whole else {**own, **_mapping(given, REDUCED, optional=True)}
    # As they are written: "args", and "pairs: true".
    left_out = ("arguments", "of_pairs")
    known = [n for n in Expected.__dataclass_fields__ if n not in left_out] + ["args", "pairs"]
    for key in given:
        if key not in known:
            raise ParameterError(
                f"{place}.{key}", given[key], "does not exist", use_one_of(str(key), known)
            )
    texts = {key: _text(given, key, f"{place}.") for key in ("name", "text", "paper", "source")}
    versus, of_pairs = given.get("versus"), check_bool(f"{place}.pairs", given.get("pairs", False))
    usual = "mean" if of_pairs else "median"
    statistic = check_choice(f"{place}.statistic", given.get("statistic", usual), STATISTICS)
    if of_pairs and statistic != "mean":
        problem = "is no statistic of pairs"
        raise ParameterError(
            f"{place}.statistic", statistic, problem, "write mean, or leave it out"
        )
    for key in ("cohort", "versus"):
        if key in given:
            check_choice(f"{place}.{key}", given[key], tuple(cohorts))
    return Expected(
        **texts,
        cohort=_text(given, "cohort", f"{place}."),
        measure=_text(given, "measure", f"{place}."),
        arguments=dict(_mapping(given, "args", optional=True)),
        statistic=statistic,
        within=_range(f"{place}.within", given.get("within")),
        versus=versus,
        comparison=check_choice(
            f"{place}.comparison", given.get("comparison", "difference"), COMPARISONS
        ),
        of_all=bool(given.get("of_all", False)),
        of_pairs=of_pairs,
    )


def _range(place: str, given: Any) -> tuple[float, float]:
    """Return a range written as [low, high], null where it has no end."""
    if not isinstance(given, list) or len(given) != 2 or given == [None, None]:
        raise ParameterError(place, given, "is no range", "write [low, high], null for no end")
    low = -math.inf if given[0] is None else check_float(f"{place}[0]", given[0])
    high = math.inf if given[1] is None else check_float(f"{place}[1]", given[1])
    if high < low:
        raise ParameterError(place, given, "ends before it begins", "write [low, high]")
    return low, high


def _solved(given: Mapping[str, Any]) -> dict[str, float]:
    known = ("r2_pooled", "accuracy")
    return {
        check_choice("solved", name, known): check_float(f"solved.{name}", value, maximum=1.0)
        for name, value in given.items()
    }


def _mapping(content: Mapping[str, Any], key: str, optional: bool = False) -> dict[str, Any]:
    value = content.get(key, {} if optional else None)
    if not isinstance(value, Mapping):
        raise ParameterError(key, value, "is no set of fields", "write name: value")
    return dict(value)


def _text(content: Mapping[str, Any], key: str, place: str = "") -> str:
    value = content.get(key)
    if not isinstance(value, str) or not value.strip():
        raise ParameterError(f"{place}{key}", value, "is no text", "write it in quotation marks")
    return value.strip()
