"""A real limit of memory, as a container has: planned for, and what happens where it is passed."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from models import NetworkConfig, TrainingConfig
from models.training.memory import TrainingSize
from pipeline.tables.performance import Validation
from pipeline.tables.training import Training
from pipeline.workers import supervisor
from pipeline.workers.registry import LostJob
from pipeline.workers.worker import fill
from tests.control_groups import MemoryGroup, NoControlGroup, memory_group
from tests.pipeline.workers import (
    Laboratory,
    assert_all_right,
    assert_identical,
    jobs,
    submission,
    wait_until,
)

BACKENDS = ("postgresql",)  # what is tested here is the process
MIB = 2**20


@pytest.fixture
def group():
    try:
        with memory_group() as made:
            yield made
    except NoControlGroup as reason:
        pytest.skip(str(reason))


@pytest.mark.usefixtures("own_classes_allowed")
def test_training_is_divided_for_the_limit(database, lab: Laboratory, group: MemoryGroup, store):
    """It would be killed as a whole."""
    made = submission(15, training="large")
    made["tasks"] = {"large": made["tasks"]["echo"]}
    made["networks"] = {"large": made["networks"]["small"]}
    made["cohorts"][0] |= {"task": "large", "network": "large"}
    made["tasks"]["large"] |= {"n_steps": 150, "params": {"n_values": 150}}
    made["networks"]["large"]["n_units"] = 100
    made["cohorts"][0]["n_networks"] = 8
    size = TrainingSize(
        NetworkConfig(**made["networks"]["large"]), TrainingConfig(max_iter=15), n_inputs=1,
        n_outputs=1, n_steps=150, n_trials=150, device=torch.device("cpu"), dtype=torch.float32,
    )  # fmt: skip
    worker = lab.start_apart("--table=Training", "--forever", "--heartbeat=0.1", before=group.enter)
    database.submit(submission(5))  # what a process takes for its first training is in no plan
    wait_until(lambda: len(Training()) == 1)
    wait_until(lambda: lab.is_idle(worker))
    group.limit_further(int(size.bytes_needed(8) / 2))
    database.submit(made)
    # Over the networks that are trained one after the other.
    wait_until(lambda: (lab.row(worker).get("n_iterations") or 0) > 15)
    wait_until(lambda: len(Training()) == 2)
    assert size.bytes_needed(8) > 100 * MIB and not group.n_kills()
    group.limit(2**40)
    lab.end(60)
    assert len(Training.Network()) == 9 and not len(LostJob())
    assert_identical()


SEARCH = """
import hashlib, sys
from pathlib import Path
import numpy as np
from models.fixed_points import batch
from tests.control_groups import MemoryGroup
from tests.models.test_memory import some_search
problem, threads, run = some_search(400), [], batch.in_parallel
def noted(call, items, n=None):
    threads.append(n)
    return run(call, items, n)
batch.in_parallel = noted
MemoryGroup(Path(sys.argv[1]), int(sys.argv[2])).limit_further(int(float(sys.argv[3])))
(found,) = batch.search_all([problem], n_threads=8)
print(max(threads), hashlib.sha256(np.ascontiguousarray(found.points)).hexdigest())
"""


def search_within(group: MemoryGroup, n_bytes: float) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", SEARCH, str(group.folder), str(group.version), str(n_bytes)],
        preexec_fn=group.enter,
        capture_output=True,
        text=True,
    )


def test_search_is_planned_for_the_limit(group: MemoryGroup):
    """On fewer threads, or refused with what it needs."""
    wide, narrow = (search_within(group, n_bytes) for n_bytes in (2**31, 75e6))
    assert wide.returncode == narrow.returncode == 0, wide.stderr + narrow.stderr
    n_wide, points = wide.stdout.split()
    n_narrow, same = narrow.stdout.split()
    assert int(n_wide) == 8 and 1 <= int(n_narrow) < 8
    assert points == same and not group.n_kills()
    refused = search_within(group, 20e6)
    assert "n_units = 400: a search for fixed points takes about" in refused.stderr
    assert not group.n_kills()


@pytest.mark.usefixtures("own_classes_allowed")
def test_killed_for_its_memory(database, lab: Laboratory, group: MemoryGroup, store):
    """By the kernel: what another worker can do is done; else the job fails, and says of what."""
    database.submit(submission(5))
    fill([Training])
    lab.order("validation", "once eat")
    lab.order("training", "eat")
    database.submit(submission(6, training="large"))
    group.limit(1500 * MIB)
    process = lab.start_apart(
        "--processes=2", "--max-losses=2", "--table=Training", "--table=Validation",
        before=group.enter,
    )  # fmt: skip
    lab.ended(process, 200, status=supervisor.JOBS_FAILED)
    assert group.n_kills() == len(LostJob()) == 3
    assert len(Validation()) == 2
    (failed,) = jobs("error")
    assert failed["training_name"] == "large"
    assert "2 workers died" in failed["error_message"]
    assert "killed by SIGKILL (out of memory?)" in failed["error_message"]
    assert not jobs("reserved")
    lab.order("training", None)
    assert database.retry(error="out of memory")
    assert not fill([Training]).errors
    assert_all_right(2, store, lost=3)
    assert_identical()
