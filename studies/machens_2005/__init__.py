"""Machens, Romo and Brody 2005: comparing two stimuli that are apart in time."""
