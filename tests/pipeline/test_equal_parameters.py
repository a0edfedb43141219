"""Submissions that use parameters and networks which are there under other names."""

from __future__ import annotations

import copy

import pytest

from pipeline.submission import Submitted
from tasks_lib import ParameterError

pytestmark = pytest.mark.either_backend


def renamed(submission, **cohort):
    """The same parameters, each under another name."""
    other = copy.deepcopy(submission)
    for section in ("tasks", "networks", "trainings"):
        other[section] = {f"my_{name}": fields for name, fields in other[section].items()}
    fields = other["cohorts"][0] | cohort
    other["cohorts"] = [
        {name: f"my_{value}" if isinstance(value, str) else value for name, value in fields.items()}
    ]
    return other


def sizes(p):
    return [len(t()) for t in (p.Task, p.NetworkParams, p.TrainingParams, p.Cohort)]


def test_equal_parameters_under_other_names_are_used_and_said(database, submission):
    p = database
    first = p.submit(submission)
    assert first == {"tasks": 1, "networks": 1, "trainings": 1, "cohorts": 1}
    assert repr(first) == "tasks: 1 new\nnetworks: 1 new\ntrainings: 1 new\ncohorts: 1 new"
    assert first.names["networks"] == {"small": "small"}
    before = sizes(p)
    with pytest.raises(ParameterError, match="has the same parameters as 'cddm'"):
        p.submit(renamed(submission))
    done = p.submit(renamed(submission), equal="use")
    assert isinstance(done, Submitted) and sizes(p) == before
    assert done == dict.fromkeys(first, 0)
    assert done.names == {
        "tasks": {"my_cddm": "cddm"},
        "networks": {"my_small": "small"},
        "trainings": {"my_short": "short"},
    }
    assert done.cohorts == first.cohorts == (p.Cohort & first.cohorts).keys()
    assert done.lines()[4] == "tasks.my_cddm: has the same parameters as 'cddm', which is used"
    assert p.submit(submission, equal="use").used() == []  # under their own names: as before


def test_a_name_with_other_parameters_is_no_hindrance_where_equal_ones_are_there(
    database, submission
):
    p = database
    p.submit(submission)
    other = renamed(submission)
    p.submit({"networks": {"my_small": {"n_units": 5}}})
    done = p.submit(other, equal="use")
    assert done.names["networks"] == {"my_small": "small"}
    other["networks"]["my_small"] = {"n_units": 7}
    with pytest.raises(ParameterError, match="exists with other parameters"):
        p.submit(other, equal="use")


@pytest.mark.parametrize(
    ("first_seed", "n_networks", "held"), [(3, 1, [3]), (4, 1, [3]), (3, 4, [3, 5])]
)
def test_cohorts_that_hold_the_networks_are_used(
    database, submission, first_seed, n_networks, held
):
    """Seeds 3 and 4 are of one cohort, 5 to 7 of another."""
    p = database
    p.submit(submission)
    p.submit({"cohorts": [submission["cohorts"][0] | {"first_seed": 5, "n_networks": 3}]})
    wanted = renamed(submission, first_seed=first_seed, n_networks=n_networks)
    done = p.submit(wanted, equal="use")
    assert done["cohorts"] == 0
    assert [key["first_seed"] for key in done.cohorts] == held


def test_networks_that_are_there_in_part_are_refused(database, submission):
    p = database
    p.submit(submission)
    wanted = renamed(submission, first_seed=4, n_networks=2)
    with pytest.raises(ParameterError, match="has the seeds 3 to 4"):
        p.submit(wanted, equal="use")
    apart = p.submit(renamed(submission, first_seed=5), equal="use")
    assert apart["cohorts"] == 1
    assert apart.cohorts == (p.Cohort & {"first_seed": 5}).keys()


def test_what_is_wrong_is_said_as_ever(database, submission):
    p = database
    p.submit(submission)
    other = renamed(submission)
    other["networks"]["my_small"]["tau"] = -1.0
    with pytest.raises(ParameterError, match=r"networks\.my_small\.tau"):
        p.submit(other, equal="use")
    with pytest.raises(ParameterError, match="equal = 'ignore': does not exist"):
        p.submit(submission, equal="ignore")


def test_the_command_uses_equal_parameters_if_told(database, submission, monkeypatch, tmp_path):
    import yaml
    from typer.testing import CliRunner

    from pipeline.cli.commands import app

    p = database
    p.submit(submission)
    monkeypatch.setattr(p, "connect", lambda **options: None)
    monkeypatch.setattr(p, "disconnect", lambda: None)
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(renamed(submission)))
    refused = CliRunner().invoke(app, ["submit", str(file)])
    assert refused.exit_code == 1
    done = CliRunner().invoke(app, ["submit", str(file), "--use-equal"])
    assert done.exit_code == 0, done.output
    assert "networks.my_small: has the same parameters as 'small', which is used" in done.output
