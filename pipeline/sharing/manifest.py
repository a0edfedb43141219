"""The manifest of an export or a capsule, and the check of a folder or an archive against it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tasks_lib.errors import ParameterError, printable

from ..store.file_names import leads_out
from .archives import CHUNK, DAMAGED, opened

MANIFEST = "manifest.json"
HASH = "sha256"
MAX_MANIFEST = 2**28  # bytes: a million files


@dataclass(frozen=True)
class Kind:
    """What a manifest is of.

    Attributes
    ----------
    name : str
        As the manifest has it.
    version : int
        Of the format that this version of the package writes, and the highest that it reads.
    noun : str
    made_by, read_by : str
        The commands that make one, and that take it in.
    """

    name: str
    version: int
    noun: str
    made_by: str
    read_by: str

    @property
    def one(self) -> str:
        """The noun with its article."""
        return f"{'an' if self.noun[0] in 'aeiou' else 'a'} {self.noun}"


EXPORT = Kind("rnn export", 1, "export", "rnn export --out", "rnn import")
CAPSULE = Kind("rnn capsule", 1, "capsule", "rnn capsule --out", "rnn capsule open")
KINDS = {kind.name: kind for kind in (EXPORT, CAPSULE)}


@dataclass
class ExportCheck:
    """What the check of an export or a capsule has found.

    Attributes
    ----------
    sha256 : str
        Of the manifest's content: two exports are equal where these are.
    manifest : dict
    n_files, n_bytes : int
        That are as they were exported; the manifest is not counted.
    faults : list of str
        What is missing, changed or not of the export, a line each.
    """

    sha256: str
    manifest: dict[str, Any]
    n_files: int = 0
    n_bytes: int = 0
    faults: list[str] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        """Whether everything is there as it was exported, and nothing else."""
        return not self.faults


def described(folder: Path, paths: list[str], sync: bool = True) -> dict[str, dict[str, Any]]:
    """Return size and hash of files, which with ``sync`` are on the disk when it returns."""
    found = {}
    for path in sorted(paths):
        with (folder / path).open("rb+") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            if sync:
                os.fsync(file.fileno())
            found[path] = {"bytes": file.tell(), "sha256": digest}
    return found


def manifest_text(content: Mapping[str, Any], kind: Kind = EXPORT) -> str:
    """Return the text of a manifest, with the hash of its own content."""
    whole = {"kind": kind.name, "version": kind.version, **content}
    return json.dumps({**whole, HASH: hash_of(whole)}, indent=1, ensure_ascii=False) + "\n"


def hash_of(content: Mapping[str, Any]) -> str:
    """Return the hash of a manifest's content, whatever the order of its fields."""
    rest = {name: value for name, value in content.items() if name != HASH}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def read_manifest(path: Path, kind: Kind = EXPORT) -> dict[str, Any]:
    """Return the manifest of a folder or an archive.

    Raises
    ------
    ParameterError
        Where there is none, or one that is not as it was written.
    """
    with opened(path) as members:
        for member in members:
            if member.path == MANIFEST:
                return _parsed(path, member.read(MAX_MANIFEST), kind)
    raise ParameterError(
        "PATH", str(path), f"is no whole {kind.noun}: it has no {MANIFEST}, which is written last",
        f"name what `{kind.made_by}` made",
    )  # fmt: skip


def _parsed(path: Path, text: bytes, kind: Kind) -> dict[str, Any]:
    try:
        content = json.loads(text)
        name, version = content["kind"], content["version"]
        if name == kind.name and isinstance(version, int) and version > kind.version:
            raise ParameterError(
                "PATH", str(path),
                f"was made by a later version of this package (its format is {version}, and this "
                f"version reads up to {kind.version})",
                "update this package",
            )  # fmt: skip
        if name != kind.name and (other := KINDS.get(name)):
            raise ParameterError(
                "PATH", str(path), f"is {other.one}, and not {kind.one}",
                f"see `{other.read_by}`",
            )  # fmt: skip
        if (name, version) != (kind.name, kind.version):
            raise ValueError("of another version")
        for name, file in content["files"].items():
            if leads_out(name) or not (isinstance(file["bytes"], int) and file["sha256"]):
                raise ValueError(name)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, ParameterError):
            raise
        raise ParameterError(
            "PATH", str(path), f"has a {MANIFEST} that is not one of {kind.one} of this version",
            "copy it anew, or check it with the version that wrote it",
        ) from None  # fmt: skip
    return dict(content)


def check_export(path: str | Path, kind: Kind = EXPORT) -> ExportCheck:
    """Compare an exported folder or archive with its manifest; nothing is unpacked or changed.

    Needs no database. An archive that was unpacked is checked as a folder.

    Parameters
    ----------
    path : str or Path
    kind : Kind
        What it is to be.

    Returns
    -------
    ExportCheck
        Its ``faults`` say what is missing, what has changed, and what is not of the export.

    Raises
    ------
    ParameterError
        Where there is no export: no manifest, which is written last.
    """
    target = Path(path)
    manifest = read_manifest(target, kind)
    files = manifest["files"]
    check = ExportCheck(hash_of(manifest), manifest)
    if manifest.get(HASH) != check.sha256:
        check.faults.append(f"changed: {MANIFEST}")
    seen = set()
    not_of_it = f"not of the {kind.noun}"
    try:
        with opened(target) as members:
            for member in members:
                if member.path == MANIFEST and MANIFEST not in seen:
                    seen.add(MANIFEST)
                    continue
                wanted = files.get(member.path)
                if wanted is None or member.path in seen or member.open is None:
                    check.faults.append(f"{not_of_it}: {printable(member.path)}")
                    continue
                seen.add(member.path)
                size, digest = member.hashed(max(wanted["bytes"], CHUNK))
                if (size, digest) == (wanted["bytes"], wanted["sha256"]):
                    check.n_files += 1
                    check.n_bytes += size
                else:
                    check.faults.append(f"changed: {printable(member.path)}")
    except (ParameterError, *DAMAGED) as error:  # an archive that breaks off
        check.faults.append(str(error))
    check.faults += [f"missing: {printable(name)}" for name in sorted(files.keys() - seen)]
    return check
