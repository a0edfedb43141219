"""The analyser: reference values, linearisation, bad input and figures."""

from __future__ import annotations

import io
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.collections import PathCollection

from models.analysis.dynamic_system import DynamicSystemAnalyzer
from models.network.rnn_numpy import RNNNumpy
from models.plots.fixed_points import plot_fixed_points
from models.plots.palette import CATEGORIES
from models.plots.projection import principal_directions
from tasks_lib.errors import ParameterError

DATA = Path(__file__).parents[1] / "data"


def reference(name):
    data = np.load(DATA / f"dynamics_{name}.npz")
    weights = {key: data[key] for key in ("W_rec", "W_inp", "W_out", "b_rec")}
    return RNNNumpy(**weights, **json.loads(str(data["params"]))), data


@pytest.fixture
def rnn():
    return RNNNumpy(
        W_rec=2.0 * np.eye(3), W_inp=np.eye(3), W_out=np.ones((1, 3)), activation="tanh"
    )


@pytest.mark.parametrize("name", ["s_relu", "h_tanh"])
def test_reference_points(name):
    rnn, data = reference(name)
    u, points = data["u_point"], data["points"]
    assert np.abs(rnn.rhs(points, u) - data["rhs"]).max() < 1e-12
    assert np.abs(rnn.jacobian(points, u) - data["jacobian"]).max() < 1e-12
    analytics = DynamicSystemAnalyzer(rnn).compute_point_analytics(points.T, u)
    assert np.allclose(analytics.fun_val, np.sum(data["rhs"] ** 2, axis=0), rtol=1e-12)
    assert np.abs(analytics.jacobian - data["jacobian"]).max() < 1e-12


@pytest.mark.parametrize("gamma", [0.0, 0.2])
@pytest.mark.parametrize("equation_type", ["s", "h"])
@pytest.mark.parametrize(
    "activation", ["relu", "leaky_relu", "tanh", "sigmoid", "softplus", "gelu"]
)
def test_jacobian_against_finite_differences(activation, equation_type, gamma):
    rng = np.random.default_rng(2)
    rnn = RNNNumpy(
        W_rec=rng.standard_normal((6, 6)), W_inp=rng.standard_normal((6, 2)),
        W_out=rng.standard_normal((1, 6)), b_rec=rng.standard_normal(6),
        activation=activation, equation_type=equation_type, gamma=gamma,
    )  # fmt: skip
    x, u, h = rng.standard_normal(6), rng.standard_normal(2), 1e-6
    numeric = np.stack([(rnn.rhs(x + h * e, u) - rnn.rhs(x - h * e, u)) / (2 * h)
                        for e in np.eye(6)], axis=1)  # fmt: skip
    assert np.allclose(rnn.jacobian(x, u), numeric, atol=1e-7)


