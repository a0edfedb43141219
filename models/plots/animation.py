"""A short animation of trajectories, as a GIF."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.animation import FuncAnimation, PillowWriter
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike

from tasks_lib.errors import ParameterError, check_int

from .activity import frame_of, group_legend, grouped_activity, label_axes, step_of
from .layout import fit_left, panel_grid
from .projection import Projection
from .style import plain_matplotlib, time_label, unit

if TYPE_CHECKING:
    import xarray

TAIL = 0.15  # of a trial that is drawn thick behind its head


@plain_matplotlib()
def animate_trajectories(
    trials: xarray.Dataset,
    path: str | Path,
    by: str | None = None,
    P: ArrayLike | Projection | None = None,
    of: str = "states",
    n_frames: int = 60,
    frames_per_second: int = 15,
) -> Path:
    """Write the mean trajectories of the conditions, moving through a trial, to a GIF.

    Parameters
    ----------
    trials : Dataset
        Of `models.get_trials`.
    path : str or Path
        A file that ends with ``.gif``.
    by, P, of
        As in `plot_trajectories`.
    n_frames, frames_per_second : int
    """
    check_int("n_frames", n_frames, 2, 1000)
    check_int("frames_per_second", frames_per_second, 1, 60)
    target = Path(path)
    if target.suffix != ".gif":
        raise ParameterError("path", str(target), "does not end with .gif", "add .gif")
    groups, activity = grouped_activity(trials, by, of)
    means = [activity[group.trials].mean(axis=0) for group in groups]
    frame, labels = frame_of([mean[None] for mean in means], P, 2)
    paths = [frame(mean) for mean in means]
    n_steps = paths[0].shape[1]
    time = trials["time"].values
    legend = group_legend(groups, unit() * 3.5, "mean of")
    figure, grid = panel_grid((1, 1), (2.9, 2.6), (0.5, 0.1, 0.4, 0.25), foot=legend.height)
    FigureCanvasAgg(figure)
    axes = grid[0, 0]
    for path_, group in zip(paths, groups, strict=True):
        axes.plot(*path_, color=group.colour, lw=0.6, alpha=0.35)
    lines = [
        (
            axes.plot([], [], color=g.colour, lw=1.8)[0],
            axes.plot([], [], "o", color=g.colour, ms=5)[0],
        )
        for g in groups
    ]
    label_axes(axes, labels)
    fit_left(figure, grid)
    legend.draw(figure)

    def draw(step: int) -> list[Line2D]:
        for (tail, head), path_ in zip(lines, paths, strict=True):
            tail.set_data(*path_[:, max(0, step - int(TAIL * n_steps)) : step + 1])
            head.set_data(*path_[:, step : step + 1])
        axes.set_title(f"{time_label(step_of(time))}: {time[step]:.4g}")
        return [line for pair in lines for line in pair]

    steps = np.linspace(0, n_steps - 1, min(n_frames, n_steps)).round().astype(int).tolist()
    moving = FuncAnimation(figure, draw, frames=steps, repeat=True)
    moving.save(target, writer=PillowWriter(fps=frames_per_second), dpi=120)
    return target
