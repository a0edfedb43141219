"""The section ``compared`` of a study: settings and names of the comparisons of its cohorts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from models.comparison.settings import ComparisonSettings
from tasks_lib.errors import ParameterError

from ..tables.comparing import UNKNOWN
from ..tables.given_settings import check_fields
from ..tables.parameters import check_name
from .forms import REDUCED

PLACE = "compared"


def comparison_settings(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a study's comparisons, checked.

    Raises
    ------
    ParameterError
        For a setting that no comparison has, or a value that is none.
    """
    try:
        check_fields(ComparisonSettings, given.items(), UNKNOWN)
        ComparisonSettings(**given)
    except ParameterError as error:
        raise ParameterError(
            f"{PLACE}.{error.field}", error.value, error.problem, error.remedy
        ) from None
    return dict(given)


def comparison_name(study: str, cohort: str, whole: bool, suffix: str = "") -> str:
    """Return the name of the comparison of a cohort's networks, another one in each form."""
    parts = (study, cohort, "" if whole else REDUCED, suffix)
    return check_name(f"cohorts.{cohort}", "_".join(filter(None, parts)))