@pytest.mark.parametrize("equation_type", ["s", "h"])
def test_point_analytics(equation_type):
    rng = np.random.default_rng(5)
    rnn = RNNNumpy(
        W_rec=rng.standard_normal((7, 7)), W_inp=rng.standard_normal((7, 2)),
        W_out=rng.standard_normal((3, 7)), activation="tanh", equation_type=equation_type,
    )  # fmt: skip
    analyser = DynamicSystemAnalyzer(rnn)
    x, u = rng.standard_normal((4, 7)), np.array([0.1, -0.2])
    many = analyser.compute_point_analytics(x, u)
    assert (np.diff(many.eigenvalues.real, axis=1) <= 0).all()
    for p in range(4):
        one = analyser.compute_point_analytics(x[p], u)
        J = rnn.jacobian(x[p], u)
        assert isinstance(one.fun_val, float)
        assert one.fun_val == pytest.approx(np.sum(rnn.rhs(x[p], u) ** 2), rel=1e-12)
        assert one.right.shape == one.left.shape == (7,)
        assert abs(one.left @ one.right - 1) < 1e-12
        assert np.allclose(J @ one.right, one.eigenvalues[0] * one.right)
        assert np.allclose(one.left @ J, one.eigenvalues[0] * one.left)
        assert np.linalg.norm(one.right) == pytest.approx(1)
        assert np.allclose(one.left_vectors @ one.right_vectors, np.eye(7), atol=1e-10)
        assert np.allclose(one.eigenvalues, many.eigenvalues[p])
        assert np.allclose(one.left, many.left[p])
        assert 0 < one.henrici < 1
        # what a nudge of the input, and of the state along a mode, does to first order
        h = 1e-6
        for i, e in enumerate(np.eye(2)):
            push = (rnn.rhs(x[p], u + h * e) - rnn.rhs(x[p], u - h * e)) / (2 * h)
            seen = np.abs(one.left_vectors @ push)
            assert np.allclose(one.input_participation[:, i], seen, rtol=1e-5, atol=1e-8)
        moved = np.stack([rnn.readout(x[p] + h * e) - rnn.readout(x[p] - h * e)
                          for e in np.eye(7)], axis=1) / (2 * h)  # fmt: skip
        shown = np.abs(moved @ one.right_vectors).T
        assert np.allclose(one.output_participation, shown, rtol=1e-5, atol=1e-8)


def test_analyser_finds_and_remembers(rnn):
    analyser = DynamicSystemAnalyzer(rnn)
    found = analyser.get_fixed_points([0.0, 0.0, 0.0])
    assert found.by_index() == {0: 8, 1: 12, 2: 6, 3: 1}
    pushed = analyser.get_fixed_points([1.0, 1.0, 1.0], name="pushed")
    assert len(pushed) == 1
    assert pushed.index_sum == 1
    assert list(analyser.fixed_points) == ["[0, 0, 0]", "pushed"]


def test_starts_come_from_the_task(rnn):
    inputs = np.zeros((3, 40, 5))
    task = SimpleNamespace(
        n_inputs=3,
        get_batch=lambda: (inputs, None, []),
        reset=lambda seed: None,
        analysis_inputs={"rest": np.zeros(3)},
    )
    analyser = DynamicSystemAnalyzer(rnn, task)
    # from the resting state the trials never leave the origin; the rounds after must
    assert len(analyser.get_fixed_points("rest")) == 27
    assert list(analyser.fixed_points) == ["rest"]
    with pytest.raises(ParameterError, match="rest"):
        analyser.get_fixed_points("motion")


@pytest.mark.parametrize(
    ("u", "keywords", "field"),
    [
        ([0.0, 0.0], {}, "u.shape"),
        ([[0.0, 0.0, 0.0]], {}, "u.shape"),
        ([0.0, np.nan, 0.0], {}, "u"),
        ([0.0, np.inf, 0.0], {}, "u"),
        ([0.0] * 3, {"fun_tol": 1e-18}, "fun_tol"),
        ([0.0] * 3, {"fun_tol": 0.0}, "fun_tol"),
        ([0.0] * 3, {"fun_tol": np.nan}, "fun_tol"),
        ([0.0] * 3, {"mode": "approx", "fun_tol": 1e-40}, "fun_tol"),
        ([0.0] * 3, {"diff_cutoff": 1e-17}, "diff_cutoff"),
        ([0.0] * 3, {"eig_cutoff": 0.0}, "eig_cutoff"),
        ([0.0] * 3, {"mode": "fsolve"}, "mode"),
        ([0.0] * 3, {"n_starts": 0}, "n_starts"),
        ([0.0] * 3, {"max_starts": 2}, "max_starts"),
        ([0.0] * 3, {"noise": -1.0}, "noise"),
        ([0.0] * 3, {"coverage": 2.0}, "coverage"),
        ([0.0] * 3, {"trajectories": np.zeros((4, 5, 6))}, "trajectories.shape"),
        ([0.0] * 3, {"trajectories": np.full((3, 5, 6), np.nan)}, "trajectories"),
        ("rest", {}, "u"),
    ],
)
def test_bad_input_is_refused(rnn, u, keywords, field):
    with pytest.raises(ParameterError) as caught:
        DynamicSystemAnalyzer(rnn).get_fixed_points(u, **keywords)
    assert caught.value.field == field


