"""What a look at a database imports, and what a worker has imported before its first job."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.pipeline.workers import settings_of
from tests.test_start_up import HEAVY, after_commands, loaded

pytestmark = pytest.mark.either_backend


def test_status_waits_for_no_library_that_takes_long(database, arguments, submission):
    database.submit(submission)
    looks = (["status"], ["failures"], ["show"], ["summary"])
    modules = loaded(after_commands(*looks), settings_of(arguments))
    assert "pipeline.workers.status" in modules
    assert not modules & (set(HEAVY) - {"pandas"})


def test_jobs_run_code_that_was_imported_before_the_first(database, arguments, submission):
    """A row names the version that the worker started with, whatever is on disk meanwhile."""
    database.submit(submission)
    code = """
import sys
import pipeline
from pipeline.workers.worker import WorkLoop
packages = ("models", "pipeline", "tasks_lib")
ours = lambda: {name for name in sys.modules if name.startswith(packages)}
pipeline.connect()
loop = WorkLoop()
before = ours()
filled = loop.run()
assert filled.made > 10 and not filled.errors, filled
assert ours() == before, ours() - before
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, **settings_of(arguments)},
    )
    assert done.returncode == 0, done.stderr
