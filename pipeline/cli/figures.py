"""Writing the figures of networks as files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import datajoint as dj

from models.machine.atomic_file import write_atomically

from ..database.types import Query, Restriction
from ..store.codecs import to_png
from ..store.file_names import file_name
from ..tables.continuous_attractors import ContinuousAttractorPlot
from ..tables.fixed_point_plots import FixedPointPlot
from ..tables.line_attractors import LineAttractor
from ..tables.performance import Psychometric, TrialPlot
from ..tables.training import Cohort, Training

# Of each table the kind of its figures in names of files, and its columns that hold them.
KINDS: dict[type[dj.Computed], tuple[str, dict[str, tuple[str, ...]]]] = {
    TrialPlot: ("trials", {"figure": ()}),
    Psychometric: ("psychometric", {"curves_figure": ()}),
    FixedPointPlot: ("fixed_points", {"figure_2d": (), "figure_3d": ("3d",)}),
    LineAttractor: ("line_attractors", {"line_figure": ()}),
    ContinuousAttractorPlot: ("continuous_attractors", {"manifold_figure": ()}),
}


def export_figures(folder: Path, restriction: Restriction = None) -> list[Path]:
    """Write the figures of the networks as PNG files; return their paths.

    Those that tables hold, the learning curves of each cohort, and the terms of the losses.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for table, (kind, columns) in KINDS.items():
        query = _restricted(table(), restriction)
        settings = [n for n in query.primary_key if n not in Training.Network().primary_key]
        for row in query.to_dicts(order_by="KEY"):
            tail = [row[name] for name in settings]
            for column, more in columns.items():
                path = folder / _figure_name(row, kind, *tail, *more)
                written.append(row[column].save(path))
    # Drawn here: the curves are in the rows, so that no table keeps pictures of them.
    trained = _restricted(Training.Network(), restriction) & "iterations_done > 0"
    for key in (Cohort & trained.proj()).keys():
        path = folder / _figure_name(key, "learning_curves")
        _write(path, to_png((Training.Network & key).plot_training()))
        written.append(path)
    for key in _restricted(Training.Network & Training.Term.proj(), restriction).keys():
        path = folder / _figure_name(key, "loss_terms")
        _write(path, to_png((Training.Term & key).plot()))
        written.append(path)
    return written


def _restricted(query: Query, restriction: Restriction) -> Query:
    return query if restriction is None else query & restriction


def _write(path: Path, content: bytes) -> None:
    write_atomically(path, lambda file: file.write(content))


def _figure_name(key: Mapping[str, Any], *what: object) -> str:
    """Return the name of a figure's file, which no other network's or cohort's has."""
    names = (key[f"{part}_name"] for part in ("task", "network", "training"))
    whose = f"seed{key['seed']}" if "seed" in key else f"seeds_from{key['first_seed']}"
    return file_name(*names, whose, *what, ending=".png")
