"""Figures, hashes and connections."""

from __future__ import annotations

import subprocess
import sys
import uuid

import datajoint as dj
import numpy as np
import pytest
from datajoint import instance
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from pipeline.store.codecs import to_png
from pipeline.tables.hashing import canonical_json, parameter_hash
from tasks_lib import ParameterError

pytestmark = pytest.mark.either_backend


def test_hash_is_golden():
    """Recipe 1 never changes: these hashes are in databases."""
    assert canonical_json({"b": [1, 2.5, "x"], "a": {"t": True, "n": None}}) == (
        '{"a":{"n":null,"t":true},"b":[1,2.5,"x"]}'
    )
    assert (
        canonical_json({"tiny": 1e-6, "huge": 1e22})
        == '{"huge":10000000000000000000000,"tiny":1e-06}'
    )
    assert parameter_hash({}) == uuid.UUID("d6b44e6f-6391-c8a4-ca0d-f3f091636b05")
    assert parameter_hash({"n_units": 100, "activation": "relu", "dale": True}) == uuid.UUID(
        "ccf4af2b-3e64-f80d-74bc-fa2cd828dcda"
    )


def test_hash_tells_apart_what_differs_and_only_that():
    values = [1, "1", True, "true", None, "null", [1], {"a": 1}, 0, False, "", [], {}, 1.5, -1]
    hashes = {parameter_hash({"x": v}) for v in values}
    assert len(hashes) == len(values)
    one = parameter_hash({"x": 1})
    for same in (1.0, np.float64(1), np.int32(1), np.float32(1)):
        assert parameter_hash({"x": same}) == one
    assert parameter_hash({"x": -0.0}) == parameter_hash({"x": 0})
    assert parameter_hash({"x": (1, 2)}) == parameter_hash({"x": np.array([1.0, 2.0])})
    assert parameter_hash({"x": np.bool_(True)}) == parameter_hash({"x": True})


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), {1}, b"x", {1: 2}, 1j])
def test_hash_refuses_what_cannot_be_a_parameter(bad):
    with pytest.raises(ParameterError, match=r"params\.deep"):
        parameter_hash({"deep": bad})


scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
)
parameters = st.dictionaries(
    st.text(max_size=5),
    st.recursive(
        scalars | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
        ),
        max_leaves=6,
    ),
    max_size=4,
)  # fmt: skip


@given(parameters)
def test_hash_does_not_depend_on_the_order_of_keys(params):
    assert parameter_hash(params) == parameter_hash(dict(reversed(params.items())))


def test_figures_become_png_and_nothing_else_does():
    figure = Figure(figsize=(1, 1))
    figure.subplots().plot([0, 1])
    png = to_png(figure)
    assert png.startswith(b"\x89PNG")
    assert to_png(png) is png
    assert to_png(figure) == png  # the same figure, the same bytes
    for bad in (b"GIF89a", "path.png", None):
        with pytest.raises(Exception, match="matplotlib Figure"):
            to_png(bad)


def test_a_stored_figure_is_read_when_looked_at(database, submission, store, tmp_path):
    p = database
    p.submit(submission)
    p.fill((p.Training, p.TrialPlot))
    figure = (p.TrialPlot & {"seed": 3, "validation_name": "noisy"}).fetch1("figure")
    (stored,) = store.glob(f"**/{figure.path.rsplit('/', 1)[1]}")
    stored.write_bytes(b"something else")
    with pytest.raises(Exception, match="is damaged"):
        figure.save(tmp_path / "figure.png")
    assert not (tmp_path / "figure.png").exists()
    other = (p.TrialPlot & {"seed": 4, "validation_name": "noisy"}).fetch1("figure")
    assert other.save(tmp_path / "other.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(Exception, match="matplotlib Figure"):
        p.TrialPlot.insert1(
            {**(p.TrialPlot & {"seed": 4}).keys()[0], "seed": 3, "figure": "x.png"},
            allow_direct_insert=True,
            replace=True,
        )


def test_tables_follow_the_connection(arguments):
    """One process can go from one set of schemas to another."""
    import pipeline
    from pipeline.database import schemas

    first, second = arguments, {**arguments, "prefix": arguments["prefix"] + "b"}
    pipeline.connect(**first)
    pipeline.NetworkParams.insert1({"network_name": "here", "n_units": 7})
    pipeline.connect(**second)
    assert len(pipeline.NetworkParams()) == 0
    schemas.drop()
    pipeline.connect(**first)
    assert pipeline.NetworkParams.fetch1("n_units") == 7
    schemas.drop()
    pipeline.disconnect()
    with pytest.raises(pipeline.DatabaseError, match="not connected"):
        pipeline.submit({})


@pytest.mark.slow
def test_dj_conn_is_the_connection_of_the_pipeline(database, arguments):
    opened = database.connect(**arguments)
    assert dj.conn() is opened
    assert len(dj.FreeTable(database.Task.full_table_name)) == len(database.Task())
    database.disconnect()
    assert instance._singleton_connection is None


@pytest.mark.slow
def test_importing_connects_to_nothing():
    """Not even to a server that does not exist."""
    code = (
        "import tasks_lib, models, pipeline, pipeline.cli.commands, pipeline.cli.demo, "
        "pipeline.workers.status"
    )
    environment = {
        "DJ_HOST": "127.0.0.1",
        "DJ_PORT": "9",
        "PATH": "",
        "DJ_USER": "u",
        "DJ_PASS": "p",
    }
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_library_runs_without_datajoint():
    code = (
        "import sys; sys.modules['datajoint'] = None; sys.modules['pymysql'] = None\n"
        "import models, tasks_lib\n"
        "task = tasks_lib.NBitFlipFlop(20, seed=0, batch_size=4)\n"
        "net = models.NetworkConfig(n_units=5)\n"
        "models.train_cohort(task, net, models.TrainingConfig(max_iter=2), [0], device='cpu')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_quiet_worker_draws_no_bars(capsys):
    from pipeline.progress import progress_bar, quiet

    for silent in (False, True):
        token = quiet.set(silent)
        try:
            with progress_bar("task/network") as report:
                report(1, 2, 0.5)
        finally:
            quiet.reset(token)
        assert ("task/network" in capsys.readouterr().err) is not silent
