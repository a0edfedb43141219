"""The benchmark of the search for fixed points, on networks that take no time."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

import fixed_points
from fixed_point_benchmark import networks, sides

from models import RNNNumpy

FINDER = """
class Found:
    def __init__(self, xstar):
        self.xstar = xstar

class FixedPointFinderTorch:
    def __init__(self, rnn, dtype, verbose, do_exclude_distance_outliers):
        self.rnn = rnn
    def find_fixed_points(self, initial_states, inputs):
        import torch
        h = torch.tensor(initial_states)[None]
        u = torch.tensor(inputs).repeat(len(initial_states), 1)[:, None]
        for _ in range(2000):
            _, h = self.rnn(u, h)
        return Found(h[0].numpy()), None
"""


def few(folder, form, n_units, n):
    rng = np.random.default_rng(0)
    return [
        RNNNumpy(
            W_rec=1.5 * rng.standard_normal((8, 8)) / 8**0.5, W_inp=rng.standard_normal((8, 3)),
            W_out=np.ones((3, 8)), activation="tanh", equation_type=form,
        )
        for _ in range(n)
    ]  # fmt: skip


def test_the_command_writes_page_and_data(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(networks, "flip_flops", few)
    monkeypatch.setattr(fixed_points, "flip_flops", few)
    (tmp_path / "FixedPointFinderTorch.py").write_text(FINDER)
    page = tmp_path / "fixed_points.md"
    words = "--flip-flops 1 --others 0 --batch 3 --starts 40 --seeds 2 --threads 1"
    data = fixed_points.main([*words.split(), "--finder", str(tmp_path), "--write", str(page)])
    assert json.loads(page.with_suffix(".json").read_text()) == data
    cube = data["rows"][0]
    assert (cube["union"], cube["ours"]) == (27, [27, 27])
    assert cube["by_index"] == {"0": 8, "1": 12, "2": 6, "3": 1}
    assert 8 <= cube["others"]["fsolve"]["found"] <= 27
    # relaxation alone finds the stable ones
    assert cube["others"]["FixedPointFinder"]["found"] == 8
    assert [row["network"] for row in data["rows"]] == [
        "cube of 3 units", "flip-flop s 0", "flip-flop h 0",
    ]  # fmt: skip
    assert data["batch"]["n_networks"] == 3
    assert data["batch"]["complete"] == 12
    assert data["batch"]["missed"] == 0
    text = page.read_text()
    assert "8 / 12 / 6 / 1 (0, 1, 2, 3)" in text
    assert "all points from every seed in 3 of 3 searches" in text
    assert "3 flip-flops of 50 units at 4 inputs" in text


def test_networks_are_trained_once(tmp_path, monkeypatch):
    monkeypatch.setattr(
        networks, "FLIP_FLOP_TRAINING", networks.TrainingConfig(max_iter=2, same_batch=False)
    )
    first = networks.flip_flops(tmp_path, "h", 6, 2)
    kept = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    again = networks.flip_flops(tmp_path, "h", 6, 3)
    assert len(again) == 3
    assert all((tmp_path / name).stat().st_mtime_ns == time for name, time in kept.items())
    for one, other in zip(first, again, strict=False):
        assert np.array_equal(one.W_rec, other.W_rec)
        assert other.equation_type == "h"


def test_polishing_keeps_what_is_near_a_root():
    case = networks.cube()
    root = 0.9575040240772687
    points = np.array([[root + 1e-4, 0.0, 0.0], [0.5, 0.5, 0.5]])
    assert np.allclose(sides.polished(case.rnn, points, np.zeros(1)), [[root, 0.0, 0.0]])


def test_a_checkout_that_lacks_is_named(tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "FixedPointFinderTorch", raising=False)
    case = networks.cube()
    with pytest.raises(ModuleNotFoundError, match="FixedPointFinderTorch"):
        sides.fixed_point_finder(tmp_path, case.rnn, None, np.zeros(1), 4)
