"""The test of a latent circuit: changes that it predicts, made in its network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from tasks_lib import Task
from tasks_lib.brief import brief

from ..network.rnn_numpy import RNNNumpy
from ..populations.intervention_scores import InterventionTrials, run_untouched
from ..populations.variants import kicked, with_weights
from .embedded import EmbeddedCircuit, correlation
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
        Between predicted and observed changes of outputs, mean over perturbations: 1 where the
        network does what its circuit says.
    correlation : float or None
        Of the sizes of predicted and observed changes, by ranks (Spearman).
    control : float or None
        As ``cosine``, of random directions, mean over draws.
    p : float or None
        How often a draw of random directions has as large a mean cosine, (1 + k) / (1 + n).
    """

    cosine: float | None = None
    correlation: float | None = None
    control: float | None = None
    p: float | None = None


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
    draws: list[list[float | None]] = []  # cosines with each random direction
    with np.errstate(over="ignore", invalid="ignore"):
        for plan in _planned(circuit, rnn, small, large, settings, rng):
            predicted = plan.predicted() - small.outputs
            observed = plan.observed() - large.outputs
            random = [run() - large.outputs for run in plan.controls]
            draws.append([_cosine(predicted, other) for other in random])
            found.append(
                CircuitPerturbation(
                    plan.kind, plan.to_node, plan.from_node, plan.strength,
                    _size(predicted, large.outputs),
                    _size(observed, large.outputs),
                    _cosine(predicted, observed),
                    _score_change(small, predicted),
                    _score_change(large, observed),
                    _mean([_size(other, large.outputs) for other in random]),
                    _mean(draws[-1]),
                )
            )  # fmt: skip
    tests = {}
    for kind in KINDS:
        chosen = [i for i, one in enumerate(found) if one.kind == kind]
        tests[kind] = _tested([found[i] for i in chosen], [draws[i] for i in chosen])
    return found, tests


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


def _cosine(predicted: Float, observed: Float) -> float | None:
    """Return the cosine between two changes; None where one is nothing or overflows."""
    size = float(np.linalg.norm(predicted)) * float(np.linalg.norm(observed))
    if not np.isfinite(size) or size <= 1e-20:
        return None
    return float(np.clip(np.vdot(predicted, observed) / size, -1.0, 1.0))


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


def _tested(
    perturbations: list[CircuitPerturbation], draws: list[list[float | None]]
) -> PerturbationTest:
    """Return what perturbations of one kind show together."""
    from scipy.stats import rankdata

    cosine = _mean([one.cosine for one in perturbations])
    sizes = np.array(
        [
            (one.predicted, one.observed)
            for one in perturbations
            if one.predicted is not None and one.observed is not None
        ]
    ).reshape(-1, 2)
    alike = correlation(rankdata(sizes[:, 0]), rankdata(sizes[:, 1])) if len(sizes) > 2 else None
    means = [_mean(list(draw)) for draw in zip(*draws, strict=True)]
    known = [value for value in means if value is not None]
    p = None
    if cosine is not None and known:
        p = (1 + sum(value >= cosine - 1e-12 for value in known)) / (1 + len(known))
    return PerturbationTest(cosine, alike, _mean(means), p)
