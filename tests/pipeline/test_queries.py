"""Joins of any two tables, and restrictions that say the same on both back ends."""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import yaml

import pipeline as p
from pipeline.database import schemas

PAGE = Path(__file__).parents[2] / "docs" / "queries.md"
EXAMPLES = re.findall(r"^(\w+.*?)\s+# (\d+)$", PAGE.read_text(), flags=re.MULTILINE)
CODE = "\n".join(re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL))


def assert_any_two_tables_join():
    """See that each pair of tables of the chain joins, to as many rows as keys agree."""
    tables = [t for name, s in schemas.SCHEMAS.items() if name != "work" for t in s.tables]
    rows = {table: table.proj().to_dicts() for table in tables}
    assert len(tables) > 25
    assert not [table.__name__ for table, found in rows.items() if not found]
    for one, other in itertools.combinations(tables, 2):
        shared = sorted(set(one().heading.names) & set(other().heading.names))
        assert set(shared) <= set(one.primary_key) & set(other.primary_key)
        first, second = (
            Counter(tuple(row[name] for name in shared) for row in rows[table])
            for table in (one, other)
        )
        expected = sum(number * second[values] for values, number in first.items())
        assert len(one * other) == expected, (one.__name__, other.__name__)


@pytest.fixture
def chain(database, submission):
    """The whole chain, with rows in every table."""
    submission["trainings"]["short"]["monitor"] = True
    submission["trainings"]["short"]["max_iter"] = 40
    submission["trainings"]["short"] |= {"trace_interval": 20, "snapshots": 1}
    submission["cohorts"][0]["n_networks"] = 1
    database.submit(submission)
    filled = database.fill()
    assert not filled.errors
    return database


def enter_rank_one_parts(chain):
    """Enter parts of a network; those of the chain have no limit of their rank."""
    key = chain.Training.Network.proj().to_dicts(limit=1)[0] | {"rank_one_name": "default"}
    status = {"rank_one_status": "analysed", "rank_one_reason": "", "exact_rank": 1}
    chain.RankOneParts.insert1({**key, **status}, allow_direct_insert=True)
    numbers = {"part_singular_value": 1.0, "drive_mean": 0.0, "drive_std": 1.0}
    arrays = dict.fromkeys(("part_left", "part_right", "drive"), np.ones(2))
    row = {**key, "part_number": 0, **numbers, **arrays}
    chain.RankOneParts.Drive.insert1(row, allow_direct_insert=True)
    names = {"reader": "right", "reader_number": 0, "writer": "left", "writer_number": 0}
    chain.RankOneParts.Overlap.insert1({**key, **names, "overlap": 1.0}, allow_direct_insert=True)


def enter_latent_circuit(chain):
    """Enter a circuit: no way of fitting one comes with the tables."""
    chain.LatentCircuitParams.insert1({"circuit_name": "one"})
    key = chain.Training.Network.proj().to_dicts(limit=1)[0] | {"circuit_name": "one"}
    numbers = {"circuit_trials": 4, "held_out_trials": 1, "finite_starts": 1}
    status = {"circuit_status": "does_not_fit", "circuit_reason": "it is made up"}
    chain.LatentCircuit.insert1({**key, **status, **numbers}, allow_direct_insert=True)
    weight = {"connection_kind": "input", "connection_to": 0, "connection_from": 0}
    chain.LatentCircuit.Connection.insert1(
        {**key, **weight, "connection_weight": 1.0}, allow_direct_insert=True
    )
    change = {"perturbation_kind": "node", "perturbed_to": 0, "perturbed_from": 0}
    change |= {"perturbed_up": True, "perturbation_strength": 1.0}
    chain.LatentCircuit.Perturbation.insert1({**key, **change}, allow_direct_insert=True)


def enter_parts_of_tasks_and_groups(chain):
    """Enter what only mixtures of tasks, and networks with blocks, have."""
    blocks = {"W_rec": [{"to": "a", "weights": "fixed"}]}
    row = {"network_name": "in_blocks", "n_units": 4, "groups": {"a": [0, 2]}, "blocks": blocks}
    chain.NetworkParams.insert1(row)
    key = chain.Validation.proj().to_dicts(limit=1)[0] | {"component": "one"}
    numbers = {"component_n_trials": 1, "component_mse": 0.0, "component_n_choice_trials": 0}
    chain.Validation.Component.insert1({**key, **numbers}, allow_direct_insert=True)
    key = chain.Intervention.Score.proj().to_dicts(limit=1)[0] | {"scored_task": "one"}
    chain.Intervention.TaskScore.insert1(key, allow_direct_insert=True)


