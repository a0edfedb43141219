"""The test of a latent circuit: changes that it predicts, made in its network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from tasks_lib import Task
from tasks_lib.brief import brief

from ..network.rnn_numpy import RNNNumpy
from ..populations.intervention_scores import InterventionTrials, run_untouched
from ..populations.variants import kicked, with_weights
from .embedded import EmbeddedCircuit
from .settings import CircuitSettings

Float = NDArray[np.float64]
Run: TypeAlias = Callable[[], Float]
KINDS = CONNECTION, NODE = "connection", "node"


@brief
@dataclass(frozen=True, eq=False)
class CircuitPerturbation:
    """One change of a circuit, and the same change in its network.

    Attributes
    ----------
    kind : str
        ``connection``: a weight of w_rec, in the network a rank-one change of W_rec. ``node``: the
        state of a node, at one step; in the network the states along its column of Q.
    to_node, from_node : int
        Of a node both are it.
    strength : float
        Of the change, signed: of the weight, or of the node's state.
    predicted, observed : float or None
        Root mean square change of the outputs of the circuit and of the network, over the root mean
        square deviation of the network's outputs; None where they overflow or do not vary.
    cosine : float or None
        Between both changes, over outputs, steps and trials; None where there is none.
    predicted_score, observed_score : float or None
        Change of the accuracy, of tasks without choices of R^2.
    control, control_cosine : float or None
        As ``observed`` and ``cosine``, mean over random directions in the space of Q's columns.
    """

    kind: str
    to_node: int
    from_node: int
    strength: float
    predicted: float | None
    observed: float | None
    cosine: float | None
    predicted_score: float | None
    observed_score: float | None
    control: float | None
    control_cosine: float | None


@brief
@dataclass(frozen=True, eq=False)
class PerturbationTest:
    """All perturbations of one kind together.

    Attributes
    ----------
    cosine : float or None
        Between predicted and observed changes of outputs, over all perturbations: 1 where the
        network does what its circuit says.
    control : float or None
        The same of random directions, mean over draws.
    p : float or None
        How often a draw of random directions has as large a cosine, (1 + k) / (1 + n).
    """

    cosine: float | None = None
    control: float | None = None
    p: float | None = None


@dataclass(frozen=True)
class _Products:
    """Scalar products of a predicted change of outputs with an observed one, and of each."""

    both: float
    predicted: float
    observed: float

    @classmethod
    def of(cls, predicted: Float, observed: Float) -> _Products:
        """Return those of two changes; 0 where one of them overflows."""
        if not (np.isfinite(predicted).all() and np.isfinite(observed).all()):
            return cls(0.0, 0.0, 0.0)
        pairs = ((predicted, observed), (predicted, predicted), (observed, observed))
        return cls(*(float(np.vdot(a, b)) for a, b in pairs))


@dataclass(frozen=True, eq=False)
class _Change:
    """What came of one perturbation."""

    kind: str
    own: _Products
    controls: list[_Products]


def perturb(
    circuit: EmbeddedCircuit,
    rnn: RNNNumpy,
    task: Task,
    settings: CircuitSettings,
    *,
    seed: int = 0,
) -> tuple[list[CircuitPerturbation], dict[str, PerturbationTest]]:
    """Change every connection and every node of a circuit, up and down, in it and in its network.

    Parameters
    ----------
    circuit : EmbeddedCircuit
    rnn : RNNNumpy
        The network that it is fitted to.
    task : Task
    settings : CircuitSettings
    seed : int
        Of the trials and of the random directions.

    Returns
    -------
    perturbations : list of CircuitPerturbation
    tests : dict of str to PerturbationTest
        Of each kind.
    """
    n = circuit.n_nodes
    n_runs = 2 * (n * n + n) * (1 + settings.n_controls)
    large = run_untouched(rnn, task, settings.perturbed_trials, n_runs, seed)
    states, outputs = circuit.network.run(large.inputs)
    small = replace(large, states=states, outputs=outputs)
    rng = np.random.default_rng([seed, 5])
    found: list[CircuitPerturbation] = []
    changes: list[_Change] = []
    with np.errstate(over="ignore", invalid="ignore"):
        for plan in _planned(circuit, rnn, small, large, settings, rng):
            predicted = plan.predicted() - small.outputs
            observed = plan.observed() - large.outputs
            random = [run() - large.outputs for run in plan.controls]
            own = _Change(
                plan.kind,
                _Products.of(predicted, observed),
                [_Products.of(predicted, other) for other in random],
            )
            changes.append(own)
            found.append(
                CircuitPerturbation(
                    plan.kind, plan.to_node, plan.from_node, plan.strength,
                    _size(predicted, large.outputs),
                    _size(observed, large.outputs),
                    _cosine([own.own]),
                    _score_change(small, predicted),
                    _score_change(large, observed),
                    _mean([_size(other, large.outputs) for other in random]),
                    _mean([_cosine([products]) for products in own.controls]),
                )
            )  # fmt: skip
    return found, {kind: _tested([c for c in changes if c.kind == kind]) for kind in KINDS}


@dataclass(frozen=True, eq=False)
class _Plan:
    """One perturbation, and what is run of it; each run gives outputs (n_outputs, T, B)."""

    kind: str
    to_node: int
    from_node: int
    strength: float
    predicted: Run
    observed: Run
    controls: list[Run]


def _planned(
    circuit: EmbeddedCircuit,
    rnn: RNNNumpy,
    small: InterventionTrials,
    large: InterventionTrials,
    settings: CircuitSettings,
    rng: np.random.Generator,
) -> Iterator[_Plan]:
    """Go through the perturbations: what they are, and what is run of each."""
    n, Q, inputs = circuit.n_nodes, circuit.embedding, large.inputs

    def random_direction() -> Float:
        mixed = rng.standard_normal(n)
        return Q @ (mixed / np.linalg.norm(mixed))

    def runs(network: RNNNumpy) -> Run:
        return lambda: network.run(inputs)[1]

    weight = settings.strength * float(np.sqrt(np.square(circuit.network.W_rec).mean()))
    for i in range(n):
        for j in range(n):
            for change in (-weight, weight):
                yield _Plan(
                    CONNECTION, i, j, change,
                    runs(circuit.with_connection(i, j, change)),
                    runs(circuit.connection_in(rnn, i, j, change)),
                    [
                        runs(with_weights(
                            rnn,
                            rnn.W_rec + change * np.outer(random_direction(), random_direction()),
                        ))
                        for _ in range(settings.n_controls)
                    ],
                )  # fmt: skip
    step = min(round(settings.at * (inputs.shape[1] - 1)), inputs.shape[1] - 1)
    state = settings.strength * float(np.sqrt(np.square(small.states).mean()))

    def kicks(network: RNNNumpy, trials: InterventionTrials, kick: Float) -> Run:
        run = kicked(network, inputs, trials, step, kick)
        return lambda: run()[1]

    for i in range(n):
        for change in (-state, state):
            yield _Plan(
                NODE, i, i, change,
                kicks(circuit.network, small, change * np.eye(n)[i]),
                kicks(rnn, large, change * circuit.scale * Q[:, i]),
                [
                    kicks(rnn, large, change * circuit.scale * random_direction())
                    for _ in range(settings.n_controls)
                ],
            )  # fmt: skip


def _size(change: Float, outputs: Float) -> float | None:
    """Return the size of a change of outputs, over the deviation of the untouched network's."""
    spread = float(np.sqrt(np.square(outputs - outputs.mean(axis=(1, 2), keepdims=True)).mean()))
    size = float(np.sqrt(np.square(change).mean()))
    return size / spread if spread > 1e-12 and np.isfinite(size) else None


