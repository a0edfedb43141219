"""Files of weights by strangers: looked at by their headers, refused in a line, or read."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
import warnings
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models import CheckpointFolder, NetworkConfig, RNNTorch, read_network, write_network
from tasks_lib import ParameterError

REST = {
    "W_inp": np.ones((3, 1)),
    "W_out": np.ones((1, 3)),
    **{"activation_name": "tanh", "tau": 10.0, "dt": 1.0, "equation_type": "s"},
}
# Of the process that reads, beyond what it had before; a fork's peak is its own.
PEAK = """
import resource, sys
from models import read_network
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    read_network(sys.argv[1])
except ValueError as error:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, error)
"""


def npy(shape, n_bytes, descr="<f8"):
    """The beginning of an array's file, and how many zeros follow."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": descr, "fortran_order": False, "shape": shape}
    )
    return header.getvalue(), n_bytes


def bomb(path, **members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, (head, n_zeros) in members.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                file.write(head)
                for _ in range(n_zeros >> 24):
                    file.write(bytes(1 << 24))
                file.write(bytes(n_zeros & 0xFFFFFF))
    return path


def refused(path, problem):
    with pytest.raises(ParameterError, match=problem) as caught:
        read_network(path)
    assert str(caught.value).isprintable()
    assert caught.value.remedy


@pytest.mark.slow
@pytest.mark.parametrize("name", ["W_rec", "bias", "unknown"])
def test_what_unfolds_is_refused_by_its_header(tmp_path, name):
    n = 20_000_000  # 160 MB, in a file of 160 kB; as good as 6.4 GB in one of 6 MB
    small = npy((2, 2), 32)
    large = npy((n // 10_000, 10_000) if name == "W_rec" else (n,), 8 * n)
    path = bomb(tmp_path / "f.npz", **{"W_rec": small, name: large})
    assert path.stat().st_size < 500_000
    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(path)], capture_output=True, text=True, check=True
    )
    kilobytes, _, message = done.stdout.partition(" ")
    assert int(kilobytes) < 100_000
    assert message.startswith({"W_rec": "W_rec.shape", "bias": "bias.shape"}.get(name, "W_inp"))


def test_larger_networks_than_are_read_say_their_size(tmp_path):
    tensor = torch.zeros(1).expand(40_000, 40_000)  # one number in the file
    torch.save({"W_rec": tensor}, tmp_path / "f.pt")
    refused(tmp_path / "f.pt", "40000 units, which take 47.7 GiB to read; .* at most 32768")


def test_the_memory_that_is_free_is_asked_for(tmp_path, monkeypatch):
    np.savez(tmp_path / "f.npz", W_rec=np.zeros((3000, 3000), dtype=np.float16))
    monkeypatch.setattr("models.files.weight_files.free_bytes", lambda device: 2**27)
    refused(tmp_path / "f.npz", "275 MiB to read; 128 MiB is free")


@pytest.mark.parametrize(
    ("head", "problem"),
    [
        (npy((100_000, 100_000), 100), "should have 74.5 GiB and has 100 B"),
        (npy((2, 2), 40), "should have 32 B and has 40 B"),
        (npy((-2, 2), 40), "damaged"),
        ((b"\x93NUMPY\x09\x00", 100), "version"),
        ((b"PK", 100), "damaged"),
        (npy((3, 3), 144, "<c16"), "complex128"),
        (npy((3, 3), 72, "<M8[s]"), "datetime64"),
        (npy((0, 0), 0), "has no units"),
        (npy((), 8), r"\(N, N\)"),
        (npy((1,), 4 * 2**21, "<U2097152"), "a text of 8 MiB"),
    ],
)
def test_headers_that_lie_or_are_of_something_else(tmp_path, head, problem):
    refused(bomb(tmp_path / "f.npz", W_rec=head), problem)


def test_structured_and_object_arrays(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that are not Latin-1
        np.savez(tmp_path / "f.npz", W_rec=np.zeros((3, 3), dtype=[("名", "f8")]))
    refused(tmp_path / "f.npz", "W_rec")
    np.savez(tmp_path / "f.npz", W_rec=np.array([[1, None]], dtype=object))
    refused(tmp_path / "f.npz", "no pickle is ever read")


def test_many_members_and_equal_ones(tmp_path):
    path = tmp_path / "f.npz"
    for number, problem in ((1001, "holds 1001"), (20_000, "list of arrays is too long")):
        with zipfile.ZipFile(path, "w") as archive:
            for i in range(number):
                archive.writestr(f"{'a' * 80}{i}.npy", b"")
        refused(path, problem)
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as archive:
        warnings.simplefilter("ignore")
        for _ in range(2):
            archive.writestr("W_rec.npy", b"")
    refused(path, "'W_rec.npy' twice")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("W_rec.npy", b"")
    refused(path, "compressed otherwise")


@pytest.mark.parametrize("kind", ["fortran", "big-endian", "half", "integers", "version 3"])
def test_arrays_of_other_kinds_are_read_as_they_are(tmp_path, kind):
    weights = np.arange(9.0).reshape(3, 3)
    given = {
        "fortran": np.asfortranarray(weights),
        "big-endian": weights.astype(">f4"),
        "half": weights.astype(np.float16),
        "integers": weights.astype(np.int8),
        "version 3": weights,
    }[kind]
    version = (3, 0) if kind == "version 3" else (1, 0)
    with zipfile.ZipFile(tmp_path / "f.npz", "w") as archive:
        for name, value in {"W_rec": given, **REST}.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, np.asarray(value), version=version)
            archive.writestr(f"{name}.npy", content.getvalue())
    assert np.array_equal(read_network(tmp_path / "f.npz").weights["W_rec"], weights)


def test_names_do_not_reach_a_terminal_as_they_are(tmp_path):
    np.savez(tmp_path / "f.npz", W_rec=np.zeros((3, 3)), **REST, **{"x\x1b[31m": 1.0})
    refused(tmp_path / "f.npz", r"^x\\x1b\[31m = .*float64 \(\).*: is not understood")


def test_state_dicts_that_are_not_plain_tensors(tmp_path):
    path = tmp_path / "f.pt"
    for tensor in (torch.eye(3).to_sparse(), torch.eye(3).to(torch.complex64)):
        torch.save({"W_rec": tensor}, path)
        refused(path, "not a dense array of real numbers")
    torch.save({"W_rec": torch.eye(3)}, path)
    with zipfile.ZipFile(path) as plain, zipfile.ZipFile(tmp_path / "z", "w", 8) as packed:
        for name in plain.namelist():
            packed.writestr(name, plain.read(name))
    refused(tmp_path / "z", "is compressed, which PyTorch does not do")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b'{"a":' + b"[" * 10**6, "nested too deep"),
        (b'{"W_rec":' + b"9" * 5000 + b"}", "thousands of digits"),
        (b'{"W_rec": 1, "W_rec": 2}', "'W_rec' is there twice"),
        (b'{"a":[' + b"[]," * 2_000_001 + b"[]]}", "more lists"),
        ('{"W_rec": 1}'.encode("utf-16"), "W_inp"),
        (b'\xef\xbb\xbf{"W_rec": 1}', "W_inp"),
        (b'{"W_rec": [], "W_inp": [[1]], "W_out": [[1]]}', "has no units"),
        (b'{"W_rec": [[NaN]], "W_inp": [[1]], "W_out": [[1]]}', "NaN or infinite"),
        (b'{"W_rec": [[0]], "W_inp": [[1]], "W_out": [[1]], "activation": "tanh", '
         b'"dt": 1, "tau": Infinity}', "tau = inf: is not finite"),
        (b"PK\x03\x04 and no more", "damaged"),
    ],
)  # fmt: skip
def test_texts_and_what_is_no_network(tmp_path, content, problem):
    (tmp_path / "f").write_bytes(content)
    refused(tmp_path / "f", problem)


