"""The figure of a latent circuit: its weights, its fit, and its test by perturbation."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from tasks_lib import Task

from ..circuits.embedded import EmbeddedCircuit
from ..circuits.fit import CircuitFit
from ..circuits.perturbation import CONNECTION, KINDS, NODE
from ..network.rnn_numpy import RNNNumpy
from ..populations.intervention_scores import run_untouched
from .layout import fit_left, panel_grid, plan_legend
from .palette import BLUE, DIVERGING, VERMILLION, ink, pale
from .populations import say_why
from .style import plain_matplotlib, time_label, unit

PANEL = (1.7, 1.6)  # inches
MARGINS, GAPS = (0.75, 0.15, 0.42, 0.25), (1.2, 0.85)
N_TRIALS = 3
MOST_LABELS = 12


@plain_matplotlib()
def plot_latent_circuit(result: CircuitFit, rnn: RNNNumpy, task: Task, seed: int = 0) -> Figure:
    """Plot a latent circuit: weights above, below its fit and its test by perturbation.

    Above, from left to right, w_in, w_rec and w_out, on one scale that is symmetric about zero.
    Below: the two units whose rates vary most, in three trials, the network solid and the embedded
    circuit dashed; and the change of outputs by each perturbation, as the circuit predicts it and
    as the network shows it. Random directions of the same strength are grey.

    Parameters
    ----------
    result : CircuitFit
        Of `models.fit_latent_circuit`.
    rnn : RNNNumpy
        The network that it is fitted to.
    task : Task
    seed : int
        Of the trials.
    """
    handles: list[Any] = [
        Line2D([], [], color=ink(), label="network"),
        Line2D([], [], color=VERMILLION, ls="--", label="circuit, embedded"),
        Line2D([], [], color=BLUE, marker="o", ms=3, ls="", label="connection changed"),
        Line2D([], [], color=VERMILLION, marker="^", ms=4, ls="", label="node pushed"),
        Line2D([], [], color=pale(), marker="o", ms=3, ls="", label="random directions"),
    ]
    width = unit() * (MARGINS[0] + MARGINS[1] + 3 * PANEL[0] + 2 * GAPS[0])
    legend = plan_legend(handles, width, most=5)
    figure, grid = panel_grid((2, 3), PANEL, MARGINS, GAPS, foot=legend.height)
    if result.circuit is None:
        for axes in grid.flat:
            say_why(axes, result.status.replace("_", " "))
    else:
        _draw_weights(figure, grid[0], result.circuit, task)
        _draw_rates(grid[1][:2], result.circuit, rnn, task, seed)
        _draw_perturbations(grid[1][2], result)
    fit_left(figure, grid)
    legend.draw(figure)
    return figure


def _draw_weights(figure: Figure, panels: Any, circuit: EmbeddedCircuit, task: Task) -> None:
    network, nodes = circuit.network, [str(i) for i in range(circuit.n_nodes)]
    blocks = (
        ("input weights", network.W_inp, task.input_names, nodes, "", "node"),
        ("recurrent weights", network.W_rec, nodes, nodes, "from node", "to node"),
        ("output weights", network.W_out, nodes, task.output_names, "node", ""),
    )
    limit = max(float(np.abs(matrix).max()) for _, matrix, *_ in blocks) or 1.0
    for axes, (title, matrix, columns, rows, across, down) in zip(panels, blocks, strict=True):
        image = axes.imshow(
            matrix, cmap=DIVERGING, vmin=-limit, vmax=limit, aspect="auto", interpolation="nearest"
        )
        axes.set_title(title, pad=3)
        axes.set_xlabel(across)
        axes.set_ylabel(down)
        for axis, names in ((axes.xaxis, columns), (axes.yaxis, rows)):
            if len(names) > MOST_LABELS:
                axis.set_major_locator(MaxNLocator(5, integer=True))
            else:
                axis.set_ticks(range(len(names)), list(names))
        if columns is task.input_names and len(columns) <= MOST_LABELS:
            axes.tick_params(axis="x", rotation=90)
    place = panels[1].get_position()
    inch = unit() / figure.get_figwidth()
    bar = figure.add_axes((place.x1 + 0.08 * inch, place.y0, 0.07 * inch, place.height))
    figure.colorbar(image, cax=bar)


def _draw_rates(
    panels: Any, circuit: EmbeddedCircuit, rnn: RNNNumpy, task: Task, seed: int
) -> None:
    trials = run_untouched(rnn, task, N_TRIALS, 1, seed)
    rates = rnn.equation.rates(trials.states)
    _, _, fitted = circuit.run(trials.inputs)
    units = np.argsort(-rates.var(axis=(1, 2)), kind="stable")[: len(panels)]
    times = rnn.equation.dt * np.arange(rates.shape[1])
    for axes, chosen in zip(panels, units, strict=False):
        axes.plot(times, rates[chosen], color=ink())
        axes.plot(times, fitted[chosen], "--", color=VERMILLION)
        axes.set_title(f"unit {chosen}", pad=3)
        axes.set_xlabel(time_label(rnn.equation.dt))
        axes.set_ylabel("rate (a.u.)")


def _draw_perturbations(axes: Any, result: CircuitFit) -> None:
    def points(name: str, kinds: tuple[str, ...]) -> list[tuple[float, float]]:
        """Return what is predicted and another change, of all that have both."""
        pairs = [(o.predicted, getattr(o, name)) for o in result.perturbations if o.kind in kinds]
        return [(p, o) for p, o in pairs if p and o]

    every = points("observed", KINDS)
    if not every:
        say_why(axes, "not perturbed: " + result.status.replace("_", " "))
        return
    ends = [limit(limit(pair) for pair in every) for limit in (min, max)]
    axes.plot(ends, ends, color=ink(), lw=0.6)
    random = points("control", KINDS)
    if random:
        axes.plot(*zip(*random, strict=True), "o", ms=2, color=pale())
    for kind, colour, marker in ((CONNECTION, BLUE, "o"), (NODE, VERMILLION, "^")):
        own = points("observed", (kind,))
        if own:
            axes.plot(*zip(*own, strict=True), marker, ms=3, color=colour)
    axes.set_xscale("log")
    axes.set_yscale("log")
    cosine = result.tests[CONNECTION].cosine
    axes.set_title("" if cosine is None else f"connections: mean cosine {cosine:.2f}", pad=3)
    axes.set_xlabel("predicted change of outputs")
    axes.set_ylabel("observed change")
