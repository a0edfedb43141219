"""Slow manifolds of trained networks: lines, rings and sheets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import datajoint as dj
import numpy as np
from numpy.typing import NDArray

import models
from models.manifolds.settings import ManifoldSettings

from ..database import schemas
from ..database.types import Query
from .figures import FigureTable
from .fixed_points import FixedPointParams, FixedPoints, finite_or_null
from .left_out import Analysis
from .one_row import one_row
from .parameters import columns, stored
from .performance import fetch_network, fetch_network_rows, network_and_task, trials_to_draw
from .settings import CheckedSettings
from .task import Task
from .training import Training

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@schemas.dynamics
class ManifoldParams(CheckedSettings):
    config = ManifoldSettings
    left_out = ("step", "max_length", "min_length", "max_points", "n_relaxed", "seed")

    definition = f"""
    # what counts as a slow manifold, and how it is followed
    manifold_search : varchar(64)  # readable name
    ---
    {columns(config, left_out)}
    """

    contents = ({"manifold_search": "default", **stored(config(), left_out)},)


@schemas.dynamics
class ContinuousAttractor(Analysis):
    needs = (FixedPoints,)

    definition = """
    # slow manifolds of a network at a constant input
    -> FixedPoints
    -> ManifoldParams
    ---
    n_manifolds : int32          # lines, rings and sheets found
    n_explained : int32          # fixed points that lie on one of them
    n_isolated  : int32          # and that lie on none
    explanation : varchar(1000)  # the same in words
    """

    class Manifold(dj.Part):
        definition = """
        # one slow manifold
        -> master
        manifold : int32             # number, larger ones first
        ---
        dimension         : int32        # 1: line or ring, 2: sheet
        topology          : varchar(32)  # open line, (rotating) ring, sheet, closed surface, volume
        manifold_length   : float64      # arc length; largest distance within a sheet
        max_speed         : float64      # largest |F| on it, per tau
        relative_speed    : float64      # the same over its length: 1 / shortest time to cross it
        rotation_period=null : float64   # time to go round a rotating ring, in tau; null: none
        n_stable_along    : int32        # points that the drift along it leads to
        n_unstable_along  : int32        # points that the drift along it leads away from
        n_members         : int32        # points of the set that lie on it
        n_across_unstable : int32        # modes across it that grow; 0: it attracts
        null_space_fraction=null   : float64  # share of its variance that W_out does not read
        tangent_null_fraction=null : float64  # share of its tangents that W_out does not read
        chance_null_fraction       : float64  # share of a random direction
        ends               : varchar(64) # why it was followed no further, comma separated
        samples            : <npy@main>  # states along it (M, N)
        sample_positions   : <npy@main>  # arc length, or coordinates on a sheet (M, d)
        sample_tangents    : <npy@main>  # orthonormal (M, d, N)
        sample_speed       : <npy@main>  # |F| (M,)
        sample_drift       : <npy@main>  # F along each tangent (M, d)
        sample_across      : <npy@main>  # |F| across (M,)
        sample_eigenvalues : <npy@main>  # (M, N) complex, by real part, descending, per tau
        sample_outputs     : <npy@main>  # readout (M, n_outputs)
        member_points      : <npy@main>  # numbers of the points of the set on it (K,)
        """

    @property
    def all_keys(self) -> Query:
        """Sets of fixed points, with every way of following manifolds."""
        return FixedPoints.proj() * ManifoldParams.proj()

    def make_fetch(self, key: dict[str, Any]) -> tuple[Any, ...]:
        """Fetch parameters and references to the weights; of the points the row of their set.

        What is fetched is compared before and after the search, number by number: the counts and
        the time of the search are another set's wherever the points are.
        """
        return (
            (FixedPoints & key).fetch1(),
            *fetch_network_rows(key),
            (ManifoldParams & key).fetch1(),
        )

    def make_compute(
        self,
        key: dict[str, Any],
        set_row: dict[str, Any],
        network_row: dict[str, Any],
        params_row: dict[str, Any],
        task_row: dict[str, Any],
        settings_row: dict[str, Any],
    ) -> tuple[Any, ...]:
        """Follow the manifolds of one network at one input."""
        found = (FixedPoints & {name: set_row[name] for name in FixedPoints.primary_key}).load()
        rnn, task = network_and_task(network_row, params_row, task_row)
        analyzer = models.DynamicSystemAnalyzer(rnn, task, seed=int(key["seed"]))
        settings = ManifoldParams.build(settings_row)
        return found, analyzer.get_manifolds(found.input, found, settings)

    def make_insert(self, key: dict[str, Any], found: Any, manifolds: Any) -> None:
        """Insert the manifolds, and what they explain of the points."""
        alone = int(models.isolated(found, manifolds).sum())
        self.insert1(
            {
                **key,
                "n_manifolds": len(manifolds),
                "n_explained": len(found) - alone,
                "n_isolated": alone,
                "explanation": models.explain(found, manifolds),
            }
        )
        self.Manifold.insert(
            {**key, "manifold": i, **_row(manifold)} for i, manifold in enumerate(manifolds)
        )

    def load(self) -> list[models.SlowManifold]:
        """Return the manifolds of the one row that this query selects, as they were found."""
        row = one_row(self)
        key = {name: row[name] for name in self.primary_key}
        vector = np.asarray((Task.Input & key).fetch1("input_vector"))
        parts = (ContinuousAttractor.Manifold & key).to_dicts(order_by="manifold")
        return [_manifold(part, vector) for part in parts]


# Fields of the dataclass under other names in the table: joins must not confuse them with those of
# points.
_NUMBERS = {
    "dimension": "dimension",
    "topology": "topology",
    "length": "manifold_length",
    "n_stable": "n_stable_along",
    "n_unstable": "n_unstable_along",
    "n_transverse_unstable": "n_across_unstable",
    "chance_null_fraction": "chance_null_fraction",
}
_FRACTIONS = ("null_space_fraction", "tangent_null_fraction")
_ARRAYS = {
    "points": "samples",
    "positions": "sample_positions",
    "tangents": "sample_tangents",
    "speed": "sample_speed",
    "drift": "sample_drift",
    "across": "sample_across",
    "eigenvalues": "sample_eigenvalues",
    "outputs": "sample_outputs",
    "members": "member_points",
}


def _row(manifold: models.SlowManifold) -> dict[str, Any]:
    fractions = {name: getattr(manifold, name) for name in _FRACTIONS}
    return {
        **{column: getattr(manifold, name) for name, column in _NUMBERS.items()},
        **{name: finite_or_null(v) for name, v in fractions.items()},
        **{column: getattr(manifold, name) for name, column in _ARRAYS.items()},
        "rotation_period": finite_or_null(manifold.period),
        "max_speed": float(manifold.speed.max()),
        "relative_speed": manifold.relative_speed,
        "n_members": len(manifold.members),
        "ends": ",".join(manifold.ends),
    }


def _manifold(row: dict[str, Any], vector: NDArray[np.float64]) -> models.SlowManifold:
    fields: dict[str, Any] = {
        **{name: row[column] for name, column in _NUMBERS.items()},
        **{name: np.nan if row[name] is None else row[name] for name in _FRACTIONS},
        **{name: np.asarray(row[column]) for name, column in _ARRAYS.items()},
    }
    return models.SlowManifold(
        **fields,
        period=np.nan if row["rotation_period"] is None else row["rotation_period"],
        ends=tuple(filter(None, row["ends"].split(","))),  # a closed surface has none
        input=vector,
    )


@schemas.dynamics
class ContinuousAttractorPlot(FigureTable, Analysis):
    needs = (ContinuousAttractor,)
    settings = (FixedPointParams, ManifoldParams)

    definition = """
    # picture of a network's slow manifolds at all inputs of its task, and of the drift along them
    -> Training.Network
    -> FixedPointParams
    -> ManifoldParams
    ---
    manifold_figure : <figure@main>
    """

    @property
    def all_keys(self) -> Query:
        """Networks analysed at every input of their task, with a manifold at one or more."""
        wanted = Task.aggr(Task.Input.proj(), n_wanted="count(*)")
        keys = Training.Network.proj() * FixedPointParams.proj() * ManifoldParams.proj()
        sets = keys.aggr(ContinuousAttractor.proj(), n_done="count(*)")
        done = (sets * wanted & "n_done = n_wanted").proj()
        return done & ContinuousAttractor.Manifold.proj()

    def make(self, key: dict[str, Any]) -> None:
        """Plot the manifolds of one network."""
        self.insert1({**key, **self.figures(key)})

    def draw(self, key: dict[str, Any]) -> dict[str, Figure]:
        """Draw the manifolds of one network."""
        rnn, task = fetch_network(key)
        names = (ContinuousAttractor & key).to_arrays("input_name", order_by="input_name")
        here = {name: {**key, "input_name": name} for name in names}
        figure = models.plot_manifolds(
            {name: (ContinuousAttractor & one).load() for name, one in here.items()},
            points={name: (FixedPoints & one).load() for name, one in here.items()},
            trajectories=trials_to_draw(rnn, task),
        )
        return {"manifold_figure": figure}
