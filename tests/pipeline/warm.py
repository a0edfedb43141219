"""Imported by the process that worker processes of tests are forks of: they find the loops loaded.

Numba takes a second for that in each process.
"""

from tests.pipeline.workers import compile_loops

compile_loops()
