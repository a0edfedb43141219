"""Penalties of many networks at once: formulas against autograd, vmap against the loop."""

from __future__ import annotations

import warnings
from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from models import NetworkConfig, RNNTorch, penalties
from models.network.by_network import inner, means, rows_apart, sums
from models.network.dropout_mask import DropoutMask
from models.penalties import PenaltyTerm, closed_forms
from models.training import through_autograd
from models.training.losses import LossFunction
from tasks_lib import NBitFlipFlop
from tests.models.test_losses import CHARGED

NAMES = tuple(name for name in penalties.names() if name != "task")
WITH_FORMULAS = tuple(n for n in NAMES if closed_forms.of(penalties.get(n)) is not None)
TRAJECTORIES = tuple(name for name in NAMES if penalties.needs_trajectories(name))


def own_penalty(context):
    """Be a penalty of a user."""
    return context.rates.square().mean() + 0.1 * context.W_rec.abs().sum() + context.b_rec.sum()


def asks_for_numbers(context):
    """Be a penalty that vmap refuses."""
    size = float(context.W_rec.detach().abs().max())
    return context.states.square().mean() * size


OWN = f"{__name__}:own_penalty"
REFUSED = f"{__name__}:asks_for_numbers"


def networks(k=3, n=9, dtype=torch.float64, **settings_of_network):
    config = NetworkConfig(n_units=n, tau=2.0, sigma_rec=0.1, **settings_of_network)
    rnn = RNNTorch.from_config(config, 2, 2, seed=list(range(k)), dtype=dtype)
    task = NBitFlipFlop(n_steps=14, n_bits=2, pulse=2, mu=4, batch_size=9, seed=0)
    inputs, targets, _ = task.get_batch()
    return rnn, torch.as_tensor(task.mask), rnn.to_internal(inputs), rnn.to_internal(targets)


def terms_of(names, weights=(0.1,), args=None):
    return [PenaltyTerm(name, weights, (args or CHARGED).get(name, {})) for name in names]


def descended(names, weights=(0.1,), at_once=False, by_formulas=True, args=None, **given_):
    """Return the descent of fresh networks along penalties, taken in one way or another."""
    options = {key: given_.pop(key) for key in ("k", "n", "dtype", "dale") if key in given_}
    dropped = given_.pop("dropped", None)
    rnn, mask, u, t = networks(**options)
    losses = LossFunction(rnn, mask, terms_of(names, weights, args))
    losses.terms.through_autograd.at_once = at_once
    if not by_formulas:
        for term in losses.terms.all:
            vars(term.penalty)["closed_form"] = None
    dropout = None
    if dropped is not None:
        factor = torch.ones(rnn.n_networks, rnn.n_units, dtype=rnn.dtype)
        factor[:, dropped] = 0
        dropout = DropoutMask(factor, dead=True)
    return losses.descent(u, t, dropout=dropout, **given_)


def parts(descent):
    return {
        **{f"loss {name}": value for name, value in descent.terms.items()},
        **{f"norm {name}": value for name, value in descent.norms.items()},
        **{f"gradient {i}": g for i, g in enumerate(descent.gradients)},
    }


def assert_close(a, b):
    assert parts(a).keys() == parts(b).keys()
    for name, value in parts(a).items():
        assert torch.allclose(value, parts(b)[name], rtol=1e-9, atol=1e-13), name


def test_most_penalties_on_statistics_and_weights_have_formulas():
    assert set(WITH_FORMULAS) >= {
        "metabolic", "fr_magnitude", "h_magnitude", "fr_inequality", "rec_weights_sparsity",
        "rec_weights_magnitude", "inp_weights_magnitude", "out_weights_magnitude",
    }  # fmt: skip


POOLED = {
    "fr_magnitude": {"cap_fr": 0.05, "aggregation": "logsumexp", "g_bot": 2.0},
    "h_magnitude": {"h_thr": 0.05, "aggregation": "logsumexp", "g_top": 1.0},
    "fr_inequality": {"method": "gini"},
    "rec_weights_magnitude": {"account4dale": False, "cap100": 0.02},
    "inp_weights_magnitude": {"cap100": 0.1, "gamma": 2.5},
}


@settings(max_examples=40, deadline=None)
@given(
    names=st.lists(st.sampled_from(WITH_FORMULAS), min_size=1, max_size=4, unique=True),
    weights=st.sampled_from([(0.1,), (0.1, 0.5, 0.03), (0.0, 0.2, 0.1)]),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    n=st.sampled_from([5, 20, 41]),
    dale=st.booleans(),
    args=st.sampled_from([CHARGED, POOLED]),
    task_safe=st.booleans(),
    with_norms=st.booleans(),
)
def test_formulas_are_autograd_to_the_bit(
    names, weights, dtype, n, dale, args, task_safe, with_norms
):
    """A row that was trained before there were formulas is trained again to the same bits."""
    one, other = (
        parts(
            descended(
                names, weights, by_formulas=by_formulas, args=args, n=n, dtype=dtype, dale=dale,
                task_safe=task_safe, with_norms=with_norms,
            )
        )
        for by_formulas in (True, False)
    )  # fmt: skip
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


