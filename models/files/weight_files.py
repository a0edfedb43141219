"""Reading files of weights of any format as names and arrays; pickles are refused."""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, BinaryIO

import numpy as np
import torch

from tasks_lib.documents import parse_json
from tasks_lib.errors import ParameterError, printable, shown, text_of
from tasks_lib.sizes import bytes_in_words

from ..machine.memory import free_bytes
from ..machine.npz_files import PICKLE, Header, names_of, open_zip, read_array, read_header
from .known_fields import BIAS_FIELDS, CHANGE_NOTHING, JSON_TEXTS, READ, STATE_FIELDS
from .state_dicts import NameMapping

HASH = "sha256"  # field of the JSON files that we write
# How an entry in a zip file's list of parts begins: where one holds another, its lengths are wrong.
ENTRY = b"PK\x01\x02"
DOS_FOLDER = 0x10  # bit of the attributes of a part of a zip file
# N of the largest network that is read; its W_rec alone takes 8 GiB.
LARGEST_UNITS = 2**15
# What reading takes, in arrays of the size of W_rec in float64.
COPIES = 4
MAX_FILE = 4 * 8 * LARGEST_UNITS**2  # bytes: W_rec, its mask, and as much for the rest
# Of a text, which is held in memory whole, as numbers take several times its size.
MAX_JSON = 2**29
MAX_JSON_MARKS = 2_000_000  # brackets and quotation marks in it: rows of weights have few
MAX_PICKLED = 2**22  # bytes of the list of tensors in a state_dict


def read_fields(
    file: BinaryIO, path: str, notes: list[str], mapping: NameMapping | None = None
) -> tuple[str, dict[str, Any]]:
    """Return the format of a file, which its content says, and its fields; append to ``notes``.

    A mapping is of the names in a state_dict, and refuses all other files.

    Headers are looked at first: what is not the weights of a network of at most `LARGEST_UNITS`
    units is refused before it is read.
    """
    head = file.read(512)
    file.seek(0)
    try:
        if head.startswith(b"PK"):
            with open_zip(file) as archive:
                if any(name.endswith("/data.pkl") for name in archive.namelist()):
                    _check_torch(archive)
                    _check_container(archive, is_torch=True)
                    return _from_torch(file, mapping)
                _refuse_mapping(path, mapping)
                _check_container(archive, is_torch=False)
                return _from_npz(archive, notes)
        if re.match(rb"(\xef\xbb\xbf)?\s*\{|\xff\xfe|\xfe\xff", head):
            _refuse_mapping(path, mapping)
            return "seed-json", _flat(checked_json(parse_json(_json_text(file, path)), path))
    except ParameterError:
        raise
    # Whatever a damaged file makes a parser raise, it is the file's fault.
    except Exception as error:
        if type(error).__name__ == "UnpicklingError":  # what torch.load refuses to build
            raise ParameterError("FILE", path, "holds Python objects", PICKLE) from None
        problem = text_of(error)[:160]
        raise ParameterError("FILE", path, f"is damaged ({problem})", "copy it anew") from None
    if head[:1] == b"\x80" or path.endswith((".pkl", ".pickle")):
        raise ParameterError("FILE", path, "is a pickle", PICKLE)
    raise ParameterError(
        "FILE", path, "is no network", "give a params JSON, an npz file or a PyTorch state_dict"
    )


def _refuse_mapping(path: str, mapping: NameMapping | None) -> None:
    if mapping is not None:
        raise ParameterError(
            "mapping", path, "is no state_dict, whose names it would be of", "leave the mapping out"
        )


def _check_container(archive: zipfile.ZipFile, is_torch: bool) -> None:
    """Check a container (zip) for missing parts and wrong checksums.

    NumPy compares the checksum of every array that it reads; PyTorch writes them and does not.
    """
    parts = archive.infolist()
    wrong = [part.filename for part in parts if ENTRY in part.comment + part.extra]
    for part in parts:  # also one that is not read: its name is there twice, and has to agree
        with archive.open(part):
            pass
    if is_torch:
        # A part that is marked as a folder is nothing to PyTorch's reader, which then leaves its
        # tensor as the memory was.
        wrong += [part.filename for part in parts if part.external_attr & DOS_FOLDER]
        wrong += filter(None, [archive.testzip()])
    if wrong:
        raise zipfile.BadZipFile(f"{printable(wrong[0])} is not as it was written")


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


