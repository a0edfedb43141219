"""Bad input: one line that names field, value and remedy, and nothing entered."""

from __future__ import annotations

import os
import sys
from types import SimpleNamespace

import pytest
import yaml

from pipeline.tables.parameters import ParameterTable, column_length
from pipeline.upkeep.verify_rows import verify_rows
from tasks_lib import ParameterError
from tasks_lib.errors import ParameterErrors
from tests import preloaded

pytestmark = pytest.mark.either_backend


def counts(p):
    tables = (p.Task, p.Task.Input, p.NetworkParams, p.TrainingParams, p.TrainingParams.Penalty)
    return [len(t()) for t in (*tables, p.Cohort)]


CASES = [
    (("tasks", "cddm", "class"), "NoSuchTask", "tasks.cddm.class = "),
    (("tasks", "cddm", "class"), "no_such_package.module:Task", "tasks.cddm.class = "),
    (("tasks", "cddm", "class"), "tests.pipeline.own:NotATask", "tasks.cddm.class = "),
    (("tasks", "cddm", "class"), "subprocess:Popen", "is not in an allowed package"),
    (("trainings", "short", "penalties"), {"os:system": {"weight": 1.0}}, "os:system"),
    (("tasks", "cddm"), {"class": "tests.pipeline.own:WrongShape", "n_steps": 9}, "targets"),
    (("tasks", "cddm", "n_steps"), -3, "n_steps"),
    (("tasks", "cddm", "n_steps"), "twenty", "n_steps"),
    (("tasks", "cddm", "n_inputs"), 4, "n_inputs"),
    (("tasks", "cddm", "colour"), 4, "colour"),
    (("tasks", "cddm", "params", "stim_on"), 25, "stim_on"),
    (("tasks", "cddm", "params", "volume"), 11, "volume"),
    (("networks", "small", "tau"), -1.0, "tau"),
    (("networks", "small", "dt"), 5.0, "dt"),
    (("networks", "small", "density"), 0.0, "density"),
    (("networks", "small", "n_units"), "12", "n_units"),
    (("networks", "small", "n_units"), True, "n_units"),
    (("networks", "small", "activation"), "relux", "activation"),
    (("networks", "small", "activation_args"), {"slop": 1.0}, "slop"),
    (("networks", "small", "units"), 12, "units"),
    (("networks", "small", "network_hash"), 12, None),
    (("trainings", "short", "lr"), 0, "lr"),
    (("trainings", "short", "lr"), float("nan"), "lr"),
    (("trainings", "short", "penalties"), {"nonsense": {"weight": 1.0}}, "nonsense"),
    (("trainings", "short", "penalties"), {"metabolic": {"weight": -1.0}}, "weight"),
    (("trainings", "short", "penalties"), {"metabolic": {"w": 1.0}}, "metabolic"),
    (("trainings", "short", "penalties"), ["metabolic"], "penalties"),
    (("cohorts", 0, "task"), "cdmm", "task"),
    (("cohorts", 0, "n_networks"), 0, "n_networks"),
    (("cohorts", 0, "seeds"), 3, "seeds"),
    (("cohorts", 0, "first_seed"), "x", "first_seed"),
    (("cohorts", 0, "first_seed"), True, "first_seed"),
    (("cohorts", 0, "first_seed"), 2**31 - 1, "first_seed"),
    (("trainings", "short", "max_iter"), 10**12, "max_iter"),
    (("trainings", "short", "patience"), 10**12, "patience"),
    (("networks", "small", "n_units"), 10**11, "n_units"),
    (("networks", "small", "n_units"), 10**9, "would take about 69.4 EiB of memory"),
    (("tasks", "cddm", "n_steps"), 10**11, "n_steps"),
    (("tasks", "cddm", "n_steps"), 10**9, "TiB of memory"),
    (("cohorts", 0, "n_networks"), 10**9, "n_networks"),
    (("networkz",), {}, "networkz"),
    (("networks", "small", "n_unit"), 12, "networks.small.n_unit = 12: does not exist"),
    (("tasks", "cddm", "params", "stim_on"), 10**500, "tasks.cddm.params.stim_on"),
    (("tasks", "cddm", "params", "stim_on"), "a\0", "tasks.cddm.params.stim_on"),
    (("tasks", "cddm", "class"), "../../x:Y", "tasks.cddm.class = '../../x:Y'"),
    (("networks", "n5"), None, "networks.n5 = None: is not a set of fields"),
    (
        ("cohorts", 0, "network"),
        8,
        "cohorts[0].network = '8': is a number and no text",
    ),
]


