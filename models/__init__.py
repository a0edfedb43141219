"""Networks: what they are, how they are trained, what their dynamics are."""

from . import penalties
from .analysis.dynamic_system import DynamicSystemAnalyzer, get_fixed_points_of_many
from .analysis.performance import ConditionScores, PerformanceAnalyzer, ValidationScores
from .dynamics.line_attractors import ContextLineAttractor, get_line_attractor
from .dynamics.saddle_connections import saddle_connections
from .files.exchange import ImportedNetwork, read_network, write_network
from .fixed_points import FixedPointSet
from .formulas.activations import (
    ACTIVATIONS,
    Activation,
    ActivationFunction,
    array_module,
    get_activation,
)
from .formulas.equations import Equation
from .manifolds import ManifoldSettings, SlowManifold, explain, find_manifolds, isolated
from .network.config import NetworkConfig
from .network.connectivity import Connectivity, initial_connectivity
from .network.noise import Noise
from .network.rnn_numpy import RNNNumpy
from .network.rnn_torch import RNNTorch
from .performance.psychometrics import PsychometricCurves, get_psychometrics
from .performance.scores import choice_accuracy, mean_squared_error, r2_by_trial, r2_pooled
from .plots.fixed_points import plot_fixed_points
from .plots.interactive import view_fixed_points
from .plots.line_attractors import plot_line_attractors
from .plots.manifolds import plot_manifolds
from .plots.projection import Projection
from .plots.psychometrics import plot_psychometrics
from .plots.task import plot_task
from .plots.training import plot_loss_terms
from .plots.trials import plot_trials
from .training.checkpoints import (
    CheckpointFolder,
    CheckpointNotWritten,
    Checkpoints,
    TrainingStopped,
)
from .training.cohort import CohortResult, train_cohort
from .training.config import TrainingConfig
from .training.record import TrainedNetwork
from .training.trainer import Trainer

# Their names until 0.1, which are those of tables now.
ContinuousAttractor, LineAttractor = SlowManifold, ContextLineAttractor
Psychometrics = PsychometricCurves

__all__ = [
    "ACTIVATIONS",
    "Activation",
    "ActivationFunction",
    "CheckpointFolder",
    "CheckpointNotWritten",
    "Checkpoints",
    "CohortResult",
    "ConditionScores",
    "Connectivity",
    "ContextLineAttractor",
    "ContinuousAttractor",
    "DynamicSystemAnalyzer",
    "Equation",
    "FixedPointSet",
    "ImportedNetwork",
    "LineAttractor",
    "ManifoldSettings",
    "NetworkConfig",
    "Noise",
    "PerformanceAnalyzer",
    "Projection",
    "PsychometricCurves",
    "Psychometrics",
    "RNNNumpy",
    "RNNTorch",
    "SlowManifold",
    "TrainedNetwork",
    "Trainer",
    "TrainingConfig",
    "TrainingStopped",
    "ValidationScores",
    "array_module",
    "choice_accuracy",
    "explain",
    "find_manifolds",
    "get_activation",
    "get_fixed_points_of_many",
    "get_line_attractor",
    "get_psychometrics",
    "initial_connectivity",
    "isolated",
    "mean_squared_error",
    "penalties",
    "plot_fixed_points",
    "plot_line_attractors",
    "plot_loss_terms",
    "plot_manifolds",
    "plot_psychometrics",
    "plot_task",
    "plot_trials",
    "r2_by_trial",
    "r2_pooled",
    "read_network",
    "saddle_connections",
    "train_cohort",
    "view_fixed_points",
    "write_network",
]
