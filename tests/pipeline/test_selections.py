"""Which networks: the one selection that all commands take."""

from __future__ import annotations

import pytest
from datajoint.errors import DataJointError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import pipeline
from pipeline.cli.commands import app
from pipeline.tables.conditions import Comparison, comparisons, known_columns, restrictions
from pipeline.tables.selections import Selection
from pipeline.workers.queue import Queue
from pipeline.workers.worker import WorkLoop
from tasks_lib.errors import ParameterError

pytestmark = pytest.mark.either_backend

SUBMISSION = {
    "tasks": {
        name: {"class": "NBitFlipFlop", "n_steps": 20, "params": {"pulse": 3, "batch_size": 8}}
        | {"n_steps": steps}
        for name, steps in (("ff", 20), ("long", 24))
    },
    "networks": {"n8": {"n_units": 8}},
    "trainings": {"base": {"max_iter": 3, "penalties": {"metabolic": {"weight": 0.1}}}},
    "cohorts": [
        {"task": "long", "network": "n8", "training": "base", "first_seed": 5, "n_networks": 2}
    ],
    "sweeps": {
        "rates": {
            "task": "ff", "network": "n8", "training": "base", "n_networks": 2,
            "vary": {"training.lr": [0.001, 0.01], "network.tau": [10, 20]},
        }
    },
}  # fmt: skip


@pytest.fixture
def p(database):
    database.submit(SUBMISSION)
    return database


@pytest.fixture
def trained(database, prepared):
    """Cohorts of one learning rate and the long task are trained, and one's networks validated."""
    p = database

    def fill():
        p.submit(SUBMISSION)
        p.fill([p.Training], [{"training_name": "base-lr_0.01"}, {"task_name": "long"}])
        p.fill([p.Validation], {"network_name": "n8", "task_name": "ff"})

    prepared(fill)
    return p


def of(**given):
    return Selection.of(given)


def seeds(query):
    return sorted((r["task_name"], r["network_name"], r["seed"]) for r in query.proj().to_dicts())


def test_networks_and_cohorts_of_each_option(trained):
    p = trained
    everything = Selection()
    assert not everything and len(everything.networks()) == 6 and len(everything.cohorts()) == 5
    sweep = of(sweep_name="rates")
    assert (len(sweep.cohorts()), len(sweep.networks())) == (4, 4)
    assert seeds(of(task_name="long").networks()) == [("long", "n8", 5), ("long", "n8", 6)]
    assert len(of(task_name="ff", network_name="n8").cohorts()) == 2
    assert len(of(training_name="base-lr_0.001").cohorts()) == 2
    # A seed is one of those of a cohort, trained or not.
    assert len(of(seed=1).cohorts()) == 4 and len(of(seed=1).networks()) == 2
    assert len(of(seed=6).cohorts()) == 1 and not of(seed=7).cohorts()
    assert len(of(first_seed=0).cohorts()) == 4 and len(of(first_seed=1).cohorts()) == 0
    # Of tables above cohorts, those that belong to one.
    assert of(task_name="long").of_table(p.TrainingParams).to_arrays("training_name") == ["base"]
    assert sweep.of_table(p.Task).to_arrays("task_name") == ["ff"]
    assert len(sweep.of_table(p.FixedPointParams)) == len(p.FixedPointParams())


