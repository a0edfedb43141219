"""Studies: what they hold is checked, entered, filled once, measured and written."""

from __future__ import annotations

import copy
import csv
import json
import shutil

import pytest
import yaml
from typer.testing import CliRunner

from pipeline.cli import commands as cli
from pipeline.reproduction.analyses import checked_analyses
from pipeline.reproduction.filling import dry_run as study_dry_run
from pipeline.reproduction.filling import enter
from pipeline.reproduction.results import reproduce, write_results
from pipeline.reproduction.study import find_study, shipped_studies
from pipeline.reproduction.study_file import read_study
from pipeline.submission import dry_run
from tasks_lib import ParameterError
from tasks_lib.errors import ParameterErrors

pytestmark = pytest.mark.either_backend

# Networks too small to learn: what is tested is what becomes of their numbers.
STUDY = {
    "title": "A study of nothing",
    "citation": "Nobody (1900)",
    "tasks": {"nothing_task": {"class": "XOR", "n_steps": 30, "params": {"n_repeats": 1}}},
    "networks": {"nothing_net": {"n_units": 8, "tau": 2.0}},
    "trainings": {"nothing_adam": {"max_iter": 6}, "nothing_slow": {"max_iter": 5}},
    "cohorts": {
        "trained": {
            "task": "nothing_task", "network": "nothing_net", "training": "nothing_adam",
            "first_seed": 0, "n_networks": 5,
        },
        "slow": {
            "task": "nothing_task", "network": "nothing_net", "training": "nothing_slow",
            "first_seed": 0, "n_networks": 3,
        },
    },
    "reduced": {
        "trainings": {"nothing_adam": {"max_iter": 4}},
        "cohorts": {"trained": {"n_networks": 4}},
    },
    "conditions": ["there is no publication"],
    "tables": [{"Validation": {"validation_name": ["noise_free"]}}],
    "settings": {"validation_name": "noise_free"},
    "figure": "plot",
    "expected": [
        {
            "name": "done", "text": "iterations", "paper": "4", "source": "Fig. 1",
            "cohort": "trained", "measure": "iterations", "within": [6, 6],
            "reduced": {"within": [4, 4]},
        },
        {
            "name": "good", "text": "share that is perfect", "paper": "all", "source": "Fig. 2",
            "cohort": "trained", "measure": "is_perfect", "args": {"least": 0.999},
            "statistic": "share", "within": [0.9, 1],
        },
        {
            "name": "fewer", "text": "iterations less", "paper": "1", "source": "Fig. 1",
            "cohort": "slow", "versus": "trained", "measure": "iterations", "within": [1, 1],
        },
        {
            "name": "some", "text": "of seeds below two", "paper": "0", "source": "Fig. 1",
            "cohort": "trained", "measure": "low_seed", "within": [0, 1],
        },
    ],
}  # fmt: skip
MEASURES = """
import pipeline as p

def iterations(key):
    return (p.Training.Network & key).fetch1("iterations_done")

def is_perfect(key, least):
    return (p.Validation & key).fetch1("r2_pooled") >= least

def low_seed(key):
    return key["seed"] if key["seed"] < 2 else None

def plot(networks):
    from matplotlib.figure import Figure
    figure = Figure()
    figure.subplots().plot([len(keys) for keys in networks.values()])
    return figure
"""


