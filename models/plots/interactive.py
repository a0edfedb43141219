"""Interactive 3D plots of fixed points, through plotly where it is installed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..fixed_points.point_set import FixedPointSet
from .projection import Projection
from .scene import Scene, describe, make_scene

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

# plotly's 3D axes know circles, squares, diamonds, crosses and x only, some open
SYMBOLS = {
    "o": "circle",
    "s": "square",
    "X": "circle-open",  # its x is a glyph that machines without pictograms lack
    "P": "square-open",
    "^": "diamond-open",
    "*": "cross",
    "v": "diamond",
}
N_EIGENVALUES = 4  # of each point, in its hover text


def view_fixed_points(
    sets: Mapping[str, FixedPointSet] | Sequence[FixedPointSet],
    P: ArrayLike | Projection | None = None,
    trajectories: ArrayLike | None = None,
    connections: Mapping[str, ArrayLike] | None = None,
) -> Figure:
    """Return a 3D view of fixed points to turn, zoom and point at in a notebook.

    What stands at a point when the cursor is over it: input, number within its set, stability,
    residual, slowest time constant and first eigenvalues. Colours are those of
    `models.plot_fixed_points`; entries of the legend are switched by a click.

    Parameters
    ----------
    sets : mapping of str to FixedPointSet, or sequence of FixedPointSet
        The sets, by name of their input.
    P : Projection or array (N, 3), optional
        The frame; principal components by default, as in `models.plot_fixed_points`.
    trajectories : array (N, T, B) or (N, T), optional
        States drawn underneath in grey, 40 of them at most.
    connections : mapping of str to array (N, T, B), optional
        Lines drawn in the colour of an input: `models.saddle_connections`, say.

    Returns
    -------
    plotly.graph_objects.Figure

    Raises
    ------
    ImportError
        Where plotly is not installed.
    """
    try:
        from plotly import graph_objects
    except ImportError as error:
        raise ImportError(
            "plotly is not installed: the interactive view needs it; install it with "
            '`pip install "rnn-pipeline[interactive]"`, or use plot_fixed_points(..., "3D")'
        ) from error
    scene = make_scene(sets, 3, P, trajectories, connections)
    figure = graph_objects.Figure()
    if scene.trajectories is not None:
        figure.add_trace(
            _lines(graph_objects, scene.frame(scene.trajectories), "trials", "#cccccc")
        )
    for name, found in scene.sets.items():
        colour = scene.colours[name]
        if name in scene.connections:
            joined = scene.frame(scene.connections[name])
            figure.add_trace(_lines(graph_objects, joined, f"input {name}: flow", colour))
        figure.add_trace(_points(graph_objects, scene, name, found, colour))
    titles = scene.frame.labels(scene.states, short=True)
    figure.update_layout(
        scene={
            "xaxis_title": titles[0],
            "yaxis_title": titles[1],
            "zaxis_title": titles[2],
            "aspectmode": "data",
        },
        margin={"l": 0, "r": 0, "t": 0, "b": 0},
        legend={"itemsizing": "constant"},
    )
    return figure


def _lines(graph_objects: Any, lines: NDArray[np.float64], name: str, colour: str) -> Any:
    """Return one trace of many lines (3, T, B): a gap of NaN ends each."""
    gap = np.full((3, 1, lines.shape[2]), np.nan)
    x, y, z = np.concatenate([lines, gap], axis=1).transpose(0, 2, 1).reshape(3, -1)
    style = {"color": colour, "width": 2}
    return graph_objects.Scatter3d(
        x=x, y=y, z=z, mode="lines", line=style, opacity=0.6, name=name, hoverinfo="skip"
    )


def _points(graph_objects: Any, scene: Scene, name: str, found: FixedPointSet, colour: str) -> Any:
    x, y, z = scene.frame(found.points.T)
    kinds = [describe(found, i) for i in range(len(found))]
    return graph_objects.Scatter3d(
        x=x,
        y=y,
        z=z,
        mode="markers",
        name=f"input {name}",
        marker={"color": colour, "size": 5, "symbol": [SYMBOLS[marker] for marker, _ in kinds]},
        text=[_hover(found, i, name, text) for i, (_, text) in enumerate(kinds)],
        hoverinfo="text",
    )


def _hover(found: FixedPointSet, i: int, name: str, kind: str) -> str:
    values = found.eigenvalues[i, :N_EIGENVALUES]
    shown = ", ".join(f"{v.real:.3g}" + (f"{v.imag:+.3g}i" if v.imag else "") for v in values)
    more = ", …" if found.eigenvalues.shape[1] > N_EIGENVALUES else ""
    return "<br>".join(
        [
            f"input {name}, point {i}: {kind}" + (", degenerate" if found.degenerate[i] else ""),
            f"|F| = {found.residual[i]:.1e} per τ",
            f"slowest time constant {found.time_constants[i]:.3g} τ",
            f"eigenvalues (per τ): {shown}{more}",
        ]
    )