def test_conditions_on_columns_of_any_table(trained):
    p = trained
    assert len(of(where="lr > 0.005").cohorts()) == 2
    assert len(of(where="lr > 0.005 and tau = 20").networks()) == 2
    assert len(of(where=["lr > 0.005", "tau = 10"]).cohorts()) == 1
    assert len(of(where="n_steps != 20").cohorts()) == 1
    assert len(of(where="dale = false").cohorts()) == 5 and not of(where="dale=true").cohorts()
    # Of trained networks; a cohort belongs to it where one of its networks does.
    key = (p.Training.Network & {"network_name": "n8", "task_name": "ff", "seed": 1}).fetch1("KEY")
    loss = (p.Training.Network & key).fetch1("loss")
    one = of(where=f"loss = {loss!r}")
    assert one.networks().keys() == [key] and len(one.cohorts()) == 1
    assert len(of(where="status = finished").networks()) == 6
    assert len(of(where="status != 'finished'").networks()) == 0
    assert len(of(where="trained_at > 2020-01-01").cohorts()) == 3
    assert not of(where="trained_at > '2100-01-01 10:00'").cohorts()
    assert len(of(where="stopped_by is null").networks()) == 6
    assert not of(where="stopped_by is not null").networks()
    # Several rows of a network: one that fits is enough, and it is one that fits all of it.
    mse = (p.Validation & key & "validation_name = 'noisy'").fetch1("mse")
    assert of(where=f"mse = {mse!r} and validation_name = noisy").networks().keys() == [key]
    assert not of(where=f"mse = {mse!r} and validation_name = noise_free").networks()
    # Points of sweeps, and penalties.
    assert len(of(where="value > 0.005 and axis = training.lr").cohorts()) == 2
    assert len(of(sweep_name="rates", where="value > 10 and axis = network.tau").cohorts()) == 2
    assert len(of(where="weight > 0.05 and penalty = metabolic").cohorts()) == 5
    # Axes by their names: each has a row of its own at a point.
    assert len(of(where="training.lr > 0.005").cohorts()) == 2
    both = "training.lr > 0.005 and network.tau = 20"
    assert len(of(where=both).cohorts()) == 1 == len(of(sweep_name="rates", where=both).cohorts())
    assert len(of(where="training.lr > 0.0005 and training.lr < 0.005").cohorts()) == 2
    assert len(of(where="training.lr > 0.005 and status = finished").networks()) == 4
    p.submit({"sweeps": {"kinds": {
        "task": "ff", "network": "n8", "training": "base",
        "points": [{"network.activation": "relu", "network.dale": True},
                   {"network.activation": "tanh", "network.dale": False}],
    }}})  # fmt: skip
    for where in ("activation = relu", "activation != tanh", "dale = true", "dale != false"):
        (key,) = of(where=f"network.{where}").cohorts().keys()
        assert (p.NetworkParams & key).fetch1("activation") == "relu"
    # Text that SQL or a driver would take for more.
    for text in ("device = '%s%%'", 'device = "\'; DROP TABLE x; --"', "device = 'a\\'"):
        assert not of(where=text).cohorts()


@pytest.mark.both_backends
def test_every_column_that_may_be_named_can_be_asked_for(p):
    columns = known_columns()
    assert {"r2", "lr", "n_units", "accuracy", "value", "weight", "n_points"} <= set(columns)
    for name in columns:
        len(of(where=f"{name} is null").cohorts())


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("r3 > 0.9", "r3"),
        ("lrr > 0.9", "did you mean lr?"),
        ("xyzzy > 1", "use accuracy, accuracy_p, activation"),
        ("training.lrr > 1", "is no axis of a sweep; did you mean training.lr?"),
        ("training.tau > 1", "is no axis of a sweep; "),
        ("training.lr > high", "is no value of training.lr; write a number, or use = or !="),
        ("training. > 1", "write COLUMN > VALUE"),
        ("r2 > high", "is no value of r2; write a number"),
        ("r2 > nan", "write a number"),
        ("dale = perhaps", "write true or false"),
        ("trained_at > yesterday", "write a time"),
        ("status > finished", "holds no numbers; use = or !="),
        ("seed > 3", "use the option --seed"),
        ("validation_name = noisy", "name a column of one of them beside it"),
        ("lr > 0 and validation_name = noisy", "belongs to none of the tables"),
        ("", "write COLUMN > VALUE"),
        ("r2", "write COLUMN > VALUE"),
        ("r2 > 0.9 or 1 = 1", "write COLUMN > VALUE"),
        ("r2 > 0.9; DROP TABLE x", "write COLUMN > VALUE"),
        ("r2 > 0.9)", "is no value of r2"),
        ("1 = 1", "write COLUMN > VALUE"),
        ("r2 > 0.9 and", "write COLUMN > VALUE"),
    ],
)
def test_conditions_that_cannot_be_asked_are_refused(p, where, words):
    with pytest.raises(ParameterError, match="--where") as caught:
        of(where=where).check()
    assert words in str(caught.value)


