"""Whole training steps: how long, how many launches and waits, how much memory."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from engine_benchmark.measure import TOLERANCE, deviation
from engine_benchmark.peer_seed import Seed
from engine_benchmark.peers import Compiled, Ours, Peer, Unavailable
from engine_benchmark.problem import Problem

from .results import Check, Part

WARM_UPS = 12  # the first ones compile, and may be recorded as a graph
ROUNDS = 5
ROUND_SECONDS = 0.25
# N, B, K, mode, goal in ms of the whole step (None: for information), seconds that it takes.
CASES = (
    (100, 225, 1, "bare", 1.5, 15),
    (100, 225, 64, "bare", 6.0, 15),
    (100, 225, 1, "penalties", 2.5, 15),
    (100, 225, 64, "penalties", 12.0, 20),
    (256, 225, 16, "bare", 10.0, 20),
    (1000, 225, 1, "bare", 12.0, 20),
    (1000, 225, 1, "penalties", 20.0, 20),
    (1000, 450, 1, "bare", 14.0, 20),
)
# Sizes whose neighbour must not cost more than twice as much for each operation.
CLIFFS = ((128, 129), (256, 257), (512, 513))
LAUNCHES = ("cudaLaunchKernel", "cuLaunchKernel", "cudaGraphLaunch", "cudaMemcpyAsync",
            "cudaMemsetAsync")  # fmt: skip
WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize")


def problem_of(check: Check, n: int, b: int, k: int, mode: str) -> Problem:
    """Return what is trained; of a size that takes no time in a tiny check."""
    if check.tiny:
        return Problem(mode, 8 + n % 2, 4, min(k, 2), 10, check.device, check.precision)
    return Problem(mode, n, b, k, 300, check.device, check.precision)


def wait_for(check: Check) -> None:
    """Wait for the device."""
    if check.on_gpu:
        torch.cuda.synchronize()


def milliseconds(check: Check, step: Callable[[], Any], warm_ups: int = WARM_UPS) -> float:
    """Return the time of a step among many: the median of rounds that end with one wait each."""

    def many(number: int) -> None:
        for _ in range(number):
            step()

    return milliseconds_of_many(check, many, warm_ups)


def milliseconds_of_many(
    check: Check, many: Callable[[int], Any], warm_ups: int = WARM_UPS
) -> float:
    """Return the time of a step, where a call does so many of them."""
    if not check.tiny:
        many(warm_ups)
    wait_for(check)
    began = time.perf_counter()
    many(1)
    wait_for(check)
    one = max(time.perf_counter() - began, 1e-6)
    if check.tiny:
        return 1e3 * one
    number = int(np.clip(ROUND_SECONDS / one, 1, 200))
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        many(number)
        wait_for(check)
        times.append(1e3 * (time.perf_counter() - began) / number)
    return statistics.median(times)


def calls_of(check: Check, many: Callable[[int], Any], number: int) -> dict[str, float]:
    """Return launches, waits and the time of the device of a step, from torch's profiler."""
    from torch.profiler import ProfilerActivity, profile

    activities = [ProfilerActivity.CPU]
    if check.on_gpu:
        activities.append(ProfilerActivity.CUDA)
    with profile(activities=activities) as found:
        many(number)
    counts = {"launches": 0.0, "waits": 0.0, "device_ms": 0.0}
    for event in found.key_averages():
        counts["launches"] += event.count * event.key.startswith(LAUNCHES)
        counts["waits"] += event.count * event.key.startswith(WAITS)
        counts["device_ms"] += 1e-3 * getattr(event, "self_device_time_total", 0.0)
    wait_for(check)
    return {name: value / number for name, value in counts.items()}


def step_part(n: int, b: int, k: int, mode: str, goal: float | None, seconds: float) -> Part:
    """Return the part that measures one whole step of ours."""
    name = f"N {n}, B {b}, K {k}, {mode}"

    def run(check: Check) -> None:
        problem = problem_of(check, n, b, k, mode)
        if check.on_gpu:
            torch.cuda.reset_peak_memory_stats()
        ours = Ours(problem)
        ours.prepare()
        found = milliseconds_of_many(check, ours.steps)
        check.shared[n, b, k, mode] = found
        peak = torch.cuda.max_memory_allocated() if check.on_gpu else 0
        calls = calls_of(check, ours.steps, 2 if check.tiny else 50)
        note = f"{found / problem.n_networks:.3g} ms a network; kernels {calls['device_ms']:.3g} ms"
        note += f"; {'replayed as CUDA graphs' if ours.is_captured else 'not captured'}"
        check.add(f"{name}: whole step", found, "ms", goal, note=note)
        check.add(f"{name}: launches and copies", calls["launches"], "an iteration", 10.0)
        check.add(f"{name}: waits", calls["waits"], "an iteration", 0.02)
        if check.on_gpu:
            ratio = peak / estimate(ours, problem)
            check.add(f"{name}: peak memory by its estimate", ratio, "times", 1.0,
                      note=f"{peak / 2**30:.2f} GiB")  # fmt: skip

    return Part(name, run, seconds)


def estimate(ours: Ours, problem: Problem) -> int:
    """Return the bytes that a training is planned with (`models.training.memory`)."""
    from models.training.memory import TrainingSize

    rnn = ours._trainer.rnn
    size = TrainingSize(
        problem.network_config(), ours._trainer.config, rnn.n_inputs, rnn.n_outputs,
        problem.n_steps, problem.n_trials, rnn.device, rnn.dtype,
    )  # fmt: skip
    return size.bytes_needed(problem.n_networks)


