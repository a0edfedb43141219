"""Places in figures: text that fits, and nothing beyond the edge, in any kind of figure."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from functools import cache, partial
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import rc_context, style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb, to_rgba
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.spines import Spine
from matplotlib.text import Text
from PIL import Image

from models import (
    BasinShares,
    DynamicSystemAnalyzer,
    InputExponents,
    InterventionSettings,
    LearningCurve,
    LyapunovAnalysis,
    PerformanceAnalyzer,
    RankOneSettings,
    RNNNumpy,
    figure_style,
    get_clusters,
    get_population,
    get_psychometrics,
    get_rank_one_parts,
    get_subspaces,
    get_trials,
    intervene,
    plot_activity_matrix,
    plot_basin_shares,
    plot_clusters,
    plot_intervention,
    plot_learning_curves,
    plot_loss_terms,
    plot_lyapunov,
    plot_manifolds,
    plot_population,
    plot_psychometrics,
    plot_rank_one_parts,
    plot_subspaces,
    plot_sweep,
    plot_task,
    plot_traces,
    plot_trajectories,
    plot_unit_responses,
    plot_weight_eigenvalues,
    plot_weight_histograms,
    plot_weight_matrices,
)
from models.fixed_points import SearchSettings, find_fixed_points
from models.manifolds import find_manifolds
from models.plots import palette
from models.plots.files import DescribedFigure, figure_file
from models.plots.layout import (
    corners,
    fitted,
    make_room_left,
    plan_legend,
    text_width,
    with_minus,
)
from models.plots.printed import PrintedFigure
from models.plots.style import SMALL
from models.populations.settings import ClusterSettings
from models.training.traces import TrainingTrace
from tasks_lib import CDDM, GoNoGo, MemoryNumber, NBitFlipFlop

from .population_networks import Flags, copies
from .test_clusters import Two, planted

PAGE = 7.25  # inches between the margins of a journal's page
LONG = "a_name_of_sixty_four_letters_as_the_tables_allow_it_and_no_longer"


def cddm():
    task = CDDM(n_steps=20, stim_on=5, dec_on=14, coherences=[-1.0, 0.0, 1.0], seed=0)
    rng = np.random.default_rng(0)
    return RNNNumpy(
        W_rec=rng.normal(size=(5, 5)), W_inp=1e-3 * rng.normal(size=(5, 6)),
        W_out=np.ones((2, 5)), activation="tanh",
    ), task  # fmt: skip


def go_no_go():
    task = GoNoGo(seed=0)
    return RNNNumpy(
        W_rec=np.eye(3), W_inp=0.1 * np.ones((3, task.n_inputs)),
        W_out=np.ones((task.n_outputs, 3)), activation="tanh",
    ), task  # fmt: skip


def curves(n, group="group {}", terms=()):
    losses = np.geomspace(10, 1e-7, 30)
    return [
        LearningCurve(
            losses * (i + 1), np.array([[10, -0.2], [30, 0.9]]), group.format(i),
            terms=dict.fromkeys(terms, losses), gradients=dict.fromkeys(terms, losses),
        )
        for i in range(n)
    ]  # fmt: skip


def trajectories(projection):
    rnn, task = cddm()
    return plot_trajectories(get_trials(rnn, task), projection=projection)


def numbers():
    task = MemoryNumber(seed=0)
    rnn = RNNNumpy(W_rec=np.eye(3), W_inp=np.ones((3, 3)), W_out=np.ones((1, 3)), activation="tanh")
    return plot_trajectories(get_trials(rnn, task))


def of_activity(draw):
    rnn, task = cddm()
    return draw(get_trials(rnn, task))


def of_sweep(**options):
    rows = [
        {"lr": lr, "network.n_units": n, LONG: form, "r2": lr + n + seed}
        for lr in (0.001, 0.00310723, 0.01)
        for n in (8, 16)
        for form in ("h", "a form with a long name")
        for seed in range(2)
    ]
    return plot_sweep(pd.DataFrame(rows), "lr", **options)


@cache
def small_rays():
    """A line of small states, whose numbers are long."""
    v = np.abs(np.random.default_rng(0).normal(size=12)) + 0.1
    v /= np.linalg.norm(v)
    rnn = RNNNumpy(W_rec=np.outer(v, v), W_inp=np.zeros((12, 1)), W_out=np.ones((1, 12)))
    pool = 1e-2 * np.abs(np.random.default_rng(1).normal(size=(12, 60)))
    found = find_fixed_points(rnn, np.zeros(1), pool, SearchSettings(max_starts=256))
    return found, find_manifolds(rnn, np.zeros(1), found, pool)


def manifolds(projection):
    found, rays = small_rays()
    axes = -np.eye(12)[:, : int(projection[0])]
    shown = {"delay": rays, "recall": rays * 2}
    return plot_manifolds(shown, projection, axes, points={"delay": found})


def fixed_points(projection):
    rnn, task = cddm()
    analyzer = DynamicSystemAnalyzer(rnn, task)
    for name in task.analysis_inputs:
        analyzer.get_fixed_points(name)
    return analyzer.plot_fixed_points(projection, trajectories=get_trials(rnn, task))


def traces():
    """Of what a long training records."""
    changes = {n: 1.5 * n for n in (100, 1000, 10_000)}
    return plot_traces(
        [
            [
                TrainingTrace(
                    iteration=n * 100, status="traced", reason="", participation_ratio=12.5,
                    n_silent=n, changes=changes, cosines=dict.fromkeys(changes, -0.5),
                    gradient_square=1e-7 * n, gradient_variance=3e-3 / n,
                )
                for n in range(1, 120, 20)
            ]
        ]
    )  # fmt: skip


def exponents():
    some = np.linspace(-1.5, 0.25, 24).reshape(12, 2)[:, ::-1]
    inputs = {
        f"{i}_{LONG}": InputExponents(np.zeros(1), some if i else some * np.nan, "growing")
        for i in range(12)
    }
    return plot_lyapunov(LyapunovAnalysis("analysed", "", some, inputs))


def of_population(what):
    rnn, task = copies([[1, 0], [1, 1], [-1, 0], [0, 1], [0, -1]], [0, 0, 0, 0, 0.3]), Flags()
    if what == "silent":
        rnn = copies(np.zeros((5, 2)))
    if what == "intervention":
        few = InterventionSettings(n_strengths=3, n_controls=3)
        return plot_intervention(intervene(rnn, task, few))
    if what == "subspaces":
        return plot_subspaces(get_subspaces(rnn, task))
    if what == "named clusters":
        rnn = planted()
        found = get_clusters(rnn, Two(), ClusterSettings(features="task_variance"))
        assert found.n_clusters
        names = tuple(f"{i}_{LONG}" for i in range(found.features.shape[1]))
        return plot_clusters(replace(found, feature_names=names), rnn.W_rec)
    if what in ("clusters", "silent"):
        return plot_clusters(get_clusters(rnn, task), rnn.W_rec)
    return plot_population(get_population(rnn, task))


FIGURES = {
    "manifolds": lambda: manifolds("2D"),
    "manifolds in space": lambda: manifolds("3D"),
    "fixed points": lambda: fixed_points("2D"),
    "fixed points in space": lambda: fixed_points("3D"),
    **{
        name: partial(of_population, name)
        for name in (
            "population",
            "subspaces",
            "clusters",
            "named clusters",
            "silent",
            "intervention",
        )
    },
    "exponents": exponents,
    "shares of basins": lambda: plot_basin_shares(
        {
            f"{i}_{LONG}": BasinShares(
                "analysed", "", *[np.zeros((3, 0))] * 3, np.array([0, 1, -1])
            )
            for i in range(20)
        }
    ),
    "rank-one parts": lambda: plot_rank_one_parts(
        get_rank_one_parts(cddm()[0], cddm()[1], RankOneSettings(max_parts=3))
    ),
    "traces": traces,
    "sweep": lambda: of_sweep(y="r2", hue="network.n_units", col=LONG),
    "sweep of names": lambda: of_sweep(y="r2", hue=LONG, kind="strip"),
    "map": lambda: of_sweep(y=LONG, hue="r2", kind="heat"),
    "task": lambda: plot_task(cddm()[1]),
    "bits": lambda: plot_task(NBitFlipFlop(n_steps=100, seed=0)),
    "psychometric": lambda: plot_psychometrics(get_psychometrics(*cddm())),
    "choices": lambda: plot_psychometrics(get_psychometrics(go_no_go()[0], go_no_go()[1])),
    "units": lambda: of_activity(plot_unit_responses),
    "one unit": lambda: of_activity(lambda trials: plot_unit_responses(trials, [0])),
    "matrix": lambda: of_activity(lambda trials: plot_activity_matrix(trials, "motion_coh")),
    "matrices": lambda: of_activity(lambda trials: plot_activity_matrix(trials, "context")),
    "weights": lambda: plot_weight_matrices(cddm()[0]),
    "histograms": lambda: plot_weight_histograms(cddm()[0]),
    "eigenvalues": lambda: plot_weight_eigenvalues(cddm()[0]),
    "trials": lambda: PerformanceAnalyzer(*cddm()).plot_trials(),
    "one trial": lambda: PerformanceAnalyzer(*cddm()).plot_trials(n_trials=1),
    "trajectories": lambda: trajectories("2D"),
    "in space": lambda: trajectories("3D"),
    "numbers": numbers,
    "curves": lambda: plot_learning_curves(curves(3)),
    "many curves": lambda: plot_learning_curves(curves(12, terms=("task", "metabolic"))),
    "long names": lambda: plot_learning_curves(curves(3, LONG + "{}")),
    "terms": lambda: plot_loss_terms({"task": [3e-9, 2e-9], LONG: [1.0, 2.0]}, {}, [[1, 0.5]]),
}


@pytest.mark.parametrize("letters", [8, 13])
@pytest.mark.parametrize("name", FIGURES)
def test_nothing_is_beyond_the_edge(name, letters):
    style = {"font.size": letters} if letters != 8 else {}
    if letters != 8:
        style |= {f"{each}.labelsize": letters for each in ("axes", "xtick", "ytick")}
        style |= {"legend.fontsize": letters, "axes.titlesize": letters}
    with figure_style(style):
        figure = FIGURES[name]()
    if letters == 8:
        assert figure.get_figwidth() <= PAGE
    # Axes choose their ticks by the size of letters, when they are measured too.
    sizes = dict.fromkeys(
        ("xtick.labelsize", "ytick.labelsize"), SMALL if letters == 8 else letters
    )
    with rc_context(sizes):
        check_places(figure)


def check_places(figure):
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    shown = [axes for axes in figure.axes if axes.get_visible()]
    parts = [axis for axes in shown for axis in (axes.xaxis, axes.yaxis)]
    parts += [axes.zaxis for axes in shown if axes.name == "3d"]
    boxes = [axis.get_tightbbox(renderer) for axis in parts]
    boxes += [axes.title.get_window_extent(renderer) for axes in shown if axes.get_title()]
    boxes += [corners(axes) for axes in shown if axes.name == "3d"]
    legends = [
        legend.get_window_extent(renderer)
        for legend in [*figure.legends, *(axes.get_legend() for axes in shown)]
        if legend is not None
    ]
    for box in filter(None, boxes + legends):
        assert box.x0 >= -1 and box.y0 >= -1
        assert box.x1 <= figure.bbox.x1 + 1 and box.y1 <= figure.bbox.y1 + 1
    for kind in ("xaxis", "yaxis"):  # numbers of one panel beside those of the next
        axes_boxes = [getattr(axes, kind).get_tightbbox(renderer) for axes in shown]
        for one, other in combinations(filter(None, axes_boxes), 2):
            assert not one.padded(-1).overlaps(other.padded(-1)), kind
    titles = [axes.title.get_window_extent(renderer) for axes in shown if axes.get_title()]
    assert not any(a.padded(2).overlaps(b) for a, b in combinations(titles, 2))
    labels = [axis.label.get_window_extent(renderer) for axis in parts if axis.label.get_text()]
    assert not any(legend.overlaps(label) for legend in legends for label in labels)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("-0.5 to -.25, -1", "−0.5 to −.25, −1"), ("choice -", "choice −"), ("(-3)", "(−3)"),
        ("lr=-1", "lr=−1"), ("1e-05", "1e-05"), ("a-b, x-1", "a-b, x-1"), ("-lr", "-lr"),
    ],
)  # fmt: skip
def test_signs_are_minus_and_hyphens_stay(text, shown):
    assert with_minus(text) == shown == with_minus(shown)


@pytest.mark.parametrize("name", FIGURES)
def test_figures_saved_by_hand_are_fit_for_print(name):
    """Where no style of ours is in force: ``figure.savefig("a.pdf")`` in a reader's script."""
    figure = FIGURES[name]()
    files = {}
    for kind in ("pdf", "svg", "png"):
        figure.savefig(buffer := io.BytesIO(), format=kind)
        files[kind] = buffer.getvalue()
    assert b"/Type3" not in files["pdf"] and b"/CIDFontType2" in files["pdf"]  # fonts, embedded
    assert b"/FontFile2" in files["pdf"]
    texts = [text.get_text() for axes in figure.axes for text in (axes.title, axes.xaxis.label)]
    words = {word for text in texts for word in text.split() if word.isalpha()}
    written = " ".join(re.findall(r"<text[^>]*>([^<]*)<", files["svg"].decode()))
    assert all(word in written for word in words)  # text, not outlines of letters
    with Image.open(io.BytesIO(files["png"])) as image:
        assert np.allclose(image.size, 300 * figure.get_size_inches(), atol=1)
    figure.savefig(buffer := io.BytesIO(), format="png", dpi=50)  # what is asked for goes first
    with Image.open(buffer) as image:
        assert np.allclose(image.size, 50 * figure.get_size_inches(), atol=1)


