"""Pages of recordings: what recorded units do, and how far the networks of their task are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import models

from ..store.stored_figures import to_png
from ..tables.recording_distances import comparison_from_row
from ..tables.recordings import SETTINGS, Recording
from .analyses.queries import DEFAULT
from .analyses.recordings import RECORDED_POPULATION, RECORDING_DISTANCES
from .drawn import DrawnFigure, figures_of
from .names import page_of
from .pictures import CURVES_DPI
from .recording_rows import RecordingRows
from .rows import CohortRows, NetworkRows, Row
from .site import fingerprint

READ = {
    "recording_file": "file", "recording_session": "session", "recording_sha256": "SHA-256",
    "recording_code": "read by version", "recording_trials": "trials",
    "trials_left_out": "trials left out", "recording_units": "units",
    "units_in_file": "units of the file", "recording_end": "end of the window (s)",
}  # fmt: skip
(DISTANCES,) = RECORDING_DISTANCES.grids
CAPTION = "Mean rates of the units, one unit by condition, and networks by their distance"


class RecordingPages:
    """The recordings that have pages, and the networks of the report that stand beside them.

    Parameters
    ----------
    recordings : iterable of RecordingRows
    cohorts : iterable of CohortRows
        Recordings of tasks of which there is none are left out.
    """

    def __init__(self, recordings: Iterable[RecordingRows], cohorts: Iterable[CohortRows]) -> None:
        of_tasks: dict[str, list[NetworkRows]] = {}
        for cohort in cohorts:
            of_tasks.setdefault(cohort.row["task_name"], []).extend(cohort.networks)
        self._recordings = [r for r in recordings if r.row["task_name"] in of_tasks]
        self._networks = of_tasks

    def __iter__(self) -> Iterator[RecordingRows]:
        """Yield the recordings."""
        return iter(self._recordings)

    def of(self, network: NetworkRows) -> list[Row]:
        """Return the recordings of a network's task: name and page."""
        task = network.row["task_name"]
        return [
            {"name": r.row["recording_name"], "page": r.page}
            for r in self
            if r.row["task_name"] == task
        ]

    def distances(self, recording: RecordingRows) -> list[tuple[NetworkRows, Row]]:
        """Return networks with their rows of `RecordingDistance`, the nearest first."""
        name = recording.row["recording_name"]
        found = [
            (network, row)
            for network in self._networks[recording.row["task_name"]]
            for row in network.tables.get(DISTANCES.title, ())
            if row["recording_name"] == name
        ]
        return sorted(found, key=lambda pair: _nearness(pair[1]))

    def listed(self) -> list[Row]:
        """Return the lines of the index."""
        lines = []
        for recording in self:
            row, near = recording.row, self.distances(recording)
            nearest = near[0] if near and near[0][1]["recording_procrustes"] is not None else None
            lines.append(
                {
                    "name": row["recording_name"],
                    "page": recording.page,
                    "task": row["task_name"],
                    "n_units": row["recording_units"],
                    "n_trials": row["recording_trials"],
                    "nearest": None if nearest is None else _name(nearest[0]),
                    "nearest_page": "" if nearest is None else page_of(nearest[0].row),
                    "distance": None if nearest is None else nearest[1]["recording_procrustes"],
                }
            )
        return lines


def _nearness(row: Row) -> tuple[bool, str, bool, float]:
    distance = row["recording_procrustes"]
    settings = row["distance_name"]
    return settings != DEFAULT, settings, distance is None, distance or 0.0


def _name(network: NetworkRows) -> str:
    row = network.row
    return f"{row['network_name']}/{row['training_name']} seed {row['seed']}"


def _labels(networks: Sequence[NetworkRows]) -> list[str]:
    """Return short names that tell networks of one task apart, for a figure."""
    parts = ("network_name", "training_name", "seed")
    differ = [part for part in parts if len({n.row[part] for n in networks}) > 1]
    named = differ or ["network_name"]
    return [
        " ".join(f"seed {n.row[p]}" if p == "seed" else str(n.row[p]) for p in named)
        for n in networks
    ]


def recording_context(
    recording: RecordingRows,
    distances: Sequence[tuple[NetworkRows, Row]],
    pictures: Sequence[Row],
    figures: Sequence[Row],
) -> dict[str, Any]:
    """Return what the page of a recording shows.

    Parameters
    ----------
    recording : RecordingRows
    distances : sequence of (NetworkRows, dict)
        Of networks that have pages.
    pictures : sequence of dict
        ``path``, ``caption``, ``width`` and ``problem`` of the figure of its units.
    figures : sequence of dict
        The same of its population.
    """
    row = recording.row
    page = RECORDED_POPULATION.page(recording.tables)
    columns = [c for c in DISTANCES.columns if c != "recording_name"]
    cells = [DISTANCES.cells(found, columns) for _, found in distances]
    shown = [i for i in range(len(columns)) if any(each[i] is not None for each in cells)]
    return {
        "root": "../",
        "title": f"Recording {row['recording_name']}",
        "task": row["task_name"],
        "n_units": row["recording_units"],
        "n_trials": row["recording_trials"],
        "read": [(title, row[name]) for name, title in READ.items() if row[name] != ""],
        "settings": [
            (name.replace("_", " "), row[column])
            for name, column in SETTINGS.items()
            if row.get(column) not in (None, "", {})
        ],
        "pictures": list(pictures),
        "population": page and {**page, "pictures": list(figures)},
        "is_due": recording.is_due,
        "failed": recording.failed,
        "headings": [DISTANCES.columns[columns[i]] for i in shown],
        "keys": [columns[i] for i in shown],
        "networks": [
            {"key": network.row, "page": page_of(network.row), "cells": [each[i] for i in shown]}
            for (network, _), each in zip(distances, cells, strict=True)
        ],
    }


def drawn_of_recording(recording: RecordingRows) -> list[DrawnFigure]:
    """Return the figures of the analyses of a recording."""
    return figures_of([RECORDED_POPULATION], recording.tables, recording.key, recording.file)


def units_made_from(recording: RecordingRows, distances: Sequence[tuple[NetworkRows, Row]]) -> str:
    """Return the fingerprint of what the figure of a recording's units shows."""
    row = {n: v for n, v in recording.row.items() if n != "recorded_rates"}
    return fingerprint(row, [(_name(network), found) for network, found in distances])


def draw_units(recording: RecordingRows, distances: Sequence[tuple[NetworkRows, Row]]) -> bytes:
    """Return the figure of a recording's units, beside the networks of the report, as a PNG file.

    Raises
    ------
    OSError, MissingExternalFile, DamagedFile
        Where the store does not have the rates as they were stored, and where the rows are gone.
    """
    if not Recording & recording.key:
        raise FileNotFoundError(f"{recording.figure}: its rows were deleted while it was drawn")
    known = [(n, row) for n, row in distances if row["recording_procrustes"] is not None]
    chosen = [(n, row) for n, row in known if row["distance_name"] == known[0][1]["distance_name"]]
    labels = _labels([network for network, _ in chosen])
    compared = {
        label: comparison_from_row(row) for label, (_, row) in zip(labels, chosen, strict=True)
    }
    trials = (Recording & recording.key).trials()
    return to_png(models.plot_recording(trials, compared or None), CURVES_DPI)
