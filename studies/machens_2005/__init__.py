"""Comparing two stimuli that are apart in time (Machens, Romo & Brody 2005)."""
