"""The colours of figures: one a meaning, told apart with any colour vision."""

from __future__ import annotations

import io
from itertools import combinations

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_hex, to_rgb

from models import figure_style, plot_learning_curves, plot_task
from models.plots import palette
from models.plots.learning_curves import LearningCurve
from tasks_lib import CDDM, DMTS, ParameterError

# Machado, Oliveira & Fernandes (2009), severity 1: what those see who lack a kind of cones.
VISIONS = {
    "usual": np.eye(3),
    "protanopia": np.array([
        [0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ]),
    "deuteranopia": np.array([
        [0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ]),
    "tritanopia": np.array([
        [1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ]),
}  # fmt: skip
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = XYZ.sum(axis=1)


def lab(colour, vision):
    """CIELAB of a colour as somebody sees it."""
    c = np.array(to_rgb(colour))
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    xyz = XYZ @ np.clip(VISIONS[vision] @ linear, 0, 1) / WHITE
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("vision", VISIONS)
def test_colours_are_told_apart_with_any_vision(vision):
    """A difference of 2 can just be seen, side by side; of 10 at a glance."""
    shown = [*palette.CATEGORIES, palette.WINE, palette.PINK]
    seen = {colour: lab(colour, vision) for colour in shown}
    apart = {(a, b): np.linalg.norm(seen[a] - seen[b]) for a, b in combinations(shown, 2)}
    assert min(apart.values()) > 15
    often = [*palette.CATEGORIES[:4], palette.WINE, palette.PINK]
    assert min(apart[pair] for pair in combinations(often, 2)) > 20
    assert all(lab(c, vision)[0] < 80 for c in shown)  # on white paper


def test_a_meaning_has_one_colour_in_all_figures():
    named = palette.colours_of_names(["rest", "color", "motion"])
    assert {name: named[name] for name in palette.CONTEXTS} == palette.CONTEXTS
    assert named["rest"] not in palette.CONTEXTS.values()
    by_context = palette.colours_of_values("context", np.array(["color", "motion"]))
    assert by_context == [palette.CONTEXTS["color"], palette.CONTEXTS["motion"]]
    by_choice = palette.colours_of_values("choice", np.array([-1, 1]))
    assert by_choice == [palette.CHOICES[-1], palette.CHOICES[1]]
    for task in (CDDM(seed=0), DMTS(seed=0)):
        targets = plot_task(task, n_trials=1).axes[1]
        colours = [to_hex(patch.get_edgecolor()).upper() for patch in targets.patches
                   if type(patch).__name__ == "StepPatch"]  # fmt: skip
        assert colours == [palette.CHOICES[1], palette.CHOICES[-1]]


def test_stability_is_how_full_a_marker_is():
    assert palette.fill("#000000", "stable") == (0, 0, 0)
    assert palette.fill("#000000", "unstable") == (1, 1, 1)
    assert 0.3 < palette.fill("#000000", "marginal")[0] < 0.7


def test_numbers_are_coloured_in_their_order_and_signs_differ():
    signed = palette.colours_of_values("coherence", np.array([-1.0, -0.5, 0.0, 0.5]))
    assert signed[2] == "0.6"
    assert signed[0] != signed[3]
    light = [lab(c, "usual")[0] for c in palette.colours_of_values("n", np.arange(5.0))]
    assert light == sorted(light)


def curves():
    return plot_learning_curves([LearningCurve(np.array([2.0, 1.0]), group=g) for g in "ab"])


def test_a_style_of_ones_own_changes_letters_and_colours_and_nothing_stays(tmp_path):
    usual = curves()
    paper = tmp_path / "paper.mplstyle"
    paper.write_text("font.size: 12\naxes.labelsize: 12\naxes.prop_cycle: cycler(color=['red'])\n")
    with figure_style(paper, {"axes.facecolor": "yellow"}):
        own = curves()
    (axes,) = own.axes
    assert axes.xaxis.label.get_size() == 12
    assert axes.lines[0].get_color() == "red"
    assert to_hex(axes.get_facecolor()) == "#ffff00"
    assert matplotlib.rcParams["axes.facecolor"] == "white"
    again = curves()
    assert again.axes[0].xaxis.label.get_size() == usual.axes[0].xaxis.label.get_size() == 8
    with figure_style("ggplot"):
        assert to_hex(curves().axes[0].get_facecolor()) == "#e5e5e5"
    with figure_style({"font.size": 16}):
        own.savefig(io.BytesIO())


@pytest.mark.parametrize("bad", ["no such style", {"lines.linewith": 2}, {"font.size": "big"}])
def test_a_style_that_cannot_be_used_is_refused(bad):
    with pytest.raises(ParameterError, match="style"), figure_style(bad):
        pass
