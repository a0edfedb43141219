"""Writing the figures of networks as files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.machine.atomic_file import write_atomically
from tasks_lib.errors import ParameterError, check_choice

from ..report.names import figure_name
from ..report.rows import FIGURES
from ..store.file_names import file_name
from ..store.stored_figures import FORMATS
from ..tables.figures import describe_figures, figure_files
from ..tables.selections import Chosen, rows_of
from ..tables.training import Cohort, Training

if TYPE_CHECKING:
    from models.plots.style import Style


def export_figures(
    folder: Path,
    restriction: Chosen = None,
    formats: Sequence[str] = ("png",),
    style: Style | None = None,
    footer: bool = False,
    by: str | None = None,
) -> list[Path]:
    """Write the figures of the networks as files; return their paths.

    Those that tables hold, the learning curves of each cohort and of each network, and with ``by``
    those of all networks together, by a column. PNG files of tables are those of the store; other
    formats and styles are drawn anew.

    Parameters
    ----------
    folder : Path
    restriction : optional
        Of the networks.
    formats : sequence of {"png", "pdf", "svg"}
    style : str, Path or mapping, optional
        A matplotlib style; see `models.figure_style`.
    footer : bool
        Whether network, parameters' names and version of the code stand below each figure.
    by : str, optional
        Column of the parameters that tells groups apart in the learning curves of all.
    """
    kinds = tuple(dict.fromkeys(check_choice("format", kind, FORMATS) for kind in formats))
    if not kinds:
        raise ParameterError("format", list(formats), "names none", f"name {', '.join(FORMATS)}")
    from models.plots.files import figure_file
    from models.plots.style import figure_style

    styles = partial(figure_style, *(() if style is None else (style,)))
    with styles():  # what cannot be used is refused before anything is written
        pass
    written: list[Path] = []

    def write(content: bytes, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)  # not before there is something to keep there
        path = folder / name
        write_atomically(path, lambda file: file.write(content))
        written.append(path)

    for table, (kind, columns) in FIGURES.items():
        query = rows_of(table, restriction)
        settings = [n for n in query.primary_key if n not in Training.Network().primary_key]
        for row in query.proj(*columns).to_dicts(order_by="KEY"):
            key = {name: row[name] for name in query.primary_key}
            files = {}
            if style is not None or footer or kinds != ("png",):
                files = figure_files(table, key, kinds, style, footer)
            for column, more in columns.items():
                for ending in kinds:
                    content = files.get((column, ending)) or row[column].read()
                    what = [kind, *(row[name] for name in settings), *more]
                    write(content, figure_name(row, *what, ending=f".{ending}"))
    # Drawn here: the curves are in the rows, so that no table keeps pictures of them.
    for name, key, query in _trainings(restriction, by):
        with styles():
            figure = query.plot_training(by if name == _ALL else None)
        shown = describe_figures("Training.Network", key, {name: figure})[name]
        for ending in kinds:
            with styles():
                content = figure_file(shown, ending, footer=footer)
            end = f".{ending}"
            is_all = name == _ALL
            write(
                content,
                file_name(name, str(by), ending=end)
                if is_all
                else figure_name(key, name, ending=end),
            )
    return written


_ALL = "learning_curves_by"


def _trainings(restriction: Chosen, by: str | None) -> Iterator[tuple[str, dict[str, Any], Any]]:
    """Yield what is drawn of trainings: its name, its key and the networks."""
    trained = rows_of(Training.Network, restriction) & "iterations_done > 0"
    for key in (Cohort & trained.proj()).keys():
        yield "learning_curves", key, Training.Network & key
    # Of one network, with its terms in one panel.
    for key in (rows_of(Training.Network, restriction) & Training.Term.proj()).keys():
        yield "loss_terms", key, Training.Network & key
    if by is not None and trained:
        yield _ALL, {}, trained
