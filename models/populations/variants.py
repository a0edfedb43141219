"""What is run of an intervention: the network or its inputs at one strength, and its controls."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..network.rnn_numpy import RNNNumpy
from .intervention_scores import InterventionTrials
from .settings import InterventionSettings

Float = NDArray[np.float64]
SIGMAS = ("sigma_rec", "sigma_inp", "sigma_out")
# Runs a network: states and outputs, at the steps that the untouched network has too.
Variant: TypeAlias = Callable[[], tuple[Float, Float]]


def variants(
    rnn: RNNNumpy,
    trials: InterventionTrials,
    settings: InterventionSettings,
    strength: float,
    order: NDArray[np.int64],
    direction: Float | None,
    rng: np.random.Generator,
) -> tuple[list[Variant], list[Variant], int]:
    """Return what is run: the intervention or its draws, its controls, and the units it acts on."""
    n, n_controls, u = rnn.n_units, settings.n_controls, trials.inputs

    def ran(network: RNNNumpy, inputs: Float = u, **more: Any) -> Variant:
        return lambda: network.run(inputs, **more)

    kind = settings.kind
    if kind == "silence":
        count = max(1, round(strength * len(order)))
        # Where all units are silenced there are no others to draw.
        drawn = n_controls if count < n else 0
        random = [rng.choice(n, count, replace=False) for _ in range(drawn)]
        return (
            [ran(silenced(rnn, order[:count]))],
            [ran(silenced(rnn, some)) for some in random],
            count,
        )
    if kind == "perturb":
        assert direction is not None
        spread = trials.states - trials.states.mean(axis=(1, 2), keepdims=True)
        size = strength * float(np.sqrt((spread**2).sum(axis=0).mean()))
        # Of one unit there is no other direction.
        directions = [direction, *rng.standard_normal((n_controls if n > 1 else 0, n))]
        moved = [size * d / np.linalg.norm(d) for d in directions]
        step = min(round(settings.at * (u.shape[1] - 1)), u.shape[1] - 1)
        own, *controls = (kicked(rnn, u, trials, step, kick) for kick in moved)
        return [own], controls, n
    if kind == "weight_noise":
        there = rnn.W_rec != 0
        scale = strength * float(rnn.W_rec[there].std()) if there.any() else 0.0
        draws = [rng.standard_normal((n, n)) * there for _ in range(max(n_controls, 1))]
        return [ran(with_weights(rnn, rnn.W_rec + scale * d)) for d in draws], [], n
    if kind == "quantise":
        largest = float(np.abs(rnn.W_rec).max())
        step_size = strength * largest
        rounded = step_size * np.round(rnn.W_rec / step_size) if step_size > 0 else rnn.W_rec
        there = rnn.W_rec != 0
        error = rounded - rnn.W_rec
        size = float(np.sqrt((error[there] ** 2).mean())) if there.any() else 0.0
        noisy = [
            with_weights(rnn, rnn.W_rec + size * rng.standard_normal((n, n)) * there)
            for _ in range(n_controls)
        ]
        return [ran(with_weights(rnn, rounded))], [ran(other) for other in noisy], n
    if kind == "noise":
        own_noise = any(getattr(rnn.equation, name) > 0 for name in SIGMAS)
        more = list(_noisy(rnn, u, strength, max(n_controls, 1), rng))
        return more, list(_noisy(rnn, u, 0.0, n_controls if own_noise else 0, rng)), n
    if kind == "input_gain":
        return [ran(rnn, u * (1 + strength))], [], n
    step = min(round(settings.at * (u.shape[1] - 1)), u.shape[1] - 1)
    longer = max(1, round(strength * u.shape[1]))
    return [held(rnn, u, trials, step, longer)], [], n


def kicked(rnn: RNNNumpy, u: Float, trials: InterventionTrials, step: int, kick: Float) -> Variant:
    """Return the run in which states are moved by a kick (N,) at one step, and then run on."""

    def run() -> tuple[Float, Float]:
        states, outputs = rnn.run(u[:, step:], trials.states[:, step] + kick[:, None])
        return (
            np.concatenate([trials.states[:, :step], states], axis=1),
            np.concatenate([trials.outputs[:, :step], outputs], axis=1),
        )

    return run


def held(rnn: RNNNumpy, u: Float, trials: InterventionTrials, step: int, longer: int) -> Variant:
    """Return the run in which the inputs of one step last for so many steps more.

    What is in between is run in parts and not kept, so that a long delay takes no memory.
    """

    def run() -> tuple[Float, Float]:
        x, left = trials.states[:, step], longer
        while left:
            n_steps = min(left, u.shape[1])
            states, _ = rnn.run(np.repeat(u[:, step : step + 1], n_steps + 1, axis=1), x)
            x, left = states[:, -1], left - n_steps
        states, outputs = rnn.run(u[:, step:], x)
        return (
            np.concatenate([trials.states[:, :step], states], axis=1),
            np.concatenate([trials.outputs[:, :step], outputs], axis=1),
        )

    return run


def _noisy(
    rnn: RNNNumpy, u: Float, strength: float, n_draws: int, rng: np.random.Generator
) -> Iterator[Variant]:
    for _ in range(n_draws):
        network = copy.copy(rnn)
        network.equation = replace(rnn.equation, sigma_rec=rnn.equation.sigma_rec + strength)
        network.rng = np.random.default_rng(rng.integers(2**63))
        yield partial(_run_noisy, network, u)


def _run_noisy(network: RNNNumpy, u: Float) -> tuple[Float, Float]:
    return network.run(u, noise=True)


def with_weights(rnn: RNNNumpy, W_rec: Float) -> RNNNumpy:
    """Return the network with other recurrent weights."""
    other = copy.copy(rnn)
    other.W_rec = W_rec
    return other


def silenced(rnn: RNNNumpy, units: ArrayLike) -> RNNNumpy:
    """Return the network in which some units send nothing, neither to others nor to the readout."""
    other = copy.copy(rnn)
    other.W_rec, other.W_out = rnn.W_rec.copy(), rnn.W_out.copy()
    chosen = np.asarray(units, dtype=np.int64)
    other.W_rec[:, chosen] = 0.0
    other.W_out[:, chosen] = 0.0
    return other
