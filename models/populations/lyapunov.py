"""Lyapunov exponents: whether neighbouring states part, in trials and at constant inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tasks_lib import Task
from tasks_lib.brief import brief
from tasks_lib.errors import ParameterError

from ..fixed_points.search import is_bounded
from ..network.rnn_numpy import RNNNumpy
from .intervention_scores import run_untouched
from .recording import ANALYSED, NOT_FINITE
from .settings import LyapunovSettings

Float = NDArray[np.float64]
NUDGE = 0.01  # of the states' standard deviation, added to starts
BETWEEN = 5  # steps between two orthogonalisations
STEADY, NEUTRAL, CHAOTIC, GROWING = "steady", "neutral", "chaotic", "growing"


@brief
@dataclass(frozen=True, eq=False)
class InputExponents:
    """Exponents at one constant input, from each start.

    Attributes
    ----------
    input : array (n_inputs,)
    exponents : array (n_starts, n_exponents)
        Descending, per tau; NaN from starts whose states overflow or grow without end, -inf of
        directions that a step takes to nothing.
    kind : str
        By the largest exponent of the start that has most: ``steady`` (below -zero: a fixed
        point), ``neutral`` (0: a cycle, a torus, or a continuum of points), ``chaotic`` (above
        zero), ``growing`` (from every start states overflow, or grow while they are measured at
        a rate above zero).
    """

    input: Float
    exponents: Float
    kind: str

    @property
    def largest(self) -> float | None:
        """The largest exponent of all starts; None where all grow, or it is -inf."""
        known = self.exponents[np.isfinite(self.exponents[:, 0]), 0]
        return float(known.max()) if known.size else None

    @property
    def spread(self) -> float | None:
        """Standard deviation of the largest exponent over starts."""
        known = self.exponents[np.isfinite(self.exponents[:, 0]), 0]
        return float(known.std()) if known.size else None


@brief
@dataclass(frozen=True, eq=False)
class LyapunovAnalysis:
    """Lyapunov exponents of a network.

    Attributes
    ----------
    status : str
        ``analysed``; ``not_finite``: states overflow in some trial.
    reason : str
        Why there are no exponents of trials; empty: there are.
    in_trials : array (B, n_exponents)
        Of each trial, over its whole length, from its initial state: finite-time exponents;
        empty of trials of one step.
    at_inputs : dict of str to InputExponents
        By the name of the input.
    """

    status: str
    reason: str
    in_trials: Float = field(default_factory=lambda: np.empty((0, 0)))
    at_inputs: dict[str, InputExponents] = field(default_factory=dict)


def get_lyapunov(
    rnn: RNNNumpy,
    task: Task,
    settings: LyapunovSettings | None = None,
    *,
    inputs: Mapping[str, ArrayLike] | None = None,
    seed: int = 0,
) -> LyapunovAnalysis:
    """Measure the largest Lyapunov exponents in trials and at constant inputs, without noise.

    Parameters
    ----------
    rnn : RNNNumpy
    task : Task
    settings : LyapunovSettings, optional
    inputs : mapping of str to array (n_inputs,), optional
        Constant inputs; those of the task's analysis by default.
    seed : int
        Of the trials and of the starts.
    """
    chosen = LyapunovSettings() if settings is None else settings
    trials = run_untouched(rnn, task, chosen.max_trials, 1 + chosen.n_exponents, seed)
    if not np.isfinite(trials.states).all():
        return LyapunovAnalysis(NOT_FINITE, "states overflow in some trial")
    u = trials.inputs
    in_trials: Float = np.empty((0, 0))
    reason = "trials of one step have no exponents"
    if u.shape[1] > 1:
        in_trials, _ = _follow(rnn, trials.states[:, 0], u, chosen.n_exponents)
        to_nothing = bool(np.isneginf(in_trials[:, 0]).any())
        reason = "steps take every direction to nothing in some trial" if to_nothing else ""
    rng = np.random.default_rng([seed, 3])
    n_steps, n_trials = u.shape[1:]
    steps = rng.integers(n_steps, size=chosen.n_starts)
    starts = trials.states[:, steps, rng.integers(n_trials, size=chosen.n_starts)]
    # A state that is exactly an unstable point would stay there for ever.
    size = NUDGE * float(trials.states.std()) + 1e-9
    starts = starts + size * rng.standard_normal(starts.shape)
    settle, measured = (
        max(1, round(time / rnn.alpha)) for time in (max(chosen.settle, 0.0), chosen.duration)
    )
    found = {}
    for name, vector in (task.analysis_inputs if inputs is None else inputs).items():
        constant = rnn.check_input(vector, (1,))
        exponents, growth = _follow(rnn, starts, constant, chosen.n_exponents, settle, measured)
        if not is_bounded(rnn):
            # Neighbours part there because everything grows, which is no chaos.
            exponents[growth > chosen.zero] = np.nan
        found[name] = InputExponents(constant, exponents, _kind(exponents, chosen.zero))
    return LyapunovAnalysis(ANALYSED, reason, in_trials, found)


def _kind(exponents: Float, zero: float) -> str:
    known = exponents[~np.isnan(exponents[:, 0]), 0]
    if not known.size:
        return GROWING
    largest = known.max()
    return STEADY if largest < -zero else CHAOTIC if largest > zero else NEUTRAL


def lyapunov_exponents(
    rnn: RNNNumpy,
    starts: ArrayLike,
    inputs: ArrayLike,
    n_exponents: int = 1,
    *,
    settle: int = 0,
    n_steps: int | None = None,
) -> Float:
    """Return the largest Lyapunov exponents (S, n_exponents) from starts, descending, per tau.

    Orthonormal vectors are moved by the linearised steps of the network, and made orthonormal
    again every few steps by QR: the exponents are the mean logarithms of the diagonal of R, over
    the time (Benettin, Galgani, Giorgilli & Strelcyn 1980; Engelken, Wolf & Abbott 2023). They are
    those of the network as it runs, in Euler steps: an eigenvalue s of a linear network gives
    ln|1 + alpha s| / alpha, which is Re s for small alpha = dt / tau.

    Parameters
    ----------
    rnn : RNNNumpy
    starts : array (N, S)
        Initial states.
    inputs : array (n_inputs, T, S) or (n_inputs,)
        Of each start, or one constant input.
    n_exponents : int
        At most N.
    settle : int
        Steps before exponents are measured; of a constant input.
    n_steps : int, optional
        Steps over which they are measured; of a constant input.
    """
    x = np.array(starts, dtype=np.float64)
    u = rnn.check_input(inputs, (1, 3))
    if x.ndim != 2 or x.shape[0] != rnn.n_units:
        raise ParameterError("starts", x.shape, "are no states", f"give ({rnn.n_units}, S)")
    if u.ndim == 1 and n_steps is None:
        raise ParameterError("n_steps", None, "is missing", "say for how long the input lasts")
    if u.ndim != 1 and u.shape[1] < 2:
        raise ParameterError("inputs", u.shape, "last for one step", "give two steps or more")
    return _follow(rnn, x, u, n_exponents, settle, n_steps)[0]


def _follow(
    rnn: RNNNumpy,
    starts: Float,
    u: Float,
    n_exponents: int,
    settle: int = 0,
    n_steps: int | None = None,
) -> tuple[Float, Float]:
    """Return exponents, as `lyapunov_exponents`, and how fast states grow, per tau (S,).

    Growth is that of the states' mean size, from the first to the last quarter of the time over
    which exponents are measured: 0 for whatever stays bounded, in the limit of long times.
    """
    x = starts.copy()
    k = min(n_exponents, rnn.n_units)
    constant = u.ndim == 1
    drive = rnn.drive(u)
    total = settle + (n_steps or 0) if constant else u.shape[1] - 1
    first = settle if constant else 0
    quarter = max(1, (total - first) // 4)
    sizes = np.zeros((2, x.shape[1]))
    q = np.linalg.qr(np.random.default_rng(0).standard_normal((x.shape[1], rnn.n_units, k)))[0]
    sums = np.zeros((x.shape[1], k))
    eq, W = rnn.equation, rnn.W_rec
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for t in range(total):
            now = drive[:, None] if constant else drive[:, t]

            def affine(v: Float, now: Float = now) -> Float:
                return np.asarray(W @ v + now)

            field_at, argument = eq.field(x, affine)
            gain = np.transpose(eq.activation.df(argument))[:, :, None]  # (S, N, 1)
            leak = np.broadcast_to(eq.leak(x), x.shape).T[:, :, None]
            pushed = gain * (W @ q) if eq.equation_type == "s" else W @ (gain * q)
            q = q + eq.alpha * (leak * q + pushed)
            x = x + eq.alpha * field_at
            if t >= first and (t < first + quarter or t >= total - quarter):
                sizes[int(t >= total - quarter)] += np.linalg.norm(x, axis=0)
            if (t + 1) % BETWEEN and t + 1 not in (settle, total):
                continue
            if not np.isfinite(q).all():
                q = np.where(np.isfinite(q).all(axis=(1, 2), keepdims=True), q, 0.0)
            q, r = np.linalg.qr(q)
            if t >= settle:
                sums += np.log(np.abs(np.diagonal(r, axis1=1, axis2=2)))
        measured = total - first
        exponents = sums / (measured * eq.alpha)
        apart = max(measured - quarter, 1) * eq.alpha  # middle of the one to that of the other
        growth = np.nan_to_num(np.diff(np.log(sizes), axis=0)[0] / apart)
    finite = np.asarray(np.isfinite(x).all(axis=0), dtype=np.bool_)
    exponents = np.where(finite.reshape(-1, 1), exponents, np.nan)
    return np.asarray(-np.sort(-exponents, axis=1)), growth
