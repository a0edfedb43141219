"""Killing a process that does not end after a signal: a program beside that process.

A native call that holds Python's lock (the GIL) stops every thread of its process, so that none of
them can keep the promise of an end. Python's own handler, in C, writes the number of each signal to
a socket even then; this program looks into that socket without reading it. It is started by
`pipeline.workers.signals` as a file, without any package: it takes 10 MB, and no time.

    python -I -S watchdog.py PROCESS SOCKET NUMBERS GRACE SAME AT_ONCE

PROCESS is its parent. GRACE: seconds from the first signal until it is killed. SAME: a signal that
comes sooner after the first is the same. AT_ONCE: seconds from the second until it is killed.
On the standard input comes a byte for each signal of which that process knows, "p" for one that the
system has not delivered yet: then it is known already when it comes into the socket. The end of
that input says that nothing is to be watched any more.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import time

LOOK = 0.05  # seconds from one look to the next, once there was a signal
IDLE = 5.0  # and before


def watch(
    process: int, wakeups: socket.socket, numbers: set[int], grace: float, same: float, soon: float
) -> None:
    """Kill the parent where it outlives its time."""
    first = second = None
    n_unread, knows_all = 0, False
    watched: list[int | socket.socket] = [0, wakeups]
    while os.getppid() == process:
        ready, _, _ = select.select(watched, [], [], IDLE if first is None else LOOK)
        heard = False
        if 0 in ready:
            told = os.read(0, 64)
            if not told:
                return
            heard, knows_all = True, knows_all or b"p" in told
        if wakeups in ready:
            try:
                unread = wakeups.recv(4096, socket.MSG_PEEK | socket.MSG_DONTWAIT)
            except BlockingIOError:
                unread = b""  # the process itself has read it
            before, n_unread = n_unread, sum(number in numbers for number in unread)
            heard |= n_unread > before and not knows_all
            time.sleep(LOOK)
        else:
            n_unread = 0
        now = time.monotonic()
        if heard and first is None:
            first = now
        elif heard and first is not None and second is None and now - first >= same:
            second = now
        due = (first is not None and now - first >= grace) or (
            second is not None and now - second >= soon
        )
        if due and os.getppid() == process:
            os.kill(process, signal.SIGKILL)
            return


if __name__ == "__main__":
    parent, descriptor = int(sys.argv[1]), int(sys.argv[2])
    watched = {int(number) for number in sys.argv[3].split(",")}
    watch(parent, socket.socket(fileno=descriptor), watched, *map(float, sys.argv[4:7]))
