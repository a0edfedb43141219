"""Released defaults are frozen, and the code's defaults are those; the hash of recipe 2."""

from __future__ import annotations

import copy
import json
import runpy
from dataclasses import make_dataclass, replace
from pathlib import Path

import pytest

from models.formulas.functions import FUNCTIONS
from models.network.config import NetworkConfig
from models.parameters import flag, number, parameters_of
from models.training.config import TrainingConfig
from pipeline.tables import hashing
from pipeline.tables.hashing import parameter_hash, row_hash, row_hashes
from pipeline.tables.parameters import defaults_of
from pipeline.tables.released_defaults import DEFAULTS
from scripts import freeze_defaults
from scripts.freeze_defaults import configurations, defaults_of_the_code

KEPT = Path(__file__).parent / "released"
GOLDEN = {
    "network": "1454f993-4d97-cde3-e167-388fc6aa491a",
    "training": "0e542269-a000-b24f-a2c7-9f593ab1eed0",
    "task": "c3be0f35-c0b4-7d90-51e7-d31ed7797e22",
}


def released():
    found = {}
    for kinds in DEFAULTS.values():
        for kind, fields in kinds.items():
            found.setdefault(kind, {}).update(fields)
    return found


def test_every_default_is_that_which_a_release_had():
    frozen = released()
    for kind, fields in defaults_of_the_code().items():
        for field, value in fields.items():
            if field not in frozen.get(kind, {}):
                continue  # new since the last release
            assert frozen[kind][field] == value and type(frozen[kind][field]) is type(value), (
                f"the default of {field!r} of {kind!r} was released as {frozen[kind][field]!r}: "
                "stored rows mean that value; leave it, or give the new behaviour another name"
            )


def test_every_table_of_parameters_is_among_them():
    """Else its defaults could be changed after a release, and its rows would mean other values."""
    configured = configurations()
    assert configured.keys() <= defaults_of_the_code().keys()
    assert {"NetworkParams", "TrainingParams", "Comparison", "PopulationParams"} <= set(configured)
    assert "Training" not in configured


def test_a_release_that_is_kept_lacks_no_default():
    kept = [path.name for path in KEPT.iterdir() if path.is_dir() and path.name[0].isdigit()]
    assert set(DEFAULTS) == set(kept)


def test_a_release_is_given_what_is_new_since_the_last_one(monkeypatch, tmp_path):
    page = tmp_path / "released_defaults.py"
    page.write_text(Path(freeze_defaults.FILE).read_text())
    monkeypatch.setattr(freeze_defaults, "FILE", page)
    monkeypatch.setitem(FUNCTIONS, "cube", replace(FUNCTIONS["relu"]))
    freeze_defaults.main("9.9.9")
    written = runpy.run_path(str(page))["DEFAULTS"]
    assert {k: v for k, v in written.items() if k != "9.9.9"} == DEFAULTS
    assert written["9.9.9"]["activation cube"] == {"slope": 1.0}
    assert "activation relu" not in written["9.9.9"]
    with pytest.raises(SystemExit, match="never changed"):
        freeze_defaults.main("0.1.0")


def test_the_hash_of_what_is_new_is_the_same_once_it_is_released(monkeypatch):
    monkeypatch.setitem(FUNCTIONS, "cube", replace(FUNCTIONS["relu"]))
    network = {"n_units": 12, "activation": "cube", "activation_args": {"slope": 1.0}}
    before = row_hashes("NetworkParams", network)
    assert row_hash("NetworkParams", {**network, "activation_args": {}}) == before[0]
    monkeypatch.setitem(DEFAULTS, "9.9.9", {"activation cube": {"slope": 1.0}})
    assert row_hashes("NetworkParams", network) == before


@pytest.mark.parametrize("release", [path.name for path in KEPT.iterdir() if path.is_dir()
                                     and path.name[0].isdigit()])  # fmt: skip
def test_what_was_released_stays_in_the_table(release):
    kept = json.loads((KEPT / release / "defaults.json").read_text(encoding="utf-8"))
    assert DEFAULTS[release] == kept