def test_other_files(tmp_path):
    with tarfile.open(tmp_path / "f.tar", "w") as archive:
        archive.add(__file__)
    refused(tmp_path / "f.tar", "is no network")
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe", "nobody writes to")
    refused("/dev/zero", "is a device")
    refused(tmp_path, "is a folder")


sound = io.BytesIO()
np.savez(sound, W_rec=np.zeros((3, 3)), **REST)


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_any_bytes_are_read_or_refused(tmp_path_factory, data):
    content = bytearray(sound.getvalue())
    if data.draw(st.booleans()):
        for _ in range(data.draw(st.integers(1, 4))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
        content = content[: data.draw(st.integers(0, len(content)))]
    else:
        begins = data.draw(st.sampled_from([b"", b"PK", b"{", b'{"W_rec":', b"\x80", b"\xff\xfe"]))
        content = begins + data.draw(st.binary())
    path = tmp_path_factory.getbasetemp() / "any"
    path.write_bytes(content)
    try:
        read_network(path)
    except ParameterError as error:
        assert str(error).isprintable()  # noqa: PT017


def test_writing_replaces_files_alone(tmp_path):
    config = NetworkConfig(n_units=3)
    rnn = RNNTorch.from_config(config, 1, 1)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to("/dev/null")
    for target in ("pipe", "device", ".", "a\0b"):
        with pytest.raises(ParameterError, match="not"):
            write_network(tmp_path / target, rnn, config)
    assert (tmp_path / "device").is_symlink()
    longest = tmp_path / ("n" * 255)
    assert read_network(write_network(longest, rnn, config)).config == config


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is full")
def test_a_full_disk_is_named(tmp_path, monkeypatch):
    from models.machine.atomic_file import write_atomically

    def full(file):
        with open("/dev/full", "wb", buffering=0) as device:
            device.write(b"x")

    with pytest.raises(OSError, match=r"No space left on device: '.*network\.npz'"):
        write_atomically(tmp_path / "network.npz", full)
    assert list(tmp_path.iterdir()) == []


def test_checkpoints_that_are_no_files(tmp_path):
    folder = CheckpointFolder(tmp_path)
    os.mkfifo(tmp_path / "state")
    with pytest.raises(ParameterError, match="nobody writes to"):
        folder.read("state")
    assert folder.read("none") is None