def _json_text(file: BinaryIO, path: str) -> bytes:
    size = file.seek(0, 2)
    file.seek(0)
    if size > MAX_JSON:
        most = bytes_in_words(MAX_JSON)
        problem = f"is a JSON text of {bytes_in_words(size)}; at most {most} are read"
        raise ParameterError("FILE", path, problem, "write the network as an npz file")
    content = file.read(size)
    if sum(content.count(mark) for mark in (b"[", b"{", b'"')) > MAX_JSON_MARKS:
        problem = "is a JSON text of more lists, objects and words than a network has"
        raise ParameterError("FILE", path, problem, "write W_rec, W_inp and W_out as rows")
    return content


def check_shapes(headers: Mapping[str, Header]) -> None:
    """Refuse arrays that are not those of one network of a size that is read.

    Raises
    ------
    ParameterError
        Naming an array and its shape; also where the memory that is free would not do.
    """
    if "W_rec" not in headers:
        raise missing("W_rec")
    shape = headers["W_rec"].shape
    n = shape[0] if shape else 0
    if shape != (n, n):
        raise _wrong_shape("W_rec", shape, "(N, N)")
    if not n:
        raise ParameterError("W_rec.shape", shape, "has no units", "give W_rec (N, N)")
    needed = COPIES * 8 * n * n
    if n > LARGEST_UNITS:
        problem = f"are {n} units, which take {bytes_in_words(needed)} to read"
        raise ParameterError(
            "W_rec.shape", shape, problem, f"give a network of at most {LARGEST_UNITS}"
        )
    for name, header in headers.items():
        if name in ("W_inp", "W_out"):
            at = 0 if name == "W_inp" else 1  # of the units
            if (
                len(header.shape) != 2
                or header.shape[at] != n
                or header.shape[1 - at] > LARGEST_UNITS
            ):
                wanted = f"({n}, any)" if name == "W_inp" else f"(any, {n})"
                raise _wrong_shape(name, header.shape, wanted)
        elif name in (*BIAS_FIELDS, *STATE_FIELDS, "dale_mask"):
            if int(np.prod(header.shape)) != n:
                raise _wrong_shape(name, header.shape, f"({n},)")
        elif name == "recurrent_mask":
            if header.shape != (n, n):
                raise ParameterError(f"{name}.shape", header.shape, "is not W_rec's", "mend it")
        elif name != "W_rec" and header.n_bytes > 8 * LARGEST_UNITS and header.dtype.kind in "fiub":
            raise ParameterError(
                f"{name}.shape", header.shape, "is too large for what it is", "mend the file"
            )
    free = free_bytes(torch.device("cpu"))
    if needed > max(free, 2**28):
        takes = f"are {n} units, which take {bytes_in_words(needed)} to read"
        problem = f"{takes}; {bytes_in_words(free)} is free"
        raise ParameterError("W_rec.shape", shape, problem, "use a machine with more memory")


def missing(name: str) -> ParameterError:
    """Return the error of weights that are not there."""
    return ParameterError(
        name, None, "is not in the file", "give a file with W_rec, W_inp and W_out"
    )


def _wrong_shape(name: str, shape: tuple[int, ...], wanted: str) -> ParameterError:
    return ParameterError(
        f"{name}.shape", shape, f"should be {wanted}", "pass weights of one network"
    )


def _from_npz(archive: zipfile.ZipFile, notes: list[str]) -> tuple[str, dict[str, Any]]:
    found: dict[str, Any] = dict.fromkeys(names_of(archive))
    headers: dict[str, Header] = {}
    for name in found.keys() - READ - CHANGE_NOTHING:  # which will be refused
        with suppress(Exception):
            header = read_header(archive, name)
            found[name] = f"{header.dtype} {header.shape}"
    for name in READ & found.keys():
        try:
            headers[name] = read_header(archive, name)
        except ParameterError as error:
            if name != "activation_args" or error.remedy != PICKLE:
                raise
            # The seed's large runs pickle it; the run's configuration says it too.
            notes.append(f"{name}: is a pickle and was not read")
            del found[name]
    check_shapes(headers)
    for name in headers:
        value = read_array(archive, name)
        found[name] = value if value.ndim else value.item()
    return "npz", _flat(found)


