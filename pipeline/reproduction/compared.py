"""The comparisons of a study: the networks of each cohort, pair by pair."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from models.comparison.settings import ComparisonSettings
from tasks_lib.errors import ParameterError

from ..tables.comparing import compare_keys
from ..tables.comparisons import Comparison
from ..tables.network_pairs import NetworkPair, NetworkSummary, PairBlock
from ..tables.rows import Row
from ..workers.worker import Filled
from .compared_settings import PLACE, comparison_name
from .forms import REDUCED
from .study import Study

WITHOUT_DSA = "no_dsa"


@dataclass(frozen=True)
class ComparedCohorts:
    """Comparisons that are entered and computed.

    Attributes
    ----------
    names : dict of str to str
        Cohort -> name of the comparison of its networks.
    filled : Filled
        Rows computed in this run, and errors.
    faults : list of str
        Distances that are missing, a line each.
    """

    names: dict[str, str] = field(default_factory=dict)
    filled: Filled = field(default_factory=lambda: Filled(0, []))
    faults: list[str] = field(default_factory=list)


def names_of_comparisons(study: Study) -> tuple[dict[str, str], dict[str, Any], list[str]]:
    """Return cohort -> name of its comparison, their settings, and what is left out of them.

    Without the library of dynamical similarity analysis, comparisons without it are made, under
    other names: with the library, the same command computes what is missing.

    Raises
    ------
    ParameterError
        Where there is a comparison of such a name with other settings.
    """
    if study.compared is None:
        return {}, {}, []
    settings, suffix, faults = dict(study.compared), "", []
    if settings.get("dsa", "none") != "none":
        from models.comparison.dsa import NO_LIBRARY, library

        if library() is None:
            settings["dsa"], suffix = "none", WITHOUT_DSA
            faults = [f"dsa_distance: {NO_LIBRARY}"]
    whole = study.form != REDUCED
    names = {label: comparison_name(study.name, label, whole, suffix) for label in study.cohorts}
    for name in names.values():
        there = (Comparison & {"comparison_name": name}).to_dicts()
        if there and Comparison.build(there[0]) != ComparisonSettings(**settings):
            problem = f"are not those of the comparison {name} that is there"
            remedy = "rename the study's folder, or delete that comparison"
            raise ParameterError(PLACE, settings, problem, remedy)
    return names, settings, faults


def compare_cohorts(
    study: Study,
    networks: Mapping[str, list[Row]],
    fill: Callable[[Mapping[str, list[Row]]], Filled],
) -> ComparedCohorts:
    """Compare the networks of each cohort with each other; a cohort of one network is left out.

    Parameters
    ----------
    study : Study
    networks : mapping of str to list of dict
        Cohort -> keys of networks that are trained.
    fill : callable
        Fills tables: gets names of tables and of which keys.
    """
    names, settings, faults = names_of_comparisons(study)
    names = {label: name for label, name in names.items() if len(networks[label]) > 1}
    if not names:
        return ComparedCohorts(faults=faults)
    for label, name in names.items():
        compare_keys(name, networks[label], settings)
    keys = [{"comparison_name": name} for name in names.values()]
    filled = fill({table.__name__: keys for table in (NetworkSummary, PairBlock)})
    for name in names.values():
        why = (NetworkPair & {"comparison_name": name} & "pair_reason <> ''").to_arrays(
            "pair_reason"
        )
        faults += [f"{name}: {reason}" for reason in sorted(set(why.tolist()))]
    return ComparedCohorts(names, filled, faults)
