"""Continuous attractors: slow lines, rings and sheets, followed and sampled evenly."""

from .attractor import ContinuousAttractor
from .search import explain, find_manifolds, isolated
from .settings import ManifoldSettings

__all__ = ["ContinuousAttractor", "ManifoldSettings", "explain", "find_manifolds", "isolated"]
