"""Results show themselves in a few lines."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tasks_lib.brief import MOST_LETTERS, WIDTH, brief, brief_value


@brief
@dataclass(frozen=True)
class Found:
    name: str
    weights: Any
    score: float | None = None
    others: list[Any] = field(default_factory=list)
    _hidden: int = 3


class InAFile:
    """An array that must not be read to be shown."""

    shape = (3, 4)

    def __array__(self, *_, **__):
        pytest.fail("was read")


def test_a_result_in_a_few_lines():
    result = Found("a", np.zeros((50, 3)), 0.123456, [Found("b", np.arange(2)), Found("c", None)])
    assert repr(result) == "Found(name='a', weights=array (50, 3), score=0.1235, others=2 Founds)"
    table = result._repr_html_()
    assert "<caption>Found</caption>" in table and "array (50, 3)" in table
    assert "_hidden" not in repr(result) + table
    assert "&lt;b&gt;" in Found("<b>", 1)._repr_html_()
    assert "<b>" not in Found("<b>", 1)._repr_html_()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.arange(3), "[0, 1, 2]"), (np.array(2.0), "2"), (np.array([]), "array (0,)"),
        (np.float64(1 / 3), "0.3333"), (True, "True"), (None, "None"), (10**12, "1000000000000"),
        ([], "[]"), ([1], "[1]"), ([0.5] * 9, "9 values"), (["x" * 50] * 2, "2 values"),
        ({"a": 1}, "{a: 1}"), (dict.fromkeys(range(9)), "9 entries"), (InAFile(), "array (3, 4)"),
        (Found("a", 1), "Found(...)"), ([Found("a", 1)], "1 Found"), ("x\n", repr("x\n")),
    ],
)  # fmt: skip
def test_values(value, text):
    assert brief_value(value) == text


@given(
    st.recursive(
        st.none() | st.floats() | st.text() | st.integers() | arrays(float, st.integers(0, 99)),
        lambda inner: st.lists(inner, max_size=9) | st.dictionaries(st.text(), inner, max_size=9),
    )
)
def test_whatever_it_is_it_is_short(value):
    text = brief_value(value)
    assert "\n" not in text and len(text) <= max(MOST_LETTERS, len(str(value)))
    lines = repr(Found("a" * 500, value)).splitlines()
    assert 1 <= len(lines) < 9 and (len(text) > WIDTH or max(map(len, lines)) <= WIDTH)


def test_results_of_the_library_are_brief():
    """Those that a search, a training and a validation return, on a network of 40 units."""
    from models import (
        DynamicSystemAnalyzer,
        NetworkConfig,
        PerformanceAnalyzer,
        RNNTorch,
        TrainingConfig,
        train_cohort,
    )
    from tasks_lib import NBitFlipFlop

    task = NBitFlipFlop(n_steps=20, n_inputs=1, n_outputs=1, seed=0)
    config = NetworkConfig(n_units=40, activation="tanh")
    cohort = train_cohort(task, config, TrainingConfig(max_iter=3), [0, 1])
    network = RNNTorch.from_config(config, 1, 1, seed=0).to_numpy()
    points = DynamicSystemAnalyzer(network, task).get_fixed_points(np.zeros(1))
    scores = PerformanceAnalyzer(network, task).validate()
    for result in (cohort, cohort.networks[0], points, scores):
        assert len(repr(result).splitlines()) <= 12
        assert f"<caption>{type(result).__name__}" in result._repr_html_()
    assert repr(network) == (
        "RNNNumpy(40 units, 1 input, 1 output; activation='tanh', equation_type='s', tau=10.0, "
        "dt=1.0)"
    )
    noisy = NetworkConfig(
        n_units=3, activation="tanh", activation_args={"slope": 2.0}, sigma_rec=0.1
    )
    several = repr(RNNTorch.from_config(noisy, 1, 2, seed=[0, 1]))
    assert "2 networks of 3 units, 1 input, 2 outputs; " in several
    assert "{'slope': 2.0}" in several and "sigma_rec=0.1" in several
