"""The search for all fixed points of a network at a constant input, and proof of what it found."""

from .find import find_fixed_points, find_fixed_points_of_many
from .index import expected_index
from .point_set import FixedPointSet
from .search import Problem
from .settings import SearchSettings, search_settings

__all__ = [
    "FixedPointSet",
    "Problem",
    "SearchSettings",
    "expected_index",
    "find_fixed_points",
    "find_fixed_points_of_many",
    "search_settings",
]
