"""What a study gives: the published numbers beside ours."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from models.machine.atomic_file import write_atomically

from ..tables.performance import Validation
from ..tables.provenance import code_version
from ..tables.rows import Row
from ..tables.training import Training
from .checks import check_inputs, checked_study
from .compared import compare_cohorts, names_of_comparisons
from .filling import Errors, enter, fill, fill_tables, solves
from .outcomes import Outcome, fault_of, network_outcome, pair_outcome
from .study import Study


@dataclass(frozen=True)
class Reproduction:
    """All results of a study in one of its forms.

    Attributes
    ----------
    study : Study
    outcomes : list of Outcome
    solved : dict of str to (int, int)
        By cohort: networks that solve their task, and all.
    made : int
        Rows computed in this run.
    errors : list of (table, key, message)
    seconds : float
    figure : Figure or None
    faults : list of str
        What could not be measured or drawn, a line each.
    """

    study: Study
    outcomes: list[Outcome]
    solved: dict[str, tuple[int, int]]
    made: int
    errors: Errors
    seconds: float
    figure: Any
    faults: list[str]


def reproduce(
    study: Study,
    workers: int = 1,
    announce: Callable[[str, int], None] | None = None,
    draws: bool = True,
) -> Reproduction:
    """Enter a study, fill its tables, and compare what they hold with what was published.

    What is there is not computed again.

    Parameters
    ----------
    study : Study
        From `read_study`.
    workers : int
        Processes.
    announce : callable, optional
        Called with a table's name and the number of its jobs.
    draws : bool
        Whether the figure is drawn.

    Raises
    ------
    ParameterError
        Where the study names a measure, an argument, a table, a column or a set of settings that
        does not exist, or parameters that are refused; then nothing is entered.
    """
    began = time.perf_counter()
    functions, draw = checked_study(study)
    names_of_comparisons(study)  # whether they can be made
    _, networks = enter(study)
    check_inputs(study, {key["task_name"] for keys in networks.values() for key in keys})
    filled = fill_tables(study, networks, workers, announce)
    there = {label: _trained(keys) for label, keys in networks.items()}
    good = {label: _solving(keys, study.solved) for label, keys in there.items()}
    compared = compare_cohorts(study, there, lambda wanted: fill(wanted, workers, announce))
    there, good = (
        {
            label: _with_settings(keys, study, compared.names.get(label))
            for label, keys in of.items()
        }
        for of in (there, good)
    )
    faults = list(compared.faults)
    outcomes = []
    for expected in study.expected:
        chosen = there if expected.of_all else good
        keys = {label: chosen[label] for label in (expected.cohort, expected.versus) if label}
        result = pair_outcome if expected.of_pairs else network_outcome
        outcomes.append(result(functions[expected.name], expected, keys, faults))
    figure = None
    if draws and draw is not None:
        try:
            figure = draw(good)
        except Exception as error:  # of whatever kind: what was measured is not lost for it
            faults.append(f"figure: {fault_of(error)}")
    return Reproduction(
        study=study,
        outcomes=outcomes,
        solved={
            label: (len(keys), int(study.cohorts[label]["n_networks"]))
            for label, keys in good.items()
        },
        made=filled.made + compared.filled.made,
        errors=filled.errors + compared.filled.errors,
        seconds=time.perf_counter() - began,
        figure=figure,
        faults=list(dict.fromkeys(faults)),
    )


def _with_settings(keys: list[Row], study: Study, comparison: str | None) -> list[Row]:
    own = study.settings if comparison is None else {"comparison_name": comparison}
    return [{**key, **study.settings, **own} for key in keys]


def _trained(keys: list[Row]) -> list[Row]:
    """Return the keys of networks that are there and have not diverged."""
    done = (Training.Network & keys & "status <> 'diverged'").keys() if keys else []
    return sorted((dict(key) for key in done), key=lambda key: key["seed"])


def _solving(keys: list[Row], limits: dict[str, float]) -> list[Row]:
    """Return the keys of networks that solve their task, without noise on trials unseen."""
    if not limits:
        return keys
    rows = {
        row["seed"]: row
        for row in (Validation & keys & {"validation_name": "noise_free"}).to_dicts()
    } if keys else {}  # fmt: skip
    return [key for key in keys if key["seed"] in rows and solves(rows[key["seed"]], limits)]


def write_results(found: Reproduction, folder: Path) -> list[Path]:
    """Write the table as CSV and JSON and the figure as PDF and PNG; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{found.study.name}_{found.study.form}"
    files = {f"{stem}.json": _json(found), f"{stem}.csv": _csv(found)}
    if found.figure is not None:
        from models.plots.files import DescribedFigure, figure_file

        about = {"table": f"study {found.study.name}, {found.study.form}"}
        about["code"] = code_version()[0]
        described = DescribedFigure(found.figure, about)
        files |= {f"{stem}.{kind}": figure_file(described, kind) for kind in ("pdf", "png")}
    written = []
    for name, content in files.items():
        write_atomically(folder / name, partial(_put, content))
        written.append(folder / name)
    return written


def _put(content: bytes, file: BinaryIO) -> None:
    file.write(content)


def _json(found: Reproduction) -> bytes:
    study = found.study
    version, is_dirty = code_version()
    content = {
        "study": study.name,
        "form": study.form,
        "citation": study.citation,
        "reduced": study.changes,
        "conditions": study.conditions,
        "code_version": version,
        "uncommitted_changes": is_dirty,
        "solved": {label: list(numbers) for label, numbers in found.solved.items()},
        "results": [
            {
                "name": each.expected.name,
                "text": each.expected.text,
                "paper": each.expected.paper,
                "source": each.expected.source,
                "within": [
                    bound if abs(bound) < float("inf") else None for bound in each.expected.within
                ],
                "statistic": each.expected.statistic,
                "of_pairs": each.expected.of_pairs,
                "cohort": each.expected.cohort,
                "versus": each.expected.versus,
                "comparison": each.expected.comparison if each.expected.versus else None,
                **asdict(each.ours),
                "verdict": each.verdict,
                "clear": each.is_clear,
                "undefined": each.n_left_out,
                "values": each.values,
            }
            for each in found.outcomes
        ],
        "faults": found.faults,
    }
    return json.dumps(content, indent=1, ensure_ascii=False).encode()


def _csv(found: Reproduction) -> bytes:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(
        ("study", "form", "name", "text", "paper", "source", "reproduced_if", "statistic",
         "value", "low", "high", "networks", "verdict", "clear")
    )  # fmt: skip
    for each in found.outcomes:
        e, ours = each.expected, each.ours
        writer.writerow(
            (found.study.name, found.study.form, e.name, e.text, e.paper, e.source, each.wanted,
             e.statistic, ours.value, ours.low, ours.high, ours.n, each.verdict, each.is_clear)
        )  # fmt: skip
    return buffer.getvalue().encode()
