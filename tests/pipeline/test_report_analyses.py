"""What reports show of analyses: tables, numbers of cohorts, figures from rows, comparisons."""

from __future__ import annotations

import io
import re
from dataclasses import asdict
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image

from pipeline.database.connection import connection
from pipeline.database.schemas import is_ours
from pipeline.report.analyses import ANALYSES
from pipeline.report.analyses.base import MOST_ROWS, Grid, Number
from pipeline.report.comparison_rows import ComparisonRows, EmbeddingRows
from pipeline.report.comparisons import BY_PARAMETER, NOT_COMPARED
from pipeline.report.comparisons import DISTANCES as SHOWN_DISTANCES
from pipeline.report.comparisons import NUMBERS as NUMBERS_OF_EMBEDDING
from pipeline.report.drawn import Drawings, drawn_figures
from pipeline.report.names import url
from pipeline.report.recording_rows import RecordingRows
from pipeline.report.recordings import READ, _labels
from pipeline.report.rows import FIGURES, VALUES, fetch_cohorts
from pipeline.report.site import Site
from pipeline.report.summaries import NUMBERS, columns_of, summary_of
from pipeline.report.write import Writer, write_report
from pipeline.tables.comparisons import SETTINGS as COMPARISON_SETTINGS
from pipeline.tables.embedding_rows import embedding_from_rows
from pipeline.tables.interventions import intervention_from_rows
from pipeline.tables.keys import network_key
from pipeline.tables.left_out import Analysis
from pipeline.tables.population_rows import population_from_rows
from pipeline.tables.recordings import SETTINGS as RECORDING_SETTINGS
from pipeline.tables.selections import Selection
from pipeline.tables.subspaces import subspaces_from_rows
from tests.pipeline.test_comparison import enter, networks
from tests.pipeline.test_report_site import HOSTILE, cohort, write
from tests.pipeline.test_report_site import Links as LinksOf

pytestmark = pytest.mark.either_backend

TRACES = {
    "trace_status": "traced", "trace_reason": "", "trace_participation": 2.0, "trace_n_silent": 1,
    **{f"{kind}_{n}": None for kind in ("change", "cosine") for n in (100, 1000, 10000)},
    "gradient_noise_scale": None,
}  # fmt: skip


def analysed(task="cddm", n_networks=3, **changes):
    """A cohort with a population, followed points and traces, as their tables would have them."""
    made = cohort(task, n_networks)
    for number, network in enumerate(made.networks):
        key = {n: network.row[n] for n in ("task_name", "network_name", "training_name")}
        key |= {"first_seed": 5, "seed": network.row["seed"]}
        population = {**key, "population_name": "default"}
        network.tables["Population"].append(
            dict.fromkeys(ANALYSES[4].grids[0].columns)
            | population
            | {"population_status": "analysed", "population_reason": "", "n_active": 9 - number}
            | {"n_silent": 3 + number, "w_rec_radius": 1.25 + number}
            | changes
        )
        for period, ratio in enumerate((2.5 + number, 1.5)):
            network.tables["Population.Period"].append(
                dict.fromkeys(ANALYSES[4].grids[2].columns)
                | {**population, "period_number": period, "period_name": f"period {period}"}
                | {"participation_ratio": ratio, "dimension_status": "measured"}
            )
        for name in ("a", "b"):
            network.tables["FollowedPoints"].append(
                dict.fromkeys(ANALYSES[-2].grids[0].columns)
                | {**key, "input_name": name, "search_name": "exact", "follow_name": "default"}
                | {"follow_status": "not_smooth", "follow_reason": HOSTILE, "n_branches": 0}
                | {"n_bifurcations": number, "n_births": 0}
            )
        for iteration in (20, 300):
            network.tables["Training.Trace"].append({**key, "trace_iteration": iteration, **TRACES})
    return made


