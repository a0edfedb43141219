"""A field that is declared once: its check, its docstring, its column."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import ManifoldSettings, NetworkConfig, TrainingConfig
from models.circuits.settings import CircuitSettings
from models.comparison.settings import ComparisonSettings, EmbeddingSettings
from models.fixed_points import SearchSettings
from models.formulas.equations import Equation
from models.learning.settings import FollowSettings
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
from models.populations.settings import (
    BasinSettings,
    ClusterSettings,
    InterventionSettings,
    LyapunovSettings,
    PopulationSettings,
    SubspaceSettings,
)
from models.recordings.settings import (
    RecordingComparisonSettings,
    RecordingSettings,
    SpikeSettings,
)
from tasks_lib import ParameterError
from tasks_lib.errors import ParameterErrors
from tasks_lib.stored_values import as_stored

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


# What cannot mean anything: settings, field, value, and words of the error.
ABSURD = [
    (PopulationSettings, "n_shuffles", 1, "too few for a p of 0.05.*at least 19, or 0 for none"),
    (SubspaceSettings, "n_shuffles", 18, "use at least 19"),
    (EmbeddingSettings, "n_shuffles", 1, "use at least 19"),
    (RecordingComparisonSettings, "n_shuffles", 1, "use at least 19"),
    (ClusterSettings, "n_shuffles", 1, "one alone has no spread.*at least 2, or 0"),
    (ClusterSettings, "n_resamples", 1, "at least 2"),
    (InterventionSettings, "n_controls", 1, "at least 2"),
    (InterventionSettings, "largest", 1e-9, "too small for silence.*at least 0.0001"),
    (LyapunovSettings, "duration", 1e-9, "at least 1$"),
    (LyapunovSettings, "duration", 1e300, "at most 1e\\+06"),
    (LyapunovSettings, "settle", 1e9, "no machine runs"),
    (LyapunovSettings, "zero", 2.0, "at most 0.5"),
    (BasinSettings, "n_starts", 1, "too few for shares"),
    (BasinSettings, "duration", 1e-9, "no time"),
    (BasinSettings, "spread", 1e9, "at most 1000"),
    (BasinSettings, "tolerance", 1e-300, "at least 1e-06"),
    (ComparisonSettings, "cutoff", 1e-300, "equally far"),
    (CircuitSettings, "n_iterations", 1, "at least 10"),
    (CircuitSettings, "learning_rate", 1e300, "leads nowhere"),
    (CircuitSettings, "output_weight", 1e-300, "leaves the outputs out"),
    (CircuitSettings, "component_share", 1e-9, "at least 0.01"),
    (CircuitSettings, "min_r2", -1e9, "at least 0$"),
    (CircuitSettings, "strength", 1e-300, "at least 1e-06"),
    (CircuitSettings, "n_controls", 1, "at least 2"),
    (FollowSettings, "longest_step", 1e-12, "at least 1e-05"),
    (FollowSettings, "same_point", 1e-300, "float64"),
    (RecordingSettings, "bin_width", 1e-9, "at least 0.0001"),
    (RecordingSettings, "smoothing", 1e-9, "at least 0.0001, or 0"),
    (RecordingSettings, "min_rate", 1e9, "no neuron"),
    (RecordingComparisonSettings, "network_off", 1e-9, "0.01 of the trial"),
    (SpikeSettings, "gain", 1e-9, "no spikes"),
    (SpikeSettings, "tau_seconds", 1e-9, "at least 0.0001"),
    (SpikeSettings, "pause", 1e9, "at most 3600"),
]


@pytest.mark.parametrize(("settings", "field", "value", "words"), ABSURD)
def test_what_cannot_mean_anything_is_refused_and_what_is_stored_is_read(
    settings, field, value, words
):
    with pytest.raises(ParameterError, match=words) as caught:
        settings(**{field: value})
    assert (caught.value.field, caught.value.value) == (field, value)
    with as_stored():
        assert getattr(settings(**{field: value}), field) == value
    with pytest.raises(ParameterError):  # and only there
        settings(**{field: value})
    settings(**{field: getattr(settings(), field)})


def test_windows_and_kinds_decide_what_is_too_small():
    InterventionSettings(kind="weight_noise", target="none", largest=1e-5)
    with pytest.raises(ParameterError, match="too small for delay"):
        InterventionSettings(kind="delay", target="none", largest=1e-5)
    with pytest.raises(ParameterError, match=r"more than the window of 0\.5 s"):
        RecordingSettings(window_off=0.5, smoothing=1.0)
    with as_stored():
        RecordingSettings(window_off=0.5, smoothing=1.0)
    for settings in (PopulationSettings, ClusterSettings, EmbeddingSettings):
        assert settings(n_shuffles=0).n_shuffles == 0
    assert parameters_of(PopulationSettings)["n_shuffles"].range.startswith("0, or at least 19")
    assert parameters_of(LyapunovSettings)["duration"].range == "at least 1 and at most 1e+06"
