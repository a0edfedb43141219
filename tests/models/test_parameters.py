"""A field that is declared once: its check, its docstring, its column."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import ManifoldSettings, NetworkConfig, TrainingConfig
from models.fixed_points import SearchSettings
from models.formulas.equations import Equation
from models.parameters import (
    check_parameters,
    choice,
    documented,
    field_of,
    flag,
    mapping,
    number,
    parameters_of,
    whole,
)
from models.performance.settings import ValidationSettings
from tasks_lib import ParameterError
from tasks_lib.errors import ParameterErrors

ALL = (NetworkConfig, TrainingConfig, SearchSettings, ManifoldSettings, ValidationSettings)


@documented
@dataclass(frozen=True)
class Settings:
    """Settings of a test.

    Attributes
    ----------
    plain : str
        Declared as ever.
    """

    plain: str
    size: int = whole(3, "number of things", minimum=1, maximum=10)
    tau: float = number(0.5, "time constant", exclusive_minimum=0.0, unit="ms")
    share: float | None = number(
        None, "share", minimum=0.0, exclusive_maximum=1.0, nullable=True, details="Of all."
    )
    fast: bool | None = flag(None, "whether it is fast", derived="as plain says")
    kind: str = choice("a", ("a", "b"), "kind of thing")
    more: dict[str, int] = mapping("what else there is")

    def __post_init__(self) -> None:
        check_parameters(self)


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("size", 0, "is too small; give at least 1"),
        ("size", 11, "is too large; give at most 10"),
        ("size", 2.0, "is not a whole number"),
        ("tau", 0, "is too small; give more than 0"),
        ("tau", None, "is not a number"),
        ("share", 1.0, "is too large; give less than 1"),
        ("share", -0.1, "is too small; give at least 0"),
        ("fast", 1, "is not true or false"),
        ("kind", "c", "does not exist; use one of 'a', 'b'"),
    ],
)
def test_a_wrong_value_is_named_with_its_field(field, value, problem):
    with pytest.raises(ParameterError) as caught:
        Settings("x", **{field: value})
    assert str(caught.value).startswith(f"{field} = {value!r}: {problem}") or (
        caught.value.field == field and problem in str(caught.value)
    )


def test_each_wrong_field_is_named_at_once():
    with pytest.raises(ParameterErrors) as caught:
        Settings("x", size=0, tau="1", share=0.5, fast="yes", kind="c", more=[1])
    assert [str(error) for error in caught.value.errors] == [
        "size = 0: is too small; give at least 1",
        "tau = '1': is not a number; give it without quotes",
        "fast = 'yes': is not true or false; give it without quotes",
        "kind = 'c': does not exist; use one of 'a', 'b'",
        "more = [1]: is not a set of named values; write name: value",
    ]


def fields_of(function):
    with pytest.raises(ParameterError) as caught:
        function()
    return [error.field for error in getattr(caught.value, "errors", [caught.value])]


def test_what_is_wrong_of_two_fields_together_is_named_with_the_rest():
    """Where one of the two is wrong by itself, nothing is said of them together."""
    made = lambda **fields: fields_of(lambda: NetworkConfig(**fields))  # noqa: E731
    wrong = {"bias_min": 2.0, "dt": 20.0, "density": 3.0, "activation": "x", "noise_inside": True}
    assert made(**wrong, equation_type="h") == [
        "density", "activation", "dt", "noise_inside", "bias_min",
    ]  # fmt: skip
    assert made(bias_min="2", dt=20.0, tau=-1.0, equation_type="x", noise_inside=True) == [
        "equation_type", "tau", "bias_min",
    ]  # fmt: skip
    assert made(n_units=10**9, gamma=-1.0) == ["gamma", "n_units"]
    assert made(n_units=1, dale=True, exc_to_inh_ratio=0.1, tau=-1.0) == ["tau", "n_units"]
    assert fields_of(lambda: Equation("x", dt=2.0, tau=1.0)) == ["activation", "dt"]
    train = lambda **fields: fields_of(lambda: TrainingConfig(**fields))  # noqa: E731
    penalties = {"metabolic": {"weight": -1}, "x": {"weight": 1}, "output_var": {"w": 1}}
    assert train(max_iter=0, patience=3, penalties=penalties) == [
        "max_iter", "penalties.metabolic.weight", "penalties.output_var", "penalties.x", "patience",
    ]  # fmt: skip


@given(size=st.integers(1, 10), tau=st.integers(1, 9), share=st.none() | st.floats(0, 0.99))
def test_values_within_the_range_are_kept_in_their_normal_form(size, tau, share):
    made = Settings("x", size=size, tau=tau, share=share)
    assert (made.size, made.tau, made.share) == (size, float(tau), share)
    assert isinstance(made.tau, float)
    assert replace(made) == made


def test_the_docstring_has_every_field_after_what_stands_there():
    assert "plain : str\n    Declared as ever.\nsize : int, default 3\n" in Settings.__doc__
    assert "    Number of things (at least 1 and at most 10).\n" in Settings.__doc__
    assert "tau : float, default 0.5\n    Time constant, in ms (more than 0).\n" in Settings.__doc__
    assert "share : float, optional, default null\n" in Settings.__doc__
    assert "fast : bool, default as plain says\n" in Settings.__doc__
    assert "kind : {'a', 'b'}, default a\n    Kind of thing.\n" in Settings.__doc__
    assert Settings.__doc__.count("Attributes\n") == 1


def test_mappings_are_not_shared():
    one, other = Settings("x"), Settings("x")
    one.more["a"] = 1
    assert other.more == {}


@pytest.mark.parametrize("cls", ALL)
def test_every_field_of_our_settings_is_declared_with_a_text(cls):
    known = parameters_of(cls)
    assert list(known) == [f.name for f in fields(cls)]
    for name, parameter in known.items():
        assert parameter.text, name
        assert f"\n{name} : " in cls.__doc__
        # a comment of a column
        assert "\n" not in parameter.summary and not parameter.text.endswith(".")


def test_fields_of_the_equation_are_those_of_the_network():
    own, networks = parameters_of(Equation), parameters_of(NetworkConfig)
    assert own and all(networks[name] is parameter for name, parameter in own.items())
    for name in own:
        assert getattr(NetworkConfig(), name) == getattr(Equation("relu"), name)
    with pytest.raises(KeyError):
        field_of(Equation, "beta")


@pytest.mark.parametrize("value", [0, 1.5, True])
def test_a_number_of_repeats_is_checked(value):
    with pytest.raises(ParameterError, match="n_repeats"):
        ValidationSettings(n_repeats=value)
