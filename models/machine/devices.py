"""The torch device that a computation runs on."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tasks_lib.errors import ParameterError

if TYPE_CHECKING:
    import torch


def default_device() -> str:
    """Return "cuda" where there is a GPU, else "cpu"."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def n_gpus() -> int:
    """Return the number of GPUs, without waiting for torch where no driver of any is there."""
    # Of NVIDIA, on their boards too, of AMD, and of the Windows that Linux is in.
    drivers = ("nvidia*", "nvhost*", "nvgpu*", "kfd", "dxg")
    if sys.platform == "linux" and not any(any(Path("/dev").glob(d)) for d in drivers):
        return 0
    import torch

    return int(torch.cuda.device_count())


def kind_of(device: str | torch.device) -> str:
    """Return the kind of a torch device, "cpu" or "cuda": bits are the same only within one."""
    import torch

    return torch.device(device).type


def checked_device(name: str | torch.device | None) -> str:
    """Return a device on which this process can compute; the GPU by default, where there is one.

    Raises
    ------
    ParameterError
        Where it cannot: everything would fail there.
    """
    if name is None:
        return default_device()
    import torch

    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError) as error:  # unknown, or not there
        line = str(error).splitlines()[0]
        raise ParameterError(
            "device", str(name), f"cannot be used here ({line})", "use cpu, or leave it out"
        ) from None
    return str(name)
