"""Worker processes for tests, a task that does as it is told, and what must hold afterwards."""

from __future__ import annotations

import ctypes
import json
import multiprocessing
import os
import select
import signal
import subprocess
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any

import datajoint as dj
import numpy as np
from typer.testing import CliRunner

from models import NetworkConfig, TrainingConfig, train_cohort
from models.network.connectivity import WEIGHTS
from pipeline.cli.commands import app
from pipeline.database import connection as database
from pipeline.tables.computed import COMPUTED, load_code
from pipeline.tables.network import NetworkParams
from pipeline.tables.performance import VALIDATION_SEED
from pipeline.tables.task import Task
from pipeline.tables.training import Cohort, Training, TrainingParams
from pipeline.workers.queue import Queue
from pipeline.workers.registry import LostJob, Worker
from tests import kept_schemas, preloaded
from tests.pipeline.own import Echo
from tests.s3_server import S3Folder

ORDERS = "RNN_TEST_ORDERS"
TRAINED = "trained"  # file there, of the trainings that were computed to their end
ARRAYS = (*(name.lower() for name in WEIGHTS), "loss_curve", "score_curve")
BEAT_SECONDS = 0.8  # of workers, on machines where much else runs
DEATH_SECONDS = 4 * BEAT_SECONDS
# Until a process that was told to end has ended. One that does not end by itself is killed nine
# seconds after the signal, and its status says so: nothing is said here of how fast the machine is.
ENDED_SECONDS = 60.0


class Obedient(Echo):
    """A task that looks for orders in a folder, whenever it makes a trial.

    The file "training" orders what is done in trainings, "validation" in validations, "insert" when
    a training has been inserted and not committed: "sleep" as long as the file is there, "kill" the
    process, or kill it while it writes a "checkpoint"; one "native" call for an hour, or one that
    is "locked", because it holds Python's lock; "eat" memory, up to 3 GB. "once" before it: of
    whoever comes first.
    """

    def generate_input_target_stream(self, value):
        if ORDERS in os.environ:
            kind = "validation" if self.seed == VALIDATION_SEED else "training"
            obey(Path(os.environ[ORDERS]) / kind)
        return super().generate_input_target_stream(value)


class Unhurried(Obedient):
    """The same; a worker rests before each batch, in which the processor is free for other tests.

    So a training is in its middle for as long as a test needs, and costs few iterations.
    """

    def get_batch(self, shuffle=False):
        if ORDERS in os.environ:
            select.select([], [], [], 0.006)  # sleep() goes by clocks that tests set
        return super().get_batch(shuffle)


def obey(path: Path) -> None:
    """Do what a file orders, if it is there."""
    with suppress(FileNotFoundError):
        order = path.read_text()
        if order.startswith("once"):
            path.unlink()
        if order.endswith("kill"):
            os.kill(os.getpid(), signal.SIGKILL)
        if order.endswith("checkpoint"):
            # The new file is written then, and has not yet the name of the old one.
            os.fsync = lambda number: os.kill(os.getpid(), signal.SIGKILL)
        if order.endswith("sleep"):
            path.with_suffix(f".{os.getpid()}").touch()
            while path.exists():
                time.sleep(0.02)
        if order.endswith("eat"):
            _ = [b"x" * 2**24 for _ in range(180)]
        if order.endswith(("native", "locked")):
            path.with_suffix(f".{os.getpid()}").touch()
            native_call(locked=order.endswith("locked"))


def native_call(locked: bool) -> None:
    """Be in one call for ever, which is left by no handler of Python's; if so, with its lock.

    It waits for a mutex that it has: unlike a sleep, that goes on after a signal, and unlike a long
    computation it leaves the processor to others.
    """
    library = (ctypes.PyDLL if locked else ctypes.CDLL)(None)
    mutex = ctypes.create_string_buffer(128)  # larger than any system's
    library.pthread_mutex_init(mutex, None)
    library.pthread_mutex_lock(mutex)
    library.pthread_mutex_lock(mutex)


