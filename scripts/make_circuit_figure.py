"""Make the figure of docs/latent_circuits.md from the circuit that lies beside it.

    python scripts/make_circuit_figure.py [--fit]

With --fit it is fitted anew to the network of the demonstration, in a quarter of a minute. What
comes out is the same to the bit on processors of one kind only.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from docs_pictures import FOLDER, write
from make_population_figures import demo_network

import models
from models.circuits.perturbation import perturb

CIRCUIT = FOLDER / "latent_circuit.npz"
FIGURES = ("latent_circuit",)
SETTINGS = models.CircuitSettings()
WEIGHTS = ("W_rec", "W_inp", "W_out", "b_rec", "x_init")


def fit() -> None:
    """Fit the circuit, print what the page says of it, and write it."""
    rnn, task, _ = demo_network()
    found = models.fit_latent_circuit(rnn, task, SETTINGS, device="cpu")
    assert found.circuit is not None
    print(found.status, found.r2, found.starts, found.tests)
    print("relation", found.relation_error, found.relation_correlation)
    arrays: dict[str, Any] = {name: getattr(found.circuit.network, name) for name in WEIGHTS}
    np.savez_compressed(CIRCUIT, embedding=found.circuit.embedding, **arrays)


def figures() -> dict[str, Any]:
    """Return the figure by the name of its file."""
    rnn, task, _ = demo_network()
    with np.load(CIRCUIT) as arrays:
        weights = {name: arrays[name] for name in WEIGHTS}
        circuit = models.EmbeddedCircuit.of(rnn, arrays["embedding"], 1.0, weights)
    perturbations, tests = perturb(circuit, rnn, task, SETTINGS)
    found = models.CircuitFit(
        "fitted", "", SETTINGS.max_trials, SETTINGS, circuit,
        perturbations=perturbations, tests=tests,
    )  # fmt: skip
    return {"latent_circuit": models.plot_latent_circuit(found, rnn, task)}


def main() -> None:
    """Write it."""
    if "--fit" in sys.argv[1:]:
        fit()
    write(figures())


if __name__ == "__main__":
    main()
