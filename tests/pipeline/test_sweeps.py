"""Sweeps: cohorts that differ in chosen fields, entered and asked for together."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest

import models
from models.plots.sweeps import plot_sweep
from pipeline.sweeps.design import points_of
from pipeline.sweeps.naming import set_name
from tasks_lib.errors import ParameterError, ParameterErrors

pytestmark = pytest.mark.either_backend

TASK = {"class": "NBitFlipFlop", "n_steps": 20, "params": {"pulse": 3, "batch_size": 8}}
GRID = {
    "training.lr": [0.001, 0.003, 0.01],
    "training.penalties.metabolic.weight": {"log": [0.01, 1.0], "n": 3},
    "network.sigma_rec": [0.03, 0.05],
}


def content(**sweep):
    return {
        "tasks": {"ff": TASK},
        "networks": {"n8": {"n_units": 8, "sigma_rec": 0.05}},
        "trainings": {"base": {"max_iter": 3, "penalties": {"metabolic": {"weight": 0.1}}}},
        "sweeps": {"s": {"task": "ff", "network": "n8", "training": "base", **sweep}},
    }


def values(p, *axes):
    """Return the values of some axes at each point, in any order."""
    points = {}
    for row in p.SweepPoint.to_dicts():
        cohort = tuple(row[n] for n in ("task_name", "network_name", "training_name"))
        points.setdefault(cohort, {})[row["axis"]] = json.loads(row["value_text"])
    return sorted(tuple(point[axis] for axis in axes) for point in points.values())


def test_a_deletion_says_which_sweeps_lose_points(database):
    """Equal parameter sets are used again, so that two sweeps may have one cohort."""
    p = database
    p.submit(content(vary={"training.lr": [0.001, 0.003, 0.01]}))
    more = content(vary={"training.lr": [0.003, 0.01]})
    p.submit({**more, "sweeps": {"other": more["sweeps"]["s"]}})
    would = p.delete(p.Selection(sweep_name="other"), dry_run=True)
    assert would.points == {"other": (2, 2), "s": (2, 3)}
    assert p.delete({"training_name": "base"}, dry_run=True).points == {}


def test_a_grid_is_entered_and_can_be_asked_for(database):
    p = database
    new = p.submit(content(vary=GRID, n_networks=3))
    assert new == {"tasks": 1, "networks": 2, "trainings": 10, "sweep points": 18, "cohorts": 18}
    assert len(p.Sweep.Point()) == 18 * 3
    lr = p.Sweep.Point & "axis = 'training.lr'" & "value > 0.002"
    assert len(lr) == 12
    assert len(p.Cohort & lr.proj()) == 12
    names = set(p.TrainingParams.to_arrays("training_name"))
    assert {"base", "base-lr_0.003-metabolic_0.01", "base-lr_0.01-metabolic_1"} < names
    # What is as in the base is not said again, and what equals it is the base.
    assert "base-lr_0.003" in names and not any("metabolic_0.1" in name for name in names)
    assert set(p.NetworkParams.to_arrays("network_name")) == {"n8", "n8-sigma_rec_0.03"}
    key = {"training_name": "base-lr_0.01-metabolic_1"}
    assert (p.TrainingParams & key).fetch1("lr") == 0.01
    assert (p.TrainingParams.Penalty & key).fetch1("weight") == 1.0
    assert p.submit(content(vary=GRID, n_networks=3)) == dict.fromkeys(new, 0)


def test_a_sweep_is_extended(database):
    p = database
    assert p.submit(content(vary={"training.lr": [0.01, 0.1]}))["sweep points"] == 2
    # What was deleted is entered again, too.
    (p.Cohort & "training_name = 'base-lr_0.1'").delete(prompt=False)
    assert len(p.SweepPoint()) == 1
    new = p.submit(content(vary={"training.lr": [0.01, 0.1, 1.0]}))
    assert (new["trainings"], new["cohorts"], new["sweep points"]) == (1, 2, 2)
    # Further networks of the same points.
    more = p.submit(content(vary={"training.lr": [0.01, 0.1]}, first_seed=1, n_networks=2))
    assert (more["trainings"], more["cohorts"], more["sweep points"]) == (0, 2, 2)
    assert len(p.sweep_table("s")) == 3 + 4


def test_sets_that_are_there_are_used(database):
    p = database
    given = content(vary={"training.lr": [0.01, 0.1]})
    given["trainings"]["mine"] = {**given["trainings"]["base"], "lr": 0.1}
    given["trainings"]["base-lr_0.5"] = {**given["trainings"]["base"], "lr": 0.7}
    p.submit(given)
    assert "mine" in p.Cohort.to_arrays("training_name")
    # A name that other parameters have gets a digest of the values.
    p.submit(content(vary={"training.lr": [0.5]}))
    (name,) = (p.SweepPoint & "value = 0.5").to_arrays("training_name")
    assert name.startswith("base-lr_0.5-") and len(name) == len("base-lr_0.5-") + 8


def test_fields_of_tasks_vary_with_their_channels(database):
    p = database
    p.submit(content(vary={"task.params.n_bits": [1, 2, 3], "task.n_steps": [20, 30]}))
    rows = (p.Task & (p.Cohort & p.SweepPoint.proj())).to_dicts()
    assert sorted((r["n_inputs"], r["n_outputs"], r["n_steps"]) for r in rows) == [
        (n, n, steps) for n in (1, 2, 3) for steps in (20, 30)
    ]


def test_zip_random_and_explicit_points(database):
    p = database
    p.submit(content(design="zip", vary={"training.lr": [0.1, 0.2], "network.n_units": [5, 6]}))
    assert values(p, "training.lr", "network.n_units") == [(0.1, 5), (0.2, 6)]
    p.Sweep.delete(prompt=False)
    points = [{"training.lr": 0.3, "network.tau": 20}, {"training.lr": 0.4, "network.tau": 30}]
    p.submit(content(points=points))
    assert values(p, "training.lr", "network.tau") == [(0.3, 20), (0.4, 30)]
    p.Sweep.delete(prompt=False)
    ranges = {"training.lr": {"log_uniform": [1e-4, 1e-1]}, "network.n_units": {"uniform": [5, 40]}}
    p.submit(content(design="random", vary=ranges, n_points=6, seed=3))
    first = values(p, "training.lr", "network.n_units")
    assert len(first) == 6
    assert all(1e-4 <= lr <= 1e-1 and isinstance(n, int) for lr, n in first)
    assert p.submit(content(design="random", vary=ranges, n_points=9, seed=3))["sweep points"] == 3
    assert set(first) < set(values(p, "training.lr", "network.n_units"))


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"vary": {"training.lrr": [1]}}, "vary.training.lrr", "did you mean lr?"),
        ({"vary": {"lr": [0.1]}}, "vary.lr", "write task., network. or training."),
        ({"vary": {"training.lr": []}}, "vary.training.lr", "has no values"),
        ({"vary": {}}, "vary", "names no axis"),
        ({}, "vary", "is missing"),
        ({"vary": {"training.lr": [0.1, 0.1]}}, "vary.training.lr", "twice"),
        ({"vary": {"training.lr": [0.1, -1]}}, "vary.training.lr", "lr = -1"),
        ({"vary": {"training.lr": [0.1, "x"]}}, "vary.training.lr", "is not a number"),
        ({"vary": {"training.lr": {"log": [0, 1], "n": 3}}}, "vary.training.lr.log", "reaches 0"),
        ({"vary": {"training.lr": {"log": [1, 2]}}}, "vary.training.lr",
         "does not say how many values there are; write {log: [from, to], n: 5}"),
        ({"vary": {"training.lr": {"uniform": [1, 2]}}}, "vary.training.lr",
         "is a range to draw from; write design: random and n_points beside it"),
        ({"vary": {"training.lr": {"log": [1, 2], "m": 3}}}, "vary.training.lr", "no values of an"),
        ({"vary": {"training.lr": {"log": [1, 2], "n": 3}}, "design": "random", "n_points": 2},
         "vary.training.lr", "its values are spaced, not drawn; write {uniform: [from, to]}"),
        ({"vary": {"training.penalties.metabolc.weight": [1]}},
         "vary.training.penalties.metabolc.weight", "metabolic"),
        ({"vary": {"training.penalties.metabolic": [1]}}, "vary.training.penalties.metabolic",
         "no field of a penalty"),
        ({"vary": {"task.params.n_bts": [1]}}, "vary.task.params.n_bts", "did you mean n_bits?"),
        ({"vary": {"network.dt": [1.0, 50.0]}}, "vary.network.dt", "50"),
        ({"vary": {"network.n_units": {"linear": [1, 10**7], "n": 10**7}}},
         "vary.network.n_units.n", "more than 10000"),
        ({"vary": {"network.n_units": list(range(1, 200)),
                   "training.lr": {"linear": [0.1, 0.9], "n": 100}}}, "vary",
         "write max_points: 19900"),
        ({"vary": {"training.lr": {"linear": [0.1, 0.9], "n": 10**4},
                   "network.sigma_rec": {"linear": [0.1, 0.9], "n": 1000}}}, "vary",
         "= 10000000: points are more than 10000; vary less, or write max_points: 10000000"),
        ({"vary": {"task.params": [{"n_bits": 1}], "task.params.n_bits": [1, 2]}}, "vary",
         "axes that set the same field"),
        ({"vary": {"task.class": ["CDDM"], "task.task_class": ["NBitFlipFlop"]}}, "vary",
         "axes that set the same field"),
        ({"points": [{"task.params": {"n_bits": 1}, "task.params.n_bits": 1}]}, "points",
         "axes that set the same field"),
        ({"vary": {"network.dt": [1.0], "network.tau": [0.5]}}, "vary.network.dt", "tau"),
        ({"vary": {"training.lr": [1, 2], "network.tau": [20]}, "design": "zip"}, "vary",
         "different lengths"),
        ({"vary": {"training.lr": [1]}, "n_points": 3}, "n_points", "of random points"),
        ({"vary": {"training.lr": [1]}, "design": "rnd"}, "design", "grid"),
        ({"vary": {"training.lr": {"uniform": [0.1, 1]}}, "design": "random"}, "n_points",
         "is missing"),
        ({"points": [{"training.lr": 1}, {"network.tau": 2}]}, "points[1]", "other axes"),
        ({"points": [{"training.lr": 1}, {"training.lr": 1}]}, "points[1]", "twice"),
        ({"vary": {"training.lr": [1]}, "network": "n9"}, "network", "has not been entered"),
        ({"vary": {"training.lr": [1]}, "netwrk": "n8"}, "netwrk", "did you mean network?"),
        ({"vary": {"training.lr": [1]}, "n_networks": 0}, "n_networks", "at least 1"),
        ({"vary": {"training.lr": [math.nan]}}, "vary.training.lr", "nan"),
        ({"vary": {"network.n_units": [10, 10]}}, "vary.network.n_units", "has a value twice"),
        ({"vary": {"training.lr": [0.1, 0.2]}, "design": "random", "n_points": 3}, "n_points",
         "100 times as many draws gave 2; give at most 2"),
        ({"vary": {"training.penalties.fr_magnitude.args.tau": [0.1, 0.2]}},
         "vary.training.penalties.fr_magnitude.args.tau",
         "without a weight of fr_magnitude; give penalties.fr_magnitude.weight"),
        ({"vary": {"task.params": [{"n_bits": 3}, {}]}}, "vary",
         "gives the same task, network and training as {'task.params': {'n_bits': 3}}"),
        ({"points": [{"network.activation_args": {}}, {"network.activation_args": {"slope": 1}}]},
         "points[1]", "drop one of the values"),
        ({"vary": {"training.dropout_kind": ["mute", "dead"]}}, "vary.training.dropout_kind",
         "changes no network: dropout_rate is 0 at every point; set training.dropout_rate"),
        ({"vary": {"training.dropout_beta": [1, 2], "training.dropout_rate": [0.1]}},
         "vary.training.dropout_beta", "dropout_sampling is uniform"),
        ({"vary": {"training.participation_rate": [0.1, 0.2]}}, "vary.training.participation_rate",
         "dropout_sampling is not participation"),
        ({"vary": {"training.penalties.metabolic.weight": [0],
                   "training.task_safe_gradients": [True, False]}},
         "vary.training.task_safe_gradients", "no penalty has a weight"),
        ({"vary": {"network.noise_inside": [True, False], "network.sigma_rec": [0]}},
         "vary.network.noise_inside", "sigma_rec is 0"),
        ({"vary": {"training.penalties.fr_magnitude.weight": [0],
                   "training.penalties.fr_magnitude.args.tau": [0.1, 0.2]}},
         "vary.training.penalties.fr_magnitude.args.tau", "its weight is 0"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_and_nothing_is_entered(database, fields, field, words):
    with pytest.raises(ParameterError) as caught:
        database.submit(content(**fields))
    errors = getattr(caught.value, "errors", (caught.value,))
    (error,) = [e for e in errors if e.field == f"sweeps.s.{field}"]
    assert words in str(error)
    for table in (database.Task, database.NetworkParams, database.Cohort, database.Sweep):
        assert not len(table())


def test_an_axis_that_has_an_effect_at_some_points_is_entered(database):
    vary = {"training.dropout_rate": [0, 0.1], "training.dropout_kind": ["mute", "dead"]}
    assert database.submit(content(vary=vary))["sweep points"] == 4


def test_a_sweep_has_no_defaults(database):
    with pytest.raises(ParameterError, match=r"^sweeps\.s = None: .*; write field: value$"):
        database.submit({"sweeps": {"s": None}})


def test_values_written_otherwise_are_one_set_where_other_axes_differ(database):
    points = [{"task.params": {"n_bits": 3}, "training.lr": 0.1},
              {"task.params": {}, "training.lr": 0.2}]  # fmt: skip
    new = database.submit(content(points=points))
    assert (new["sweep points"], new["tasks"]) == (2, 2)  # the base, and one for both points


def test_random_points_all_differ(database):
    """Draws that were there before are drawn anew, and the first points stay the same."""
    vary = {"network.n_units": {"uniform": [5, 9]}, "network.tau": [20, 30]}
    few, more = (points_of({"design": "random", "vary": vary, "n_points": n}, []) for n in (4, 8))
    assert len({str(point) for point in more}) == 8 and more[:4] == few


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"sweeps": {3: content(vary=GRID)["sweeps"]["s"]}}, "sweeps.3"),
        ({"trainings": {7: {"lr": 0.5}}}, "trainings.7"),
        ({"networks": {"a": {None: 3}}}, "networks.a.None"),
        ({"cohorts": [{3: 1, "task": "ff", "network": "n8", "training": "base"}]}, "cohorts[0].3"),
    ],
)
def test_a_name_that_is_no_text_is_an_error_from_python_too(database, given, field):
    with pytest.raises(ParameterError) as caught:
        database.submit({**content(vary=GRID), **given})
    errors = getattr(caught.value, "errors", (caught.value,))
    (error,) = [each for each in errors if each.field == field]
    assert "is no text, as names are; write" in str(error)
    assert not len(database.Task()) and not len(database.TrainingParams())


def test_other_axes_or_another_base_are_refused(database):
    """Also with other values than those that are there; what is the same by another name is not."""
    p = database
    p.submit(content(vary={"training.lr": [0.1]}))
    with pytest.raises(ParameterError, match="other axes than those of the sweep that is there"):
        p.submit(content(vary={"network.tau": [20]}))
    other = content(vary={"training.lr": [0.2]})
    other["networks"]["n9"] = {"n_units": 9, "sigma_rec": 0.05}
    other["trainings"]["longer"] = {**other["trainings"]["base"], "max_iter": 4}
    other["sweeps"]["s"] |= {"network": "n9", "training": "longer"}
    with pytest.raises(ParameterErrors) as caught:
        p.submit(other)
    assert [str(error) for error in caught.value.errors] == [
        "sweeps.s.network = 'n9': begins otherwise than the sweep 's' that is there (n_units is 9 "
        "here and 8 there); begin with n8, or enter it under another name",
        "sweeps.s.training = 'longer': begins otherwise than the sweep 's' that is there (max_iter "
        "is 4 here and 3 there); begin with the same training, or enter it under another name",
    ]
    assert len(p.NetworkParams()) == 1 == len(p.SweepPoint())
    # One that differs in what varies alone is the same to begin with.
    other = content(vary={"training.lr": [0.2]})
    other["trainings"]["faster"] = {**other["trainings"]["base"], "lr": 0.5}
    other["sweeps"]["s"]["training"] = "faster"
    assert p.submit(other)["sweep points"] == 1
    # Without points it may begin anew.
    (p.Cohort & p.Cohort.keys()).delete(prompt=False)
    other["networks"]["n9"], other["sweeps"]["s"]["network"] = {"n_units": 9}, "n9"
    assert p.submit(other)["sweep points"] == 1


def test_a_base_whose_channels_follow_from_what_varies_is_the_same(database):
    p = database
    p.submit(
        content(vary={"task.params.n_bits": [2], "training.penalties.fr_inequality.weight": [1]})
    )
    more = {"task.params.n_bits": [1, 3], "training.penalties.fr_inequality.weight": [1, 2]}
    assert p.submit(content(vary=more))["sweep points"] == 4
    other = content(vary=more)
    other["tasks"]["longer"] = {**TASK, "n_steps": 30}
    other["sweeps"]["s"]["task"] = "longer"
    with pytest.raises(ParameterError, match="n_steps is 30 here and 20 there"):
        p.submit(other)


@pytest.mark.both_backends
def test_a_description_stays_and_it_is_said(database):
    p = database
    given = content(vary={"training.lr": [0.1]}, description="first words")
    assert p.submit(given).notes == []
    given["sweeps"]["s"]["description"] = "others"
    (note,) = p.submit(given).lines()[-1:]
    assert note.startswith("sweeps.s.description: s is there and keeps 'first words'; to change")
    assert p.Sweep.fetch1("sweep_description") == "first words"
    p.Sweep.update1(eval(note.partition("update1(")[2][:-1]))  # what it says is true
    assert p.Sweep.fetch1("sweep_description") == "others"
    assert p.submit(given).notes == [] == p.submit(content(vary={"training.lr": [0.1]})).notes


def test_every_error_of_a_file_is_said_at_once(database):
    given = content(vary={"training.lrr": [1], "network.tau": []}, n_networks=0)
    given["cohorts"] = [{"task": "ff", "network": "no", "training": "base", "n_networks": 1}]
    with pytest.raises(ParameterErrors) as caught:
        database.submit(given)
    assert {e.field for e in caught.value.errors} == {
        "cohorts[0].network", "sweeps.s.n_networks", "sweeps.s.vary.training.lrr",
        "sweeps.s.vary.network.tau",
    }  # fmt: skip


def test_a_sweep_whose_network_is_refused_may_have_a_description(database):
    given = content(vary={"training.lr": [0.1]}, description="words")
    given["networks"]["n8"]["n_units"] = -1
    with pytest.raises(ParameterError, match=r"networks\.n8\.n_units"):
        database.submit(given)


def test_a_sweep_over_an_argument_at_its_default_goes_on(database):
    """Arguments at their defaults are not written down."""
    given = content(vary={"training.penalties.fr_magnitude.args.cap_fr": [0.3, 0.6]})
    penalty = {"weight": 0.1, "args": {"cap_fr": 0.5}}
    given["trainings"]["base"]["penalties"] = {"fr_magnitude": penalty}
    assert database.submit(given)["sweep points"] == 2
    assert not any(database.submit(given).values())
    given["trainings"]["other"] = {**given["trainings"]["base"], "max_iter": 4}
    given["sweeps"]["s"]["training"] = "other"
    with pytest.raises(ParameterError, match="max_iter is 4 here and 3 there"):
        database.submit(given)


def test_values_and_other_fields_are_wrong_together(database):
    vary = {"training.lr": [-1], "network.tau": [-1], "task.n_steps": [0]}
    with pytest.raises(ParameterErrors) as caught:
        database.submit(content(vary=vary, n_networks=0, first_seed=-1, description=3))
    fields = {e.field.removeprefix("sweeps.s.") for e in caught.value.errors}
    assert fields == {f"vary.{axis}" for axis in vary} | {"n_networks", "first_seed", "description"}
    assert not len(database.NetworkParams())


def test_one_table_has_all_that_was_found(database):
    p = database
    p.submit(content(vary={"training.lr": [0.001, 0.01], "network.tau": [10, 20]}, n_networks=2))
    table = p.sweep_table("s")
    assert len(table) == 8 and table.attrs["axes"] == ["training.lr", "network.tau"]
    for name in ("loss", "r2_pooled[noisy]"):  # nothing is trained
        with pytest.raises(ParameterError, match="has no value for any of 8 networks; have it"):
            plot_sweep(table, "network.tau", name)
    for name in ("r2_pooled", "loss[noisy]", "los"):
        with pytest.raises(ParameterError, match="is no column of the table"):
            plot_sweep(table, "network.tau", name)
    with pytest.raises(ParameterError, match="holds no network"):
        plot_sweep(table[:0], "network.tau", "loss")
    p.fill([p.Training, p.Validation], {"training_name": "base-lr_0.01"})
    table = p.sweep_table("s")
    done = table[table["training.lr"] == 0.01]
    assert done["r2"].notna().all() and done["mse[noisy]"].notna().all()
    assert table[table["training.lr"] == 0.001]["loss"].isna().all()
    for row in done.to_dict("records"):
        key = {"network_name": row["network_name"], "seed": row["seed"]}
        assert (p.Training.Network & key).fetch1("loss") == row["loss"]
        noisy = p.Validation & key & {"validation_name": "noisy"}
        assert noisy.fetch1("mse") == row["mse[noisy]"]
    figure = plot_sweep(table, "network.tau", "loss", col="training.lr")
    assert "4 of 4 missing" in figure.axes[0].get_title()
    with pytest.raises(ParameterError, match="has not been entered; use s"):
        p.sweep_table("other")


def test_the_page_is_true(database, tmp_path):
    p = database
    page = Path(__file__).parents[2].joinpath("docs", "sweeps.md").read_text()
    (given,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    file = tmp_path / "sweep.yaml"
    file.write_text(given.replace("max_iter: 1000", "max_iter: 2"))
    new = p.submit(file)
    assert (new["sweep points"], new["cohorts"]) == (30, 30)
    assert "base-lr_0.003-metabolic_0.01" in p.TrainingParams.to_arrays("training_name")
    p.fill([p.Training, p.Validation], {"network_name": "n50-sigma_rec_0.1"})
    asking, answer, curves = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names = {"pipeline": p, "models": models}
    exec(asking, names)
    assert len(p.Training()) == 25  # 15 before, and those of two of three rates
    exec(answer.replace("rates.pdf", str(tmp_path / "rates.pdf")), names)
    assert (tmp_path / "rates.pdf").read_bytes().startswith(b"%PDF")
    assert len(names["table"]) == 90
    exec(curves.replace("curves.pdf", str(tmp_path / "curves.pdf")), names)
    figure = names["of_sweep"].plot_training(by="training.lr")
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert len(legend) == 3 and all(text.startswith("training.lr = ") for text in legend)
    with pytest.raises(ParameterError, match="no column"):
        names["of_sweep"].plot_training(by="training.rate")


def test_points_need_no_database_but_for_names_of_fields(database):
    errors = []
    points = points_of({"vary": {"network.n_units": {"log": [10, 1000], "n": 3}}}, errors)
    assert not errors
    assert points == [{"network.n_units": n} for n in (10, 100, 1000)]


def test_names_are_short_and_stable():
    assert set_name("base", {}) == "base"
    assert set_name("base", {("dale",): True, ("tau",): 20.0}) == "base-dale_on-tau_20"
    long = {("penalties", "a" * 60, "weight"): 0.1}
    assert (
        set_name("b", long)
        == set_name("b", dict(long))
        != set_name("b", {("penalties", "a" * 60, "weight"): 0.2})
    )
    assert len(set_name("b" * 64, long)) <= 64
    assert set_name("b", {("activation_args",): {"slope": 1}}).startswith("b-activation_args-")


def test_penalties_that_depend_on_the_shape_of_what_varies(database):
    """Of a task with one channel there is no pair of channels, and with two there is one."""
    p = database
    shapes = {
        "task.params.n_bits": [1, 2], "network.n_units": [4, 8],
        "training.penalties.channel_overlap.weight": [0.1],
        "training.penalties.eff_dim_tail_energy.weight": [0.1],  # of 6 components, and 4 units
    }  # fmt: skip
    p.submit(content(vary=shapes))
    assert not p.fill([p.Training]).errors
    assert set(p.Training.Network.to_arrays("status")) == {"finished"} and len(p.Training()) == 4
    overlap = p.sweep_table("s").groupby("task.params.n_bits")["final_loss[channel_overlap]"]
    assert overlap.max()[1] == 0 and overlap.min()[2] > 0
