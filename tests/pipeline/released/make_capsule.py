"""Keep a small capsule of a release, with rows in every table of the pipeline that can have some.

    python -m tests.pipeline.released.make_capsule VERSION

The code of this checkout makes it, in an embedded database of its own: it is run at the commit of
the release. The file goes to the folder VERSION beside this one.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
NAME = "capsule.zip"
FLIPS = {"task": "flips", "network": "tanh", "training": "recorded"}
# A circuit is fitted where a row asks for it; this one takes no time.
CIRCUIT = {"circuit_name": "two_nodes", "circuit_n_nodes": 2, "circuit_n_starts": 2,
           "circuit_n_iterations": 20, "circuit_min_r2": 0.0}  # fmt: skip
SUBMISSION = {
    "tasks": {
        "cddm": {
            "class": "CDDM", "n_steps": 20,
            "params": {"stim_on": 5, "dec_on": 14, "coherences": [-1.0, 0.0, 1.0]},
        },
        "flips": {
            "class": "NBitFlipFlop", "n_steps": 16,
            "params": {"n_bits": 1, "pulse": 3, "batch_size": 8},
        },
        "echo": {"class": "tests.pipeline.own:Echo", "n_steps": 8},
        "both": {
            "class": "Mixture",
            "params": {
                "batch_size": 16,
                "components": [
                    {"name": "go", "class": "GoNoGo", "n_steps": 12, "params": {"cue_on": 6}},
                    {"name": "flip", "class": "NBitFlipFlop", "n_steps": 10,
                     "params": {"n_bits": 1, "pulse": 2}},
                ],
            },
        },
    },
    "networks": {
        "dale": {
            "n_units": 5, "dale": True, "tau": 2.0, "sigma_rec": 0.02,
            "groups": {"first": [0, 2]},
            "blocks": {"W_inp": [{"to": "first", "weights": "fixed"}]},
        },
        "tanh": {"n_units": 4, "activation": "tanh", "max_rank": 1,
                 "self_connections": True},
    },
    "trainings": {
        "short": {
            "max_iter": 20, "lr": 0.02, "monitor": True,
            "penalties": {"metabolic": {"weight": 0.01}},
        },
        "recorded": {"max_iter": 10, "snapshots": 2, "trace_interval": 5},
    },
    "cohorts": [
        {"task": "cddm", "network": "dale", "training": "short", "first_seed": 3,
         "n_networks": 1},
        {"task": "echo", "network": "tanh", "training": "short", "n_networks": 1,
         "without": ["TrialPlot", "Subspaces", "Population", "Lyapunov", "FixedPointPlot"]},
        {"task": "both", "network": "tanh", "training": "short", "n_networks": 1,
         "without": ["TrialPlot", "Subspaces", "Population", "Lyapunov", "FixedPoints",
                     "FixedPointPlot", "Clusters"]},
        {**FLIPS, "n_networks": 2},
    ],
    "sweeps": {"rates": {
        **FLIPS, "n_networks": 1, "vary": {"training.lr": [0.01]}, "first_seed": 10,
    }},
}  # fmt: skip


def main() -> None:
    """Make the capsule."""
    target = HERE / sys.argv[1] / NAME
    target.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="rnn", dir="/tmp") as folder:
        for name in [name for name in os.environ if name.startswith(("DJ_", "RNN_"))]:
            del os.environ[name]
        os.environ |= {"RNN_HOME": f"{folder}/home", "RNN_ALLOWED_PACKAGES": "tests"}
        import matplotlib as mpl

        mpl.use("agg")
        import pipeline
        from models.plots import files

        write = files._write_png
        # Figures are most of a capsule: those of this one have few pixels.
        files._write_png = lambda figure, buffer, dpi, texts: write(figure, buffer, 9, texts)

        pipeline.connect()
        fill(pipeline)
        made = pipeline.make_capsule(target, update=target.exists())
        pipeline.disconnect()
    print(f"{target}: {made.n_rows} rows, {made.n_files} files, {made.n_bytes} bytes")


def fill(pipeline) -> None:
    """Enter, train, analyse and compare."""
    pipeline.submit(SUBMISSION)
    pipeline.LatentCircuitParams.insert1(CIRCUIT)
    errors = pipeline.fill().errors
    last = {"training_name": "recorded", "seed": 0, "snapshot_iteration": 10}
    pipeline.enter_snapshots(last)
    pipeline.compare("flips", {"task_name": "flips"})
    pipeline.prioritize({"task_name": "echo"}, 7)
    errors += pipeline.fill().errors
    if errors:
        sys.exit(str(errors))


if __name__ == "__main__":
    main()