def test_any_two_tables_join(chain, tmp_path):
    for table, row in (
        (chain.Training.Source, {"file": "a", "format": "npz", "sha256": "0", "notes": []}),
        (chain.Psychometric.Fit, {"context": "motion", "coherence": "relevant", "converged": 0}),
    ):
        if not len(table()):
            parent = table._master.proj().to_dicts(limit=1)[0]
            key = {name: parent[name] for name in table.primary_key if name in parent}
            table.insert1({**key, **row}, allow_direct_insert=True)
    if not len(chain.ContinuousAttractor.Manifold()):
        enter_manifold(chain)
    if not len(chain.ContinuousAttractorPlot()):
        row = chain.ContinuousAttractor.proj().to_dicts(limit=1)[0]
        del row["input_name"]
        figure = chain.TrialPlot.to_arrays("figure")[0].png
        chain.ContinuousAttractorPlot.insert1(
            {**row, "manifold_figure": figure}, allow_direct_insert=True
        )
    cohort = chain.Cohort.proj().to_dicts(limit=1)[0]
    axis = {"sweep_name": "one", "axis": "training.lr"}
    chain.Sweep.insert1({"sweep_name": "one"})
    chain.Sweep.Axis.insert1({**axis, "axis_number": 0})
    chain.JobPriority.insert1({**cohort, "job_priority": 3})
    chain.SweepPoint.insert1({**axis, **cohort, "value": 0.1, "value_text": "0.1"})
    chain.leave_out(["LineAttractor"])
    enter_comparison(chain)
    enter_learning(chain)
    enter_rank_one_parts(chain)
    enter_latent_circuit(chain)
    enter_parts_of_tasks_and_groups(chain)
    enter_recording(chain, tmp_path)
    assert_any_two_tables_join()


def enter_recording(p, tmp_path):
    """Record the one network, and describe it and compare it with itself."""
    path = tmp_path / "own.nwb"
    p.export_recording({}, path, max_trials=8, n_repeats=1)
    p.enter_recording(path, "cddm", min_rate=0.0)
    assert not p.fill((p.RecordedPopulation, p.RecordingDistance)).errors


def enter_comparison(p):
    """Compare the one network with itself: a comparison takes two."""
    network = p.Training.Network.proj().to_dicts(limit=1)[0]
    key = {"task_name": network["task_name"], "comparison_name": "one"}
    p.Comparison.insert1({**key, "comparison_search": ""})
    p.Comparison.Entry.insert1({**key, "entry": 0, "entry_members": 1})
    p.ComparisonMember.insert1({**key, **network, "member": 0})
    block = {**key, "entry": 0, "block": 0}
    ranges = {"first_from": 0, "first_to": 1, "second_from": 0, "second_to": 1}
    p.Comparison.Block.insert1({**block, **ranges})
    assert not p.fill((p.NetworkSummary, p.PairBlock, p.Embedding)).errors
    columns = {
        "other_network": "network_name", "other_training": "training_name",
        "other_first_seed": "first_seed", "other_seed": "seed",
    }  # fmt: skip
    other = {name: network[column] for name, column in columns.items()}
    p.NetworkPair.insert1({**block, **network, **other, "pair_reason": ""})
    embedding = p.Embedding.proj().to_dicts(limit=1)[0]
    assert p.Embedding.to_arrays("embedding_status").tolist() == ["few_networks"] * 2
    nearest = {"neighbour_member": 0, "neighbour_distance": 0.0}
    p.EmbeddingPoint.insert1({**embedding, **network, **nearest})
    p.Embedding.ByParameter.insert1(
        {**embedding, "parameter": "a", "parameter_status": "one_value", "parameter_groups": 1},
        allow_direct_insert=True,
    )


