"""Listing the files of the store with sizes and ages: a folder, or an object store."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from datajoint.hash_registry import get_store_backend

from tasks_lib.errors import text_of

from ..database import schemas
from ..database.configuration import DatabaseError
from ..store.mounts import BEGUN, MARKS, remembered_mark
from ..store.pending_files import SAVING, STORE

# What object stores call the time of a file's last writing.
TIMES = ("mtime", "LastModified", "last_modified", "modified", "updated", "created")


class StoredFile(NamedTuple):
    """A file of the store."""

    path: str  # from the store's root
    n_bytes: int
    modified: float  # seconds, by the store's clock
    upload: str = ""  # of what a bucket got in part only: the id of its upload


class StoreFiles:
    """Lists and removes files of the store; a folder that cannot be listed is an error.

    Raises
    ------
    DatabaseError
        Where the store does not answer, or puts files elsewhere than where `rnn gc` looks.
    """

    def __init__(self) -> None:
        try:
            self._backend = get_store_backend(STORE)
            self._fs: Any = self._backend.fs
        except Exception as error:
            raise _unreadable("", error) from None
        if self._backend.spec.get("partition_pattern"):
            raise DatabaseError(
                f"store = {STORE!r}: its partition_pattern puts files into folders that are not "
                "one schema's; they cannot be collected"
            )
        self.schema_prefix = str(self._backend.spec.get("schema_prefix", "")).strip("/")
        # Names in listings begin with it: the path of a file without what was asked for.
        self._root = self._fs._strip_protocol(self._backend._full_path("x"))[:-1]

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder, with folders in it that can be empty."""
        return bool(self._backend.protocol == "file")

    def files(self, folder: str) -> Iterator[StoredFile]:
        """Yield all files below a folder; none where there is no such folder."""
        try:
            if self.is_folder:
                yield from self._walk(folder)
            else:
                yield from self._find(folder)
        except Exception as error:
            raise _unreadable(folder, error) from None

    def uploads(self) -> Iterator[StoredFile]:
        """Yield the uploads to a bucket that were begun and not ended, without their sizes.

        Large objects are sent in parts. What a kill leaves of them is in no listing, and is paid
        for.
        """
        if self._backend.protocol != "s3":
            return
        bucket, _, prefix = self._root.partition("/")
        after: dict[str, str] = {}
        while True:
            answer = self._fs.call_s3(
                "list_multipart_uploads", Bucket=bucket, Prefix=prefix, **after
            )
            for found in answer.get("Uploads", ()):
                path = self._relative(f"{bucket}/{found['Key']}")
                yield StoredFile(path, 0, found["Initiated"].timestamp(), found["UploadId"])
            if not answer.get("IsTruncated"):
                return
            after = {
                "KeyMarker": answer["NextKeyMarker"],
                "UploadIdMarker": answer["NextUploadIdMarker"],
            }

    def n_bytes_of(self, file: StoredFile) -> int:
        """Return the size of a file, or of the parts of an upload."""
        if not file.upload:
            return file.n_bytes
        with suppress(Exception):  # it has ended meanwhile, or its parts may not be listed
            parts = self._of_upload("list_parts", file.path, file.upload).get("Parts", ())
            return sum(int(part["Size"]) for part in parts)
        return 0

    def folders(self, folder: str) -> Iterator[tuple[str, float]]:
        """Yield all folders below a folder, innermost first, and when their entries changed."""
        if not self.is_folder:
            return
        try:
            for place, _, _ in os.walk(self._full(folder), topdown=False, onerror=_raise):
                with suppress(FileNotFoundError):
                    yield self._relative(place), os.stat(place).st_mtime
        except Exception as error:
            raise _unreadable(folder, error) from None

    def now(self, folder: str) -> float:
        """Return the time by the store's clock, with a file that is written for that."""
        path = f"{folder}/.clock.{secrets.token_hex(4)}"
        try:
            self._backend.put_buffer(b"", path)
            try:
                moment = self.modified(path)
            finally:
                self.remove(path)
        except Exception as error:
            raise _unreadable(path, error) from None
        if moment is None:
            raise DatabaseError(f"store = {STORE!r}: does not list what it was given just now")
        return moment

    def exists(self, path: str) -> bool:
        """Return whether there is a file."""
        return self.modified(path) is not None

    def modified(self, path: str) -> float | None:
        """Return when a file was last written; None where it is not there."""
        try:
            if self.is_folder:
                return os.lstat(self._full(path)).st_mtime
            self._fs.invalidate_cache()
            return self._time(self._fs.info(self._full(path)))
        except FileNotFoundError:
            return None

    def remove(self, path: str, upload: str = "") -> None:
        """Remove a file, or the parts of an upload; nothing is done where it is not there."""
        with suppress(FileNotFoundError):
            if upload:
                self._of_upload("abort_multipart_upload", path, upload)
            elif self.is_folder:
                os.unlink(self._full(path))
            else:
                self._fs.rm_file(self._full(path))

    def remove_empty(self, folder: str) -> bool:
        """Remove a folder where it is empty; return whether it was."""
        try:
            os.rmdir(self._full(folder))
        except OSError:
            return False
        return True

    # Inside --------------------------------------------------------------------------------------

    def _walk(self, folder: str) -> Iterator[StoredFile]:
        if not os.path.isdir(self._root):
            raise FileNotFoundError(f"there is no folder {self._root}")
        for place, _, names in os.walk(self._full(folder), onerror=_raise):
            for name in names:
                path = os.path.join(place, name)
                with suppress(FileNotFoundError):  # gone meanwhile
                    found = os.lstat(path)
                    yield StoredFile(self._relative(path), found.st_size, found.st_mtime)

    def _find(self, folder: str) -> Iterator[StoredFile]:
        self._fs.invalidate_cache()
        try:
            found = self._fs.find(self._full(folder), detail=True)
        except FileNotFoundError:
            return
        for name, info in found.items():
            path = self._relative(name)
            # A listing by the beginning of names may hold those of a longer one too.
            if info.get("type", "file") == "file" and path.startswith(f"{folder}/"):
                yield StoredFile(path, int(info.get("size") or 0), self._time(info))

    def _of_upload(self, method: str, path: str, upload: str) -> Any:
        bucket, _, key = self._full(path).partition("/")
        return self._fs.call_s3(method, Bucket=bucket, Key=key, UploadId=upload)

    def _time(self, info: dict[str, Any]) -> float:
        for name in TIMES:
            value = info.get(name)
            if isinstance(value, datetime):
                return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
            if isinstance(value, int | float):
                return float(value)
        raise OSError(f"{info.get('name')} has no time of its last writing")

    def _full(self, path: str) -> str:
        return str(self._fs._strip_protocol(self._backend._full_path(path)))

    def _relative(self, name: str) -> str:
        name = str(PurePosixPath(name)) if self.is_folder else str(name)
        if not name.startswith(self._root):
            raise OSError(f"{name} does not lie in {self._root}")
        return name[len(self._root) :]


