"""The check of a GPU passes through all of its parts on a CPU, the kernels interpreted."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

import gpu_check
from gpu_checks import bare
from gpu_checks.results import Check, Line, Part

ROOT = Path(__file__).parents[1]
# A GPU machine has torch, Triton, Numba, NumPy and SciPy.
ABSENT = ("datajoint", "matplotlib", "pandas", "xarray", "sklearn", "lazy_loader", "psutil",
          "threadpoolctl", "deepdiff", "pytest")  # fmt: skip
BLOCK = f"""
import sys

class Without:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] not in {ABSENT}:
            return self.finder.find_spec(name, path, target)

    def __getattr__(self, name):
        return getattr(self.finder, name)

sys.meta_path[:] = map(Without, sys.meta_path)
"""
PARTS = {
    "equations", "bits of the kernels", "N 100, B 225, K 64, penalties",
    "loop at N 1000, K 1, bare", "cuDNN at N 100", "bits of a training", "cliff at N 257",
    "split products", "tiles", "products", "draws",
    "whole loops and single steps", "memory of a large training", "fixed points",
    "torch.compile at N 100, K 1, penalties",
}  # fmt: skip


@pytest.mark.slow
def test_every_part_runs_on_a_bare_machine(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(BLOCK)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    done = subprocess.run(
        [sys.executable, "benchmarks/gpu_check.py", "--tiny",
         "--json", str(tmp_path / "found.json"), "--write", str(tmp_path / "page.md")],
        cwd=ROOT, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    assert "replaced by stand-ins: lazy_loader, threadpoolctl, psutil" in done.stdout
    found = json.loads((tmp_path / "found.json").read_text())
    assert {part["status"] for part in found["parts"]} == {"done"}
    assert {part["name"] for part in found["parts"]} >= PARTS
    # Times say nothing here; what is right or the same to the bit is so anywhere.
    exact = ("against float64", "different bits", "gradients against ours", "error of gradients")
    lines = [line for line in found["lines"] if any(word in line["what"] for word in exact)]
    assert len(lines) > 12
    assert [line["what"] for line in lines if line["verdict"] != "met"] == []
    page = (tmp_path / "page.md").read_text()
    assert "### The check of the GPU" in page and "outputs against float64" in page
    assert str(tmp_path) not in page
    stored = json.loads((tmp_path / "page.json").read_text())["sections"]
    assert [section["check"]["card"] for section in stored.values()] == [found["card"]]


@pytest.mark.slow
def test_products_of_parts_have_their_own_tiles(tmp_path):
    found = tmp_path / "found.json"
    done = subprocess.run(
        [sys.executable, "benchmarks/gpu_check.py", "--tiny", "--precision", "bf16x6",
         "--only", "tiles", "whole loops", "--json", str(found)],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    lines = {line["what"]: line["note"] for line in json.loads(found.read_text())["lines"]}
    assert any("gradients summed as adjoints go back" in what for what in lines)
    assert "16 trials" in lines["N 8, K 1: kernels with the chosen tile by those with the best"]
    assert not any(what.startswith("N 256") for what in lines)  # those are single steps


@pytest.fixture
def printed():
    return []


@pytest.fixture
def check(printed):
    return Check("cpu", tiny=False, seconds=100.0, write=printed.append)


def test_a_part_that_fails_leaves_the_others_alone(check, printed):
    def fail(check):
        check.add("before", 1.0)
        raise ValueError("first line\nsecond line")

    def late(check):
        raise AssertionError("this part has no time")

    check.run([
        Part("broken", fail, 1), Part("late", late, 1000),
        Part("sound", lambda check: check.add("after", 3.0, "ms", 2.0), 1),
    ])  # fmt: skip
    assert [part["status"] for part in check.parts] == ["failed", "not run", "done"]
    assert check.parts[0]["error"].startswith("ValueError: first line (test_gpu_check.py:")
    assert "not run late: " in "\n".join(printed) and "it takes about 1000" in "\n".join(printed)
    assert printed[-1] == "missed  after: 3 ms (goal ≤ 2 ms)"
    assert check.n_failed == 1


@pytest.mark.parametrize(
    ("value", "goal", "at_least", "verdict"),
    [
        (1.0, 1.0, False, "met"),
        (1.1, 1.0, False, "missed"),
        (1.1, 1.0, True, "met"),
        (0.9, 1.0, True, "missed"),
        (float("nan"), 1.0, False, "missed"),
        (float("nan"), 1.0, True, "missed"),
        (5.0, None, False, ""),
    ],
)
def test_verdicts(value, goal, at_least, verdict):
    assert Line("part", "what", value, "", goal, at_least).verdict == verdict


def test_the_page_keeps_what_others_measured(tmp_path, check):
    """The sections of other devices, and those of `engine.py` of the same card."""
    page = tmp_path / "engine.md"
    other = {"device": "a CPU", "threads": 2, "versions": {"torch": "2"}, "code": "1", "cells": [],
             "commands": ["python benchmarks/engine.py"], "growth": None,
             "peak": {"gflops": 1.0, "by_size": {"10": 1.0}}}  # fmt: skip
    sections = {"CPU: x": other, "GPU: a card": {**other, "device": "a card"}}
    page.with_suffix(".json").write_text(json.dumps({"sections": sections}))
    check.run([Part("one", lambda check: check.add("steps", 1.0, "ms", 2.0), 0)])
    found = {
        "card": "a card", "device": "cuda", "versions": "torch 2", "code": "1", "seconds": 1.0,
        "command": "python benchmarks/gpu_check.py", **check.to_dict(),
    }  # fmt: skip
    source = tmp_path / "found.json"
    source.write_text(json.dumps(found))
    assert gpu_check.main(["--from", str(source), "--write", str(page)]) == 0
    stored = json.loads(page.with_suffix(".json").read_text())["sections"]
    assert stored["CPU: x"] == other
    assert stored["GPU: a card"]["commands"] == other["commands"]
    text = page.read_text()
    assert text.index("## CPU: x") < text.index("## GPU: a card") < text.index("### The check")
    assert "| steps | 1 ms | ≤ 2 ms | met |" in text


def test_the_command_names_no_folder_of_this_machine():
    words = ["--seed-trainer", "/home/me/seed", "--write", "/home/me/engine.md"]
    wanted = "python benchmarks/gpu_check.py --seed-trainer PATH --write engine.md"
    assert gpu_check.command(words) == wanted


def test_the_page_is_not_overwritten_by_what_was_found(capsys):
    with pytest.raises(SystemExit):
        gpu_check.options_of(["--write", "a.md", "--json", "a.json"])
    assert "the page's own data" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [["--json", "nowhere/a.json"], ["--write", "nowhere/a.md"], ["--from", "nowhere.json"],
     ["--seed-trainer", "nowhere"]],
)  # fmt: skip
def test_files_that_are_not_there_are_refused_before_anything_is_run(words, capsys):
    with pytest.raises(SystemExit):
        gpu_check.options_of(words)
    assert f"{words[0]} {words[1]}: " in capsys.readouterr().err


def test_a_part_that_there_is_not_is_refused(tmp_path):
    """A check of nothing would pass."""
    with pytest.raises(SystemExit, match="--only drwas: in no part's name; they are equations; "):
        gpu_check.main(["--device", "cpu", "--only", "drwas", "--json", str(tmp_path / "a.json")])


def test_without_a_gpu_it_says_so(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(SystemExit, match="device = cuda: there is none here"):
        gpu_check.main([])


def test_stand_ins_import_what_a_stub_names():
    get, names, _ = bare._attach_stub("models", str(ROOT / "models" / "__init__.py"))
    import models

    assert {"RNNTorch", "NetworkConfig"} <= set(names())
    assert get("NetworkConfig") is models.NetworkConfig
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        get("nothing")
