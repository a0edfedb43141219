"""Maintenance of a database and its store: garbage collection and verification."""