def enter_learning(p):
    """Enter an origin and a bifurcation: a network of a few iterations may have none."""
    network = p.Training.Network.proj().to_dicts(limit=1)[0]
    origin = {"origin_training": "a", "origin_first_seed": 0, "origin_seed": 0}
    p.SnapshotNetwork.insert1({**network, **origin, "origin_iteration": 1})
    if not len(p.FollowedPoints.Bifurcation()):
        enter_part(p.FollowedPoints.Bifurcation)


def enter_manifold(p):
    """Insert a row: a network of a few iterations has no manifold."""
    enter_part(p.ContinuousAttractor.Manifold)


def enter_part(table):
    """Insert a row of a part, of any values."""
    import numpy as np

    row = table._master.proj().to_dicts(limit=1)[0]
    for name, attribute in table().heading.attributes.items():
        if name not in row and not attribute.nullable:
            kind = attribute.type
            is_text = "char" in kind or "text" in kind
            number = True if "bool" in kind else 1
            row[name] = np.zeros(1) if attribute.codec else "x" if is_text else number
    table.insert1(row, allow_direct_insert=True)


@pytest.fixture
def few(database):
    """What the examples of the page are counted on: the submission that stands there."""
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    database.submit(yaml.safe_load(block))
    return database


def test_every_example_of_the_page_is_one(few):
    names = {name: getattr(p, name) for name in p.__all__}
    assert len(EXAMPLES) >= 15
    for expression, number in EXAMPLES:
        assert len(eval(expression, names)) == int(number), expression
    exec(CODE, names)  # what has no number too
    assert eval(CODE.strip().splitlines()[-1], names) == ["bits"]


@pytest.mark.parametrize(
    ("expression", "on_mysql", "on_postgresql"),
    [
        ("NetworkParams & 'activation = \"tanh\"'", 2, None),
        ("NetworkParams & '`n_units` = 8'", 1, None),
        ("NetworkParams & \"activation = 'TANH'\"", 2, 0),
        ("NetworkParams & {'activation': 'TANH'}", 2, 0),
        ("NetworkParams & \"activation LIKE 'TA%'\"", 2, 0),
        ("NetworkParams & \"activation REGEXP '^ta'\"", 2, None),
        ("NetworkParams & 'dale = 1'", 1, None),
        ("NetworkParams & 'n_units / 2 = 4.5'", 1, 0),
        ("Task & {'params.pulse': 3}", 1, None),
        ("Task & \"params->'$.pulse' = 3\"", 1, None),
        ("Task & \"params->>'pulse' = '3'\"", None, 1),
        ("Task.proj(pulse='params.pulse') & 'pulse > 2'", 1, None),
    ],
)
def test_what_the_page_says_differs_does(few, backend, expression, on_mysql, on_postgresql):
    """Where one of these comes to work on both, the page may say so."""
    names = {name: getattr(p, name) for name in p.__all__}
    expected = {"mysql": on_mysql, "postgresql": on_postgresql}[backend]
    if expected is None:
        with pytest.raises(Exception):  # noqa: B017  (whatever the driver raises)
            len(eval(expression, names))
    else:
        assert len(eval(expression, names)) == expected


def test_json_comes_back_as_its_values(few):
    params = (few.Task & {"task_name": "bits"}).fetch1("params")
    assert json.loads(json.dumps(params))["pulse"] == 3


def test_the_table_of_workers_is_not_in_the_chain(database):
    """As the page says: it shares names with `Training` that are other things."""
    from datajoint.errors import DataJointError

    from pipeline.workers.registry import Worker

    with pytest.raises(DataJointError):
        len(database.Training * Worker)
    (projection,) = re.findall(r"`(Worker\.proj\(.*?\))`", PAGE.read_text())
    renamed = eval(projection, {"Worker": Worker})
    assert {"host", "worker_device", "worker_code"} < {*renamed.heading.names}
    assert len(database.Training * renamed) == 0


def test_tables_with_arrays_as_comma_separated_values(entered):
    """Shapes, not what a reference to a file calls itself; nothing is read for it."""
    p = entered
    p.fill((p.Training,))
    text = p.Training.Network.to_pandas()[["w_rec"]]
    assert text.to_csv(index=False) == "w_rec\n" + '"array (12, 12) of float32"\n' * 2
