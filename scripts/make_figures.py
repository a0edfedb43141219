"""Make the README's figures from the tables of `rnn demo`, in a fresh embedded database.

Beside them goes what a test makes them from again: the first network of the demonstration, and the
submission that it comes from.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "figures"
NETWORK = FOLDER / "demo_network.npz"
SUBMISSION = FOLDER / "demo_submission.json"
# Of each figure its table, its column, and which of the network's rows.
FIGURES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "trials": ("TrialPlot", "figure", {"validation_name": "noisy"}),
    "fixed_points": ("FixedPointPlot", "figure_2d", {"search_name": "exact"}),
    "psychometric": ("Psychometric", "curves_figure", {"validation_name": "noise_free"}),
    "line_attractors": ("LineAttractor", "line_figure", {}),
}


def stored_figures(key: dict[str, Any]) -> dict[str, bytes]:
    """Return the figures that the tables hold of a network, as PNG files."""
    import pipeline

    return {
        name: (getattr(pipeline, table) & key & restriction).fetch1(column).png
        for name, (table, column, restriction) in FIGURES.items()
    }


def demo_submission() -> Any:
    """Return what `rnn demo` enters."""
    import pipeline
    from pipeline.cli.demo import SUBMISSION as demo

    return pipeline.read_submission(demo)


def main() -> None:
    """Run the demonstration, and write the figures of its first network."""
    import pipeline
    from pipeline.cli.demo import run_demo

    with tempfile.TemporaryDirectory(prefix="rnn", ignore_cleanup_errors=True) as home:
        for name in [name for name in os.environ if name.startswith(("DJ_", "RNN_"))]:
            del os.environ[name]
        os.environ["RNN_HOME"] = home
        pipeline.connect()
        result = run_demo(Path(home) / "figures")
        if result.errors or result.failures:
            raise SystemExit(f"the demonstration failed: {result.errors or result.failures}")
        key = result.reports[0].key
        for name, content in stored_figures(key).items():
            (FOLDER / f"{name}.png").write_bytes(content)
        pipeline.export_network(key, NETWORK)
        pipeline.disconnect()
    text = json.dumps(demo_submission(), indent=1, sort_keys=True)
    SUBMISSION.write_text(text + "\n", encoding="utf-8")
    print(f"wrote the figures of {result.reports[0].name}")


if __name__ == "__main__":
    main()
