"""The search for all fixed points of a network at a constant input, and proof of what it found."""

from .certificates import certify
from .find import find_fixed_points, find_fixed_points_of_many
from .index import expected_index
from .index_proof import certify_index
from .linear_regions import RegionSolution, solve_in_region
from .point_set import FixedPointSet
from .region_enumeration import Enumeration, enumerate_fixed_points
from .search import Problem
from .settings import SearchSettings, search_settings

__all__ = [
    "Enumeration",
    "FixedPointSet",
    "Problem",
    "RegionSolution",
    "SearchSettings",
    "certify",
    "certify_index",
    "enumerate_fixed_points",
    "expected_index",
    "find_fixed_points",
    "find_fixed_points_of_many",
    "search_settings",
    "solve_in_region",
]