# The mean and the scale of an inequality are constants to its gradient, and not to its value.
@pytest.mark.parametrize("name", [n for n in WITH_FORMULAS if n != "fr_inequality"])
def test_formulas_are_slopes_of_their_values(name):
    """Against differences of values, independent of autograd."""
    rnn, mask, u, t = networks(dale=True)
    losses = LossFunction(rnn, mask, terms_of([name], (1.0,)))
    run = losses.start(u, t, level=0.0)
    (pulled,), _ = losses.terms.pull(run.trials, separately=False)
    direction = torch.Generator().manual_seed(1)
    step = 1e-6

    def value_beside(by: float) -> torch.Tensor:
        taken = run.trials.run.simulation.statistics
        own = torch.Generator().manual_seed(1)
        moved = taken + by * torch.randn(taken.shape, generator=own, dtype=taken.dtype)
        weights = [
            w + by * torch.randn(w.shape, generator=own, dtype=w.dtype)
            for w in rnn.effective_weights()
        ]
        known = dict(zip(run.trials.asked, moved, strict=True))
        form = closed_forms.of(penalties.get(name))
        asked = closed_forms.Networks(
            type(rnn.effective_weights())(*weights), known, rnn.units_of_kinds,
            rnn.exc_to_inh_ratio, rnn.n_units,
        )  # fmt: skip
        return form(asked, torch.ones(3, dtype=torch.float64), **CHARGED.get(name, {})).value

    slope = (value_beside(step) - value_beside(-step)) / (2 * step)
    taken = run.trials.run.simulation.statistics
    towards = torch.randn(taken.shape, generator=direction, dtype=taken.dtype)
    wanted = torch.zeros(3, dtype=torch.float64)
    if pulled.statistics is not None:
        wanted += (pulled.statistics * towards).sum(dim=(0, 2))
    for block, w in zip(("W_rec", "W_inp", "W_out", "b_rec", "x_init"),
                        rnn.effective_weights(), strict=True):  # fmt: skip
        along = torch.randn(w.shape, generator=direction, dtype=w.dtype)
        if block in pulled.weights:
            wanted += (pulled.weights[block] * along).flatten(1).sum(1)
    assert torch.allclose(slope, wanted, rtol=1e-5, atol=1e-7)
    assert (wanted != 0).all()


@pytest.mark.parametrize("dale", [False, True])
@pytest.mark.parametrize("with_norms", [False, True])
@pytest.mark.parametrize("by_formulas", [False, True])
def test_vmap_gives_what_the_loop_gives(dale, with_norms, by_formulas):
    """All penalties there are, and a user's."""
    options = {"dale": dale, "with_norms": with_norms, "task_safe": with_norms}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        at_once = descended((*NAMES, OWN), at_once=True, by_formulas=by_formulas, **options)
    assert_close(at_once, descended((*NAMES, OWN), by_formulas=False, **options))


@pytest.mark.parametrize("at_once", [False, True])
def test_a_network_without_a_term_has_no_part_in_it(at_once):
    names, weights = ("clustering", "metabolic", OWN), (0.3, 0.0, 0.2)
    found = parts(descended(names, weights, at_once, with_norms=True))
    alone = parts(descended([], with_norms=True))
    for name in names:
        assert found[f"loss {name}"][1] == 0
        assert (found[f"loss {name}"][[0, 2]] != 0).all()
        assert found[f"norm {name}"][1] == 0
    for name in ("gradient 0", "gradient 1", "gradient 2"):
        assert torch.equal(found[name][1], alone[name][1])


@pytest.mark.parametrize("at_once", [False, True])
def test_dead_units_are_silent_to_every_penalty(at_once):
    names = (*NAMES, OWN)
    assert_close(
        descended(names, at_once=at_once, dropped=[1, 4]),
        descended(names, by_formulas=False, dropped=[1, 4]),
    )


def test_what_vmap_refuses_is_taken_one_by_one_with_one_warning(monkeypatch):
    monkeypatch.setattr(through_autograd, "_TOLD", set())
    names = (OWN, REFUSED, "clustering")
    with pytest.warns(UserWarning, match="asks_for_numbers cannot be taken of all") as caught:
        found = descended(names, at_once=True)
    assert len(caught) == 1
    assert_close(found, descended(names, by_formulas=False))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        descended(names, at_once=True)


def fails(context):
    """Raise an error of its own."""
    raise ZeroDivisionError("of the penalty")


def test_an_error_of_a_penalty_is_not_hidden():
    with pytest.raises(ZeroDivisionError, match="of the penalty"):
        descended([f"{__name__}:fails"], at_once=True)


class Counted(TorchDispatchMode):
    """Counts operations."""

    def __init__(self):
        super().__init__()
        self.operations = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.operations[str(function)] += 1
        return function(*args, **(kwargs or {}))


def test_the_number_of_operations_does_not_depend_on_that_of_networks():
    def operations(k):
        rnn, mask, u, t = networks(k)
        losses = LossFunction(rnn, mask, terms_of((*NAMES, OWN)))
        losses.terms.through_autograd.at_once = True
        run = losses.start(u, t)
        with Counted() as counted:
            losses.terms.pull(run.trials, separately=True)
        return sum(counted.operations.values())

    assert operations(2) == operations(11)


def test_sums_over_rows_are_those_of_each_row():
    g = torch.Generator().manual_seed(0)
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # as in a training
    try:
        for n in (1, 3, 7, 16, 100, 2500, 40_000):
            for k in (1, 2, 9):
                a, b = (torch.randn(k, n, generator=g) for _ in range(2))
                for i in range(k):
                    own, other = a[i].clone(), b[i].clone()
                    assert torch.equal(sums(a)[i], own.sum())
                    assert torch.equal(means(a)[i], own.mean())
                    assert torch.equal(inner([a, b], [b, b])[i],
                                       torch.stack([(own * other).sum(), (other * other).sum()]).sum())  # noqa: E501  # fmt: skip
                    positive = a.abs()
                    powers = rows_apart(positive).pow(4.3)
                    assert torch.equal(powers[i], own.abs().pow(4.3))
    finally:
        torch.set_num_threads(before)
