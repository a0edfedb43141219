"""Continuous attractors: slow lines, rings and sheets, followed and sampled evenly."""

from .attractor import SlowManifold
from .search import explain, find_manifolds, isolated
from .settings import ManifoldSettings

__all__ = ["ManifoldSettings", "SlowManifold", "explain", "find_manifolds", "isolated"]
