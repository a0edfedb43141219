"""The generated pages are what the code says today, and their examples work."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from models import NetworkConfig, TrainingConfig, penalties, train_cohort
from models.engine import Statistic
from models.penalties import registry
from tasks_lib import TASKS, NBitFlipFlop, ParameterError, create_task

ROOT = Path(__file__).parents[1]


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


parameter_script = load(ROOT / "scripts" / "make_parameter_page.py")
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
        assert f"### `{name}`\n" in stored


def test_the_page_of_parameters_is_up_to_date():
    stored = (ROOT / "docs" / "parameters.md").read_text(encoding="utf-8")
    assert stored == parameter_script.page(), "run `make docs` and commit what it writes"
    for config in (NetworkConfig, TrainingConfig):
        for field in fields(config):
            assert f"| `{field.name}` |" in stored


def test_the_training_of_the_page_of_penalties_is_one():
    (block,) = re.findall(r"```yaml\n(.*?)```", penalty_script.HEAD, re.DOTALL)
    fields = yaml.safe_load(block)["trainings"]["sparse"]
    foreign = fields["penalties"].pop("my_package.my_module:drift")
    config = TrainingConfig(**fields)
    assert config.task_safe_gradients
    assert set(config.penalties) < set(penalties.names())
    assert foreign == {"weight": 0.1}


def test_the_penalties_of_the_page_train(tmp_path, monkeypatch):
    """As a module of the reader's; with `needs` and without it gives the same network."""
    drift, spread = re.findall(r"```python\n(.*?)```", penalty_script.HEAD, re.DOTALL)
    plain = re.sub(r"@register\(.*?\n\)\n", "", spread, flags=re.DOTALL)
    assert plain.count("register") == 1  # imported only
    for name, text in (("penalty_page", drift + spread), ("penalty_page_plain", plain)):
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(registry, "_ENTRIES", dict(registry._ENTRIES))

    def curves(*terms, max_iter=40):
        config = TrainingConfig(
            max_iter=max_iter, lr=0.01, penalties={name: {"weight": 2.0} for name in terms}
        )
        task = NBitFlipFlop(n_steps=20, n_inputs=1, n_outputs=1, batch_size=8, seed=0)
        network = NetworkConfig(n_units=10, equation_type="h", tau=2.0)
        (trained,) = train_cohort(task, network, config, [0], device="cpu").networks
        return trained.term_curves

    named, unnamed = "penalty_page:rate_spread", "penalty_page_plain:rate_spread"
    found = curves("penalty_page:drift", named)
    assert all(found[name][-1] < found[name][0] for name in ("penalty_page:drift", named))
    assert penalties.statistics(named, {}) == (Statistic("soft_maximum_rate", 0.1),)
    assert penalties.statistics(unnamed, {}) == ()
    with_needs, without = curves(named, max_iter=5)[named], curves(unnamed, max_iter=5)[unnamed]
    assert with_needs == pytest.approx(without, rel=1e-4)
    with pytest.raises(ParameterError, match="tau"):
        TrainingConfig(penalties={named: {"weight": 1.0, "args": {"tau": 0.0}}})
