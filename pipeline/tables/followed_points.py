"""Fixed points followed through the training of a network."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import datajoint as dj
import numpy as np

import models
from models.learning.settings import FollowSettings

from ..database import schemas
from ..database.types import Query
from .fixed_points import FixedPointParams
from .left_out import Analysis
from .network import NetworkParams
from .network_rows import load_network
from .one_row import one_key
from .parameters import columns, stored
from .performance import VALIDATION_SEED, finished_networks
from .recorded import snapshot_weights
from .rows import Row
from .settings import CheckedSettings, prefixed
from .task import Task
from .training import Training

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LONGEST_REASON = 1000  # characters


@schemas.dynamics
class FollowParams(CheckedSettings):
    config = FollowSettings
    renamed = prefixed(config, "follow")

    definition = f"""
    # how fixed points are followed through learning
    follow_name : varchar(64)  # readable name
    ---
    {columns(config, (), renamed)}
    """

    contents = ({"follow_name": "default", **stored(config(), (), renamed)},)


@schemas.dynamics
class FollowedPoints(Analysis):
    definition = """
    # fixed points of a network followed through the snapshots of its training
    -> Training.Network
    -> Task.Input
    -> FixedPointParams
    -> FollowParams
    ---
    follow_status  : varchar(16)    # followed, partly, incomplete or not_smooth
    follow_reason  : varchar(1000)  # what is missing; empty: nothing is
    n_snapshots    : int32          # snapshots
    n_branches     : int32          # points that were followed, each from its birth to its end
    n_births=null  : int32          # after the first snapshot; null: nothing was followed
    n_deaths=null  : int32          # before the last
    n_bifurcations : int32          # bifurcations of all kinds
    follow_index_holds=null : bool  # whether all sums of indices agree; null: nothing was followed
    follow_seconds : float64        # wall time of searches and following (s)
    """

    class Searched(dj.Part):
        definition = """
        # set of fixed points of one snapshot
        -> master
        searched_iteration : int32   # of the snapshot
        ---
        searched_status    : varchar(32)  # of the search, as in FixedPoints
        searched_points    : int32   # points found
        searched_stable    : int32   # stable ones among them
        searched_index_sum=null : int32  # sum of their indices; null: not known
        """

    class Branch(dj.Part):
        definition = """
        # one fixed point through learning
        -> master
        branch : int32                # number
        ---
        branch_first    : int32       # iteration of the first snapshot that has it
        branch_last     : int32       # and of the last
        born_by         : varchar(16) # start, a kind of bifurcation, infinity, or lost: not known
        ended_by        : varchar(16) # end, a kind of bifurcation, infinity, or lost: not known
        born_at=null    : int32       # number of that bifurcation
        ended_at=null   : int32       # number of that bifurcation
        """

    class BranchState(dj.Part):
        definition = """
        # followed fixed point in one snapshot
        -> FollowedPoints.Branch
        branch_iteration : int32       # of the snapshot
        ---
        branch_state     : <npy@main>  # (N,)
        branch_stability : varchar(16) # stable, unstable or marginal
        branch_unstable_modes  : int32    # eigenvalues with positive real part
        branch_max_eigenvalue  : float64  # largest real part, per tau
        """

    class Bifurcation(dj.Part):
        definition = """
        # bifurcation between two snapshots, on the straight line between their weights
        -> master
        bifurcation : int32            # number, in the order of learning
        ---
        bifurcation_kind : varchar(16) # saddle_node, pitchfork, transcritical, hopf, ... (docs)
        iteration_before : int32       # of the snapshot before it
        iteration_after  : int32       # of the snapshot after it
        line_share       : float64     # where on the line it is: 0 before, 1 after
        bifurcation_state    : <npy@main>  # (N,)
        bifurcation_at_kink  : bool    # a unit passes a kink of f: eigenvalues jump
        hopf_frequency=null  : float64 # of the oscillation that is born, radians per tau
        index_before     : int32       # sum of indices of the points that take part, before it
        index_after      : int32       # and after it: the same
        """

    @property
    def all_keys(self) -> Query:
        """Finished networks with snapshots, at each input, with every exact search."""
        # One that stopped early may have the first alone, from which nothing is followed.
        later = Training.Snapshot & "snapshot_iteration > 0"
        networks = finished_networks().proj() & later.proj()
        searches = (FixedPointParams & {"mode": "exact"}).proj()
        return networks * Task.Input.proj() * searches * FollowParams.proj()

    def make_fetch(self, key: dict[str, Any]) -> tuple[Any, ...]:
        """Fetch parameters and references to the weights, not the weights."""
        return (
            (Training.Snapshot & key).to_dicts(order_by="snapshot_iteration"),
            (NetworkParams & key).fetch1(),
            (Task & key).fetch1(),
            (Task.Input & key).fetch1("input_vector").tolist(),
            (FixedPointParams & key).fetch1(),
            (FollowParams & key).fetch1(),
        )

    def make_compute(
        self,
        key: dict[str, Any],
        rows: list[dict[str, Any]],
        params_row: dict[str, Any],
        task_row: dict[str, Any],
        input_vector: list[float],
        search: dict[str, Any],
        follow: dict[str, Any],
    ) -> tuple[Any, ...]:
        """Search at each snapshot, and follow what was found."""
        began = time.perf_counter()
        u = np.asarray(input_vector)
        config, settings = NetworkParams.build(params_row), asdict(FixedPointParams.build(search))
        del settings["seed"]  # the analyser's own
        snapshots = []
        for row in rows:
            rnn = load_network({"seed": key["seed"], **snapshot_weights(row)}, config)
            task = Task.build(task_row, seed=VALIDATION_SEED)
            analyzer = models.DynamicSystemAnalyzer(rnn, task, seed=int(key["seed"]))
            found = analyzer.get_fixed_points(u, name=key["input_name"], **settings)
            snapshots.append(models.NetworkSnapshot(int(row["snapshot_iteration"]), rnn, found))
        followed = models.follow_learning(snapshots, u, FollowParams.build(follow))
        return (snapshots, followed, time.perf_counter() - began)

    def make_insert(
        self, key: dict[str, Any], snapshots: list[Any], found: Any, seconds: float
    ) -> None:
        """Insert the branches, where they are, and the bifurcations."""
        branches, last = found.branches, len(snapshots) - 1
        nothing = found.status == "not_smooth"  # f has kinks and is not linear between them
        iterations = [snapshot.iteration for snapshot in snapshots]
        self.insert1(
            {
                **key,
                "follow_status": found.status,
                "follow_reason": found.reason[:LONGEST_REASON],
                "n_snapshots": len(snapshots),
                "n_branches": 0 if nothing else len(branches),
                "n_births": None if nothing else sum(b.first > 0 for b in branches),
                "n_deaths": None if nothing else sum(b.last < last for b in branches),
                "n_bifurcations": len(found.bifurcations),
                "follow_index_holds": None if nothing else found.index_holds,
                "follow_seconds": seconds,
            }
        )
        self.Searched.insert(
            {
                **key,
                "searched_iteration": snapshot.iteration,
                "searched_status": snapshot.points.status,
                "searched_points": len(snapshot.points),
                "searched_stable": int((snapshot.points.stability == "stable").sum()),
                "searched_index_sum": snapshot.points.index_sum,
            }
            for snapshot in snapshots
        )
        self.Bifurcation.insert(
            {
                **key,
                "bifurcation": number,
                "bifurcation_kind": one.kind,
                "iteration_before": iterations[place],
                "iteration_after": iterations[place + 1],
                "line_share": one.share,
                "bifurcation_state": one.state,
                "bifurcation_at_kink": one.at_kink,
                "hopf_frequency": one.frequency,
                "index_before": one.index_before,
                "index_after": one.index_after,
            }
            for number, (place, one) in enumerate(found.bifurcations)
        )
        if nothing:
            return
        self.Branch.insert(
            {
                **key,
                "branch": number,
                "branch_first": iterations[branch.first],
                "branch_last": iterations[branch.last],
                **{name: getattr(branch, name) for name in
                   ("born_by", "ended_by", "born_at", "ended_at")},
            }
            for number, branch in enumerate(branches)
        )  # fmt: skip
        self.BranchState.insert(
            {
                **key,
                "branch": number,
                "branch_iteration": iterations[place],
                "branch_state": snapshots[place].points.points[i],
                "branch_stability": str(snapshots[place].points.stability[i]),
                "branch_unstable_modes": int(snapshots[place].points.n_unstable[i]),
                "branch_max_eigenvalue": float(snapshots[place].points.eigenvalues[i].real.max()),
            }
            for number, branch in enumerate(branches)
            for place, i in branch.points.items()
        )

    def plot(self) -> Figure:
        """Draw the branches and bifurcations of the one row that this query selects."""
        key = one_key(self)
        parts = (self.Searched, self.Bifurcation, self.BranchState, self.Branch)
        rows = {f"FollowedPoints.{t.__name__}": (t & key).to_dicts(order_by="KEY") for t in parts}
        return models.plot_branches(*branches_from_rows(rows))


def branches_from_rows(
    tables: Mapping[str, Sequence[Row]],
) -> tuple[list[int], list[models.BranchLine], list[tuple[float, Any, str]]]:
    """Return what `models.plot_branches` draws, from rows of one key in the order of their keys.

    Parameters
    ----------
    tables : mapping of str to sequence of dict
        "FollowedPoints.Searched", "FollowedPoints.Branch", ...
    """
    iterations = [int(row["searched_iteration"]) for row in tables["FollowedPoints.Searched"]]
    met = {
        row["bifurcation"]: (
            iterations.index(row["iteration_before"]) + row["line_share"],
            np.asarray(row["bifurcation_state"]),
            row["bifurcation_kind"],
        )
        for row in tables["FollowedPoints.Bifurcation"]
    }
    states = defaultdict(list)
    for row in tables["FollowedPoints.BranchState"]:
        place = float(iterations.index(row["branch_iteration"]))
        stable = row["branch_unstable_modes"] == 0
        states[row["branch"]].append((place, np.asarray(row["branch_state"]), stable))
    lines = []
    for branch in tables["FollowedPoints.Branch"]:
        points = states[branch["branch"]]
        if branch["born_at"] is not None:
            points.insert(0, (*met[branch["born_at"]][:2], points[0][2]))
        if branch["ended_at"] is not None:
            points.append((*met[branch["ended_at"]][:2], points[-1][2]))
        places, at, whether = zip(*points, strict=True)
        lines.append(models.BranchLine(np.array(places), np.array(at), np.array(whether)))
    return iterations, lines, list(met.values())
