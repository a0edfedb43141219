"""f, f' and f'' of every activation function, and bounds of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.formulas.activations import ACTIVATIONS, get_activation

from .strategies import any_activation

SMOOTH = ["tanh", "sigmoid", "softplus", "gelu"]


@settings(max_examples=60, deadline=None)
@given(any_activation)
def test_each_derivative_is_that_of_the_one_before(activation):
    f = get_activation(activation)
    x = np.linspace(-4, 4, 401) + 1e-3  # between kinks
    h = 1e-5
    assert np.allclose((f.f(x + h) - f.f(x - h)) / (2 * h), f.df(x), atol=1e-8)
    assert np.allclose((f.df(x + h) - f.df(x - h)) / (2 * h), f.d2f(x), atol=1e-7)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_numpy_and_torch_agree(name):
    f = get_activation(name)
    x = np.linspace(-4, 4, 101)
    for function in (f.f, f.df, f.d2f):
        assert np.allclose(function(torch.from_numpy(x)).numpy(), function(x), atol=1e-14)


@settings(max_examples=200, deadline=None)
@given(
    any_activation.filter(lambda a: a["name"] in SMOOTH),
    st.floats(-40, 40),
    st.floats(0, 1) | st.floats(0, 60),
)
def test_curvature_bound_holds_and_is_tight(activation, lower, width):
    f = get_activation(activation)
    bound = f.curvature_bound(np.array(lower), np.array(lower + width))
    seen = np.abs(f.d2f(np.linspace(lower, lower + width, 20_001))).max()
    peak = f.curvature_bound(np.array(-np.inf), np.array(np.inf))
    assert seen <= bound <= peak
    assert bound <= 1.01 * seen + 1e-10


@pytest.mark.parametrize(
    ("name", "largest"),
    [
        ("tanh", 4 / (3 * 3**0.5)),
        ("sigmoid", 3**0.5 / 18),
        ("softplus", 0.25),
        ("gelu", (2 / np.pi) ** 0.5),
    ],
)
def test_largest_curvature_is_as_calculus_has_it(name, largest):
    bound = get_activation(name).curvature_bound(np.array(-np.inf), np.array(np.inf))
    assert bound == pytest.approx(largest, rel=1e-9)
    assert bound > largest


@settings(max_examples=60, deadline=None)
@given(any_activation)
def test_largest_slope_is_the_largest(activation):
    f = get_activation(activation)
    seen = np.abs(f.df(np.linspace(-300, 300, 600_001))).max()
    assert seen <= f.largest_slope * (1 + 1e-12)
    assert seen >= f.largest_slope * (1 - 1e-3)


def test_a_kink_has_no_curvature_but_bends():
    f = get_activation("leaky_relu")
    lower, upper = np.array([-2.0, -1.0, 0.0, 1e-9]), np.array([-1.0, 1.0, 1.0, 1.0])
    assert f.curvature_bound(lower, upper).tolist() == [0, np.inf, np.inf, 0]
