"""Mante et al. 2013: line attractors and selection vectors of context-dependent decisions."""
