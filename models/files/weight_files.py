"""Reading files of weights of any format as names and arrays; pickles are refused."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from tasks_lib.errors import ParameterError

from .trainrnnbrain import FROM_RUN

JSON_TEXTS = ("config", "params", "activation_args")
HASH = "sha256"  # field of the JSON files that we write
# How an entry in a zip file's list of parts begins: where one holds another, its lengths are wrong.
ENTRY = b"PK\x01\x02"
DOS_FOLDER = 0x10  # bit of the attributes of a part of a zip file
PICKLE = (
    "no pickle is ever read: where the file was made, write the numbers as a params JSON, or with "
    "numpy.savez(path, W_rec=..., W_inp=..., W_out=..., activation_args=json.dumps(...), ...)"
)


def read_bytes(field: str, path: str | Path) -> bytes:
    """Return a file's content."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ParameterError(
            field, str(path), error.strerror or str(error), "name a readable file"
        ) from None


def read_fields(content: bytes, path: str, notes: list[str]) -> tuple[str, dict[str, Any]]:
    """Return the format of a file, which its content says, and its fields; append to ``notes``."""
    try:
        if content.startswith(b"PK"):
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                is_torch = any(name.endswith("/data.pkl") for name in archive.namelist())
                _check_container(archive, is_torch)
            return _from_torch(content) if is_torch else _from_npz(content, notes)
        if content.lstrip()[:1] == b"{":
            return "seed-json", _flat(checked_json(json.loads(content), path))
    except ParameterError:
        raise
    # Whatever a damaged file makes a parser raise, it is the file's fault.
    except Exception as error:
        if type(error).__name__ == "UnpicklingError":  # what torch.load refuses to build
            raise ParameterError("FILE", path, "holds Python objects", PICKLE) from None
        problem = " ".join(str(error).split())[:160]
        raise ParameterError("FILE", path, f"is damaged ({problem})", "copy it anew") from None
    if content[:1] == b"\x80" or path.endswith((".pkl", ".pickle")):
        raise ParameterError("FILE", path, "is a pickle", PICKLE)
    raise ParameterError(
        "FILE", path, "is no network", "give a params JSON, an npz file or a PyTorch state_dict"
    )


def _check_container(archive: zipfile.ZipFile, is_torch: bool) -> None:
    """Check a container (zip) for missing parts and wrong checksums.

    NumPy compares the checksum of every array that it reads; PyTorch writes them and does not.
    """
    parts = archive.infolist()
    wrong = [part.filename for part in parts if ENTRY in part.comment + part.extra]
    if is_torch:
        # A part that is marked as a folder is nothing to PyTorch's reader, which then leaves its
        # tensor as the memory was.
        wrong += [part.filename for part in parts if part.external_attr & DOS_FOLDER]
        wrong += filter(None, [archive.testzip()])
    if wrong:
        raise zipfile.BadZipFile(f"{wrong[0]} is not as it was written")


def with_hash(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields that will be JSON, and the hash of them all: JSON has no checksum."""
    return {**fields, HASH: _hash_of(fields)}


def checked_json(fields: Any, path: str) -> Any:
    """Return fields without the hash that `with_hash` added, if there is one and it is theirs."""
    if not isinstance(fields, dict) or HASH not in fields:
        return fields
    rest = {name: value for name, value in fields.items() if name != HASH}
    if fields[HASH] != _hash_of(rest):
        raise ParameterError(
            "FILE",
            path,
            f"is not as it was written: its {HASH} does not agree",
            f"copy it anew; if it was changed on purpose, remove the field {HASH}",
        )
    return rest


def _hash_of(fields: Mapping[str, Any]) -> str:
    text = json.dumps(fields, sort_keys=True, default=np.ndarray.tolist)
    return hashlib.sha256(text.encode()).hexdigest()


def _from_npz(content: bytes, notes: list[str]) -> tuple[str, dict[str, Any]]:
    found: dict[str, Any] = {}
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        for name in archive.files:
            try:
                value = archive[name]
            except ValueError as error:
                if "allow_pickle" not in str(error):
                    raise
                if name != "activation_args":
                    raise ParameterError(name, "objects", "is a pickle", PICKLE) from None
                # The seed's large runs pickle it; the run's configuration says it too.
                notes.append(f"{name}: is a pickle and was not read")
                continue
            found[name] = value if value.ndim else value.item()
    return "npz", _flat(found)


def _from_torch(content: bytes) -> tuple[str, dict[str, Any]]:
    loaded = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    if not isinstance(loaded, Mapping):
        raise ParameterError(
            "FILE", type(loaded).__name__, "is no state_dict", "save module.state_dict()"
        )
    metadata = getattr(loaded, "_metadata", {}).get("", {})
    tensors = {
        name: value.detach().double().numpy() if isinstance(value, torch.Tensor) else value
        for name, value in loaded.items()
    }
    config = {"config": metadata["config"]} if "config" in metadata else {}
    return "state_dict", _flat({**tensors, **config})


def _flat(found: Any) -> dict[str, Any]:
    """Return fields with their JSON texts read, and those of ``params`` among them."""
    result = dict(found)
    for name in JSON_TEXTS:
        if isinstance(result.get(name), str):
            result[name] = json.loads(result[name])
    inner = result.pop("params", None)
    return {**result, **inner} if isinstance(inner, Mapping) else result


def read_run(path: str | Path) -> dict[str, Any]:
    """Return what a run's configuration (YAML) says about its network."""
    try:
        content = yaml.safe_load(read_bytes("config", path))
    except yaml.YAMLError as error:
        problem = " ".join(str(error).split())
        raise ParameterError(
            "config", str(path), f"is not YAML: {problem}", "mend the named line"
        ) from None
    model = content.get("model", content) if isinstance(content, Mapping) else None
    if not isinstance(model, Mapping):
        raise ParameterError(
            "config", str(path), "holds no parameters", "give the configuration saved by the run"
        )
    return {name: model[name] for name in FROM_RUN if model.get(name) is not None}
