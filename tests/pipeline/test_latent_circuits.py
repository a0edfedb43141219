"""Latent circuits through the tables: fit, connectivity and test as rows, on both back ends."""

from __future__ import annotations

import numpy as np
import pytest

import models
from pipeline.report.analyses import LATENT_CIRCUIT
from pipeline.tables.performance import fetch_network
from tasks_lib import ParameterError
from tests.models.circuit_networks import W_REC, in_groups
from tests.models.population_networks import copies
from tests.pipeline.test_populations import no_nan
from tests.pipeline.test_report_analyses import rows_of

pytestmark = pytest.mark.either_backend

PULSES = "tests.models.circuit_networks:Pulses"


@pytest.mark.both_backends
@pytest.mark.usefixtures("own_classes_allowed")
def test_the_circuit_of_a_known_network_is_rows(database, tmp_path):
    p = database
    assert not len(p.LatentCircuitParams())  # how many nodes is for a lab to say
    p.submit({"tasks": {"pulses": {"class": PULSES, "n_steps": 30}}})
    silent = copies(np.zeros((4, 3)), tau=4.0)
    for name, rnn in {"known": in_groups("s", "relu")[0], "silent": silent}.items():
        config = models.NetworkConfig(
            n_units=rnn.n_units, activation="relu", tau=4.0, self_connections=True
        )
        path = models.write_network(tmp_path / f"{name}.npz", rnn, config)
        p.import_network(path, "pulses", name)
    assert not len(p.LatentCircuit().key_source)
    column = p.LatentCircuitParams.renamed
    three = {
        "circuit_name": "three", column["n_nodes"]: 3, column["n_starts"]: 2,
        column["n_iterations"]: 400, column["weight_decay"]: 1e-6, column["n_controls"]: 2,
    }  # fmt: skip
    p.LatentCircuitParams.insert1(three)
    with pytest.raises(ParameterError, match="inputs"):
        p.LatentCircuitParams.insert1({**three, "circuit_name": "b", column["inputs"]: "some"})
    assert p.fill((p.LatentCircuit,)).errors == []
    known = p.LatentCircuit & {"network_name": "known"}
    row = known.fetch1()
    assert (row["circuit_status"], row["circuit_reason"]) == ("fitted", "")
    assert (row["circuit_trials"], row["held_out_trials"], row["fitted_components"]) == (24, 6, 3)
    assert row["held_out_activity_r2"] > 0.99 and row["held_out_outputs_r2"] > 0.99
    assert row["good_starts"] == 2 and row["start_agreement"] > 0.9
    assert row["connection_cosine"] > 0.9 and row["node_cosine"] > 0.9
    assert row["relation_correlation"] > 0.95
    recurrent = p.LatentCircuit.Connection & known.proj() & {"connection_kind": "recurrent"}
    weights = recurrent.to_arrays("connection_weight", order_by="KEY").reshape(3, 3)
    assert np.allclose(weights, W_REC, atol=0.25)
    assert recurrent.to_arrays("connection_spread").max() < 0.3
    # What a lab asks: which connections do what the circuit says.
    causal = p.LatentCircuit.Perturbation & known.proj() & "predicted_change > 0.05"
    assert len(causal & "change_cosine > 0.9") == len(causal) > 5
    assert len(p.LatentCircuit.Perturbation & known.proj()) == 2 * 9 + 2 * 3
    # Of a network that is silent there is a reason, and no weight.
    none = (p.LatentCircuit & {"network_name": "silent"}).fetch1()
    assert none["circuit_status"] == "silent" and none["held_out_activity_r2"] is None
    assert none["circuit_embedding"] is None and none["connection_cosine"] is None
    assert not len(p.LatentCircuit.Connection & {"network_name": "silent"})
    tables = (p.LatentCircuit, p.LatentCircuit.Connection, p.LatentCircuit.Perturbation)
    assert all(no_nan(table.to_dicts()) for table in tables)

    loaded = known.load()
    rnn, task = fetch_network(row)
    inputs = task.get_batch()[0]
    network = loaded.circuit.network
    assert np.array_equal(network.W_rec, weights) and loaded.circuit.scale == 1.0
    assert models.CircuitFit.__name__ == type(loaded).__name__ and loaded.settings.n_nodes == 3
    states, _ = rnn.run(inputs)
    assert np.abs(loaded.circuit.run(inputs)[2] - states).max() < 0.1
    assert loaded.tests["node"].cosine == row["node_cosine"]
    assert len(loaded.perturbations) == 24 and loaded.starts.spread["W_rec"].any()
    assert [c.weight for c in loaded.connections()][:1] == [network.W_inp[0, 0]]
    tables, _ = rows_of("latent_circuit", {"network_name": "known"})
    assert len(LATENT_CIRCUIT.drawing.draw(tables).axes) > 5  # as reports draw it
    figure = known.plot()
    assert figure.axes[1].get_title() == "recurrent weights"
    assert (p.LatentCircuit & {"network_name": "silent"}).load().circuit is None
