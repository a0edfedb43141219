"""Passes over memory give what the operations of torch give that they take the place of."""

from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models import NetworkConfig, RNNTorch, Trainer, TrainingConfig
from models.engine import Statistic
from models.engine.passes import runs_on
from models.engine.statistics import MEAN_ABS_STATE, SOFT_MAXIMUM_RATE, SOFT_MAXIMUM_STATE
from models.network.by_network import inner
from models.network.rows import Rows
from models.penalties import closed_forms
from models.penalties.closed_forms import Networks
from models.training.losses import Descent
from models.training.task_error import TaskErrors
from tasks_lib import NBitFlipFlop

pytestmark = pytest.mark.skipif(not runs_on(torch.zeros(1)), reason="there is no Numba")
DTYPES = st.sampled_from([torch.float32, torch.float64])
SEEDS = st.integers(0, 2**31)
FEW = settings(max_examples=25, deadline=None)


def in_torch():
    """Have torch's own operations taken."""
    return patch("models.engine.passes._compiled", None)


def same(one, other):
    """Return whether tensors are the same to the bit, but for what a NaN is."""
    return all(
        torch.equal(torch.nan_to_num(a, 7.0), torch.nan_to_num(b, 7.0))
        and torch.equal(torch.signbit(a) & ~a.isnan(), torch.signbit(b) & ~b.isnan())
        for a, b in zip(one, other, strict=True)
    )


def test_passes_are_for_real_numbers_on_a_cpu():
    assert runs_on(torch.zeros(2)) and runs_on(torch.zeros(2, dtype=torch.float64))
    assert not runs_on(torch.zeros(2, dtype=torch.bfloat16))
    assert not runs_on(torch.zeros(2, device="meta"))


def test_rows_are_blocks_that_share_their_memory():
    blocks = [torch.arange(12.0).view(2, 3, 2), torch.arange(6.0).view(2, 3)]
    rows = Rows.of(blocks)
    assert rows.rows.shape == (2, 9) and len(rows) == 2 and Rows.of(rows) is rows
    assert all(torch.equal(a, b) for a, b in zip(rows, blocks, strict=True))
    rows[1].fill_(-1)
    assert torch.equal(rows.rows[:, 6:], torch.full((2, 3), -1.0))
    first, second = rows.each(2)
    assert torch.equal(first[0], blocks[0][:1]) and torch.equal(second[0], blocks[0][1:])
    halves = Rows.of([block[:1] for block in blocks])
    assert torch.equal(inner(blocks, blocks)[:1], inner(halves, halves))