@pytest.mark.parametrize(("path", "value", "named"), CASES)
def test_nothing_is_entered(
    database, submission, tmp_path, path, value, named, own_classes_allowed
):
    p = database
    place = submission
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    file = tmp_path / "submission.yaml"
    file.write_text(yaml.safe_dump(submission))
    if named is None:  # the hash is computed, whatever is given
        p.submit(p.read_submission(file))
        return
    with pytest.raises(ParameterError) as caught:
        p.submit(p.read_submission(file))
    message = str(caught.value)
    assert named in message
    assert "\n" not in message
    assert caught.value.remedy
    assert counts(p) == [0] * 6


def test_columns_say_how_much_they_hold(database):
    for table in (database.NetworkParams, database.TrainingParams):
        types = {name: a.type for name, a in table().heading.attributes.items()}
        assert column_length(types[table().primary_key[0]]) == 64
        assert column_length(types["max_iter" if "max_iter" in types else "n_units"]) is None
    assert column_length(database.NetworkParams().heading.attributes["activation"].type) == 128


def test_a_name_that_an_older_column_cannot_hold_is_refused():
    """A database that an earlier version declared has the columns of that time."""

    class Table(ParameterTable):
        primary_key = ["network_name"]
        hash_field = "network_hash"
        heading = SimpleNamespace(
            names=["network_name", "activation"],
            attributes={"activation": SimpleNamespace(type="varchar(32)")},
        )

        @classmethod
        def canonical(cls, row):
            return row

    table = Table()
    row = {"network_name": "a", "activation": "x" * 32}
    assert table.checked(row) == row
    with pytest.raises(ParameterError, match=r"activation = .*longer than the 32 characters"):
        table.checked({"network_name": "a", "activation": "x" * 33})


def test_absurd_numbers_of_cohorts_and_settings(database, submission):
    p = database
    submission["networks"]["small"]["n_units"] = 100_000
    submission["cohorts"][0]["n_networks"] = 200
    said = r"^cohorts\[0\]\.n_networks = 200: the weights .* 7\.28 TiB"
    with pytest.raises(ParameterError, match=said):
        p.submit(submission)
    assert counts(p) == [0] * 6
    validation = {"validation_name": "often", "noise": True, "n_repeats": 2**31}
    search = {**p.FixedPointParams.contents[0], "search_name": "often", "n_starts": 10**9}
    manifolds = {**p.ManifoldParams.contents[0], "manifold_search": "fine", "n_samples": 10**9}
    for table, row, field in (
        (p.ValidationParams, validation, "n_repeats"),
        (p.FixedPointParams, search | {"max_starts": 10**9}, "n_starts"),
        (p.ManifoldParams, manifolds, "n_samples"),
    ):
        with pytest.raises(ParameterError, match=f"^{field} = "):
            table.insert1(row)
        assert not table & {name: row[name] for name in table.primary_key}
    with pytest.raises(ParameterError, match=r"^noise = 'yes'"):
        p.ValidationParams.insert1({**validation, "noise": "yes", "n_repeats": 1})


def test_equal_parameters_under_another_name_are_refused(database, submission):
    p = database
    p.submit(submission)
    before = counts(p)
    again = {**submission["networks"]["small"], "tau": 2, "n_units": 12.0}
    del again["n_units"]  # 12.0 is no whole number of units; the number 2 equals 2.0
    with pytest.raises(ParameterError, match="'small'"):
        p.NetworkParams.insert1({"network_name": "twin", "n_units": 12, **again})
    with pytest.raises(ParameterError, match="exists with other parameters"):
        p.NetworkParams.insert1({"network_name": "small", "n_units": 13})
    task = {**submission["tasks"]["cddm"]}
    with pytest.raises(ParameterError, match="'cddm'"):
        p.Task.insert1({"task_name": "twin", "task_class": task.pop("class"), **task})
    training = {**submission["trainings"]["short"]}
    with pytest.raises(ParameterError, match="'short'"):
        p.TrainingParams.insert1({"training_name": "twin", **training})
    training["penalties"] = {"metabolic": {"weight": 0.02}}  # the penalties count
    p.TrainingParams.insert1({"training_name": "other", **training})
    before[3] += 1
    before[4] += 1
    assert counts(p) == before


