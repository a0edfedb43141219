"""Latent circuits of trained networks: fit, connectivity and test by perturbation as rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import datajoint as dj
import numpy as np

import models
from models.circuits.settings import CircuitSettings

from ..database import schemas
from ..database.types import Query
from .current_job import current_device
from .left_out import Analysis
from .one_row import one_row
from .parameters import columns
from .performance import (
    VALIDATION_SEED,
    fetch_network,
    fetch_network_rows,
    finished_networks,
    network_and_task,
)
from .rows import Row
from .settings import CheckedSettings, prefixed
from .training import Training  # noqa: F401  (the definition names it)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLOCKS = {"input": "W_inp", "recurrent": "W_rec", "output": "W_out"}


@schemas.dynamics
class LatentCircuitParams(CheckedSettings):
    config = CircuitSettings
    renamed = prefixed(config, "circuit")

    definition = f"""
    # how latent circuits are fitted and tested
    circuit_name : varchar(64)  # readable name
    ---
    {columns(config, (), renamed)}
    """

    # How many nodes a circuit has is a question to a task, and a fit takes as long as a short
    # training: none is made before it is asked for.
    contents: tuple[dict[str, Any], ...] = ()


@schemas.dynamics
class LatentCircuit(Analysis):
    definition = """
    # small network whose activity, embedded, is that of a trained one (Langdon & Engel 2025)
    -> Training.Network
    -> LatentCircuitParams
    ---
    circuit_status  : varchar(16)   # fitted, does_not_fit, silent, one_condition, ... (docs)
    circuit_reason  : varchar(255)  # why it does not fit, or is none; empty: it fits
    circuit_trials  : int32         # trials run
    held_out_trials : int32         # of them the fit did not see
    fitted_components=null    : int32    # principal components of the rates that were fitted
    fitted_share=null         : float64  # of the sum of squares of the rates, that is in them
    activity_r2=null          : float64  # R^2 of all units, of the trials that were fitted
    outputs_r2=null           : float64  # of outputs; null: they do not vary
    held_out_activity_r2=null : float64  # the same of held-out trials
    held_out_outputs_r2=null  : float64  # the same of held-out trials
    finite_starts             : int32    # starts that did not diverge
    good_starts=null          : int32    # as good as the best, nearly, which is one of them
    start_agreement=null      : float64  # correlation of their w_rec with the best one's
    embedding_agreement=null  : float64  # cosine of their columns of Q with the best one's
    relation_error=null       : float64  # |W_rec Q - Q w_rec| / |W_rec Q|
    relation_correlation=null : float64  # of Q^T W_rec Q with w_rec
    connection_cosine=null    : float64  # of predicted with observed changes, mean of connections
    connection_correlation=null : float64  # of the sizes of both, by ranks
    connection_control=null   : float64  # the same of random directions
    connection_p=null         : float64  # share of draws of these with no smaller cosine
    node_cosine=null          : float64  # as connection_cosine, of nodes
    node_correlation=null     : float64  # as connection_correlation, of nodes
    node_control=null         : float64  # as connection_control, of nodes
    node_p=null               : float64  # as connection_p, of nodes
    circuit_scale=null        : float64  # s of y = s Q x
    circuit_embedding=null    : <blob>   # Q, orthonormal columns (N, n)
    node_bias=null            : <blob>   # bias of each node (n,)
    node_start=null           : <blob>   # initial state of each node (n,)
    """

    class Connection(dj.Part):
        definition = """
        # one weight of the circuit
        -> master
        connection_kind : enum('input', 'recurrent', 'output')
        connection_to   : int32  # node, of output: channel
        connection_from : int32  # node, of input: channel
        ---
        connection_weight      : float64
        connection_spread=null : float64  # standard deviation over good starts; null: there is one
        """

    class Perturbation(dj.Part):
        definition = """
        # a change of the circuit, and the same change made in the network
        -> master
        perturbation_kind : enum('connection', 'node')  # weight of w_rec, or state of a node
        perturbed_to   : int32  # node
        perturbed_from : int32  # node; of a node itself
        perturbed_up   : bool   # whether it is increased
        ---
        perturbation_strength : float64  # of the change, signed
        predicted_change=null : float64  # of the circuit's outputs, over the network's deviation
        observed_change=null  : float64  # of the network's outputs; null: they overflow
        change_cosine=null    : float64  # between the two; null: one is nothing
        predicted_score_change=null : float64  # of the accuracy, without choices of R^2
        observed_score_change=null  : float64  # the network's
        random_change=null    : float64  # as observed_change, mean over random directions
        random_cosine=null    : float64  # as change_cosine, mean over random directions
        """

    @property
    def all_keys(self) -> Query:
        """Finished networks, with every way of fitting that has been entered."""
        return finished_networks().proj() * LatentCircuitParams.proj()

    def make_fetch(self, key: dict[str, Any]) -> tuple[Any, ...]:
        """Fetch parameters and references to the weights."""
        return (
            *fetch_network_rows(key),
            (LatentCircuitParams & key).fetch1(),
        )

    def make_compute(
        self,
        key: dict[str, Any],
        network_row: dict[str, Any],
        params_row: dict[str, Any],
        task_row: dict[str, Any],
        settings_row: dict[str, Any],
    ) -> tuple[models.CircuitFit]:
        """Fit and test the circuit of one network."""
        rnn, task = network_and_task(network_row, params_row, task_row)
        settings = LatentCircuitParams.build(settings_row)
        fit = models.fit_latent_circuit(
            rnn, task, settings, seed=VALIDATION_SEED, device=current_device()
        )
        return (fit,)

    def make_insert(self, key: dict[str, Any], found: models.CircuitFit) -> None:
        """Insert the circuit, its weights and what its perturbations did."""
        self.insert1({**key, **_row(found)})
        self.Connection.insert(
            {
                **key,
                "connection_kind": one.kind,
                "connection_to": one.target,
                "connection_from": one.source,
                "connection_weight": one.weight,
                "connection_spread": one.spread,
            }
            for one in found.connections()
        )
        self.Perturbation.insert(
            {
                **key,
                "perturbed_up": one.strength > 0,
                **{column: getattr(one, name) for name, column in PERTURBATION.items()},
            }
            for one in found.perturbations
        )

    def load(self) -> models.CircuitFit:
        """Return the circuit of the one row that this query selects, as it was fitted."""
        row = one_row(self)
        key = {name: row[name] for name in self.primary_key}
        settings = LatentCircuitParams.build((LatentCircuitParams & key).fetch1())
        rnn, _ = fetch_network(key)
        connections = (LatentCircuit.Connection & key).to_dicts(order_by="KEY")
        perturbations = (LatentCircuit.Perturbation & key).to_dicts(order_by="KEY")
        return circuit_from_rows(row, connections, perturbations, settings, rnn)

    def plot(self) -> Figure:
        """Draw the circuit of the one row that this query selects."""
        rnn, task = fetch_network(one_row(self))
        return models.plot_latent_circuit(self.load(), rnn, task, seed=VALIDATION_SEED)


def circuit_from_rows(
    row: Row,
    connections: Sequence[Row],
    perturbations: Sequence[Row],
    settings: CircuitSettings,
    rnn: models.RNNNumpy,
) -> models.CircuitFit:
    """Return a circuit as it was fitted, from its row and those of its parts."""
    circuit, spread = _circuit(row, connections, rnn, settings)
    tests = {
        kind: models.PerturbationTest(**{name: row[f"{kind}_{name}"] for name in TEST})
        for kind in ("connection", "node")
    }
    good = row["good_starts"]
    return models.CircuitFit(
        status=row["circuit_status"],
        reason=row["circuit_reason"],
        n_trials=row["circuit_trials"],
        settings=settings,
        circuit=circuit,
        n_held_out=row["held_out_trials"],
        n_components=row["fitted_components"],
        component_share=row["fitted_share"],
        r2={name: row[column] for name, column in R2.items()},
        relation_error=row["relation_error"],
        relation_correlation=row["relation_correlation"],
        n_finite=row["finite_starts"],
        starts=None
        if good is None
        else models.StartAgreement(
            good, row["start_agreement"], row["embedding_agreement"], spread
        ),
        perturbations=[
            models.CircuitPerturbation(**{n: one[c] for n, c in PERTURBATION.items()})
            for one in perturbations
        ],
        tests=tests if perturbations else {},
    )


R2 = {
    "activity": "activity_r2",
    "outputs": "outputs_r2",
    "held_out_activity": "held_out_activity_r2",
    "held_out_outputs": "held_out_outputs_r2",
}
TEST = ("cosine", "correlation", "control", "p")
PERTURBATION = {
    "kind": "perturbation_kind",
    "to_node": "perturbed_to",
    "from_node": "perturbed_from",
    "strength": "perturbation_strength",
    "predicted": "predicted_change",
    "observed": "observed_change",
    "cosine": "change_cosine",
    "predicted_score": "predicted_score_change",
    "observed_score": "observed_score_change",
    "control": "random_change",
    "control_cosine": "random_cosine",
}


def _row(found: models.CircuitFit) -> dict[str, Any]:
    circuit, starts = found.circuit, found.starts
    tests = {
        f"{kind}_{name}": getattr(test, name) for kind, test in found.tests.items() for name in TEST
    }
    return {
        "circuit_status": found.status,
        "circuit_reason": found.reason,
        "circuit_trials": found.n_trials,
        "held_out_trials": found.n_held_out,
        "fitted_components": found.n_components,
        "fitted_share": found.component_share,
        **{column: found.r2.get(name) for name, column in R2.items()},
        "finite_starts": found.n_finite,
        "good_starts": starts and starts.n_good,
        "start_agreement": starts and starts.connectivity,
        "embedding_agreement": starts and starts.embedding,
        "relation_error": found.relation_error,
        "relation_correlation": found.relation_correlation,
        **tests,
        "circuit_scale": circuit and circuit.scale,
        "circuit_embedding": circuit and circuit.embedding,
        "node_bias": circuit and circuit.network.b_rec,
        "node_start": circuit and circuit.network.x_init,
    }


def _circuit(
    row: Row, connections: Sequence[Row], rnn: models.RNNNumpy, settings: CircuitSettings
) -> tuple[models.EmbeddedCircuit | None, dict[str, Any]]:
    """Return the circuit of a row, and the deviation of its weights over good starts."""
    if row["circuit_embedding"] is None:
        return None, {}
    n = settings.n_nodes
    shapes = {"W_inp": (n, rnn.n_inputs), "W_rec": (n, n), "W_out": (rnn.n_outputs, n)}
    weights, spread = ({name: np.zeros(s) for name, s in shapes.items()} for _ in range(2))
    for one in connections:
        place = one["connection_to"], one["connection_from"]
        name = BLOCKS[one["connection_kind"]]
        weights[name][place] = one["connection_weight"]
        spread[name][place] = one["connection_spread"] or 0.0
    weights |= {"b_rec": row["node_bias"], "x_init": row["node_start"]}
    circuit = models.EmbeddedCircuit.of(
        rnn, np.asarray(row["circuit_embedding"]), row["circuit_scale"], weights
    )
    known = connections[0]["connection_spread"] is not None
    return circuit, spread if known else {}
