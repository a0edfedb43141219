"""Execute notebooks against a fresh embedded database, keeping their outputs."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"


def execute(
    path: Path, home: Path, change: Callable[[str], str] | None = None
) -> nbformat.NotebookNode:
    """Execute a notebook with its own RNN_HOME; raise where a cell does.

    Parameters
    ----------
    path, home : Path
    change : callable, optional
        Gives the source of a cell as it is executed.
    """
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if change is not None and cell.cell_type == "code":
            cell.source = change(cell.source)
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("DJ_", "RNN_"))}
    client = NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(FOLDER)}}
    )
    # Warnings name folders of this machine, and a bar is a hundred lines once it is stored.
    quiet = {"PYTHONWARNINGS": "ignore", "TQDM_DISABLE": "1"}
    client.execute(env={**clean, **quiet, "RNN_HOME": str(home)})
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # times of day differ at every run
    return notebook


def main(paths: list[str]) -> None:
    """Execute the notebooks named, or all, in place."""
    for path in [Path(p) for p in paths] or sorted(FOLDER.glob("*.ipynb")):
        with tempfile.TemporaryDirectory(prefix="rnn", ignore_cleanup_errors=True) as home:
            nbformat.write(execute(path, Path(home)), path)
        print(f"executed {path}")


if __name__ == "__main__":
    main(sys.argv[1:])
