"""Writing an export: all of a selection in one folder or archive, whole or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

import models
from models.machine.atomic_file import naming, write_atomically
from tasks_lib.errors import ParameterError, check_choice

from ..database.connection import connection
from ..database.server import reconnect, snapshot
from ..report.names import figure_name
from ..report.site import Site
from ..report.write import writer_of
from ..store.file_names import file_name
from ..tables.network import NetworkParams
from ..tables.network_rows import load_network
from ..tables.provenance import code_version
from ..tables.selections import Selection
from .figures import export_figures
from .manifest import MANIFEST, described, hash_of, manifest_text, read_manifest
from .selection import WEIGHTS, SelectedRows, TableRows, figure_of
from .submission import submission_of
from .table_files import parquet_library, write_table
from .target import beside, check_target, put

ENDINGS = {"npz": ".npz", "state_dict": ".pt", "seed-json": ".json", "seed-npz": ".npz"}
NETWORKS, TABLES, FIGURES, REPORT = "networks", "tables", "figures", "report"
TASKS, SUBMISSION, README = "tasks.yaml", "submission.yaml", "README.txt"
# For whoever receives an export and knows nothing of us.
TEXT = """\
An export of rnn-pipeline: trained recurrent networks, and what was found out about them.

report/index.html  all of it to look at, in a browser; needs nothing else
networks/          a file each: weights and equation (numpy.load reads npz)
tables/            the rows of the database as CSV: texts in quotes, what is missing is empty.
                   A cell such as loss_curve/0 is the name of an array in the npz file beside
figures/           as PNG
tasks.yaml         what the networks were trained on
submission.yaml    all parameters: rnn submit enters them, and workers train the same networks again
manifest.json      selection, parameters, version of the code, and the SHA-256 of every file

