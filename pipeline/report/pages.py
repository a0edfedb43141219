"""What the pages of a report say, and how they become HTML."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from jinja2.utils import htmlsafe_json_dumps

from tasks_lib.sizes import counted

from ..tables.keys import COHORT
from .analyses import ANALYSES
from .names import page_of, url, verify_command
from .parameters import parameters_shown
from .rows import TERM_CURVES, CohortRows, NetworkRows, Row
from .site import fingerprint
from .summaries import METRICS, columns_of
from .values import filled_columns, median_and_lowest, spread, text_of_value

MOST_POINTS = 24  # listed of one network; the others are counted
ASSETS, ASSETS_OF_VIEWS = ("report.css", "report.js"), ("view.js",)
PLOTLY = "assets/plotly.min.js"


@cache
def design() -> str:
    """Return the fingerprint of the templates: pages of another design are written anew."""
    digest = hashlib.sha256()
    for folder in ("templates", "assets"):
        for entry in sorted(_package().joinpath(folder).iterdir(), key=lambda e: e.name):
            if entry.is_file():
                digest.update(entry.read_bytes())
    return digest.hexdigest()[:20]


def asset(name: str) -> bytes:
    """Return a file that pages refer to."""
    return _package().joinpath("assets", name).read_bytes()


def _package() -> Traversable:
    return files(__package__)


@cache
def environment() -> Environment:
    """Return the templates; whatever they show is escaped."""
    made = Environment(
        loader=PackageLoader(__package__),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"value": text_of_value, "url": url, "filled": filled_columns}
    made.globals |= {"counted": counted}
    return made


def render(template: str, context: Mapping[str, Any]) -> bytes:
    """Return a page."""
    text = environment().get_template(template).render(context)
    # Names that came by SQL may hold halves of characters, which no file can.
    return text.encode("utf-8", errors="backslashreplace")


def made_from(template: str, context: Mapping[str, Any], *more: Any) -> str:
    """Return the fingerprint of a page: of all that it shows and of the design."""
    return fingerprint(template, design(), dict(context), *more)


def view_page(key: Mapping[str, Any], search: str, figure: str) -> bytes:
    """Return the page of a view that turns, of a figure as JSON of plotly."""
    context = {
        "root": "../",
        "title": f"Fixed points of {name_of(key)}",
        "search": search,
        "page": page_of(key),
        "plotly": PLOTLY,
        "figure": htmlsafe_json_dumps(json.loads(figure)),
    }
    return render("view.html", context)


def name_of(key: Mapping[str, Any]) -> str:
    """Return the name of a network or a cohort, as people read it."""
    names = "/".join(str(key[f"{part}_name"]) for part in ("task", "network", "training"))
    return f"{names} seed {key['seed']}" if "seed" in key else names


def seeds_of(cohort: CohortRows) -> str:
    """Return the seeds of a cohort in words."""
    first, n = cohort.row["first_seed"], cohort.row["n_networks"]
    return f"seed {first}" if n == 1 else f"seeds {first} to {first + n - 1}"


def index_context(
    cohorts: Sequence[CohortRows],
    summaries: Sequence[Sequence[Row]],
    selection: Mapping[str, Any],
    sweeps: Sequence[Row] = (),
    comparisons: Sequence[Row] = (),
    recordings: Sequence[Row] = (),
) -> dict[str, Any]:
    """Return what the index shows."""
    every = [n for of_cohort in summaries for n in of_cohort]
    lines = []
    for cohort, networks in zip(cohorts, summaries, strict=True):
        middle, low = median_and_lowest([n["r2"] for n in networks if n["r2"] is not None])
        lines.append(
            {
                "key": {name: cohort.row[name] for name in COHORT},
                "page": page_of(cohort.row),
                "seeds": seeds_of(cohort),
                "n_networks": cohort.row["n_networks"],
                "n_trained": len(networks),
                "failure": cohort.failure,
                "r2": middle,
                "lowest_r2": low,
            }
        )
    return {
        "root": "",
        "title": "Networks",
        "selection": {
            name.removesuffix("_name"): " and ".join(value) if name == "where" else str(value)
            for name, value in selection.items()
        },
        "cohorts": lines,
        "sweeps": list(sweeps),
        "comparisons": list(comparisons),
        "recordings": list(recordings),
        "networks": every,
        "columns": columns_of(every),
    }


def cohort_context(
    cohort: CohortRows, networks: Sequence[Row], has_curves: str, sweeps: Sequence[Row] = ()
) -> dict[str, Any]:
    """Return what the page of a cohort shows; ``has_curves`` is the path of their figure or ""."""
    values = {
        name: [n[name] for n in networks if isinstance(n[name], int | float)] for name in METRICS
    }
    return {
        "root": "../",
        "title": name_of(cohort.row),
        "key": {name: cohort.row[name] for name in COHORT},
        "seeds": seeds_of(cohort),
        "n_networks": cohort.row["n_networks"],
        "n_by_status": dict(Counter(n["status"] for n in networks)),
        "networks": list(networks),
        "columns": columns_of(networks),
        "spreads": [{"name": METRICS[name], "cells": spread(v)} for name, v in values.items() if v],
        "curves": has_curves,
        "without": cohort.without,
        "failure": cohort.failure,
        "sweeps": list(sweeps),
        "provenance": _provenance(cohort),
        **parameters_shown(cohort, whole=True),
    }


def network_context(
    cohort: CohortRows,
    network: NetworkRows,
    summary: Row,
    parameters: Row,
    pictures: Sequence[Row],
    views: Sequence[Row] = (),
    figures: Sequence[Row] = (),
    comparisons: Sequence[Row] = (),
    recordings: Sequence[Row] = (),
) -> dict[str, Any]:
    """Return what the page of a network shows, but for its curves.

    ``parameters`` are those of its cohort that differ from the defaults (`parameters_shown`),
    ``figures`` those of its analyses: name of the section, path, caption, width and problem.
    """
    tables = network.tables
    seeds = [n.row["seed"] for n in cohort.networks]
    at = seeds.index(network.row["seed"])
    beside = {
        word: page_of(cohort.networks[i].row)
        for word, i in (("previous", at - 1), ("next", at + 1))
        if 0 <= i < len(seeds)
    }
    more = {(r["input_name"], r["search_name"], r["point"]): r for r in tables["linearizations"]}
    points = [
        r | {k: more.get(_point(r), {}).get(k) for k in ("leading_frequency", "henrici")}
        for r in tables["points"]
    ]
    return {
        "root": "../",
        "title": name_of(network.row),
        "key": summary["key"],
        "cohort": page_of(cohort.row),
        "without": cohort.without,
        "beside": beside,
        "summary": summary,
        "stopped_by": network.row["stopped_by"],
        "scores": tables["scores"],
        "terms": [{k: v for k, v in r.items() if k not in TERM_CURVES} for r in tables["terms"]],
        "kinds": [r | {"words": _condition(r["trial_condition"])} for r in tables["kinds"]],
        "fits": tables["fits"],
        "sets": tables["sets"],
        "points": points[:MOST_POINTS],
        "n_more_points": max(len(points) - MOST_POINTS, 0),
        "analyses": [
            page | {"pictures": [f for f in figures if f["section"] == page["name"]]}
            for section in ANALYSES
            if (page := section.page(tables)) is not None
        ],
        "due": network.due,
        "failed": network.failed,
        "comparisons": list(comparisons),
        "recordings": list(recordings),
        "pictures": list(pictures),
        "views": list(views),
        "provenance": _provenance(cohort),
        "verify": "" if cohort.source or cohort.training is None else verify_command(network.row),
        **parameters,
    }


def _condition(kind: Mapping[str, Any]) -> str:
    return ", ".join(f"{k.replace('_', ' ')} {text_of_value(v)}" for k, v in kind.items())


def _point(row: Row) -> tuple[Any, ...]:
    return row["input_name"], row["search_name"], row["point"]


def _provenance(cohort: CohortRows) -> list[tuple[str, Any]]:
    row = cohort.training
    if row is None:
        return []
    source = cohort.source or {}
    changed = ", with changes that were not committed" if row["code_dirty"] else ""
    numpy = f"NumPy {row['numpy_version']}"
    shown = [
        ("imported at" if source else "trained at", row["trained_at"]),
        ("device", row["device"]),
        ("code", f"{row['code_version']}{changed}"),
        ("with", f"Python {row['python_version']}, PyTorch {row['torch_version']}, {numpy}"),
    ]
    if source:
        shown += [("from file", source["file"]), ("format", source["format"])]
        shown += [("SHA-256", source["sha256"])]
        shown += [("note", note) for note in source["notes"] or []]
    return shown
