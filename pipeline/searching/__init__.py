"""Searches: points of a sweep that are chosen by what earlier points gave (extra `search`)."""