@FEW
@given(
    dtype=DTYPES, k=st.integers(1, 3), n_steps=st.integers(1, 9), b=st.integers(1, 5),
    o=st.integers(1, 3), apart=st.booleans(), asked=st.sampled_from(["all", "some"]), seed=SEEDS,
)  # fmt: skip
def test_task_errors_are_those_of_torch(dtype, k, n_steps, b, o, apart, asked, seed):
    g = torch.Generator().manual_seed(seed)
    outputs = torch.randn(k, n_steps, b, o, generator=g).to(dtype)
    t = torch.randn((k, n_steps, b, o) if apart else (n_steps, b, o), generator=g).to(dtype)
    steps = torch.randperm(n_steps, generator=g)[: max(1, n_steps // 2)].sort().values
    if asked == "some":
        t[torch.rand(t.shape, generator=g) < 0.4] = torch.nan
        t[..., steps[0], :, :] = 0.5  # something is asked in each trial
    if seed % 3 == 0:
        outputs[0, 0, 0, 0] = (torch.inf, torch.nan)[seed % 2]
    errors = TaskErrors(steps)
    with in_torch():
        wanted = TaskErrors(steps).loss_and_slope(outputs, t)
    assert same(errors.loss_and_slope(outputs, t), wanted)
    assert same(errors.loss_and_slope(outputs, t), wanted)  # of a batch that is known
    t += 1.0  # it has changed: what is known of it is not
    with in_torch():
        wanted = TaskErrors(steps).loss_and_slope(outputs, t)
    assert same(errors.loss_and_slope(outputs, t), wanted)


BLOCKS = {
    "groups": {"a": [0, 3], "b": [3, 6]},
    "blocks": {
        "W_rec": [{"to": "a", "from": "b", "weights": "fixed"}],
        "W_inp": [{"to": "a", "from": [0], "weights": "absent"}],
        "b_rec": [{"to": "a", "weights": "fixed"}],
    },
    "bias_min": -0.1,
    "bias_max": 0.1,
}
NETWORKS = {
    "plain": {"self_connections": True},
    "dale": {"dale": True, "density": 0.7, "train_x_init": True},
    "reflected": {"dale": True, "constraint_method": "reflect"},
    "blocks": BLOCKS,
    "low rank": {"max_rank": 2, "self_connections": True},
}


def trainer_of(network, dtype):
    rnn = RNNTorch.from_config(
        NetworkConfig(n_units=6, **network), 2, 2, seed=[0, 1, 2], dtype=dtype
    )
    task = NBitFlipFlop(n_steps=4, n_bits=2, pulse=1, mu=2, batch_size=2, seed=0)
    return Trainer(rnn, task, TrainingConfig(lr=0.05, weight_decay=0.01, max_grad_norm=2.0))


@FEW
@given(network=st.sampled_from(sorted(NETWORKS)), dtype=DTYPES, seed=SEEDS)
def test_steps_are_those_of_torch(network, dtype, seed):
    g = torch.Generator().manual_seed(seed)
    with in_torch():
        theirs = trainer_of(NETWORKS[network], dtype).steps
    ours = trainer_of(NETWORKS[network], dtype).steps
    assert ours._in_passes and not theirs._in_passes
    shapes = theirs.previous.shapes
    for number in range(3):
        gradients = Rows.empty(3, shapes, theirs.previous.rows)
        gradients.rows.copy_(torch.randn(gradients.rows.shape, generator=g))
        gradients.rows[0] *= 1e-3  # not clipped
        loss = torch.ones(3, dtype=dtype)
        if number == 1:  # it diverges, in one way or the other
            loss[2] = torch.nan if seed % 2 else 1.0
            gradients.rows[2, 0] = torch.inf
        trains = torch.tensor([True, number < 2, True])
        descent = Descent(loss, {}, gradients, {}, None)
        assert torch.equal(ours.follow(descent, trains), theirs.follow(descent, trains))
        assert same(ours.tensors().values(), theirs.tensors().values())
        assert ours.optimiser.n_steps == theirs.optimiser.n_steps == number + 1


def test_bounds_follow_constraints_that_are_written_to():
    rnn = RNNTorch.from_config(NetworkConfig(n_units=4), 2, 2, seed=[0, 1])
    assert rnn.bounds() is rnn.bounds()
    before = rnn.bounds().mask.copy()
    rnn._mask_W_inp[1, 2, 0] = 0.0
    changed = np.argwhere(rnn.bounds().mask != before)
    assert changed.tolist() == [[1, 16 + 2 * 2]]


def test_a_graph_of_the_weights_before_notices_a_step():
    trainer = trainer_of(NETWORKS["plain"], torch.float32)
    u, t = trainer.batches.next()
    loss = trainer.losses(u, t, noise=False).total.sum()
    trainer._iterate()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def numbers(dtype, shape):
    kind = np.float32 if dtype == torch.float32 else np.float64
    width = 32 if dtype == torch.float32 else 64
    values = st.floats(-4, 4, width=width)
    return arrays(kind, shape, elements=values | st.sampled_from([0.0, -0.0, np.nan, np.inf]))


FORMS = {
    "fr_magnitude": (SOFT_MAXIMUM_RATE, {"g_top": 3.0, "g_bot": 5.0, "alpha": 0.7}),
    "h_magnitude": (SOFT_MAXIMUM_STATE, {"h_thr": 0.3}),
    "fr_inequality": (MEAN_ABS_STATE, {}),
}


@FEW
@given(name=st.sampled_from(sorted(FORMS)), dtype=DTYPES, k=st.integers(1, 3), n=st.integers(1, 19),
       data=st.data())  # fmt: skip
def test_penalties_on_statistics_are_those_of_torch(name, dtype, k, n, data):
    kind, args = FORMS[name]
    statistic = Statistic(kind, 0.1) if "magnitude" in name else Statistic(kind)
    values = torch.from_numpy(data.draw(numbers(dtype, (k, n))))
    networks = Networks(None, {statistic: values}, None, 4.0, n)
    penalty = next(p for p in closed_forms._FORMS if p.__name__ == name)
    form, scale = closed_forms.of(penalty), torch.linspace(0.1, 0.3, k).to(dtype)
    ours = form(networks, scale, **args)
    with in_torch():
        theirs = form(networks, scale, **args)
    assert same(
        [ours.value, ours.statistics[statistic]], [theirs.value, theirs.statistics[statistic]]
    )


@FEW
@given(dtype=DTYPES, k=st.integers(1, 3), shape=st.sampled_from([(4, 2), (7, 3), (1, 1)]),
       data=st.data())  # fmt: skip
def test_penalties_on_weights_are_those_of_torch(dtype, k, shape, data):
    block = torch.from_numpy(data.draw(numbers(dtype, (k, *shape))))
    scale, args = torch.linspace(0.1, 0.3, k).to(dtype), {"gamma": 5.0, "eps": 1e-12}
    ours = closed_forms._over_cap(block, 0.3, args, scale)
    with in_torch():
        theirs = closed_forms._over_cap(block, 0.3, args, scale)
    assert same(ours, theirs)
