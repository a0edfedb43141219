"""Cohorts that do without computed tables: what is not computed, and what says so."""

from __future__ import annotations

import networkx as nx
import pytest
from rich.console import Console
from typer.testing import CliRunner

from pipeline.cli import commands as cli
from pipeline.cli.status_page import status_page
from pipeline.database.connection import connection
from pipeline.report.rows import fetch_cohorts
from pipeline.sharing.selection import SelectedRows
from pipeline.sharing.submission import submission_of
from pipeline.tables.computed import COMPUTED
from pipeline.tables.left_out import Analysis, not_wanted, tables_that_need
from pipeline.tables.selections import Selection
from pipeline.workers.queue import Queue
from pipeline.workers.status import Pace
from tasks_lib.errors import ParameterError

pytestmark = pytest.mark.either_backend

OF_POINTS = {
    "Linearization",
    "FixedPointPlot",
    "ContinuousAttractor",
    "ContinuousAttractorPlot",
    "Basins",
}


@pytest.fixture
def two_cohorts(submission):
    """One cohort that does without tables, and one that has all."""
    (first,) = submission["cohorts"]
    first["n_networks"] = 1
    submission["cohorts"] = [{**first, "without": ["TrialPlot", "FixedPoints"]},
                             {**first, "first_seed": 9}]  # fmt: skip
    return submission


@pytest.fixture
def rnn(database, monkeypatch):
    """Run a command in the test's own session."""
    monkeypatch.setattr(database, "connect", lambda **options: None)
    monkeypatch.setattr(database, "disconnect", lambda: None)

    def run(*words, status=0):
        done = CliRunner().invoke(cli.app, [*words], env={"COLUMNS": "100"})
        assert done.exit_code == status, done.output
        return done.output

    return run


def seeds(table):
    return set(table.key_source.to_arrays("first_seed").tolist())


def test_a_cohort_does_without_tables_and_those_that_need_them(database, two_cohorts, rnn):
    p = database
    done = p.submit(two_cohorts)
    assert done["left out"] == 2 and done.without == {"TrialPlot", "FixedPoints"}
    (line,) = done.left_out()
    assert line.startswith("without FixedPoints: so also without ") and all(
        n in line for n in OF_POINTS
    )
    assert p.submit(two_cohorts)["left out"] == 0
    p.fill((p.Training, p.Validation, p.FixedPoints))
    assert seeds(p.Validation()) == {3, 9}
    assert seeds(p.TrialPlot()) == seeds(p.FixedPoints()) == {9}
    assert set(p.FixedPoints.to_arrays("first_seed")) == {9}
    # Said wherever it would be said that something is not computed yet.
    shown = rnn("show").splitlines()
    assert sum("not wanted" in line for line in shown) == 1 and "not computed" not in rnn("show")
    page = Console(width=100)
    with page.capture() as caught:
        page.print(status_page(Pace(), 3))
    lines = {line.split()[1]: line for line in caught.get().splitlines() if "│" in line}
    for name in ("TrialPlot", "FixedPoints", *OF_POINTS):
        assert "by 1 cohort" in lines[name]
    assert "cohort" not in lines["Validation"] and "cohort" not in lines["Training"]
    first, second = fetch_cohorts()
    assert {*first.without} == {"TrialPlot", "FixedPoints", *OF_POINTS} and not second.without
    again = submission_of(SelectedRows(Selection()).tables())["cohorts"]
    assert {*again[0]["without"]} == {"TrialPlot", "FixedPoints"} and "without" not in again[1]


def test_what_was_there_is_kept_and_pending_jobs_do_not_run(database, two_cohorts, rnn):
    p = database
    for cohort in two_cohorts["cohorts"]:
        cohort.pop("without", None)
    p.submit(two_cohorts)
    p.fill((p.Training,))
    p.fill((p.FixedPoints, p.TrialPlot), {"first_seed": 3})
    assert seeds(p.Linearization()) == {3}
    queue = Queue(p.Linearization)
    assert queue.enter(connection()) == queue.n_pending(connection()) > 0
    output = rnn("leave-out", "FixedPoints", "--task", "cddm")
    assert "FixedPoints: left out, 2 changes in 2 cohorts" in output and "Linearization" in output
    # The job waits still, and nobody takes it.
    assert len(queue.jobs) and not queue.n_pending(connection())
    assert queue.take_next(connection(), 1, "", 1) is None
    queue.enter(connection())
    assert not len(queue.jobs)
    assert set(p.FixedPoints.to_arrays("first_seed")) == {3} and not seeds(p.FixedPoints())
    assert not seeds(p.FixedPointPlot()) and seeds(p.TrialPlot()) == {3, 9}
    rnn("leave-out", "Linearization")
    assert "not wanted still" in rnn("leave-out", "Linearization", "--undo")
    assert "2 changes" in rnn("leave-out", "FixedPoints", "--undo") and not len(p.LeftOut())
    assert seeds(p.FixedPoints()) == {3, 9} and queue.enter(connection())
    assert queue.take_next(connection(), 1, "", 1) is not None


