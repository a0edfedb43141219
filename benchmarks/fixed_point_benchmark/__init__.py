"""Completeness and time of the search for fixed points, beside other ways to search."""