def test_insert_of_several_is_all_or_nothing(database):
    p = database
    rows = [{"network_name": "good", "n_units": 5}, {"network_name": "bad", "tau": -1.0}]
    with pytest.raises(ParameterError, match="tau"):
        p.NetworkParams.insert(rows)
    with pytest.raises(ParameterError, match="'first'"):
        p.NetworkParams.insert(
            [{"network_name": "first", "n_units": 5}, {"network_name": "second", "n_units": 5}]
        )
    assert len(p.NetworkParams()) == 0


@pytest.mark.parametrize(
    ("column", "value", "named"),
    [
        ("mode", "fast", "mode"),
        ("n_starts", 0, "n_starts"),
        ("max_starts", 7, "max_starts"),  # below n_starts
        ("start_noise", -0.1, "noise"),
        ("coverage_goal", 1.5, "coverage"),
        ("fun_tol", 0.0, "fun_tol"),
        ("colour", 1, "colour"),
    ],
)
def test_searches_are_rows_that_are_checked(database, column, value, named):
    p = database
    row = {**p.FixedPointParams.fetch1(), "search_name": "good"}
    with pytest.raises(ParameterError, match=named):
        p.FixedPointParams.insert([row, {**row, "search_name": "bad", column: value}])
    assert p.FixedPointParams.to_arrays("search_name").tolist() == ["exact"]
    # no column is one of a table that it is joined with
    assert len(p.FixedPoints * p.FixedPointParams) == 0
    assert len(p.ValidationParams * p.FixedPointParams) == 2


def test_settings_that_mean_nothing_are_refused_and_stored_ones_stay_readable(database):
    p = database
    for table, column, value in (
        (p.PopulationParams, "population_n_shuffles", 1),
        (p.LyapunovParams, "lyapunov_duration", 1e-9),
        (p.InterventionParams, "intervention_largest", 1e-9),
        (p.RecordingDistanceParams, "distance_network_off", 1e-9),
    ):
        (name,) = table.primary_key
        before = table.to_dicts()
        row = before[0] | {column: value}
        for change, given in ((table.insert1, row | {name: "absurd"}), (table.update1, row)):
            with pytest.raises(ParameterError, match=rf"^{column} = .* use ") as caught:
                change(given)
            assert "\n" not in str(caught.value)
        assert table.to_dicts() == before
        # As a version before has stored it.
        table().store([row | {name: "absurd"}])
        made = table.build((table & {name: "absurd"}).fetch1())
        assert getattr(made, next(f for f, c in table.renamed.items() if c == column)) == value
    assert verify_rows().is_whole
    task = {"class": "CDDM", "n_steps": 20, "params": {"stim_on": 3, "dec_on": 10}}
    p.submit({"tasks": {"cddm": task}})
    comparison = {"task_name": "cddm", "comparison_name": "all", "comparison_cutoff": 1e-300}
    with pytest.raises(ParameterError, match="equally far"):
        p.Comparison.insert1(comparison)
    assert not p.Comparison() and p.Comparison.build(comparison).cutoff == 1e-300


def test_no_seed_is_trained_in_two_cohorts(database, submission):
    p = database
    p.submit(submission)
    for first_seed, n in ((4, 1), (4, 9), (2, 2), (0, 9)):
        submission["cohorts"][0] |= {"first_seed": first_seed, "n_networks": n}
        with pytest.raises(ParameterError, match="seeds 3 to 4"):
            p.submit(submission)
    for first_seed, n in ((5, 2), (0, 3)):
        submission["cohorts"][0] |= {"first_seed": first_seed, "n_networks": n}
        assert p.submit(submission)["cohorts"] == 1


