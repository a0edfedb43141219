"""One cell of the table: gradients compared, then all sides timed in turns."""

from __future__ import annotations

import gc
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .device import Peak, available_bytes, synchronise
from .peers import Ours, Peer, Unavailable
from .problem import BLOCKS, PRODUCTS, Arrays, Problem

TOLERANCE = 1e-3
WARM_UPS = 2
MIN_ROUNDS = 3
SHORT = 500.0  # milliseconds
PAUSE = 0.05  # seconds in which the threads of one library go to sleep before another's turn


@dataclass
class Timing:
    """What a side's steps took in each round."""

    peer: Peer
    deviation: float = 0.0
    milliseconds: list[float] = field(default_factory=list)  # a network and iteration
    busy: list[float] = field(default_factory=list)  # CPU seconds a second

    def take(self) -> float:
        """Time one step; return its seconds.

        A short one is timed right after another, as steps of a training follow each other: after a
        pause the machine is slow, and the cache is someone else's.
        """
        device = self.peer.problem.device
        synchronise(device)
        time.sleep(PAUSE)
        if self.milliseconds and self.milliseconds[-1] * self.peer.networks_per_step < SHORT:
            self.peer.step()
            synchronise(device)
        began, used = time.perf_counter(), time.process_time()
        self.peer.step()
        synchronise(device)
        seconds, used = time.perf_counter() - began, time.process_time() - used
        self.milliseconds.append(1e3 * seconds / self.peer.networks_per_step)
        self.busy.append(used / seconds)
        return seconds


def deviation(found: Arrays, wanted: Arrays) -> float:
    """Return the largest deviation, relative to the largest entry of its block of weights."""
    worst = 0.0
    for name in BLOCKS:
        both = min(len(found[name]), len(wanted[name]))  # a side may train some of the networks
        theirs, ours = found[name][:both], wanted[name][:both]
        if not np.isfinite(theirs).all():
            return float("inf")
        largest = max(float(np.abs(ours).max()), 1e-30)
        worst = max(worst, float(np.abs(theirs - ours).max()) / largest)
    return worst


def quartiles(values: Sequence[float]) -> list[float]:
    """Return the first quartile, the median and the third."""
    return [float(v) for v in np.percentile(values, (25, 50, 75))]


def run_cell(
    problem: Problem, sides: Sequence[type[Peer]], rounds: int, budget: float, peak: Peak
) -> dict[str, Any]:
    """Measure one cell; return it JSON-able.

    Parameters
    ----------
    problem : Problem
    sides : sequence of Peer classes
        Ours is among them.
    rounds : int
        How often each side has its turn, less where the budget ends before.
    budget : float
        Seconds that the rounds may take.
    peak : Peak
        For the estimate of how long the cell takes.

    Notes
    -----
    A side whose gradients deviate from ours by more than `TOLERANCE` is left out: its time would
    say nothing.
    """
    cell: dict[str, Any] = {
        "mode": problem.mode,
        "n_units": problem.n_units,
        "n_trials": problem.n_trials,
        "n_networks": problem.n_networks,
        "n_steps": problem.n_steps,
        "rounds": 0,
        "peers": {},
    }
    if reason := _obstacle(Ours(problem), budget, peak):
        return {**cell, "not_run": reason}
    try:
        timings = _prepared([side(problem) for side in sides], budget, peak, cell["peers"])
        timings = _warmed_up(timings, budget, cell["peers"])
        cell["rounds"] = _take_turns(timings, rounds, budget)
    finally:
        gc.collect()
    ours = np.array(next(t for t in timings if isinstance(t.peer, Ours)).milliseconds)
    for timing in timings:
        cell["peers"][timing.peer.name] = {
            "ms": quartiles(timing.milliseconds),
            "ratio": quartiles(np.array(timing.milliseconds) / ours),
            "busy": float(np.median(timing.busy)),
            "deviation": timing.deviation,
        }
    return cell


def floor_milliseconds(cell: dict[str, Any], gflops: float) -> float:
    """Return the time that the products of a cell need at the peak, a network and iteration."""
    shape = (cell[k] for k in ("n_units", "n_trials", "n_networks", "n_steps"))
    flops = PRODUCTS[cell["mode"]] * Problem(cell["mode"], *shape).product_flops()
    return 1e-6 * flops / gflops


def _obstacle(peer: Peer, budget: float, peak: Peak) -> str:
    """Return why a side cannot be measured in this memory and time, empty where it can."""
    problem, networks = peer.problem, peer.networks_per_step
    need, have = peer.buffers * problem.array_bytes(networks), available_bytes(problem.device)
    if need > 0.9 * have:
        return f"needs about {need / 2**30:.0f} GiB, {have / 2**30:.0f} are free"
    flops = PRODUCTS[problem.mode] * problem.product_flops() * networks
    seconds = 1e-3 * peak.milliseconds(flops)
    if seconds * 2 * (MIN_ROUNDS + WARM_UPS) > budget:
        return f"the products of one step alone take {seconds:.0f} s"
    return ""


def _prepared(
    sides: Sequence[Peer], budget: float, peak: Peak, peers: dict[str, Any]
) -> list[Timing]:
    """Prepare all sides and compare their gradients with ours; write down who cannot."""
    timings: list[Timing] = []
    wanted: dict[bool, Arrays] = {}  # ours, with the task-safe projection and without
    for peer in sorted(sides, key=lambda peer: not isinstance(peer, Ours)):
        try:
            if reason := _obstacle(peer, budget, peak):
                raise Unavailable(reason)
            peer.prepare()
            safe = peer.projects_alike
            if safe not in wanted:
                ours = peer if isinstance(peer, Ours) else timings[0].peer
                wanted[safe] = ours.gradients(safe)
            found = wanted[safe] if isinstance(peer, Ours) else peer.gradients(safe)
        except Unavailable as error:
            peers[peer.name] = {"not_run": str(error)}
            continue
        off = deviation(found, wanted[safe])
        if not off <= TOLERANCE:
            peers[peer.name] = {
                "not_run": f"its gradients deviate from ours by {off:.1e} of the largest; more "
                f"than {TOLERANCE:.0e} is not the same work"
            }
            continue
        timings.append(Timing(peer, off))
    return timings


def _warmed_up(timings: list[Timing], budget: float, peers: dict[str, Any]) -> list[Timing]:
    """Step without counting; leave out, and write down, those that would take too long."""
    kept = []
    for timing in timings:
        for _ in range(WARM_UPS):
            seconds = timing.take()
            if seconds * MIN_ROUNDS > budget:
                break
        timing.milliseconds.clear()
        timing.busy.clear()
        if seconds * MIN_ROUNDS > budget and not isinstance(timing.peer, Ours):
            peers[timing.peer.name] = {"not_run": f"one step takes {seconds:.0f} s"}
        else:
            kept.append(timing)
    return kept


def _take_turns(timings: list[Timing], rounds: int, budget: float) -> int:
    """Let each side step once a round, first another one each time; return how many rounds."""
    began = time.perf_counter()
    done = 0
    for i in range(rounds):
        first = i % len(timings)
        for timing in timings[first:] + timings[:first]:
            timing.take()
        done += 1
        if done >= MIN_ROUNDS and time.perf_counter() - began > budget:
            break
    return done