def test_a_line_ends_after_a_comma_where_what_is_between_two_fits():
    text = "motion, motion coh 0.5, color coh -0.25"
    assert fitted(text, 2.0) == "motion, motion coh 0.5,\ncolor coh −0.25"
    assert fitted("a word that is longer than its line is", 0.8).count("\n") >= 1


@pytest.mark.parametrize("width", [1.6, 1.8, 1.9])
def test_a_long_name_breaks_at_its_points_and_not_within_a_word(width):
    shown = fitted("training.penalties.fr_magnitude.weight", width)
    assert shown.replace("\n", "") == "training.penalties.fr_magnitude.weight"
    assert "\n" in shown and all(line[-1] in "._" for line in shown.split("\n")[:-1])
    # Where there is no room for that, all of it is shown all the same.
    assert fitted(shown.replace("\n", ""), 1.4).replace("\n", "") == shown.replace("\n", "")


@pytest.mark.parametrize("number", [1.0, -1.25])
def test_axes_move_for_labels_that_would_be_cut_off(number):
    figure = PrintedFigure(figsize=(7.0, 3.0))
    axes = figure.add_axes((0.08, 0.2, 0.4, 0.7))
    axes.set_yticks([number])
    axes.set_ylabel("PC 2 (1 % of variance)", size=12)
    before = axes.get_position()
    make_room_left(figure, axes)
    label = axes.yaxis.get_tightbbox(FigureCanvasAgg(figure).get_renderer())
    assert label.x0 >= 0 and axes.get_position().x1 == pytest.approx(before.x1)
    moved = axes.get_position().x0 - before.x0
    assert moved > 0 if number < 0 else moved == 0


