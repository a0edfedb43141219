"""Penalties: reference values, gradients, invariances, degenerate networks, bad names."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models import penalties
from models.penalties import PenaltyContext, activity
from tasks_lib.errors import ParameterError

REFERENCE = Path(__file__).parents[1] / "data" / "penalties_s.npz"
DALE = torch.tensor([1.0, 1, 1, 1, 1, -1, -1, -1])
LEAVES = ("states", "outputs", "W_rec", "W_inp", "W_out")

# Arguments that put a small random network where each penalty has a slope.
CASES: list[tuple[str, dict[str, Any]]] = [
    ("task", {}),
    ("metabolic", {}),
    ("output_var", {}),
    ("inp_weights_magnitude", {"cap100": 0.2}),
    ("out_weights_magnitude", {}),
    ("rec_weights_magnitude", {}),
    ("rec_weights_magnitude", {"account4dale": False}),
    ("rec_weights_sparsity", {"tg_deg": 2}),
    ("rec_weights_l1", {}),
    ("channel_overlap", {}),
    ("channel_overlap", {"orth_input_only": False}),
    ("fr_magnitude", {}),
    ("fr_magnitude", {"aggregation": "logsumexp", "tau_n": 0.5}),
    ("h_magnitude", {"g_top": 3.0}),
    ("h_magnitude", {"h_thr": 0.8, "aggregation": "logsumexp"}),
    ("fr_inequality", {}),
    ("fr_inequality", {"method": "gini"}),
    ("h_inequality", {}),
    ("h_inequality", {"method": "gini"}),
    ("h_time_variance", {}),
    ("h_time_variance", {"within": "time"}),
    ("clustering", {"attract_margin": 0.4, "repell_margin": 1.3}),
    ("eff_dim_tail_energy", {"k": 2}),
]
DETACHED = {"fr_inequality", "h_inequality", "h_time_variance", "clustering", "eff_dim_tail_energy"}
case = pytest.mark.parametrize(
    ("name", "args"), CASES, ids=["-".join([n, *map(str, a.values())]) for n, a in CASES]
)


def make_context(equation_type: str = "s", seed: int = 0, **changes: Any) -> PenaltyContext:
    """Return a random network of 8 units, 3 inputs, 2 outputs, 5 steps and 3 trials, float64."""
    rng = np.random.default_rng(seed)

    def draw(*shape: int) -> torch.Tensor:
        return torch.as_tensor(rng.normal(0.0, 0.5, shape), dtype=torch.float64)

    states = draw(8, 5, 3)
    values: dict[str, Any] = {
        "states": states,
        "rates_of": lambda: states if equation_type == "s" else torch.tanh(states),
        "outputs": draw(2, 5, 3),
        "inputs": draw(3, 5, 3),
        "targets": draw(2, 5, 3),
        "W_rec": draw(8, 8),
        "W_inp": draw(8, 3),
        "W_out": draw(2, 8),
        "b_rec": draw(8),
        "dale": DALE.double(),
        "exc_to_inh_ratio": 4.0,
        "equation_type": equation_type,
        "n_units": 8,
        "mask": torch.tensor([0, 1, 4]),
    }
    return PenaltyContext(**{**values, **changes})


def with_leaves(context: PenaltyContext, *leaves: torch.Tensor) -> PenaltyContext:
    values = dict(zip(LEAVES, leaves, strict=True))
    x = values["states"]
    form_s = context.equation_type == "s"
    return replace(context, rates_of=lambda: x if form_s else torch.tanh(x), **values)


def leaves_of(context: PenaltyContext) -> tuple[torch.Tensor, ...]:
    return tuple(getattr(context, k).clone().requires_grad_() for k in LEAVES)


def value(context: PenaltyContext, name: str, **args: Any) -> float:
    return float(penalties.get(name)(context, **args))


@pytest.fixture(scope="module")
def reference() -> tuple[PenaltyContext, dict[str, dict[str, Any]]]:
    with np.load(REFERENCE) as data:
        tensors = {k: torch.from_numpy(data[k]) for k in data.files if data[k].ndim}
        expected = json.loads(str(data["penalties"]))
        ratio = float(data["exc_to_inh_ratio"])
    u = tensors.pop("u")
    n = len(tensors["W_rec"])
    context = PenaltyContext(
        **tensors,
        inputs=u,
        rates_of=lambda: tensors["states"],
        b_rec=torch.zeros(n),
        exc_to_inh_ratio=ratio,
        equation_type="s",
        n_units=n,
    )
    return context, expected


@pytest.mark.parametrize(
    "name", ["task", "metabolic", "rec_weights_sparsity", "fr_magnitude", "channel_overlap"]
)
def test_values_match_the_reference(reference, name) -> None:
    context, expected = reference
    args = penalties.check(name, expected[name]["args"])
    got = penalties.get(name)(context, **args)
    assert got.dtype == torch.float32 and got.shape == ()
    assert float(got) == pytest.approx(expected[name]["value"], abs=1e-5, rel=1e-5)


def test_the_names_are_those_of_the_definition() -> None:
    assert set(penalties.names()) >= {name for name, _ in CASES}
    assert len({name for name, _ in CASES}) == 16


# Values by hand, independent of the code: NumPy, straight from the formulas -----------------------


def numpy_of(context: PenaltyContext) -> dict[str, np.ndarray]:
    tensors = {**vars(context), "rates": context.rates}
    return {k: v.numpy() for k, v in tensors.items() if isinstance(v, torch.Tensor)}


def soft_maximum(a: np.ndarray, tau: float) -> np.ndarray:
    return tau * np.log(np.exp(a / tau).mean(axis=-1))


def over(w: np.ndarray, cap: float) -> float:
    return float(np.mean((np.maximum(np.abs(w) / cap - 1, 0) + 1) ** 5 - 1))


def test_weight_caps() -> None:
    context = make_context()
    a = numpy_of(context)
    s = np.log(101) / np.log(9)
    exc = a["dale"] > 0
    both = over(a["W_rec"][:, exc], 0.07 * s) + over(a["W_rec"][:, ~exc], 0.28 * s)
    cap_inp = 0.5 * 3 / 8 * np.log(9) / np.log(4)
    assert value(context, "out_weights_magnitude") == pytest.approx(over(a["W_out"], 0.03 * s))
    assert value(context, "inp_weights_magnitude") == pytest.approx(over(a["W_inp"], cap_inp))
    assert value(context, "rec_weights_magnitude") == pytest.approx(both * 8 / 2000)
    plain = over(a["W_rec"], 0.07 * s) * 8 / 2000
    free = replace(context, dale=None)
    assert value(free, "rec_weights_magnitude") == pytest.approx(plain)
    assert value(context, "rec_weights_magnitude", account4dale=False) == pytest.approx(plain)


def test_l1_norm_of_the_recurrent_weights() -> None:
    W = torch.tensor([[1.0, -2.0], [0.5, 0.0]], dtype=torch.float64)
    context = replace(make_context(), W_rec=W)
    assert value(context, "rec_weights_l1") == pytest.approx(3.5)


@pytest.mark.parametrize("form", ["s", "h"])
def test_magnitudes_of_activity(form) -> None:
    context = make_context(form)
    a = numpy_of(context)
    s = np.log(101) / np.log(9)
    act = soft_maximum(a["rates"].reshape(8, -1), 0.1) / (0.3 * s)
    under, above = np.maximum(1 - act, 0) ** 5, np.maximum(act - 1, 0) ** 5
    assert value(context, "fr_magnitude") == pytest.approx(np.mean(under + above))
    pooled = 2 * soft_maximum(under, 0.5) + 3 * soft_maximum(above, 0.5)
    got = value(context, "fr_magnitude", aggregation="logsumexp", tau_n=0.5, alpha=2.0, beta=3.0)
    assert got == pytest.approx(pooled)
    act = soft_maximum(np.abs(a["states"]).reshape(8, -1), 0.1)
    assert value(context, "h_magnitude") == pytest.approx(np.mean((act + 0.1 * s) ** 5))
    assert value(context, "metabolic") == pytest.approx(np.mean(a["rates"] ** 2))


def test_inequality_of_units() -> None:
    context = make_context()
    a = numpy_of(context)
    h = np.einsum("ij,jtb->itb", a["W_rec"], a["states"])
    h = h + np.einsum("ij,jtb->itb", a["W_inp"], a["inputs"])
    for name, v in (
        ("fr_inequality", np.abs(a["states"]).mean((1, 2))),
        ("h_inequality", h.mean((1, 2))),
    ):
        q = np.sort(v)[[round(k * 7) for k in (0.1, 0.25, 0.4, 0.6, 0.75, 0.9)]]
        gaps = [q[5] - q[0], q[4] - q[1], q[3] - q[2], q[3] - q[0], q[5] - q[2]]
        u = np.exp(np.clip((v - v.mean()) / np.mean(gaps), -8, 8))
        hhi = (8 * np.sum((u / u.sum()) ** 2) - 1) / 7
        gini = np.abs(u[:, None] - u).sum() / (2 * 64 * u.mean())
        assert value(context, name) == pytest.approx(hhi, rel=1e-6)
        assert value(context, name, method="gini") == pytest.approx(gini, rel=1e-6)
    between, total = h.mean((0, 2)).var(), h.var()
    units = h.var((1, 2)).mean()
    assert value(context, "h_time_variance") == pytest.approx(between / (between + units))
    # Between times and within times add up to the whole variance.
    assert value(context, "h_time_variance", within="time") == pytest.approx(between / total)


def test_output_variance_and_tail_energy() -> None:
    context = make_context("h")
    a = numpy_of(context)
    y = a["outputs"]
    expected = np.mean((y - y.mean(2, keepdims=True)) ** 2) / np.mean(y**2)
    assert value(context, "output_var") == pytest.approx(expected)
    eig = np.linalg.eigvalsh(np.cov(a["rates"].reshape(8, -1)))[::-1]
    assert value(context, "eff_dim_tail_energy") == pytest.approx(eig[6:].sum() / eig.sum())
    assert value(context, "eff_dim_tail_energy", k=8) == 0.0


def test_clustering() -> None:
    context = make_context("h")
    a = numpy_of(context)
    r = a["rates"].reshape(8, -1)

    def soft(z: np.ndarray) -> np.ndarray:
        return np.log1p(np.exp(-np.abs(20 * z))) / 20 + np.maximum(z, 0)

    expected = 0.0
    for rows in (r[:5], r[5:]):
        d = np.array([np.linalg.norm(p - q) for i, p in enumerate(rows) for q in rows[:i]])
        near, far = 0.5 * np.quantile(d, 0.9), 1.4 * np.quantile(d, 0.9)
        expected += soft(
            soft(d / near) - soft((d - near) / near) - soft((d - near) / (far - near))
        ).mean()
    assert expected > 0.1
    got = value(context, "clustering", attract_margin=0.5, repell_margin=1.4)
    assert got == pytest.approx(expected, rel=1e-6)


def test_clustering_charges_middling_distances() -> None:
    def at(distance: float) -> float:  # three pairs far apart set the diameter
        points = torch.tensor([0.0, distance, 10.0, 20.0], dtype=torch.float64)
        states = points[:, None, None].expand(4, 5, 3) / 15**0.5
        return value(make_context(states=states, rates_of=lambda: states, dale=None), "clustering")

    assert at(2.0) > at(0.2) and at(2.0) > at(8.0)


# Gradients ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["s", "h"])
@case
def test_gradients_match_finite_differences(monkeypatch, name, args, form) -> None:
    """With normalisers held at their values, as `constant` holds them for the gradient."""
    context = make_context(form)
    penalty = penalties.get(name)
    held: list[torch.Tensor] = []
    monkeypatch.setattr(activity, "constant", lambda t: held.append(t.detach().clone()) or held[-1])
    leaves = leaves_of(context)
    base = penalty(with_leaves(context, *leaves), **args)
    assert bool(held) == (name in DETACHED)
    assert any(
        g is not None and bool(g.abs().max() > 1e-6)
        for g in torch.autograd.grad(base, leaves, allow_unused=True)
    )

    def with_held(*values: torch.Tensor) -> torch.Tensor:
        replay = iter(held)
        monkeypatch.setattr(activity, "constant", lambda t: next(replay))
        zero = sum(v.sum() for v in values) * 0  # gradcheck wants every input in the graph
        return penalty(with_leaves(context, *values), **args) + zero

    assert torch.autograd.gradcheck(with_held, leaves, eps=1e-6, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@case
def test_finite_on_a_silent_network(name, args, dtype) -> None:
    context = make_context()
    zeros = {
        k: torch.zeros_like(v, dtype=dtype) if v.is_floating_point() else v
        for k, v in vars(context).items()
        if isinstance(v, torch.Tensor)
    }
    silent = replace(context, **{**zeros, "dale": DALE.to(dtype)})  # type: ignore[arg-type]
    leaves = leaves_of(silent)
    got = penalties.get(name)(with_leaves(silent, *leaves), **args)
    assert torch.isfinite(got)
    for gradient in torch.autograd.grad(got, leaves, allow_unused=True):
        assert gradient is None or bool(torch.isfinite(gradient).all())


@case
def test_finite_with_zero_weights_or_equal_units(name, args) -> None:
    context = make_context()
    equal = context.states[:1].expand_as(context.states)
    zeros = {k: torch.zeros_like(getattr(context, k)) for k in ("W_rec", "W_inp", "W_out")}
    disjoint = torch.eye(8, 3, dtype=torch.float64)  # every cosine 0
    for changed in (
        replace(context, **zeros),
        replace(context, states=equal, rates_of=lambda: equal),
        replace(context, W_inp=disjoint),
    ):
        leaves = leaves_of(changed)
        got = penalties.get(name)(with_leaves(changed, *leaves), **args)
        assert torch.isfinite(got)
        for gradient in torch.autograd.grad(got, leaves, allow_unused=True):
            assert gradient is None or bool(torch.isfinite(gradient).all())


@case
def test_one_of_everything(name, args) -> None:
    """One unit, channel, output, step and trial: finite, and linked to the graph."""
    one = {
        k: torch.full_like(v[(slice(1),) * v.ndim], 0.3) if v.is_floating_point() else v[:1]
        for k, v in vars(make_context()).items()
        if isinstance(v, torch.Tensor)
    }
    for dale in (None, torch.ones(1, dtype=torch.float64)):
        context = replace(make_context(), **{**one, "dale": dale}, n_units=1)  # type: ignore[arg-type]
        got = penalties.get(name)(with_leaves(context, *leaves_of(context)), **args)
        assert torch.isfinite(got) and got.requires_grad


def test_a_diverged_network_gives_nan_and_no_error() -> None:
    context = make_context()
    broken = torch.full_like(context.states, torch.nan)
    for name, args in CASES:
        penalties.get(name)(replace(context, states=broken, rates_of=lambda: broken), **args)
    assert np.isnan(value(replace(context, rates_of=lambda: broken), "eff_dim_tail_energy"))


# Invariances --------------------------------------------------------------------------------------


@case
def test_the_order_of_units_and_trials_does_not_matter(name, args) -> None:
    context = make_context("h")
    units = torch.tensor([4, 0, 7, 2, 1, 6, 3, 5])
    trials = torch.tensor([2, 0, 1])
    shuffled = replace(
        context,
        states=context.states[units][..., trials],
        rates_of=lambda: context.rates[units][..., trials],
        outputs=context.outputs[..., trials],
        inputs=context.inputs[..., trials],
        targets=context.targets[..., trials],
        W_rec=context.W_rec[units][:, units],
        W_inp=context.W_inp[units],
        W_out=context.W_out[:, units],
        dale=DALE.double()[units],
    )
    assert value(shuffled, name, **args) == pytest.approx(value(context, name, **args), rel=1e-9)


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("rec_weights_sparsity", ("W_rec",)),
        ("channel_overlap", ("W_inp",)),
        ("output_var", ("outputs",)),
        ("fr_inequality", ("states",)),
        ("clustering", ("rates",)),
        ("h_inequality", ("states", "inputs")),
        ("h_time_variance", ("states", "inputs")),
        ("eff_dim_tail_energy", ("rates",)),
    ],
)
def test_relative_penalties_do_not_see_the_scale(name, fields) -> None:
    context = make_context()
    changes = {k: 7.0 * getattr(context, k) for k in fields}
    if "rates" in changes:
        rates = changes.pop("rates")
        changes["rates_of"] = lambda: rates
    scaled = replace(context, **changes)
    args = dict(CASES[[n for n, _ in CASES].index(name)][1])
    assert value(scaled, name, **args) == pytest.approx(value(context, name, **args), rel=1e-5)
    assert value(context, name, **args) > 0


def test_limits_of_inequality_and_overlap() -> None:
    states = torch.zeros(8, 5, 3, dtype=torch.float64)
    states[0] = 1.0  # one unit alone: z of the others is equal, its own is clipped
    only_one = make_context(states=states, rates_of=lambda: states)
    assert value(only_one, "fr_inequality") > 0.95
    same = make_context(W_inp=torch.ones(8, 3, dtype=torch.float64))
    assert value(same, "channel_overlap") == pytest.approx(1.0, rel=1e-6)
    apart = make_context(W_inp=torch.eye(8, 3, dtype=torch.float64))
    assert value(apart, "channel_overlap") == 0.0
    one_each = make_context(W_rec=torch.eye(8, dtype=torch.float64))
    assert value(one_each, "rec_weights_sparsity", tg_deg=1.0) == pytest.approx(0.0, abs=1e-9)
    ones = make_context(W_rec=torch.ones(8, 8, dtype=torch.float64))
    assert value(ones, "rec_weights_sparsity", tg_deg=2.0) == pytest.approx(9.0)


# Names and arguments ------------------------------------------------------------------------------

USER_MODULE = '''
"""Someone's own penalties."""
from models import penalties