def test_every_analysis_has_an_entry_and_numbers_have_names_of_their_own():
    shown = {table for table, _ in VALUES.values()} | set(FIGURES)
    shown |= {section.table for section in ANALYSES}
    missing = {table.__name__ for table in Analysis.known if is_ours(table)} - {
        table.__qualname__.partition(".")[0] for table in shown
    }
    assert not missing, "a new analysis takes an entry in pipeline/report/analyses"
    names = [number.name for number in NUMBERS]
    assert len({*names}) == len(names)
    made = cohort(n_networks=1)
    known = {*summary_of(made, made.networks[0])}
    assert {*names} < known
    for name in names:  # as the filter of the index takes them
        assert re.fullmatch("[a-z0-9]+", name)
    drawn = {section.name for section in ANALYSES if section.drawing is not None}
    assert drawn.isdisjoint(kind for kind, _ in FIGURES.values())  # in names of files
    for section in ANALYSES:
        titles = [grid.title for grid in section.grids]
        assert len({*titles}) == len(titles)
        assert {number.table for number in section.numbers} <= {*titles}


def test_a_grid_shows_statuses_that_are_not_usual_and_settings_that_differ():
    grid = Grid(dict, {"n": "number", "a_status": "status"}, usual={"a_status": "analysed"})
    key = {"task_name": "t", "x_name": "p"}
    one, other = ({**key, "n": 1, "a_status": status} for status in ("analysed", "few_units"))
    shown = grid.shown([one, other])
    assert shown["headings"] == ["number", "status"]
    assert shown["rows"] == [[1, None], [1, "few units"]]
    shown = grid.shown([one, {**other, "x_name": "q"}] * MOST_ROWS)
    assert shown["headings"] == ["x", "number", "status"] and shown["rows"][1][0] == "q"
    assert (len(shown["rows"]), shown["n_more"]) == (MOST_ROWS, MOST_ROWS)
    largest = Number("n", "", "T", "n", combine=max)
    assert largest.of([{"n": 1}, {"n": None}, {"n": 3}]) == 3 and largest.of([{"n": None}]) is None


def test_numbers_are_of_the_settings_that_come_first():
    made = analysed(n_networks=1)
    tables = made.networks[0].tables
    tables["Population"].insert(0, tables["Population"][0] | {"population_name": "a"})
    tables["Population"][0] |= {"n_silent": 11, "n_active": 1}
    tables["Population.Period"].insert(
        0, tables["Population.Period"][0] | {"population_name": "a", "participation_ratio": 9.0}
    )
    assert summary_of(made, made.networks[0])["pr"] == 2.5
    assert summary_of(made, made.networks[0])["silent"] == 0.25
    assert summary_of(made, made.networks[0])["bifurcations"] == 0
    for row in tables["FollowedPoints"]:
        row["n_births"] = None  # nothing was followed: no number, and not 0
    assert summary_of(made, made.networks[0])["bifurcations"] is None
    for name in ("Population", "Population.Period"):
        tables[name] = [r for r in tables[name] if r["population_name"] == "a"]
    assert summary_of(made, made.networks[0])["pr"] == 9.0
    assert summary_of(made, made.networks[0])["silent"] == pytest.approx(11 / 12)


def test_pages_have_analyses_their_numbers_and_what_is_missing(tmp_path):
    made = analysed()
    made.networks[0].due, made.networks[1].failed = ["Clusters of units"], [f"Basins ({HOSTILE})"]
    write(tmp_path, [made, cohort("plain")])
    first, second, _ = sorted((tmp_path / "networks").glob("cddm*"))
    text = first.read_text()
    assert "<h2>Population</h2>" in text and "<td>1.25" in text
    assert "<td>period 0<td>2.5" in text and "measured" not in text and "analysed" not in text
    assert "<td>20<td>2<td>1" in text and "<td>300<td>2<td>1" in text  # traces
    assert "<td>not smooth<td>&lt;/script&gt;" in text and HOSTILE not in text
    assert "Not computed yet: Clusters of units." in text
    assert "Not computed yet: " not in second.read_text()
    assert "Failed: Basins (&lt;/script&gt;" in second.read_text()
    assert "Figures of analyses are drawn in reports of up to 100" in text  # none were drawn here
    plain = next((tmp_path / "networks").glob("plain*")).read_text()
    assert "<h2>Population</h2>" not in plain and "Figures of analyses" not in plain
    # Columns and distributions of what some network has, and of nothing else.
    index = (tmp_path / "index.html").read_text()
    keys = re.findall(r'<th data-key="([^"]*)">', index[index.index('id="networks"') :])
    assert keys[-3:] == ["pr", "silent", "bifurcations"]
    assert "seconds, pr, silent, bifurcations)" in index
    assert "<td>2.5<td>0.25<td>0\n" in index and "<td>–<td>–<td>–\n" in index
    page = next((tmp_path / "cohorts").glob("cddm*")).read_text()
    assert "<figcaption>participation ratio of rates</figcaption><svg" in page
    assert "<td>bifurcations in learning, all inputs<td>3<td>0<td>1<td>2<td>3<td>4" in page
    assert "PR" not in next((tmp_path / "cohorts").glob("plain*")).read_text()
    assert write(tmp_path, [made, cohort("plain")]).n_written == 0
    made.networks[2].tables["Population.Period"][0]["participation_ratio"] = 1.0625
    assert write(tmp_path, [made, cohort("plain")]).n_written == 3  # it, its cohort, the index
    assert columns_of([summary_of(c, n) for c in [cohort()] for n in c.networks]) == []


