"""A real SLURM of one node, on loopback, stopped afterwards."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers import ServerUnavailable


@contextmanager
def slurm_server() -> Iterator[dict[str, str]]:
    """A SLURM of one node, whose partition ``urgent`` preempts ``low``; variables to reach it."""
    missing = [name for name in ("munged", "slurmctld", "slurmd", "sbatch") if not _which(name)]
    if missing or os.geteuid() != 0:
        raise ServerUnavailable("as root, run bash scripts/slurm.sh install")
    script = str(Path(__file__).parent.parent / "scripts" / "slurm.sh")
    with tempfile.TemporaryDirectory(prefix="rnnslurm", ignore_cleanup_errors=True) as folder:
        try:
            started = subprocess.run(
                ["bash", script, "start", folder], stderr=subprocess.PIPE, text=True, timeout=120
            )
            if started.returncode:
                raise ServerUnavailable(started.stderr[-600:])
            yield {"SLURM_CONF": f"{folder}/slurm.conf"}
        finally:
            subprocess.run(["bash", script, "stop", folder], capture_output=True)


def _which(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
