"""Figures of the fixed points of trained networks."""

from __future__ import annotations

from typing import Any

import datajoint as dj
import numpy as np

import models

from ..database import schemas
from ..database.types import Query
from .fixed_points import FixedPointParams, FixedPoints
from .performance import fetch_network
from .task import Task
from .training import Training


@schemas.dynamics
class FixedPointPlot(dj.Computed):
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
    def key_source(self) -> Query:
        """Networks searched at every input of their task, with a point at one of them at least."""
        wanted = Task.aggr(Task.Input.proj(), n_wanted="count(*)")
        sets = (Training.Network.proj() * FixedPointParams.proj()).aggr(
            FixedPoints.proj(), n_done="count(*)"
        )
        return (sets * wanted & "n_done = n_wanted").proj() & FixedPoints.Point.proj()

    def make(self, key: dict[str, Any]) -> None:
        """Plot the points of one network."""
        rnn, task = fetch_network(key)
        states, _ = rnn.run(task.get_batch()[0])
        sets = {
            name: (FixedPoints & key & {"input_name": name}).load()
            for name in (FixedPoints & key).to_arrays("input_name", order_by="input_name")
        }
        points = np.vstack([found.points for found in sets.values()]).T
        states = models.trials_near(states, points)
        frame = models.Projection.principal(states if states.size else points)
        flow = {name: models.saddle_connections(rnn, found) for name, found in sets.items()}
        flat, space = (
            models.plot_fixed_points(sets, projection, frame, states, flow)
            for projection in ("2D", "3D")
        )
        self.insert1(
            {
                **key,
                "figure_2d": flat,
                "figure_3d": space,
                "directions": frame.directions,
                "centre": frame.centre,
            }
        )

    def projection(self) -> models.Projection:
        """Return the frame of the one picture that this query selects, to draw others in it."""
        row = self.fetch1()
        directions = np.asarray(row["directions"])
        names = tuple(f"PC {i + 1}" for i in range(directions.shape[1]))
        return models.Projection(directions, np.asarray(row["centre"]), names)
