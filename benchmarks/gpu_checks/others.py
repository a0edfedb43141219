"""The kernels by themselves, and fixed points in a batch."""

from __future__ import annotations

import time
from functools import partial

import numpy as np
import torch

from models.engine import (
    Buffers,
    Cotangent,
    Draws,
    RecurrentNoise,
    Weights,
    philox,
    simulate,
)
from models.engine.backends import fused, registry
from models.engine.backends.triton_launch import PRECISIONS, products_in
from models.engine.fused_tiles import TENSOR_ROWS
from models.formulas.equations import Equation
from models.network.rnn_numpy import RNNNumpy

from .correctness import draw_networks
from .results import Check
from .steps import milliseconds

TILES = ((2, 4), (4, 4), (8, 4), (16, 4), (16, 8), (32, 8))


def check_tiles(check: Check) -> None:
    """Time the kernels of whole time loops with several tiles, beside the one that is chosen."""
    for k in (1, 2) if check.tiny else (1, 64):
        _check_tiles_of(check, k)


def _check_tiles_of(check: Check, k: int) -> None:
    n, m, o, n_steps, n_trials = (8, 3, 2, 3, 4) if check.tiny else (100, 6, 2, 300, 225)
    equation = Equation("relu", tau=10.0, sigma_rec=0.05)
    w = Weights(*(block.float().to(check.device) for block in draw_networks(k, n, m, o)))
    u = torch.rand(k, n_steps, n_trials, m, device=check.device)
    arriving = torch.randn(1, k, n_steps, n_trials, o, device=check.device)
    scales = torch.full((k,), 0.2, device=check.device)
    keys = torch.arange(2 * k, device=check.device).view(k, 2)

    def both(tile: fused.Tile | None, on_chip: bool | None = None) -> None:
        options = {"precision": check.precision, "tile": tile}
        states, arguments, _ = fused.forward(equation, *w, u, scales, keys, 0, **options)
        fused.backward(
            equation, w.W_rec, w.W_inp, w.W_out, u, states, arguments, arriving,
            on_chip=on_chip, **options,
        )  # fmt: skip

    layout = fused.Layout(n, m, o)
    tile = fused.choose_tile(layout, k, n_trials, u.device, check.precision)
    own = (tile.rows, tile.n_warps)
    # Tensor cores take 16 rows at least.
    others = [t for t in TILES if check.precision == "ieee" or t[0] >= TENSOR_ROWS]
    times = {own: milliseconds(check, partial(both, None), warm_ups=2)}
    for shape in () if check.tiny else others:
        if shape != own:
            times[shape] = milliseconds(check, partial(both, fused.Tile(*shape)), warm_ups=2)
    if fused.sums_on_chip(layout, check.precision):
        written = milliseconds(check, partial(both, None, False), warm_ups=2)
        check.add(f"N {n}, K {k}: gradients summed as adjoints go back by those of all rows",
                  times[own] / written, "times", 1.1,
                  note=f"{times[own]:.3g} and {written:.3g} ms")  # fmt: skip
    best = min(times.values())
    each = ", ".join(f"{rows} trials, {n_warps} warps: {ms:.3g} ms"
                     for (rows, n_warps), ms in times.items())  # fmt: skip
    check.add(f"N {n}, K {k}: kernels with the chosen tile by those with the best",
              times[own] / best, "times", 1.1, note=each)  # fmt: skip
    noise = RecurrentNoise([0.2] * k, keys.tolist(), 0)

    def plain() -> None:
        run = simulate(equation, w, u, noise, back_end="plain")
        run.pull_back([Cotangent(arriving[0])])

    loop = milliseconds(check, plain, warm_ups=1)
    check.add(f"N {n}, K {k}: plain loop by the kernels", loop / best, "times")


def _kernels(check: Check, name: str, n: int, k: int) -> float:
    """Return the time (ms) of a run and its gradients by a back end, from a CUDA graph on a GPU."""
    m, o, n_steps, n_trials = 6, 2, 300, 225
    if check.tiny:
        n, k, n_steps, n_trials = 5 + n % 2, min(k, 2), 3, 4
    equation = Equation("relu", "h", tau=10.0, sigma_rec=0.05)
    w = Weights(*(block.float().to(check.device) for block in draw_networks(k, n, m, o)))
    u = torch.rand(k, n_steps, n_trials, m, device=check.device)
    arriving = Cotangent(torch.randn(k, n_steps, n_trials, o, device=check.device))
    # On the device, as in a training: a graph reads them there.
    noise = RecurrentNoise(
        torch.full((k,), 0.2, device=check.device),  # type: ignore[arg-type]
        torch.arange(2 * k, device=check.device).view(k, 2),  # type: ignore[arg-type]
        torch.zeros(1, dtype=torch.int64, device=check.device),  # type: ignore[arg-type]
    )
    back_end = registry.get(name)

    def step() -> None:
        run = back_end.forward(equation, w, u, noise, (), Buffers())
        back_end.backward(run, [arriving])

    if not check.on_gpu:
        return milliseconds(check, step)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(2):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return milliseconds(check, graph.replay, warm_ups=2)