def _raise(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):  # gone meanwhile, or never there
        raise error


def _unreadable(where: str, error: BaseException) -> DatabaseError:
    text = text_of(error)
    place = f", {where}" if where else ""
    return DatabaseError(
        f"store = {STORE!r}{place}: cannot be listed ({text}); nothing is removed; see that it can "
        "be read and written"
    )


def check_marks(store: StoreFiles) -> None:
    """Refuse where files under the active prefix may be another database's.

    Raises
    ------
    DatabaseError
        Where the store holds the mark of another database with this prefix, or not ours.
    """
    prefix = str(schemas.work.database).removesuffix("_work")
    found = {file.path for file in store.files(MARKS) if file.path.startswith(f"{MARKS}/{prefix}.")}
    # Not those begun or half-written: a database completes its mark before it writes a file.
    marks = {path for path in found if not path.endswith((BEGUN, SAVING))}
    ours = remembered_mark()
    if ours is not None and ours not in marks:
        raise DatabaseError(
            f"store: does not hold {ours}, the mark of this database; nothing is removed; see that "
            "the store is the one of these tables"
        )
    others = sorted(marks - {ours})
    if others:
        raise DatabaseError(
            f"store: holds {others[0]}: two databases share it under the prefix {prefix}; nothing "
            "can tell whose files these are, and nothing is removed; set RNN_PREFIX for one of "
            "them, or remove that file if the database on the host that it names is gone"
        )