def test_names_that_nothing_has_are_refused(p):
    for given_, words in (
        ({"task_name": "other"}, "--task = 'other': has not been entered; use ff, long"),
        ({"sweep_name": "rate"}, "did you mean rates?"),
        ({"network": "n8"}, "restriction.network = 'n8': selects nothing"),
        ({"seed": "x"}, "is not a whole number"),
        ({"task_name": "a\nb"}, "is not a name"),
        ("ff", "is not a mapping"),
    ):
        with pytest.raises(ParameterError) as caught:
            Selection.of(given_).check()
        assert words in str(caught.value)


NAME = st.from_regex(r"\A[a-z_][a-z0-9_]{0,12}\Z").filter(lambda name: name not in ("and", "is"))
VALUE = st.text(st.characters(codec="ascii", exclude_characters="'\n\r"), max_size=12)
COMPARISON = st.builds(
    Comparison, NAME, st.sampled_from(["<", "<=", "=", "!=", ">=", ">"]), VALUE
) | st.builds(Comparison, NAME, st.sampled_from(["null", "not null"]), st.just(""))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(COMPARISON, min_size=1, max_size=4))
def test_what_is_written_is_read(asked):
    text = " and ".join(
        f"{c.column} is {c.sign}" if "null" in c.sign else f"{c.column} {c.sign} '{c.value}'"
        for c in asked
    )
    assert comparisons(text) == asked


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text):
    try:
        found = comparisons(text)
    except ParameterError:
        return
    assert all(each.column.isidentifier() for each in found)


@pytest.mark.both_backends
def test_a_worker_takes_only_that_work(p):
    """In the query of its queue: jobs of others are not even reserved for a moment."""
    updates = []
    for given_, n_rows in (
        ({"sweep_name": "rates", "where": "lr > 0.005"}, 2),
        ({"task_name": "long", "seed": 6}, 1),
    ):
        selection = of(**given_)
        before = {tuple(key.values()) for key in p.Training.proj().to_dicts()}
        loop = WorkLoop([p.Training], selection, shares=True)
        take = loop.finder.dispatcher.queues[0].take

        def taking(connection, key, *more, take=take):
            updates.append(key)
            return take(connection, key, *more)

        object.__setattr__(loop.finder.dispatcher.queues[0], "take", taking)
        assert loop.run().made == n_rows
        made = p.Training.proj().to_dicts()
        assert len(made) - len(before) == n_rows == len(updates)
        assert all(selection.cohorts() & key for key in updates)
        updates.clear()
    # It has entered the jobs of all for others.
    assert len(Queue(p.Training).jobs & "status = 'pending'") == 2
    # Jobs of single networks.
    selection = of(seed=1, where="status = finished")
    assert WorkLoop([p.Validation], selection).run().made == 2 * len(p.ValidationParams())
    assert set(p.Validation.to_arrays("seed")) == {1}


@pytest.fixture
def run(p, arguments, monkeypatch):
    connect = pipeline.connect
    monkeypatch.setattr(pipeline, "connect", lambda **_: connect(**arguments))

    def run(*words):
        result = CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "200"})
        connect(**arguments)
        return result

    return run