def written(folder, content, measures=MEASURES):
    folder.mkdir(exist_ok=True)
    (folder / "study.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    (folder / "measures.py").write_text(measures)
    return str(folder)


def changed(**fields):
    return {**copy.deepcopy(STUDY), **fields}


def test_a_study_is_entered_filled_and_measured(database, tmp_path):
    p = database
    study = read_study(written(tmp_path / "nothing", STUDY))
    assert study.form == "reduced" and study.changes == [
        "trainings.nothing_adam.max_iter: 4 instead of 6",
        "cohorts.trained.n_networks: 4 instead of 5",
    ]
    found = reproduce(study)
    assert found.errors == [] and found.faults == [] and found.made == 9  # 2 cohorts, 7 networks
    done, good, fewer, some = found.outcomes
    assert (done.verdict, done.is_clear, done.ours.value) == ("reproduced", True, 4)
    assert done.values == {"trained": {0: 4.0, 1: 4.0, 2: 4.0, 3: 4.0}}
    assert (good.verdict, good.ours.value, good.ours.interval) == ("not reproduced", 0, "Wilson")
    assert (fewer.verdict, fewer.ours.value) == ("reproduced", 1)
    assert (some.verdict, some.n_left_out, some.ours.n) == ("too few networks", 2, 2)
    assert set(p.Training().to_arrays("training_name")) == {"nothing_adam_reduced", "nothing_slow"}
    # Again, nothing is computed, and the same is found.
    again = reproduce(study)
    assert again.made == 0 and again.outcomes == found.outcomes
    # The files say it all.
    paths = {path.name: path for path in write_results(found, tmp_path / "out")}
    assert set(paths) == {f"nothing_reduced.{kind}" for kind in ("json", "csv", "pdf", "png")}
    said = json.loads(paths["nothing_reduced.json"].read_text())
    assert said["form"] == "reduced" and said["conditions"] == STUDY["conditions"]
    assert said["results"][1]["values"] == {"trained": {"0": 0.0, "1": 0.0, "2": 0.0, "3": 0.0}}
    assert said["results"][1]["within"] == [0.9, 1.0] and said["solved"]["slow"] == [3, 3]
    rows = list(csv.DictReader(paths["nothing_reduced.csv"].open()))
    assert [row["verdict"] for row in rows] == [each.verdict for each in found.outcomes]
    # The whole form is there beside it, and uses what they have in common.
    whole = reproduce(read_study(str(tmp_path / "nothing"), whole=True), draws=False)
    assert whole.made == 6 and whole.outcomes[0].ours.value == 6 and whole.figure is None
    assert whole.outcomes[0].verdict == "reproduced"


def test_networks_that_do_not_solve_their_task_do_not_count(database, tmp_path):
    content = changed(solved={"r2_pooled": 0.99}, cohorts={"slow": STUDY["cohorts"]["slow"]})
    del content["reduced"]
    content["expected"] = [
        {**STUDY["expected"][0], "cohort": "slow", "reduced": {}, "within": [5, 5]},
        {**STUDY["expected"][0], "cohort": "slow", "reduced": {}, "within": [5, 5],
         "name": "all", "of_all": True},
    ]  # fmt: skip
    found = reproduce(read_study(written(tmp_path / "hard", content)), draws=False)
    assert found.solved == {"slow": (0, 3)}
    assert [each.verdict for each in found.outcomes] == ["too few networks", "reproduced"]


def test_what_others_have_trained_is_used(database, tmp_path):
    cohort = {**STUDY["cohorts"]["slow"], "task": "mine", "network": "own", "n_networks": 4}
    database.submit(
        {
            "tasks": {"mine": STUDY["tasks"]["nothing_task"]},
            "networks": {"own": STUDY["networks"]["nothing_net"]},
            "trainings": {"nothing_slow": STUDY["trainings"]["nothing_slow"]},
            "cohorts": [cohort],
        }
    )
    database.fill((database.Training,))
    content = changed(cohorts={"slow": STUDY["cohorts"]["slow"]}, reduced={}, tables=[])
    content["expected"] = [{**STUDY["expected"][0], "cohort": "slow"}]
    found = reproduce(read_study(written(tmp_path / "again", content)), draws=False)
    assert found.made == 0 and found.solved == {"slow": (3, 3)}
    assert found.outcomes[0].values == {"slow": {0: 5.0, 1: 5.0, 2: 5.0}}  # not the fourth
    assert len(database.Cohort()) == 1


def test_nothing_is_entered_where_a_measure_is_missing(database, tmp_path):
    content = changed()
    content["expected"][0]["measure"] = "iteration"
    study = read_study(written(tmp_path / "nothing", content))
    with pytest.raises(ParameterError, match=r"expected\.done\.measure = 'iteration'"):
        reproduce(study)
    content["trainings"]["nothing_slow"]["max_iter"] = -1
    content["expected"][0]["measure"] = "iterations"
    with pytest.raises(ParameterError, match=r"trainings\.nothing_slow\.max_iter"):
        reproduce(read_study(written(tmp_path / "nothing", content)))
    assert not len(database.Task()) and not len(database.Cohort())


LESION = {"intervention_target": "cluster", "intervention_largest": 1.0}


def test_all_that_a_study_names_is_looked_up_before_it_is_entered(database, tmp_path):
    p = database
    first = {**STUDY["expected"][0], "args": {"least": 1}}
    content = changed(
        expected=[first, *STUDY["expected"][1:]],
        figure="plt",
        tables=["Validations", {"FixedPoints": {"input": "zero", "search_name": "exakt"}}],
        settings={"validation_name": "noise", "unit": 3},
        solved={"r2_pooled": 0.5},
    )
    study = read_study(written(tmp_path / "wrong", content))
    for look in (reproduce, study_dry_run):
        with pytest.raises(ParameterErrors) as caught:
            look(study)
        assert [error.field for error in caught.value.errors] == [
            "expected.done.args.least", "figure", "tables.Validations", "tables.FixedPoints.input",
            "tables.FixedPoints.search_name", "settings.validation_name", "settings.unit", "solved",
        ]  # fmt: skip
    assert "did you mean Validation?" in str(caught.value.errors[2])
    # Fields of its submission are called as the study's file calls them.
    wrong = changed(
        tables=[], solved={}, expected=STUDY["expected"][:1],
        reduced={"trainings": {"nothing_adam": {"max_iters": 4}}},
    )  # fmt: skip
    wrong["cohorts"]["trained"]["network"] = "nobody"
    for look in (reproduce, study_dry_run):
        with pytest.raises(ParameterErrors) as caught:
            look(read_study(written(tmp_path / "wrong", wrong)))
        fields = {error.field for error in caught.value.errors}
        assert fields == {"reduced.trainings.nothing_adam.max_iters", "cohorts.trained.network"}
    assert not p.Task() and not p.TrainingParams()
    # Whether an input is one of a task is known when this is there, and said before any training.
    inputs = changed(tables=[{"FixedPoints": {"input_name": ["00", "one"]}}], solved={},
                     expected=STUDY["expected"][:1])  # fmt: skip
    with pytest.raises(ParameterError, match=r"tables.FixedPoints.input_name = 'one'"):
        reproduce(read_study(written(tmp_path / "inputs", inputs)))
    assert not p.Training()


BROKEN = """
def wrong(key):
    return key["nobody"]

def undefined(key):
    return float("nan")

def plot(networks):
    raise TypeError("no figure")
"""


def test_what_a_measure_or_the_figure_raises_is_said_beside_all_else(database, tmp_path):
    measured = [
        {**STUDY["expected"][0], "name": name, "measure": name, "args": {}}
        for name in ("wrong", "undefined")
    ]
    content = changed(
        tables=[], solved={}, reduced={}, expected=measured,
        cohorts={"trained": STUDY["cohorts"]["slow"]},
    )  # fmt: skip
    found = reproduce(read_study(written(tmp_path / "broken", content, BROKEN)))
    assert found.faults == [
        *(f"wrong, seed {i}: KeyError: 'nobody' (measures.py, line 3)" for i in range(3)),
        "figure: TypeError: no figure (measures.py, line 9)",
    ]
    assert [each.n_left_out for each in found.outcomes] == [3, 3]
    assert json.loads(write_results(found, tmp_path / "out")[0].read_text())["faults"]


def test_settings_come_with_a_study_and_are_entered_once(database, tmp_path):
    content = changed(
        analyses={
            "InterventionParams": {"lesion": LESION},
            "ClusterParams": {"few": {"cluster_max_clusters": 4}},
        }
    )
    study = read_study(written(tmp_path / "nothing", content))
    for _ in range(2):
        enter(study)
        rows = database.InterventionParams & {"intervention_name": "lesion"}
        assert rows.fetch1("intervention_kind", "intervention_largest") == ("silence", 1.0)
    few = database.ClusterParams & {"cluster_name": "few"}
    assert few.fetch1("cluster_max_clusters", "cluster_max_trials") == (4, 256)
    # Other settings under a name that is taken: nothing more is entered.
    content["analyses"]["ClusterParams"]["few"]["cluster_max_clusters"] = 5
    content["analyses"]["ClusterParams"]["more"] = {}
    content["cohorts"]["slow"]["n_networks"] = 4
    with pytest.raises(ParameterError, match=r"analyses\.ClusterParams\.few .*other values"):
        enter(read_study(written(tmp_path / "nothing", content)))
    assert not database.ClusterParams & {"cluster_name": "more"}
    assert (database.Cohort & {"training_name": "nothing_slow"}).fetch1("n_networks") == 3


def test_settings_of_a_study_that_are_wrong_are_all_named(database, tmp_path):
    wrong = {
        "InterventionParam": {"lesion": LESION},
        "ClusterParams": {"few": {"cluster_most": 4}, "many": {"cluster_max_clusters": 0}},
    }
    study = read_study(written(tmp_path / "nothing", changed(analyses=wrong)))
    with pytest.raises(ParameterError) as caught:
        enter(study)
    assert [line.split(" = ")[0] for line in str(caught.value).splitlines()] == [
        "analyses.InterventionParam",
        "analyses.ClusterParams.few.cluster_most",
        "analyses.ClusterParams.many.cluster_max_clusters",
    ]
    assert "did you mean InterventionParams" in str(caught.value) and not len(database.Cohort())


def test_a_row_that_is_missing_is_said(database, tmp_path):
    content = changed(tables=[], figure="plot")
    found = reproduce(read_study(written(tmp_path / "nothing", content)), draws=False)
    good = found.outcomes[1]
    assert good.verdict == "too few networks" and good.n_left_out == 4
    assert any(fault.startswith("good, seed 0") for fault in found.faults)


PAIRS = """
import numpy as np
import pipeline as p

def seeds(keys):
    own = np.array([key["seed"] for key in keys], float)
    return own[:, None] + own[None]

def distance(keys, column):
    members, matrix = p.distance_matrix(keys[0]["comparison_name"], column)
    place = {row["seed"]: i for i, row in enumerate(members)}
    chosen = [place[key["seed"]] for key in keys]
    return matrix[np.ix_(chosen, chosen)]

def lopsided(keys):
    return np.triu(np.ones((len(keys), len(keys))))

def seed(key):
    return key["seed"]
"""


def pair_study(**fields):
    result = {"text": "x", "paper": "x", "source": "x", "cohort": "slow", "pairs": True}
    compared = {"search": "", "match": "none", "max_trials": 4, "n_times": 5, "dsa": "wasserstein"}
    content = changed(
        cohorts={"slow": STUDY["cohorts"]["slow"]}, tables=[], settings={}, compared=compared,
        reduced={},
    )  # fmt: skip
    del content["figure"]
    content["expected"] = [
        {**result, "name": "seeds", "measure": "seeds", "within": [2, 2]},
        {**result, "name": "apart", "measure": "distance", "args": {"column": "output_distance"},
         "within": [0.000001, None]},
        {**result, "name": "dsa", "measure": "distance", "args": {"column": "dsa_distance"},
         "within": [0, None]},
        {**result, "name": "lopsided", "measure": "lopsided", "within": [0, 1]},
        {**result, "name": "spread", "measure": "seed", "pairs": False, "within": [1, 1],
         "statistic": "standard_deviation"},
    ]  # fmt: skip
    return {**content, **fields}


def test_the_networks_of_a_cohort_are_compared(database, tmp_path, monkeypatch):
    p = database
    monkeypatch.setattr("models.comparison.dsa.library", lambda: None)
    found = reproduce(read_study(written(tmp_path / "pairs", pair_study(), PAIRS)))
    assert found.errors == [] and found.made == 5  # a cohort, three summaries, a block
    name = "pairs_slow_reduced_no_dsa"
    rows = (p.NetworkPair & {"comparison_name": name}).to_dicts()
    assert len(rows) == 3 and len(p.Comparison()) == 1
    seeds, apart, dsa, lopsided, spread = found.outcomes
    assert seeds.values == {"slow": {"0-1": 1.0, "0-2": 2.0, "1-2": 3.0}}
    assert (seeds.verdict, seeds.ours.value, seeds.ours.n) == ("reproduced", 2, 3)
    mean = sum(row["output_distance"] for row in rows) / 3
    assert apart.ours.value == pytest.approx(mean) and apart.verdict == "reproduced"
    assert (dsa.verdict, dsa.n_left_out) == ("too few networks", 3)
    assert any(fault.startswith("dsa_distance: ") for fault in found.faults)
    assert lopsided.verdict == "too few networks"
    assert any("no symmetric matrix of 3" in fault for fault in found.faults)
    assert (spread.verdict, spread.ours.value) == ("reproduced", 1)
    said = json.loads(write_results(found, tmp_path / "out")[0].read_text())
    assert said["results"][0]["of_pairs"] and said["results"][0]["values"]["slow"]["1-2"] == 3
    again = reproduce(read_study(str(tmp_path / "pairs")))
    assert again.made == 0 and again.outcomes == found.outcomes
    # Networks that do not solve their task are compared, and do not count.
    content = pair_study(solved={"r2_pooled": 0.99}, tables=["Validation"])
    hard = reproduce(read_study(written(tmp_path / "pairs", content, PAIRS)))
    assert hard.made == 6 and hard.outcomes[0].ours.n == 0  # scores, with noise and without
    other = pair_study(compared={**content["compared"], "max_trials": 3})
    with pytest.raises(ParameterError, match=f"not those of the comparison {name}"):
        reproduce(read_study(written(tmp_path / "pairs", other, PAIRS)))


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ({"titel": "x"}, "titel"),
        ({"title": ""}, "title"),
        ({"expected": []}, "expected"),
        ({"expected": [{**STUDY["expected"][0], "cohort": "others"}]}, "expected[0].cohort"),
        ({"expected": [{**STUDY["expected"][0], "reduced": {"within": [2, 1]}}]}, "within"),
        ({"expected": [{**STUDY["expected"][0], "reduced": {"within": [None, None]}}]}, "within"),
        ({"expected": [{**STUDY["expected"][0], "statistic": "mode"}]}, "expected[0].statistic"),
        ({"expected": [{**STUDY["expected"][0], "paper": 8}]}, "expected[0].paper"),
        ({"expected": [{**STUDY["expected"][0], "tolerance": 8}]}, "expected[0].tolerance"),
        ({"cohorts": {"trained": {"task": "t"}}}, "cohorts.trained.network"),
        ({"solved": {"loss": 1}}, "solved"),
        ({"analyses": {"ClusterParams": {}}}, "analyses.ClusterParams"),
        ({"analyses": {"ClusterParams": {"few": 4}}}, "analyses.ClusterParams.few"),
        ({"tables": [{"Validation": "noisy"}]}, "tables[0].Validation"),
        ({"tables": [["Validation"]]}, "tables[0]"),
        ({"compared": {"max_trial": 3}}, "compared.max_trial"),
        ({"compared": {"max_trials": 1}}, "compared.max_trials"),
        ({"compared": "all"}, "compared"),
        ({"expected": [{**STUDY["expected"][0], "pairs": "yes"}]}, "expected[0].pairs"),
        ({"expected": [{**STUDY["expected"][1], "pairs": True}]}, "expected[0].statistic"),
        ({"expected": [{**STUDY["expected"][0], "of_all": "no"}]}, "expected[0].of_all"),
        ({"expected": [{**STUDY["expected"][0], "comparison": "ratio"}]}, "expected[0].comparison"),
        ({"expected": STUDY["expected"][:1] * 2}, "expected.name"),
        ({"conditions": "one line"}, "conditions"),
        ({"conditions": [8]}, "conditions[0]"),
        ({"tables": "Validation"}, "tables"),
        ({"reduced": {"nets": {}}}, "reduced.nets"),
        ({"reduced": {"cohorts": {"others": {"n_networks": 2}}}}, "reduced.cohorts.others"),
        ({"reduced": {"networks": ["n_units"]}}, "reduced.networks"),
    ],
)
def test_a_field_that_is_wrong_is_named(tmp_path, content, field):
    with pytest.raises(ParameterError) as caught:
        read_study(written(tmp_path / "wrong", changed(**content)))
    assert field in caught.value.field


