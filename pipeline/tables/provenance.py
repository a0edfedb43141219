"""Provenance of a row: versions of the code and of its libraries."""

from __future__ import annotations

import json
import logging
import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import Any

import numpy as np

PACKAGE = "rnn-pipeline"
COMMIT = "RNN_COMMIT"  # of the environment: a commit, and "-dirty" where there were changes
COMMIT_LENGTH = 12
log = logging.getLogger(__name__)


@cache
def code_version() -> tuple[str, bool]:
    """Return "version+commit" of this package and whether it has uncommitted changes.

    The commit is that of the checkout which holds this file, not of the current directory. Of an
    installed package it is the one that pip noted when it fetched it with git, else the one that
    `COMMIT` names, as it does in an image. Without any there is a version only, which counts as
    clean.
    """
    try:
        number = version(PACKAGE)
    except PackageNotFoundError:
        number = "unknown"
    root = Path(__file__).resolve().parents[2]
    commit, dirty = _of_checkout(root) or _of_pip() or _of_environment() or ("", False)
    return (f"{number}+{commit[:COMMIT_LENGTH]}" if commit else number), dirty


def _of_checkout(root: Path) -> tuple[str, bool] | None:
    """Return commit and changes of a checkout; None where there is none, or no git."""
    if not (root / ".git").exists():
        return None
    try:
        commit = _git(root, "rev-parse", f"--short={COMMIT_LENGTH}", "HEAD").strip()
        return commit, bool(_git(root, "status", "--porcelain", "--untracked-files=no").strip())
    except (OSError, subprocess.SubprocessError):
        return None


def _of_pip() -> tuple[str, bool] | None:
    """Return the commit of ``pip install git+https://...``, which pip notes (PEP 610)."""
    try:
        noted = json.loads(distribution(PACKAGE).read_text("direct_url.json") or "{}")
        return str(noted["vcs_info"]["commit_id"]), False
    except (PackageNotFoundError, ValueError, KeyError, TypeError):
        return None


def _of_environment() -> tuple[str, bool] | None:
    """Return the commit that whoever built an image names, and whether there were changes."""
    named = os.environ.get(COMMIT, "")
    found = re.fullmatch(r"([0-9a-f]{7,64})(-dirty)?", named)
    if named and not found:
        log.warning("%s = %r: is not a commit; see docker/README.md", COMMIT, named)
    return (found[1], bool(found[2])) if found else None


def _git(root: Path, *words: str) -> str:
    command = ["git", "-c", f"safe.directory={root}", "-C", str(root), *words]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=10).stdout


def provenance() -> dict[str, Any]:
    """Return the columns that record code and library versions."""
    import torch

    code, dirty = code_version()
    return {
        "code_version": code,
        "code_dirty": dirty,
        "python_version": platform.python_version(),
        "torch_version": torch.__version__,
        "numpy_version": np.__version__,
        "trained_at": datetime.now(UTC).replace(tzinfo=None, microsecond=0),
    }
