"""Which compiled code a machine computes with: what bits depend on beside versions."""

from __future__ import annotations

from functools import cache


@cache
def kernels_of(device: str) -> str:
    """Return by which kernels a device computes, in one line.

    Libraries choose their kernels by the processor, and those of two kinds round differently: of a
    CPU, the kernels of SciPy's OpenBLAS and of torch, and the processor that Numba compiles for; of
    a GPU, its name and compute capability.

    Parameters
    ----------
    device : str
        A torch device.
    """
    import torch

    place = torch.device(device)
    if place.type == "cuda":
        major, minor = torch.cuda.get_device_capability(place)
        return f"{torch.cuda.get_device_name(place)}, sm_{major}{minor}"
    if place.type != "cpu":
        return place.type
    return "; ".join(filter(None, (_blas(), f"torch {_of_torch()}", _processor())))


def _blas() -> str:
    import scipy.linalg.cython_blas  # noqa: F401  (it loads the library)
    from threadpoolctl import threadpool_info

    found = [library for library in threadpool_info() if library.get("user_api") == "blas"]
    own = [library for library in found if "scipy" in str(library.get("filepath")).split("/")[-2]]
    for library in own or found:
        words = (library.get(name) for name in ("internal_api", "version", "architecture"))
        return " ".join(str(word) for word in words if word)
    return ""


def _of_torch() -> str:
    import torch

    return str(torch.backends.cpu.get_cpu_capability())


def _processor() -> str:
    try:
        from llvmlite.binding import get_host_cpu_name
    except ImportError:  # no Numba for this Python
        return ""
    return str(get_host_cpu_name())
