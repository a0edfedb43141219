"""The device: its name, its cores, its memory, and its peak in matrix products."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

PEAK_SIZES = {"cpu": (1000, 2000), "cuda": (2000, 4000, 8000)}
PEAK_SECONDS = 0.05  # a timing is of at least so long
LIBRARIES = ("torch", "numpy", "jax", "jaxlib")


def is_gpu(device: str) -> bool:
    """Whether it is a GPU."""
    return torch.device(device).type == "cuda"


def synchronise(device: str) -> None:
    """Wait for what was queued."""
    if is_gpu(device):
        torch.cuda.synchronize()


def device_name(device: str) -> str:
    """Return what the device calls itself."""
    if is_gpu(device):
        return torch.cuda.get_device_name()
    name = ""
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        name = lines[0].split(":", 1)[1].strip() if lines else ""
    return f"{name or platform.processor() or platform.machine()}, {os.cpu_count()} cores"


def versions() -> dict[str, str]:
    """Return the versions of Python and the libraries that are here."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def code_version() -> str:
    """Return which code of this project this is."""
    try:
        from pipeline.tables.provenance import code_version as read
    except ImportError:  # `models` may be here without a database
        return "unknown"
    number, dirty = read()
    return f"{number}{' with uncommitted changes' if dirty else ''}"


def available_bytes(device: str) -> float:
    """Return how much memory can still be had."""
    if is_gpu(device):
        free, _ = torch.cuda.mem_get_info()
        # What PyTorch keeps for itself it can use again.
        return free + torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
    info = Path("/proc/meminfo")
    if not info.exists():
        return float("inf")
    lines = dict(line.split(":", 1) for line in info.read_text().splitlines())
    return 1024.0 * int(lines["MemAvailable"].split()[0])


@contextmanager
def cores(threads: int) -> Iterator[None]:
    """Give all sides the same threads, and where the system can, the same cores.

    JAX has no setting of its own for that: it starts as many threads as it may use cores, or as
    NPROC says when it is first used.
    """
    before, nproc = torch.get_num_threads(), os.environ.get("NPROC")
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    try:
        if len(allowed) > threads:
            os.sched_setaffinity(0, sorted(allowed)[:threads])
        torch.set_num_threads(threads)
        os.environ["NPROC"] = str(threads)
        yield
    finally:
        torch.set_num_threads(before)
        if len(allowed) > threads:
            os.sched_setaffinity(0, allowed)
        if nproc is None:
            del os.environ["NPROC"]
        else:
            os.environ["NPROC"] = nproc


class Peak:
    """The best rate of float32 matrix products that was seen, in GFLOP/s, by size."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.by_size: dict[int, float] = {}

    @property
    def best(self) -> float:
        """The best of all sizes, in GFLOP/s."""
        return max(self.by_size.values())

    def measure(self, repeats: int = 3) -> Peak:
        """Measure once more; the best counts."""
        for n in PEAK_SIZES["cuda" if is_gpu(self.device) else "cpu"]:
            a, b = (torch.randn(n, n, device=self.device) for _ in range(2))
            out, calls = torch.mm(a, b), 1
            done = 0
            while done < repeats:
                synchronise(self.device)
                began = time.perf_counter()
                for _ in range(calls):
                    torch.mm(a, b, out=out)
                synchronise(self.device)
                seconds = time.perf_counter() - began
                if seconds < PEAK_SECONDS:
                    calls *= 2
                    continue
                done += 1
                rate = 2e-9 * calls * n**3 / seconds
                self.by_size[n] = max(rate, self.by_size.get(n, 0.0))
        return self

    def milliseconds(self, flops: float) -> float:
        """Return how long so many operations take at the peak."""
        return 1e-6 * flops / self.best

    def to_dict(self) -> dict[str, Any]:
        """Return what was measured, JSON-able."""
        return {"gflops": self.best, "by_size": {str(n): r for n, r in self.by_size.items()}}
