"""Figures of sweeps: each network is there, intervals are those of Student's t."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from models import plot_sweep
from tasks_lib.errors import ParameterError

RATES = (0.001, 0.01, 0.1)


@pytest.fixture
def table():
    rows = [
        {"lr": lr, "form": form, "seed": seed, "r2": lr + seed + (form == "s")}
        for lr in RATES
        for form in ("h", "s")
        for seed in range(3)
    ]
    return pd.DataFrame(rows)


def dots(axes):
    return sorted(y for line in axes.lines if line.get_marker() == "." for y in line.get_ydata())


def test_a_line_has_every_network_and_the_interval_of_the_mean(table):
    figure = plot_sweep(table, "lr", "r2", hue="form")
    (axes,) = figure.axes
    assert axes.get_xscale() == "log" and axes.get_xlabel() == "lr"
    np.testing.assert_allclose(dots(axes), sorted(table["r2"]))
    first = axes.containers[0]
    np.testing.assert_allclose(first[0].get_ydata(orig=False), [lr + 1 for lr in RATES])
    (low, high) = first[1]
    # Of 0, 1, 2: standard deviation 1, and 4.3027 is Student's t of 2 degrees at 97.5 %.
    half = 4.302653 / np.sqrt(3)
    height = np.subtract(high.get_ydata(orig=False), low.get_ydata(orig=False))
    np.testing.assert_allclose(height, 2 * half, rtol=1e-5)
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == ["h", "s"]


def test_a_single_network_has_no_interval(table):
    one = table[(table["seed"] == 0) & (table["form"] == "h")]
    (axes,) = plot_sweep(one, "lr", "r2").axes
    ((low, high),) = [container[1] for container in axes.containers]
    assert not np.isfinite(np.subtract(high.get_ydata(orig=False), low.get_ydata(orig=False))).any()


def test_words_make_strips_and_equal_steps_no_logarithm(table):
    (axes,) = plot_sweep(table, "form", "r2").axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["h", "s"]
    table["n"] = [10 * RATES.index(lr) for lr in table["lr"]]
    assert plot_sweep(table, "n", "r2").axes[0].get_xscale() == "linear"


def test_missing_values_are_counted_and_a_heat_map_shows_means(table):
    table.loc[table["seed"] == 2, "r2"] = np.nan
    figure = plot_sweep(table, "lr", "form", hue="r2", kind="heat")
    axes = figure.axes[0]
    assert axes.get_title() == "6 of 18 missing"
    np.testing.assert_allclose(
        axes.images[0].get_array(), [[lr + 0.5 for lr in RATES], [lr + 1.5 for lr in RATES]]
    )
    assert figure.axes[1].get_ylabel() == "mean r2"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"x": "rate", "y": "r2"}, "is no column of the table"),
        ({"x": "lr", "y": "form"}, "holds no numbers"),
        ({"x": "lr", "y": "form", "kind": "heat"}, "name the number that is shown"),
        ({"x": "lr", "y": "r2", "kind": "bars"}, "line"),
    ],
)
def test_what_cannot_be_drawn_is_named(table, arguments, words):
    with pytest.raises(ParameterError, match=words):
        plot_sweep(table, **arguments)
