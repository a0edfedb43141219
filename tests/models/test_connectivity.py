"""The spectral radius of W_rec: the same bits at usual sizes, by ARPACK for large networks."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse.linalg import ArpackNoConvergence

from models import NetworkConfig
from models.network import connectivity
from models.network.connectivity import initial_connectivity, spectral_radius
from tasks_lib.errors import ParameterError

KINDS = [{}, {"dale": True}, {"density": 0.05}, {"density": 0.005}]


def drawn(n_units: int, seed: int, **fields) -> np.ndarray:
    return initial_connectivity(NetworkConfig(n_units=n_units, **fields), 2, 1, seed).W_rec


def exact(weights: np.ndarray) -> float:
    return float(np.abs(np.linalg.eigvals(weights)).max())


@pytest.mark.parametrize("n_units", [1, 100, 400])
def test_seeds_of_usual_sizes_keep_their_bits(n_units):
    """The formula that networks were trained with which are stored today."""
    config = NetworkConfig(n_units=n_units, self_connections=True)
    rng = np.random.default_rng(connectivity.stream(7, "W_rec"))
    weights = 0.0 + 1.0 / np.sqrt(n_units) * rng.standard_normal((n_units, n_units))
    expected = weights * (config.spectral_radius / np.abs(np.linalg.eigvals(weights)).max())
    assert drawn(n_units, 7, self_connections=True).tobytes() == expected.tobytes()


def test_size_above_which_bits_are_others():
    assert connectivity.ALL_EIGENVALUES_UNITS == 2000


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("seed", [0, 1])
def test_arnoldi_finds_the_largest(kind, seed, monkeypatch):
    """Also one of a complex pair, and one of several that are nearly as large."""
    weights = drawn(500, seed, **kind)
    monkeypatch.setattr(connectivity, "ALL_EIGENVALUES_UNITS", 200)
    found = spectral_radius(weights)
    assert found == pytest.approx(exact(weights), rel=1e-9)
    assert spectral_radius(weights) == found  # the same bits again


def test_arnoldi_is_what_finds_it(monkeypatch):
    """Else the test before would compare a method with itself."""
    weights = drawn(300, 0)
    monkeypatch.setattr(connectivity, "ALL_EIGENVALUES_UNITS", 200)
    monkeypatch.setattr(np.linalg, "eigvals", None)
    assert spectral_radius(weights) == pytest.approx(1.2, rel=1e-9)


def test_without_convergence_all_are_computed(monkeypatch):
    def failing(*args, **kwargs):
        raise ArpackNoConvergence("it does not converge", np.empty(0), np.empty((0, 0)))

    weights = drawn(300, 0)
    monkeypatch.setattr(connectivity, "ALL_EIGENVALUES_UNITS", 200)
    monkeypatch.setattr("scipy.sparse.linalg.eigs", failing)
    assert spectral_radius(weights) == exact(weights)


def test_matrix_without_eigenvalues_but_zero(monkeypatch):
    """As of a mask with so few connections that no path leads back."""
    weights = drawn(300, 0, density=0.001)
    assert weights.any()
    monkeypatch.setattr(connectivity, "ALL_EIGENVALUES_UNITS", 200)
    assert spectral_radius(weights) == exact(weights) == 0.0


@pytest.mark.parametrize("n_units", [10**9, 300_000, 10**20])
def test_units_that_no_machine_holds(n_units):
    with pytest.raises(ParameterError, match=rf"^n_units = {n_units}: .* of memory, and at most"):
        NetworkConfig(n_units=n_units)
    NetworkConfig(n_units=100_000)
