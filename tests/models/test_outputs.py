"""Outputs without states: the same as those of a run, in little memory."""

import copy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from models import Noise, PerformanceAnalyzer
from models.engine import philox
from models.network import outputs
from models.network.outputs import network_outputs, trials_at_once
from models.network.rnn_numpy import RNNNumpy
from tasks_lib import CDDM

ROOT = Path(__file__).parents[2]
OWN = "tests.models.own_activations:softsign"


def network(n=12, seed=1, **equation):
    rng = np.random.default_rng(0)
    return RNNNumpy(
        W_rec=rng.standard_normal((n, n)) / n**0.5,
        W_inp=rng.standard_normal((n, 3)),
        W_out=rng.standard_normal((2, n)),
        b_rec=0.1 * rng.standard_normal(n),
        x_init=0.1 * rng.standard_normal(n),
        seed=seed,
        **{"tau": 5.0, **equation},
    )


INPUTS = np.random.default_rng(1).standard_normal((3, 20, 37))
NOISY = {"sigma_rec": 0.2, "sigma_inp": 0.1, "sigma_out": 0.3}


@pytest.mark.filterwarnings("ignore:The back end")
@pytest.mark.parametrize("at_once", [37, 8])
@pytest.mark.parametrize(
    "equation",
    [
        {"activation": "tanh", "equation_type": "s", "gamma": 0.1},
        {"activation": "softplus", "equation_type": "s", "noise_inside": True},
        {"activation": "relu", "equation_type": "h"},
        {"activation": OWN, "equation_type": "h"},  # which no loops are compiled for
    ],
)
def test_they_are_those_of_a_run(equation, at_once, monkeypatch):
    monkeypatch.setattr(outputs, "trials_at_once", lambda *args: at_once)
    rnn = network(**equation, **NOISY)
    given = Noise.draw(n_units=12, n_inputs=3, n_steps=20, n_trials=37, seed=2)
    for noise in (False, given):
        wanted = rnn.run(INPUTS, noise=noise)[1]
        found = network_outputs(rnn, INPUTS, noise)
        np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-12)


def test_drawn_noise_is_that_of_its_place(monkeypatch):
    """Of any division of the trials: the draws of the engine, named by the generator's words."""
    rnn = network(equation_type="s", sigma_rec=0.2, sigma_inp=0.1)
    low, high = copy.deepcopy(rnn.rng).integers(0, 2**32, 2)
    parts = {
        part: philox.normals((20, 37, n), [(int(low), int(high))], 0, part, dtype=torch.float64)
        for part, n in (("inp", 3), ("rec", 12))
    }
    given = Noise(out=np.zeros((12, 20, 37)), **{k: p[0].movedim(-1, 0) for k, p in parts.items()})
    wanted = rnn.run(INPUTS, noise=given)[1]
    assert np.abs(wanted - rnn.run(INPUTS)[1]).max() > 0.1
    for at_once in (37, 8):
        monkeypatch.setattr(outputs, "trials_at_once", lambda *args, at_once=at_once: at_once)
        fresh = network(equation_type="s", sigma_rec=0.2, sigma_inp=0.1)
        first, second = (network_outputs(fresh, INPUTS, True) for _ in range(2))
        np.testing.assert_allclose(first, wanted, rtol=1e-5, atol=1e-5)
        assert np.abs(second - first).max() > 0.1


def test_readout_noise_has_its_size():
    rnn = network(sigma_out=0.3)
    noise = network_outputs(rnn, np.zeros((3, 200, 100)), True) - rnn.run(np.zeros((3, 200, 1)))[1]
    wanted = (2 / rnn.alpha) ** 0.5 * 0.3 * np.linalg.norm(rnn.W_out, axis=1)
    np.testing.assert_allclose(noise.std(axis=(1, 2)), wanted, rtol=0.03)


def test_scores_are_the_same_on_any_number_of_threads():
    """To the bit."""
    task = CDDM(n_steps=30, stim_on=5, dec_on=14, coherences=[-1.0, 0.5, 1.0], seed=0)
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            rnn = network(seed=3, equation_type="h", **NOISY)
            rnn.W_inp = np.random.default_rng(4).standard_normal((12, 6))
            rnn.n_inputs = 6
            found.append(PerformanceAnalyzer(rnn, task).validate(noise=True, n_repeats=2))
    finally:
        torch.set_num_threads(before)
    assert found[0] == found[1]


def test_what_runs_at_a_time_fits():
    """Whatever the size, and on CPUs and GPUs alike."""
    for n, n_steps, kind in ((1000, 300, "cpu"), (2000, 1000, "cpu"), (1000, 300, "cuda")):
        rnn = network(4, equation_type="s", **NOISY)
        rnn.N = n
        name = "plain" if kind == "cuda" else None
        trials = trials_at_once(rnn, n_steps, torch.device(kind), name)
        arrays = 2 if kind == "cpu" else 14
        held = arrays * trials * n_steps * n * 8
        assert trials >= 6 and held <= {"cpu": 201_400_000, "cuda": 2**31}[kind]


def test_a_network_of_another_class_runs_itself():
    class Own:
        def run(self, u, noise=False):
            return None, np.full((1, 2, 3), float(noise))

    np.testing.assert_array_equal(network_outputs(Own(), INPUTS, True), np.ones((1, 2, 3)))


PEAK = """
import resource, numpy as np
from tests.models.test_outputs import NOISY, network
from models.network.outputs import network_outputs
u = np.zeros((3, 400, 1600))
network_outputs(network(n=4, **NOISY), u[:, :8, :9], True)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
network_outputs(network(n=200, **NOISY), u, True)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="in kilobytes on Linux")
def test_memory():
    """States alone would be a gigabyte, and noise another."""
    done = subprocess.run(
        [sys.executable, "-c", PEAK], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 500_000, done.stdout
