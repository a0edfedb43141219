"""The page and its data: one section a device."""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import Any

import numpy as np
from gpu_checks.results import markdown

from .growth import AXES, draw
from .measure import floor_milliseconds
from .peers import Peer
from .problem import MODES, PRODUCTS

TITLES = {
    "bare": "Bare: the task's loss alone",
    "penalties": "With the default penalties, task-safe gradients and monitor",
}
SHAPE = ("n_units", "n_trials", "n_networks", "n_steps")
Section = dict[str, Any]


def read(path: Path) -> dict[str, Section]:
    """Return the sections of a file, none where there is no file."""
    return json.loads(path.read_text(encoding="utf-8"))["sections"] if path.exists() else {}


def write(page: Path, sections: dict[str, Section], sides: list[type[Peer]]) -> None:
    """Write the data, the figure and the page."""
    text = json.dumps({"sections": _rounded(sections)}, indent=1) + "\n"
    page.with_suffix(".json").write_text(text, encoding="utf-8")
    figure = page.with_name(f"{page.stem}_growth.png")
    shown = figure.name if draw(sections, figure) else None
    page.write_text(render(sections, sides, shown), encoding="utf-8")


def merged(old: Section | None, new: Section) -> Section:
    """Return a section with the new cells in place of those of the same sizes."""
    if old is None or "cells" not in old:
        return new

    def key(cell: dict[str, Any]) -> tuple[Any, ...]:
        return tuple(cell[k] for k in ("mode", *SHAPE))

    fresh = {key(cell) for cell in new["cells"]}
    cells = [c for c in old["cells"] if key(c) not in fresh] + new["cells"]
    commands = [c for c in old["commands"] if c not in new["commands"]] + new["commands"]
    peak = max(old["peak"], new["peak"], key=lambda peak: peak["gflops"])
    growth = new.get("growth") or old.get("growth")
    return {**new, "cells": cells, "commands": commands, "peak": peak, "growth": growth}


def render(sections: dict[str, Section], sides: list[type[Peer]], figure: str | None) -> str:
    """Return the page."""
    works = "\n".join(f"- **{side.name}**: {side.work}." for side in sides)
    parts = [f"{HEAD}\n{works}\n"]
    parts += [_section(label, section, figure) for label, section in sections.items()]
    return "\n".join(parts)


HEAD = f"""# What a training step costs

Written by `benchmarks/engine.py`, from the JSON file beside it. One step is all of: noise, forward
pass, loss, gradients, clipping, Adam, constraints; N units, B trials of T steps, K networks; form
h, rectified, Dale's law, float32. All sides have the same weights, batch and noise levels. Before
they are timed, their gradients without noise are compared with ours: a side that deviates by more
than 1e-3 of the largest entry is left out. Then they step in turns, one step each a round.

- Times are milliseconds **a network and iteration**: median (first to third quartile) over rounds.
- Ratios are a side's time by ours in the same round: median over rounds (quartiles), so that 3×
  means that ours takes a third.
- The **floor** is the time of the matrix products that a step cannot do without, at the best rate
  of `torch.mm` on this device: {PRODUCTS["bare"]} products of T − 1 steps for a bare step (forward,
  adjoint, weight gradient), {PRODUCTS["penalties"]} with penalties whose gradient is told from the
  task's (forward, two adjoints, two weight gradients). One product is 2 (T − 1) B N² operations.
- CPU seconds a second say how many cores a side kept busy, threads that wait and spin included.
- With penalties: `rec_weights_sparsity` 0.05 (degree 20) and `fr_magnitude` 0.2 (cap 0.3, τ 0.1,
  powers 3), the penalties' gradient never against the task's, and the norm of each term's gradient
  recorded.
"""


def _section(label: str, section: Section, figure: str | None) -> str:
    check = [*markdown(section["check"]), ""] if "check" in section else []
    if "cells" not in section:
        return "\n".join([f"## {label}", "", *check])
    names = ", ".join(f"{name} {number}" for name, number in section["versions"].items())
    sizes = ", ".join(f"{rate:.0f} at {n}" for n, rate in section["peak"]["by_size"].items())
    commands = "\n".join(f"    {command}" for command in section["commands"])
    lines = [
        f"## {label}",
        "",
        f"{section['device']}; {section['threads']} threads; {names}; code {section['code']}. Best "
        f"rate of `torch.mm`: {section['peak']['gflops']:.0f} GFLOP/s ({sizes}). Measured with",
        "",
        commands,
        "",
    ]
    for mode in MODES:
        cells = [c for c in section["cells"] if c["mode"] == mode]
        if cells:
            lines += [f"### {TITLES[mode]}", "", *_table(cells, section)]
            lines += ["", *_summary(cells, section), ""]
    if section.get("growth"):
        lines += _growth(section["growth"], figure)
    return "\n".join([*lines, *check])


