"""Numbers of threads, of libraries that compute already."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import os
os.environ["NUMBA_NUM_THREADS"] = "2"
import numba
from numba.np.ufunc.parallel import _launch_threads
from models.machine.threads import set_threads
_launch_threads()
set_threads(1)
assert numba.njit(lambda x: x + 1)(1) == 2  # is compiled now
assert numba.get_num_threads() == 1
assert os.environ["OMP_NUM_THREADS"] == "1"
"""


def test_numba_compiles_after_its_running_threads_were_told_their_number():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
