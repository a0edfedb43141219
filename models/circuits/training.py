"""Latent circuits from many starts, trained as one batch of networks by the engine.

The readout of a circuit has two blocks of rows: kappa Q', from its nodes to the principal
components of the large network's rates, and w_out, to its outputs. The loss of a training, the mean
squared error of outputs, is then |y - Q x|^2 and |z - w_out x|^2 together, each with the weight
that its targets are scaled by. All weights but Q' follow the gradient. Q' is after each step the
matrix of orthonormal columns with the least |y - Q x|^2 for the activity at hand: the polar factor
of y xᵀ (Procrustes; variables that a linear problem gives are best not left to the gradient, Golub
& Pereyra 1973). Langdon and Engel take the first rows of the Cayley transform of an N x N matrix,
and its gradient. From the same starts that ends further from the best fit, and it inverts N x N
where this decomposes d x n.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from math import cos, pi, sqrt

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..engine import Buffers, torch_on_one
from ..formulas.equations import Equation
from ..machine.devices import checked_device
from ..machine.torch_modes import plain_torch
from ..network.config import NetworkConfig
from ..network.connectivity import Connectivity
from ..network.rnn_torch import RNNTorch
from ..network.run import RunMemory
from ..training.config import TrainingConfig
from ..training.losses import LossFunction
from ..training.stepper import Stepper
from .settings import CircuitSettings

Float = NDArray[np.float64]
WEIGHTS_STD, CHANNELS_MEAN, CHANNELS_STD = 0.1, 0.3, 0.1  # of initial weights
LARGEST_BIAS = 100.0


@dataclass(frozen=True, eq=False)
class FittedActivity:
    """What circuits are fitted to.

    Attributes
    ----------
    inputs : array (n_inputs, T, B)
    components : array (d, T, B)
        Principal components of the large network's rates.
    outputs : array (n_outputs, T, B)
    activity_variance : float
        Of the rates over trials and steps, summed over units.
    output_variance : float
        Of the outputs, summed.
    """

    inputs: Float
    components: Float
    outputs: Float
    activity_variance: float
    output_variance: float


@dataclass(frozen=True, eq=False)
class TrainedCircuit:
    """The circuit of one start.

    Attributes
    ----------
    weights : dict
        W_rec, W_inp, W_out, b_rec, x_init: of the circuit, with y = s Q x.
    rotation : array (d, n)
        Q', orthonormal columns: Q in the basis of the principal components.
    loss : float
        In the end.
    """

    weights: dict[str, Float]
    rotation: Float
    loss: float


@plain_torch()
def train_circuits(
    equation: Equation,
    data: FittedActivity,
    settings: CircuitSettings,
    scale: float,
    *,
    has_bias: bool = False,
    has_start: bool = False,
    seed: int = 0,
    device: str | None = None,
    progress: Callable[[int, int, float], None] | None = None,
) -> list[TrainedCircuit]:
    """Fit circuits from random starts; those that diverge are left out.

    Parameters
    ----------
    equation : Equation
        Of the circuit: `models.circuits.embedded.circuit_equation`.
    data : FittedActivity
    settings : CircuitSettings
    scale : float
        s of `models.circuits.embedded.embedding_scale`.
    has_bias, has_start : bool
        Whether nodes have a bias, and an initial state other than 0.
    seed : int
        Of the starts.
    device : str, optional
        A torch device; the GPU where there is one.
    progress : callable, optional
        Called as ``progress(iteration, n_iterations, mean_loss)``.

    Returns
    -------
    list of TrainedCircuit
        The best first.
    """
    d, n_outputs = len(data.components), len(data.outputs)
    n, n_rows = settings.n_nodes, d + n_outputs
    # Of an f with f(c x) = c f(x) nodes may be of any size: of about 1 here, scaled afterwards.
    size = 1.0
    if equation.activation.half_slopes is not None:
        size = sqrt(float(np.square(data.components).sum(axis=0).mean()) / n)
    size = size if size > 0 else 1.0
    own = replace(equation, gamma=equation.gamma * size**2)
    on_activity = sqrt(n_rows / data.activity_variance)
    weighted = settings.output_weight * n_rows
    on_outputs = sqrt(weighted / data.output_variance) if data.output_variance > 0 else 0.0
    kappa = on_activity * scale * size
    config = _config(own, n, has_bias, has_start)
    rng = np.random.default_rng([seed, 3])
    starts = [
        _start(settings, data, kappa, on_outputs * size, rng) for _ in range(settings.n_starts)
    ]
    chosen = checked_device(device)
    networks = RNNTorch(starts, config, device=chosen)
    targets = np.concatenate([on_activity * data.components, on_outputs * data.outputs])
    u, t = networks.to_internal(data.inputs), networks.to_internal(targets)
    mask = torch.arange(data.inputs.shape[1], device=networks.device)
    training = TrainingConfig(
        max_iter=settings.n_iterations, lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
    )  # fmt: skip
    memory = RunMemory(Buffers())
    losses = LossFunction(networks, mask, ())
    steps = Stepper(networks, losses, [training] * len(starts), memory)
    active = np.ones(len(starts), dtype=np.bool_)
    with torch_on_one(), torch.no_grad():
        _embed(networks, u, t, d, kappa)
        for i in range(settings.n_iterations):
            part = i / settings.n_iterations
            steps.optimiser.lr.fill_(settings.learning_rate * (1 + cos(pi * part)) / 2)
            descent = losses.descent(u, t, memory=memory)
            trains = torch.as_tensor(active, device=networks.device)
            active &= ~steps.follow(descent, trains).cpu().numpy()
            if not active.any():
                break
            # Of the weights of before this step: one run serves both.
            _set_rotation(networks, _rotation(networks, descent.run.states, t, d), kappa)
            if progress is not None:
                progress(i + 1, settings.n_iterations, float(descent.total.mean()))
        _embed(networks, u, t, d, kappa)
        final = losses(u, t, False).task.cpu().numpy().astype(np.float64)
    found = []
    for k in np.argsort(final, kind="stable"):
        if not (active[k] and np.isfinite(final[k])):
            continue
        w = {name: v.astype(np.float64) for name, v in networks.weights(int(k)).items()}
        left, _, right = np.linalg.svd(w["W_out"][:d], full_matrices=False)
        # Outputs that do not vary are not fitted, and have no weights.
        divided = on_outputs * size
        w["W_out"] = w["W_out"][d:] / divided if divided > 0 else np.zeros((n_outputs, n))
        for name in ("W_inp", "b_rec", "x_init"):
            w[name] = w[name] * size
        found.append(TrainedCircuit(w, left @ right, float(final[k])))
    return found


def _embed(networks: RNNTorch, u: Tensor, t: Tensor, n_rows: int, kappa: float) -> None:
    """Give every network the best embedding of what it does now."""
    _set_rotation(networks, _rotation(networks, networks.run(u).states, t, n_rows), kappa)


def _rotation(networks: RNNTorch, states: Tensor, t: Tensor, n_rows: int) -> Tensor:
    """Return Q' (K, d, n) of the least |y - Q x|^2, given states (K, T, B, n)."""
    rates = networks.equation.rates(states).flatten(1, 2)
    wanted = t[..., :n_rows].reshape(-1, n_rows)
    # In float64, and of those that overflowed nothing: the decomposition has to converge.
    shared = torch.nan_to_num(torch.matmul(wanted.T, rates).double(), 0.0, 0.0, 0.0)
    left, _, right = torch.linalg.svd(shared, full_matrices=False)
    return torch.bmm(left, right).to(t.dtype)


