"""How the superuser of a machine runs PostgreSQL, which refuses to be run by him.

Only the standard library: the process that keeps the server loads this file without the package.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from .embedded_files import EmbeddedError

NAMESPACE, ACCOUNT = "namespace", "account"
ACCOUNTS = ("pgserver", "postgres", "daemon", "nobody")
CLONE_NEWUSER = 0x10000000
PR_SET_PDEATHSIG, PR_SET_KEEPCAPS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 1, 8, 47, 2
CAPABILITY_VERSION_3 = 0x20080522
CAP_DAC_OVERRIDE = 1


def as_other_user(
    program: Path, ways: Sequence[str] = (NAMESPACE, ACCOUNT)
) -> tuple[Callable[[], None], int]:
    """Return what a new process does before it becomes the server, and whose its files are.

    It is ended with the process that started it. Whoever is not the superuser changes nothing
    else. For the superuser there are two ways; neither changes anything outside the home.

    - ``"namespace"``: a user namespace in which he has another number. Files stay his.
    - ``"account"``: where that is not permitted, as in many containers, an account of the machine
      that may do nothing. It keeps the right to pass through his folders.

    Parameters
    ----------
    program : Path
        It is run once to see which of the ways is permitted.
    ways : sequence of str
        Those to be tried, in this order.

    Returns
    -------
    prepare : callable
        For ``preexec_fn``.
    owner : int
        Number of the user.

    Raises
    ------
    EmbeddedError
        Where no way is permitted.
    """
    libc = ctypes.CDLL(None, use_errno=True)

    def end_with_parent() -> None:
        if sys.platform == "linux":
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGQUIT, 0, 0, 0)

    if os.geteuid():
        return end_with_parent, os.geteuid()
    reasons = []
    for way in ways:
        try:
            become, owner = {NAMESPACE: _in_namespace, ACCOUNT: _as_account}[way](libc)

            def prepare(become: Callable[[], None] = become) -> None:
                become()
                end_with_parent()  # last: a change of user takes it away

            done = subprocess.run(
                [program, "--version"], preexec_fn=prepare, capture_output=True, timeout=60
            )
            if done.returncode == 0:
                return prepare, owner
            reasons.append(f"{way}: status {done.returncode}")
        except (OSError, subprocess.SubprocessError):
            reasons.append(f"{way}: not permitted")
        except EmbeddedError as error:
            reasons.append(f"{way}: {error}")
    raise EmbeddedError(
        f"PostgreSQL is not run by root, and no other way is permitted ({'; '.join(reasons)}); run "
        "this as an ordinary user, or set DJ_HOST to a server"
    )


def _in_namespace(libc: ctypes.CDLL) -> tuple[Callable[[], None], int]:
    if sys.platform != "linux":
        raise EmbeddedError("only Linux has user namespaces")
    # initdb looks its user up by number.
    inside = next((user.pw_uid for user in pwd.getpwall() if user.pw_uid), 65534)
    group = os.getegid()

    def become() -> None:
        _checked(libc.unshare(CLONE_NEWUSER))
        for name, content in (
            ("uid_map", f"{inside} 0 1"),
            ("setgroups", "deny"),
            ("gid_map", f"{inside} {group} 1"),
        ):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(content)

    return become, 0


def _as_account(libc: ctypes.CDLL) -> tuple[Callable[[], None], int]:
    accounts = {user.pw_name: user for user in pwd.getpwall() if user.pw_uid}
    account = next((accounts[name] for name in ACCOUNTS if name in accounts), None)
    if account is None:
        raise EmbeddedError(f"none of the accounts {', '.join(ACCOUNTS)} is there")

    def become() -> None:
        linux = sys.platform == "linux"
        if linux:
            _checked(libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0))
        os.setgroups([])
        os.setgid(account.pw_gid)
        os.setuid(account.pw_uid)
        if linux:
            rights = 1 << CAP_DAC_OVERRIDE
            header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
            # Effective, permitted and inheritable, of the lower and the upper 32.
            sets = (ctypes.c_uint32 * 6)(rights, rights, rights, 0, 0, 0)
            _checked(libc.capset(header, sets))
            _checked(libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE, 0, 0))

    return become, account.pw_uid


def _checked(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
