"""Where pictures of the documentation are, and how scripts write them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models.plots.files import figure_file

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "figures"


def write(figures: Mapping[str, Any]) -> None:
    """Write figures by the names of their files."""
    for name, figure in figures.items():
        (FOLDER / f"{name}.png").write_bytes(figure_file(figure, "png"))
        print(f"wrote {name}.png")
