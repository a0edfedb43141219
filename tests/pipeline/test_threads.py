"""``rnn worker --threads``: torch, BLAS and Numba alike, and the worker's row says what is true."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import threadpoolctl
import torch

from models.machine.threads import VARIABLES
from pipeline.tables.performance import VALIDATION_SEED, Validation
from pipeline.tables.training import Training
from pipeline.workers.registry import Worker
from pipeline.workers.worker import fill
from tests.pipeline.own import Echo
from tests.pipeline.workers import settings_of, submission

pytestmark = pytest.mark.usefixtures("own_classes_allowed")
BACKENDS = ("postgresql",)  # the server has no part in it
SEEN = "RNN_TEST_THREADS"
COMMAND = [sys.executable, "-m", "pipeline.cli", "worker", "--quiet"]
COMMAND += ["--table=Training", "--table=Validation"]


class Observer(Echo):
    """A task that notes the threads of the process in which a network is validated on it."""

    def generate_input_target_stream(self, value):
        if SEEN in os.environ and self.seed == VALIDATION_SEED:
            import numba

            libraries = threadpoolctl.threadpool_info()
            counts = {
                "torch": torch.get_num_threads(),
                "numba": numba.get_num_threads(),
                "blas": [lib["num_threads"] for lib in libraries if lib["user_api"] == "blas"],
                "openmp": [lib["num_threads"] for lib in libraries if lib["user_api"] == "openmp"],
            }
            (Path(os.environ[SEEN]) / f"{os.getpid()}").write_text(json.dumps(counts))
        return super().generate_input_target_stream(value)


def submit(database):
    work = submission(3)
    work["tasks"]["echo"]["class"] = "tests.pipeline.test_threads:Observer"
    database.submit(work)


@pytest.mark.parametrize(
    ("options", "preset", "expected"),
    [
        (["--threads=1"], 3, 1),
        ([], 3, 1),
        (["--threads=3", "--processes=2"], 1, 3),
    ],
)
def test_a_worker_runs_on_as_many_threads_as_it_is_told(
    database, arguments, tmp_path, options, preset, expected
):
    submit(database)
    environment = {k: v for k, v in os.environ.items() if k not in VARIABLES}
    if preset is not None:
        environment |= dict.fromkeys(VARIABLES, str(preset))
    done = subprocess.run(
        [*COMMAND, *options],
        capture_output=True,
        text=True,
        env={**environment, **settings_of(arguments), SEEN: str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    assert len(Validation())
    seen = [json.loads(p.read_text()) for p in tmp_path.iterdir() if p.name.isdigit()]
    assert seen
    for counts in seen:
        assert counts["torch"] == counts["numba"] == expected
        assert counts["blas"]
        # OpenBLAS takes no more than there are processors.
        allowed = {expected, min(expected, len(os.sched_getaffinity(0)))}
        assert {*counts["blas"], *counts["openmp"]} <= allowed
    assert set(Worker().to_arrays("n_threads")) == {expected}


def test_filling_in_a_notebook_leaves_the_threads_as_they_are(database):
    submit(database)
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    try:
        threads, variables = threadpoolctl.threadpool_info(), dict(os.environ)
        assert fill([Training, Validation]).made
        assert torch.get_num_threads() == before + 1
        assert threadpoolctl.threadpool_info() == threads
        assert dict(os.environ) == variables
        assert set(Worker().to_arrays("n_threads")) == {before + 1}
    finally:
        torch.set_num_threads(before)
