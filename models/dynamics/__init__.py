"""Dynamics of a network at given states: linearisation, line attractors, connections."""
