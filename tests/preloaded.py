"""Processes of Python that begin with their libraries loaded, with the methods of `subprocess`.

Torch, SciPy, matplotlib and pandas take seconds of a processor in each process that imports them. A
process of `tests.preloading` has done that, and forks. What it gives is a child of who asks, by its
own number, with the folder, the variables and the streams of the request, so that everything that
`subprocess.Popen` does holds for it: it is no proxy. What reads a variable when a library is
loaded, or asks for what only a new interpreter has, gets one.

``RNN_TEST_FRESH_PROCESSES=1`` has every process be a new interpreter.
"""

from __future__ import annotations

import atexit
import ctypes
import json
import os
import re
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

FRESH = "RNN_TEST_FRESH_PROCESSES"
SIZE = struct.Struct("!I")
_ROOT = str(Path(__file__).parents[1])
_PR_SET_CHILD_SUBREAPER = 36
# What the interpreter, the linker or a library reads when it is loaded.
_READ_ONCE = re.compile(
    "PYTHON|LD_|OMP_|MKL_|OPENBLAS|GOTO|BLIS|KMP_|VECLIB|NUMEXPR|NUMBA|TORCH|PYTORCH|ATEN|TRITON"
    "|CUDA|MPL|NPY_|MALLOC|GLIBC|LC_|LANG|TZ$|FAKETIME|DONT_FAKE|FORCE_COLOR|NO_COLOR|TERMINAL"
    "|TYPER|_TYPER|GITHUB_ACTIONS|PY_COLORS|XDG_CONFIG|SCIPY|SKLEARN|PANDAS"
)
# By scikit-learn, where it is imported, and by torch, where it compiles.
_SET_BY_LIBRARIES = ("KMP_DUPLICATE_LIB_OK", "KMP_INIT_AT_FORK", "TORCHINDUCTOR_CACHE_DIR")
_PRELOADED = ("models", "tasks_lib", "numpy", "torch", "yaml", "sitecustomize.py")
_ONE_THREAD = {
    "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS",
}  # fmt: skip
# Given to `subprocess.Popen`, these are the work of the call that makes a new interpreter.
_FOR_NEW_ONES = {
    "preexec_fn", "pass_fds", "shell", "executable", "user", "group", "extra_groups", "umask",
    "process_group",
}  # fmt: skip


class Request(NamedTuple):
    """What a process is to be."""

    command: list[str]  # as given to a shell, the interpreter first
    module: str  # to be run as a program, or
    code: str
    arguments: list[str]  # as the program finds them
    is_safe: bool  # -P: the current directory is not searched
    warnings: list[str]  # -W
    folder: str
    environment: dict[str, str]
    umask: int
    has_session: bool  # one of its own
    is_nested: bool  # what it starts are forks too


class Template:
    """The process whose forks are asked for.

    Parameters
    ----------
    connection : socket
        To it; when this is closed, by whatever ends this process, the template ends.
    environment : mapping
        Variables with which it has loaded its libraries.
    process : Popen, optional
        It, where it is no fork of this process.
    """

    def __init__(
        self,
        connection: socket.socket,
        environment: Mapping[str, str],
        process: subprocess.Popen[bytes] | None = None,
    ) -> None:
        self._connection, self._process = connection, process
        self._read_once = _read_once(environment)
        self._lock = threading.Lock()
        self.owner = os.getpid()

    def suits(self, environment: Mapping[str, str]) -> bool:
        """Return whether a process with these variables would have loaded the same."""
        here = [folder for folder in search_path(environment) if folder != _ROOT]
        has_ours = any((Path(folder) / name).exists() for folder in here for name in _PRELOADED)
        return not has_ours and _read_once(environment) == self._read_once

    def fork(self, request: Request, streams: Sequence[int]) -> int:
        """Return the number of a new child of this process."""
        text = json.dumps(request).encode()
        with self._lock:
            # Its parent ends at once, and this process takes the orphan.
            _reap_orphans(True)
            try:
                socket.send_fds(self._connection, [SIZE.pack(len(text))], streams)
                self._connection.sendall(text)
                answer = self._connection.recv(SIZE.size, socket.MSG_WAITALL)
            finally:
                _reap_orphans(False)
        if not answer:
            raise ChildProcessError(f"tests.preloading: has ended; set {FRESH}=1 to do without")
        return SIZE.unpack(answer)[0]

    def close(self) -> None:
        """End it."""
        self._connection.close()
        if self._process is not None:
            self._process.wait()


def search_path(environment: Mapping[str, str]) -> list[str]:
    """Return the folders of PYTHONPATH, in their order."""
    given = environment.get("PYTHONPATH")
    return [os.path.abspath(folder) for folder in given.split(os.pathsep)] if given else []


