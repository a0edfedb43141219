"""Stability in steps of dt beside that of the equation: hand-built modes, and simulations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import DynamicSystemAnalyzer, RNNNumpy
from models.fixed_points.discrete_time import map_stability, multipliers, unstable_map_modes


def turning(rate, speed, alpha, n=2):
    """x' = (rate +- i speed) x near 0, in steps of alpha; of tanh, with the fixed point 0."""
    W = np.array([[1 + rate, -speed], [speed, 1 + rate]])
    return RNNNumpy(W_rec=W, W_inp=np.zeros((2, 1)), W_out=np.eye(2), activation="tanh",
                    tau=1.0, dt=alpha)  # fmt: skip


def origin(found):
    return int(np.abs(found.points).max(axis=1).argmin())


@pytest.mark.parametrize(
    ("rate", "speed", "alpha", "equation", "steps"),
    [
        (-0.2, 0.5, 0.1, "stable", "stable"),
        (-0.2, 1.0, 0.67, "stable", "unstable"),  # 0.67 (0.04 + 1) > 0.4
        (0.1, 0.3, 0.1, "unstable", "unstable"),
    ],
)
def test_a_mode_that_turns_grows_in_long_steps(rate, speed, alpha, equation, steps):
    rnn = turning(rate, speed, alpha)
    found = DynamicSystemAnalyzer(rnn).get_fixed_points(np.zeros(1))
    i = origin(found)
    assert (found.stability[i], found.map_stability[i]) == (equation, steps)
    assert np.allclose(found.multipliers[i], 1 + alpha * found.eigenvalues[i])
    assert found.n_unstable_map[i] == (2 if steps == "unstable" else 0)
    # What the simulated network does from nearby says the same.
    x = found.points[i] + np.array([1e-6, 0])
    states, _ = rnn.run(np.zeros((1, 200)), x_init=x)
    away = np.linalg.norm(states - found.points[i][:, None], axis=0)
    assert (away[-1] > away[0]) == (steps == "unstable")
    differs = equation != steps
    assert found.differs_in_steps[i] == differs
    assert ("in steps of dt = 0.67 tau" in found.message) == differs


@settings(max_examples=60)
@given(
    real=st.floats(-3, 1), imag=st.floats(-3, 3), alpha=st.floats(1e-6, 1.0),
    cutoff=st.floats(1e-9, 1e-3),
)  # fmt: skip
def test_counts_and_names_agree_with_the_modulus(real, imag, alpha, cutoff):
    values = np.array([[complex(real, imag), complex(-0.5, 0.0)]])
    size = np.abs(multipliers(values, alpha))
    grows = (size - 1) / alpha
    if np.abs(np.abs(grows) - cutoff).min() < 1e-8:
        return  # to rounding either
    n = unstable_map_modes(values, alpha, cutoff)
    assert n[0] == (grows > cutoff).sum()
    by_equation = np.array(
        ["unstable" if max(real, -0.5) > cutoff
         else "stable" if max(real, -0.5) < -cutoff else "marginal"]
    )  # fmt: skip
    named = map_stability(values, by_equation, alpha, cutoff)[0]
    expected = "unstable" if n[0] else "stable" if (grows < -cutoff).all() else "marginal"
    assert named == expected
    # In short steps the map is the equation.
    assert map_stability(values, by_equation, 0.0, cutoff)[0] == by_equation[0]


def test_a_point_that_is_left_at_a_kink_stays_unstable_in_steps():
    values = np.array([[-1.0 + 0j, -1.0], [-1.0, -1.0]])
    kinds = map_stability(values, np.array(["unstable", "stable"]), 0.1, 1e-6)
    assert kinds.tolist() == ["unstable", "stable"]
