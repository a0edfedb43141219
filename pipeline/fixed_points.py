"""Fixed points of trained networks, and their linearisation."""

from __future__ import annotations

from typing import Any

import datajoint as dj
import numpy as np

from models import DynamicSystemAnalyzer, FixedPointSet, plot_fixed_points
from models.point_analytics import PointAnalytics, iterate_analytics

from . import schemas
from .network import NetworkParams
from .performance import VALIDATION_SEED, fetch_network, finished_networks
from .task import Task
from .training import Training, load_network


@schemas.dynamics
class FixedPointParams(dj.Lookup):
    definition = """
    # how fixed points are searched
    search_name : varchar(64)             # readable name
    ---
    mode        : enum('exact', 'approx')  # roots of F, or local minima of |F|^2 / 2
    n_starts    : int32                   # starts from the network's own trajectories
    fun_tol     : float64                 # exact: largest |F|; approx: largest |F|^2 / 2
    diff_cutoff : float64                 # points closer than this are one
    eig_cutoff  : float64                 # largest real part within +- this: marginal
    """

    contents = (
        {
            "search_name": "exact",
            "mode": "exact",
            "n_starts": 200,
            "fun_tol": 1e-10,
            "diff_cutoff": 1e-4,
            "eig_cutoff": 1e-6,
        },
    )


@schemas.dynamics
class FixedPoints(dj.Computed):
    definition = """
    # fixed points of a network at a constant input
    -> Training.Network
    -> Task.Input
    -> FixedPointParams
    ---
    status        : varchar(32)  # complete, incomplete or none_found
    message       : varchar(1000) # what the search says about completeness, in words
    n_points      : int32        # points found
    n_stable      : int32        # largest real part below -eig_cutoff
    n_marginal    : int32        # largest real part within +- eig_cutoff
    n_unstable    : int32        # largest real part above eig_cutoff
    coverage=null : float64      # Good-Turing: 1 - points found once / hits
    index_sum=null      : int32  # sum of (-1)^(unstable modes); null: degenerate or slow points
    index_expected=null : int32  # of a complete set; null: not known for this network
    n_starts_used : int32        # starts of the search, all rounds
    n_converged   : int32        # starts that ended in a point
    seconds       : float64      # wall time of the search (s)
    """

    class Point(dj.Part):
        definition = """
        # one fixed point
        -> master
        point           : int32       # number within the set
        ---
        state            : <npy@main>  # (N,)
        residual         : float64     # |F|
        hits             : int32       # starts that ended here
        n_unstable_modes : int32       # eigenvalues with positive real part
        stability        : enum('stable', 'unstable', 'marginal')
        degenerate       : bool        # some eigenvalue is zero: need not be isolated
        max_eigenvalue   : float64     # largest real part, per tau
        time_constant=null : float64   # 1 / smallest |real part|, in tau; null: infinite
        eigenvalues      : <npy@main>  # (N,) complex, by real part, descending, per tau
        direction        : <npy@main>  # real part of the first eigenvector (N,), unit length
        existence_radius=null  : float64  # certificate: a true root lies within; null: none
        uniqueness_radius=null : float64  # and no other within this radius
        """

    @property
    def key_source(self) -> Any:
        """Finished networks, at each input of their task, with every search."""
        return finished_networks().proj() * Task.Input.proj() * FixedPointParams.proj()

    def make_fetch(self, key: dict[str, Any]) -> tuple[Any, ...]:
        """Fetch parameters and references to the weights, not the weights."""
        return (
            (Training.Network & key).fetch1(),
            (NetworkParams & key).fetch1(),
            (Task & key).fetch1(),
            (Task.Input & key).fetch1("input_vector").tolist(),
            (FixedPointParams & key).fetch1(),
        )

    def make_compute(
        self,
        key: dict[str, Any],
        network_row: dict[str, Any],
        params_row: dict[str, Any],
        task_row: dict[str, Any],
        input_vector: list[float],
        search: dict[str, Any],
    ) -> tuple[Any, ...]:
        """Search."""
        rnn = load_network(network_row, NetworkParams.build(params_row))
        task = Task.build(task_row, seed=VALIDATION_SEED)
        analyzer = DynamicSystemAnalyzer(rnn, task, seed=int(key["seed"]))
        names = ("n_starts", "fun_tol", "diff_cutoff", "eig_cutoff")
        found = analyzer.get_fixed_points(
            np.asarray(input_vector),
            mode=search["mode"],
            name=key["input_name"],
            **{name: search[name] for name in names},
        )
        return (found,)

    def make_insert(self, key: dict[str, Any], found: Any) -> None:
        """Insert the set and its points."""
        kinds = list(found.stability)
        time_constants = found.time_constants
        self.insert1(
            {
                **key,
                "status": found.status,
                "message": found.message,
                "n_points": len(kinds),
                **{f"n_{kind}": kinds.count(kind) for kind in ("stable", "marginal", "unstable")},
                "coverage": float(found.coverage) if np.isfinite(found.coverage) else None,
                "index_sum": found.index_sum,
                "index_expected": found.index_expected,
                "n_starts_used": int(found.n_starts),
                "n_converged": int(found.n_converged),
                "seconds": float(found.seconds),
            }
        )
        self.Point.insert(
            {
                **key,
                "point": i,
                "state": found.points[i],
                "residual": float(found.residual[i]),
                "hits": int(found.hits[i]),
                "n_unstable_modes": int(found.n_unstable[i]),
                "stability": str(kinds[i]),
                "degenerate": bool(found.degenerate[i]),
                "max_eigenvalue": float(found.eigenvalues[i].real.max()),
                "time_constant": _finite(time_constants[i]),
                "eigenvalues": found.eigenvalues[i],
                "direction": found.directions[i],
                "existence_radius": _finite(found.existence_radius[i]),
                "uniqueness_radius": _finite(found.uniqueness_radius[i]),
            }
            for i in range(len(kinds))
        )

    def load(self) -> FixedPointSet:
        """Return the one set that this query selects, as the search returned it."""
        row = self.fetch1()
        key = {name: row[name] for name in self.primary_key}
        points = (FixedPoints.Point & key).to_dicts(order_by="point")
        search = (FixedPointParams & key).fetch1()

        def column(name: str, dtype: Any = np.float64) -> np.ndarray:
            return np.array([np.nan if p[name] is None else p[name] for p in points], dtype=dtype)

        def rows(name: str, dtype: Any = np.float64) -> np.ndarray:
            arrays = [np.asarray(p[name]) for p in points]
            return np.stack(arrays) if arrays else np.empty((0, 0), dtype=dtype)

        return FixedPointSet(
            points=rows("state"),
            residual=column("residual"),
            hits=column("hits", np.int64),
            eigenvalues=rows("eigenvalues", np.complex128),
            directions=rows("direction"),
            n_unstable=column("n_unstable_modes", np.int64),
            stability=column("stability", np.str_),
            degenerate=column("degenerate", np.bool_),
            existence_radius=column("existence_radius"),
            uniqueness_radius=column("uniqueness_radius"),
            coverage=np.nan if row["coverage"] is None else row["coverage"],
            index_sum=row["index_sum"],
            index_expected=row["index_expected"],
            n_starts=row["n_starts_used"],
            n_converged=row["n_converged"],
            seconds=row["seconds"],
            status=row["status"],
            input=np.asarray((Task.Input & key).fetch1("input_vector")),
            **{name: search[name] for name in ("mode", "fun_tol", "diff_cutoff", "eig_cutoff")},
        )


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


