"""Sharing: exports of a selection as a folder or an archive, and the check of what arrived."""