def test_no_field_is_entered_twice_and_later_ones_have_a_fixed_default():
    seen, configured = {}, configurations()
    for kinds in DEFAULTS.values():
        for kind, fields in kinds.items():
            known = seen.setdefault(kind, set())
            assert not known & fields.keys()
            # Of a table that was new in a release, no row lacks a field that came with it.
            for field in fields if known and kind in configured else ():
                # What rows mean that lack it could not be said otherwise.
                assert not parameters_of(configured[kind])[field].derived, (kind, field)
            known |= fields.keys()


def test_hashes_of_recipe_2_are_frozen():
    derived = {"nonnegative_inp": False, "nonnegative_out": False}
    new = NetworkConfig().to_dict()
    whole = row_hash("NetworkParams", new, new)
    assert whole == row_hash("NetworkParams", derived)
    network = NetworkConfig(n_units=12, dale=True, tau=2, activation="leaky_relu").to_dict()
    assert row_hash("NetworkParams", network, new) == GOLDEN["network"]
    training = TrainingConfig(
        max_iter=20, lr=0.02, penalties={"metabolic": {"weight": 0.01}}
    ).to_dict()
    # Fields that are new since are left out where they have their default.
    current = TrainingConfig().to_dict()
    assert row_hash("TrainingParams", training, current) == GOLDEN["training"]
    task = {"task_class": "CDDM", "n_steps": 20, "n_inputs": 6, "n_outputs": 2}
    params = {"stim_on": 5, "cue_on": 0, "coherences": [-1.0, 0, 1]}
    assert row_hash("Task", {**task, "params": params}) == GOLDEN["task"]


def test_an_added_field_changes_no_hash_until_it_differs():
    before, current = NetworkConfig(n_units=7).to_dict(), NetworkConfig().to_dict()
    added = {"adaptation": 0.0}
    later = {**current, **added}
    hashes = row_hashes("NetworkParams", before, current)
    assert row_hashes("NetworkParams", {**before, **added}, later) == hashes
    first = DEFAULTS[hashing.FIRST]["NetworkParams"]
    assert hashes[1] == str(parameter_hash({k: v for k, v in before.items() if k in first}))
    other = row_hashes("NetworkParams", {**before, "adaptation": 0.5}, later)
    assert not set(other) & set(hashes)


def test_an_added_argument_of_a_task_or_an_activation_changes_no_hash(monkeypatch):
    task = {"task_class": "CDDM", "n_steps": 20, "n_inputs": 6, "n_outputs": 2,
            "params": {"stim_on": 5}}  # fmt: skip
    network = NetworkConfig(activation="sigmoid").to_dict()
    before = row_hashes("Task", task), row_hashes("NetworkParams", network)
    later = {"Task CDDM": {"jitter": 0.0}, "activation sigmoid": {"height": 1.0}}
    monkeypatch.setitem(DEFAULTS, "9.9.9", later)
    task["params"]["jitter"] = 0
    network["activation_args"]["height"] = 1.0
    assert (row_hashes("Task", task), row_hashes("NetworkParams", network)) == before
    network["activation_args"]["height"] = 2.0
    assert not set(row_hashes("NetworkParams", network)) & set(before[1])


def test_a_default_that_the_code_changes_does_not_change_what_rows_mean():
    changed = {**defaults_of(NetworkConfig), "tau": 20.0}
    ten, twenty = ({**NetworkConfig().to_dict(), "tau": tau} for tau in (10.0, 20.0))
    before = row_hash("NetworkParams", ten, defaults_of(NetworkConfig))
    assert row_hash("NetworkParams", ten, changed) == before
    assert row_hash("NetworkParams", twenty, changed) != before


def test_a_task_of_a_users_own_is_hashed_whole():
    own = {"task_class": "lab.tasks:Echo", "n_steps": 8, "n_inputs": 1, "n_outputs": 1,
           "params": {"n_values": 4}}  # fmt: skip
    with_more = copy.deepcopy(own)
    with_more["params"]["gain"] = 1.0
    assert row_hash("Task", own) != row_hash("Task", with_more)
    # The same numbers in another table, or of another class, are another set.
    assert row_hash("Task", own) != row_hash("Task", {**own, "task_class": "lab.tasks:Other"})
    assert row_hash("NetworkParams", {}) != row_hash("TrainingParams", {})


def test_defaults_of_a_dataclass_are_found():
    made = make_dataclass(
        "Made", [("a", float, number(1.5, "a")), ("b", bool, flag(False, "b")), ("c", int, 3)]
    )
    assert defaults_of(made) == {"a": 1.5, "b": False}
