"""The pipeline: what is stored and when it is computed.

Importing this package connects to nothing. ``pipeline.connect()`` does.
"""

import warnings

with warnings.catch_warnings():
    # That there is no datajoint.json is the normal case: the embedded database needs none.
    warnings.filterwarnings("ignore", message="No datajoint.json found")
    import datajoint as _datajoint  # noqa: F401

from .continuous_attractors import (
    ContinuousAttractor,
    ContinuousAttractorPlot,
    ManifoldParams,
)
from .database import DatabaseError, connect, disconnect
from .failed_jobs import failures, retry
from .fixed_point_plots import FixedPointPlot
from .fixed_points import FixedPointParams, FixedPoints
from .imported import export_network, import_network
from .line_attractors import LineAttractor
from .linearization import Linearization
from .network import NetworkParams
from .performance import Psychometric, TrialPlot, Validation, ValidationParams
from .submit import read_submission, submit
from .task import Task
from .training import Cohort, Training
from .training_params import TrainingParams
from .work import LostJob, Worker
from .worker import fill

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