class Deadly(Echo):
    """A task that kills each worker that trains on it, and nobody else."""

    def generate_input_target_stream(self, value):
        if ORDERS in os.environ:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().generate_input_target_stream(value)


def submission(
    n_iterations: int, n_cohorts: int = 1, task: str = "", training: str = "short"
) -> dict[str, Any]:
    """Return cohorts of one small network; long trainings take about 7 ms an iteration."""
    task = task or ("Unhurried" if n_iterations > 50 else "Obedient")
    name = "slow_echo" if task == "Unhurried" else "echo"
    return {
        "tasks": {name: {"class": f"tests.pipeline.workers:{task}", "n_steps": 8}},
        "networks": {"small": {"n_units": 8, "sigma_rec": 0.02}},
        "trainings": {training: {"max_iter": n_iterations, "same_batch": False}},
        "cohorts": [
            {
                "task": name,
                "network": "small",
                "training": training,
                "first_seed": 10 * i,
                "n_networks": 1,
            }
            for i in range(n_cohorts)
        ],
    }


def wait_until(condition: Callable[[], Any], seconds: float = 90.0) -> Any:
    """Return what the condition gives once it holds.

    It is asked less often the longer it takes: each time costs the processor that all tests share.
    """
    deadline, pause = time.monotonic() + seconds, 0.03
    while not (value := condition()):
        assert time.monotonic() < deadline, "what was waited for has not come"
        time.sleep(pause)
        pause = min(1.3 * pause, 0.2)
    return value


# Importing torch takes seconds: once for all processes.
load_code()
_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(
    ["tests.pipeline.warm", "pipeline.cli.commands", "pipeline.workers.worker"]
)


def _note_trainings(path: Path) -> None:
    """Have this process write down each training that it has computed to its end."""
    compute, together = Training.make_compute, Training.make_compute_together

    def note(key: dict[str, Any]) -> None:
        with path.open("a") as file:
            file.write(f"{key['first_seed']} {os.getpid()}\n")

    def noted(self: Training, key: dict[str, Any], *args: Any) -> Any:
        result = compute(self, key, *args)
        note(key)
        return result

    def noted_together(self: Training, keys: Sequence[dict[str, Any]], *args: Any) -> Iterator[Any]:
        for i, result in together(self, keys, *args):
            if result is not None:
                note(keys[i])
            yield i, result

    Training.make_compute = noted
    Training.make_compute_together = noted_together


def _obey_when_inserting(path: Path) -> None:
    """Have this process look for orders between each insert of a training and its commit."""
    insert = Training.make_insert

    def held(self: Training, key: dict[str, Any], *args: Any) -> None:
        insert(self, key, *args)
        obey(path)

    Training.make_insert = held


def settings_of(arguments: dict[str, Any]) -> dict[str, str]:
    """Return the variables that say to a process what `pipeline.connect` is told."""
    return {
        "RNN_PREFIX": arguments["prefix"],
        "RNN_STORE": str(arguments["store"]),
        "DJ_HOST": arguments["host"],
        "DJ_BACKEND": arguments["backend"],
        "DJ_PORT": str(arguments["port"]),
        "DJ_USER": arguments["user"],
        "DJ_PASS": arguments["password"],
        "RNN_ALLOWED_PACKAGES": "tests",
    }


def _settle(settings: dict[str, str]) -> None:
    os.environ |= settings
    # DataJoint reads them when it is imported, and it was.
    for name, variable in (("backend", "BACKEND"), ("user", "USER"), ("password", "PASS")):
        dj.config[f"database.{name}"] = settings[f"DJ_{variable}"]
    dj.config["database.port"] = int(settings["DJ_PORT"])
    dj.config["database.create_tables"] = settings.get("DJ_CREATE_TABLES") != "false"


