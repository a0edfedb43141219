"""Continuous attractors of trained networks."""

from __future__ import annotations

from typing import Any

import datajoint as dj

from models import get_line_attractor, plot_line_attractors

from . import schemas
from .performance import decision_networks, fetch_network


@schemas.dynamics
class LineAttractor(dj.Computed):
    definition = """
    # line attractors of a context-dependent decision network, one a context
    -> Training.Network
    ---
    figure : <figure@main>  # both lines in 3D, and |F| along them
    """

    class Context(dj.Part):
        definition = """
        # the line of one context
        -> master
        context           : varchar(32)  # motion or color
        ---
        length            : float64      # of the line; near 0: there is none
        states            : <npy@main>   # slow points along the line (N, P)
        speed             : <npy@main>   # |F|^2 at each (P,)
        eigenvalues       : <npy@main>   # (P, N) complex, by real part, descending
        selection_vectors : <npy@main>   # left eigenvector l at each, toward the choice axis (P, N)
        right_vectors     : <npy@main>   # right eigenvector r at each, l.r = 1 (P, N)
        """

    @property
    def key_source(self) -> Any:
        """Finished networks of context-dependent decision making."""
        return decision_networks().proj()

    def make(self, key: dict[str, Any]) -> None:
        """Find both lines of one network."""
        rnn, task = fetch_network(key)
        lines = [get_line_attractor(rnn, task, context) for context in ("motion", "color")]
        self.insert1({**key, "figure": plot_line_attractors(lines)})
        self.Context.insert(
            {
                **key,
                "context": line.context,
                "length": float(line.length),
                "states": line.points,
                "speed": line.speed,
                "eigenvalues": line.eigenvalues,
                "selection_vectors": line.left,
                "right_vectors": line.right,
            }
            for line in lines
        )
