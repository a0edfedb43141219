"""Checkpoints of trainings in the store, from which any machine can resume."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from datajoint.errors import MissingExternalFile
from datajoint.hash_registry import get_store_backend

from models.machine.atomic_file import write_atomically
from models.training.checkpoints import CheckpointNotWritten
from tasks_lib.errors import text_of

from ..database.schemas import plain_name
from ..database.types import Populated
from ..store.mounts import check_store
from ..store.pending_files import STORE, sync_folders
from ..transient.errors import is_transient

FOLDER = "checkpoints"
log = logging.getLogger(__name__)


class StoredCheckpoints:
    """The states of one job's training, in a folder of the store (`models.Checkpoints`).

    Parameters
    ----------
    table, job_hash : str
        Which job.
    is_ours : callable, optional
        Returns whether the job is still ours; where it is not, nothing is written.
    """

    def __init__(
        self, table: str, job_hash: str, is_ours: Callable[[], bool] | None = None
    ) -> None:
        self.folder = f"{FOLDER}/{table}/{job_hash}"
        self._is_ours = is_ours or (lambda: True)
        self._backend = get_store_backend(STORE)

    def read(self, name: str) -> bytes | None:
        """Return what was last written under a name; None where nothing was."""
        try:
            return bytes(self._backend.get_buffer(f"{self.folder}/{name}"))
        except (MissingExternalFile, FileNotFoundError) as error:
            if is_transient(error):
                raise
            return None

    def write(self, name: str, content: bytes) -> None:
        """Write a file atomically: as a whole, or not at all.

        Raises
        ------
        CheckpointNotWritten
            Where the store fails for a while, which does not stop a training, and where the job is
            no longer ours.
        """
        if not self._is_ours():
            raise CheckpointNotWritten("the job is another worker's")
        path = f"{self.folder}/{name}"
        try:
            check_store()
            if self._backend.protocol == "file":
                target = Path(self._backend._full_path(path))
                is_first = not target.parent.is_dir()
                target.parent.mkdir(parents=True, exist_ok=True)
                write_atomically(target, lambda file: file.write(content))
                if is_first and os.name == "posix":
                    sync_folders([target], Path(self._backend._full_path("")))
            else:
                self._backend.put_buffer(bytes(content), path)  # whole or not at all, as S3 has it
        except Exception as error:
            if not is_transient(error):
                raise
            log.warning("checkpoint %s: %s; the training goes on", path, text_of(error))
            raise CheckpointNotWritten(text_of(error)) from error

    def move_to(self, other: StoredCheckpoints) -> None:
        """Make these, if there are any, the checkpoints of another job, in place of its own."""
        if self._backend.protocol == "file":
            source, target = (Path(self._backend._full_path(each.folder)) for each in (self, other))
            if source.is_dir():
                shutil.rmtree(target, ignore_errors=True)
                os.rename(source, target)
        else:
            for path in self._backend.fs.find(self._backend._full_path(self.folder)):
                name = path.rpartition("/")[2]
                content = self._backend.get_buffer(f"{self.folder}/{name}")
                self._backend.put_buffer(content, f"{other.folder}/{name}")
            self._backend.remove_folder(self.folder)

    def remove(self) -> None:
        """Remove the checkpoints, because the results are stored."""
        try:
            if self._backend.protocol == "file":
                shutil.rmtree(self._backend._full_path(self.folder), ignore_errors=True)
            else:
                self._backend.remove_folder(self.folder)
        except Exception as error:  # `rnn gc` finds what is left
            log.warning("checkpoints %s cannot be removed: %s", self.folder, error)


def checkpoint_folder(table: type[Populated]) -> str:
    """Return the name of the folder that holds the checkpoints of a computed table."""
    return plain_name(str(table().full_table_name))
