"""How long searches take on continua of fixed points, and on large networks with one point.

    python benchmarks/search_times.py [--cases NAME ...]

Prints a line a case: seconds of processor time on one core, starts, points and the status.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence

import numpy as np

from models import DynamicSystemAnalyzer, NetworkConfig, RNNNumpy, RNNTorch
from models.fixed_points import FixedPointSet
from tasks_lib import XOR


def ring(n_units: int) -> tuple[RNNNumpy, np.ndarray]:
    """Return a ring of fixed points, and states around it."""
    angles = 2 * np.pi * np.arange(n_units) / n_units
    W = 4.0 / n_units * np.cos(angles[:, None] - angles)
    states = 1.5 * np.cos(angles[:, None] - np.linspace(0, 2 * np.pi, 200, endpoint=False))
    return _network(W, "tanh", "h"), states


def line(n_units: int) -> tuple[RNNNumpy, np.ndarray]:
    """Return a half-line of fixed points of rectified units, and states around it."""
    rng = np.random.default_rng(0)
    v = rng.uniform(0.1, 1.0, n_units)
    v /= np.linalg.norm(v)
    Q = np.linalg.qr(np.column_stack([v, rng.standard_normal((n_units, n_units - 1))]))[0][:, 1:]
    W = np.outer(v, v) + (Q * rng.uniform(-0.3, 0.3, n_units - 1)) @ Q.T
    return _network(W, "relu", "s"), np.abs(rng.standard_normal((n_units, 200)))


def _network(W: np.ndarray, f: str, form: str) -> RNNNumpy:
    n = len(W)
    return RNNNumpy(
        W_rec=W, W_inp=np.zeros((n, 1)), W_out=np.ones((1, n)), activation=f, equation_type=form
    )


def continuum(made: tuple[RNNNumpy, np.ndarray]) -> FixedPointSet:
    """Search a network at no input from given states."""
    rnn, states = made
    return DynamicSystemAnalyzer(rnn).get_fixed_points([0.0], trajectories=states)


def of_task(n_units: int, radius: float, activation: str) -> FixedPointSet:
    """Search an untrained network at the first input of XOR, from its own trials."""
    task = XOR(seed=0)
    config = NetworkConfig(n_units=n_units, activation=activation, spectral_radius=radius)
    rnn = RNNTorch.from_config(config, task.n_inputs, task.n_outputs, seed=0).to_numpy()
    return DynamicSystemAnalyzer(rnn, task).get_fixed_points(next(iter(task.analysis_inputs)))


CASES: dict[str, Callable[[], FixedPointSet]] = {
    "ring 64": lambda: continuum(ring(64)),
    "ring 200": lambda: continuum(ring(200)),
    "line 100": lambda: continuum(line(100)),
    "one point tanh 500": lambda: of_task(500, 0.9, "tanh"),
    "one point relu 500": lambda: of_task(500, 1.2, "relu"),
    "one point tanh 1000": lambda: of_task(1000, 0.9, "tanh"),
    "one point relu 1000": lambda: of_task(1000, 1.2, "relu"),
}


def main(argv: Sequence[str] | None = None) -> dict[str, float]:
    """Run the cases that were asked for, and print their times."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cases", nargs="*", default=list(CASES), choices=list(CASES))
    seconds = {}
    for name in parser.parse_args(argv).cases:
        began = time.process_time()
        found = CASES[name]()
        seconds[name] = time.process_time() - began
        print(
            f"{name}: {seconds[name]:.2f} s, {found.n_starts} starts, {len(found)} points, "
            f"{found.status}",
            flush=True,
        )
    return seconds


if __name__ == "__main__":
    main()