def test_the_validation_is_not_wanted(database, submission, rnn):
    submission["without"] = ["Validation"]
    database.submit(submission)
    database.fill((database.Training,))
    assert rnn("show").count("not wanted") == 2 and "not yet" not in rnn("show")
    assert rnn("summary").count("not wanted") == 2 and "not yet" not in rnn("summary")


def test_a_list_of_ones_own_stands_in_place_of_that_of_the_file(database, submission):
    p = database
    (cohort,) = submission["cohorts"]
    names = {name: cohort[name] for name in ("task", "network", "training")}
    submission["without"] = ["TrialPlot"]
    submission["cohorts"].append({**cohort, "first_seed": 20, "without": []})
    submission["sweeps"] = {
        "rates": {**names, "vary": {"training.lr": [0.1, 0.2]}},
        "taus": {**names, "vary": {"network.tau": [3.0]}, "without": ["LineAttractor"]},
    }
    done = p.submit(submission)
    assert done["left out"] == 1 + 2 + 1 and done.without == {"TrialPlot", "LineAttractor"}
    without = {row["left_out"]: 0 for row in p.LeftOut.to_dicts()}
    for row in p.LeftOut.to_dicts():
        without[row["left_out"]] += 1
    assert without == {"TrialPlot": 3, "LineAttractor": 1}
    assert not p.LeftOut & {"first_seed": 20}
    assert all("lr" in n or n == "short" for n in
               (p.LeftOut & {"left_out": "TrialPlot"}).to_arrays("training_name"))  # fmt: skip


def test_cohorts_that_others_hold_keep_their_tables(database, submission):
    p = database
    p.submit(submission)
    submission["cohorts"][0] |= {"first_seed": 4, "n_networks": 1, "without": ["TrialPlot"]}
    done = p.submit(submission, equal="use")
    assert not len(p.LeftOut()) and any(line.startswith("cohorts[0]: others") for line in
                                        done.lines())  # fmt: skip


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (["TrialPlots"], "did you mean TrialPlot?"),
        (["Nothing"], "use some of Validation, TrialPlot, Psychometric"),
        (["Training"], "is what all others are computed from"),
        ("TrialPlot", r"write without: \[TrialPlot\]"),
        ({"TrialPlot": True}, "is no list of tables"),
        (None, "is no list of tables"),
        ([3], "is no table that can be left out"),
    ],
)
def test_what_is_no_table_is_refused_and_nothing_is_entered(database, submission, value, words):
    given = {**submission, "without": value}
    with pytest.raises(ParameterError, match=words) as caught:
        database.submit(given)
    assert caught.value.field == "without" and not len(database.Cohort())
    submission["cohorts"][0]["without"] = value
    with pytest.raises(ParameterError, match=words) as caught:
        database.submit(submission)
    assert caught.value.field == "cohorts[0].without" and not len(database.Cohort())


def test_rows_of_the_table_are_checked(database, submission):
    p = database
    p.submit(submission)
    (key,) = p.Cohort.keys()
    for row, words in (
        ({**key, "left_out": "Trials"}, "no table that can be left out"),
        ({**key, "first_seed": 99, "left_out": "TrialPlot"}, "has not been entered"),
        ({"left_out": "TrialPlot"}, "is missing"),
    ):
        with pytest.raises(ParameterError, match=words):
            p.LeftOut.insert1(row)
    p.LeftOut.insert1({**key, "left_out": "TrialPlot"})
    # A cohort on which nothing else hangs is changed, renamed and deleted with its row.
    p.Cohort.update1({**key, "n_networks": 1})
    p.rename("task", "cddm", "decision")
    assert p.LeftOut.fetch1("task_name") == "decision"
    p.delete(everything=True, parameters=True)
    assert not len(p.LeftOut()) and not len(p.Task())


def test_every_analysis_can_be_left_out_and_names_what_it_needs(database):
    """Also one that is added: what its foreign keys say, it says too."""
    graph = connection().dependencies
    graph.load()
    ours = {table.full_table_name: table for table in COMPUTED}
    asked_for = {database.NetworkSummary, database.PairBlock, database.Embedding}
    asked_for |= {database.RecordedPopulation}  # which is of no network
    for table in (table for table in COMPUTED[1:] if table not in asked_for):
        assert issubclass(table, Analysis), table
        above = nx.ancestors(graph, table.full_table_name) & ours.keys()
        assert {ours[name] for name in above} <= {COMPUTED[0], *table.with_needed()}, table
        assert "left_out" in table().key_source.make_sql()
        # In the order of the tables, so that a list of names is too.
        assert {*tables_that_need([table.__name__])} <= {t.__name__ for t in COMPUTED}
    assert not_wanted() == {}
