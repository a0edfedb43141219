"""Figures of the fixed points of trained networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

import models

from ..database import schemas
from ..database.types import Query
from .figures import FigureTable, described
from .fixed_points import FixedPointParams, FixedPoints
from .left_out import Analysis
from .one_row import one_row
from .performance import fetch_network, trials_to_draw
from .task import Task
from .training import Training

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@schemas.dynamics
class FixedPointPlot(FigureTable, Analysis):
    needs = (FixedPoints,)
    settings = (FixedPointParams,)

    definition = """
    # pictures of a network's fixed points at all inputs of its task, over its trials
    -> Training.Network
    -> FixedPointParams
    ---
    figure_2d  : <figure@main>  # on the first two axes of the projection
    figure_3d  : <figure@main>  # on all three
    directions : <npy@main>     # axes of both (N, 3): principal components of the trials' states
    centre     : <npy@main>     # state at their origin (N,)
    """

    @property
    def all_keys(self) -> Query:
        """Networks searched at every input of their task, with a point at one of them at least."""
        wanted = Task.aggr(Task.Input.proj(), n_wanted="count(*)")
        sets = (Training.Network.proj() * FixedPointParams.proj()).aggr(
            FixedPoints.proj(), n_done="count(*)"
        )
        return (sets * wanted & "n_done = n_wanted").proj() & FixedPoints.Point.proj()

    def draw(self, key: dict[str, Any]) -> dict[str, Figure]:
        """Draw the points of one network."""
        return self._draw(key)[0]

    def make(self, key: dict[str, Any]) -> None:
        """Plot the points of one network."""
        drawn, frame = self._draw(key)
        self.insert1(
            {
                **key,
                **described(type(self), key, drawn),
                "directions": frame.directions,
                "centre": frame.centre,
            }
        )

    def _draw(self, key: dict[str, Any]) -> tuple[dict[str, Figure], models.Projection]:
        rnn, task = fetch_network(key)
        trials = trials_to_draw(rnn, task)
        states = trials["states"].transpose("unit", "time", "trial").values
        sets = {
            name: (FixedPoints & key & {"input_name": name}).load()
            for name in (FixedPoints & key).to_arrays("input_name", order_by="input_name")
        }
        points = np.vstack([found.points for found in sets.values()]).T
        states = models.trials_near(states, points)
        frame = models.Projection.principal(states if states.size else points)
        flow = {name: models.saddle_connections(rnn, found) for name, found in sets.items()}
        drawn = {
            f"figure_{projection.lower()}": models.plot_fixed_points(
                sets, projection, frame, trials, flow
            )
            for projection in ("2D", "3D")
        }
        return drawn, frame

    def projection(self) -> models.Projection:
        """Return the frame of the one picture that this query selects, to draw others in it."""
        row = one_row(self)
        directions = np.asarray(row["directions"])
        names = tuple(f"PC {i + 1}" for i in range(directions.shape[1]))
        return models.Projection(directions, np.asarray(row["centre"]), names)
