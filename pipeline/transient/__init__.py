"""Failures of a server or a store that end by themselves, and trying again until they have."""