def test_a_cohort_is_not_resized(database, submission):
    p = database
    p.submit(submission)
    submission["cohorts"][0]["n_networks"] = 5
    with pytest.raises(ParameterError, match="another first_seed"):
        p.submit(submission)
    assert p.Cohort.fetch1("n_networks") == 2


def test_all_that_is_wrong_is_said_at_once(database, submission):
    p = database
    submission["networks"]["small"]["n_unit"] = 10**5000
    submission["networks"]["other"] = {"tau": -1.0}
    submission["trainings"]["short"]["lr"] = 0
    submission["tasks"]["more"] = {"class": "NoSuch"}
    submission["cohorts"].append({"task": "nobody", "network": "x", "training": "y"})
    with pytest.raises(ParameterErrors) as caught:
        p.submit(submission)
    assert [error.field for error in caught.value.errors] == [
        "tasks.more.class",
        "networks.small.n_unit",
        "networks.other.tau",
        "trainings.short.lr",
        # Of the first cohort nothing: what it names is refused already.
        *(f"cohorts[1].{field}" for field in ("n_networks", "task", "network", "training")),
    ]
    assert counts(p) == [0] * 6


def test_each_field_of_a_file_is_named_at_once(database, tmp_path):
    """Whatever the kind of fault: of the YAML, of a single value, of two together, of a name."""
    file = tmp_path / "submission.yaml"
    file.write_text(
        """
tasks:
  ff: {class: NBitFlipFlop, n_stps: 20, params: {pulse: -3, batch_size: x, puls: 2}}
  ff2: {n_bits: 2}
networks:
  n8: {n_unit: 8, activation: tnh, tau: -1, dt: yes, gamma: 1_000, n_units: "12", dale: "yes"}
  n9: {activation_args: [1], bias_min: 1.0, density: 010, tau: 1:30, dt: .inf}
  n10:
  8: {n_units: 1e2}
  twice: {}
  twice: {}
trainings:
  t:
    max_iter: 0
    lr: 1e-3x
    patience: 3
    penalties: {metabolic: {weight: -1}, metabolc: {weight: 1},
                fr_magnitude: {weight: 1, args: {tau: -1, taau: 3}}}
  u: {lr: .nan, max_iter: 0, max_grad_norm: .nan, penalties: {metabolc: {weight: 1}}}
cohorts:
- {task: ff, network: n8, training: t, n_networks: 0, first_sed: 3}
- {task: foo, network: n8, training: no, n_networks: 1}
networkz: {}
"""
    )
    with pytest.raises(ParameterErrors) as caught:
        database.submit(file)
    lines = {error.field: str(error) for error in caught.value.errors}
    expected = {
        "tasks.ff.n_stps": "n_stps = 20: does not exist; did you mean n_steps?",
        "tasks.ff.params.pulse": "give at least 1",
        "tasks.ff.params.batch_size": "batch_size = 'x': is not a whole number",
        "tasks.ff.params.puls": "is not a parameter of NBitFlipFlop; did you mean pulse?",
        "tasks.ff2.n_bits": "arguments of the class stand under params",
        "tasks.ff2.class": "is missing",
        "networks.n8.n_unit": "did you mean n_units?",
        "networks.n8.activation": "use one of",
        "networks.n8.tau": "give more than 0",
        "networks.n8.dt": "dt = True: is not a number",
        "networks.n8.n_units": "give it without quotes",
        "networks.n8.dale": "give it without quotes",
        "networks.n9.activation_args": "write name: value",
        "networks.n9.bias_min": "is larger than bias_max",
        "networks.n9.density": "to the base of 8, line 7; write 10; for 8 write that",
        "networks.n9.tau": 'to the base of 60, line 7; write it as one number, or quote it: "1:30"',
        "networks.n9.dt": "is not finite",
        "networks.n10": "write n10: {} for the defaults",
        "networks.8": 'is a number and no name, line 9; quote it: "8"',
        "networks.twice": "line 10 and in line 11",
        "trainings.t.max_iter": "give at least 1",
        "trainings.t.lr": "lr = '1e-3x': is not a number",
        "trainings.t.patience": "set validation_interval",
        "trainings.t.penalties.metabolic.weight": "give at least 0",
        "trainings.t.penalties.metabolc": "did you mean metabolic?",
        "trainings.t.penalties.fr_magnitude.args.tau": "tau = -1.0: is too small",
        "trainings.t.penalties.fr_magnitude.args.taau": "did you mean tau?",
        "trainings.u.lr": "lr = nan: is not a value",
        "trainings.u.max_iter": "give at least 1",
        "trainings.u.max_grad_norm": "max_grad_norm = nan: is not a value",
        "trainings.u.penalties.metabolc": "did you mean metabolic?",
        "cohorts[0].n_networks": "give at least 1",
        "cohorts[0].first_sed": "did you mean first_seed?",
        "cohorts[1].task": "has not been entered",
        "cohorts[1].training": 'is true or false and no text, line 22; quote it: "no"',
        "section": "did you mean networks?",
    }
    assert set(lines) == set(expected)
    assert [f for f, words in expected.items() if words not in lines[f]] == []
    assert all(line.isprintable() for line in lines.values())
    assert counts(database) == [0] * 6


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("networks:", "networks = None: is empty; remove it"),
        ("cohorts:", "cohorts = None: is empty; remove it, or write a list of cohorts"),
        ("# nothing", "no sections"),
        ("networks: [a]", "wrong form"),
        ("networks:\n\ta: {}", "write spaces in place of the tab"),
        ("? [1]\n: 2", "has a key that is no text"),
        ("tasks: [", "not YAML"),
        ("just text", "no sections"),
        ("tasks: 3", "wrong form"),
        (None, "FILE"),
    ],
)
def test_unreadable_file(text, named, tmp_path):
    from pipeline import read_submission

    file = tmp_path / "s.yaml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ParameterError, match=named):
        read_submission(file)


