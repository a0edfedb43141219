"""Processes that begin with their libraries loaded are what new interpreters are, and end so."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests import preloaded

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes of Linux")

IS_FORK = "import sys; print('torch' in sys.modules)"
# What each prints, and the status with which it ends, is the same in a new interpreter.
PROGRAMS = {
    "what it was called": "import sys; print(sys.argv, sys.orig_argv, sys.path, __name__)",
    "where it is": "import os; print(os.getcwd(), sorted(os.environ.items()), os.umask(0))",
    "whose child": "import os; print(os.getppid(), os.getpgid(0), os.getsid(0))",
    "files": "import os; print([n for n in os.listdir('/proc/self/fd') if int(n) < 20])",
    "signals": "import signal as s; print([(int(n), str(s.getsignal(n)).split(' at ')[0])"
    " for n in sorted(s.valid_signals())], s.pthread_sigmask(0, []))",
    "threads": "import os; print(len(os.listdir('/proc/self/task')))",
    "streams": "import sys; print([(s.encoding, s.errors, s.fileno(), s.line_buffering, s.name)"
    " for s in (sys.stdin, sys.stdout, sys.stderr)])",
    "input": "print(input()[::-1]); import sys; print(sys.stdin.read())",
    "what is not imported": "import sys; print({m.partition('.')[0] for m in sys.modules} & {"
    "'datajoint', 'pipeline', 'rnn_start', 'tests'})",
    "main module": "import sys; x = 3; print(sys.modules['__main__'].x, __name__)",
    "status": "raise SystemExit(3)",
    "words for a status": "raise SystemExit('no')",
    "no status": "raise SystemExit",
    "large status": "raise SystemExit(256 + 7)",
    "at the end": "import atexit; atexit.register(print, 'end'); print('begin')",
    "a thread": "import threading as t, time;"
    "t.Thread(target=lambda: (time.sleep(0.2), print('late'))).start()",
    "killed": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    "terminated": "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
    "interrupted": "import os, signal; os.kill(os.getpid(), signal.SIGINT)",
    "handled": "import warnings; warnings.warn('w'); print('after')",
    "full": "import sys; sys.stdout = open('/dev/full', 'w'); print('lost')",
}


def lines(done):
    """Return status, output, and errors without the lines of a traceback that say where."""
    said = [line for line in done.stderr.splitlines() if not line.startswith((" ", "Traceback"))]
    return done.returncode, done.stdout, said


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_does_what_a_new_interpreter_does(program, tmp_path):
    command = [sys.executable, "-P", "-W", "ignore", "-c", program, "first", "second"]
    environment = {**os.environ, "RNN_OF_THIS_TEST": "1"}
    done = [
        run(command, cwd=tmp_path, env=environment, input="abc\nd", capture_output=True, text=True)
        for run in (subprocess.run, preloaded.run)
    ]
    assert lines(done[1]) == lines(done[0])


def test_an_error_nobody_handles_is_printed():
    done = preloaded.run([sys.executable, "-c", "1 / 0"], stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1 and done.stderr.endswith("ZeroDivisionError: division by zero\n")
    with pytest.raises(subprocess.CalledProcessError):
        preloaded.run([sys.executable, "-c", "1 / 0"], stderr=subprocess.DEVNULL, check=True)


def test_modules_are_programs(tmp_path):
    (tmp_path / "program.py").write_text("import sys; print(__name__, sys.argv, sys.path[0])")
    command = [sys.executable, "-m", "program", "x"]
    done = [
        run(command, cwd=tmp_path, capture_output=True, text=True)
        for run in (subprocess.run, preloaded.run)
    ]
    assert lines(done[1]) == lines(done[0])
    assert done[0].stdout.startswith("__main__")


def printed(command, **variables):
    return preloaded.run(
        [sys.executable, *command], env={**os.environ, **variables}, capture_output=True, text=True
    ).stdout.strip()


def test_what_a_library_reads_once_has_a_new_interpreter():
    assert printed(["-c", IS_FORK]) == "True"
    threads = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}  # what it would read is the same
    assert printed(["-c", IS_FORK], **threads) == "True"
    by_sklearn = {"KMP_DUPLICATE_LIB_OK": "True", "KMP_INIT_AT_FORK": "FALSE"}
    assert printed(["-c", IS_FORK], **by_sklearn) == "True"
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_DISABLE_JIT", "LD_PRELOAD", "TZ"):
        assert printed(["-c", IS_FORK], **{name: "" if name == "LD_PRELOAD" else "3"}) == "False"
    assert printed(["-I", "-c", IS_FORK]) == "False"


def test_where_it_searches_is_its_own(tmp_path):
    (tmp_path / "of_this_test.py").write_text("x = 7")
    code = "import os, sys, of_this_test; print(sys.path, of_this_test.x, os.environ['PYTHONPATH'])"
    for path in (str(tmp_path), f"{ROOT}{os.pathsep}{tmp_path}{os.pathsep}{ROOT}", "."):
        environment = {**os.environ, "PYTHONPATH": path}
        done = [
            run([sys.executable, "-P", "-c", code], cwd=tmp_path, env=environment,
                capture_output=True, text=True)
            for run in (subprocess.run, preloaded.run)
        ]  # fmt: skip
        assert lines(done[1]) == lines(done[0]) and done[0].returncode == 0
        assert printed(["-c", IS_FORK], PYTHONPATH=path) == "True"
    # Not where it would find another of what is loaded.
    (tmp_path / "models").mkdir()
    assert printed(["-c", IS_FORK], PYTHONPATH=str(tmp_path)) == "False"


def test_can_be_switched_off(monkeypatch):
    monkeypatch.setenv(preloaded.FRESH, "1")
    assert printed(["-c", IS_FORK]) == "False"


def test_has_its_own_number_and_obeys_signals():
    program = "import os, time; print(os.getpid(), flush=True); time.sleep(300)"
    with preloaded.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
        assert int(process.stdout.readline()) == process.pid
        assert process.poll() is None
        assert psutil.Process(process.pid).ppid() == os.getpid()
        process.send_signal(signal.SIGSTOP)
        while psutil.Process(process.pid).status() != psutil.STATUS_STOPPED:
            time.sleep(0.01)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.1)
        process.send_signal(signal.SIGCONT)
        process.terminate()
        assert process.wait(60) == -signal.SIGTERM
    assert not psutil.pid_exists(process.pid)


def test_can_have_a_session_of_its_own():
    program = "import os; print(os.getsid(0) == os.getpid())"
    done = preloaded.run(
        [sys.executable, "-c", program], start_new_session=True, capture_output=True, text=True
    )
    assert done.stdout == "True\n"


NESTED = f"""
import subprocess, sys, os
done = subprocess.run([sys.executable, "-c", {IS_FORK!r}], capture_output=True, text=True)
print(done.stdout, end="", flush=True)
sleeping = [sys.executable, "-c", "import sys; print(sys.stdin.read())"]
with subprocess.Popen(sleeping, stdin=subprocess.PIPE) as process:
    print(process.pid, flush=True)
    sys.stdin.read()
"""


def test_its_own_processes_begin_so_too_and_nothing_is_left_of_it_when_it_is_killed():
    command = [sys.executable, "-c", NESTED]
    pipe = subprocess.PIPE
    with preloaded.Popen(command, nested=True, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout.readline() == "True\n"
        inner = int(process.stdout.readline())
        children = psutil.Process(process.pid).children()
        assert inner in {child.pid for child in children} and len(children) == 2
        process.kill()
        assert process.wait() == -signal.SIGKILL
        _, living = psutil.wait_procs(children, timeout=60)
        assert not living


def test_the_process_they_are_forks_of_ends_with_whoever_asks():
    """However that ends: here it is killed."""
    program = (
        "import sys; from tests import preloaded; "
        "print(preloaded._running_template()._process.pid, flush=True); sys.stdin.read()"
    )
    command, pipe = [sys.executable, "-c", program], subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as process:
        template = psutil.Process(int(process.stdout.readline()))
        process.kill()
    _, living = psutil.wait_procs([template], timeout=60)
    assert not living