def test_an_unknown_study_names_the_known(tmp_path):
    with pytest.raises(ParameterError, match=r"use one of .*sussillo_barak_2013"):
        find_study("nothing_of_the_kind")
    with pytest.raises(ParameterError, match="did you mean mante_2013"):
        find_study("mante_2014")


def test_the_command_prints_papers_numbers_and_ours(database, tmp_path, monkeypatch):
    monkeypatch.setattr(database, "connect", lambda **options: None)
    monkeypatch.setattr(database, "disconnect", lambda: None)

    def rnn(*words, status=0):
        done = CliRunner().invoke(cli.app, ["reproduce", *words], env={"COLUMNS": "160"})
        assert done.exit_code == status, done.output
        return done.output

    assert "NAME" in rnn(status=1)
    listed = rnn("--list")
    assert all(name in listed for name in shipped_studies())
    folder = written(tmp_path / "nothing", STUDY)
    out = ("--out", str(tmp_path / "out"))
    planned = rnn(folder, "--dry-run")
    assert "7 networks" in planned and not len(database.Cohort())
    output = rnn(folder, *out)
    assert "trainings.nothing_adam.max_iter: 4 instead of 6" in output
    assert "not as published: there is no publication" in output
    assert "verdict (reduced)" in output and "9 rows computed" in output
    assert "4 (here: 4)" in output and "4 [4, 4], median, 4 of trained" in output
    assert (tmp_path / "out" / "nothing_reduced.png").is_file()
    assert "Everything was done already" in rnn(folder, *out)


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("name", shipped_studies())
class TestShipped:
    BACKENDS = ("postgresql",)

    def test_it_can_be_entered_and_measured(self, database, name, whole):
        study = read_study(name, whole)
        module = study.measures()
        for expected in study.expected:
            assert study.function(module, expected.measure, "measure").__doc__
        assert study.figure is None or study.function(module, study.figure, "figure")
        done, cost = dry_run(study.submission, probe=lambda *_: 0.01)
        assert done["cohorts"] == len(study.cohorts) and not len(database.Cohort())
        assert set(study.tables) <= set(cost.jobs) and study.conditions
        assert {type(t).__name__ for t, _ in checked_analyses(study.analyses)} == {*study.analyses}


def test_a_study_of_ones_own_is_a_copy_of_one(tmp_path):
    folder = shutil.copytree(find_study("sussillo_barak_2013"), tmp_path / "mine")
    study = read_study(str(folder))
    assert study.name == "mine" and callable(study.measures().has_all_points)