def test_bad_networks_and_points_are_refused(rnn):
    analyser = DynamicSystemAnalyzer(rnn)
    for x in (np.zeros(2), np.zeros((3, 2)), np.full(3, np.nan)):
        with pytest.raises(ParameterError):
            analyser.compute_point_analytics(x, np.zeros(3))
    with pytest.raises(ParameterError, match="network has 3 inputs"):
        DynamicSystemAnalyzer(rnn, SimpleNamespace(n_inputs=2))
    rnn.W_rec[0, 0] = np.nan
    with pytest.raises(ParameterError, match="W_rec"):
        DynamicSystemAnalyzer(rnn)


@pytest.mark.parametrize("projection", ["2D", "3D"])
def test_figures(rnn, projection):
    analyser = DynamicSystemAnalyzer(rnn)
    analyser.get_fixed_points(np.zeros(3), name="rest")
    analyser.get_fixed_points([0.3, 0.0, 0.0], name="bit 1")
    states = rnn.run(np.zeros((3, 30, 4)), x_init=np.random.default_rng(0).normal(size=(3, 4)))[0]
    figure = analyser.plot_fixed_points(projection, trajectories=states)
    axes = figure.axes[0]
    for number, label in enumerate((axes.get_xlabel(), axes.get_ylabel()), 1):
        assert label.startswith(f"PC {number} (") and "%" in label
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts[:3] == ["input rest", "input bit 1", "stable"]
    assert "1 unstable mode" in texts
    assert "3 unstable modes" in texts
    file = io.BytesIO()
    figure.savefig(file)
    assert len(file.getvalue()) > 10_000
    only = analyser.plot_fixed_points(projection, names=["rest"])
    left = [text.get_text() for text in only.legends[0].get_texts()]
    assert "input bit 1" not in left and "trials" not in left
    # a set keeps its colour where others are not drawn
    last = analyser.plot_fixed_points(projection, names=["bit 1"])
    assert last.legends[0].legend_handles[0].get_color() == CATEGORIES[1]


def test_projection_is_used_as_given(rnn):
    analyser = DynamicSystemAnalyzer(rnn)
    found = analyser.get_fixed_points(np.zeros(3))
    P = np.eye(3)[:, 1:]
    axes = plot_fixed_points({"rest": found}, P=P).axes[0]
    points = [c for c in axes.collections if isinstance(c, PathCollection)]
    drawn = np.vstack([np.asarray(c.get_offsets()) for c in points])
    expected = found.points @ P
    assert np.allclose(np.sort(drawn.ravel()), np.sort(expected.ravel()))
    assert axes.get_xlabel().startswith("Axis 1 (") and "%" in axes.get_xlabel()
    skewed = plot_fixed_points({"rest": found}, P=2 * P).axes[0]
    assert skewed.get_xlabel() == "Axis 1 (a.u.)"  # shares of variance are of orthonormal axes
    with pytest.raises(ParameterError, match="P\\.shape"):
        plot_fixed_points({"rest": found}, P=np.eye(3))
    with pytest.raises(ParameterError, match="find some first"):
        plot_fixed_points({})
    with pytest.raises(ParameterError):
        plot_fixed_points({"rest": found}, "4D")


def test_principal_directions_are_orthonormal_and_ordered():
    data = np.random.default_rng(0).normal(size=(5, 300)) * np.array([3, 0.1, 2, 0.1, 0.1])[:, None]
    P = principal_directions(data, 2)
    assert np.allclose(P.T @ P, np.eye(2))
    assert np.abs(P).argmax(axis=0).tolist() == [0, 2]
    assert principal_directions(data[:, :1], 3).shape == (5, 3)