def test_a_notebook_does_not_cut_the_labels_of_axes_in_space():
    """It saves figures with ``bbox_inches="tight"``, by which 3D axes come too small."""
    figure, buffer = trajectories("3D"), io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100, bbox_inches="tight", pad_inches=0)
    with Image.open(buffer) as image:
        assert np.all(np.array(image.size) >= np.floor(100 * figure.get_size_inches()))


@settings(deadline=None)
@given(st.text(st.sampled_from("abc dW_ij,+"), max_size=120), st.floats(0.4, 4.0))
def test_a_text_that_is_fitted_is_no_wider(text, width):
    shown = fitted(text, width)
    assert shown.count("\n") < 3
    assert all(text_width(line) <= 1.35 * width for line in shown.split("\n"))
    if text_width(text) <= width:
        assert shown == text


@settings(deadline=None)
@given(st.lists(st.integers(1, 60), max_size=20), st.floats(2.0, 8.0))
def test_a_legend_has_the_columns_that_its_figure_bears(lengths, width):
    handles = [Line2D([], [], label="x" * n) for n in lengths]
    plan = plan_legend(handles, width)
    assert (plan.height > 0) == bool(handles)
    assert 1 <= plan.n_columns <= 4


def test_files_are_the_same_each_time_and_say_what_they_are_of():
    shown = DescribedFigure(
        FIGURES["curves"](), {"table": "T", "of": {"task_name": "ä", "seed": 3}, "code": "c 1"}
    )
    assert shown.title == "T · ä · seed 3"
    for kind in ("png", "pdf", "svg"):
        content = figure_file(shown, kind)
        assert content == figure_file(shown, kind)
        plain = figure_file(DescribedFigure(FIGURES["curves"]()), kind)
        assert plain == figure_file(FIGURES["curves"](), kind) != content
        assert len(figure_file(shown, kind, footer=True)) > len(content) - 2000
    assert "seed 3" in figure_file(shown, "svg").decode()