def cliff_part(small: int, large: int) -> Part:
    """Return the part that compares the cost of an operation at two sizes."""

    def run(check: Check) -> None:
        cost = {}
        for n in (small, large):
            problem = problem_of(check, n, 225, 8, "bare")
            ours = Ours(problem)
            ours.prepare()
            cost[n] = milliseconds_of_many(check, ours.steps) / problem.product_flops()
            del ours
            check.free()
        check.add(f"K 8: time of an operation at N {large} by that at N {small}",
                  cost[large] / cost[small], "times", 2.0)  # fmt: skip

    return Part(f"cliff at N {large}", run, 30)


def peer_part(n: int, b: int, k: int, mode: str, name: str, side: type[Peer], least: float) -> Part:
    """Return the part that times another side at a size, after comparing its gradients."""

    def run(check: Check) -> None:
        if side is Seed:
            if check.seed_trainer is None:
                raise Unavailable("no checkout given (--seed-trainer PATH)")
            Seed.checkout = Path(check.seed_trainer).resolve()
        problem = problem_of(check, n, b, k, mode)
        ours, peer = Ours(problem), side(problem)
        # A compiler takes most of a minute for what a test of this check wants to pass through.
        with mock.patch("torch.compile", lambda f, **_: f) if check.tiny else nullcontext():
            ours.prepare()
            peer.prepare()
            safe = peer.projects_alike
            off = deviation(peer.gradients(safe), ours.gradients(safe))
            where = f"N {n}, B {b}, K {k}, {mode}: {name}"
            check.add(f"{where}: gradients against ours", off, "", TOLERANCE)
            del ours
            gc.collect()
            theirs = milliseconds(check, peer.step, warm_ups=2) / peer.networks_per_step
        own = check.shared.get((n, b, k, mode))
        if own is None:
            check.add(f"{where}: a network and step", theirs, "ms")
        else:
            check.add(f"{where}: its time by ours", theirs * problem.n_networks / own, "times",
                      least, at_least=True, note=f"{theirs:.3g} ms a network")  # fmt: skip

    return Part(f"{name} at N {n}, K {k}, {mode}", run, 40 if side is Compiled else 20)


def cudnn_part(n: int, b: int) -> Part:
    """Return the part that times `torch.nn.RNN`: no leak, no noise, no constraints; an anchor."""

    def run(check: Check) -> None:
        problem = problem_of(check, n, b, 1, "bare")
        rnn = torch.nn.RNN(6, problem.n_units, nonlinearity="relu").to(check.device)
        read = torch.nn.Linear(problem.n_units, 2).to(check.device)
        with torch.no_grad():
            for p in rnn.parameters():
                p.mul_(0.5)
        u = torch.rand(problem.n_steps, problem.n_trials, 6, device=check.device)
        parameters = [*rnn.parameters(), *read.parameters()]

        def step() -> None:
            loss = read(rnn(u)[0]).square().mean()
            torch.autograd.grad(loss, parameters)

        found = milliseconds(check, step, warm_ups=3)
        own = check.shared.get((n, b, 1, "bare"))
        beside = "" if own is None else f"ours, the whole step, takes {own / found:.2f} times that"
        check.add(f"N {n}, B {b}: cuDNN's nn.RNN forward and back (anchor)", found, "ms",
                  note=beside)  # fmt: skip

    return Part(f"cuDNN at N {n}", run, 8)


def check_largest(check: Check) -> None:
    """Take a step of a network of 1000 units, 1000 steps and 256 trials, with penalties."""
    problem = problem_of(check, 1000, 256, 1, "penalties")
    if not check.tiny:
        problem = Problem("penalties", 1000, 256, 1, 1000, check.device, check.precision)
    if check.on_gpu:
        torch.cuda.reset_peak_memory_stats()
    ours = Ours(problem)
    ours.prepare()
    ours.steps(2 if check.tiny else 6)  # of which the first ones are not captured
    wait_for(check)
    peak = torch.cuda.max_memory_allocated() if check.on_gpu else 0
    check.add("N 1000, T 1000, B 256, penalties and monitor: peak memory", peak / 1e9, "GB", 80.0,
              note=f"estimated {estimate(ours, problem) / 1e9:.1f} GB")  # fmt: skip


def check_training_bits(check: Check) -> None:
    """Train a network alone and among others, and cut and go on; hash its weights."""
    from .correctness import _digest

    n, iterations = (8, 2) if check.tiny else (100, 12)
    numbers = (1, 2) if check.tiny else (1, 3, 64)

    def trained(k: int, cut: int | None = None) -> str:
        problem = problem_of(check, n, 225, k, "bare")
        ours = Ours(problem)
        ours.prepare()
        for i in range(iterations):
            if i == cut:
                kept = ours._trainer.state_bytes()
                ours = Ours(problem)
                ours.prepare()
                ours._trainer.load_state_bytes(kept, "the state of this check")
            ours.step()
        return _digest(*(p[0] for p in ours._trainer.rnn.parameters()))

    hashes = {k: trained(k) for k in numbers}
    check.add(f"training: different bits of one network alone and among {numbers[1:]}",
              len(set(hashes.values())) - 1, "", 0.0)  # fmt: skip
    again = trained(1, cut=iterations // 2)
    check.add("training: different bits after being cut and resumed",
              float(again != hashes[1]), "", 0.0)  # fmt: skip
