"""`rnn show` and `rnn summary`: what they say, in how much room, with how many queries."""

from __future__ import annotations

import re
from statistics import median

import datajoint as dj
import pytest
from typer.testing import CliRunner

from pipeline.cli import commands as cli
from pipeline.cli.cohort_report import cohort_reports, sorted_cohorts
from pipeline.cli.looking import NONE_TRAINED
from pipeline.cli.report import network_reports, points_in_words, sorted_networks

pytestmark = pytest.mark.either_backend


@pytest.fixture
def rnn(database, monkeypatch):
    """Run a command in the test's own session, 80 columns wide."""
    monkeypatch.setattr(database, "connect", lambda **options: None)
    monkeypatch.setattr(database, "disconnect", lambda: None)

    def run(*words, columns="80", status=0):
        done = CliRunner().invoke(cli.app, [*words], env={"COLUMNS": columns})
        assert done.exit_code == status, done.output
        return (done.output if status else done.stdout).splitlines()

    return run


def cli_output(words):
    return CliRunner().invoke(cli.app, words, env={"COLUMNS": "80"})


@pytest.fixture
def two_cohorts(submission):
    submission["cohorts"].append({**submission["cohorts"][0], "first_seed": 10, "n_networks": 3})
    return submission


def test_what_is_not_computed_yet_is_said(database, submission, rnn):
    p = database
    p.submit(submission)
    assert rnn("show") == [NONE_TRAINED]
    p.fill((p.Training,))
    r2 = [f"{value:.4f}" for value in p.Training.Network.to_arrays("r2", order_by="seed")]
    heading, cohort, *lines = rnn("show")
    assert heading.split()[:2] == ["seed", "R²"] and cohort == "cddm/small/short"
    for seed, value, line in zip((3, 4), r2, lines, strict=True):
        # R² is that of the end of the training, which the star says.
        assert re.fullmatch(
            rf" *{seed}  +{re.escape(value)}\*  +not yet  +-  +[\d.]+  not computed yet", line
        )
    explained = [each.stderr for each in map(cli_output, (["show"], ["summary"]))]
    assert explained == ["*: not validated, so R² on the training's own trials: r2\n"] * 2
    (line,) = rnn("summary")[2:]
    assert "not computed yet" in line and "not yet" in line
    assert [r.n_validated for r in cohort_reports(r2=-1e9)] == [0]
    p.fill((p.Validation,))
    assert not any("not yet" in line or "*" in line for line in rnn("show"))
    r2 = (p.Validation & "validation_name = 'noise_free'").to_arrays("r2_pooled", order_by="seed")
    assert [line.split()[1] for line in rnn("show")[2:]] == [f"{value:.4f}" for value in r2]
    said = cli_output(["summary", "--r2=0.5"]).stderr
    assert (
        "solved: R² of at least 0.5 in Validation without noise, and accuracy of at least 0.95"
        in (said)
    )
    assert "R²: without noise, on trials that training never saw" in said and "*" not in said
    # Seeds are those that are chosen.
    assert rnn("summary", "--seed", "4")[2].split()[0] == "4"
    assert "2 of 2" in rnn("summary", "--r2=-1e9", "--accuracy=0")[2]
    first, *others = p.Task.Input.keys()
    p.fill((p.FixedPoints,), first)
    assert all(line.endswith(", so far") for line in rnn("show")[2:])
    p.fill((p.FixedPoints,))
    assert others and not any("so far" in line or "not" in line for line in rnn("show"))


def test_a_sweep_of_which_no_point_is_chosen_says_so(database, submission, rnn):
    p = database
    only = submission["cohorts"][0]
    sweep = {name: only[name] for name in ("task", "network", "training")}
    p.submit({**submission, "sweeps": {"rates": {**sweep, "vary": {"training.lr": [0.1, 0.2]}}}})
    shown = CliRunner().invoke(cli.app, ["show", "--sweep", "rates", "--where", "lr > 5"])
    assert "no point of the sweep rates is chosen" in shown.stderr and shown.exit_code == 0
    assert len(shown.stdout.splitlines()) == 1


def test_points_are_those_of_the_tables(database, submission):
    p = database
    p.submit(submission)
    p.fill((p.Training, p.FixedPoints))
    for report in network_reports():
        points = (p.FixedPoints.Point & report.key).to_dicts()
        assert sum(report.modes.values()) == len(points) > 0
        for (stability, n_modes), number in report.modes.items():
            alike = [
                point
                for point in points
                if (point["stability"], point["n_unstable_modes"]) == (stability, n_modes)
            ]
            assert len(alike) == number
        assert report.max_eigenvalue == max(point["max_eigenvalue"] for point in points)
        assert report.n_sets == report.n_inputs == len(p.FixedPoints & report.key)


