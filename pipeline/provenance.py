"""Which code and libraries made a row."""

from __future__ import annotations

import platform
import subprocess
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch

PACKAGE = "rnn-pipeline"


@cache
def code_version() -> tuple[str, bool]:
    """Return "version+commit" of this package and whether it has uncommitted changes.

    The commit is that of the checkout which holds this file, not of the current directory;
    an installed package without a checkout has a version only, and counts as clean.
    """
    try:
        number = version(PACKAGE)
    except PackageNotFoundError:
        number = "unknown"
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return number, False
    try:
        commit = _git(root, "rev-parse", "--short=12", "HEAD").strip()
        dirty = bool(_git(root, "status", "--porcelain", "--untracked-files=no").strip())
    except (OSError, subprocess.CalledProcessError):
        return number, False
    return f"{number}+{commit}", dirty


def _git(root: Path, *words: str) -> str:
    command = ["git", "-c", f"safe.directory={root}", "-C", str(root), *words]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=10).stdout


def provenance() -> dict[str, Any]:
    """Return the columns that say what made a row."""
    code, dirty = code_version()
    return {
        "code_version": code,
        "code_dirty": dirty,
        "python_version": platform.python_version(),
        "torch_version": torch.__version__,
        "numpy_version": np.__version__,
        "trained_at": datetime.now(UTC).replace(tzinfo=None, microsecond=0),
    }
