"""Columns that are made from the fields of settings."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, is_dataclass
from importlib import import_module
from pkgutil import walk_packages

import pytest

import models
import tasks_lib
from models import ManifoldSettings, NetworkConfig, TrainingConfig
from models.fixed_points import SearchSettings
from models.parameters import check_parameters, choice, flag, mapping, name, number, whole
from pipeline.database import schemas
from pipeline.tables.continuous_attractors import ManifoldParams
from pipeline.tables.fixed_points import FixedPointParams
from pipeline.tables.network import NetworkParams
from pipeline.tables.parameters import as_flags, columns, stored
from pipeline.tables.training_params import TrainingParams


@dataclass(frozen=True)
class Settings:
    size: int = whole(3, "number of things", minimum=1)
    tau: float = number(0.5, "time constant", unit="ms")
    share: float | None = number(None, "share", nullable=True)
    fast: bool = flag(False, "whether it is fast")
    kind: str = choice("a", ("a", "b"), "kind of thing")
    f: str = name("relu", "function")
    more: dict = mapping("what else")
    seed: int = whole(0, "seed")

    def __post_init__(self):
        check_parameters(self)


def lines(text):
    return [" ".join(line.split()) for line in text.splitlines()]


def test_each_kind_of_field_has_its_type_of_column():
    assert lines(columns(Settings, ("seed",), {"size": "n_things"})) == [
        "n_things : int32 # number of things",
        "tau : float64 # time constant, in ms",
        "share=null : float64 # share",
        "fast : bool # whether it is fast",
        "kind : enum('a', 'b') # kind of thing",
        "f : varchar(128) # function",
        "more : json # what else",
    ]
    values = stored(Settings(fast=True), ("seed",), {"size": "n_things"})
    assert values == {
        "n_things": 3, "tau": 0.5, "share": None, "fast": True, "kind": "a", "f": "relu", "more": {}
    }  # fmt: skip


def test_booleans_come_back_as_such_and_nothing_else_becomes_one():
    assert as_flags(Settings, {"fast": 1, "size": 1}) == {"fast": True, "size": 1}
    assert as_flags(Settings, {"fast": 2}) == {"fast": 2}


# As databases hold them: the first release had the same, but for a shorter `activation`.
DECLARED = {
    NetworkParams: (
        "n_units int32, activation varchar(128), activation_args json, "
        "equation_type enum('s', 'h'), tau float64, dt float64, gamma float64, dale bool, "
        "exc_to_inh_ratio float64, density float64, self_connections bool, "
        "spectral_radius float64, nonnegative_inp bool, nonnegative_out bool, sigma_rec float64, "
        "sigma_inp float64, sigma_out float64, noise_inside bool, bias_min float64, "
        "bias_max float64, bias_init enum('zero', 'uniform'), train_x_init bool, "
        "constraint_method enum('clamp', 'reflect'), network_hash varchar(36)"
    ),
    TrainingParams: (
        "max_iter int32, lr=null float64, weight_decay float64, max_grad_norm float64, "
        "same_batch bool, task_safe_gradients bool, monitor bool, anneal_noise bool, "
        "dropout_rate float64, dropout_kind enum('mute', 'dead'), "
        "dropout_sampling enum('uniform', 'participation', 'output_weights'), "
        "dropout_beta float64, dropout_rescale bool, participation_rate float64, "
        "participation_quantile float64, validation_interval int32, patience int32, "
        "stop_score=null float64, training_hash varchar(36)"
    ),
    FixedPointParams: (
        "mode enum('exact', 'approx'), n_starts int32, max_starts int32, start_noise float64, "
        "coverage_goal float64, fun_tol float64, diff_cutoff float64, eig_cutoff float64"
    ),
    ManifoldParams: (
        "slow float64, gap float64, leak float64, n_samples int32, reach float64, "
        "max_dimension int32"
    ),
}


@pytest.mark.parametrize("table", DECLARED)
def test_the_columns_are_those_of_the_tables_that_databases_have(table):
    found = [line for line in lines(table.definition) if " : " in line]
    now = [line.split(" #")[0].replace(" : ", " ") for line in found]
    # Others may come between them.
    then = re.findall(r"\S+ (?:enum\(.*?\)|\S+?)(?=,|$)", DECLARED[table])
    assert len(then) > 5
    assert [column for column in now if column in then] == then


@pytest.mark.parametrize("cls", [NetworkConfig, TrainingConfig, SearchSettings, ManifoldSettings])
def test_every_column_says_what_it_is(cls):
    assert all(" # " in line for line in columns(cls).splitlines())


@pytest.mark.parametrize("package", [models, tasks_lib], ids=lambda package: package.__name__)
def test_no_dataclass_has_the_name_of_a_table(package):
    schemas.import_tables()
    tables = {t.__name__ for schema in schemas.SCHEMAS.values() for t in schema.tables}
    assert {"LineAttractor", "ContinuousAttractor", "Penalty"} <= tables
    for found in walk_packages(package.__path__, f"{package.__name__}."):
        with suppress(ImportError):  # what needs an optional extra
            module = import_module(found.name)
            own = [c for c in vars(module).values() if getattr(c, "__module__", "") == found.name]
            assert not tables & {c.__name__ for c in own if is_dataclass(c)}
