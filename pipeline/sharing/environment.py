"""The environment in which something is computed: packages, Python, platform and processor."""

from __future__ import annotations

import importlib.metadata
import platform
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..tables.provenance import PACKAGE, code_version

# On which it depends whether a network that is trained again is the same to the bit.
DECISIVE = ("torch", "numpy", "numba", "scipy")


def environment() -> dict[str, Any]:
    """Return what is installed here, and on what it runs; no name of a machine, user or folder."""
    import numpy as np
    import torch

    version, dirty = code_version()
    built = np.show_config(mode="dicts") or {}
    library = built.get("Build Dependencies", {}).get("blas", {})
    vectors = built.get("SIMD Extensions", {})
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "code_version": version,
        "code_dirty": dirty,
        "python": {
            "version": platform.python_version(),
            "implementation": platform.python_implementation(),
        },
        "platform": {
            "system": platform.system(),
            "machine": platform.machine(),
            "libc": " ".join(platform.libc_ver()).strip(),
        },
        "cpu": {
            "model": _cpu_model(),
            "capability": torch.backends.cpu.get_cpu_capability(),
            # Which NumPy uses, beyond those that it was built to need.
            "features": sorted({*vectors.get("baseline", ()), *vectors.get("found", ())}),
        },
        "gpus": gpus,
        "cuda": torch.version.cuda,
        "blas": f"{library.get('name', '')} {library.get('version', '')}".strip(),
        "packages": installed(),
    }


def installed() -> dict[str, str]:
    """Return the name and the version of every installed distribution."""
    found: dict[str, str] = {}
    for one in importlib.metadata.distributions():
        name = one.metadata["Name"]  # missing where its files are damaged
        if name:
            found.setdefault(re.sub(r"[-_.]+", "-", str(name)).lower(), str(one.version))
    return dict(sorted(found.items()))


def lock(environment: Mapping[str, Any]) -> str:
    """Return an environment as a file that ``pip install -r`` reads."""
    version = environment["code_version"]
    changes = ", with uncommitted changes" if environment["code_dirty"] else ""
    lines = [
        f"# Python {environment['python']['version']}, {environment['platform']['machine']}",
        f"# {PACKAGE} is {version}{changes}: install it from its commit",
    ]
    lines += [f"{name}=={v}" for name, v in environment["packages"].items() if name != PACKAGE]
    return "\n".join(lines) + "\n"


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return what of two environments may let the same training end in other bits, a line each."""
    one, other = _decisive(then), _decisive(now)
    return [
        f"{name}: {one.get(name)} then, {other.get(name)} here"
        for name in {**one, **other}
        if one.get(name) != other.get(name)
    ]


def _decisive(environment: Mapping[str, Any]) -> dict[str, Any]:
    packages = environment.get("packages", {})
    return {
        "code": environment.get("code_version"),
        "Python": environment.get("python", {}).get("version"),
        "machine": environment.get("platform", {}).get("machine"),
        "CPU capability": environment.get("cpu", {}).get("capability"),
        **{name: packages.get(name) for name in DECISIVE},
    }


def _cpu_model() -> str:
    """Return the name of the processor, where the system says it."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.processor()
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else platform.processor()
