"""Every picture of the documentation is made by a script, and is what it makes today."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from models.plots.files import figure_file
from models.plots.task import plot_task
from tasks_lib import TASKS

from .pictures import difference

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
sys.path.insert(0, str(ROOT / "scripts"))

import make_circuit_figure  # noqa: E402
import make_comparison_figure  # noqa: E402
import make_figures  # noqa: E402
import make_learning_figures  # noqa: E402
import make_manifold_figures  # noqa: E402
import make_population_figures  # noqa: E402
import make_recording_figure  # noqa: E402
import make_study_figure  # noqa: E402
import make_task_page  # noqa: E402

SCRIPTS = (
    make_circuit_figure, make_comparison_figure, make_learning_figures, make_manifold_figures,
    make_population_figures, make_recording_figure, make_study_figure,
)  # fmt: skip
STALE = "run `make docs`, look at it and commit it"


def names_of_tasks() -> dict[str, str]:
    return {f"tasks/{make_task_page.snake_name(name)}": name for name in TASKS}


def test_every_picture_is_shown_and_made_by_a_script():
    """The README's own are compared in test_readme.py; those of learning are whole trainings."""
    made = {*make_figures.FIGURES, *make_manifold_figures.FIGURES, *names_of_tasks()}
    made |= {*make_population_figures.FIGURES, *make_comparison_figure.FIGURES}
    made |= {*make_learning_figures.FIGURES, *make_circuit_figure.FIGURES}
    made |= {*make_recording_figure.FIGURES, *make_study_figure.FIGURES}
    there = {
        str(path.relative_to(DOCS / "figures").with_suffix(""))
        for path in (DOCS / "figures").rglob("*.png")
    }
    pages = [ROOT / "README.md", *DOCS.rglob("*.md")]
    shown = {
        name
        for page in pages
        for name in re.findall(r"!\[[^]]*\]\([^)]*figures/([\w/]+)\.png\)", page.read_text("utf-8"))
    }
    assert made == there == shown
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for script in (*SCRIPTS, make_figures, make_task_page):
        assert f"scripts/{Path(script.__file__).name}" in makefile


@pytest.mark.parametrize("name", names_of_tasks())
def test_the_picture_of_a_task_is_fresh(name, tmp_path):
    task = TASKS[names_of_tasks()[name]]
    figure = plot_task(task(seed=0), make_task_page.TRIALS.get(task.__name__))
    figure.savefig(tmp_path / "now.png", dpi=make_task_page.DPI)
    committed = (DOCS / "figures" / f"{name}.png").read_bytes()
    assert difference(committed, (tmp_path / "now.png").read_bytes()) < 0.5, STALE


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.__name__)
def test_pictures_of_dynamics_and_populations_are_fresh(script):
    drawn = {name: figure_file(figure, "png") for name, figure in script.figures().items()}
    assert {*drawn} == {*script.FIGURES}
    for name, content in drawn.items():
        committed = (DOCS / "figures" / f"{name}.png").read_bytes()
        assert difference(committed, content) < 0.5, f"{name}: {STALE}"