def _run_worker(arguments: list[str], settings: dict[str, str], log: str) -> None:
    number = os.open(log, os.O_WRONLY | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(number, stream)
    _settle(settings)
    _note_trainings(Path(settings[ORDERS]) / TRAINED)
    _obey_when_inserting(Path(settings[ORDERS]) / "insert")
    warnings.simplefilter("ignore")
    app(arguments)


def _obey_rights_of_files() -> None:
    """Have this process, even where it is root's, write only what its owner's rights allow."""
    if os.geteuid() != 0:
        return
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # the version of what follows; this process
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable, in two halves
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.capget(header, sets) == 0
    for number in (0, 1):
        sets[number] &= ~(1 << 1)  # CAP_DAC_OVERRIDE
    assert libc.capset(header, sets) == 0


def _run_commands(commands: list[list[str]], settings: dict[str, str], results: Path) -> None:
    _settle(settings)
    _obey_rights_of_files()
    warnings.simplefilter("ignore")
    ended = [CliRunner().invoke(app, command) for command in commands]
    results.write_text(json.dumps([(e.exit_code, e.stdout, e.stderr) for e in ended]))


def run_commands(
    commands: list[list[str]], settings: dict[str, str], results: Path
) -> list[tuple[int, str, str]]:
    """Run commands of ``rnn``, in one other process; return status, output and errors of each.

    Parameters
    ----------
    commands : list of list of str
    settings : dict
        Variables of that process.
    results : Path
        File that it may write.
    """
    process = _forks.Process(target=_run_commands, args=(commands, settings, results))
    process.start()
    process.join(200)
    assert process.exitcode == 0
    return [tuple(ended) for ended in json.loads(results.read_text())]


# Of a worker that is no fork: with libraries or limits that a process has from its beginning.
PROGRAM = """
import json, sys
from tests.pipeline.workers import _run_worker
_run_worker(*json.loads(sys.argv[1]))
"""


class WorkerProcess:
    """A process of ``rnn worker``, with the methods of `subprocess.Popen`."""

    def __init__(self, arguments: list[str], settings: dict[str, str], log: Path) -> None:
        self._process = _forks.Process(target=_run_worker, args=(arguments, settings, str(log)))
        self._process.start()
        self.pid: int = self._process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise TimeoutError
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


@dataclass
class Laboratory:
    """The pipeline of one test, its worker processes, and the orders that these get."""

    arguments: dict[str, Any]
    orders: Path
    logs: Path
    processes: list[WorkerProcess | subprocess.Popen[bytes]] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)  # what they get besides

    def start(
        self, *options: str, n: int = 1
    ) -> list[WorkerProcess] | list[subprocess.Popen[bytes]]:
        """Start workers, as somebody at a terminal would.

        A supervisor is started apart: the workers that it starts cost little then.
        """
        started = []
        if any(option.startswith("--processes") for option in options):
            return [self.start_apart(*options) for _ in range(n)]
        for _ in range(n):
            self.processes.append(WorkerProcess(*self._told(options)))
            started.append(self.processes[-1])
        return started

    def start_apart(
        self,
        *options: str,
        environment: dict[str, str] | None = None,
        before: Callable[[], Any] | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start one worker that is no fork.

        Parameters
        ----------
        environment : dict, optional
            Variables from its beginning.
        before : callable, optional
            Called in its process before the program is.
        """
        arguments, settings, log = self._told(options)
        process = preloaded.Popen(
            [sys.executable, "-c", PROGRAM, json.dumps([arguments, settings, str(log)])],
            env={**os.environ, **(environment or {})},
            preexec_fn=before,
            nested=any(option.startswith("--processes") for option in options),
        )
        self.processes.append(process)
        return process

    def _told(self, options: Sequence[str]) -> tuple[list[str], dict[str, str], Path]:
        """Return what the next worker gets: arguments, settings and a file for what it writes."""
        arguments = [
            "worker",
            "--quiet",
            f"--heartbeat={BEAT_SECONDS}",
            "--checkpoint-seconds=0.1",
            *options,
        ]
        # So that one job does not depend on how many others wait.
        arguments += ["--together=1"] * (not any(o.startswith("--together") for o in options))
        settings = settings_of(self.arguments) | {ORDERS: str(self.orders)} | self.environment
        log = self.logs / f"{len(self.processes)}.log"
        log.touch()
        return arguments, settings, log

    def log(self, process: WorkerProcess) -> str:
        """Return what a process has written."""
        return (self.logs / f"{self.processes.index(process)}.log").read_text()

    def order(self, kind: str, what: str | None) -> None:
        """Give an order, or take it back."""
        path = self.orders / kind
        if what is None:
            path.unlink(missing_ok=True)
        else:
            (self.orders / "new").write_text(what)
            (self.orders / "new").rename(path)

    def sleeps(self, kind: str, process: WorkerProcess) -> bool:
        """Return whether a process obeys the order to sleep."""
        return (self.orders / f"{kind}.{process.pid}").exists()

    def ended(
        self, process: WorkerProcess, seconds: float = ENDED_SECONDS, status: int = 0
    ) -> None:
        """Wait for the end of a process, and look at its status."""
        try:
            found = process.wait(seconds)
        except (TimeoutError, subprocess.TimeoutExpired):
            raise AssertionError(f"does not end:\n{self.log(process)}") from None
        assert found == status, self.log(process)

    def ended_after_signal(self, process: WorkerProcess) -> None:
        """Have one worker end, and see that it does."""
        process.terminate()
        self.ended(process)

    def end(self, seconds: float = ENDED_SECONDS) -> None:
        """End all workers as they should, and see that they do."""
        living = [p for p in self.processes if p.poll() is None]
        for process in living:
            process.terminate()
        for process in living:
            self.ended(process, seconds)

    def end_living(self, seconds: float = 20.0) -> None:
        """End all workers; kill those that do not want to."""
        living = [p for p in self.processes if p.poll() is None]
        for process in living:
            process.terminate()
        for process in living:
            try:
                process.wait(seconds)
            except (TimeoutError, subprocess.TimeoutExpired):
                process.kill()

    def row(self, process: WorkerProcess) -> dict[str, Any]:
        """Return the newest row of a worker that lives; an empty one where there is none."""
        rows = (Worker & {"pid": process.pid} & "state <> 'lost'").to_dicts(
            order_by="started_at DESC", limit=1
        )
        return rows[0] if rows else {}

    def is_idle(self, process: WorkerProcess) -> bool:
        """Return whether a worker has nothing to do."""
        return self.row(process).get("state") == "idle"

    def iteration(self, process: WorkerProcess) -> int:
        """Return the iteration that a worker said it was at."""
        return self.row(process).get("iteration") or 0

    def trained(self) -> dict[int, list[int]]:
        """Return the processes that computed each training to its end, by its first seed."""
        path, found = self.orders / TRAINED, defaultdict(list)
        for line in path.read_text().splitlines() if path.exists() else ():
            first_seed, pid = map(int, line.split())
            found[first_seed].append(pid)
        return dict(found)

    def has_checkpoint(self) -> bool:
        """Return whether there is a whole state of a training."""
        return any(Path(self.arguments["store"]).glob("checkpoints/*/*/networks_*"))


@cache
def compile_loops() -> None:
    """Train for a moment, so that worker processes find the loops compiled."""
    net = NetworkConfig(**submission(2)["networks"]["small"])
    train_cohort(Echo(n_steps=8), net, TrainingConfig(max_iter=2), seeds=[0], device="cpu")


@contextmanager
def laboratory(arguments: dict[str, Any], folder: Path) -> Iterator[Laboratory]:
    """Give a laboratory whose processes end with it."""
    compile_loops()
    for name in ("orders", "logs"):
        (folder / name).mkdir()
    made = Laboratory(arguments, folder / "orders", folder / "logs")
    before = os.environ.get("RNN_ALLOWED_PACKAGES")
    os.environ["RNN_ALLOWED_PACKAGES"] = "tests"
    try:
        yield made
    finally:
        if before is None:
            del os.environ["RNN_ALLOWED_PACKAGES"]
        else:
            os.environ["RNN_ALLOWED_PACKAGES"] = before
        for process in made.processes:
            if process.poll() is None:
                process.kill()
            process.wait()


# What must hold ----------------------------------------------------------------------------------


def jobs(status: str | None = None) -> list[dict[str, Any]]:
    """Return the jobs of all tables, or those of a status."""
    tables = [Queue(t).jobs for t in COMPUTED]
    restriction = {} if status is None else {"status": status}
    # One question about all of them: most have none.
    where = "" if status is None else f" WHERE status = '{status}'"
    asked = (f"SELECT {i} FROM {t.full_table_name}{where}" for i, t in enumerate(tables))
    found = {row[0] for row in database.connection().query(" UNION ".join(asked)).fetchall()}
    return [row for i in sorted(found) for row in (tables[i] & restriction).to_dicts()]


def files_in(store: Path | S3Folder) -> set[str]:
    """Return all files and folders of a store, from its root; a bucket has no folders."""
    if isinstance(store, S3Folder):
        return store.paths()
    return {path.relative_to(store).as_posix() for path in store.rglob("*")}


def files_of_arrays(store: Path | S3Folder) -> set[str]:
    """Return the arrays' files that lie in a store, and what is left of half-written ones."""
    return {path for path in files_in(store) if path.endswith((".npy", ".saving"))}


def checkpoints_in(store: Path | S3Folder) -> list[str]:
    """Return the checkpoints in a store, and the folders of jobs that hold them."""
    return [path for path in files_in(store) if fnmatch(path, "checkpoints/*/*")]


def referenced_files() -> set[str]:
    """Return the arrays' files that rows refer to."""
    parts = [Training.Network, Training.Term]
    paths: set[str] = set()
    for part in parts:
        names = [n for n, a in part.heading.attributes.items() if a.codec is not None]
        for row in part.to_dicts():
            paths |= {row[name].path for name in names if row[name] is not None}
    return paths


def assert_identical(keys: Sequence[dict[str, Any]] | None = None) -> None:
    """See that networks are, to the bit, those of a training that nobody disturbed."""
    expected: dict[Any, Any] = {}
    for cohort in (Training & keys).keys() if keys is not None else Training.keys():
        task = (Task & cohort).fetch1()
        params = (TrainingParams & cohort).fetch1()
        n_networks = (Cohort & cohort).fetch1("n_networks")
        first = cohort["first_seed"]
        before, expected = os.environ.pop(ORDERS, None), {}
        result = train_cohort(
            lambda seed, task=task: Task.build(task, seed),
            NetworkParams.build((NetworkParams & cohort).fetch1()),
            TrainingParams.build(params, (TrainingParams.Penalty & cohort).to_dicts()),
            seeds=range(first, first + n_networks),
            device="cpu",
        )
        if before is not None:
            os.environ[ORDERS] = before
        for network in result.networks:
            expected = {k.lower(): v for k, v in network.weights.items()}
            expected |= {"loss_curve": network.loss_curve, "score_curve": network.score_curve}
            row = (Training.Network & cohort & {"seed": network.seed}).fetch1()
            for name in ARRAYS:
                assert np.array_equal(np.asarray(row[name]), expected[name]), name


def assert_all_right(n_cohorts: int, store: Path | S3Folder, lost: int | None = 0) -> None:
    """See that each cohort has one row, its files and no others, and that no job is left."""
    assert len(Training()) == n_cohorts
    assert len(Training.Network()) == n_cohorts
    assert not Queue(Training).jobs.to_dicts()
    left = [*jobs("reserved"), *jobs("error")]
    assert not left, [(job["status"], job["error_message"]) for job in left]
    assert files_of_arrays(store) == referenced_files()
    assert not checkpoints_in(store)
    if lost is not None:
        assert len(LostJob()) == lost


def sessions_of_others() -> list[int]:
    """Return the server's numbers of all sessions but ours that belong to the pipeline."""
    return kept_schemas.sessions_of_others(database.connection())
