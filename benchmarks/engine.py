"""What a training step costs, beside other ways to take it and beside the floor of its products.

    python benchmarks/engine.py [--device cuda] [--seed-repo PATH] [--write benchmarks/engine.md]

Sides: ours, a textbook PyTorch loop, `torch.compile` of its time step, JAX where it is installed,
and the trainer of a checkout of trainRNNbrain where one is given. At every size their gradients
are compared, then all step in turns. Also measured: the floor, and how the cost grows with N, T, B
and K. ``--write`` writes a page, its data and a figure beside it, and leaves the sections of other
devices there as they are; ``--add`` also keeps this device's other sizes.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

from engine_benchmark import page
from engine_benchmark.device import Peak, code_version, cores, device_name, versions
from engine_benchmark.growth import run_growth
from engine_benchmark.measure import floor_milliseconds, run_cell
from engine_benchmark.peer_jax import Jax
from engine_benchmark.peer_seed import Seed
from engine_benchmark.peers import Compiled, Loop, Ours, Peer
from engine_benchmark.problem import MODES, Problem

SIDES: tuple[type[Peer], ...] = (Ours, Loop, Compiled, Jax, Seed)
GROWTH = {
    "n_units": (50, 100, 200, 500, 1000),
    "n_steps": (75, 150, 300, 600),
    "n_trials": (32, 64, 128, 225, 450),
    "n_networks": (1, 2, 4, 8),
}


def options_of(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = [side.name for side in SIDES]
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))
    parser.add_argument("--sizes", nargs="+", type=int, default=[50, 100, 500, 1000], help="N")
    parser.add_argument("--batches", nargs="+", type=int, default=[32, 225, 450], help="B")
    parser.add_argument("--networks", nargs="+", type=int, default=[1, 8, 64], help="K")
    parser.add_argument("--steps", type=int, default=300, help="T")
    parser.add_argument("--peers", nargs="*", choices=names, default=names)
    parser.add_argument("--seed-repo", type=Path, help="a checkout of trainRNNbrain")
    parser.add_argument("--group", type=int, help="networks of ours in one batch (all)")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--budget-seconds", type=float, default=60.0, help="of a cell's rounds")
    parser.add_argument("--growth", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--growth-base", nargs=4, type=int, default=[100, 300, 225, 1],
                        metavar=("N", "T", "B", "K"))  # fmt: skip
    for axis, values in GROWTH.items():
        parser.add_argument(f"--growth-{axis[2:]}", nargs="*", type=int, default=list(values),
                            help=argparse.SUPPRESS)  # fmt: skip
    parser.add_argument("--write", type=Path, help="the page to write")
    parser.add_argument("--add", action="store_true", help="keep this device's other sizes")
    options = parser.parse_args(argv)
    options.command = command(argv if argv is not None else sys.argv[1:])
    return options


def command(argv: Sequence[str]) -> str:
    """Return the command as others would type it: where the checkout lies is of no interest."""
    words = list(argv)
    for i, word in enumerate(words[1:], start=1):
        if words[i - 1] == "--seed-repo":
            words[i] = "PATH"
        elif words[i - 1] == "--write" and Path(word).is_absolute():
            words[i] = f"benchmarks/{Path(word).name}"
    return shlex.join(["python", "benchmarks/engine.py", *words])


def measure(options: argparse.Namespace) -> None:
    """Measure all cells and the growth; print and write as they come."""
    Ours.group = options.group
    Seed.checkout = options.seed_repo and options.seed_repo.resolve()
    sides = [s for s in SIDES if s is Ours or s.name in options.peers]
    if options.seed_repo is None:
        sides = [s for s in sides if s is not Seed]
    peak = Peak(options.device).measure()
    name = device_name(options.device)
    label = page.label_of(options.device, name, options.threads)
    section: dict[str, Any] = {
        "device": name,
        "threads": options.threads,
        "versions": versions(),
        "code": code_version(),
        "commands": [options.command],
        "cells": [],
        "growth": None,
    }
    before = page.read(options.write.with_suffix(".json")) if options.write else {}

    def keep() -> None:
        section["peak"] = peak.measure(repeats=1).to_dict()
        if options.write:
            mine = page.merged(before.get(label), section) if options.add else section
            if "check" in before.get(label, {}):  # of gpu_check.py
                mine = {**mine, "check": before[label]["check"]}
            page.write(options.write, {**before, label: mine}, sides)

    shapes = product(options.sizes, options.batches, options.networks, options.modes)
    for n_units, n_trials, n_networks, mode in shapes:
        problem = Problem(mode, n_units, n_trials, n_networks, options.steps, options.device)
        cell = run_cell(problem, sides, options.rounds, options.budget_seconds, peak)
        section["cells"].append(cell)
        keep()
        print(line(cell, peak), flush=True)
    if options.growth:
        values = {axis: getattr(options, f"growth_{axis[2:]}") for axis in GROWTH}
        base = dict(zip(("n_units", "n_steps", "n_trials", "n_networks"),
                        options.growth_base, strict=True))  # fmt: skip
        section["growth"] = run_growth(
            base,
            values,
            options.device,
            options.rounds,
            options.budget_seconds,
            peak,
            report=lambda text: print(text, flush=True),
        )
        keep()


def line(cell: dict[str, Any], peak: Peak) -> str:
    """Return a cell in one line."""
    size = f"{cell['mode']:9s} N {cell['n_units']} B {cell['n_trials']} K {cell['n_networks']}:"
    if "not_run" in cell:
        return f"{size} not run: {cell['not_run']}"
    ours = cell["peers"]["ours"]["ms"][1]
    words = [f"ours {ours:.3g} ms, {ours / floor_milliseconds(cell, peak.best):.2f} x floor"]
    for name, found in cell["peers"].items():
        if "not_run" in found:
            words.append(f"{name} not run ({found['not_run']})")
        elif name != "ours":
            words.append(
                f"{name} {found['ratio'][1]:.2f} x (gradients {found['deviation']:.0e}, "
                f"{found['busy']:.1f} cores)"
            )
    return f"{size} {'; '.join(words)} [{cell['rounds']} rounds]"


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, write."""
    options = options_of(argv)
    with cores(options.threads):
        measure(options)


if __name__ == "__main__":
    main()
