"""Fixed points of trained networks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import datajoint as dj
import numpy as np
from numpy.typing import DTypeLike, NDArray

import models
from models.fixed_points.settings import SearchSettings

from ..database import schemas
from ..database.types import Query
from . import fixed_points_together
from .current_job import CurrentJobs
from .left_out import Analysis
from .network import NetworkParams
from .one_row import one_row
from .parameters import columns, stored
from .performance import fetch_network_rows, finished_networks, network_and_task
from .rows import Row
from .settings import CheckedSettings
from .task import Task
from .training import Training  # noqa: F401  (the definition names it)


@schemas.dynamics
class FixedPointParams(CheckedSettings):
    config = SearchSettings
    left_out = ("seed",)  # it is the network's
    # The table must join with the tables of sets and of validations.
    renamed = {"noise": "start_noise", "coverage": "coverage_goal"}

    definition = f"""
    # how fixed points are searched
    search_name : varchar(64)  # readable name
    ---
    {columns(config, left_out, renamed)}
    """

    contents = ({"search_name": "exact", **stored(config(), left_out, renamed)},)


@schemas.dynamics
class FixedPoints(Analysis):
    definition = """
    # fixed points of a network at a constant input
    -> Training.Network
    -> Task.Input
    -> FixedPointParams
    ---
    search_status : varchar(32)  # complete, probably complete, incomplete, none_found or growing
    message       : varchar(1000) # what the search says about completeness, in words
    n_points      : int32        # points found
    n_stable      : int32        # largest real part below -eig_cutoff
    n_marginal    : int32        # largest real part within +- eig_cutoff
    n_unstable    : int32        # largest real part above eig_cutoff
    n_map_stable=null   : int32  # stable in steps of dt, as the network runs; null: of 0.1.0
    n_map_differs=null  : int32  # points of other stability or unstable modes then
    enumerated    : bool         # every region that can hold points was solved: there is no other
    coverage=null : float64      # Good-Turing: 1 - points found once / hits
    unseen=null   : float64      # share of further hits that are of new points is below it (0.95)
    index_sum=null      : int32  # sum of (-1)^(unstable modes); null: degenerate or slow points
    index_expected=null : int32  # of a complete set; null: not known for this network
    is_bounded    : bool         # dynamics point inward at infinity: index sum of a complete set +1
    n_starts_used : int32        # starts of the search, all rounds
    n_converged   : int32        # starts that ended in a point
    search_seconds : float64     # wall time of the search (s)
    """

    class Point(dj.Part):
        definition = """
        # one fixed point
        -> master
        point           : int32       # number within the set
        ---
        state            : <npy@main>  # (N,)
        residual         : float64     # |F|
        hits             : int32       # starts that ended here
        n_unstable_modes : int32       # eigenvalues with positive real part
        stability        : enum('stable', 'unstable', 'marginal')  # of the equation
        at_kink=null     : varchar(16) # what the flow does around a kink of f; null: on none
        growth_rate=null : float64     # of the direction that grows most, per tau; null: not known
        point_index=null : int32       # (-1)^(unstable modes); at a kink its degree; null: unknown
        map_stability=null      : varchar(16)  # in steps of dt; null: of 0.1.0
        n_unstable_map_modes=null : int32   # multipliers, 1 + dt / tau eigenvalue, above 1
        max_multiplier=null     : float64   # largest modulus of the multipliers
        degenerate       : bool        # point_index is not (-1)^(unstable modes), or not known
        max_eigenvalue   : float64     # largest real part, per tau
        time_constant=null : float64   # 1 / smallest |real part|, in tau; null: infinite
        eigenvalues      : <npy@main>  # (N,) complex, by real part, descending, per tau
        direction        : <npy@main>  # real part of the first eigenvector (N,), unit length
        existence_radius=null  : float64  # certificate: a true root lies within; null: none
        uniqueness_radius=null : float64  # and no other within this radius
        """

    @property
    def all_keys(self) -> Query:
        """Finished networks, at each input of their task, with every search."""
        return finished_networks().proj() * Task.Input.proj() * FixedPointParams.proj()

    def make_fetch(self, key: dict[str, Any]) -> tuple[Any, ...]:
        """Fetch parameters and references to the weights, not the weights."""
        return (
            *fetch_network_rows(key),
            (Task.Input & key).fetch1("input_vector").tolist(),
            (FixedPointParams & key).fetch1(),
        )

    def make_compute(
        self,
        key: dict[str, Any],
        network_row: dict[str, Any],
        params_row: dict[str, Any],
        task_row: dict[str, Any],
        input_vector: list[float],
        search: dict[str, Any],
    ) -> tuple[Any, ...]:
        """Search."""
        found = _analyzer(key, network_row, params_row, task_row).get_fixed_points(
            np.asarray(input_vector), name=key["input_name"], **_settings(search)
        )
        return (found,)

    # Together: what workers ask (`pipeline.workers.steps.ComputedTogether`) -----------------------

    def may_share(self, key: Row, *fetched_device_pays: Any) -> bool:
        """Return whether one call has room for others."""
        return self.room(key, *fetched_device_pays) > 0

    def alike(
        self, key: Row, network_row: Row, params_row: Row, *rest: Any
    ) -> dict[str, list[str]]:
        """Return the parameter sets of searches that can be one call with this one, by column."""
        return fixed_points_together.alike(key, params_row)

    def room(self, key: Row, *fetched_device_pays: Any) -> int:
        """Return how many searches more one call has room for; if ``pays``, where it pays."""
        *_, search, device, pays = fetched_device_pays
        return fixed_points_together.room(search, device, pays)

    def companions(self, key: Row, *fetched_candidates_room: Any) -> list[Row]:
        """Return those of some keys that can be one call with this one, as many as have room."""
        *_, candidates, room = fetched_candidates_room
        return list(candidates[:room])

    def make_compute_together(
        self, keys: Sequence[Row], fetched: Sequence[Any], jobs: CurrentJobs
    ) -> Iterator[tuple[int, tuple[Any, ...] | None]]:
        """Search in one call; yield the place and what `make_insert` takes of each."""
        networks = [
            partial(_analyzer, key, *rows[:3]) for key, rows in zip(keys, fetched, strict=True)
        ]
        inputs = [rows[3] for rows in fetched]
        settings = _settings(fetched[0][4])
        for i, found in fixed_points_together.search_together(
            networks, inputs, jobs.device, settings
        ):
            yield i, None if found is None else (found,)

    def make_insert(self, key: dict[str, Any], found: Any) -> None:
        """Insert the set and its points."""
        kinds = list(found.stability)
        time_constants = found.time_constants
        map_kinds, n_unstable_map = found.map_stability, found.n_unstable_map
        largest = np.abs(found.multipliers).max(axis=1, initial=0.0)
        self.insert1(
            {
                **key,
                "search_status": found.status,
                "message": found.message,
                "n_points": len(kinds),
                "n_map_stable": int((found.map_stability == "stable").sum()),
                "n_map_differs": int(found.differs_in_steps.sum()),
                **{f"n_{kind}": kinds.count(kind) for kind in ("stable", "marginal", "unstable")},
                "enumerated": found.enumerated,
                "coverage": float(found.coverage) if np.isfinite(found.coverage) else None,
                "unseen": finite_or_null(found.unseen),
                "index_sum": found.index_sum,
                "index_expected": found.index_expected,
                "is_bounded": found.is_bounded,
                "n_starts_used": int(found.n_starts),
                "n_converged": int(found.n_converged),
                "search_seconds": float(found.seconds),
            }
        )
        self.Point.insert(
            {
                **key,
                "point": i,
                "state": found.points[i],
                "residual": float(found.residual[i]),
                "hits": int(found.hits[i]),
                "n_unstable_modes": int(found.n_unstable[i]),
                "stability": str(kinds[i]),
                "at_kink": str(found.kink[i]) or None,
                "growth_rate": finite_or_null(found.growth[i]),
                "point_index": None if np.isnan(found.index[i]) else int(found.index[i]),
                "map_stability": str(map_kinds[i]),
                "n_unstable_map_modes": int(n_unstable_map[i]),
                "max_multiplier": float(largest[i]),
                "degenerate": bool(found.degenerate[i]),
                "max_eigenvalue": float(found.eigenvalues[i].real.max()),
                "time_constant": finite_or_null(time_constants[i]),
                "eigenvalues": found.eigenvalues[i],
                "direction": found.directions[i],
                "existence_radius": finite_or_null(found.existence_radius[i]),
                "uniqueness_radius": finite_or_null(found.uniqueness_radius[i]),
            }
            for i in range(len(kinds))
        )

    def load(self) -> models.FixedPointSet:
        """Return the one set that this query selects, as the search returned it."""
        row = one_row(self)
        key = {name: row[name] for name in self.primary_key}
        return set_from_rows(
            row,
            points=(FixedPoints.Point & key).to_dicts(order_by="point"),
            search=(FixedPointParams & key).fetch1(),
            network=(NetworkParams & key).fetch1(),
            input_vector=np.asarray((Task.Input & key).fetch1("input_vector")),
        )


def _analyzer(
    key: Row, network_row: Row, params_row: Row, task_row: Row
) -> models.DynamicSystemAnalyzer:
    rnn, task = network_and_task(network_row, params_row, task_row)
    return models.DynamicSystemAnalyzer(rnn, task, seed=int(key["seed"]))


def _settings(search: Row) -> dict[str, Any]:
    settings = asdict(FixedPointParams.build(search))
    del settings["seed"]  # the analyser's own
    return settings


def set_from_rows(
    row: dict[str, Any],
    points: list[dict[str, Any]],
    search: dict[str, Any],
    network: dict[str, Any],
    input_vector: NDArray[np.float64],
) -> models.FixedPointSet:
    """Return the set of a row of `FixedPoints`, as the search returned it.

    Parameters
    ----------
    row : dict
    points : list of dict
        Its rows of `FixedPoints.Point`, in their order.
    search : dict
        The row of its `FixedPointParams`.
    network : dict
        The row of its `NetworkParams`.
    input_vector : array (n_inputs,)
    """

    def column(name: str, dtype: DTypeLike = np.float64) -> NDArray[Any]:
        return np.array([np.nan if p[name] is None else p[name] for p in points], dtype=dtype)

    def rows(name: str, dtype: DTypeLike = np.float64) -> NDArray[Any]:
        arrays = [np.asarray(p[name]) for p in points]
        return np.stack(arrays) if arrays else np.empty((0, network["n_units"]), dtype=dtype)

    return models.FixedPointSet(
        points=rows("state"),
        residual=column("residual"),
        hits=column("hits", np.int64),
        eigenvalues=rows("eigenvalues", np.complex128),
        directions=rows("direction"),
        n_unstable=column("n_unstable_modes", np.int64),
        stability=column("stability", np.str_),
        kink=np.array([p["at_kink"] or "" for p in points], dtype=np.str_),
        growth=column("growth_rate"),
        index=column("point_index"),
        degenerate=column("degenerate", np.bool_),
        existence_radius=column("existence_radius"),
        uniqueness_radius=column("uniqueness_radius"),
        enumerated=bool(row["enumerated"]),
        coverage=np.nan if row["coverage"] is None else row["coverage"],
        unseen=np.nan if row["unseen"] is None else row["unseen"],
        index_sum=row["index_sum"],
        index_expected=row["index_expected"],
        is_bounded=bool(row["is_bounded"]),
        n_starts=row["n_starts_used"],
        n_converged=row["n_converged"],
        seconds=row["search_seconds"],
        status=row["search_status"],
        input=input_vector,
        alpha=network["dt"] / network["tau"],
        **{name: search[name] for name in ("mode", "fun_tol", "diff_cutoff", "eig_cutoff")},
    )


def finite_or_null(value: float) -> float | None:
    """Return what a column of numbers keeps: null for NaN and infinities."""
    return float(value) if np.isfinite(value) else None
