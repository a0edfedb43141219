"""The page of the figures, and its data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from engine_benchmark.device import code_version, device_name, versions

SIDES = ("fsolve", "fsolve without Jacobian", "FixedPointFinder", "trainRNNbrain")


def _other(row: dict[str, Any], side: str) -> str:
    if side not in row["others"]:
        return "–"
    other = row["others"][side]
    return f"{other['found']} ({other['seconds']:.1f} s)"


def _row(row: dict[str, Any]) -> str:
    kinds = " / ".join(f"{n}" for n in row["by_index"].values()) or "–"
    modes = ", ".join(row["by_index"]) or "–"
    expected = "?" if row["index_expected"] is None else f"{row['index_expected']:+d}"
    total = "–" if row["index_sum"] is None else f"{row['index_sum']:+d}"
    ours = ", ".join(str(n) for n in row["ours"])
    cells = [
        row["network"], row["input"], str(row["union"]), ours, f"{kinds} ({modes})",
        "all" if row["coverage"] is None else f"{row['coverage']:.3f}",
        f"{total} ({expected})", ", ".join(row["status"]),
        f"{row['seconds']:.2f}",
        *(_other(row, side) for side in SIDES),
    ]  # fmt: skip
    return "| " + " | ".join(cells) + " |"


def table(data: dict[str, Any]) -> str:
    """Return the completeness table."""
    head = ["network", "input", "all", "ours, by seed", "by index (unstable modes)", "coverage",
            "index sum (expected)", "status", "ours (s)", *SIDES]  # fmt: skip
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + [_row(row) for row in data["rows"]])


def summary(data: dict[str, Any]) -> str:
    """Return what the table amounts to, in a few lines."""
    rows = data["rows"]
    complete = sum(all(n == row["union"] for n in row["ours"]) for row in rows)
    lines = [f"- ours found all points from every seed in {complete} of {len(rows)} searches"]
    for side in SIDES:
        these = [row for row in rows if side in row["others"]]
        if these:
            found = sum(row["others"][side]["found"] for row in these)
            there = sum(row["union"] for row in these)
            whole = sum(row["others"][side]["found"] == row["union"] for row in these)
            ratios = sorted(row["others"][side]["seconds"] / row["seconds"] for row in these)
            lines.append(
                f"- {side}: {found} of {there} points, complete in {whole} of {len(these)}; "
                f"{ratios[len(ratios) // 2]:.1f} times our time "
                f"({ratios[0]:.1f} to {ratios[-1]:.1f})"
            )
    return "\n".join(lines)


def batch_text(batch: dict[str, Any]) -> str:
    """Return the figures of the batch."""
    loop = batch["fsolve"]
    times = ", ".join(
        f"{seconds:.1f} s on {device} ({loop['seconds'] / seconds:.1f} times faster)"
        for device, seconds in batch["seconds"].items()
    )
    n_sets = batch["n_networks"] * batch["n_inputs"]
    return (
        f"{batch['n_networks']} flip-flops of {batch['n_units']} units at {batch['n_inputs']} "
        f"inputs in one call: {times}; {batch['found']} points, {batch['complete']} of {n_sets} "
        f"sets complete, {batch['missed']} points missed that fsolve found. fsolve one by one: "
        f"{loop['seconds']:.1f} s, {loop['found']} points."
    )


def write_page(path: Path, data: dict[str, Any], threads: int) -> None:
    """Write the page and, beside it, its data."""
    batch = batch_text(data["batch"]) if "batch" in data else "Not measured."
    used = ["cpu", *(d for d in data.get("batch", {}).get("seconds", {}) if d != "cpu")]
    devices = " and ".join(device_name(device) for device in used)
    known = ", ".join(f"{name} {number}" for name, number in versions().items())
    text = f"""# Fixed points: how many of them, and how fast

Printed by `python benchmarks/fixed_points.py --write {path.name}`. "All" are the distinct
points that any side found. Ours is searched from {data["seeds"]} seeds with default settings,
the others have {data["starts"]} starts from the same trajectories (trainRNNbrain: its own
patience). Seconds are those of one search on {threads} threads, eigenvalues of the points
included, and for ours the trajectories and the index at infinity too. The class of
trainRNNbrain cannot be imported as it stands: the names that its module asks for and its
other modules lack are given to it.

{summary(data)}

{table(data)}

## Many networks in one call

{batch}

On {devices}, {threads} threads; {known}; code {code_version()}.
"""
    path.write_text(text)
    path.with_suffix(".json").write_text(json.dumps(data, indent=1) + "\n")