def _peer_names(cells: list[dict[str, Any]]) -> list[str]:
    names: list[str] = []
    for cell in cells:
        names += [n for n in cell["peers"] if n not in names and n != "ours"]
    return names


def _table(cells: list[dict[str, Any]], section: Section) -> list[str]:
    peers = _peer_names(cells)
    heads = ["N", "B", "K", "T", "rounds", "ours, ms", "floor, ms", "ours / floor", *peers]
    rows = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for cell in sorted(cells, key=lambda c: [c[k] for k in SHAPE]):
        size = [str(cell[k]) for k in SHAPE]
        if "not_run" in cell:
            row = [*size, "0", f"not run: {cell['not_run']}", *[""] * (len(heads) - 6)]
        else:
            floor = floor_milliseconds(cell, section["peak"]["gflops"])
            low, median, high = cell["peers"]["ours"]["ms"]
            ours = f"{median:.3g} ({low:.3g}–{high:.3g})"
            found = [_peer(cell["peers"].get(name)) for name in peers]
            row = [
                *size,
                str(cell["rounds"]),
                ours,
                f"{floor:.3g}",
                f"{median / floor:.2f}",
                *found,
            ]
        rows.append("| " + " | ".join(row) + " |")
    return rows


def _peer(found: dict[str, Any] | None) -> str:
    if found is None:
        return ""
    if "not_run" in found:
        return f"not run: {found['not_run']}"
    low, median, high = found["ratio"]
    return f"**{median:.2f}×** ({low:.2f}–{high:.2f}), {found['ms'][1]:.3g} ms"


def _summary(cells: list[dict[str, Any]], section: Section) -> list[str]:
    """Say how far each side's ratios, deviations and cores reach over all sizes."""
    lines = []
    ran = [c for c in cells if "not_run" not in c]
    for name in [*(["ours"] if ran else []), *_peer_names(ran)]:
        found = [(c["peers"][name], c) for c in ran if "ms" in c["peers"].get(name, {})]
        if not found:
            continue
        busy = [f["busy"] for f, _ in found]
        cpu = f"CPU seconds a second {min(busy):.1f} to {max(busy):.1f}"
        if name == "ours":
            values = [
                (f["ms"][1] / floor_milliseconds(c, section["peak"]["gflops"]), c) for f, c in found
            ]
            what, end = "times the floor", cpu
        else:
            values = [(f["ratio"][1], c) for f, c in found]
            worst = max(f["deviation"] for f, _ in found)
            what, end = "times ours", f"gradients within {worst:.0e}; {cpu}"
        (least, at), (most, to) = (f(values, key=lambda v: v[0]) for f in (min, max))
        lines.append(
            f"- **{name}**: {least:.2f} ({_size(at)}) to {most:.2f} ({_size(to)}) {what}; {end}."
        )
    return lines


def _size(cell: dict[str, Any]) -> str:
    return f"N {cell['n_units']}, B {cell['n_trials']}, K {cell['n_networks']}"


def _growth(growth: dict[str, Any], figure: str | None) -> list[str]:
    base = ", ".join(f"{AXES[k]} {v}" for k, v in growth["base"].items())
    lines = [
        "### How the cost of a bare step grows",
        "",
        f"One of four is varied, the others are {base}. Exponents p of time ~ xᵖ, of the whole "
        "step with all its networks: fitted to all points, and between the last two.",
        "",
    ]
    names = list(dict.fromkeys(n for series in growth["axes"].values() for n in series))
    heads = ["", *[f"{n}, all" for n in names], *[f"{n}, last two" for n in names], "from–to"]
    lines += ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for axis, label in AXES.items():
        found = growth["axes"].get(axis)
        if not found:
            continue
        powers = [_power(found.get(n, {}).get(k)) for k in ("exponent", "end") for n in names]
        reached = [x for series in found.values() for x in series["x"]]
        lines.append(f"| {label} | {' | '.join(powers)} | {min(reached)}–{max(reached)} |")
    if figure:
        lines += ["", f"![Time of a step against N, T, B and K]({figure})"]
    return [*lines, ""]


def _power(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _rounded(value: Any) -> Any:
    """Return numbers with five digits: more is noise."""
    if isinstance(value, dict):
        return {k: _rounded(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_rounded(v) for v in value]
    return float(f"{value:.5g}") if isinstance(value, (float, np.floating)) else value


def label_of(device: str, name: str, threads: int) -> str:
    """Return a section's title."""
    if device.startswith("cuda"):
        return f"GPU: {name}"
    return f"CPU: {name}, {threads} threads ({platform.machine()})"
