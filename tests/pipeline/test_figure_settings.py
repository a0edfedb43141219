"""Stored figures do not depend on the settings of matplotlib of who draws them."""

from __future__ import annotations

import importlib
import inspect
import os
import pkgutil
import subprocess
import sys

import matplotlib
import numpy as np
import pytest

import models.plots
from models import DynamicSystemAnalyzer, PerformanceAnalyzer, RNNNumpy
from models.plots.fixed_points import plot_fixed_points
from models.plots.psychometrics import plot_psychometrics
from models.plots.task import plot_task
from models.plots.training import plot_loss_terms
from models.plots.weights import plot_weight_eigenvalues, plot_weight_histograms
from pipeline.store.codecs import to_png
from tasks_lib import CDDM, NBitFlipFlop

pytestmark = pytest.mark.either_backend

SETTINGS = {
    "text.usetex": True, "font.family": "serif", "font.size": 20, "savefig.bbox": "tight",
    "savefig.pad_inches": 1, "figure.dpi": 37, "savefig.dpi": 11, "axes.facecolor": "black",
    "savefig.transparent": True, "lines.linewidth": 9, "axes.grid": True, "image.cmap": "hot",
    "figure.autolayout": True, "axes.xmargin": 0.4, "xtick.direction": "in",
    "axes.prop_cycle": matplotlib.cycler(color=["pink"]), "axes.unicode_minus": False,
}  # fmt: skip


def flip_flop():
    rnn = RNNNumpy(W_rec=2.0 * np.eye(3), W_inp=np.eye(3), W_out=np.eye(3), activation="tanh")
    return rnn, NBitFlipFlop(n_steps=30, batch_size=4, pulse=3, seed=0)


def fixed_points(projection):
    points = DynamicSystemAnalyzer(*flip_flop()).get_fixed_points([0.0, 0.0, 0.0])
    return plot_fixed_points({"none": points}, projection)


def psychometrics():
    rnn = RNNNumpy(np.zeros((4, 4)), np.ones((4, 6)), np.ones((2, 4)), activation="tanh")
    task = CDDM(n_steps=20, stim_on=5, dec_on=14, coherences=[-1.0, 0.0, 1.0], seed=0)
    return plot_psychometrics(PerformanceAnalyzer(rnn, task).get_psychometrics(n_repeats=2))


def trials():
    rnn, task = flip_flop()
    return PerformanceAnalyzer(rnn, task).plot_trials(*task.get_batch()[:2])


FIGURES = {
    "trials": trials,
    "task": lambda: plot_task(flip_flop()[1]),
    "points": lambda: fixed_points("2D"),
    "points in 3D": lambda: fixed_points("3D"),
    "losses": lambda: plot_loss_terms({"task": np.array([1.0, 0.1]), "metabolic": np.ones(2)}),
    "histograms": lambda: plot_weight_histograms(flip_flop()[0]),
    "eigenvalues": lambda: plot_weight_eigenvalues(flip_flop()[0]),
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_the_same_to_the_byte(name):
    expected = to_png(FIGURES[name]())
    with matplotlib.rc_context(SETTINGS):
        found = to_png(FIGURES[name]())
        assert matplotlib.rcParams["font.size"] == 20  # they stay who draws
    assert found == expected


def test_every_function_that_draws_is_one_of_these():
    drawing = []
    for module in pkgutil.iter_modules(models.plots.__path__):
        if module.name == "interactive":  # plotly's
            continue
        here = importlib.import_module(f"models.plots.{module.name}")
        for name, function in inspect.getmembers(here, inspect.isfunction):
            if name.startswith(("plot_", "animate_")) and function.__module__ == here.__name__:
                drawing.append(name)
                assert function.__wrapped__, name
    assert len(drawing) > 10


def test_a_settings_file_of_the_worker_is_not_read(tmp_path):
    """With a display that is not there, and LaTeX that is not there either."""
    script = (
        "import hashlib, numpy as np\n"
        "from models.plots.training import plot_loss_terms\n"
        "from pipeline.store.codecs import to_png\n"
        "print(hashlib.sha256(to_png(plot_loss_terms({'task': np.array([1.0, 0.1])}))).hexdigest())"
    )
    (tmp_path / "matplotlibrc").write_text(
        "backend: TkAgg\ntext.usetex: True\nfont.family: serif\nsavefig.bbox: tight\n"
        "figure.dpi: 30\n"
    )
    hashes = set()
    for more in ({}, {"MATPLOTLIBRC": str(tmp_path)}, {"MPLBACKEND": "module://nowhere"}):
        clean = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "MPLBACKEND")}
        done = subprocess.run(
            [sys.executable, "-c", script], env={**clean, **more}, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        hashes.add(done.stdout)
    assert len(hashes) == 1