class Counted(Drawings):
    """Draws what it is told of without a database."""

    def __init__(self):
        super().__init__(Selection())
        self.n_drawn = 0

    def _fetch(self, drawing):
        traces = {"gradient_square": 1.0, "gradient_variance": 2.0, **TRACES}
        rows = [{"trace_iteration": i, **traces} for i in (20, 40, 300)]
        return {"Training.Trace": (("seed",), {(5,): rows})}

    def png(self, figure):
        self.n_drawn += 1
        if figure.section.name == "population":
            raise FileNotFoundError(HOSTILE)
        return super().png(figure)


def test_figures_are_drawn_once_and_again_where_rows_have_changed(tmp_path):
    made = analysed(n_networks=1)
    drawings = Counted()

    def draw():
        return Writer(Site(tmp_path), [made], Selection(), drawings=drawings).write()

    report = draw()
    # Traces; a population whose arrays are lost; nothing of points that were not followed.
    tables = made.networks[0].tables
    assert [f.section.name for f in drawn_figures(made.networks[0])] == ["population", "learning"]
    assert drawings.n_drawn == 2 and len(report.faults) == 1
    (path,) = [path for path in report.paths if "--learning.png" in path]
    text = next((tmp_path / "networks").iterdir()).read_text()
    assert f'src="../{url(path)}"' in text and "missing or damaged" in text
    with Image.open(tmp_path / path) as image:
        assert image.width > 300
    draw()
    assert drawings.n_drawn == 3  # what is lost is looked for again
    tables["Training.Trace"][1]["trace_participation"] = 3.0
    draw()
    assert drawings.n_drawn == 5
    del tables["Training.Trace"]
    draw()
    assert not (tmp_path / path).exists()


def compared(cohorts, name=HOSTILE):
    """A comparison of the networks of cohorts, and of two others, of which some are embedded."""
    rows = [network.row for each in cohorts for network in each.networks]
    members = {network_key(row): {**row, "member": i} for i, row in enumerate(rows)}
    points = {
        key: {"embedding_class": 0, "embedding_x": 0.125 * i, "embedding_y": -0.5}
        | {"neighbour_member": i + 1, "neighbour_distance": 0.75}
        for i, key in enumerate(members)
        if i
    }
    one = dict.fromkeys(NUMBERS_OF_EMBEDDING.columns) | {"embedding_status": "embedded"}
    one |= {"comparison_name": name, "entry": 0, "embedding_name": name, "n_classes": 1}
    none = one | {"embedding_name": "b", "n_classes": None, "embedding_status": "few_networks"}
    parameter = dict.fromkeys(BY_PARAMETER.columns) | {"parameter": HOSTILE, "parameter_groups": 2}
    first = dict.fromkeys(NOT_COMPARED.columns, "") | {"summary_status": "silent"}
    return ComparisonRows(
        {"comparison_name": name, "task_name": rows[0]["task_name"]}
        | dict.fromkeys(COMPARISON_SETTINGS.values(), 3),
        n_members=len(members) + 2, n_blocks=3, n_done=2, members=members,
        distances=[("output_distance", 3, 0.0625, 0.2, 0.3)],
        reasons={next(iter(members)): {**rows[0], **first, "summary_reason": HOSTILE}},
        embeddings=[EmbeddingRows(one, [parameter], points), EmbeddingRows(none, [], {})],
    )  # fmt: skip


