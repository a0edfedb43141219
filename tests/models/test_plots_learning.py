"""Figures of learning: what stands in them."""

from __future__ import annotations

import numpy as np
import pytest

from models import TrainingTrace, follow_learning, lines_of, plot_branches, plot_traces
from tasks_lib import ParameterError
from tests.models.test_learning import snapshots_of


def drawn(axes):
    return [line.get_xydata() for line in axes.lines if len(line.get_xydata())]


def test_traces_leave_gaps_where_nothing_is_known():
    own = [
        TrainingTrace(
            100, participation_ratio=2.0, n_silent=0, changes={100: 5.0}, gradient_square=-1.0
        ),
        TrainingTrace(200, n_silent=3, changes={100: 4.0}, cosines={100: 0.5}, gradient_square=0.1,
              gradient_variance=2.0),
    ]  # fmt: skip
    figure = plot_traces([own, []])
    dimension, silent, change, cosine, gradient, free = figure.axes
    assert drawn(dimension)[0].tolist() == [[100, 2.0]]
    assert drawn(silent)[0].tolist() == [[100, 0], [200, 3]]
    assert drawn(change)[0][:, 1] == pytest.approx([0.05, 0.04])
    assert drawn(cosine)[0].tolist() == [[200, 0.5]]
    assert np.isnan(drawn(gradient)[0][0, 1]) and drawn(gradient)[0][1, 1] == 0.1
    assert not free.get_visible()
    with pytest.raises(ParameterError, match="hold nothing"):
        plot_traces([[]])


def test_branches_begin_and_end_at_their_bifurcations():
    snapshots = snapshots_of((0.5, 0.0), (1.5, 0.0), (2.0, 0.0), (2.0, 1.0))
    found = follow_learning(snapshots, [0.0])
    lines = lines_of(found, snapshots)
    met = [(place + one.share, one.state, one.kind) for place, one in found.bifurcations]
    places = sorted(line.places.tolist() for line in lines)
    fork, fold = (place for place, _, _ in met)
    assert places == [[0, 1, 2, fold], [fork, 1, 2, fold], [fork, 1, 2, 3]]
    assert all(len(line.states) == len(line.stable) == 4 for line in lines)
    middle = next(line for line in lines if line.places[0] == 0)
    assert middle.stable.tolist() == [True, False, False, False]
    figure = plot_branches([s.iteration for s in snapshots], lines, met)
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["stable", "unstable", "saddle-node", "pitchfork"]
    assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()] == ["0", "10", "20", "30"]
    with pytest.raises(ParameterError, match="no fixed point"):
        plot_branches([0, 1], [], [])
