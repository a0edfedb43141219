"""Ways to search: ours, a loop over scipy's fsolve, FixedPointFinder, and trainRNNbrain's class."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import torch
from scipy.optimize import fsolve

from models import DynamicSystemAnalyzer, RNNNumpy

DISTANCE = 1e-5  # points nearer than this are one


@dataclass(frozen=True)
class Outcome:
    """What one side found: distinct points (P, N), and the seconds that it took."""

    points: np.ndarray
    seconds: float


def distinct(points: np.ndarray) -> np.ndarray:
    """Return the points (P, N) without repetitions."""
    kept: list[np.ndarray] = []
    for point in points:
        if not kept or np.linalg.norm(np.array(kept) - point, axis=1).min() > DISTANCE:
            kept.append(point)
    return np.array(kept).reshape(-1, points.shape[1])


def trajectory_states(rnn: RNNNumpy, task: Any) -> np.ndarray:
    """Return the second half of the task's trials (N, M), or random states without a task."""
    if task is None:
        return np.random.default_rng(0).standard_normal((rnn.N, 1000))
    states = rnn.run(task.get_batch()[0])[0]
    return states[:, states.shape[1] // 2 :].reshape(rnn.N, -1)


def starts(rnn: RNNNumpy, task: Any, n: int, seed: int = 0) -> np.ndarray:
    """Return n states (n, N) of trajectories, with noise of a tenth of their spread."""
    rng = np.random.default_rng(seed)
    states = trajectory_states(rnn, task)
    spread = np.sqrt(np.mean((states - states.mean(axis=1, keepdims=True)) ** 2))
    chosen = states[:, rng.integers(states.shape[1], size=n)].T
    return chosen + 0.1 * spread * rng.standard_normal(chosen.shape)


def polished(rnn: RNNNumpy, points: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Return the roots that a few Newton steps lead points (P, N) to: P or fewer."""
    x = np.array(points, dtype=np.float64)
    for _ in range(6):
        if not len(x):
            return x
        F = rnn.rhs(x.T, u).T
        x = x - (np.linalg.pinv(rnn.jacobian(x.T, u)) @ F[:, :, None])[:, :, 0]
    residual = np.linalg.norm(rnn.rhs(x.T, u), axis=0)
    near = np.linalg.norm(x - points, axis=1) < 1e-2 * (1.0 + np.linalg.norm(points, axis=1))
    return x[(residual <= 1e-10) & near]


def ours(rnn: RNNNumpy, task: Any, u: np.ndarray, seed: int = 0) -> tuple[Outcome, Any]:
    """Return the outcome of our search with its defaults, and the set."""
    began = time.perf_counter()
    analyzer = DynamicSystemAnalyzer(rnn, task, seed=seed)
    found = analyzer.get_fixed_points(u)
    return Outcome(found.points, time.perf_counter() - began), found


def fsolve_loop(
    rnn: RNNNumpy, task: Any, u: np.ndarray, n_starts: int, jacobian: bool = True
) -> Outcome:
    """Return what scipy's fsolve finds from each start, one after the other.

    Eigenvalues of the distinct points are part of the time, as of ours.
    """
    began = time.perf_counter()
    ends = []
    prime = (lambda x: rnn.jacobian(x, u)) if jacobian else None
    for start in starts(rnn, task, n_starts):
        end, *_ = fsolve(lambda x: rnn.rhs(x, u), start, fprime=prime, xtol=1e-12, full_output=True)
        if np.linalg.norm(rnn.rhs(end, u)) <= 1e-10:
            ends.append(end)
    points = distinct(np.array(ends).reshape(-1, rnn.N))
    if len(points):
        np.linalg.eig(rnn.jacobian(points.T, u))
    return Outcome(points, time.perf_counter() - began)


@contextlib.contextmanager
def _checkout(path: Path, unused: tuple[str, ...] = ()) -> Iterator[None]:
    """Import from a checkout; what its modules import and this never calls may be missing."""
    absent = [name for name in unused if importlib.util.find_spec(name.split(".")[0]) is None]
    for name in absent:
        sys.modules[name] = mock.MagicMock(__path__=[], __spec__=None)
    sys.path.insert(0, str(path))
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        sys.path.remove(str(path))
        for name in absent:
            del sys.modules[name]


class _Cell(torch.nn.Module):
    """One Euler step as the module that FixedPointFinder asks for: output, h_n = rnn(u, h)."""

    def __init__(self, rnn: RNNNumpy, dtype: torch.dtype) -> None:
        super().__init__()
        self.batch_first = True
        self.equation = rnn.equation
        for name in ("W_rec", "W_inp", "b_rec"):
            weight = torch.tensor(getattr(rnn, name), dtype=dtype)
            setattr(self, name, torch.nn.Parameter(weight, requires_grad=False))

    def forward(self, u: torch.Tensor, h: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        drive = u[:, 0] @ self.W_inp.T + self.b_rec
        field, _ = self.equation.field(h[0], lambda v: v @ self.W_rec.T + drive)
        new = h[0] + self.equation.alpha * field
        return new[:, None], new[None]


def fixed_point_finder(
    path: Path, rnn: RNNNumpy, task: Any, u: np.ndarray, n_starts: int
) -> Outcome:
    """Return what a checkout of FixedPointFinder (torch) finds from the same starts.

    Its defaults but for float64, and no exclusion of distant points, which are fixed points too.
    """
    with _checkout(path):
        finder_class = importlib.import_module("FixedPointFinderTorch").FixedPointFinderTorch
        began = time.perf_counter()
        finder = finder_class(
            _Cell(rnn, torch.float64), dtype="float64", verbose=False,
            do_exclude_distance_outliers=False,
        )  # fmt: skip
        found, _ = finder.find_fixed_points(starts(rnn, task, n_starts), u[None])
        seconds = time.perf_counter() - began
    # it stops at q = 1e-12: those that are near a root count
    return Outcome(distinct(polished(rnn, np.asarray(found.xstar), u)), seconds)


def seed_analyzer(path: Path, rnn: RNNNumpy, task: Any, u: np.ndarray) -> Outcome:
    """Return what DynamicSystemAnalyzer of a checkout of trainRNNbrain finds, with its defaults."""
    unused = ("omegaconf", "sklearn", "sklearn.decomposition", "sklearn.cluster", "hydra", "tqdm",
              "tqdm.auto", "jax", "jax.numpy")  # fmt: skip
    with _checkout(path, unused):
        package = "trainRNNbrain"
        network_class = importlib.import_module(f"{package}.rnns.RNN_numpy").RNN_numpy
        utils = importlib.import_module(f"{package}.utils")
        for wanted in ("in_the_list", "sort_eigs", "make_orientation_consistent", "get_colormaps"):
            if not hasattr(utils, wanted):  # imported by its analyser, and not called in a search
                setattr(utils, wanted, mock.MagicMock())
        module = importlib.import_module(f"{package}.analyzers.DynamicSystemAnalyzer")
        # names that its analyser asks for, and its network has under another or not at all
        for wanted, there in (("rhs_noisless", "rhs_noiseless"), ("rhs_jac_h", "rhs_jac")):
            if not hasattr(network_class, wanted):
                setattr(network_class, wanted, getattr(network_class, there))
        eq = rnn.equation
        began = time.perf_counter()
        network = network_class(
            N=rnn.N, dt=eq.dt, tau=eq.tau, W_inp=rnn.W_inp, W_rec=rnn.W_rec, W_out=rnn.W_out,
            activation_args={"name": eq.activation.name, **eq.activation.args},
            equation_type=eq.equation_type, gamma=eq.gamma, bias=rnn.b_rec,
            y_init=np.zeros(rnn.N), seed=0,
        )  # fmt: skip
        trials = SimpleNamespace(get_batch=lambda: task.get_batch())
        analyzer = module.DynamicSystemAnalyzer(network, trials)
        (sets,) = analyzer.get_fixed_points(u).values()
        seconds = time.perf_counter() - began
    parts = [np.atleast_2d(part) for part in sets.values()]
    points = np.vstack(parts) if parts else np.empty((0, rnn.N))
    return Outcome(distinct(polished(rnn, points, u)), seconds)
