"""Latent circuits of trained networks: fit, connectivity, and the test by perturbation.

After Langdon & Engel (2025), Latent circuit inference from heterogeneous neural responses during
cognitive tasks, Nature Neuroscience 28, 665.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tasks_lib import Task
from tasks_lib.brief import brief

from ..network.rnn_numpy import RNNNumpy
from .agreement import StartAgreement, agreement
from .embedded import EmbeddedCircuit, circuit_equation, embedding_scale, is_odd
from .perturbation import CircuitPerturbation, PerturbationTest, perturb
from .preparation import PreparedTrials, explained, prepare, principal_components
from .settings import CircuitSettings
from .training import FittedActivity, train_circuits

Float = NDArray[np.float64]
FITTED, NO_FIT, DIVERGED = "fitted", "does_not_fit", "diverged"


@dataclass(frozen=True)
class CircuitConnection:
    """One weight of a circuit.

    Attributes
    ----------
    kind : str
        ``input``, ``recurrent`` or ``output``.
    target, source : int
        Numbers of nodes and channels: where it leads, and from where.
    weight : float
    spread : float or None
        Standard deviation over the good starts; None with one.
    """

    kind: str
    target: int
    source: int
    weight: float
    spread: float | None


@brief
@dataclass(frozen=True, eq=False)
class CircuitFit:
    """The latent circuit of a network.

    Attributes
    ----------
    status : str
        ``fitted``; ``does_not_fit``: R^2 of held-out trials is below ``min_r2``, and nothing is
        claimed of the circuit: it is not perturbed, nor are starts compared. Of all others nothing
        was fitted: ``silent``, ``constant``, ``not_finite`` (activity), ``one_condition``,
        ``few_trials``, ``too_many_nodes``, ``too_few_nodes``, ``diverged`` (all starts).
    reason : str
    n_trials : int
    settings : CircuitSettings
    circuit : EmbeddedCircuit or None
        The best of all starts.
    n_held_out : int
        Trials that the fit did not see.
    n_components, component_share : int or None, float or None
        Principal components that were fitted, and their share of the activity's sum of squares.
    r2 : dict
        ``activity``, ``outputs``: R^2 over all units or outputs, of the trials that were fitted;
        ``held_out_activity``, ``held_out_outputs``: of the others. None where nothing varies.
    relation_error, relation_correlation : float or None
        Of `EmbeddedCircuit.relation`.
    n_finite : int
        Starts that did not diverge.
    starts : StartAgreement or None
    perturbations : list of CircuitPerturbation
    tests : dict of str to PerturbationTest
    """

    status: str
    reason: str
    n_trials: int
    settings: CircuitSettings
    circuit: EmbeddedCircuit | None = None
    n_held_out: int = 0
    n_components: int | None = None
    component_share: float | None = None
    r2: dict[str, float | None] = field(default_factory=dict)
    relation_error: float | None = None
    relation_correlation: float | None = None
    n_finite: int = 0
    starts: StartAgreement | None = None
    perturbations: list[CircuitPerturbation] = field(default_factory=list)
    tests: dict[str, PerturbationTest] = field(default_factory=dict)

    def connections(self) -> Iterator[CircuitConnection]:
        """Go through all weights of the circuit that its settings leave free."""
        if self.circuit is None:
            return
        network, spread = self.circuit.network, self.starts.spread if self.starts else {}
        for kind, name in (("input", "W_inp"), ("recurrent", "W_rec"), ("output", "W_out")):
            weights = getattr(network, name)
            for target, source in np.argwhere(self._free(kind)):
                deviation = float(spread[name][target, source]) if spread else None
                weight = float(weights[target, source])
                yield CircuitConnection(kind, int(target), int(source), weight, deviation)

    def _free(self, kind: str) -> NDArray[np.bool_]:
        assert self.circuit is not None
        n, network = self.circuit.n_nodes, self.circuit.network
        if kind == "input" and self.settings.inputs == "own_node":
            return np.eye(n, network.n_inputs, dtype=np.bool_)
        if kind == "output" and self.settings.outputs == "own_node":
            return np.eye(network.n_outputs, n, n - network.n_outputs, dtype=np.bool_)
        shapes = {"input": network.W_inp, "recurrent": network.W_rec, "output": network.W_out}
        return np.ones(shapes[kind].shape, dtype=np.bool_)


def fit_latent_circuit(
    rnn: RNNNumpy,
    task: Task,
    settings: CircuitSettings | None = None,
    *,
    seed: int = 0,
    device: str | None = None,
    progress: Callable[[int, int, float], None] | None = None,
) -> CircuitFit:
    """Fit a latent circuit to a network's activity in trials, and test it by perturbation.

    Rates y of the network are embedded rates of the circuit, y = s Q x with QᵀQ = 1, and its
    outputs those of the circuit. The circuit has the network's equation, in form s and h alike: in
    both the readout and the recurrent weights read the rates, so that a change c of w_rec[i, j] is
    the change c Q_i Q_jᵀ of W_rec. In form s, that of the paper, rates are the states. Activity is
    noise-free.

    Parameters
    ----------
    rnn : RNNNumpy
    task : Task
    settings : CircuitSettings, optional
    seed : int
        Of the trials, the starts and the random directions.
    device : str, optional
        A torch device on which circuits are trained; the GPU where there is one.
    progress : callable, optional
        Called as ``progress(iteration, n_iterations, mean_loss)``.
    """
    chosen = CircuitSettings() if settings is None else settings
    prepared, status, reason, n_trials = prepare(rnn, task, chosen, seed)
    if prepared is None:
        return CircuitFit(status, reason, n_trials, chosen)
    data, basis, share = _fitted_activity(prepared, chosen)
    scale = embedding_scale(rnn.activation, rnn.n_units, chosen.n_nodes)
    equation = circuit_equation(rnn.equation, scale, rnn.n_units, chosen.n_nodes)
    found = train_circuits(
        equation, data, chosen, scale,
        has_bias=bool(rnn.b_rec.any()), has_start=bool(rnn.x_init.any()),
        seed=seed, device=device, progress=progress,
    )  # fmt: skip
    if not found:
        why = f"all {chosen.n_starts} starts overflow; a smaller learning_rate may help"
        return CircuitFit(DIVERGED, why, n_trials, chosen, n_held_out=len(prepared.held))
    best = found[0]
    circuit = EmbeddedCircuit.of(rnn, basis @ best.rotation, scale, best.weights)
    r2 = _scores(circuit, prepared)
    error, alike = circuit.relation(rnn)
    status, reason = _judged(r2, chosen.min_r2)
    starts: StartAgreement | None = None
    perturbations: list[CircuitPerturbation] = []
    tests: dict[str, PerturbationTest] = {}
    if status == FITTED:
        may_flip = is_odd(rnn.activation) and not chosen.nonnegative
        starts = agreement(found, chosen.good_within, may_flip)
        perturbations, tests = perturb(circuit, rnn, task, chosen, seed=seed)
    return CircuitFit(
        status, reason, n_trials, chosen, circuit, len(prepared.held), basis.shape[1], share, r2,
        error, alike, len(found), starts, perturbations, tests,
    )  # fmt: skip


def _fitted_activity(
    prepared: PreparedTrials, settings: CircuitSettings
) -> tuple[FittedActivity, Float, float]:
    """Return what is fitted, the principal components (N, d) that it is in, and their share."""
    rates = prepared.rates[:, :, prepared.seen]
    basis, share = principal_components(rates, settings.component_share, settings.n_nodes)
    outputs = prepared.trials.outputs[:, :, prepared.seen]
    spread = float(outputs.var(axis=(1, 2)).sum())
    data = FittedActivity(
        prepared.trials.inputs[:, :, prepared.seen],
        np.asarray(np.tensordot(basis.T, rates, 1), dtype=np.float64),
        outputs,
        float(rates.var(axis=(1, 2)).sum()),
        spread if spread > 1e-20 * float(np.square(outputs).mean()) else 0.0,
    )
    return data, basis, share


def _scores(circuit: EmbeddedCircuit, prepared: PreparedTrials) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for prefix, trials in (("", prepared.seen), ("held_out_", prepared.held)):
        with np.errstate(over="ignore", invalid="ignore"):
            _, outputs, activity = circuit.run(prepared.trials.inputs[:, :, trials])
            found[f"{prefix}activity"] = explained(prepared.rates[:, :, trials], activity)
            found[f"{prefix}outputs"] = explained(prepared.trials.outputs[:, :, trials], outputs)
    return found


def _judged(r2: dict[str, float | None], least: float) -> tuple[str, str]:
    """Return whether a circuit fits, and why it does not."""
    activity = r2["held_out_activity"]
    if activity is None:
        return NO_FIT, "of held-out trials the activity does not vary, or the circuit's overflows"
    for what in ("activity", "outputs"):
        value = r2[f"held_out_{what}"]
        if value is not None and value < least:
            return NO_FIT, f"R^2 of held-out {what} is {value:.3g}, below {least:g}"
    return FITTED, ""
