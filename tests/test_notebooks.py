"""The notebooks run on an embedded database that others have used, with shorter trainings."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import nbformat
import pytest

from tests import preloaded
from tests.test_readme import STEPS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def images(notebook):
    return [
        output
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    ]


# Enough iterations for what the cells look at: traces, a line and a ring of fixed points. What they
# show after as many as they say is committed, and `make notebooks` executes them so.
SHORTER = {600: 150, 1200: 600, 300: 100}


def shorter(source):
    return re.sub(r'(?<="max_iter": )\d+', lambda n: str(SHORTER.get(int(n[0]), n[0])), source)


ENTER = """
import sys, pipeline
from pipeline.cli.demo import SUBMISSION

pipeline.connect()
for file in (SUBMISSION, *sys.argv[1:]):
    pipeline.submit(file)
"""


@pytest.fixture(scope="module")
def home(short_folder):
    """A home where the demonstration, every example and the README's files have been submitted."""
    folder = short_folder / "notebooks"
    folder.mkdir()
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("DJ_", "RNN_"))}
    examples = sorted(map(str, (ROOT / "examples").glob("*.yaml")))
    assert len(examples) >= 12
    for number, (kind, text) in enumerate(STEPS):
        if kind == "yaml" and "NeuroGym" not in text:  # which asks for a variable of its own
            (folder / f"{number}.yaml").write_text(text, encoding="utf-8")
            examples.append(str(folder / f"{number}.yaml"))
    preloaded.run(
        [sys.executable, "-c", ENTER, *examples],
        check=True, cwd=ROOT, env={**clean, "RNN_HOME": str(folder)},
    )  # fmt: skip
    return folder


def printed(notebook):
    return "".join(
        output.text
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if output.output_type == "stream"
    )


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebook_runs_twice_after_all_examples_and_is_committed_with_its_outputs(path, home):
    from run_notebooks import execute

    executed = execute(path, home, shorter)
    committed = nbformat.read(path, as_version=4)
    assert len(images(executed)) == len(images(committed)) >= 2
    assert all(cell.outputs or not cell.source.strip().endswith(")") for cell in committed.cells
               if cell.cell_type == "code" and "connect()" not in cell.source)  # fmt: skip
    shares_sets = path.stem not in ("03_sweep", "04_populations")  # with the examples
    assert ("which is used" in printed(executed)) == shares_sets
    assert re.search(r"cohorts: [1-9]\d* new", printed(executed))
    assert "which is used" not in printed(committed)  # in a home of its own
    again = printed(execute(path, home, shorter))
    assert ("which is used" in again) == shares_sets and not re.search(r" [1-9]\d* new", again)


def test_there_are_notebooks():
    names = [p.name for p in NOTEBOOKS]
    assert names == [
        "01_quickstart.ipynb", "02_fixed_points.ipynb", "03_sweep.ipynb", "04_populations.ipynb",
    ]  # fmt: skip
