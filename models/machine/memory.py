"""How much memory is free on this machine, and allowed to this process."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from tasks_lib.errors import ParameterError, text_of
from tasks_lib.sizes import bytes_in_words

if TYPE_CHECKING:
    import torch

# Of the memory that is free, what a training may be planned for: estimates are not exact, and
# allocators keep more than is asked of them.
SHARE = 0.8
# Limits of control groups beyond this are none: the first version says so by a large number.
UNLIMITED = 2**60


def free_bytes(device: torch.device) -> int:
    """Return the memory that is free on a device, and allowed to this process."""
    if device.type == "cuda":
        import torch

        return int(torch.cuda.mem_get_info(device)[0])
    free = int(psutil.virtual_memory().available)
    return min([free, *_allowed_by_control_group(), *_allowed_by_resource_limits()])


def _allowed_by_control_group(
    root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")
) -> list[int]:
    """Return what is left of the limits that a scheduler or a container sets, if any."""
    left: list[int] = []
    try:
        lines = [line.split(":", 2) for line in own.read_text().splitlines()]
    except OSError:
        return left  # no Linux
    for _, controllers, group in lines:
        first_version = "memory" in controllers.split(",")
        if not first_version and controllers:
            continue
        top = root / "memory" if first_version else root
        limit, usage = (
            ("memory.limit_in_bytes", "memory.usage_in_bytes")
            if first_version
            else ("memory.max", "memory.current")
        )
        folder = top / group.lstrip("/")
        for place in (folder, *folder.parents):
            if not place.is_relative_to(top):
                break
            try:
                text = (place / limit).read_text().strip()
                if text != "max" and int(text) < UNLIMITED:
                    used = int((place / usage).read_text()) - _reclaimable(place)
                    left.append(max(int(text) - used, 0))
            except (OSError, ValueError):
                pass  # no such group is seen from in here, or it sets none
    return left


def _reclaimable(group: Path) -> int:
    """Return the memory of cached files, which counts as used and is freed when needed."""
    found = {}
    for line in (group / "memory.stat").read_text().splitlines():
        name, number = line.split()
        found[name] = int(number)
    # The first version counts a group's own and, as total, those of the groups within it.
    cached = found.get("total_inactive_file", found.get("inactive_file", 0))
    return cached + found.get("slab_reclaimable", 0)


def _allowed_by_resource_limits() -> list[int]:
    """Return what is left of this process's own limits (``ulimit -v``, ``ulimit -d``), if any."""
    try:
        import resource
    except ImportError:  # Windows
        return []
    used = psutil.Process().memory_info()
    left = []
    for name, taken in (("RLIMIT_AS", used.vms), ("RLIMIT_DATA", getattr(used, "data", 0))):
        limit = resource.getrlimit(getattr(resource, name))[0]
        if limit != resource.RLIM_INFINITY:
            left.append(max(int(limit) - int(taken), 0))
    return left


def is_short_of_memory(error: BaseException) -> bool:
    """Return whether an error of Python, NumPy or torch means that memory ran out."""
    # An error of torch's comes where torch is: nothing is to be imported when memory is short.
    torch = sys.modules.get("torch")
    of_torch = () if torch is None else (torch.OutOfMemoryError,)
    return isinstance(error, (MemoryError, *of_torch)) or (
        isinstance(error, RuntimeError) and "DefaultCPUAllocator" in text_of(error)
    )


def more_memory(needed: float) -> str:
    """Return the advice of a message where so many bytes do not fit."""
    return f"use fewer units, or a machine with {bytes_in_words(needed / SHARE)} free"


def check_fits(n_units: int, what: str, needed: float, device: torch.device) -> None:
    """Refuse a computation that does not fit, before it begins.

    Parameters
    ----------
    n_units : int
    what : str
        The computation, as the message calls it.
    needed : float
        Bytes at its peak.
    device : torch.device

    Raises
    ------
    ParameterError
        With what it needs and what there is.
    """
    allowed = SHARE * free_bytes(device)
    if needed > allowed:
        raise ParameterError(
            "n_units",
            n_units,
            f"{what} takes about {bytes_in_words(needed)}, and {bytes_in_words(allowed)} of what "
            "is free may be used",
            more_memory(needed),
        )
