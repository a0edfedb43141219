"""What a shell completes: commands, options, and names that are asked of the database."""

from __future__ import annotations

import os
import sys
import time
from functools import partial

import pytest

from pipeline.cli import completion
from pipeline.cli.completion import NAMES, TABLES, names
from pipeline.database.schemas import SCHEMAS
from pipeline.tables.computed import COMPUTED
from tests import preloaded
from tests.pipeline.workers import wait_until

pytestmark = pytest.mark.either_backend

CLEAN = {name: v for name, v in os.environ.items() if not name.startswith(("DJ_", "RNN_"))}


def completed(words: str, **variables: str) -> list[str]:
    """Return what bash is given for a command line whose last word is being typed."""
    done = preloaded.run(
        [sys.executable, "-m", "rnn_start"],
        capture_output=True,
        text=True,
        env={
            **CLEAN, **variables, "_RNN_COMPLETE": "complete_bash", "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split()) - 1),
        },
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout.split()


def test_commands_options_and_tables(tmp_path):
    home = {"RNN_HOME": str(tmp_path / "none")}
    assert set(completed("rnn s", **home)) == {"search", "submit", "status", "show", "summary"}
    assert completed("rnn worker --swe", **home) == ["--sweep"]
    assert completed("rnn worker --table Linea", **home) == ["Linearization"]
    assert tuple(table.__name__ for table in COMPUTED) == TABLES
    # No database, and none is begun.
    assert completed("rnn show --task c", **home) == []
    assert not (tmp_path / "none").exists()


@pytest.fixture
def configured(entered, arguments, monkeypatch):
    for name in [name for name in os.environ if name.startswith(("DJ_", "RNN_"))]:
        monkeypatch.delenv(name)
    for name, value in (
        ("DJ_BACKEND", "backend"), ("DJ_HOST", "host"), ("DJ_PORT", "port"), ("DJ_USER", "user"),
        ("DJ_PASS", "password"), ("RNN_PREFIX", "prefix"),
    ):  # fmt: skip
        monkeypatch.setenv(name, str(arguments[value]))
    return entered


def test_names_of_the_database(configured):
    sweep = {"task": "cddm", "network": "small", "training": "short"}
    configured.submit(
        {"sweeps": {f"{n}rates": {**sweep, "vary": {"training.lr": [0.1]}} for n in ("a_", "ab")}}
    )
    assert completion.SECONDS <= 1
    names = partial(completion.names, seconds=60)
    assert names("task") == ["cddm"]
    assert names("network", "sm") == ["small"] and names("network", "x") == []
    assert names("training", "short-") == ["short-lr_0.1"]
    assert names("sweep") == ["a_rates", "abrates"]
    assert names("sweep", "a_") == ["a_rates"]  # no pattern
    assert names("sweep", "'; --") == []
    variables = {n: v for n, v in os.environ.items() if n.startswith(("DJ_", "RNN_"))}
    # On a machine that is busy it may be too late for the shell, as often as it is asked.
    wait_until(lambda: completed("rnn verify --network sm", **variables) == ["small"])


def test_tables_and_columns_are_those_of_the_names(database):
    for schema, table, column in NAMES.values():
        (found,) = [t for t in SCHEMAS[schema].tables if t.table_name.strip("_#") == table]
        assert found.primary_key[0] == column


def test_a_server_that_does_not_answer_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(completion, "_asked", lambda *_: time.sleep(30))
    began = time.perf_counter()
    assert names("task", seconds=0.2) == []
    assert time.perf_counter() - began < 15
    monkeypatch.setattr(completion, "_asked", lambda *_: 1 / 0)
    assert names("task") == []
