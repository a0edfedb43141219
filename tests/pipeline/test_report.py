"""The tables that the command line prints."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import datajoint as dj
import pytest

from pipeline.cli.cohort_report import (
    CohortReport,
    accuracies_of,
    cohort_reports,
    markdown_table,
    summary_rows,
)
from pipeline.database.connection import connection
from pipeline.sharing.figures import export_figures
from tasks_lib import TASKS

pytestmark = pytest.mark.either_backend

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))


def test_summary_counts_the_networks_that_solve_their_task(database, submission):
    p = database
    submission["tasks"]["flip_flop"] = {"class": "NBitFlipFlop", "n_steps": 20}
    submission["cohorts"].append(
        {"task": "flip_flop", "network": "small", "training": "short", "n_networks": 1}
    )
    p.submit(submission)
    assert p.fill((p.Training, p.Validation)).errors == []
    by_task = {r.task: r for r in cohort_reports(r2=-1e9, accuracy=0.0)}
    decision = by_task["cddm"]
    assert (decision.n_networks, decision.n_solved, decision.iterations) == (2, 2, 20)
    noise_free = p.Validation & {"validation_name": "noise_free", "task_name": "cddm"}
    assert decision.r2 == sorted(noise_free.to_arrays("r2_pooled").tolist())
    assert decision.accuracy == sorted(noise_free.to_arrays("accuracy").tolist())
    assert decision.seconds == (p.Training & {"task_name": "cddm"}).fetch1("seconds") / 2
    # A cohort's time is shared by all its networks, whichever of them are chosen.
    (one,) = cohort_reports({"task_name": "cddm", "seed": 3})
    assert (one.n_networks, one.seconds) == (1, decision.seconds)
    assert by_task["flip_flop"].accuracy == []
    assert by_task["flip_flop"].n_solved == 1  # R² alone decides where there are no choices
    between = sum(decision.r2) / 2
    assert [r.n_solved for r in cohort_reports({"task_name": "cddm"}, between, 0.0)] == [1]
    assert [r.n_solved for r in cohort_reports({"task_name": "cddm"}, -1e9, 1.01)] == [0]


def test_a_table_says_what_its_cohorts_reach():
    report = CohortReport("t", "n", "m", 5, 3, 2, [0.5, 0.91, 0.96], [0.9, 1.0, 1.0], 700, 12.34, 3)
    assert replace(report, n_networks=5, n_diverged=2).solved == "2 of 5 (2 diverged)"
    assert replace(report, n_networks=5, n_diverged=1).solved == "2 of 5 (1 not yet)"
    diverged = CohortReport("t", "n", "m", 5, 3, 0, [-9.0], [], 0, 0.1, 0, n_diverged=3)
    assert diverged.solved == "diverged" and accuracies_of(diverged) == "-"
    headings, rows = summary_rows([report])
    assert rows == [
        ["t", "n", "m", "5 to 7", "2 of 3", "0.910, 0.500", "1.000, 0.900", "700", "12"]
    ]
    assert markdown_table(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"
    assert len(headings) == len(rows[0])


def test_every_task_has_an_example_and_all_go_into_one_database(database):
    p = database
    for file in EXAMPLES:
        p.submit(p.read_submission(file))
    assert set(p.Task.to_arrays("task_class")) == set(TASKS)
    assert len(p.Cohort()) == len(EXAMPLES) >= len(TASKS)
    assert set(p.Cohort.to_arrays("n_networks")) == {10}


@pytest.mark.parametrize("words", [[], ["--task", "cddm"], ["--markdown"]])
def test_summary_command(database, submission, monkeypatch, words):
    from typer.testing import CliRunner

    from pipeline.cli import commands as cli

    p = database
    p.submit(submission)
    p.fill((p.Training, p.Validation))
    # The command opens and closes a session of its own; here it is the test's.
    monkeypatch.setattr(p, "connect", lambda **options: None)
    monkeypatch.setattr(p, "disconnect", lambda: None)
    result = CliRunner().invoke(cli.app, ["summary", *words], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    assert "cddm" in result.output
    assert "of 2" in result.output
    assert ("| --- |" in result.output) is (words == ["--markdown"])


def test_figures_of_whatever_names_lie_in_their_folder_each_in_its_own_file(
    database, submission, tmp_path
):
    """Names that an experimenter has inserted by SQL, past all checks."""
    p = database
    submission["trainings"]["short"] |= {"max_iter": 3, "monitor": True}
    submission["cohorts"] = []
    p.submit(submission)

    def enter(table, field, names, digest):
        row, plain = table.fetch1(), dj.FreeTable(connection(), table.full_table_name)
        for number, name in enumerate(names):
            plain.insert1({**row, field: name, digest: f"{number:032x}"})

    enter(p.Task, "task_name", ["../../out", "/no_folder/out", "..", "a_b", "a"], "task_hash")
    enter(p.NetworkParams, "network_name", ["c", "b_c"], "network_hash")
    wanted = [("../../out", "c"), ("/no_folder/out", "c"), ("..", "c"), ("a_b", "c"), ("a", "b_c")]
    for task, network in wanted:
        key = {"task_name": task, "network_name": network, "training_name": "short"}
        p.Cohort.insert1({**key, "first_seed": 0, "n_networks": 1})
    assert p.fill((p.Training,)).made == len(wanted)
    assert p.fill((p.TrialPlot,), {"task_name": "../../out"}).errors == []
    outer = tmp_path / "outer"
    folder = outer / "inner" / "figures"
    before = {path for path in tmp_path.rglob("*")}
    written = export_figures(folder)
    assert len(written) == len(set(written)) == len(p.TrialPlot()) + 2 * len(wanted)
    made = {path for path in tmp_path.rglob("*")} - before
    assert made == {*written, folder, folder.parent, outer}
    assert {path.parent for path in written} == {folder}
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in written)
    assert folder / "a_b--c--short--seed0--loss_terms.png" in written
    assert folder / "a_b--c--short--seeds_from0--learning_curves.png" in written
    assert folder / "a--b_c--short--seed0--loss_terms.png" in written
