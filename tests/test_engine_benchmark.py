"""The benchmark of the training step, at sizes that take no time."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

import engine
from engine_benchmark import measure, page
from engine_benchmark.device import Peak
from engine_benchmark.peers import Compiled, Loop, Ours
from engine_benchmark.problem import MODES, Problem

TINY = "--threads 1 --sizes 8 --batches 4 --networks 1 2 --steps 10 --rounds 1 --peers ours loop"
GROWTH = (
    "--growth-base 8 10 4 1 --growth-units 8 12 --growth-steps 10 20 --growth-trials 4 "
    "--growth-networks 1 2"
)


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    monkeypatch.setattr("engine_benchmark.device.PEAK_SIZES", {"cpu": (64,)})
    monkeypatch.setattr("engine_benchmark.device.PEAK_SECONDS", 1e-4)


@pytest.fixture
def peak():
    return Peak("cpu").measure(1)


def run(path: Path, *words: str) -> dict:
    engine.main([*TINY.split(), "--write", str(path), *words])
    return json.loads(path.with_suffix(".json").read_text())["sections"]


@pytest.mark.slow
def test_the_command_writes_page_data_and_figure(tmp_path, capsys):
    path = tmp_path / "engine.md"
    (section,) = run(path, *GROWTH.split()).values()
    cells = section["cells"]
    assert [(c["mode"], c["n_networks"]) for c in cells] == [(m, k) for k in (1, 2) for m in MODES]
    for cell in cells:
        assert cell["rounds"] == 1
        assert cell["peers"]["loop"]["deviation"] < 1e-4
        assert cell["peers"]["ours"]["ratio"] == [1.0, 1.0, 1.0]
    assert section["growth"]["axes"]["n_units"]["ours"]["x"] == [8, 12]
    assert section["growth"]["axes"]["n_trials"]["ours"]["exponent"] is None  # of one point
    text = path.read_text()
    assert "| 8 | 4 | 2 | 10 | 1 |" in text
    assert "](engine_growth.png)" in text
    assert str(tmp_path) not in text
    assert (tmp_path / "engine_growth.png").read_bytes()[:4] == b"\x89PNG"
    assert "penalties N 8 B 4 K 2: ours" in capsys.readouterr().out


@pytest.mark.slow
def test_other_devices_and_with_add_other_sizes_stay(tmp_path):
    path = tmp_path / "engine.md"
    (label,) = run(path, "--no-growth")
    stored = json.loads(path.with_suffix(".json").read_text())
    stored["sections"]["another"] = stored["sections"][label]
    path.with_suffix(".json").write_text(json.dumps(stored))
    words = ("--no-growth", "--sizes", "9", "--networks", "1", "--modes", "bare")
    added = run(path, "--add", *words)
    assert [c["n_units"] for c in added[label]["cells"]] == [8, 8, 8, 8, 9]
    assert len(added[label]["commands"]) == 2
    replaced = run(path, *words)
    assert [c["n_units"] for c in replaced[label]["cells"]] == [9]
    assert replaced["another"] == stored["sections"]["another"]
    assert path.read_text().count("## ") >= 2


class Wrong(Loop):
    """A loop whose gradients are a little too large."""

    name = "wrong"

    def gradients(self, safe):
        found = super().gradients(safe)
        return {**found, "W_rec": 1.002 * found["W_rec"]}


class Slow(Loop):
    """A loop that cannot be afforded."""

    name = "slow"

    def step(self):
        import time

        time.sleep(0.05)


class Large(Loop):
    """A loop that does not fit."""

    name = "large"
    buffers = 10**9


class Broken(Loop):
    """A loop without a compiler."""

    name = "broken"

    def prepare(self):
        raise measure.Unavailable("no compiler")


@pytest.mark.parametrize("mode", MODES)
def test_a_side_with_wrong_gradients_is_left_out(mode, peak):
    cell = measure.run_cell(Problem(mode, 8, 4, 2, 10), (Ours, Wrong, Loop), 1, 10.0, peak)
    assert cell["peers"]["wrong"]["not_run"].startswith("its gradients deviate from ours by 2")
    assert cell["peers"]["loop"]["ms"][1] > 0


def test_what_is_not_run_says_why(peak):
    problem = Problem("bare", 8, 4, 2, 10)
    cell = measure.run_cell(problem, (Slow, Large, Broken, Ours), 3, 0.1, peak)
    reasons = {n: p["not_run"] for n, p in cell["peers"].items() if n != "ours"}
    assert reasons["slow"].startswith("one step takes")
    assert reasons["large"].startswith("needs about")
    assert reasons["broken"] == "no compiler"
    assert cell["peers"]["ours"]["ms"][1] > 0
    huge = measure.run_cell(Problem("bare", 1000, 450, 64, 300), (Ours,), 3, 1.0, peak)
    assert huge["rounds"] == 0 and huge["not_run"]


def test_ours_in_groups_is_compared_and_timed_on_one(peak, monkeypatch):
    monkeypatch.setattr(Ours, "group", 1)
    cell = measure.run_cell(Problem("bare", 8, 4, 3, 10), (Ours, Loop), 1, 10.0, peak)
    assert cell["peers"]["loop"]["deviation"] < 1e-4
    assert Ours(Problem("bare", 8, 4, 3, 10)).networks_per_step == 1


def test_a_compiler_that_fails_is_no_error(monkeypatch):
    def fail(*args, **kwargs):
        raise RuntimeError("no compiler here")

    monkeypatch.setattr("torch.compile", lambda function, **options: fail)
    with pytest.raises(measure.Unavailable, match=r"torch.compile failed: RuntimeError: no comp"):
        Compiled(Problem("bare", 8, 4, 1, 10)).prepare()


def test_the_floor_counts_the_products():
    cell = {"mode": "bare", "n_units": 100, "n_trials": 5, "n_networks": 8, "n_steps": 11}
    assert measure.floor_milliseconds(cell, gflops=1.0) == pytest.approx(
        3 * 1e-6 * 2 * 10 * 5 * 1e4
    )
    five = measure.floor_milliseconds({**cell, "mode": "penalties"}, gflops=1.0)
    assert five == pytest.approx(5 / 3 * measure.floor_milliseconds(cell, gflops=1.0))


def test_the_command_of_the_page_names_no_folder_of_this_machine():
    words = ["--seed-repo", "/home/me/checkout", "--write", "/home/me/engine.md"]
    found = engine.command(words)
    assert found == "python benchmarks/engine.py --seed-repo PATH --write benchmarks/engine.md"
    assert page.label_of("cuda:0", "a card", 2) == "GPU: a card"
