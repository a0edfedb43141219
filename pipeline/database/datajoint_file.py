"""Which ``datajoint.json`` counts: that which the user means, and no other.

DataJoint looks for the file when it is imported, in the working directory and in every folder above
it up to one with ``.git``, and takes the first, whoever wrote it: a file in ``/tmp`` or on a share
can so name another server and another store. Here one counts

- that RNN_CONFIG names, wherever it is;
- else one in the working directory, or in a folder above it inside of the same project: at most up
  to the first folder with ``.git``, ``.hg`` or ``pyproject.toml``, and none above where there is no
  such folder. It and its folder have to belong to the user or to root, and nobody else may write
  to them.

Whatever else DataJoint would have found is not read, and is said once. This module imports nothing
but the standard library, for it is run before DataJoint is imported.
"""

from __future__ import annotations

import logging
import os
import stat
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

NAME = "datajoint.json"
VARIABLE = "RNN_CONFIG"
IGNORE = "DJ_IGNORE_CONFIG_FILE"  # DataJoint's own: neither a file nor the secrets folder is read
PROJECT = (".git", ".hg", "pyproject.toml")


@dataclass
class Choice:
    """Which file counts.

    Attributes
    ----------
    path : Path or None
        The file that counts.
    foreign : str
        What was found and does not count, and what to do; "" where there is nothing to say.
    """

    path: Path | None = None
    foreign: str = ""


def choose(start: Path | None = None) -> Choice:
    """Return the file that counts from a working directory."""
    if os.environ.get(IGNORE, "").lower() in ("1", "true", "yes", "on", "t", "y"):
        return Choice()
    if os.environ.get(VARIABLE):
        return Choice(Path(os.environ[VARIABLE]).expanduser())
    try:
        here = (start or Path.cwd()).resolve()
    except OSError:  # a working directory that was removed
        return Choice()
    found = search(here)
    if found is None:
        return Choice()
    if found.parent != here and found.parent not in _of_project(here):
        problem = "lies above the folder in which this was started, and in no project with it"
    else:
        problem = _problem(found)
    if not problem:
        return Choice(found)
    remedy = f"set {VARIABLE} to it if you mean it, or {IGNORE}=true"
    return Choice(None, f"{NAME} = {str(found)!r}: {problem}, and is not read; {remedy}")


def search(here: Path) -> Path | None:
    """Return the file that DataJoint would take: the first, up to a folder of a repository."""
    for folder in (here, *here.parents):
        if (folder / NAME).is_file():
            return folder / NAME
        if (folder / ".git").exists() or (folder / ".hg").exists():
            return None
    return None


def _of_project(here: Path) -> list[Path]:
    """Return the folders above that are of the same project, its own folder the last."""
    folders = [here, *here.parents]
    for number, folder in enumerate(folders):
        if any((folder / mark).exists() for mark in PROJECT):
            return folders[1 : number + 1]
    return []


def _problem(path: Path) -> str:
    """Return why somebody else could have written a file, in words; "" where nobody could."""
    if os.name != "posix":
        return ""
    for what, place in (("", path), ("its folder ", path.parent)):
        try:
            # Of a link, what it leads to.
            status = place.stat()
        except OSError as error:
            return f"{what}cannot be looked at ({error.strerror})"
        if status.st_uid not in (os.getuid(), 0):
            return f"{what}belongs to another user (number {status.st_uid})"
        sticky = place.is_dir() and status.st_mode & stat.S_ISVTX
        if status.st_mode & stat.S_IWOTH and not sticky:
            return f"{what}can be written by every user"
        if status.st_mode & stat.S_IWGRP and not _is_own_group(status.st_gid):
            return f"{what}can be written by a group of users"
    return ""


def _is_own_group(number: int) -> bool:
    """Whether a group is the user's own, or root's: many systems let it write by default."""
    import grp
    import pwd

    if number == 0:
        return True
    if number != os.getgid():
        return False
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
        return set(grp.getgrgid(number).gr_mem) <= {user}
    except KeyError:
        return False


_chosen = Choice()


def chosen() -> Choice:
    """Return the file that DataJoint was given."""
    return _chosen


def prepare() -> None:
    """Let DataJoint read the file that counts and no other; once, before it is imported.

    Where it would find none, or that one, it is left to itself. Who has imported DataJoint first
    has had it read what it found: `pipeline.connect` refuses that where it does not count.
    """
    global _chosen
    _chosen = choose()
    if "datajoint" in sys.modules:
        return
    named = bool(os.environ.get(VARIABLE))
    if not named and not _chosen.foreign:
        return
    before = os.environ.get(IGNORE)
    os.environ[IGNORE] = "true"
    try:
        from datajoint import settings
    finally:
        if before is None:
            del os.environ[IGNORE]
        else:
            os.environ[IGNORE] = before
    config = settings.config
    config.ignore_config_file = False
    log = logging.getLogger("datajoint")
    log.setLevel(logging.WARNING)  # not that it reads a file
    if _chosen.path is not None and _chosen.path.is_file():
        with suppress(OSError, ValueError):  # `pipeline.connect` reads it again, and says it
            config.load(_chosen.path)
    config._apply_stores_env()
    secrets = settings.find_secrets_dir(_chosen.path)
    if secrets is not None:
        config._load_secrets(secrets)
    log.setLevel(config.loglevel)
