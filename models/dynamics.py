"""Analysis of a network's dynamics at constant inputs: fixed points and their linearisation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from tasks_lib.errors import ParameterError, check_choice, check_float, check_int

from .connections import saddle_connections
from .fixed_points import FixedPointSet, SearchSettings, find_fixed_points
from .fixed_points.point_set import format_input
from .plots_dynamics import plot_fixed_points
from .point_analytics import PointAnalytics, analyse_points
from .projection import Projection
from .rnn_numpy import RNNNumpy

Float = NDArray[np.float64]
MODES = ("exact", "approx")
__all__ = ["DynamicSystemAnalyzer", "FixedPointSet", "PointAnalytics"]


class DynamicSystemAnalyzer:
    """Fixed points, their linearisation and their plots, for one network.

    Parameters
    ----------
    rnn : RNNNumpy
        The network.
    task : Task, optional
        Where given, searches start from the network's own trajectories on its trials, and
        constant inputs can be named (``task.analysis_inputs``).
    seed : int
        Seed of the starts.

    Attributes
    ----------
    fixed_points : dict of str to FixedPointSet
        Sets found so far, by name of their input.
    """

    def __init__(self, rnn: RNNNumpy, task: Any = None, seed: int = 0) -> None:
        """Check the network and the task."""
        for name in ("W_rec", "W_inp", "W_out", "b_rec"):
            if not np.isfinite(getattr(rnn, name)).all():
                raise ParameterError(
                    name, "non-finite", "has NaN or infinite weights", "analyse a finite network"
                )
        if task is not None and task.n_inputs != rnn.n_inputs:
            raise ParameterError(
                "task.n_inputs",
                task.n_inputs,
                f"but the network has {rnn.n_inputs} inputs",
                "pass the task that it was trained on",
            )
        self.rnn = rnn
        self.task = task
        self.seed = check_int("seed", seed, minimum=0)
        self.fixed_points: dict[str, FixedPointSet] = {}
        self._task_states: Float | None = None

    def get_fixed_points(
        self,
        u: ArrayLike | str,
        mode: str = "exact",
        *,
        n_starts: int = 512,
        max_starts: int = 16384,
        noise: float = 0.1,
        diff_cutoff: float = 1e-5,
        fun_tol: float | None = None,
        eig_cutoff: float = 1e-6,
        coverage: float = 0.99,
        seed: int | None = None,
        name: str | None = None,
        trajectories: ArrayLike | None = None,
    ) -> FixedPointSet:
        """Find the fixed points (or slow points) at one constant input.

        Parameters
        ----------
        u : array (n_inputs,) or str
            The input, or its name among ``task.analysis_inputs``.
        mode : {"exact", "approx"}
            Roots of F, or local minima of |F|^2 / 2.
        n_starts, max_starts : int
            Starts a round, and over all rounds.
        noise : float
            Noise on the first starts, in units of the trajectories' own spread.
        diff_cutoff : float
            Points nearer than this are one.
        fun_tol : float, optional
            Largest |F| (exact, default 1e-10) or |F|^2 / 2 (approx, default 1e-5) of a point.
        eig_cutoff : float
            Real parts of eigenvalues within +-eig_cutoff count as zero.
        coverage : float
            Good-Turing coverage asked for.
        seed : int, optional
            Seed of the starts; the analyser's own by default.
        name : str, optional
            Key under which the set is remembered; by default the name or the values of the input.
        trajectories : array (N, T, B) or (N, M), optional
            States to start from: of trials (their second half is used), or any.
        """
        key, vector = self._input(u)
        check_choice("mode", mode, MODES)
        n_starts = check_int("n_starts", n_starts, minimum=1)
        states = self._states(vector, trajectories)
        floor = 8.0 * float(np.finfo(float).eps) * float(np.linalg.norm(states, axis=0).max() + 1.0)
        default = 1e-10 if mode == "exact" else 1e-5
        fun_tol = default if fun_tol is None else fun_tol
        least = floor if mode == "exact" else 0.5 * floor**2
        settings = SearchSettings(
            mode=mode,
            n_starts=n_starts,
            max_starts=check_int("max_starts", max_starts, minimum=n_starts),
            noise=check_float("noise", noise, minimum=0.0),
            diff_cutoff=_reachable("diff_cutoff", diff_cutoff, floor),
            fun_tol=_reachable("fun_tol", fun_tol, least),
            eig_cutoff=_reachable("eig_cutoff", eig_cutoff, floor),
            coverage=check_float("coverage", coverage, minimum=0.0, maximum=1.0),
            seed=self.seed if seed is None else check_int("seed", seed, minimum=0),
        )
        found = find_fixed_points(self.rnn, vector, states, settings)
        self.fixed_points[name or key] = found
        return found

    def compute_point_analytics(self, x: ArrayLike, u: ArrayLike | str) -> PointAnalytics:
        """Linearise at the state ``x`` (N,), or at the rows of ``x`` (P, N), under input ``u``."""
        return analyse_points(self.rnn, x, self._input(u)[1])

    def plot_fixed_points(
        self,
        projection: str = "2D",
        P: ArrayLike | Projection | None = None,
        trajectories: ArrayLike | None = None,
        names: Sequence[str] | None = None,
        connections: bool = False,
    ) -> Figure:
        """Plot the remembered sets (all, or those named) in two or three dimensions.

        Parameters
        ----------
        projection : {"2D", "3D"}
            Number of axes.
        P : Projection, array (N, 2) or array (N, 3), optional
            The frame, or its directions, one a column; principal components by default.
        trajectories : array (N, T, B), optional
            States drawn underneath.
        names : sequence of str, optional
            Which sets to draw.
        connections : bool
            Whether to draw where the flow goes from each saddle with one unstable mode.
        """
        for wanted in names or ():
            check_choice("names", wanted, tuple(self.fixed_points))
        chosen = {k: v for k, v in self.fixed_points.items() if names is None or k in names}
        flow = {k: saddle_connections(self.rnn, v) for k, v in chosen.items() if connections}
        return plot_fixed_points(chosen, projection, P, trajectories, flow)

    def _input(self, u: ArrayLike | str) -> tuple[str, Float]:
        if isinstance(u, str):
            named = {} if self.task is None else self.task.analysis_inputs
            check_choice("u", u, tuple(named))
            return u, np.asarray(named[u], dtype=np.float64)
        vector = np.array(u, dtype=np.float64)
        if vector.shape != (self.rnn.n_inputs,):
            raise ParameterError(
                "u.shape",
                vector.shape,
                f"this network takes {self.rnn.n_inputs} constant inputs",
                f"pass a vector of {self.rnn.n_inputs} numbers",
            )
        if not np.isfinite(vector).all():
            raise ParameterError("u", vector.tolist(), "is not finite", "pass finite inputs")
        return format_input(vector), vector

    def _states(self, u: Float, trajectories: ArrayLike | None) -> Float:
        """Return states (N, M) to start from."""
        if trajectories is not None:
            states = np.asarray(trajectories, dtype=np.float64)
            if states.ndim not in (2, 3) or states.shape[0] != self.rnn.N or not states.size:
                raise ParameterError(
                    "trajectories.shape",
                    states.shape,
                    f"is not ({self.rnn.N}, T, B) or ({self.rnn.N}, M)",
                    "pass states with the units first",
                )
            pool = _second_half(states) if states.ndim == 3 else states
        elif self.task is not None:
            if self._task_states is None:
                with np.errstate(over="ignore", invalid="ignore"):
                    self._task_states = _second_half(self.rnn.run(self.task.get_batch()[0])[0])
            pool = self._task_states
        else:
            pool = self._relaxed_states(u)
        # a trial that diverged is no place to start from
        usable = np.isfinite(pool).all(axis=0) & (np.abs(pool).max(axis=0) < 1e6)
        if not usable.any():
            raise ParameterError(
                "trajectories",
                "diverged",
                "no state is finite and below 1e6",
                "pass states from which to start",
            )
        return pool[:, usable]

    def _relaxed_states(self, u: Float) -> Float:
        """Return the second half of runs at constant ``u`` from random states (N, M)."""
        rng = np.random.default_rng(self.seed)
        n_steps = int(np.ceil(20.0 / self.rnn.alpha))
        scale = 10.0 ** rng.uniform(-1.0, 0.5, 64)
        starts = scale * rng.standard_normal((self.rnn.N, 64))
        inputs = np.broadcast_to(u[:, None, None], (len(u), n_steps, 64))
        with np.errstate(over="ignore", invalid="ignore"):
            states = self.rnn.run(inputs, x_init=starts)[0]
        return np.hstack([starts, _second_half(states)])


def _second_half(states: Float) -> Float:
    return states[:, states.shape[1] // 2 :].reshape(states.shape[0], -1)


def _reachable(field: str, value: float, floor: float) -> float:
    """Return a tolerance after checking that float64 can reach it."""
    number = check_float(field, value, exclusive_minimum=0.0)
    if number < floor:
        raise ParameterError(
            field,
            number,
            f"is below what float64 can tell here (about {floor:.1g})",
            "choose a larger tolerance",
        )
    return number