def _check_torch(archive: zipfile.ZipFile) -> None:
    """Refuse a state_dict that unfolds, and one that describes a great deal."""
    for member in archive.infolist():
        if member.compress_type != zipfile.ZIP_STORED:
            raise zipfile.BadZipFile(
                f"{shown(member.filename)} is compressed, which PyTorch does not do"
            )
        if member.filename.endswith("/data.pkl") and member.file_size > MAX_PICKLED:
            raise zipfile.BadZipFile(f"its data.pkl has {bytes_in_words(member.file_size)}")


def _from_torch(file: BinaryIO, mapping: NameMapping | None) -> tuple[str, dict[str, Any]]:
    file.seek(0)
    loaded = torch.load(file, map_location="cpu", weights_only=True)
    if not isinstance(loaded, Mapping):
        raise ParameterError(
            "FILE", type(loaded).__name__, "is no state_dict", "save module.state_dict()"
        )
    metadata = getattr(loaded, "_metadata", {}).get("", {})
    if mapping is not None:
        if "config" in metadata:
            problem = "is for a state_dict without a configuration of its own"
            raise ParameterError("mapping", "given", problem, "leave it out")
        return "state_dict", _summed(mapping.applied(loaded))
    tensors = {name: value for name, value in loaded.items() if name in READ}
    if "W_rec" not in tensors:
        raise ParameterError(
            "W_rec", None, "is not in the state_dict",
            "say which of its tensors are W_rec, W_inp and W_out (mapping, --mapping)",
        )  # fmt: skip
    # A tensor can be much larger than what the file holds of it: one number, said to be repeated.
    check_shapes(
        {
            name: Header(name, tuple(value.shape), np.dtype(np.float64))
            for name, value in tensors.items()
            if isinstance(value, torch.Tensor)
        }
    )
    found: dict[str, Any] = {str(name): _in_words(value) for name, value in loaded.items()}
    for name, value in tensors.items():
        found[name] = _tensor(name, value) if isinstance(value, torch.Tensor) else value
    config = {"config": metadata["config"]} if "config" in metadata else {}
    return "state_dict", _flat({**found, **config})


def _summed(tensors: Mapping[str, list[torch.Tensor]]) -> dict[str, Any]:
    """Return the sums of tensors that are of one shape each, in float64."""
    found = {}
    for name, parts in tensors.items():
        check_shapes(
            {
                each: Header(each, tuple(tensor.shape), np.dtype(np.float64))
                for each, tensor in (("W_rec", tensors["W_rec"][0]), *((name, p) for p in parts))
            }
        )
        for part in parts[1:]:
            if part.shape != parts[0].shape:
                raise _wrong_shape(name, tuple(part.shape), str(tuple(parts[0].shape)))
        found[name] = sum(_tensor(name, part) for part in parts)
    return found


def _in_words(value: Any) -> Any:
    is_tensor = isinstance(value, torch.Tensor)
    return f"{value.dtype} {tuple(value.shape)}" if is_tensor else value


def _tensor(name: str, value: torch.Tensor) -> Any:
    if value.layout != torch.strided or value.is_complex() or value.is_quantized:
        kind = f"{value.layout}, {value.dtype}"
        raise ParameterError(name, kind, "is not a dense array of real numbers", "write one")
    return value.detach().double().numpy()


def _flat(found: Any) -> dict[str, Any]:
    """Return fields with their JSON texts read, and those of ``params`` among them."""
    result = dict(found)
    for name in JSON_TEXTS:
        if isinstance(result.get(name), str):
            result[name] = parse_json(result[name])
    inner = result.pop("params", None)
    if inner is None:
        return result
    if not isinstance(inner, Mapping):
        raise ParameterError("params", inner, "is not a set of fields", "write name: value")
    for name in inner:
        if result.get(name) is not None:
            raise ParameterError(
                f"params.{name}", inner[name], "is beside params too", "remove one of the two"
            )
    return {**result, **inner}
