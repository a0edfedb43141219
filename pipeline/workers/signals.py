"""Handling signals at once, whatever the main thread is doing.

Python runs handlers of signals in the main thread, between two of its own instructions: during one
long native call (the eigenvalues of a large matrix, a connection to a host that does not answer)
none is run. Its C handler however writes each signal's number to a socket (`signal.set_wakeup_fd`).
A thread waits there. For calls that hold Python's lock, so that no thread runs, a process beside
this one does (`pipeline.workers.watchdog`).
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Protocol

# From the terminal, from whoever ends processes, from SLURM before it preempts.
SIGNALS = tuple(
    getattr(signal, name)
    for name in ("SIGTERM", "SIGINT", "SIGUSR1", "SIGHUP")
    if hasattr(signal, name)
)
_NUMBERS = frozenset(int(number) for number in SIGNALS)
# A signal that comes sooner after the first is the same: what ends a job or a container tells the
# supervisor, which passes it on, and its workers.
SAME_SIGNAL_SECONDS = 1.0
# From the first signal, and from the second: until the watchdog kills a process that has not ended.
KILLED_AFTER, KILLED_AT_ONCE = 9.0, 0.9
LOOK_SECONDS = 0.25  # from one look for signals that cannot be delivered to the next
_PENDING_IS_KNOWN = hasattr(signal, "sigpending") and hasattr(signal, "pthread_sigmask")
_WATCHDOG = Path(__file__).with_name("watchdog.py")


class Ending(Protocol):
    """How a process ends."""

    grace: float  # seconds from the first signal to the deadline

    def in_main_thread(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal as Python does: in the main thread, as soon as that is possible."""

    def at_first(self) -> None:
        """Begin to end; in the watching thread, as the next two."""

    def at_second(self) -> None:
        """Leave at once."""

    def at_deadline(self) -> None:
        """Leave: the time is over."""


class _Watch:
    """The thread that waits for signals, and the process beside it."""

    def __init__(self, ending: Ending, guarded: bool) -> None:
        self._ending = ending
        self._first: float | None = None  # when the first signal was heard
        self._early: set[int] = set()  # signals that were heard before they were delivered
        self._reading, self._writing = socket.socketpair()
        self._writing.setblocking(False)
        self._watchdog = self._start_watchdog() if guarded else None
        self._earlier = signal.set_wakeup_fd(self._writing.fileno(), warn_on_full_buffer=False)
        self._thread = threading.Thread(target=self._listen, name="signals", daemon=True)
        self._thread.start()

    def close(self) -> None:
        signal.set_wakeup_fd(self._earlier)
        self._writing.close()
        if self._watchdog is not None and self._watchdog.stdin is not None:
            with suppress(OSError):
                self._watchdog.stdin.close()
            self._watchdog.wait()
        self._thread.join()
        self._reading.close()

    def hand_on(self, outer: _Watch) -> None:
        """Pass the time of the first signal on to the outer watch, which keeps its deadline."""
        if self._first is not None and outer._first is None:
            outer._first = self._first
            with suppress(OSError):
                outer._writing.send(b"\0")  # no signal: its thread looks at the time

    def _start_watchdog(self) -> subprocess.Popen[bytes] | None:
        descriptor, numbers = self._reading.fileno(), ",".join(str(int(n)) for n in SIGNALS)
        times = (KILLED_AFTER, SAME_SIGNAL_SECONDS, KILLED_AT_ONCE)
        command = [sys.executable, "-I", "-S", str(_WATCHDOG), str(os.getpid()), str(descriptor)]
        # What ends a whole group of processes is not to end the watchdog first.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            return subprocess.Popen(
                [*command, numbers, *map(str, times)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                pass_fds=[descriptor],
                bufsize=0,
                cwd="/",
            )
        except OSError:  # no further process is allowed here: the thread does what it can
            return None
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _listen(self) -> None:
        if _PENDING_IS_KNOWN:
            signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # only then are they shown as pending
        while True:
            self._reading.settimeout(self._seconds_to_next_look())
            try:
                heard = self._reading.recv(64)
                if not heard:
                    return
            except TimeoutError:
                if self._first is not None and self._seconds_left() <= 0:
                    self._ending.at_deadline()
                    return
                heard = b""
            pending = self._heard_early()
            if not (pending or self._is_news(heard)):
                continue
            if self._watchdog is not None and self._watchdog.stdin is not None:
                with suppress(OSError, ValueError):  # it has ended, or is just being closed
                    self._watchdog.stdin.write(b"p" if pending else b"!")
            if self._first is None:
                self._first = time.monotonic()
                self._ending.at_first()
            elif time.monotonic() - self._first >= SAME_SIGNAL_SECONDS:
                self._ending.at_second()
                return

    def _seconds_left(self) -> float:
        assert self._first is not None
        return self._first + self._ending.grace - time.monotonic()

    def _seconds_to_next_look(self) -> float | None:
        looks = [LOOK_SECONDS] if _PENDING_IS_KNOWN else []
        if self._first is not None:
            looks.append(max(self._seconds_left(), 0.001))
        return min(looks, default=None)

    def _heard_early(self) -> bool:
        """Return whether there is a signal that the system cannot deliver now.

        It chooses the main thread. While that waits for a file system that does not answer, in a
        call that no signal interrupts, not even the handler in C is run.
        """
        if not _PENDING_IS_KNOWN:
            return False
        new = (_NUMBERS & {int(number) for number in signal.sigpending()}) - self._early
        self._early |= new
        return bool(new)

    def _is_news(self, heard: bytes) -> bool:
        """Return whether there is a signal among what was delivered that was not heard early."""
        news = [number for number in heard if number in _NUMBERS and number not in self._early]
        self._early.difference_update(heard)
        return bool(news)


_watching: list[_Watch] = []


@contextmanager
def ending_at_signals(ending: Ending, guarded: bool = True) -> Iterator[None]:
    """Handle signals inside as ``ending`` says; not SIGHUP under `nohup`.

    In another thread than the main one, where Python sets no handlers, nothing is changed.

    Parameters
    ----------
    ending : Ending
    guarded : bool
        Whether a process is started beside this one, for native calls that hold Python's lock.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {}
    watch = _Watch(ending, guarded)
    _watching.append(watch)
    try:
        for number in SIGNALS:
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, ending.in_main_thread)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _watching.remove(watch)
        watch.close()
        if _watching:
            watch.hand_on(_watching[-1])


def _forget_in_child() -> None:
    """Reset the signal handlers in a forked child."""
    if _watching:
        _watching.clear()
        signal.set_wakeup_fd(-1)
        for number in SIGNALS:
            if callable(signal.getsignal(number)):
                signal.signal(number, signal.SIG_DFL)


os.register_at_fork(after_in_child=_forget_in_child)
