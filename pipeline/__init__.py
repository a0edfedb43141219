"""The pipeline: what is stored and when it is computed.

Importing this package connects to nothing. ``pipeline.connect()`` does.
"""

import warnings

with warnings.catch_warnings():
    # That there is no datajoint.json is the normal case: the embedded database needs none.
    warnings.filterwarnings("ignore", message="No datajoint.json found")
    import datajoint as _datajoint  # noqa: F401

from .database.connection import DatabaseError, connect, disconnect
from .exchange import export_network, import_network
from .submission import read_submission, submit
from .tables.continuous_attractors import (
    ContinuousAttractor,
    ContinuousAttractorPlot,
    ManifoldParams,
)
from .tables.fixed_point_plots import FixedPointPlot
from .tables.fixed_points import FixedPointParams, FixedPoints
from .tables.line_attractors import LineAttractor
from .tables.linearization import Linearization
from .tables.network import NetworkParams
from .tables.performance import Psychometric, TrialPlot, Validation, ValidationParams
from .tables.task import Task
from .tables.training import Cohort, Training
from .tables.training_params import TrainingParams
from .workers.failures import failures, retry
from .workers.registry import LostJob, Worker
from .workers.worker import fill

__all__ = [
    "Cohort",
    "ContinuousAttractor",
    "ContinuousAttractorPlot",
    "DatabaseError",
    "FixedPointParams",
    "FixedPointPlot",
    "FixedPoints",
    "LineAttractor",
    "Linearization",
    "LostJob",
    "ManifoldParams",
    "NetworkParams",
    "Psychometric",
    "Task",
    "Training",
    "TrainingParams",
    "TrialPlot",
    "Validation",
    "ValidationParams",
    "Worker",
    "connect",
    "disconnect",
    "export_network",
    "failures",
    "fill",
    "import_network",
    "read_submission",
    "retry",
    "submit",
]


def __getattr__(name: str) -> object:
    """Import `pipeline.gc`, `pipeline.verify` and `pipeline.verify_files` where they are used."""
    from importlib import import_module

    if name in ("gc", "verify"):
        return import_module(f"{__name__}.upkeep.{name}")
    if name == "verify_files":
        return import_module(f"{__name__}.upkeep.verify_files").verify_files
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