def run_rnn(*words, **environment):
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("DJ_", "RNN_"))}
    return preloaded.run(
        [sys.executable, "-m", "pipeline.cli", *words],
        capture_output=True,
        text=True,
        timeout=120,
        env={**clean, **environment},
    )


def assert_one_line(result, *words):
    lines = [line for line in result.stderr.splitlines() if line]
    assert result.returncode == 1
    assert len(lines) == 1, result.stderr
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in lines[0]


@pytest.mark.both_backends
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mysql", "postgresql"])
def test_unreachable_server(kind, store):
    result = run_rnn(
        "status", DJ_BACKEND=kind, DJ_HOST="127.0.0.1", DJ_PORT="9", DJ_USER="u", DJ_PASS="geheim",
        RNN_STORE=str(store),
    )  # fmt: skip
    assert_one_line(result, "127.0.0.1", "DJ_HOST")
    assert "geheim" not in result.stderr


@pytest.mark.both_backends
def test_refusing_server(server, store):
    if server.backend == "postgresql":
        environment = {**server.environment, "DJ_USER": "nobody_there"}
    else:
        environment = {**server.environment, "DJ_PASS": "geheim"}
    result = run_rnn("status", **environment, RNN_STORE=str(store))
    assert_one_line(result, "DJ_USER", "DJ_PASS")
    assert "geheim" not in result.stderr


def test_missing_store_folder(server, tmp_path):
    result = run_rnn("status", **server.environment, RNN_STORE=str(tmp_path / "nowhere"))
    assert_one_line(result, "store", "nowhere", "RNN_STORE")


def test_submit_command_reports_one_line(server, store, tmp_path, submission, arguments):
    submission["networks"]["small"]["tau"] = -2.0
    file = tmp_path / "s.yaml"
    file.write_text(yaml.safe_dump(submission))
    common = {**server.environment, "RNN_STORE": str(store), "RNN_PREFIX": arguments["prefix"]}
    assert_one_line(run_rnn("submit", str(file), **common), "tau", "-2.0")
    assert_one_line(run_rnn("submit", str(tmp_path / "none.yaml"), **common), "FILE", "none.yaml")
    import pipeline
    from pipeline.database import schemas

    pipeline.connect(**arguments)
    assert len(pipeline.Task()) == 0
    schemas.drop()
    pipeline.disconnect()


@pytest.mark.slow
def test_home_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    result = run_rnn("status", RNN_HOME=str(tmp_path / "file" / "home"))
    assert_one_line(result, "RNN_HOME")