@penalties.register("lab_mean_rate", power={"minimum": 1.0}, kind=("a", "b"))
def mean_rate(context, power=1.0, kind="a", n=2, flag=True):
    return power * context.rates.mean()

def needs_one(context, *, factor):
    return factor * context.rates.mean()

def takes_all(context, **args):
    return context.rates.mean()

LIST = [1]
'''


@pytest.fixture
def user_module(tmp_path, monkeypatch):
    (tmp_path / "lab_penalties.py").write_text(USER_MODULE)
    (tmp_path / "lab_broken.py").write_text("raise RuntimeError('no licence')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(penalties.registry, "_ENTRIES", dict(penalties.registry._ENTRIES))
    yield
    sys.modules.pop("lab_penalties", None)


def test_a_penalty_from_outside(user_module) -> None:
    context = make_context()
    path = "lab_penalties:mean_rate"
    got = penalties.get(path)(context, **penalties.check(path, {"power": 3}))
    assert float(got) == pytest.approx(3 * float(context.rates.mean()))
    assert penalties.get("lab_mean_rate") is penalties.get(path)
    assert "lab_mean_rate" in penalties.names()
    assert penalties.check("lab_penalties:takes_all", {"x": 1}) == {"x": 1}
    assert penalties.check("lab_penalties:needs_one", {"factor": 2}) == {"factor": 2}


@pytest.mark.parametrize(
    ("name", "args", "said"),
    [
        ("metabolik", {}, "metabolic"),
        ("", {}, "name"),
        (3, {}, "name"),
        ("no_such_module:f", {}, "cannot be imported"),
        ("lab_broken:f", {}, "no licence"),
        (":f", {}, "is not a name to import"),
        ("lab_penalties:", {}, "is not a name to import"),
        ("lab_penalties:nothing", {}, "has no 'nothing'"),
        ("lab_penalties:LIST", {}, "not a function"),
        ("lab_penalties:needs_one", {}, "missing"),
        ("lab_penalties:needs_one", {"other": 1}, "takes factor"),
        ("lab_penalties:mean_rate", {"power": 0.5}, "power"),
        ("lab_penalties:mean_rate", {"kind": "c"}, "kind"),
        ("lab_penalties:mean_rate", {"n": 1.5}, "n = 1.5"),
        ("lab_penalties:mean_rate", {"flag": 1}, "flag"),
        ("metabolic", {"power": 2}, "no arguments"),
        ("fr_magnitude", {"cap": 0.3}, "cap_fr"),
        ("fr_magnitude", {"context": 1}, "cap_fr"),
        ("fr_magnitude", {"tau": 0.0}, "tau"),
        ("fr_magnitude", {"tau": float("nan")}, "tau"),
        ("fr_magnitude", {"tau": "0.1"}, "tau"),
        ("fr_magnitude", {"g_top": 0.5}, "g_top"),
        ("fr_magnitude", {"aggregation": "max"}, "logsumexp"),
        ("fr_inequality", {"method": "theil"}, "gini"),
        ("channel_overlap", {"orth_input_only": 1}, "orth_input_only"),
        ("eff_dim_tail_energy", {"k": 2.5}, "k"),
        ("eff_dim_tail_energy", {"k": -1}, "k"),
        ("clustering", {"diameter_quantile": 1.5}, "diameter_quantile"),
        ("clustering", {"repell_margin": 0.1}, "attract_margin"),
        ("clustering", {"attract_margin": 0.5}, "repell_margin"),
        ("metabolic", [1], "mapping"),
    ],
)
def test_bad_names_and_arguments_are_refused(user_module, name, args, said) -> None:
    with pytest.raises(ParameterError, match=said) as caught:
        penalties.check(name, args)
    assert str(caught.value).startswith("penalties")


def test_a_taken_name_is_refused(user_module) -> None:
    with pytest.raises(ParameterError, match="choose another name"):
        penalties.register("metabolic")(lambda context: context.rates.mean())
    again = penalties.get("metabolic")
    penalties.register("metabolic")(again)  # a reloaded module registers the same function


def test_defaults_are_within_their_own_limits() -> None:
    for name in {n for n, _ in CASES}:
        parameters = list(signature(penalties.get(name)).parameters.values())[1:]
        defaults = {p.name: p.default for p in parameters}
        assert penalties.check(name, {}) == {}
        assert penalties.check(name, defaults) == defaults


def test_penalties_are_attributes_too() -> None:
    assert penalties.metabolic is penalties.get("metabolic")
    assert not hasattr(penalties, "no_such_penalty")
