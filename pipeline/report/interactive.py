"""Views of fixed points that turn in the browser, through plotly where it is installed."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import models
from tasks_lib.errors import ParameterError

from ..database.types import Query
from ..tables.fixed_point_plots import FixedPointPlot
from ..tables.fixed_points import FixedPointParams, FixedPoints, set_from_rows
from ..tables.keys import Key, network_key
from ..tables.network import NetworkParams
from ..tables.network_rows import load_network
from ..tables.performance import VALIDATION_SEED
from ..tables.selections import Selection
from ..tables.task import Task
from ..tables.training import Training
from .names import figure_name
from .pages import design
from .rows import CohortRows, NetworkRows, Row
from .site import fingerprint

MOST_TRIALS, MOST_STEPS = 40, 60  # that are drawn in grey
_WEIGHTS = ("w_rec", "w_inp", "w_out", "b_rec", "x_init")


@dataclass(frozen=True)
class View:
    """A view of one network's fixed points, of one search.

    Attributes
    ----------
    path : str
        Of its page, from the folder of the report.
    search : str
    made_from : str
        The fingerprint of the rows and files that it shows.
    """

    path: str
    search: str
    made_from: str


class Views:
    """What all views of a selection are made of, fetched in a fixed number of queries.

    Raises
    ------
    ParameterError
        Where plotly is not installed.
    """

    def __init__(self, selection: Selection) -> None:
        try:
            import plotly.offline
        except ImportError:
            raise ParameterError(
                "--interactive", True, "needs plotly, which is not installed",
                'install it with `pip install "rnn-pipeline[interactive]"`',
            ) from None  # fmt: skip
        self.script: bytes = plotly.offline.get_plotlyjs().encode()

        def rows(query: Query) -> list[Row]:
            return (query & selection.restriction(query)).to_dicts(order_by="KEY")

        self._points = self._by_network(rows(FixedPoints.Point()))
        self._sets = self._by_network(rows(FixedPoints()))
        self._frames = self._by_network(rows(FixedPointPlot().proj("directions", "centre")))
        self._weights = self._by_network(rows(Training.Network().proj(*_WEIGHTS)))
        self._searches = {r["search_name"]: r for r in rows(FixedPointParams())}
        self._inputs: dict[tuple[str, str], Any] = {
            (r["task_name"], r["input_name"]): r["input_vector"] for r in rows(Task.Input())
        }

    @staticmethod
    def _by_network(rows: list[Row]) -> dict[Key, list[Row]]:
        found: dict[Key, list[Row]] = defaultdict(list)
        for row in rows:
            found[network_key(row)].append(row)
        return found

    def of(self, network: NetworkRows) -> list[View]:
        """Return the views of a network: one of each search that has a picture."""
        key = network_key(network.row)
        made = []
        for frame in self._frames.get(key, []):
            search = frame["search_name"]
            shown = [r for r in self._points[key] if r["search_name"] == search]
            files = [r[name].stored for r in shown for name in ("state", "eigenvalues")]
            files += [frame[name].stored for name in ("directions", "centre")]
            files += [row[name].stored for row in self._weights.get(key, []) for name in _WEIGHTS]
            made.append(
                View(
                    path=f"views/{figure_name(network.row, search, ending='.html')}",
                    search=search,
                    made_from=fingerprint(design(), files),
                )
            )
        return made

    def figure(self, cohort: CohortRows, network: NetworkRows, view: View) -> str:
        """Return a view as JSON of plotly.

        Raises
        ------
        OSError, MissingExternalFile, DamagedFile
            Where the store does not have the points as they were stored.
        """
        key, task_name = network_key(network.row), network.row["task_name"]
        sets = {}
        for row in self._sets[key]:
            if row["search_name"] == view.search:
                name = row["input_name"]
                points = [
                    p
                    for p in self._points[key]
                    if (p["search_name"], p["input_name"]) == (view.search, name)
                ]
                vector = np.asarray(self._inputs[task_name, name])
                search = self._searches[view.search]
                sets[name] = set_from_rows(row, points, search, cohort.network, vector)
        frame = next(r for r in self._frames[key] if r["search_name"] == view.search)
        directions = np.asarray(frame["directions"])
        names = tuple(f"PC {i + 1}" for i in range(directions.shape[1]))
        projection = models.Projection(directions, np.asarray(frame["centre"]), names)
        figure = models.view_fixed_points(sets, projection, self._trials(cohort, key))
        for trace in figure.data:
            trace.x, trace.y, trace.z = (np.float32(trace[axis]) for axis in "xyz")
        # Within the drawing: beside it, it would be cut off on a narrow screen.
        legend = {"x": 0, "y": 1, "bgcolor": "rgba(255,255,255,0.7)", "itemsizing": "constant"}
        figure.update_layout(template="none", legend=legend)
        return str(figure.to_json())

    def _trials(self, cohort: CohortRows, key: Key) -> NDArray[np.float64] | None:
        """Return states of trials (N, T, B); None where the task's code may not be imported."""
        weights = self._weights.get(key)
        if not weights:
            return None
        rnn = load_network(weights[0], NetworkParams.build(cohort.network))
        try:
            task = Task.build(cohort.task, seed=VALIDATION_SEED)
        except ParameterError:
            return None
        inputs = task.get_batch()[0]
        chosen = np.linspace(0, inputs.shape[2] - 1, min(MOST_TRIALS, inputs.shape[2])).astype(int)
        states = rnn.run(inputs[:, :, chosen])[0]
        step = -(-states.shape[1] // MOST_STEPS)
        return np.asarray(states[:, ::step])
