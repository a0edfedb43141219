"""Transient errors of a server or a store, and retrying until they are over."""
