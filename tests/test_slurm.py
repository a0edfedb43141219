"""Workers on a real SLURM, preempted in the middle, with one MySQL and one bucket."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import pipeline
from models import NetworkConfig, TrainingConfig, train_cohort
from pipeline.database import schemas
from pipeline.workers.status import table_status
from tasks_lib import CDDM
from tests.pipeline.conftest import SMALL
from tests.s3_server import S3_BUCKET, S3Server, s3_server
from tests.servers import ServerUnavailable, mysql_server
from tests.slurm_server import slurm_server

ROOT = Path(__file__).resolve().parent.parent
WORKERS = ROOT / "cluster" / "slurm" / "workers.sh"
N_WORKERS = 3
TABLES = ("Training", "Validation", "TrialPlot", "FixedPoints")
GO_ON = "RNN_TEST_GO_ON"
SWEEP = SMALL | {
    "tasks": {"cddm": SMALL["tasks"]["cddm"] | {"class": f"{__name__}:Held"}},
    "trainings": {"long": {"max_iter": 1_000, "lr": 0.001, "same_batch": False}},
    "cohorts": [
        {"task": "cddm", "network": "small", "training": "long", "first_seed": s, "n_networks": 1}
        for s in range(N_WORKERS)
    ],
}

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(550)]


class Held(CDDM):
    """A task that takes 0.2 s for each batch until a file is there: no training ends before that.

    Whether all workers train at one time must not depend on how fast this machine is. At its tenth
    batch each process leaves a file of its own.
    """

    n_batches = 0

    def get_batch(self, shuffle=False):
        if GO_ON in os.environ and not Path(os.environ[GO_ON]).exists():
            self.n_batches += 1
            if self.n_batches == 10:
                Path(f"{os.environ[GO_ON]}.{os.getpid()}").touch()
            time.sleep(0.2)
        return super().get_batch(shuffle)


class Cluster:
    """SLURM's commands, in an environment in which the pipeline is configured."""

    def __init__(self, variables: dict[str, str], folder: Path, s3: S3Server) -> None:
        self.environment = {**os.environ, **variables}
        self.folder = folder
        self.s3 = s3
        self._start = time.monotonic()

    def say(self, text: str) -> None:
        print(f"{time.monotonic() - self._start:5.1f} s  {text}", flush=True)

    def run(self, *command: str) -> str:
        done = subprocess.run(
            command, env=self.environment, cwd=self.folder, capture_output=True, text=True
        )
        assert done.returncode == 0, (command, done.stderr)
        return done.stdout.strip()

    def states(self, job: str) -> dict[str, str]:
        lines = self.run(
            "squeue", "--noheader", "--states=all", "--array", f"--jobs={job}", "--format=%i %T"
        ).splitlines()
        return dict(line.split() for line in lines)

    def logs(self) -> str:
        return "\n".join(path.read_text() for path in sorted(self.folder.glob("*.log")))

    def checkpoints(self) -> int:
        """Return how many jobs have checkpoints in the bucket."""
        found = self.s3.client().list_objects_v2(Bucket=S3_BUCKET, Prefix="cluster/checkpoints/")
        return len({tuple(c["Key"].split("/")[:4]) for c in found.get("Contents", [])})

    def wait(self, what: str, done, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < deadline, f"not within {seconds} s: {what}\n{self.logs()}"
            time.sleep(0.5)
        self.say(what)


@pytest.fixture
def cluster(tmp_path):
    try:
        with mysql_server() as mysql, s3_server() as s3, slurm_server() as slurm:
            # `rnn` of this checkout, whatever is installed.
            command = tmp_path / "bin" / "rnn"
            command.parent.mkdir()
            python = shlex.quote(sys.executable)
            command.write_text(f'#!/bin/sh\nexec {python} -m pipeline.cli "$@"\n')
            command.chmod(0o755)
            variables = {
                **mysql.environment,
                **s3.environment,
                **slurm,
                "RNN_STORE": f"s3://{S3_BUCKET}/cluster",
                "RNN_PREFIX": f"t{os.getpid()}_slurm",
                "RNN_SETTINGS_FILE": str(tmp_path / "none"),
                "RNN_ALLOWED_PACKAGES": "tests",
                "PATH": f"{command.parent}:{os.environ['PATH']}",
                "PYTHONPATH": str(ROOT),
                "PYTHONWARNINGS": "ignore",
                GO_ON: str(tmp_path / "go_on"),
            }
            with pytest.MonkeyPatch.context() as patch:
                for name in variables.keys() - {"PATH", "PYTHONPATH", "PYTHONWARNINGS"}:
                    patch.setenv(name, variables[name])
                yield Cluster(variables, tmp_path, s3)
    except ServerUnavailable as reason:
        if "slurm" in os.environ.get("RNN_TEST_REQUIRE", "").split(","):
            pytest.fail(f"slurm is required here: {reason}", pytrace=False)
        pytest.skip(f"no slurm: {reason}")


def training_jobs():
    """Done, pending, running and failed trainings."""
    s = next(s for s in table_status() if s.table == "Training")
    return s.done, s.pending, s.running, s.failed


def test_an_array_that_is_preempted_in_the_middle_ends_with_every_row(cluster):
    c, p = cluster, pipeline
    variables = c.environment
    where = {
        "backend": "mysql",
        "host": variables["DJ_HOST"],
        "port": int(variables["DJ_PORT"]),
        "user": variables["DJ_USER"],
        "password": variables["DJ_PASS"],
        "prefix": variables["RNN_PREFIX"],
        "store": variables["RNN_STORE"],
    }
    p.connect(**where)
    try:
        p.submit(SWEEP)
        array = c.run(
            "sbatch", "--parsable", f"--array=1-{N_WORKERS}", "--mem-per-cpu=0",
            # Each takes one training: together they would be computed by whoever comes first.
            str(WORKERS), "--device", "cpu", "--together=1",
            *(f"--table={name}" for name in TABLES),
        )  # fmt: skip
        elements = [f"{array}_{i}" for i in range(1, N_WORKERS + 1)]
        c.say(f"{N_WORKERS} cohorts are submitted, and an array of {N_WORKERS} workers: {array}")
        c.wait("all workers train", lambda: training_jobs()[2] == N_WORKERS, 120)
        middle = "go_on.*"
        c.wait("all are in the middle", lambda: len(list(c.folder.glob(middle))) == N_WORKERS, 60)

        # The first is told, as SLURM does it, that its time is nearly over.
        c.run("scancel", "--batch", "--signal=USR1", elements[0])
        c.wait(
            f"{elements[0]}, told that its time ends, asks for a new start",
            lambda: "asks for a new start" in c.logs(),
            60,
        )
        # The others have to make room.
        urgent = c.run(
            "sbatch", "--parsable", "--partition=urgent", "--cpus-per-task=4", "--output=none.txt",
            "--wrap", "sleep 2",
        )  # fmt: skip
        c.wait(
            "an urgent job has preempted the others, and is done",
            lambda: c.states(urgent)[urgent] == "COMPLETED",
            60,
        )
        assert c.states(array) == dict.fromkeys(elements, "PENDING"), c.logs()
        done, pending, running, failed = training_jobs()
        c.say(f"trainings: {done} done, {pending} pending, {running} running, {failed} failed")
        # Each job that was stopped in the middle was given back, with a checkpoint.
        assert (done, pending, running, failed) == (0, N_WORKERS, 0, 0), c.logs()
        assert c.checkpoints() == N_WORKERS

        Path(variables[GO_ON]).touch()
        for element in elements:  # SLURM would wait for two minutes
            c.run("scontrol", "update", f"JobId={element}", "StartTime=now")
        # Meanwhile: what a network is that nobody disturbed.
        undisturbed = train_cohort(
            Held(20, **SWEEP["tasks"]["cddm"]["params"], seed=0),
            NetworkConfig(**SWEEP["networks"]["small"]),
            TrainingConfig(**SWEEP["trainings"]["long"]),
            [1],
            device="cpu",
        ).networks[0]
        c.wait(
            "all workers have ended",
            lambda: c.states(array) == dict.fromkeys(elements, "COMPLETED"),
            300,
        )
        assert len([line for line in c.logs().splitlines() if "(start 2): starts" in line]) == 3
        status = {s.table: s for s in table_status() if s.table in TABLES}
        for s in status.values():
            c.say(
                f"{s.table}: {s.done} done, {s.pending} pending, {s.running} running, "
                f"{s.failed} failed"
            )
            assert (s.pending, s.running, s.failed) == (0, 0, 0)
        assert status["Training"].done == N_WORKERS
        assert status["FixedPoints"].done == 2 * N_WORKERS  # two inputs
        assert p.fill([getattr(p, name) for name in TABLES]).made == 0
        assert c.checkpoints() == 0
        assert set(p.Training.Network.to_arrays("status")) == {"finished"}
        stored = (p.Training.Network & "seed = 1").fetch1("w_rec")
        assert np.array_equal(np.asarray(stored), undisturbed.weights["W_rec"])
        c.say("a network that was stopped in the middle is that which nobody disturbed, to the bit")
    finally:
        schemas.drop()
        p.disconnect()