def check_regimes(check: Check) -> None:
    """Time the kernels of whole loops beside those of single steps, where both can run."""
    # Parts of larger networks are made for single steps alone.
    sizes = (128,) if check.precision == "bf16x6" else (128, 256)
    for n, k in ((size, k) for size in sizes for k in (1, 64 if size == 128 else 16)):
        with products_in(check.precision):
            whole, single = (_kernels(check, name, n, k) for name in ("fused", "stepped"))
        what = f"N {n}, K {k}: the kernels that are chosen by those of single steps"
        note = f"{whole:.3g} and {single:.3g} ms"
        check.add(what, whole / single, "times", 1.1, note=note)


def check_products(check: Check) -> None:
    """Time products in other precisions, and what the same bits in any company cost."""
    for name, n, k in (("fused", 100, 1), ("fused", 100, 64), ("stepped", 1000, 1)):
        times = {}
        for precision in PRECISIONS:
            with products_in(precision):
                times[precision] = _kernels(check, name, n, k)
        check.add(f"N {n}, K {k}: kernels in bf16x6 by those in IEEE",
                  times["bf16x6"] / times["ieee"], "times",
                  note=f"{times['bf16x6']:.3g} and {times['ieee']:.3g} ms")  # fmt: skip
        with products_in("ieee", same_bits=False):
            free = _kernels(check, name, n, k)
        check.add(f"N {n}, K {k}: kernels with the same bits in any company by those without",
                  times["ieee"] / free, "times", 1.05, note=f"{free:.3g} ms without")  # fmt: skip


def check_draws(check: Check) -> None:
    """Compare the draws of inputs and readout with float64, and time them beside torch's."""
    k, shape = (2, (6, 4, 3)) if check.tiny else (64, (300, 225, 6))
    like = torch.empty(0, device=check.device)
    keys = torch.arange(2 * k, device=check.device).view(k, 2)
    number = torch.tensor((5 << 32) + 7, device=check.device)
    back_end = registry.get("fused")
    off = 0.0
    for part in ("inp", "out"):
        found = back_end.normals(Draws(shape, keys, number, part), like)
        exact = philox.normals(shape, keys, number, part, check.device, torch.float64)
        off = max(off, float((found - exact).abs().max()))
    check.add("noise of inputs and readout against float64", off, "", 3e-6)
    own = milliseconds(check, lambda: back_end.normals(Draws(shape, keys, number, "inp"), like))
    torchs = milliseconds(check, lambda: philox.normals(shape, keys, number, "inp", check.device))
    check.add(f"K {k}: noise of inputs, torch's draws by the kernel's", torchs / own, "times",
              1.0, at_least=True, note=f"{torchs:.3g} and {own:.3g} ms")  # fmt: skip


def check_fixed_points(check: Check) -> None:
    """Search many networks in one call on the device, and some of them on the CPU."""
    from models.fixed_points.find import find_fixed_points_of_many
    from models.fixed_points.search import Problem
    from models.fixed_points.settings import SearchSettings

    n, many, some = (6, 2, 1) if check.tiny else (100, 32, 2)
    problems = []
    for seed in range(many):
        rng = np.random.default_rng(seed)
        patterns = np.sign(rng.standard_normal((n, 2)))
        w = 1.6 * patterns @ patterns.T / n + 0.3 * rng.standard_normal((n, n)) / n**0.5
        rnn = RNNNumpy(W_rec=w, W_inp=np.zeros((n, 1)), W_out=np.ones((1, n)), activation="tanh")
        settings = SearchSettings(n_starts=16, max_starts=64) if check.tiny else SearchSettings()
        problems.append(Problem(rnn, np.zeros(1), rng.standard_normal((n, 64)), settings))
    # A search without a device is the CPU's: that is what a tiny check has.
    device = check.device if check.on_gpu else None
    began = time.perf_counter()
    found = find_fixed_points_of_many(problems, device)
    seconds = time.perf_counter() - began
    began = time.perf_counter()
    alone = find_fixed_points_of_many(problems[:some])
    each = (time.perf_counter() - began) / some
    fewer = sum(len(a.points) > len(b.points) for a, b in zip(alone, found, strict=False))
    note = f"{sum(len(s.points) for s in found)} points; {each:.2g} s a network on the CPU"
    what = f"fixed points of {many} networks, N {n}, in one call"
    check.add(what, seconds, "s", 10.0, note=note)
    check.add(f"of {some} searches those with fewer points than on the CPU", fewer, "", 0.0)
