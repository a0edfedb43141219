"""Generated pages are what the code says today, their examples work, and the site is whole."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import inspect
import re
import subprocess
import sys
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

import models
import pipeline
import tasks_lib
from models import NetworkConfig, TrainingConfig, penalties, train_cohort
from models.engine import Statistic
from models.network.connectivity import STREAMS, WEIGHTS
from models.parameters import parameters_of
from models.penalties import registry
from tasks_lib import TASKS, NBitFlipFlop, ParameterError, create_task

ROOT = Path(__file__).parents[1]


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


parameter_script = load(ROOT / "scripts" / "make_parameter_page.py")
penalty_script = load(ROOT / "scripts" / "make_penalty_page.py")
script = load(ROOT / "scripts" / "make_task_page.py")
table_script = load(ROOT / "scripts" / "make_table_page.py")
architecture_script = load(ROOT / "scripts" / "make_architecture_page.py")
reference_script = load(ROOT / "scripts" / "reference_pages.py")
site_script = load(ROOT / "scripts" / "gather_site.py")
# Of dist/mermaid.tiny.js of @mermaid-js/tiny 11.17.2.
MERMAID_SHA256 = "7a644017d37f93c8359790884e6b67fb1f747c78eb20475952404bd87190a3f8"
NETWORK_LAYOUT = ("n_steps", "n_inputs", "n_outputs", "params", "arguments", "weight", "args")
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


def test_every_number_on_the_page_of_parameters_has_its_unit_or_none(monkeypatch):
    stored = (ROOT / "docs" / "parameters.md").read_text(encoding="utf-8")
    for row in (
        "| `tau` | 10 | time |",
        "| `max_iter` | 3000 | iterations |",
        "| `dale` | false | |",
    ):
        assert row in stored.replace("|  |", "| |")
    for cls, known in parameter_script.UNITS.items():
        numbers = {n for n, p in parameters_of(cls).items() if p.kind in ("whole", "number")}
        assert {*known} <= numbers
    monkeypatch.delitem(parameter_script.UNITS[TrainingConfig], "patience")
    with pytest.raises(ValueError, match=r"TrainingConfig\.patience: say its unit"):
        parameter_script.page()


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


# The page of tables ------------------------------------------------------------------------------


def declared_tables():
    """Every class that its source says is a table, by schema and name, and each part."""
    found = set()
    for path in (ROOT / "pipeline").rglob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            schemas = {
                d.attr
                for d in getattr(node, "decorator_list", ())
                if isinstance(d, ast.Attribute) and getattr(d.value, "id", "") == "schemas"
            }
            for schema in schemas:
                found.add((schema, node.name))
                found |= {
                    (schema, f"{node.name}.{part.name}")
                    for part in node.body
                    if isinstance(part, ast.ClassDef)
                }
    return found


def test_the_page_of_tables_is_up_to_date():
    stored = (ROOT / "docs" / "tables.md").read_text(encoding="utf-8")
    assert stored == table_script.page(), "run `make docs` and commit what it writes"


def test_the_page_of_tables_has_every_table_and_column():
    tables = table_script.read_tables()
    named = {(schema, table.name) for schema, group in tables.items() for table in group}
    assert named == declared_tables()
    stored = (ROOT / "docs" / "tables.md").read_text(encoding="utf-8")
    for table in (table for group in tables.values() for table in group):
        (text,) = re.findall(
            rf"^### {re.escape(table.name)}\n(.*?)(?=^##|\Z)", stored, re.DOTALL | re.MULTILINE
        )
        declared = re.findall(r"^\s*(\w+)[^\n#]*?:", table.cls.definition, re.MULTILINE)
        assert re.findall(r"^\| (?:\*\*)?`(\w+)`", text, re.MULTILINE) == declared


def test_a_table_on_the_page():
    tables = {t.name: t for group in table_script.read_tables().values() for t in group}
    cohort, network = tables["Cohort"], tables["Training.Network"]
    assert cohort.primary_key == ["task_name", "network_name", "training_name", "first_seed"]
    assert network.primary_key == [*cohort.primary_key, "seed"]
    assert (network.tier, cohort.tier) == ("part", "manual")
    (origin,) = [c for c in cohort.columns if c.name == "origin"]
    assert (origin.type, origin.default) == ("enum('trained', 'imported')", "'trained'")
    assert tables["Training.Source"].indexes == ["unique index (task_name, sha256)"]
    assert table_script.filled_in(tables["NetworkParams"])["tau"] == "10.0"
    # 1 : 1 where the keys are the same, else 1 : many.
    drawn = table_script.diagram(table_script.read_tables(), ["training"])
    assert '"Cohort" ||--o| "Training" : ""' in drawn
    assert '"Training" ||--o{ "Training.Network" : ""' in drawn


def test_a_reference_to_an_unknown_table_is_an_error():
    class Odd:
        definition = """
        # a table
        -> Nowhere
        """

    with pytest.raises(ValueError, match="'Nowhere'"):
        table_script.parse(Odd, {})


# The page of the architecture --------------------------------------------------------------------


def test_the_page_of_the_architecture_is_up_to_date():
    stored = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert stored == architecture_script.page(), "run `make docs` and commit what it writes"


def test_the_tree_has_every_folder_and_every_layer():
    tree = architecture_script.tree()
    for name in architecture_script.folders():
        assert f"| **`{name}/`** | " in tree
    for package in ("models", "pipeline"):
        for path in (ROOT / package).iterdir():
            if (path / "__init__.py").exists():
                assert f"| `{package}/{path.name}/` | " in tree
            elif path.suffix == ".py" and path.stem != "__init__":
                assert f"| `{package}/{path.name}` | " in tree


def test_the_picture_has_the_layers_of_the_contracts():
    drawn = architecture_script.diagram()
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    for contract in contracts["contracts"]:
        for package in contract.get("containers", ()):
            if "." in package:
                inner = architecture_script.inner_layers()
                (line,) = re.findall(rf"inside `{package.replace('.', '/')}/`: (.*)", inner)
                rows = [row.replace("`", "").replace(" · ", " | ") for row in line.split(" → ")]
                assert rows == contract["layers"]
                continue
            labels = re.findall(rf'^\s+{package}_\d+\["(.*)"\]$', drawn, re.MULTILINE)
            assert [label.replace(" · ", " | ") for label in labels] == contract["layers"]
    assert "pipeline ==> models" in drawn
    assert "models ==> tasks_lib" in drawn


def test_a_folder_of_which_nothing_is_said_is_an_error(monkeypatch):
    monkeypatch.delitem(architecture_script.TEXTS, "cluster")
    with pytest.raises(ValueError, match="cluster/"):
        architecture_script.tree()


def test_the_streams_of_the_page_are_those_of_the_code():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^    \| `(\w+)` \| (\d+) \|", text, re.MULTILINE)
    assert {name: int(number) for name, number in rows} == STREAMS


# Coming from another package ---------------------------------------------------------------------


def test_our_words_for_those_of_other_packages_exist():
    """In the tables' right column: fields, arguments of tasks, members and tables of ours."""
    text = (ROOT / "docs" / "howto" / "words.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (?!there)(.+) \| (.+) \|$", text, re.MULTILINE)
    known = {field.name for config in (NetworkConfig, TrainingConfig) for field in fields(config)}
    known |= {*dir(models), *dir(pipeline), *dir(tasks_lib.Task), *WEIGHTS, *NETWORK_LAYOUT}
    known |= {*inspect.signature(tasks_lib.task_class("NeuroGym")).parameters}
    said = set()
    for theirs, ours in rows:
        words = theirs if ours.startswith("the same name") else ours
        for span in re.findall(r"`(.+?)`", re.sub(r"\[.*?\]\(.*?\)", "", words)):
            said |= {span} if re.fullmatch(r"[a-zA-Z_]+(\.\w+)?", span) else set()
    foreign = {
        "dropout_args",
        "training_iters",
        "N_batch",
        "timing",
    }  # of a formula, of an argument
    assert len(rows) > 40
    assert len(said) > 60
    unknown = {word for word in said if word.split(".")[0] not in known} - foreign
    assert unknown == set()