def write_compared(folder, cohorts, comparisons, **options):
    """Write a report with comparisons; the figures of their embeddings are a dot."""
    dot = io.BytesIO()
    Image.new("RGB", (30, 20)).save(dot, format="PNG")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.report.writer.draw_embedding", lambda embedding: dot.getvalue())
        return Writer(
            Site(folder), cohorts, Selection(), comparisons=comparisons, **options
        ).write()


def test_pages_of_comparisons_link_their_networks_and_names_are_safe(tmp_path):
    cohorts = [analysed(HOSTILE), analysed("other", 1)]
    gone = compared([cohort("gone")], "gone")  # of another selection, or deleted
    report = write_compared(tmp_path, cohorts, [compared(cohorts), gone])
    for file in tmp_path.rglob("*.html"):
        found = LinksOf(file.read_text())
        assert found.tags.count("script") == 1 and not found.handlers
        for link in found.refers:
            assert (file.parent / unquote(link.partition("#")[0])).is_file(), (file, link)
    page = compared(cohorts).page
    assert page in report.paths and not [
        p for p in report.paths if p.startswith("comparisons/gone")
    ]
    text = (tmp_path / page).read_text()
    assert "6 networks of the task" in text and "4 of them in this report" in text
    assert "Not computed yet: 1 of 3 blocks of pairs." in text
    assert "<td>0<td>0.125<td>-0.5<td><a href" in text and "few networks" in text
    assert "<td>0<td>0.375<td>-0.5<td>not in this report<td>0.75" in text
    assert "<td>outputs (root mean square)<td>3<td>0.0625" in text
    assert "Networks of this report by class: 0: 3." in text and "<td>silent<td>&lt;" in text
    for place in (tmp_path / "index.html", next((tmp_path / "networks").glob("other*"))):
        assert url(page) in place.read_text()
    assert "class 0 of 1 in &lt;" in next((tmp_path / "networks").glob("other*")).read_text()
    again = write_compared(tmp_path, cohorts, [compared(cohorts)])
    assert (again.n_written, again.n_removed) == (0, 0)
    changed = compared(cohorts)
    changed.embeddings[0].row["embedding_stress"] = 0.5
    # Its page alone, and no other: its figure is the same dot.
    assert write_compared(tmp_path, cohorts, [changed]).n_written == 1
    assert write_compared(tmp_path, cohorts, []).n_removed == 3


def recorded(task="cddm", name=HOSTILE, **changes):
    """A recording with a population that is still to be described."""
    row = dict.fromkeys([*READ, *RECORDING_SETTINGS.values()], HOSTILE)
    row |= {"recording_units": 9, "recording_trials": 30, "recorded_rates": None}
    made = RecordingRows({"task_name": task, "recording_name": name} | row | changes, is_due=True)
    made.failed = [HOSTILE]
    return made


def test_pages_of_recordings_link_their_networks_and_names_are_safe(tmp_path):
    cohorts = [cohort(HOSTILE), cohort("other", 1)]
    for network, distance in zip(cohorts[0].networks, (0.75, None, 0.25), strict=True):
        columns = next(s for s in ANALYSES if s.name == "recording_distances").grids[0].columns
        network.tables["RecordingDistance"].append(
            dict.fromkeys(columns) | {"recording_name": HOSTILE, "distance_name": "default"}
            | {"recording_status": "compared" if distance else "silent"}
            | {"recording_procrustes": distance, "recording_reason": "" if distance else HOSTILE}
        )  # fmt: skip
    of_none = recorded("other", "alone", recording_session="")
    of_none.is_due, of_none.failed = True, []
    recordings = [recorded(HOSTILE), of_none, recorded("gone", "gone")]

    def write_recorded():
        site = Site(tmp_path)
        return Writer(site, cohorts, Selection(), figures=False, recordings=recordings).write()

    report = write_recorded()
    for file in tmp_path.rglob("*.html"):
        found = LinksOf(file.read_text())
        assert found.tags.count("script") == 1 and not found.handlers
        for link in found.refers:
            assert (file.parent / unquote(link.partition("#")[0])).is_file(), (file, link)
    assert len([path for path in report.paths if path.startswith("recordings/")]) == 2
    text = (tmp_path / recordings[0].page).read_text()
    assert re.findall(r"<td><a href[^>]*>(\d)</a>", text) == ["7", "5", "6"]  # nearest first
    assert "<td>silent<td>&lt;" in text and "Failed: Population (&lt;" in text
    text = (tmp_path / of_none.page).read_text()
    assert "No network of this report has been compared" in text and "session" not in text
    assert "Not computed yet: Population." in text
    index = (tmp_path / "index.html").read_text()
    assert "small/short seed 7</a><td>0.25" in index and "gone" not in index
    page = next((tmp_path / "networks").glob("other*")).read_text()
    assert url(of_none.page) in page and url(recordings[0].page) not in page
    assert write_recorded().n_written == 0
    labels = _labels(cohorts[0].networks)
    assert labels == ["seed 5", "seed 6", "seed 7"] and _labels(cohorts[1].networks) == ["small"]


