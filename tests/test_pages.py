"""The pages of tasks and penalties are what the code says today, and their examples work."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest
import yaml

from models import TrainingConfig, penalties
from tasks_lib import TASKS, create_task

ROOT = Path(__file__).parents[1]


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


penalty_script = load(ROOT / "scripts" / "make_penalty_page.py")
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


def test_the_page_of_penalties_is_up_to_date():
    stored = (ROOT / "docs" / "penalties.md").read_text(encoding="utf-8")
    assert stored == penalty_script.page(), "run `make docs` and commit what it writes"
    for name in ("task", "clustering", "h_time_variance", "out_weights_magnitude"):
        assert f"## `{name}`\n" in stored


def test_the_training_of_the_page_of_penalties_is_one():
    (block,) = re.findall(r"```yaml\n(.*?)```", penalty_script.HEAD, re.DOTALL)
    fields = yaml.safe_load(block)["trainings"]["sparse"]
    foreign = fields["penalties"].pop("my_package.my_module:drift")
    config = TrainingConfig(**fields)
    assert config.task_safe_gradients
    assert set(config.penalties) < set(penalties.names())
    assert foreign == {"weight": 0.1}
