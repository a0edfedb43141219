"""The search for all fixed points of a network at a constant input, and proof of what it found."""

from .point_set import FixedPointSet
from .search import SearchSettings, find_fixed_points

__all__ = ["FixedPointSet", "SearchSettings", "find_fixed_points"]
