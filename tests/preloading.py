"""The process that others of the tests are forks of: it has imported what takes seconds.

It imports other people's libraries, and of ours those that know no database. DataJoint, which reads
variables and files when it is imported, and `pipeline`, which imports it, are each process's own.
"""

from __future__ import annotations

import atexit
import gc
import io
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
import types
import warnings
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from tests import preloaded
from tests.preloaded import SIZE, Request

LIBRARIES = (
    "jinja2", "matplotlib.backends.backend_agg", "matplotlib.figure", "networkx", "numba", "numpy",
    "pandas", "PIL.Image", "psutil", "psycopg2", "psycopg2.extras", "pydantic_settings", "pymysql",
    "rich.console", "rich.progress", "rich.table", "scipy.integrate", "scipy.linalg",
    "scipy.optimize", "scipy.sparse", "scipy.stats", "sklearn.cluster", "sklearn.decomposition",
    "sklearn.manifold", "tenacity", "threadpoolctl", "torch", "tqdm", "typer.rich_utils",
    "fsspec.implementations.local", "xml.etree.ElementTree", "yaml", "asyncio", "logging.handlers",
)  # fmt: skip
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
_ignored = {number for number in SIGNALS if signal.getsignal(number) is signal.SIG_IGN}
FORKABLE = ("jemalloc_bg_thd",)  # of pyarrow, which stops it around each fork
_variables = dict(os.environ)
_path = [*sys.path]  # without the folder of these tests, once they are imported


def main() -> None:
    """Import, and be a template: of each fork this is the whole program."""
    del _path[0]  # of who starts this: the folder that these tests lie in
    _preload()
    connection = socket.socket(fileno=int(sys.argv[1]))
    gc.freeze()  # no fork need look at what is here, and so copy it
    threads = [name for name in _threads()[1:] if name not in FORKABLE]
    connection.sendall(SIZE.pack(len(threads)))
    if threads:  # a fork would have their locks without them
        sys.exit(f"tests.preloading: a library has started threads: {threads}")
    _run(*_fork_at_requests(connection))


def _preload() -> None:
    gc.disable()
    for name in LIBRARIES:
        with suppress(ImportError):  # an extra
            import_module(name)
    import torch

    import models
    import tasks_lib

    for package in (tasks_lib, models, models.fixed_points, models.manifolds):
        for name in package.__all__:
            getattr(package, name)
    import_module("models.plots.files")
    state = torch.get_rng_state()
    _compile_loops()
    torch.set_rng_state(state)
    gc.enable()


def _threads() -> list[str]:
    """Return the names of the threads of this process, the main one first."""
    numbers = sorted(os.listdir("/proc/self/task"), key=int)
    return [Path(f"/proc/self/task/{number}/comm").read_text().strip() for number in numbers]


def _compile_loops() -> None:
    """Train for a moment, so that forks find the loops loaded: Numba takes a second for that."""
    from models import NetworkConfig, TrainingConfig, train_cohort
    from tasks_lib import CDDM

    train_cohort(
        CDDM(n_steps=8, stim_on=2, dec_on=5),
        NetworkConfig(n_units=8, sigma_rec=0.02),
        TrainingConfig(max_iter=2),
        seeds=[0],
        device="cpu",
    )


def _fork_at_requests(connection: socket.socket) -> tuple[Request, list[int]]:
    """Fork whenever somebody asks; return in the fork, with what was asked for."""
    for number in SIGNALS:  # they are for what runs beside it; who asks here decides when it ends
        signal.signal(number, signal.SIG_IGN)
    while True:
        head, descriptors, _, _ = socket.recv_fds(connection, SIZE.size, 3)
        if not head:
            os._exit(0)
        text = b""
        (size,) = SIZE.unpack(head)
        while len(text) < size:
            text += connection.recv(size - len(text))
        reading, writing = os.pipe()
        middle = os.fork()
        if middle == 0:
            middle = os.getpid()
            fork = os.fork()
            if fork:
                os.write(writing, SIZE.pack(fork))
                os._exit(0)  # so that who asked, and reaps orphans meanwhile, becomes the parent
            while os.getppid() == middle:
                time.sleep(0.001)
            return Request(*json.loads(text)), descriptors
        for descriptor in (writing, *descriptors):
            os.close(descriptor)
        pid = os.read(reading, SIZE.size)
        os.close(reading)
        os.waitpid(middle, 0)
        connection.sendall(pid)