def make():
    """Import networks, and have them analysed and compared."""
    import tempfile
    from pathlib import Path

    import pipeline as p

    with tempfile.TemporaryDirectory() as folder:
        enter(p, Path(folder), networks())
    tables = (p.Population, p.Clusters, p.Subspaces, p.Intervention, p.Lyapunov)
    assert p.fill(tables, "network_name <> 'larger'").errors == []
    p.compare("all", search="", max_trials=16)
    assert p.fill((p.NetworkSummary, p.PairBlock, p.Embedding)).errors == []


def rows_of(name, key):
    """Return what figures of a section are drawn from, of one network."""
    section = next(s for s in ANALYSES if s.name == name)
    drawing, drawings = section.drawing, Drawings(Selection())
    row = (section.table & key).fetch1()
    found = drawings._fetch(drawing)
    return {
        title: by_key.get(tuple(row[c] for c in columns), ())
        for title, (columns, by_key) in found.items()
    }, row


@pytest.mark.usefixtures("own_classes_allowed")
def test_a_report_of_analyses_and_comparisons(prepared, database, tmp_path):
    prepared(make)
    p = database
    one = {"network_name": "one"}
    report = write_report(tmp_path / "one", one)
    assert report.faults == [] and "comparisons/all--output.png" in report.paths
    drawn = [path for path in report.paths if path.startswith("figures/louder--one")]
    kinds = {path.rpartition("seed")[2].split("--")[1] for path in drawn}
    assert kinds >= {"population", "subspaces", "intervention"}
    page = (tmp_path / "one/comparisons/all.html").read_text()
    assert "5 networks of the task louder, 1 of them in this report" in page
    assert "<td>not in this report<td>" in page
    assert not [f for f in write_report(tmp_path / "one", one, draw=False).paths if f in drawn]

    folder = tmp_path / "report"
    report = write_report(folder, figures=False)
    text = next((folder / "networks").glob("louder--one--*")).read_text()
    period = (p.Population.Period & one & "period_number = 0").fetch1()
    assert f"<td>{period['participation_ratio']:.4g}" in text
    score = (p.Intervention.Score & one & "level = 1").fetch1()
    assert f"<td>{score['touched_r2']:.4g}<td>{score['control_r2']:.4g}" in text
    silent = next((folder / "networks").glob("louder--silent--*")).read_text()
    assert "|rate|" in silent  # why there are no numbers
    larger = next((folder / "networks").glob("louder--larger--*")).read_text()
    due = re.search(r"Not computed yet: (.*)\.</p>", larger)[1].split(", ")
    assert {"Population", "Lyapunov exponents", "Interventions"} <= {*due}
    assert "Clusters of units" not in due  # before there is a population
    assert "Line attractors" not in due  # of another task
    # The comparison.
    page = (folder / "comparisons" / "all.html").read_text()
    output = (p.Embedding & {"embedding_name": "output"}).fetch1()
    assert f"<td>{output['embedding_stress']:.4g}<td>{output['n_classes']}<td>" in page
    point = (p.EmbeddingPoint & one & {"embedding_name": "output"}).fetch1()
    assert f"<td>{point['embedding_class']}<td>{point['embedding_x']:.3g}<td>" in page
    lowest = min(v for v in p.NetworkPair.to_arrays("output_distance") if v is not None)
    assert f"<td>outputs (root mean square)<td>10<td>{lowest:.4g}" in page
    assert 'href="comparisons/all.html"' in (folder / "index.html").read_text()
    assert f"class {point['embedding_class']} of {output['n_classes']} in output" in text

    # As many queries for one network as for all, and a second report writes nothing.
    def n_queries(out, selection=None):
        with pytest.MonkeyPatch.context() as patch:
            sent, query = [], connection().query

            def count(words, *args, **options):
                sent.append(words)
                return query(words, *args, **options)

            patch.setattr(connection(), "query", count)
            made = write_report(out, selection, figures=False)
        return made, len(sent)

    again, of_all = n_queries(folder)
    few, of_one = n_queries(tmp_path / "larger", {"network_name": "larger"})
    assert again.n_written == 0 and (few.n_networks, again.n_networks) == (1, 5)
    assert of_one == of_all

    # Figures show what the tables' own would.
    tables, row = rows_of("population", one)
    found = population_from_rows(tables)
    direct = p.Population()._analyse({n: row[n] for n in p.Population.primary_key})
    assert np.allclose(found.units.energy, direct.units.energy)
    for mine, own in zip(found.periods, direct.periods, strict=True):
        assert mine[0].name == own[0].name and np.allclose(mine[1].cumulative, own[1].cumulative)
    everyone = np.ones(4, np.bool_)
    for own in direct.selectivity:
        mine = next(
            s for s in found.selectivity if (s.variable, s.period) == (own.variable, own.period)
        )
        assert mine.summary(everyone)["eta"] == pytest.approx(own.summary(everyone)["eta"])
    tables, row = rows_of("subspaces", one)
    found = subspaces_from_rows(tables)
    direct = p.Subspaces()._analyse({n: row[n] for n in p.Subspaces.primary_key})
    for mine, own in ((f, next(d for d in direct.decoders if d.name == f.name))
                      for f in found.decoders):  # fmt: skip
        assert mine.scores.shape == own.scores.shape
        assert not own.scores.size or np.array_equal(mine.bins, own.bins)
        assert np.allclose(mine.scores, own.scores, equal_nan=True)
    tables, row = rows_of("intervention", one)
    found = intervention_from_rows(tables)
    direct, _ = p.Intervention()._analyse({n: row[n] for n in p.Intervention.primary_key})
    for mine, own in zip(found.scores, direct.scores, strict=True):
        assert mine.measures == own.measures
        for name in ("r2", "trajectory_change"):
            assert mine.control_mean(name) == pytest.approx(own.control_mean(name))
        assert mine.control_std("r2") == pytest.approx(own.control_std("r2"))
    key = (p.Embedding & {"embedding_name": "output"}).fetch1("KEY")
    found, parameters, distance = embedding_from_rows(key)
    _, direct, asked = p.Embedding()._analyse(key)
    assert np.allclose(found.distances, direct.distances) and distance == "output_distance"
    assert np.allclose(found.coordinates, direct.coordinates) and parameters == asked
    assert found.n_classes == direct.n_classes
    own_parameters = {own.name: asdict(own) for own in direct.parameters}
    assert {mine.name for mine in found.parameters} == {*own_parameters}
    for mine in found.parameters:
        for name, value in asdict(mine).items():
            same = value if value is None or isinstance(value, str) else pytest.approx(value)
            assert own_parameters[mine.name][name] == same, (mine.name, name)


def test_columns_of_all_entries_are_there(database):
    drawings = Drawings(Selection())
    assert {*SHOWN_DISTANCES} <= {*database.NetworkPair().heading.names}
    for section in ANALYSES:
        for grid in section.grids:
            assert grid.fetch(Selection()) == []
            for number in section.numbers:
                if isinstance(number.value, str) and number.table == grid.title:
                    assert number.value in grid.columns
        if section.drawing is not None:
            found = drawings._fetch(section.drawing)
            assert {*found} == {table.__qualname__ for table in section.drawing.needs}
    assert fetch_cohorts() == []