def _cosine(products: Sequence[_Products]) -> float | None:
    """Return the cosine between changes, over all of several; None where one is nothing."""
    predicted, observed = (sum(getattr(p, n) for p in products) for n in ("predicted", "observed"))
    if min(predicted, observed) <= 1e-20:
        return None
    both = sum(p.both for p in products)
    return float(np.clip(both / sqrt(predicted * observed), -1.0, 1.0))


def _score_change(trials: InterventionTrials, change: Float) -> float | None:
    """Return by how much a change of the outputs changes the score."""
    before = trials.measure(trials.states, trials.outputs)
    after = trials.measure(trials.states, trials.outputs + change)
    name = "r2" if before["accuracy"] is None else "accuracy"
    one, other = before[name], after[name]
    return None if one is None or other is None else other - one


def _mean(values: list[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return float(np.mean(known)) if known else None


def _tested(changes: list[_Change]) -> PerturbationTest:
    """Return what perturbations of one kind show together."""
    cosine = _cosine([one.own for one in changes])
    draws = [_cosine(draw) for draw in zip(*(one.controls for one in changes), strict=True)]
    known = [value for value in draws if value is not None]
    if cosine is None or not known:
        return PerturbationTest(cosine, _mean(draws))
    as_large = sum(value >= cosine - 1e-12 for value in known)
    return PerturbationTest(cosine, _mean(draws), (1 + as_large) / (1 + len(known)))