def test_a_sweep_has_colours_in_the_order_of_its_number_however_many_there_are():
    many = [
        LearningCurve(np.array([2.0, 1.0]), group=f"lr = {v:g}", value=v)
        for v in np.geomspace(1e-4, 1, 20)[::-1]
    ]
    figure = plot_learning_curves(many)
    colours = [line.get_color() for line in figure.axes[0].lines]
    light = [sum(colour[:3]) for colour in colours]
    assert len(set(colours)) == 20 and light == sorted(light)
    named = [text.get_text() for text in figure.legends[0].get_texts()]
    assert len(named) == 6
    assert named[0] == "lr = 0.0001 (1 network)" and named[-1] == "lr = 1 (1 network)"


def contrast(colour, paper):
    """Ratio of luminances, as WCAG has it: 1 is not seen at all."""

    def luminance(one):
        c = np.array(to_rgb(one))
        return (
            np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
            @ [0.2126, 0.7152, 0.0722]
            + 0.05
        )

    low, high = sorted((luminance(colour), luminance(paper)))
    return high / low


def greys_of(figure):
    """What a figure draws in greys: artist and colour, of markers that of the edge."""
    shown = [(text, text.get_color()) for text in figure.findobj(Text) if text.get_text()]
    for line in figure.findobj(Line2D):
        if len(line.get_xdata()) or line.get_label():
            drawn = line.get_linestyle() not in ("None", "")
            shown.append((line, line.get_color() if drawn else line.get_markeredgecolor()))
    papers = {figure.patch, *(axes.patch for axes in figure.axes)}
    shown += [(p, p.get_facecolor()) for p in figure.findobj(Patch) if p not in papers]
    greys = [(a, c) for a, c in shown if isinstance(c, str | tuple) and c != "none"]
    return [(a, c) for a, c in greys if a.get_visible() and np.ptp(to_rgba(c)[:3]) < 1e-3
            and to_rgba(c)[3] > 0 and not isinstance(a, Spine)]  # fmt: skip


@pytest.mark.parametrize(
    "name", ["population", "intervention", "eigenvalues", "exponents", "shares of basins", "trials"]
)
def test_greys_are_seen_on_a_dark_background(name):
    with figure_style("dark_background"):
        figure = FIGURES[name]()
    assert to_hex(figure.get_facecolor()) == "#000000"
    found = greys_of(figure)
    assert len(found) > 5
    hidden = [(artist, colour) for artist, colour in found if contrast(colour, "black") < 1.3]
    assert not hidden
    assert {contrast(colour, "black") for _, colour in found if colour == palette.INK} == set()


def test_a_style_that_somebody_uses_hides_nothing():
    """Figures are those of our own style, saved where another one is in force."""
    drawn = []
    for chosen in ("default", "dark_background", {"savefig.facecolor": "black"}):
        with style.context(chosen):
            buffer = io.BytesIO()
            FIGURES["eigenvalues"]().savefig(buffer, format="png", dpi=60)
        drawn.append(buffer.getvalue())
    assert drawn[0] == drawn[1] == drawn[2]
