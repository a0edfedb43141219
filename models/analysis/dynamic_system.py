"""Analysis of a network's dynamics at constant inputs: fixed points and their linearisation."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from tasks_lib.errors import ParameterError, check_choice, check_int

from ..dynamics.point_analytics import PointAnalytics, analyse_points
from ..dynamics.saddle_connections import saddle_connections
from ..fixed_points import (
    FixedPointSet,
    Problem,
    expected_index,
    find_fixed_points_of_many,
    search_settings,
)
from ..fixed_points.batch import in_parallel
from ..fixed_points.growth import StartingStates, starting_states
from ..fixed_points.point_set import format_input
from ..machine.threads import blas_on_one
from ..manifolds import ManifoldSettings, SlowManifold, find_manifolds
from ..network.rnn_numpy import RNNNumpy
from ..plots.fixed_points import plot_fixed_points
from ..plots.projection import Projection

Float = NDArray[np.float64]
MAX_TRIALS = 64  # of a task's batch that are run for states to start from
__all__ = [
    "DynamicSystemAnalyzer",
    "FixedPointSet",
    "PointAnalytics",
    "get_fixed_points_of_each",
    "get_fixed_points_of_many",
]


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
    manifolds : dict of str to list of SlowManifold
        Slow manifolds found so far, by name of their input.
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
        self.manifolds: dict[str, list[SlowManifold]] = {}
        self._task_states: Float | None = None
        self._index: int | None = None  # index sum of a complete set
        self._index_asked = False

    def get_fixed_points(
        self,
        u: ArrayLike | str,
        mode: str = "exact",
        *,
        name: str | None = None,
        trajectories: ArrayLike | None = None,
        device: str | None = None,
        **settings: Any,
    ) -> FixedPointSet:
        """Find the fixed points (or slow points) at one constant input.

        Parameters
        ----------
        u : array (n_inputs,) or str
            The input, or its name among ``task.analysis_inputs``.
        mode : {"exact", "approx"}
            Roots of F, or local minima of |F|^2 / 2.
        name : str, optional
            Key under which the set is remembered; by default the name or the values of the input.
        trajectories : array (N, T, B) or (N, M), optional
            States to start from: of trials (their second half is used), or any. Those that the
            network leaves without bound are no start: see `starting_states`.
        device : str, optional
            A torch device ("cuda") for the solves of ``exact`` mode; the CPU by default.
        **settings
            Other fields of `models.fixed_points.SearchSettings`: ``n_starts``, ``max_starts``,
            ``noise``, ``diff_cutoff``, ``fun_tol``, ``eig_cutoff``, ``coverage``, ``seed`` (by
            default the analyser's own).
        """
        with blas_on_one:
            key, problem = self._problem(u, mode, trajectories, **settings)
        found = find_fixed_points_of_many([problem], device)[0]
        self.fixed_points[name or key] = found
        return found

    def get_manifolds(
        self,
        u: ArrayLike | str,
        found: FixedPointSet | None = None,
        settings: ManifoldSettings | None = None,
        *,
        name: str | None = None,
        trajectories: ArrayLike | None = None,
    ) -> list[SlowManifold]:
        """Find the continuous attractors at one constant input: slow lines, rings and sheets.

        Parameters
        ----------
        u : array (n_inputs,) or str
            The input, or its name among ``task.analysis_inputs``.
        found : FixedPointSet, optional
            Points at this input; those remembered, or a search with its defaults, without it.
        settings : ManifoldSettings, optional
            What counts as slow, and how finely and how far manifolds are followed.
        name : str, optional
            Key under which the list is remembered; by default the name or values of the input.
        trajectories : array (N, T, B) or (N, M), optional
            States of the network, as for `get_fixed_points`.
        """
        key, vector = self._input(u)
        if found is None:
            found = self.fixed_points.get(name or key)
        if found is None:
            found = self.get_fixed_points(vector, name=name or key, trajectories=trajectories)
        states = self._states(vector, trajectories).states
        manifolds = find_manifolds(self.rnn, vector, found, states, settings)
        self.manifolds[name or key] = manifolds
        return manifolds

    def _problem(
        self, u: ArrayLike | str, mode: str, trajectories: ArrayLike | None = None, **settings: Any
    ) -> tuple[str, Problem]:
        """Return the name of an input, and what to search there, after checking all of it."""
        key, vector = self._input(u)
        if settings.get("seed") is None:
            settings["seed"] = self.seed
        opts = search_settings(mode=mode, **settings)
        start = self._states(vector, trajectories)
        opts, states = opts.reachable(start.states)
        problem = Problem(self.rnn, vector, states, opts, grows=start.grows)
        if mode != "exact":
            return key, problem
        if not self._index_asked:  # of the network: the same at every input
            self._index, self._index_asked = expected_index(self.rnn), True
        return key, replace(problem, index_expected=self._index, index_asked=True)

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
        # Sets that are not drawn are there without points: the others keep their colours.
        shown = {
            k: v if k in chosen else v.filter(np.zeros(len(v), dtype=bool))
            for k, v in self.fixed_points.items()
        }
        flow = {k: saddle_connections(self.rnn, v) for k, v in chosen.items() if connections}
        return plot_fixed_points(shown, projection, P, trajectories, flow)

    def input_names(self) -> list[str]:
        """Return the names of the task's constant inputs."""
        if self.task is None:
            raise ParameterError(
                "inputs", None, "are not named: there is no task", "pass inputs, or a task"
            )
        return list(self.task.analysis_inputs)

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

    def _states(self, u: Float, trajectories: ArrayLike | None) -> StartingStates:
        """Return states to start from."""
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
                task = copy(self.task)  # trials of this seed, and the task's own stay as they were
                task.reset(self.seed)
                inputs = task.get_batch()[0]
                inputs = inputs[:, :, :: -(-inputs.shape[2] // MAX_TRIALS)]
                with np.errstate(over="ignore", invalid="ignore"):
                    self._task_states = _second_half(self.rnn.run(inputs)[0])
            pool = self._task_states
        else:
            pool = self._relaxed_states(u)
        return starting_states(self.rnn, u, pool, self.seed)

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


def get_fixed_points_of_many(
    analyzers: Sequence[DynamicSystemAnalyzer],
    inputs: Sequence[ArrayLike | str] | None = None,
    mode: str = "exact",
    *,
    device: str | None = None,
    n_threads: int | None = None,
    **settings: Any,
) -> list[dict[str, FixedPointSet]]:
    """Find the fixed points of many networks at many inputs in one call.

    Parameters
    ----------
    analyzers : sequence of DynamicSystemAnalyzer
        One a network.
    inputs : sequence of array (n_inputs,) or str, optional
        The constant inputs; by default all that each analyser's task names.
    mode : {"exact", "approx"}
        Roots of F, or local minima of |F|^2 / 2.
    device : str, optional
        A torch device ("cuda") for the solves of ``exact`` mode; the CPU by default.
    n_threads : int, optional
        Searches at a time on the CPU; torch's number of threads by default.
    **settings
        As of `DynamicSystemAnalyzer.get_fixed_points`; the same for all.

    Returns
    -------
    sets : list of dict of str to FixedPointSet
        One a network: its sets by name of their input. The analysers remember them too. On a CPU
        each is what ``get_fixed_points`` finds.
    """

    def prepared(analyzer: DynamicSystemAnalyzer) -> list[tuple[str, Problem]]:
        wanted: Sequence[Any] = list(inputs) if inputs is not None else analyzer.input_names()
        return [analyzer._problem(u, mode, **settings) for u in wanted]

    asked = in_parallel(prepared, list(analyzers), n_threads)
    problems = [problem for of_one in asked for _, problem in of_one]
    found = iter(find_fixed_points_of_many(problems, device, n_threads))
    sets = [{key: next(found) for key, _ in of_one} for of_one in asked]
    for analyzer, own in zip(analyzers, sets, strict=True):
        analyzer.fixed_points.update(own)
    return sets


def get_fixed_points_of_each(
    analyzers: Sequence[DynamicSystemAnalyzer],
    inputs: Sequence[ArrayLike | str],
    mode: str = "exact",
    *,
    device: str | None = None,
    n_threads: int | None = None,
    **settings: Any,
) -> list[FixedPointSet]:
    """Find the fixed points of many networks in one call, each at an input of its own.

    Parameters
    ----------
    analyzers : sequence of DynamicSystemAnalyzer
        A network may come several times.
    inputs : sequence of array (n_inputs,) or str
        One for each analyser.
    mode, device, n_threads, **settings
        As of `get_fixed_points_of_many`.

    Returns
    -------
    sets : list of FixedPointSet
        One for each analyser. On a CPU it is what ``get_fixed_points`` finds.
    """
    pairs = list(zip(analyzers, inputs, strict=True))
    asked = in_parallel(lambda pair: pair[0]._problem(pair[1], mode, **settings), pairs, n_threads)
    return find_fixed_points_of_many([problem for _, problem in asked], device, n_threads)


def _second_half(states: Float) -> Float:
    return states[:, states.shape[1] // 2 :].reshape(states.shape[0], -1)
