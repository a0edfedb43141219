"""Line attractors of context-dependent decision networks, and what they select."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import datajoint as dj
import numpy as np
from numpy.typing import NDArray

import models

from ..database import schemas
from ..database.types import Query
from .figures import FigureTable, described
from .fixed_points import finite_or_null
from .left_out import Analysis
from .network import NetworkParams
from .performance import decision_classes, decision_networks, fetch_network, trials_to_draw
from .training import Training  # noqa: F401  (the definition names it)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@schemas.dynamics
class LineAttractor(FigureTable, Analysis):
    definition = """
    # line attractors of a context-dependent decision network, one a context
    -> Training.Network
    ---
    line_figure : <figure@main>  # both lines in 3D, |F| along them, and what they select
    """

    class Context(dj.Part):
        definition = """
        # the line of one context; angles in degrees, null where they are not defined
        -> master
        line_context          : varchar(32) # motion or color
        ---
        length                : float64     # of the chord between its ends; near 0: there is none
        arc_length=null       : float64     # along it; null, as the two below: of 0.1.0
        line_followed=null    : bool        # the flow keeps it; 0: slowest states of a chord
        line_drift=null       : <npy@main>  # F along it at each state, above 0 toward + (P,)
        max_drift             : float64     # largest |F| along it, per tau: 0 for a perfect line
        n_fixed_points        : int32       # fixed points on it; as many as states: a continuum
        n_stable_fixed_points : int32       # those of them that are stable
        line_leading_real     : float64     # median real part of the first eigenvalue, per tau
        second_real           : float64     # and of the second: well below 0 where there is a line
        line_time_constant=null : float64     # median 1 / |real part of first|, tau; null: infinite
        relevant_angle=null   : float64     # median angle of l to the relevant stimulus: below 90
        irrelevant_angle=null : float64     # and to the one that does not: 90 where it is ignored
        relevant_gain=null    : float64     # median l . b of the relevant stimulus, per tau
        irrelevant_gain=null  : float64     # and of the one that does not: 0 where it is ignored
        choice_angle=null     : float64     # median angle of r to the choice axis, 0 to 90
        other_line_angle=null : float64     # median angle of r to the other context's chord
        states                : <npy@main>  # slow points along the line (N, P)
        line_speed            : <npy@main>  # |F|^2 at each (P,)
        line_eigenvalues      : <npy@main>  # (P, N) complex, by real part, descending
        selection_vectors     : <npy@main>  # left eigenvector l at each (P, N), l.r = 1
        line_right_vectors    : <npy@main>  # right one r (P, N), toward the choice axis
        line_direction        : <npy@main>  # unit vector along the chord (N,)
        fixed_points          : <npy@main>  # (N, n_fixed_points)
        input_angles          : <npy@main>  # of l to each dF/du_i (P, n_inputs)
        stimulus_angles       : <npy@main>  # of l to b of motion and of color (P, 2)
        stimulus_gains        : <npy@main>  # l . b of motion and of color (P, 2)
        choice_angles         : <npy@main>  # of r to the choice axis (P,)
        other_line_angles     : <npy@main>  # of r to the other context's chord (P,)
        """

    @staticmethod
    def is_for_task(task: Mapping[str, Any]) -> bool:
        """Return whether networks of a task, by its row, are analysed."""
        return task["task_class"] in decision_classes()

    @property
    def all_keys(self) -> Query:
        """Finished networks of context-dependent decision making; one unit has no line."""
        return decision_networks().proj() & (NetworkParams & "n_units > 1").proj()

    def draw(self, key: dict[str, Any]) -> dict[str, Figure]:
        """Find both lines of one network again, and draw them."""
        return self._find(key)[0]

    def _find(
        self, key: dict[str, Any]
    ) -> tuple[dict[str, Figure], list[models.ContextLineAttractor]]:
        rnn, task = fetch_network(key)
        lines = [models.get_line_attractor(rnn, task, c) for c in ("motion", "color")]
        trials = trials_to_draw(rnn, task)
        return {"line_figure": models.plot_line_attractors(lines, trials)}, lines

    def make(self, key: dict[str, Any]) -> None:
        """Find both lines of one network."""
        drawn, (motion, color) = self._find(key)
        self.insert1({**key, **described(type(self), key, drawn)})
        self.Context.insert(
            {**key, **_context_row(line, other)}
            for line, other in ((motion, color), (color, motion))
        )


def _context_row(
    line: models.ContextLineAttractor, other: models.ContextLineAttractor
) -> dict[str, Any]:
    own = line.relevant
    angles, gains = line.stimulus_angles, line.stimulus_gains
    to_other = line.angles_to(other)
    return {
        "line_context": line.context,
        "length": float(line.length),
        "arc_length": float(line.arc_length),
        "line_followed": bool(line.followed),
        "line_drift": line.drift,
        "max_drift": float(np.sqrt(line.speed.max())),
        "n_fixed_points": line.fixed_points.shape[1],
        "n_stable_fixed_points": int(line.fixed_point_stable.sum()),
        "line_leading_real": float(np.median(line.eigenvalues[:, 0].real)),
        "second_real": float(np.median(line.eigenvalues[:, 1].real)),
        "line_time_constant": _median(line.time_constants),
        "relevant_angle": _median(angles[:, own]),
        "irrelevant_angle": _median(angles[:, 1 - own]),
        "relevant_gain": _median(gains[:, own]),
        "irrelevant_gain": _median(gains[:, 1 - own]),
        "choice_angle": _median(line.choice_angles),
        "other_line_angle": _median(to_other),
        "states": line.points,
        "line_speed": line.speed,
        "line_eigenvalues": line.eigenvalues,
        "selection_vectors": line.left,
        "line_right_vectors": line.right,
        "line_direction": line.direction,
        "fixed_points": line.fixed_points,
        "input_angles": line.input_angles,
        "stimulus_angles": angles,
        "stimulus_gains": gains,
        "choice_angles": line.choice_angles,
        "other_line_angles": to_other,
    }


def _median(values: NDArray[np.float64]) -> float | None:
    """Return the median of what is a number, None where nothing is or where it is infinite."""
    known = values[~np.isnan(values)]
    return finite_or_null(np.median(known) if known.size else np.nan)
