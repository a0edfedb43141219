"""Sharing: exports and capsules of a selection, and the check of what arrived."""
