"""Networks whose recurrent weights are a product of factors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import models
from models.network.low_rank import Factors, factors_of
from models.training.losses import LossFunction
from tasks_lib import ParameterError
from tests.models.population_networks import Flags

LOW = {"n_units": 12, "max_rank": 2, "self_connections": True, "activation": "tanh"}


def low(**fields):
    return models.NetworkConfig(**{**LOW, **fields})


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_drawn_weights_have_the_rank_and_the_radius(rank):
    drawn = models.initial_connectivity(low(max_rank=rank, spectral_radius=0.7), 2, 1, seed=3)
    assert np.linalg.matrix_rank(drawn.W_rec) == rank
    assert np.abs(np.linalg.eigvals(drawn.W_rec)).max() == pytest.approx(0.7)
    # What is drawn beside W_rec is what a network of any rank has.
    full = models.initial_connectivity(low(max_rank=0), 2, 1, seed=3)
    assert np.array_equal(drawn.W_inp, full.W_inp) and np.array_equal(drawn.W_out, full.W_out)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"dale": True}, "dale = True"),
        ({"density": 0.5}, "density = 0.5"),
        ({"self_connections": False}, "self_connections = False"),
        ({"max_rank": 12}, "max_rank = 12"),
        ({"max_rank": -1}, "max_rank = -1"),
    ],
)
def test_what_factors_cannot_keep_is_refused(fields, named):
    with pytest.raises(ParameterError, match=named):
        low(**fields)


def test_factors_are_recovered_from_their_product():
    rng = np.random.default_rng(0)
    made = Factors(rng.standard_normal((9, 2)), rng.standard_normal((9, 2)))
    found = factors_of(made.product(), 2)
    assert np.allclose(found.product(), made.product())
    assert np.allclose(np.linalg.norm(found.left, axis=0), np.linalg.norm(found.right, axis=0))
    assert found.left.T @ found.left == pytest.approx(
        np.diag(np.square(found.left).sum(axis=0)), abs=1e-9
    )
    with pytest.raises(ParameterError, match="max_rank = 1: W_rec has rank 2"):
        factors_of(made.product(), 1)


@pytest.mark.parametrize("form", ["s", "h"])
@pytest.mark.parametrize("method", ["clamp", "reflect"])
def test_gradients_by_the_factors_are_those_of_autograd(form, method):
    config = low(equation_type=form, constraint_method=method, sigma_rec=0.1, nonnegative_inp=True)
    rnn = models.RNNTorch.from_config(config, 2, 1, seed=[0, 1], dtype=torch.float64)
    task = Flags()
    task.reset(0)
    inputs, targets, _ = task.get_batch()
    u, t = rnn.to_internal(inputs), rnn.to_internal(targets)
    mask = torch.arange(task.n_steps)
    losses = LossFunction(rnn, mask, [])
    found = losses.descent(u, t, level=0.0).gradients
    _, outputs = rnn.simulate(u)
    loss = (outputs - t).square().mean(dim=(1, 2, 3)).sum()
    expected = torch.autograd.grad(loss, list(rnn.parameters()))
    assert {name for name, _ in rnn.named_parameters()} >= {"_left_rec", "_right_rec"}
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-9, atol=1e-12)


def trained(config, tmp_path=None, **options):
    training = models.TrainingConfig(max_iter=30, lr=0.05, weight_decay=0.0, snapshots=2)
    return models.train_cohort(lambda seed: Flags(seed=seed), config, training, **options).networks


def test_training_keeps_the_rank_and_lowers_the_loss():
    (one, two) = trained(low(), seeds=[0, 1])
    alone = trained(low(), seeds=[1])[0]
    assert np.array_equal(two.weights["W_rec"], alone.weights["W_rec"])
    for network in (one, two):
        assert np.linalg.matrix_rank(network.weights["W_rec"], tol=1e-5) == 2
        assert network.loss_curve[-1] < network.loss_curve[0]
    start = models.initial_connectivity(low(), 2, 1, seed=1).W_rec
    assert np.allclose(two.snapshots[0]["W_rec"], start, atol=1e-6)
    assert not np.allclose(two.weights["W_rec"], start, atol=1e-3)


def test_a_training_goes_on_from_a_checkpoint_with_its_factors(tmp_path):
    def trainer(max_iter=20):
        rnn = models.RNNTorch.from_config(low(), 2, 1, seed=0)
        return models.Trainer(rnn, Flags(seed=0), models.TrainingConfig(max_iter=max_iter))

    whole = trainer().run_training()[0]
    first = trainer()
    with pytest.raises(models.TrainingStopped):
        first.run_training(checkpoint=tmp_path / "state", stop=lambda: first.iteration == 7)
    later = trainer()
    assert np.array_equal(later.run_training(checkpoint=tmp_path / "state")[0].weights["W_rec"],
                          whole.weights["W_rec"])  # fmt: skip


def test_files_keep_the_rank_and_give_the_factors_back(tmp_path):
    network = trained(low(), seeds=[0])[0]
    equation = vars(low().equation)
    rnn = models.RNNNumpy(**network.weights, **equation)
    path = models.write_network(tmp_path / "low.npz", rnn, low())
    read = models.read_network(path)
    assert read.config == low() and read.notes == ()
    again = read.to_torch()
    assert np.allclose(again.weights()["W_rec"], network.weights["W_rec"], atol=1e-6)
    # Weights that have a higher rank are kept, and the configuration says so no more.
    rng = np.random.default_rng(0)
    full = models.RNNNumpy(
        **{**network.weights, "W_rec": rng.standard_normal((12, 12))}, **equation
    )
    read = models.read_network(models.write_network(tmp_path / "full.npz", full, low()))
    assert read.config.max_rank == 0
    assert any("max_rank" in note for note in read.notes)


def rank_two(form="h"):
    """A network with m_0 that reads input 0, and m_1 that nothing drives; N = 4."""
    left = np.array([[4.0, 0, 0, 0], [0, 2.0, 0, 0]]).T
    right = np.array([[0, 0, 4.0, 0], [0, 0, 0, 2.0]]).T
    W_inp = np.array([[0, 0, 1.0, 0]]).T * [[1.0, 0.0]]
    return models.RNNNumpy(
        W_rec=Factors(left, right).product(), W_inp=W_inp, W_out=[[1.0, 1.0, 0, 0]],
        activation="relu", equation_type=form, tau=1.0, dt=1.0,
    )  # fmt: skip


@pytest.mark.parametrize("form", ["s", "h"])
def test_parts_of_a_known_network(form):
    found = models.get_rank_one_parts(rank_two(form), Flags(a=(1.0, 2.0), b=(0.0,)))
    assert (found.status, found.rank) == ("analysed", 2)
    first, second = found.parts
    assert [p.singular_value for p in found.parts] == pytest.approx([4.0, 1.0])
    assert first.left == pytest.approx([4, 0, 0, 0]) and first.right == pytest.approx([0, 0, 4, 0])
    # Unit 2 has the rate a from the step after the input: kappa = 4 a / 4.
    assert sorted(set(first.drive[:, -1].tolist())) == pytest.approx([1.0, 2.0])
    assert not second.drive.any()
    assert (first.share, second.share) == pytest.approx((1.0, 0.0))
    assert second.between_trials is None and 0 < first.between_trials < 1
    assert found.explained == pytest.approx(1.0)
    cosines = {
        (o.reader, o.reader_number, o.writer, o.writer_number): o.cosine for o in found.overlaps
    }
    assert cosines["right", 0, "input", 0] == pytest.approx(1.0)
    assert cosines["right", 0, "left", 0] == 0.0
    assert cosines["output", 0, "left", 1] == pytest.approx(np.sqrt(0.5))
    assert cosines["right", 0, "input", 1] is None
    values = np.array([[o.value for o in found.overlaps if o.reader == "right" and
                        o.writer == "left"]]).reshape(2, 2)  # fmt: skip
    assert np.linalg.eigvals(values) == pytest.approx([0.0, 0.0])
    models.plot_rank_one_parts(found)


def test_overlaps_have_the_eigenvalues_of_the_weights():
    drawn = models.initial_connectivity(low(max_rank=3), 2, 1, seed=5)
    rnn = models.RNNNumpy(
        W_rec=drawn.W_rec, W_inp=drawn.W_inp, W_out=drawn.W_out, activation="tanh"
    )
    found = models.get_rank_one_parts(rnn, Flags())
    values = [o.value for o in found.overlaps if (o.reader, o.writer) == ("right", "left")]
    largest = sorted(np.abs(np.linalg.eigvals(drawn.W_rec)))[-3:]
    assert sorted(np.abs(np.linalg.eigvals(np.reshape(values, (3, 3))))) == pytest.approx(largest)
    assert sum(p.share for p in found.parts) == pytest.approx(1.0)


def bare(W_rec):
    return models.RNNNumpy(
        W_rec=W_rec, W_inp=np.ones((3, 2)), W_out=np.ones((1, 3)), activation="relu"
    )


def test_what_has_no_parts_says_why():
    still = bare(np.zeros((3, 3)))
    found = models.get_rank_one_parts(still, Flags())
    assert (found.status, found.parts, found.explained) == ("no_recurrence", [], None)
    models.plot_rank_one_parts(found)
    grows = bare(np.eye(3) * 1e30)
    assert models.get_rank_one_parts(grows, Flags()).status == "not_finite"
    # One that is silent has its vectors, and drives of 0 that explain nothing.
    silent = models.RNNNumpy(
        W_rec=np.ones((3, 3)), W_inp=np.zeros((3, 2)), W_out=np.ones((1, 3)), activation="relu"
    )
    found = models.get_rank_one_parts(silent, Flags())
    assert (found.status, found.rank, found.explained) == ("silent", 1, None) and found.reason
    assert not found.parts[0].drive.any() and found.parts[0].share is None
    assert len(found.overlaps) == 2 * 3
    models.plot_rank_one_parts(found)
