"""The page of tasks is what the tasks say today, and its submissions enter them."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import yaml

from tasks_lib import TASKS, create_task

ROOT = Path(__file__).parents[1]


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


script = load(ROOT / "scripts" / "make_task_page.py")
every_task = pytest.mark.parametrize("name", TASKS)


def test_the_page_is_up_to_date():
    stored = (ROOT / "docs" / "tasks.md").read_text(encoding="utf-8")
    assert stored == script.page(), "run `make docs` and commit what it writes"


@every_task
def test_every_task_has_its_figure(name):
    path = ROOT / "docs" / script.FIGURES / f"{script.snake_name(name)}.png"
    assert path.read_bytes()[:4] == b"\x89PNG"
    assert f"({path.relative_to(ROOT / 'docs').as_posix()})" in script.page()


@every_task
def test_the_submission_of_the_page_is_the_task(name):
    ((label, row),) = yaml.safe_load(script.submission(TASKS[name](seed=0)))["tasks"].items()
    assert label == script.snake_name(name)
    assert create_task(row.pop("class"), **row).params == TASKS[name]().params


def test_names_of_files():
    names = {"CDDM": "cddm", "NBitFlipFlop": "n_bit_flip_flop", "XOR": "xor"}
    assert {name: script.snake_name(name) for name in names} == names
