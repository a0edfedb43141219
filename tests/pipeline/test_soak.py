"""72 jobs, four workers, kills and restarts: each job is done once.

benchmarks/soak.py does the same at length.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

from soak import Soak, section

from pipeline.database.configuration import DatabaseError
from pipeline.tables.performance import Validation
from pipeline.tables.training import Training
from pipeline.upkeep import gc
from tests.pipeline.workers import (
    assert_identical,
    files_of_arrays,
    referenced_files,
    wait_until,
)

pytestmark = pytest.mark.usefixtures("own_classes_allowed")


def collected() -> bool:
    """Return whether what kills have left in the store is removed: once the dead count as dead."""
    try:
        gc.collect(older_than=0.0, delete=True)
    except DatabaseError:
        return False
    return True


def test_nothing_is_lost_and_nothing_done_twice(own_lab, own_server, store):
    n_cohorts = 24  # three jobs each
    outcome = Soak(
        own_lab,
        own_server,
        n_workers=4,
        n_cohorts=n_cohorts,
        n_iterations=60,
        seconds_between_kills=2.0,
        n_restarts=2,
        n_kills=4,
        seed=1,
        seconds=300,
    ).run()
    print(section(outcome))
    assert outcome.n_restarts == 2
    assert outcome.n_kills >= 4
    assert any(outcome.killed)  # some had a job
    assert outcome.n_losses >= 1
    assert (outcome.missing, outcome.doubled, outcome.stuck) == (0, 0, 0)
    assert not outcome.failed
    assert len(own_lab.trained()) == n_cohorts
    assert outcome.missing_files == 0
    assert len(outcome.recovery_seconds) == len(outcome.killed)
    assert len(Training()) == n_cohorts
    assert len(Validation()) == 2 * n_cohorts
    # A worker that is killed after its commit leaves its checkpoint, one in its insert files.
    left = list(store.glob("checkpoints/*/*"))
    assert len(left) <= outcome.n_kills, left
    wait_until(collected)
    assert not list(store.glob("checkpoints/*/*/*"))
    assert files_of_arrays(store) == referenced_files()
    assert_identical([f"first_seed = {10 * i}" for i in range(0, n_cohorts, 10)])
