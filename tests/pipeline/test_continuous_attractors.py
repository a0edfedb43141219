"""The tables of continuous attractors, for a network whose manifolds are known."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from models import (
    DynamicSystemAnalyzer,
    ManifoldSettings,
    NetworkConfig,
    RNNNumpy,
    SlowManifold,
    write_network,
)
from pipeline.tables.performance import fetch_network
from tasks_lib import ParameterError

pytestmark = pytest.mark.either_backend

TASK = {"class": "MemoryAntiNumber", "params": {"batch_size": 16}}


@pytest.fixture
def networks(database, tmp_path, prepared):
    """A network with two rays of fixed points: one in the delay, one in the recall.

    The bias silences the second group of units, the recall cue lifts it and silences the first.
    Only the second is read out.
    """
    p = database
    first, second = np.zeros(8), np.zeros(8)
    first[:2], second[3:5] = [0.6, 0.8], [0.8, 0.6]
    silenced = 5.0 * (second > 0)
    config = NetworkConfig(n_units=8, activation="relu", tau=10.0)
    rnn = RNNNumpy(
        W_rec=np.outer(first, first) + np.outer(second, second),
        W_inp=np.stack([first, -first, silenced - 5.0 * (first > 0)], axis=1),
        W_out=np.stack([second, -second]),
        b_rec=-silenced,
        activation="relu",
        tau=10.0,
        **{name: getattr(config, name) for name in ("sigma_rec", "sigma_inp", "sigma_out")},
    )

    def enter_and_analyse():
        path = write_network(tmp_path / "two_rays.npz", rnn, config)
        p.submit({"tasks": {"memory": TASK}})
        p.import_network(path, "memory")
        tables = (p.FixedPoints, p.ContinuousAttractor, p.ContinuousAttractorPlot)
        assert p.fill(tables).errors == []

    prepared(enter_and_analyse)
    return p


def test_manifolds_are_rows_and_come_back(networks):
    p = networks
    rows = {r["input_name"]: r for r in p.ContinuousAttractor.to_dicts()}
    assert set(rows) == {"stimulus", "delay", "recall"}
    for name in ("delay", "recall"):
        here = {"input_name": name}
        assert rows[name]["n_manifolds"] == 1
        assert rows[name]["n_isolated"] == 0
        assert rows[name]["n_explained"] == (p.FixedPoints & here).fetch1("n_points") > 0
        assert "on an open line" in rows[name]["explanation"]
        (stored,) = (p.ContinuousAttractor & here).load()
        found = (p.FixedPoints & here).load()
        # the table says what the library says of the stored network
        rnn, task = fetch_network((p.ContinuousAttractor & here).fetch1("KEY"))
        (direct,) = DynamicSystemAnalyzer(rnn, task).get_manifolds(found.input, found)
        assert isinstance(stored, SlowManifold)
        assert stored.topology == "open line"
        assert stored.speed.max() < 1e-10
        assert len(stored) == ManifoldSettings().n_samples
        for field in fields(SlowManifold):
            mine, other = getattr(stored, field.name), getattr(direct, field.name)
            assert type(mine) is type(other), field.name
            same = np.isnan(mine) and np.isnan(other) if field.name == "period" else mine == other
        assert np.all(same), field.name


@pytest.mark.both_backends
def test_what_is_read_in_which_period_is_a_query(networks):
    p = networks
    lines = p.ContinuousAttractor.Manifold & {"topology": "open line"} & "relative_speed < 0.001"
    unread = lines & "null_space_fraction > 0.99"
    assert unread.to_arrays("input_name").tolist() == ["delay"]
    assert (lines & "null_space_fraction < 0.01").to_arrays("input_name").tolist() == ["recall"]
    # columns join with those of the points and of the network without a clash
    joined = p.ContinuousAttractor.Manifold * p.ContinuousAttractor * p.FixedPoints
    assert len(joined & "n_stable_along = 0" & "dimension = 1") == len(lines) == 2
    assert len(p.ContinuousAttractor.Manifold * p.Training.Network) == 2
    assert len(p.ContinuousAttractor.Manifold * p.FixedPoints.Point) > len(lines)
    (figure,) = p.ContinuousAttractorPlot.to_arrays("manifold_figure")
    assert figure._repr_png_().startswith(b"\x89PNG")
    assert p.fill((p.ContinuousAttractor, p.ContinuousAttractorPlot)).made == 0


def test_settings_are_rows_that_are_checked(networks):
    p = networks
    row = {**p.ManifoldParams.fetch1(), "manifold_search": "coarse", "n_samples": 10}
    with pytest.raises(ParameterError, match="slow"):
        p.ManifoldParams.insert1({**row, "slow": -1.0})
    p.ManifoldParams.insert1(row)
    assert p.fill((p.ContinuousAttractor,)).errors == []
    coarse = p.ContinuousAttractor.Manifold & {"manifold_search": "coarse"}
    assert len(coarse) > 0
    assert all(np.asarray(samples).shape[0] == 10 for samples in coarse.to_arrays("samples"))


def test_a_search_is_what_its_row_says(networks):
    p = networks
    row = {**p.FixedPointParams.fetch1(), "search_name": "short", "n_starts": 8, "max_starts": 8}
    p.FixedPointParams.insert1({**row, "start_noise": 0.0})
    assert p.fill((p.FixedPoints,)).errors == []
    short = p.FixedPoints & {"search_name": "short", "input_name": "delay"}
    rnn, task = fetch_network(short.fetch1("KEY"))
    analyzer = DynamicSystemAnalyzer(rnn, task, seed=short.fetch1("seed"))
    direct = analyzer.get_fixed_points("delay", n_starts=8, max_starts=8, noise=0.0)
    assert np.array_equal(short.load().points, direct.points)
    # Each part of the network that no weight connects to the others has the budget.
    n_starts = short.fetch1("n_starts_used")
    assert n_starts == direct.n_starts and n_starts % 8 == 0 and n_starts <= 8 * rnn.N


def test_an_empty_set_has_the_shapes_of_a_full_one(networks):
    p = networks
    full = p.FixedPoints & {"input_name": "delay", "search_name": "exact"}
    p.FixedPointParams.insert1({**p.FixedPointParams.fetch1(), "search_name": "none"})
    none = {**full.fetch1(), "search_name": "none", "search_status": "none_found", "n_points": 0}
    p.FixedPoints.insert1(none, allow_direct_insert=True)
    empty, found = (p.FixedPoints & {"search_name": "none"}).load(), full.load()
    for name in ("points", "eigenvalues", "directions"):
        assert getattr(empty, name).shape == (0, 8)
        assert getattr(empty, name).dtype == getattr(found, name).dtype
    assert np.array_equal(empty.merge(found).points, found.points)
    assert np.array_equal(found.merge(empty).eigenvalues, found.eigenvalues)


def test_closed_surfaces_and_long_explanations_come_back_whole(networks, monkeypatch):
    p = networks
    here = p.ContinuousAttractor & {"input_name": "delay"}
    (line,) = here.load()
    surface = replace(line, topology="closed surface", ends=())
    monkeypatch.setattr(DynamicSystemAnalyzer, "get_manifolds", lambda *_: [surface])
    monkeypatch.setattr("models.explain", lambda *_: "9 on a ring, " * 75)
    here.delete(prompt=False)
    assert p.fill((p.ContinuousAttractor,)).errors == []
    assert here.fetch1("explanation") == "9 on a ring, " * 75
    (stored,) = here.load()
    assert stored.ends == ()


@pytest.mark.both_backends
def test_what_is_fetched_is_small_and_tells_one_set_from_another(networks):
    p = networks
    key = (p.ContinuousAttractor & {"input_name": "delay"}).fetch1("KEY")
    fetched = p.ContinuousAttractor().make_fetch(key)
    assert all(isinstance(row, dict) for row in fetched)  # no arrays
    assert fetched[0] == p.ContinuousAttractor().make_fetch(key)[0]
    for name in ("n_points", "n_converged", "search_seconds"):
        row = (p.FixedPoints & key).fetch1()
        point_set = {k: row[k] for k in p.FixedPoints.primary_key}
        p.FixedPoints.update1({**point_set, name: row[name] + 1})
        assert fetched[0] != p.ContinuousAttractor().make_fetch(key)[0]
        p.FixedPoints.update1({**point_set, name: row[name]})
