"""Linearisation at the fixed points of trained networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import datajoint as dj
import numpy as np

from ..database import schemas
from ..database.types import Query
from .fixed_points import FixedPoints, finite_or_null
from .left_out import Analysis
from .performance import fetch_network

if TYPE_CHECKING:
    from models.dynamics.point_analytics import PointAnalytics


@schemas.dynamics
class Linearization(Analysis):
    needs = (FixedPoints,)

    definition = """
    # linearisation at every point of a set
    -> FixedPoints
    ---
    n_linearized : int32  # points linearised
    """

    class Point(dj.Part):
        definition = """
        # linearisation at one fixed point, in units of 1 / tau; modes by real part, descending
        -> master
        -> FixedPoints.Point
        ---
        speed                : float64     # |F|^2
        henrici=null         : float64     # departure from normality: 0 normal; null: undefined
        leading_real         : float64     # real part of the first eigenvalue, per tau
        leading_imag         : float64     # its imaginary part, 0 or above: radians per tau
        leading_frequency    : float64     # leading_imag / 2 pi: cycles per tau
        leading_condition=null : float64   # |l||r| of the first mode, 1 normal; null: no such l
        max_condition=null   : float64     # the largest of all modes; null: some mode has no l
        defective            : bool        # eigenvectors are no basis in float64: see condition
        index_proven         : bool        # proof that n_unstable_modes is that of the true point
        jacobian             : <npy@main>  # dF/dx (N, N)
        modes                : <npy@main>  # eigenvalues (N,) complex
        right_vectors        : <npy@main>  # (N, N) complex, one a column, of unit length
        left_vectors         : <npy@main>  # (N, N) complex, one a row, l_k . r_k = 1; NaN: none
        right_vector         : <npy@main>  # r of the first mode (N,) complex
        left_vector          : <npy@main>  # l of the first mode (N,) complex
        condition            : <npy@main>  # |l_k||r_k| of each mode (N,)
        input_participation  : <npy@main>  # |l_k . dF/du_i| (N, n_inputs)
        output_participation : <npy@main>  # |dy_o/dx . r_k| (N, n_outputs)
        """

    @property
    def all_keys(self) -> Query:
        """Sets of fixed points."""
        return FixedPoints.proj()

    def make(self, key: dict[str, Any]) -> None:
        """Linearise the points of one set, a few at a time: eigenvectors take memory."""
        from models.dynamics.point_analytics import iterate_analytics
        from models.fixed_points import certify_index

        found = (FixedPoints & key).load()
        self.insert1({**key, "n_linearized": len(found)})
        if not len(found):
            return
        rnn, _ = fetch_network(key)
        n_unstable, proven = certify_index(rnn, found.input, found.points, found.existence_radius)
        proven &= n_unstable == found.n_unstable
        point = 0
        for piece in iterate_analytics(rnn, found.points, found.input):
            rows = [self._row(piece, i) for i in range(len(piece.jacobian))]
            self.Point.insert(
                {**key, "point": point + i, "index_proven": bool(proven[point + i]), **row}
                for i, row in enumerate(rows)
            )
            point += len(rows)

    @staticmethod
    def _row(piece: PointAnalytics, i: int) -> dict[str, Any]:
        leading = piece.eigenvalues[i, 0]
        condition = piece.condition[i]
        arrays = ["jacobian", "right_vectors", "left_vectors", "condition"]
        arrays += ["input_participation", "output_participation"]
        return {
            "speed": float(np.asarray(piece.fun_val)[i]),
            "henrici": finite_or_null(np.asarray(piece.henrici)[i]),
            "leading_real": float(leading.real),
            "leading_imag": float(leading.imag),
            "leading_frequency": float(leading.imag / (2 * np.pi)),
            "leading_condition": finite_or_null(condition[0]),
            "max_condition": finite_or_null(condition.max()),
            "defective": bool(np.asarray(piece.defective)[i]),
            "modes": piece.eigenvalues[i],
            "right_vector": piece.right[i],
            "left_vector": piece.left[i],
            **{name: getattr(piece, name)[i] for name in arrays},
        }
