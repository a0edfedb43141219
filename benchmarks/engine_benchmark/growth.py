"""How the cost grows with N, T, B and K: measured, fitted, drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .device import Peak
from .measure import run_cell
from .peers import Loop, Ours, Peer
from .problem import Problem

AXES = {
    "n_units": "units N",
    "n_steps": "steps T",
    "n_trials": "trials B",
    "n_networks": "networks K",
}
SIDES: tuple[type[Peer], ...] = (Ours, Loop)
COLOURS = {"ours": "#1b6ca8", "loop": "#c8553d"}
MARKERS = ("o", "s", "^", "D")


def run_growth(
    base: dict[str, int],
    values: dict[str, Sequence[int]],
    device: str,
    rounds: int,
    budget: float,
    peak: Peak,
    report: Callable[[str], None],
) -> dict[str, Any]:
    """Vary one of N, T, B, K at a time about ``base``; return points and exponents, JSON-able."""
    growth: dict[str, Any] = {"base": base, "axes": {}}
    for axis, choices in values.items():
        points: dict[str, dict[str, list[Any]]] = {}
        for value in choices:
            shape = {**base, axis: value}
            cell = run_cell(Problem("bare", device=device, **shape), SIDES, rounds, budget, peak)
            report(f"growth, {AXES[axis]} {value}")
            for name, found in cell["peers"].items():
                if "ms" in found:
                    series = points.setdefault(name, {"x": [], "ms": []})
                    series["x"].append(value)
                    # Of the whole step: all K networks.
                    series["ms"].append([shape["n_networks"] * ms for ms in found["ms"]])
        growth["axes"][axis] = {
            name: {**series, "exponent": _exponent(series), "end": _exponent(series, last=2)}
            for name, series in points.items()
        }
    return growth


def _exponent(series: dict[str, list[Any]], last: int = 0) -> float | None:
    """Fit ms ~ x^p by least squares on logarithms, to all points or the last ones."""
    x, medians = series["x"][-last:], [ms[1] for ms in series["ms"]][-last:]
    if len(set(x)) < 2:
        return None
    return float(np.polyfit(np.log(x), np.log(medians), 1)[0])


def draw(sections: dict[str, Any], path: Path) -> bool:
    """Draw the growth of every device's section; return whether there was any."""
    drawn = {label: s["growth"] for label, s in sections.items() if s.get("growth")}
    if not drawn:
        return False
    try:
        import matplotlib.pyplot as plt
        from matplotlib.ticker import FuncFormatter, LogLocator
    except ImportError:  # a bare machine: the figure stays as it is
        return path.exists()
    figure, panels = plt.subplots(2, 2, figsize=(8, 6.4), constrained_layout=True)
    for panel, (axis, label) in zip(panels.flat, AXES.items(), strict=True):
        for i, (where, growth) in enumerate(drawn.items()):
            for name, series in growth["axes"].get(axis, {}).items():
                low, median, high = np.array(series["ms"]).T
                power = "" if series["exponent"] is None else f", exponent {series['exponent']:.2f}"
                device = f"{where.split(',')[0]}, " if len(drawn) > 1 else ""
                panel.errorbar(
                    series["x"],
                    median,
                    yerr=np.stack([median - low, high - median]),
                    marker=MARKERS[i % len(MARKERS)],
                    markersize=4,
                    linewidth=1.2,
                    linestyle=("-", "--", ":")[i % 3],
                    capsize=2,
                    color=COLOURS[name],
                    label=f"{device}{name}{power}",
                )
        panel.set(xscale="log", yscale="log", xlabel=label, ylabel="ms per training step")
        ticks = sorted(
            {x for g in drawn.values() for s in g["axes"][axis].values() for x in s["x"]}
        )
        panel.set_xticks(ticks, [str(t) for t in ticks])
        panel.minorticks_off()
        panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        panel.grid(alpha=0.3, linewidth=0.5)
        panel.legend(fontsize=7, frameon=False)
    figure.savefig(path, dpi=150)
    plt.close(figure)
    return True
