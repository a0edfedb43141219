"""Writing the figures of networks as files."""

from __future__ import annotations

from pathlib import Path

from models.machine.atomic_file import write_atomically

from ..database.types import Query, Restriction
from ..report.names import figure_name
from ..report.rows import FIGURES
from ..store.codecs import to_png
from ..tables.training import Cohort, Training


def export_figures(folder: Path, restriction: Restriction = None) -> list[Path]:
    """Write the figures of the networks as PNG files; return their paths.

    Those that tables hold, the learning curves of each cohort, and the terms of the losses.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for table, (kind, columns) in FIGURES.items():
        query = _restricted(table(), restriction)
        settings = [n for n in query.primary_key if n not in Training.Network().primary_key]
        for row in query.to_dicts(order_by="KEY"):
            tail = [row[name] for name in settings]
            for column, more in columns.items():
                path = folder / figure_name(row, kind, *tail, *more)
                written.append(row[column].save(path))
    # Drawn here: the curves are in the rows, so that no table keeps pictures of them.
    trained = _restricted(Training.Network(), restriction) & "iterations_done > 0"
    for key in (Cohort & trained.proj()).keys():
        path = folder / figure_name(key, "learning_curves")
        _write(path, to_png((Training.Network & key).plot_training()))
        written.append(path)
    for key in _restricted(Training.Network & Training.Term.proj(), restriction).keys():
        path = folder / figure_name(key, "loss_terms")
        _write(path, to_png((Training.Term & key).plot()))
        written.append(path)
    return written


def _restricted(query: Query, restriction: Restriction) -> Query:
    return query if restriction is None else query & restriction


def _write(path: Path, content: bytes) -> None:
    write_atomically(path, lambda file: file.write(content))