@pytest.mark.parametrize("command", ["show", "summary"])
def test_the_number_of_queries_does_not_grow(database, two_cohorts, rnn, monkeypatch, command):
    p = database
    p.submit(two_cohorts)
    counted = []
    query = dj.Connection.query
    monkeypatch.setattr(
        dj.Connection, "query", lambda *a, **k: (counted.append(a[1]), query(*a, **k))[1]
    )

    def number():
        counted.clear()
        lines = rnn(command)
        return len(counted), len(lines)

    p.fill((p.Training, p.Validation, p.FixedPoints), {"first_seed": 3})
    number()  # headings and dependencies are loaded
    few, few_lines = number()
    p.fill((p.Training, p.Validation, p.FixedPoints))
    many, more_lines = number()
    assert more_lines > few_lines
    assert many == few < 12


def test_a_line_a_network_in_80_columns(database, two_cohorts, rnn):
    p = database
    long = "a_name_that_is_about_as_long_as_those_of_real_studies.are"
    two_cohorts["tasks"][long] = {**two_cohorts["tasks"]["cddm"], "n_steps": 21}
    two_cohorts["cohorts"].append({**two_cohorts["cohorts"][0], "task": long})
    p.submit(two_cohorts)
    p.fill((p.Training, p.Validation, p.FixedPoints))
    lines = rnn("show")
    rows = [line for line in lines if re.match(r" *\d+ ", line)]
    assert len(rows) == 2 + 3 + 2
    assert lines.count("cddm/small/short") == 1 and f"{long}/small/short" in lines
    assert max(map(len, rows)) <= 80 and "..." not in "".join(rows)
    sorted_lines = rnn("show", "--sort", "r2", "--limit", "3")
    assert sorted_lines[-1] == "3 of 7 networks"
    assert max(len(line) for line in sorted_lines if re.match(r" *\d", line)) <= 80
    found = sorted((r.r2 for r in network_reports()), reverse=True)
    shown = [line.split()[2] for line in sorted_lines if re.match(r" +\d+  +\d+  ", line)]
    assert shown == [f"{value:.4f}" for value in found[:3]]
    assert max(map(len, rnn("summary"))) <= 80
    assert rnn("summary", "--sort", "seconds", "--limit", "1")[-1] == "1 of 3 cohorts"
    (line,) = rnn("show", "--sort", "colour", status=1)
    assert "--sort" in line and "accuracy" in line
    assert rnn("show", "--training", "shrt", status=1)[0].startswith("error: --training = 'shrt'")


def test_orders(database, two_cohorts):
    p = database
    p.submit(two_cohorts)
    p.fill((p.Training,))
    p.fill((p.FixedPoints,), {"first_seed": 10})
    reports = network_reports()
    assert sorted_networks(reports, "name", reverse=True) == reports[::-1]
    for reverse in (False, True):
        ordered = sorted_networks(reports, "eigenvalue", reverse)
        values = [r.max_eigenvalue for r in ordered]
        known = [value for value in values if value is not None]
        assert values == known + [None] * 2  # what lacks the value comes last
        assert known == sorted(known, reverse=not reverse)
    cohorts = cohort_reports()
    assert [r.first_seed for r in sorted_cohorts(cohorts, "solved")] == [3, 10]
    by_r2 = sorted_cohorts(cohorts, "r2")
    assert median(by_r2[0].r2) >= median(by_r2[1].r2)


def test_diverged_networks_are_not_waited_for(database, submission, rnn):
    p = database
    submission["trainings"]["short"] |= {"lr": 1e20, "max_iter": 5, "penalties": {}}
    p.submit(submission)
    p.fill()
    assert set(p.Training.Network.to_arrays("status")) == {"diverged"}
    assert all(line.endswith("diverged: not analysed") for line in rnn("show")[2:])


def test_modes_in_words():
    from types import SimpleNamespace

    def words(modes, n_sets=1, without=frozenset()):
        return points_in_words(
            SimpleNamespace(
                status="finished", modes=modes, n_sets=n_sets, n_inputs=1, without=without
            )
        )

    cube = {("stable", 0): 8, ("unstable", 1): 12, ("unstable", 2): 6, ("unstable", 3): 1}
    assert words(cube) == (
        "8 stable, 12 with 1 unstable mode, 6 with 2, 1 with 3",
        "8 stable, 19 unstable",
    )
    assert words({("unstable", 2): 1})[0] == "1 with 2 unstable modes"
    assert words({("marginal", 0): 1, ("marginal", 1): 1}) == ("2 marginal", "2 marginal")
    assert words({}) == ("none", "none")
    assert words({}, 0) == ("not computed yet",)
    assert words({}, 0, {"FixedPoints"}) == ("not wanted",)
    assert words({}, 0, {"Validation"}) == ("not computed yet",)