def _set_rotation(networks: RNNTorch, rotation: Tensor, kappa: float) -> None:
    networks.get_parameter("_W_out")[:, : rotation.shape[1]] = kappa * rotation


def _config(equation: Equation, n_nodes: int, has_bias: bool, has_start: bool) -> NetworkConfig:
    """Return the configuration of circuits; constraints come with their weights."""
    of_equation = {f.name: getattr(equation, f.name) for f in fields(Equation)}
    activation = of_equation.pop("activation")
    bias = LARGEST_BIAS if has_bias else 0.0
    return NetworkConfig(
        n_units=n_nodes,
        activation=activation.name,
        activation_args=dict(activation.args),
        self_connections=True,
        bias_min=-bias,
        bias_max=bias,
        train_x_init=has_start,
        **of_equation,
    )


def _start(
    settings: CircuitSettings,
    data: FittedActivity,
    kappa: float,
    output_scale: float,
    rng: np.random.Generator,
) -> Connectivity:
    """Draw the initial weights of one circuit, with the masks and signs that it keeps."""
    n, d = settings.n_nodes, len(data.components)
    n_inputs, n_outputs = len(data.inputs), len(data.outputs)
    reached: NDArray[np.bool_] = np.ones((n, n_inputs), dtype=np.bool_)
    if settings.inputs == "own_node":
        reached = np.eye(n, n_inputs, dtype=np.bool_)
    read: NDArray[np.bool_] = np.ones((n_outputs, n), dtype=np.bool_)
    if settings.outputs == "own_node":
        read = np.eye(n_outputs, n, n - n_outputs, dtype=np.bool_)
    Q = np.linalg.qr(rng.standard_normal((d, n)))[0]
    W_rec = WEIGHTS_STD * rng.standard_normal((n, n)) / sqrt(n)
    W_inp = rng.normal(CHANNELS_MEAN, CHANNELS_STD, (n, n_inputs))
    W_out = rng.normal(CHANNELS_MEAN, CHANNELS_STD, (n_outputs, n))
    if settings.nonnegative:
        W_inp, W_out = np.abs(W_inp), np.abs(W_out)
    sign = float(settings.nonnegative)
    return Connectivity(
        W_rec=W_rec,
        W_inp=W_inp * reached,
        W_out=np.concatenate([kappa * Q, output_scale * W_out * read]),
        b_rec=np.zeros(n),
        masks={
            "W_rec": np.ones((n, n), dtype=np.bool_),
            "W_inp": reached,
            "W_out": np.concatenate([np.ones((d, n), dtype=np.bool_), read]),
        },
        signs={
            "W_rec": np.zeros((n, n)),
            "W_inp": np.full((n, n_inputs), sign),
            "W_out": np.concatenate([np.zeros((d, n)), np.full((n_outputs, n), sign)]),
        },
    )