# The site ----------------------------------------------------------------------------------------


def test_links_lead_to_pages_that_show_sources():
    text = "[a](../examples/x.py) `[b](../examples/x.py)` [c](../examples/x.py#top) [d](e.md)\n"
    text += "```\n[f](../examples/x.py)\n```\n``[g](`` [`h`](../examples/x.py)\n"
    assert [*site_script.links("docs/p.md", text)] == [
        "examples/x.py", "examples/x.py", "docs/e.md", "examples/x.py",
    ]  # fmt: skip
    shown = site_script.relinked("docs/p.md", text, lambda path: path == "examples/x.py")
    assert shown.count("x.py.md") == 3
    assert "`[b](../examples/x.py)`" in shown
    assert "\n[f](../examples/x.py)\n" in shown
    assert "(../examples/x.py.md#top)" in shown


def test_what_lies_outside_is_not_gathered(tmp_path, monkeypatch):
    assert site_script.resolved("docs/p.md", "https://example.org/x.py") is None
    assert site_script.resolved("docs/p.md", "../../secrets.py") is None
    assert not site_script.is_published(".ci/run")
    assert not site_script.is_published("docs")
    (tmp_path / "seen.md").write_text("x")
    (tmp_path / "unseen.md").write_text("x")
    (tmp_path / ".gitignore").write_text("unseen.md\n")
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    monkeypatch.setattr(site_script, "ROOT", tmp_path)
    assert site_script.tracked("*.md") == ["seen.md"]


