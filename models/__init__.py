"""Networks: what they are, how they are trained, what their dynamics are."""

from . import penalties
from .activations import ACTIVATIONS, Activation, get_activation
from .checkpoints import CheckpointFolder, CheckpointNotWritten, Checkpoints, TrainingStopped
from .cohort import CohortResult, train_cohort
from .config import NetworkConfig
from .connections import saddle_connections
from .connectivity import Connectivity, initial_connectivity
from .dynamics import DynamicSystemAnalyzer, get_fixed_points_of_many
from .equations import Equation
from .exchange import ImportedNetwork, read_network, write_network
from .fixed_points import FixedPointSet
from .interactive import view_fixed_points
from .line_attractors import LineAttractor, get_line_attractor
from .manifolds import ContinuousAttractor, ManifoldSettings, explain, find_manifolds, isolated
from .noise import Noise
from .performance import ConditionScores, PerformanceAnalyzer, ValidationScores
from .plots import plot_trials
from .plots_dynamics import plot_fixed_points
from .plots_line_attractors import plot_line_attractors
from .plots_manifolds import plot_manifolds
from .plots_task import plot_task
from .plots_training import plot_loss_terms
from .projection import Projection
from .psychometrics import Psychometrics, get_psychometrics, plot_psychometrics
from .rnn_numpy import RNNNumpy
from .rnn_torch import RNNTorch
from .scores import choice_accuracy, mean_squared_error, r2_by_trial, r2_pooled
from .trainer import Trainer
from .training_config import TrainingConfig
from .training_record import TrainedNetwork

__all__ = [
    "ACTIVATIONS",
    "Activation",
    "CheckpointFolder",
    "CheckpointNotWritten",
    "Checkpoints",
    "CohortResult",
    "ConditionScores",
    "Connectivity",
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
    "Psychometrics",
    "RNNNumpy",
    "RNNTorch",
    "TrainedNetwork",
    "Trainer",
    "TrainingConfig",
    "TrainingStopped",
    "ValidationScores",
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
