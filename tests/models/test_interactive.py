"""The interactive view: what it shows, and what it says where plotly is missing."""

from __future__ import annotations

import builtins

import numpy as np
import pytest

from models import (
    DynamicSystemAnalyzer,
    Projection,
    RNNNumpy,
    saddle_connections,
    view_fixed_points,
)
from tasks_lib.errors import ParameterError


@pytest.fixture
def rnn():
    return RNNNumpy(
        W_rec=2.0 * np.eye(3), W_inp=np.eye(3), W_out=np.ones((1, 3)), activation="tanh"
    )


@pytest.fixture
def sets(rnn):
    analyser = DynamicSystemAnalyzer(rnn)
    analyser.get_fixed_points(np.zeros(3), name="rest")
    analyser.get_fixed_points([0.3, 0.0, 0.0], name="bit 1")
    return analyser.fixed_points


def test_every_point_is_there_and_says_what_it_is(rnn, sets):
    pytest.importorskip("plotly")
    states = rnn.run(np.zeros((3, 30, 4)), x_init=np.random.default_rng(0).normal(size=(3, 4)))[0]
    frame = Projection.principal(states)
    flow = {"rest": saddle_connections(rnn, sets["rest"])}
    figure = view_fixed_points(sets, frame, states, flow)
    traces = {trace.name: trace for trace in figure.data}
    assert list(traces) == ["trials", "input rest: flow", "input rest", "input bit 1"]
    for name, found in sets.items():
        trace = traces[f"input {name}"]
        assert np.allclose([trace.x, trace.y, trace.z], frame(found.points.T))
        assert len(trace.text) == len(found)
        for i, text in enumerate(trace.text):
            kind = "stable" if found.stability[i] == "stable" else f"{found.n_unstable[i]} unstable"
            assert f"input {name}, point {i}: {kind}" in text
            assert f"|F| = {found.residual[i]:.1e}" in text
            assert f"{found.eigenvalues[i, 0].real:.3g}" in text
            assert f"{found.time_constants[i]:.3g} τ" in text
    assert len(set(traces["input rest"].marker.symbol)) == 4  # 0 to 3 unstable modes
    colours = {traces[f"input {name}"].marker.color for name in sets}
    assert len(colours) == 2
    # trials are lines that do not run into each other
    assert np.isnan(np.asarray(traces["trials"].x)).sum() == 4
    assert figure.layout.scene.xaxis.title.text.startswith("PC 1 (")
    assert figure.layout.scene.aspectmode == "data"
    assert "rest" in figure.to_json()


def test_complex_eigenvalues_are_shown_with_their_imaginary_part():
    pytest.importorskip("plotly")
    rnn = RNNNumpy(
        W_rec=[[0.5, -1.0, 0.0], [1.0, 0.5, 0.0], [0.0, 0.0, 0.1]], W_inp=np.zeros((3, 1)),
        W_out=np.ones((1, 3)), activation="tanh",
    )  # fmt: skip
    found = DynamicSystemAnalyzer(rnn).get_fixed_points([0.0])
    (trace,) = view_fixed_points({"rest": found}).data
    assert "eigenvalues (per τ): -0.5+1i, -0.5-1i, -0.9" in trace.text[0]


def test_the_same_input_is_refused_as_by_the_plots(sets):
    pytest.importorskip("plotly")
    with pytest.raises(ParameterError, match="P\\.shape"):
        view_fixed_points(sets, np.eye(3)[:, :2])
    with pytest.raises(ParameterError, match="find some first"):
        view_fixed_points({})


def test_without_plotly_it_says_what_to_install(sets, monkeypatch):
    real = builtins.__import__

    def without_plotly(name, *arguments, **keywords):
        if name.split(".")[0] == "plotly":
            raise ImportError(name)
        return real(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", without_plotly)
    with pytest.raises(ImportError, match=r"pip install .*rnn-pipeline\[interactive\]"):
        view_fixed_points(sets)


@pytest.mark.slow
def test_importing_the_library_does_not_import_plotly():
    import subprocess
    import sys

    code = "import models, sys; raise SystemExit('plotly' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