@pytest.mark.slow
def test_every_page_has_its_place_in_the_menu():
    config = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    menu = re.search(r"^nav:\n(.*?)^\S", config, re.DOTALL | re.MULTILINE)[1]
    listed = re.findall(r"([\w./]+\.md)$", menu, re.MULTILINE)
    pages = site_script.tracked(*site_script.PAGES)
    pages += [f"{path}.md" for path in site_script.tracked(site_script.NOTEBOOKS)]
    pages += [f"reference/{name}" for name in reference_script.reference_pages()]
    assert sorted(listed) == sorted(pages)


def test_the_reference_shows_all_that_the_packages_name():
    for package, page in ((p, f"{p.__name__}.md") for p in (tasks_lib, models, pipeline)):
        text = reference_script.reference_pages()[page]
        shown = re.findall(r"^::: .*\.(\w+)$|^#+ (\w+)$", text, re.MULTILINE)
        assert {a or b for a, b in shown} >= set(package.__all__)
    aliases = reference_script.reference_pages()["models.md"]
    assert "### LineAttractor\n\nAnother name of [`ContextLineAttractor`]" in aliases


def test_nothing_of_the_site_is_loaded_from_elsewhere():
    """The copy of Mermaid is the one that was published, and it is the one that is used."""
    folder = ROOT / "docs" / "assets"
    content = (folder / "mermaid.tiny.js").read_bytes()
    assert hashlib.sha256(content).hexdigest() == MERMAID_SHA256
    config = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert "font: false" in config
    assert "docs/assets/mermaid.tiny.js" in config
    assert "://" not in re.sub(r"#.*", "", config)


def test_no_formula_is_taken_for_a_tag():
    """`<p, g>` outside of code is a paragraph to a browser, and is not seen."""
    for page in site_script.tracked(*site_script.PAGES):
        text = site_script.CODE_OR_LINK.sub("", (ROOT / page).read_text(encoding="utf-8"))
        assert re.findall(r"<[A-Za-z][^>]*>", text) == [], page