rnn export --check PATH says whether this folder or archive is as it was exported;
rnn import PATH enters its tasks and networks into another database.
"""
Progress = Callable[[int, int], object]


@dataclass(frozen=True)
class Export:
    """What was exported.

    Attributes
    ----------
    path : Path
        The folder or the archive.
    n_networks, n_cohorts, n_files, n_bytes : int
        Files and their bytes without the manifest, and before they are packed.
    sha256 : str
        Of the manifest's content (`pipeline.check_export`).
    """

    path: Path
    n_networks: int
    n_cohorts: int
    n_files: int
    n_bytes: int
    sha256: str


def export(
    target: str | Path,
    restriction: Selection | Mapping[str, Any] | None = None,
    format: str = "npz",
    parquet: bool = False,
    figures: bool = True,
    report: bool = True,
    modules: Iterable[str] = (),
    update: bool = False,
    progress: Progress = lambda done, total: None,
) -> Export:
    """Write all that the tables hold of a selection of networks to one folder or archive.

    Networks as files that `import_network` reads, tables as CSV, figures, the report, submissions
    of the parameters, and a manifest with the hash of each. All of it is of one moment, whatever
    workers insert meanwhile. Equal content gives equal bytes, of an archive too. What is
    interrupted leaves nothing under the target's name.

    Parameters
    ----------
    target : str or Path
        A folder, or an archive where the name ends in ``.zip`` or ``.tar.gz``.
    restriction : Selection or mapping, optional
        ``task_name``, ``network_name``, ``training_name``, ``first_seed``, ``seed``,
        ``sweep_name`` and ``where``, those of them that are given; all networks by default.
    format : {"npz", "state_dict", "seed-json", "seed-npz"}
        Of the files of networks (`models.write_network`).
    parquet : bool
        Whether the tables are there as Parquet too, which takes pyarrow.
    figures, report : bool
        Whether figures and the report are there; a report without figures has none.
    modules : iterable of str
        Modules with tables of your own below those of the pipeline, which belong to it too.
    update : bool
        Whether an earlier export of that name is replaced. Anything else is never replaced.
    progress : callable, optional
        Called with the number of networks that are done, and of all.

    Raises
    ------
    ParameterError
        Where the selection is empty, the target is there, or something is not installed.
    DatabaseError, OSError
        Where what is exported cannot be read or written. The target is then as it was.
    """
    from models.files.exchange import FORMATS  # which imports torch

    where = Path(target)
    check_choice("format", format, FORMATS)
    selection = Selection.of(restriction)
    if parquet:
        parquet_library()
    check_target(where, update)
    work = beside(where, "unfinished")
    try:
        with naming(work):
            work.mkdir()
        reconnect(connection())  # which an interrupt may have closed
        with snapshot(connection()):
            selected = SelectedRows(selection, modules)
            content = _Contents(work, selected, format, figures, parquet)
            content.write(report, progress)
        manifest = content.manifest(report)
        text = manifest_text(manifest)
        write_atomically(work / MANIFEST, lambda file: file.write(text.encode()))
        whole = read_manifest(work)
        sha256 = hash_of(whole)
        put(work, where, sorted([*whole["files"], MANIFEST]), f"rnn-export-{sha256[:12]}", update)
    finally:
        with suppress(OSError):
            shutil.rmtree(work)
    files = whole["files"]
    return Export(
        where, whole["n_networks"], whole["n_cohorts"], len(files),
        sum(file["bytes"] for file in files.values()), sha256,
    )  # fmt: skip


def add_report(folder: Path, selected: SelectedRows, figures: bool = True) -> None:
    """Write the report of a selection to a new folder.

    Raises
    ------
    ParameterError
        Where the store does not have a figure or a curve as it was stored.
    """
    writer = writer_of(Site(folder), selected.selection, selected.fetch_cohorts(), figures)
    made = writer.write()
    if made.faults:
        raise ParameterError(
            "report", made.faults[0], "is missing or damaged in the store",
            "see `rnn verify --files`; --no-figures exports without what is drawn",
        )  # fmt: skip


class _Contents:
    """Writes the files of an export to a folder, from the rows of one moment."""

    def __init__(
        self, folder: Path, selected: SelectedRows, format: str, figures: bool, parquet: bool
    ) -> None:
        self.folder, self.selected, self.format = folder, selected, format
        self.selection = selected.selection
        self.figures, self.parquet = figures, parquet
        self.tables = selected.tables()
        self.by_title = {table.title: table for table in self.tables}
        self.submission = submission_of(self.tables)

    def write(self, report: bool, progress: Progress) -> None:
        """Write everything but the manifest."""
        networks = self.by_title["Training.Network"]
        files = self._write_networks(networks, progress)
        (self.folder / TABLES).mkdir()
        for table in self.tables:
            extra = {}
            if table is networks:
                extra["network_file"] = files
                weights = [c for c in table.columns if c.name in WEIGHTS]
                table.columns = [c for c in table.columns if c not in weights]
            own = self._write_own_figures(table) if self.figures and not table.is_ours else {}
            write_table(self.folder / TABLES, table, {**extra, **own}, self.parquet)
        if self.figures and networks.rows:
            export_figures(self.folder / FIGURES, self.selection)
        if report:
            add_report(self.folder / REPORT, self.selected, self.figures)
        (self.folder / README).write_bytes(TEXT.encode())
        self._write_yaml(TASKS, {"tasks": self.submission["tasks"]})
        self._write_yaml(SUBMISSION, self.submission)

    def _write_networks(self, networks: TableRows, progress: Progress) -> list[str | None]:
        """Write the networks; return the path of each from the folder of the export."""
        if networks.rows:
            (self.folder / NETWORKS).mkdir()
        configs = {
            row["network_name"]: NetworkParams.build(row)
            for row in self.by_title["NetworkParams"].rows
        }
        paths: list[str | None] = []
        for number, row in enumerate(networks.rows, start=1):
            config = configs[row["network_name"]]
            path = f"{NETWORKS}/{figure_name(row, ending=ENDINGS[self.format])}"
            if path in paths:
                raise ParameterError(
                    "file", path, "is that of two networks", "see which cohorts have equal seeds"
                )
            models.write_network(self.folder / path, load_network(row, config), config, self.format)
            for name in WEIGHTS:
                row[name]._cached = None  # else all weights are in memory at the end
            paths.append(path)
            progress(number, len(networks.rows))
        return paths

    def _write_own_figures(self, table: TableRows) -> dict[str, list[str | None]]:
        """Write the figures of a lab's own table; return column -> path of each row's figure."""
        found: dict[str, list[str | None]] = {}
        for column in table.figures:
            paths: list[str | None] = []
            for row in table.rows:
                figure = figure_of(row, column)
                path = None
                if figure is not None:
                    (self.folder / FIGURES).mkdir(exist_ok=True)
                    key = [row[name] for name in table.primary_key]
                    path = f"{FIGURES}/{file_name(table.title, *key, column, ending='.png')}"
                    figure.save(self.folder / path)
                paths.append(path)
            found[column] = paths
        return found

    def _write_yaml(self, name: str, content: Mapping[str, Any]) -> None:
        sections = (
            yaml.safe_dump({section: rows}, sort_keys=True, allow_unicode=True, width=100)
            for section, rows in content.items()
        )
        (self.folder / name).write_bytes("\n".join(sections).encode())

    def manifest(self, report: bool) -> dict[str, Any]:
        """Return what the manifest says."""
        version, dirty = code_version()
        files = [p.relative_to(self.folder) for p in self.folder.rglob("*") if p.is_file()]
        return {
            "code_version": version,
            "code_dirty": dirty,
            "selection": self.selection.written,
            "n_cohorts": len(self.by_title["Cohort"].rows),
            "n_networks": len(self.by_title["Training.Network"].rows),
            "contents": {
                "networks": self.format,
                "tables": ["csv", *(["parquet"] if self.parquet else [])],
                "figures": self.figures,
                "report": report,
            },
            "parameters": self.submission,
            "tables": {
                table.title: {
                    "rows": len(table.rows),
                    "columns": {c.name: f"{c.kind}: {c.comment}" for c in table.columns},
                }
                for table in self.tables
            },
            "files": described(self.folder, [path.as_posix() for path in files]),
        }