@pytest.mark.both_backends
def test_all_commands_take_it(trained, run, tmp_path):
    p = trained
    where = ("--where", "lr > 0.005 and tau = 10")
    shown = run("show", "--sweep", "rates", "--seed", 1)
    assert shown.exit_code == 0, shown.output
    assert shown.stdout.splitlines()[0].split()[:4] == [
        "training.lr",
        "network.tau",
        "trained",
        "solved",
    ]
    lines = [line.split() for line in shown.stdout.splitlines()[2:]]
    assert [line[:5] for line in lines] == [
        [lr, tau, n, "of", "1"] for lr, n in (("0.001", "0"), ("0.01", "1")) for tau in ("10", "20")
    ]
    best = run("show", "--sweep", "rates", "--sort", "r2", "--limit", 1).stdout.splitlines()
    assert best[-1] == "1 of 4 points" and best[2].split()[0] == "0.01"
    # A condition on results chooses among all networks of a point, trained or not.
    key = (p.Training.Network & {"network_name": "n8", "task_name": "ff", "seed": 1}).fetch1("KEY")
    loss = (p.Training.Network & key).fetch1("loss")
    chosen = run("show", "--sweep", "rates", "--where", f"loss = {loss!r}")
    heading, _, *lines = chosen.stdout.splitlines()
    assert heading.split()[2] == "chosen" and len(lines) == 1
    assert lines[0].split()[2:5] == ["1", "of", "2"]
    assert f"chosen: of all networks of a point those with loss = {loss!r}" in chosen.stderr
    assert "solved: R² of at least 0.9 in Validation" in chosen.stderr
    one_by_one = run("show", "--sweep", "rates", "--networks")
    assert "ff/n8-tau_20/base-lr_0.01" in one_by_one.output
    summary = run("summary", *where, "--markdown")
    rows = [line for line in summary.output.splitlines() if line.startswith("| ff")]
    assert len(rows) == 1 and "base-lr_0.01" in rows[0]
    status = run("status", "--sweep", "rates")
    (line,) = [line for line in status.output.splitlines() if " Training " in line]
    assert [word for word in line.replace("│", " ").split()] == ["Training", "2", "2", "0", "0"]
    for command in (("show",), ("summary",), ("status",), ("worker",), ("failures",), ("retry",),
                    ("export", "--out", tmp_path / "x"), ("verify",), ("delete", "--yes"),
                    ("report", "--out", tmp_path / "y"),
                    ("figures", "--out", tmp_path / "z")):  # fmt: skip
        refused = run(*command, "--sweep", "rate")
        assert refused.exit_code in (1, 2) and "did you mean rates?" in refused.output, command
        refused = run(*command, "--where", "r22 > 1")
        assert refused.exit_code in (1, 2) and "did you mean r2?" in refused.output, command
    refused = run("delete", "--yes", "--where", "r2 < 2")
    assert refused.exit_code == 1 and "a cohort goes as a whole" in refused.output
    out = tmp_path / "site"
    assert run("report", "--out", out, "--no-figures", *where).exit_code == 0
    assert len(list(out.glob("cohorts/*.html"))) == 1
    verified = run("verify", *where, "--where", "seed_of is null")
    assert verified.exit_code == 2
    verified = run("verify", *where)
    assert verified.exit_code == 0 and verified.output.count("identical") == 2
    assert "2 files" not in run("verify", "--files", "--where", "lr < 0").output
    deleted = run("delete", "--yes", *where)
    assert deleted.exit_code == 0 and len(p.Cohort()) == 4, deleted.output


@pytest.mark.both_backends
def test_jobs_that_failed_are_chosen_by_it(p, run, monkeypatch):
    monkeypatch.setattr(p.Training, "make_fetch", lambda *_: 1 / 0)
    p.fill([p.Training])
    assert len(p.failures()) == 5
    assert len(p.failures(of(sweep_name="rates"))) == 4
    assert "4 jobs failed" in run("failures", "--sweep", "rates").output
    assert "2 jobs are pending again" in run("retry", "--where", "tau = 20").output
    assert p.retry(of(seed=5)) == {"Training": 1}
    assert len(p.failures()) == 2


def test_a_condition_names_tables_of_the_chain(p):
    (table, asked), *others = restrictions("r2 > 0.9 and status = finished")
    assert table is p.Training.Network and len(asked) == 2 and not others


def test_what_needs_one_network_says_how_many_there_are_and_by_what_they_differ(trained):
    """Of arrays, trials and figures alike; still an error of DataJoint."""
    network = trained.Training.Network
    needed = "Training.Network = 2 rows: exactly one is needed; restrict it by seed"
    for call in (network.load, network.trials):
        with pytest.raises(DataJointError, match=needed):
            call(network & {"task_name": "long"})
        with pytest.raises(DataJointError, match="= 0 rows: exactly one is needed; see whether"):
            call(network & {"task_name": "none"})
    with pytest.raises(DataJointError, match=r"TrialPlot = 0 rows: .*rnn status"):
        (trained.TrialPlot & {"task_name": "long"}).plot()
    with pytest.raises(DataJointError, match=r"restrict it by task_name, .*first_seed"):
        network().load()
    assert (network & {"task_name": "long", "seed": 5}).load().n_units == 8