def _become(request: Request, descriptors: list[int]) -> None:
    """Be what a new interpreter with this command would be, before it runs the program."""
    for number in {*SIGNALS} - _ignored:  # those stay ignored, as after `nohup`
        is_interrupt = number == signal.SIGINT
        signal.signal(number, signal.default_int_handler if is_interrupt else signal.SIG_DFL)
    if request.has_session:
        os.setsid()
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    os.umask(request.umask)
    os.chdir(request.folder)
    os.environ.clear()
    os.environ.update(request.environment)
    sys.stdin = sys.__stdin__ = _stream(0, "r", sys.stdin)
    sys.stdout = sys.__stdout__ = _stream(1, "w", sys.stdout)
    sys.stderr = sys.__stderr__ = _stream(2, "w", sys.stderr)
    sys.orig_argv = request.command
    sys.argv = [*request.arguments]
    ours = preloaded.search_path(_variables)
    theirs = dict.fromkeys(preloaded.search_path(request.environment))
    sys.path[:] = [*theirs, *(folder for folder in _path if folder not in {*ours, *theirs})]
    if not request.is_safe:
        sys.path.insert(0, request.folder if request.module else "")
    sys.warnoptions.extend(request.warnings)
    warnings._processoptions(request.warnings)  # type: ignore[attr-defined]
    sys.modules["numpy"].random.seed()  # as random and uuid do by themselves


def _stream(number: int, mode: str, like: Any) -> Any:
    raw: Any = io.open(number, f"{mode}b", buffering=0, closefd=False)  # noqa: SIM115, UP020
    unbuffered = bool(os.environ.get("PYTHONUNBUFFERED")) and mode == "w"
    raw.name = f"<{('stdin', 'stdout', 'stderr')[number]}>"
    if not unbuffered:
        raw = io.BufferedReader(raw) if mode == "r" else io.BufferedWriter(raw)
    return io.TextIOWrapper(
        raw,
        encoding=like.encoding,
        errors=like.errors,
        line_buffering=not unbuffered and (number == 2 or raw.isatty()),
        write_through=unbuffered,
    )


def _run(request: Request, descriptors: list[int]) -> None:
    _become(request, descriptors)
    if request.is_nested and (asked := _nest()) is not None:
        _run(*asked)
        return
    for name in [name for name in sys.modules if name.partition(".")[0] == "tests"]:
        del sys.modules[name]  # they are where the path of the new process leads
    try:
        if request.module:
            runpy.run_module(request.module, run_name="__main__", alter_sys=True)
        else:
            sys.modules["__main__"] = program = types.ModuleType("__main__")
            exec(compile(request.code, "<string>", "exec"), program.__dict__)
        status = 0
    except SystemExit as end:
        status = _status(end.code)
    except KeyboardInterrupt:
        raise  # the interpreter ends itself by the signal
    except BaseException:
        sys.excepthook(*sys.exc_info())
        status = 1
    _leave(status)


def _status(code: Any) -> int:
    if code is None or isinstance(code, int):
        return (code or 0) & 0xFF
    print(code, file=sys.stderr)
    return 1


def _leave(status: int) -> NoReturn:
    """End as the interpreter does, but for taking all libraries apart: that takes 0.3 s."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            sys.exit(status)  # the interpreter says what is to be said
    os._exit(status)


def _nest() -> tuple[Request, list[int]] | None:
    """Leave a template beside this process; return in its forks, with what they are to be."""
    ours, its = socket.socketpair()
    if os.fork() == 0:
        ours.close()
        nowhere = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(nowhere, number)
        return _fork_at_requests(its)
    its.close()
    preloaded.use(preloaded.Template(ours, os.environ))
    subprocess.Popen = preloaded.Popen  # type: ignore[misc]
    return None
