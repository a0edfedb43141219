"""Writing the pages of a report that have changed, their pictures and their figures."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from tasks_lib.errors import ParameterError

from ..tables.keys import cohort_key, network_key
from ..tables.network_rows import curves_of
from ..tables.selections import Selection
from . import pages
from .comparison_rows import ComparisonRows
from .comparisons import (
    ComparisonPages,
    comparison_context,
    draw_embedding,
    drawn_from,
)
from .drawings import curve
from .drawn import MOST_NETWORKS, Drawings, DrawnFigure, drawn_figures
from .made import Report
from .names import figure_name, page_of
from .parameters import meanings_context, parameters_shown
from .pictures import (
    Picture,
    copy_picture,
    curves_made_from,
    learning_curves,
    pictures_of,
)
from .recording_rows import RecordingRows
from .recordings import (
    CAPTION,
    RecordingPages,
    draw_units,
    drawn_of_recording,
    recording_context,
    units_made_from,
)
from .rows import CohortRows, NetworkRows, Row
from .shown_figures import ShownFigures
from .site import MANIFEST, Site, fingerprint
from .summaries import distributions, summary_of
from .sweeps import SweepPages, SweepRows, draw_figure, figures_of, sweep_context

if TYPE_CHECKING:
    from .interactive import View, Views

INDEX, MEANINGS = "index.html", "parameters.html"


Progress = Callable[[int, int], object]


class Writer:
    """Writes the report of cohorts to a site.

    Parameters
    ----------
    site : Site
    cohorts : sequence of CohortRows
    selection : Selection
    figures : bool
        Whether figures are copied, and curves and distributions drawn.
    views : Views, optional
        Of fixed points that turn.
    sweeps : sequence of SweepRows
    comparisons : sequence of ComparisonRows
    drawings : Drawings, optional
        Draws the figures of analyses of networks; without it there are none.
    recordings : sequence of RecordingRows
    """

    def __init__(
        self,
        site: Site,
        cohorts: Sequence[CohortRows],
        selection: Selection,
        figures: bool = True,
        views: Views | None = None,
        sweeps: Sequence[SweepRows] = (),
        comparisons: Sequence[ComparisonRows] = (),
        drawings: Drawings | None = None,
        recordings: Sequence[RecordingRows] = (),
    ) -> None:
        self.site, self.cohorts, self.selection = site, cohorts, selection
        self.has_figures, self.views, self.drawings = figures, views, drawings
        self.assets = pages.ASSETS + (pages.ASSETS_OF_VIEWS if views else ())
        self.pictures: dict[str, list[Picture]] = {
            page_of(n.row): pictures_of(n) if figures else [] for c in cohorts for n in c.networks
        }
        self.curves = {page_of(c.row): _curves_path(c) if figures else "" for c in cohorts}
        self.turning: dict[str, list[View]] = {
            page_of(n.row): views.of(n) if views else [] for c in cohorts for n in c.networks
        }
        self.drawn: dict[str, list[DrawnFigure]] = {
            page_of(n.row): drawn_figures(n) for c in cohorts for n in c.networks
        }
        self.by_key = {cohort_key(c.row): c for c in cohorts}
        self.summaries = {
            key: [summary_of(c, n) for n in c.networks] for key, c in self.by_key.items()
        }
        self.sweeps = SweepPages(sweeps, self.by_key)
        self.of_sweeps = {
            s.page: figures_of(s, self.summaries) if figures else [] for s in self.sweeps
        }
        there = (network_key(n.row) for c in cohorts for n in c.networks)
        self.comparisons = ComparisonPages(comparisons, there)
        self.recordings = RecordingPages(recordings, cohorts)
        self.report = Report(site.folder / INDEX)
        self.figures = ShownFigures(site, self.report.faults)
        self.of_recordings = Drawings(selection)

    def write(self, progress: Progress = lambda done, total: None) -> Report:
        """Write what has changed, and remove what is not of the report any more."""
        report, total = self.report, sum(len(c.networks) for c in self.cohorts)
        paths = self._paths()
        self.site.begin(paths)
        for name in self.assets:
            content = pages.asset(name)
            self.site.write(
                f"assets/{name}", fingerprint(content.decode()), partial(bytes, content)
            )
        if self.views is not None:
            script = self.views.script
            known = fingerprint(hashlib.sha256(script).hexdigest())
            self.site.write(pages.PLOTLY, known, lambda: script)
        for key, cohort in self.by_key.items():
            lines, parameters = self.summaries[key], parameters_shown(cohort, whole=False)
            for network, line in zip(cohort.networks, lines, strict=True):
                self._write_network(cohort, network, line, parameters)
                report.n_networks += 1
                progress(report.n_networks, total)
            self._write_cohort(cohort, lines)
        for sweep in self.sweeps:
            self._write_sweep(sweep)
        for comparison in self.comparisons:
            self._write_comparison(comparison)
        for recording in self.recordings:
            self._write_recording(recording)
        context = pages.index_context(
            self.cohorts,
            list(self.summaries.values()),
            self.selection.given,
            self.sweeps.listed(self.summaries),
            self.comparisons.listed(),
            self.recordings.listed(),
        )
        self._write_page(INDEX, "index.html", context)
        self._write_page(MEANINGS, "parameters.html", meanings_context())
        self.site.finish()
        report.n_cohorts = len(self.cohorts)
        report.n_written, report.n_removed = self.site.n_written, self.site.n_removed
        report.paths = {*self.site.paths, MANIFEST}
        return report

    def _paths(self) -> set[str]:
        """Return every file that the report may have."""
        paths = [INDEX, MEANINGS, *(f"assets/{name}" for name in self.assets)]
        paths += [pages.PLOTLY] if self.views is not None else []
        for cohort in self.cohorts:
            of_cohort = page_of(cohort.row)
            paths += [of_cohort, *filter(None, [self.curves[of_cohort]])]
            for network in cohort.networks:
                page = page_of(network.row)
                paths += [page, *(view.path for view in self.turning[page])]
                for picture in self.pictures[page]:
                    paths += filter(None, [picture.path, picture.small])
                if self.drawings is not None:
                    paths += [figure.path for figure in self.drawn[page]]
        for sweep in self.sweeps:
            paths += [sweep.page, *(figure["path"] for figure in self.of_sweeps[sweep.page])]
        for comparison in self.comparisons:
            paths += [comparison.page]
            if self.has_figures:
                paths += [embedding.path for embedding in comparison.embeddings]
        for recording in self.recordings:
            paths += [recording.page]
            if self.has_figures:
                paths += [recording.figure, *(f.path for f in drawn_of_recording(recording))]
        twice = [path for path, number in Counter(paths).items() if number > 1]
        if twice:
            raise ParameterError(
                "file", twice[0], "is that of two networks", "see which cohorts have equal seeds"
            )
        return set(paths)

    def _write_network(
        self, cohort: CohortRows, network: NetworkRows, summary: Row, parameters: Row
    ) -> None:
        page = summary["page"]
        shown, small = [], []
        for picture in self.pictures[page]:
            made = self.figures.picture(picture.path, picture.caption,
                                 partial(copy_picture, self.site, picture))  # fmt: skip
            shown.append(made)
            if picture.small and not made["problem"]:
                small.append(picture.small)
        summary["small"] = small
        views = []
        for view in self.turning[page]:
            if not self.figures.read(partial(self._write_view, cohort, network, view)):
                views.append({"path": view.path, "search": view.search})
        context = pages.network_context(
            cohort, network, summary, parameters, shown, views,
            self.figures.drawn(self.drawn[page], self.drawings),
            self.comparisons.of(network_key(network.row)), self.recordings.of(network),
        )  # fmt: skip
        is_left = self.drawn[page] and self.has_figures and self.drawings is None
        context["undrawn"] = MOST_NETWORKS if is_left else 0
        curves = curves_made_from(network.row) if self.has_figures else []
        known = pages.made_from("network.html", context, curves)
        drawn: dict[str, Any] = {}
        if self.has_figures and not self.site.is_current(page, known):
            problem = self.figures.read(lambda: drawn.update(_drawings(network.row)))
            drawn["problem"] = problem
            known = "" if problem else known  # its curves may be there again next time
        self.site.write(
            page, known, lambda: pages.render("network.html", context | {"drawn": drawn})
        )

    def _write_view(self, cohort: CohortRows, network: NetworkRows, view: View) -> None:
        """Write the page of a view that turns."""
        views, key = self.views, network.row
        if views is not None:

            def make() -> bytes:
                return pages.view_page(key, view.search, views.figure(cohort, network, view))

            self.site.write(view.path, view.made_from, make)

    def _write_cohort(self, cohort: CohortRows, networks: Sequence[Row]) -> None:
        page = page_of(cohort.row)
        path = self.curves[page]
        if path:
            known = fingerprint(
                [curves_made_from(n.row, n.tables["terms"]) for n in cohort.networks]
            )
            if self.figures.read(
                lambda: self.site.write(path, known, lambda: learning_curves(cohort.networks))
            ):
                path = ""
        context = pages.cohort_context(cohort, networks, path, self.sweeps.of(cohort))
        context["drawings"] = distributions(networks) if self.has_figures else []
        self._write_page(page, "cohort.html", context)

    def _write_sweep(self, sweep: SweepRows) -> None:
        figures = self.of_sweeps[sweep.page]
        for figure in figures:
            made_from = fingerprint(figure, sweep.points, [
                (n["key"], n["r2"], n["accuracy"], n["loss"], n["n_points"])
                for key in sweep.values for n in self.summaries[key]
            ])  # fmt: skip
            draw = partial(draw_figure, sweep, self.summaries, figure["options"])
            self.site.write(figure["path"], made_from, draw)
        context = sweep_context(sweep, self.by_key, self.summaries, figures, self.has_figures)
        self._write_page(sweep.page, "sweep.html", context)

    def _write_comparison(self, comparison: ComparisonRows) -> None:
        figures = {}
        for embedding in comparison.embeddings if self.has_figures else ():
            draw = partial(draw_embedding, embedding)
            write = partial(self.site.write, embedding.path, drawn_from(embedding), draw)
            caption = "Networks by their distances, the distances by class, what they go with"
            figures[embedding.name] = self.figures.picture(embedding.path, caption, write)
        context = comparison_context(comparison, figures)
        self._write_page(comparison.page, "comparison.html", context)

    def _write_recording(self, recording: RecordingRows) -> None:
        distances = self.recordings.distances(recording)
        pictures, figures = [], []
        if self.has_figures:
            draw = partial(draw_units, recording, distances)
            made_from = units_made_from(recording, distances)
            write = partial(self.site.write, recording.figure, made_from, draw)
            pictures = [self.figures.picture(recording.figure, CAPTION, write)]
            figures = self.figures.drawn(drawn_of_recording(recording), self.of_recordings)
        context = recording_context(recording, distances, pictures, figures)
        self._write_page(recording.page, "recording.html", context)

    def _write_page(self, path: str, template: str, context: dict[str, Any]) -> None:
        known = pages.made_from(template, context)
        self.site.write(path, known, lambda: pages.render(template, context))


def _curves_path(cohort: CohortRows) -> str:
    """Return the path of the figure of a cohort's curves; "" where one network has its own."""
    trained = [n for n in cohort.networks if n.row["iterations_done"]]
    if len(trained) < 2 or cohort.source:
        return ""
    return f"figures/{figure_name(cohort.row, 'learning_curves')}"


def _drawings(row: Row) -> dict[str, Markup]:
    """Return the curves of a network as drawings."""
    losses, scores = curves_of(row)
    steps = np.arange(1, len(losses) + 1)
    return {
        "loss": curve(steps, losses, "loss", log=True),
        "score": curve(scores[:, 0], scores[:, 1], "validation R²"),
    }
