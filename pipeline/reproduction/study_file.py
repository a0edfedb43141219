"""Reading the file of a study, and checking every field of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
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
from .study import FILE, Expected, Study, find_study
from .verdicts import COMPARISONS, STATISTICS

FIELDS = (
    "title", "citation", *SETS, "cohorts", "reduced", "analyses", "tables", "compared", "settings",
    "solved", "conditions", "expected", "figure",
)  # fmt: skip
COHORT_FIELDS = ("task", "network", "training", "first_seed", "n_networks")


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
    _check_changes(sections, changes)
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
    results = [
        _expected(f"expected[{i}]", e, cohorts, whole)
        for i, e in enumerate(expected)
        if whole or not _is_of_whole(e)
    ]
    _check_names(results)
    return Study(
        name=folder.name,
        title=_text(content, "title"),
        citation=_text(content, "citation"),
        folder=folder,
        form="whole" if whole else REDUCED,
        submission={**{s: form[s] for s in SETS}, "cohorts": list(cohorts.values())},
        cohorts=cohorts,
        changes=[] if whole else differences(sections, changes),
        conditions=_lines(content, "conditions"),
        analyses=_analyses(_mapping(content, "analyses", optional=True)),
        tables=dict(_table(f"tables[{i}]", t) for i, t in enumerate(_list(content, "tables"))),
        compared=compared,
        settings=dict(_mapping(content, "settings", optional=True)),
        solved=_solved(_mapping(content, "solved", optional=True)),
        expected=results,
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


def _check_changes(whole: Mapping[str, Mapping[str, Any]], changes: Mapping[str, Any]) -> None:
    """Refuse what the reduced form changes and the whole form does not have."""
    for section, names in changes.items():
        if section not in whole:
            remedy = use_one_of(str(section), whole)
            raise ParameterError(f"{REDUCED}.{section}", names, "does not exist", remedy)
        for name in _mapping(changes, section, place=f"{REDUCED}."):
            if name not in whole[section]:
                problem = "is not in the whole form"
                remedy = use_one_of(str(name), whole[section])
                raise ParameterError(f"{REDUCED}.{section}.{name}", names[name], problem, remedy)


def _check_names(results: Sequence[Expected]) -> None:
    """Refuse two results of one name, of which files would have one."""
    seen = set()
    for result in results:
        if result.name in seen:
            problem = "is the name of two results"
            raise ParameterError("expected.name", result.name, problem, "give each its own")
        seen.add(result.name)


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
    if "comparison" in given and versus is None:
        problem = "compares with nothing"
        remedy = "name a cohort by versus, or leave comparison out"
        raise ParameterError(f"{place}.comparison", given["comparison"], problem, remedy)
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
        of_all=check_bool(f"{place}.of_all", given.get("of_all", False)),
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


def _mapping(
    content: Mapping[str, Any], key: str, optional: bool = False, place: str = ""
) -> dict[str, Any]:
    value = content.get(key, {} if optional else None)
    if not isinstance(value, Mapping):
        raise ParameterError(f"{place}{key}", value, "is no set of fields", "write name: value")
    return dict(value)


def _list(content: Mapping[str, Any], key: str) -> list[Any]:
    value = content.get(key, [])
    if not isinstance(value, list):
        raise ParameterError(key, value, "is no list", "write [a, b], or a line with - for each")
    return value


def _lines(content: Mapping[str, Any], key: str) -> list[str]:
    for i, line in enumerate(_list(content, key)):
        _text({f"{key}[{i}]": line}, f"{key}[{i}]")
    return list(_list(content, key))


def _text(content: Mapping[str, Any], key: str, place: str = "") -> str:
    value = content.get(key)
    if not isinstance(value, str) or not value.strip():
        raise ParameterError(f"{place}{key}", value, "is no text", "write it in quotation marks")
    return value.strip()