@schemas.dynamics
class Linearization(dj.Computed):
    definition = """
    # linearisation at every point of a set
    -> FixedPoints
    ---
    n_points : int32  # points linearised
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

    def make(self, key: dict[str, Any]) -> None:
        """Linearise the points of one set, a few at a time: eigenvectors take memory."""
        found = (FixedPoints & key).load()
        self.insert1({**key, "n_points": len(found)})
        if not len(found):
            return
        rnn, _ = fetch_network(key)
        point = 0
        for piece in iterate_analytics(rnn, found.points, found.input):
            rows = [self._row(piece, i) for i in range(len(piece.jacobian))]
            self.Point.insert({**key, "point": point + i, **row} for i, row in enumerate(rows))
            point += len(rows)

    @staticmethod
    def _row(piece: PointAnalytics, i: int) -> dict[str, Any]:
        leading = piece.eigenvalues[i, 0]
        condition = piece.condition[i]
        arrays = ("jacobian", "right_vectors", "left_vectors", "condition")
        arrays += ("input_participation", "output_participation")
        return {
            "speed": float(piece.fun_val[i]),
            "henrici": _finite(piece.henrici[i]),
            "leading_real": float(leading.real),
            "leading_imag": float(leading.imag),
            "leading_frequency": float(leading.imag / (2 * np.pi)),
            "leading_condition": _finite(condition[0]),
            "max_condition": _finite(condition.max()),
            "defective": bool(piece.defective[i]),
            "modes": piece.eigenvalues[i],
            "right_vector": piece.right[i],
            "left_vector": piece.left[i],
            **{name: getattr(piece, name)[i] for name in arrays},
        }


@schemas.dynamics
class FixedPointPlot(dj.Computed):
    definition = """
    # picture of a network's fixed points at all inputs of its task, on principal components
    -> Training.Network
    -> FixedPointParams
    ---
    figure : <figure@main>
    """

    @property
    def key_source(self) -> Any:
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
        figure = plot_fixed_points(sets, projection="2D", trajectories=states)
        self.insert1({**key, "figure": figure})
