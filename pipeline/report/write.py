"""Writing a report: rows are fetched, and what has changed is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks_lib.errors import ParameterError

from ..tables.selections import Selection
from .comparison_rows import fetch_comparisons
from .drawn import MOST_NETWORKS, Drawings
from .made import Report
from .recording_rows import fetch_recordings
from .rows import CohortRows, fetch_cohorts
from .site import Site
from .sweeps import fetch_sweeps
from .writer import Progress, Writer

__all__ = ["Report", "Writer", "write_report", "writer_of"]


def write_report(
    folder: str | Path,
    restriction: Selection | Mapping[str, Any] | None = None,
    figures: bool = True,
    may_be_empty: bool = False,
    interactive: bool = False,
    draw: bool | None = None,
    progress: Progress = lambda done, total: None,
) -> Report:
    """Write a static site of the networks of a selection, or what of it has changed.

    The number of queries does not depend on the number of networks. Pages of networks that are
    not of the selection, or not there any more, are removed.

    Parameters
    ----------
    folder : str or Path
        A new or an empty folder, or one of an earlier report.
    restriction : Selection or mapping, optional
        Such as ``{"task_name": "cddm"}``.
    figures : bool
        Whether figures are copied, and curves and distributions drawn.
    may_be_empty : bool
        Whether a report without a cohort is written too.
    interactive : bool
        Whether fixed points get pages that turn, by plotly.
    draw : bool, optional
        Whether figures of analyses are drawn, about a second a network; by default where there are
        no more than 100 networks.
    progress : callable, optional
        Called with the number of networks that are done, and of all.

    Raises
    ------
    ParameterError
        Where the folder holds other things, where the selection is empty, and where plotly is
        wanted and not installed.
    """
    site = Site(Path(folder))  # which refuses before anything is fetched
    selection = Selection.of(restriction)
    cohorts = fetch_cohorts(selection)
    if not cohorts and not may_be_empty:
        given = selection.in_words()
        raise ParameterError(
            "selection", given, "has no cohort", "enter one with `rnn submit`, or mend it"
        )
    return writer_of(site, selection, cohorts, figures, interactive, draw).write(progress)


def writer_of(
    site: Site,
    selection: Selection,
    cohorts: Sequence[CohortRows],
    figures: bool = True,
    interactive: bool = False,
    draw: bool | None = None,
) -> Writer:
    """Return what writes cohorts of a selection to a site.

    Its sweeps, comparisons and recordings are fetched. Other parameters: see `write_report`.
    """
    views = None
    if interactive:
        from .interactive import Views

        views = Views(selection)
    if draw is None:
        draw = sum(len(c.networks) for c in cohorts) <= MOST_NETWORKS
    drawings = Drawings(selection) if draw and figures else None
    sweeps, comparisons = fetch_sweeps(selection), fetch_comparisons(selection)
    recordings = fetch_recordings(selection)
    return Writer(
        site, cohorts, selection, figures, views, sweeps, comparisons, drawings, recordings
    )