def _read_once(environment: Mapping[str, str]) -> dict[str, str]:
    found = {name: value for name, value in environment.items() if _READ_ONCE.match(name)}
    for name in ("PYTHONPATH", *_SET_BY_LIBRARIES):  # a fork is given that of its own
        found.pop(name, None)
    for name in _ONE_THREAD:  # each is that of OpenMP where it is not set
        if found.get(name) == found.get("OMP_NUM_THREADS"):
            found.pop(name, None)
    return found


def _reap_orphans(whether: bool) -> None:
    """Have this process become the parent of processes below it that lose theirs, or no longer."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, int(whether), 0, 0, 0)


_variables = dict(os.environ)  # before any test has changed them
_template: Template | None = None
_cannot_be_forked = False
_starting = threading.Lock()


def use(template: Template) -> None:
    """Have the processes of this one be forks of a template."""
    global _template
    _template = template


def _running_template() -> Template | None:
    """Return this process's template, started when it is first needed; None where there is none."""
    global _template, _cannot_be_forked
    if sys.platform != "linux" or _variables.get(FRESH) or os.environ.get(FRESH):
        return None
    with _starting:
        if _template is None and not _cannot_be_forked:
            _template = _started()
            _cannot_be_forked = _template is None
            if _template is not None:
                atexit.register(_template.close)
    if _template is None or _template.owner != os.getpid():  # in a fork of this process
        return None
    return _template


def _started() -> Template | None:
    """Return a new template; None where a library has threads, and new interpreters have to do."""
    ours, its = socket.socketpair()
    begin = f"import sys; sys.path.insert(0, {_ROOT!r}); from tests.preloading import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", begin, str(its.fileno())],
        env=_variables, cwd=_ROOT, pass_fds=[its.fileno()],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    its.close()
    answer = ours.recv(SIZE.size, socket.MSG_WAITALL)
    if answer != SIZE.pack(0):
        ours.close()
        process.wait()
        return None
    return Template(ours, _variables, process)


class Popen(subprocess.Popen):
    """`subprocess.Popen`; a program of this interpreter begins with its libraries loaded.

    Parameters
    ----------
    command : sequence of str
    nested : bool
        Whether those that it starts by itself with `subprocess.Popen` begin so too.
    options
        Those of `subprocess.Popen`.
    """

    def __init__(self, command: Any, *positional: Any, nested: bool = False, **options: Any):
        self._request: Request | None = None
        self._from: Template | None = None
        if not positional and not any(options.get(name) for name in _FOR_NEW_ONES):
            request = _parsed(command, nested, options)
            template = _running_template() if request is not None else None
            if request is not None and template and template.suits(request.environment):
                self._request, self._from = request, template
        super().__init__(command, *positional, **options)

    def _execute_child(self, *arguments: Any) -> None:
        if self._request is None or self._from is None:
            super()._execute_child(*arguments)
            return
        pipes = arguments[10:16]  # of stdin, stdout and stderr: the child's ends, and ours
        child_ends = pipes[0], pipes[3], pipes[5]
        own = [number if given == -1 else given for number, given in enumerate(child_ends)]
        self.pid = self._from.fork(self._request, own)
        self._child_created = True
        self._close_pipe_fds(*pipes)


def run(
    command: Sequence[Any],
    *,
    input: Any = None,
    capture_output: bool = False,
    timeout: float | None = None,
    check: bool = False,
    **options: Any,
) -> subprocess.CompletedProcess:
    """Do what `subprocess.run` does."""
    if input is not None:
        options["stdin"] = subprocess.PIPE
    if capture_output:
        options |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with Popen(command, **options) as process:
        try:
            out, err = process.communicate(input, timeout=timeout)
        except BaseException:
            process.kill()
            raise
    done = subprocess.CompletedProcess(process.args, process.returncode, out, err)
    if check:
        done.check_returncode()
    return done


def _parsed(command: Any, nested: bool, options: Mapping[str, Any]) -> Request | None:
    """Return what a command asks for; None where that is for a new interpreter."""
    if isinstance(command, str | bytes | os.PathLike):
        return None
    words = [os.fspath(word) for word in command]
    folder = os.path.abspath(options.get("cwd") or os.getcwd())
    if not words or words[0] != sys.executable or not os.path.isdir(folder):
        return None
    is_safe, warnings, rest = False, [], words[1:]
    while rest and rest[0] in ("-P", "-W"):
        is_safe |= rest[0] == "-P"
        if rest.pop(0) == "-W":
            warnings.append(rest.pop(0))
    if len(rest) < 2 or rest[0] not in ("-c", "-m"):
        return None
    is_module = rest[0] == "-m"
    given = options.get("env")
    return Request(
        command=words,
        module=rest[1] if is_module else "",
        code="" if is_module else rest[1],
        arguments=["-m" if is_module else "-c", *rest[2:]],
        is_safe=is_safe,
        warnings=warnings,
        folder=folder,
        environment=dict(os.environ if given is None else given),
        umask=_umask(),
        has_session=bool(options.get("start_new_session")),
        is_nested=nested,
    )


def _umask() -> int:
    (line,) = (
        line
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith("Umask:")
    )
    return int(line.split()[1], 8)
