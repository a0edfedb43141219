"""Files, JSON and messages from outside: bounded, and never more than a line."""

from __future__ import annotations

import os
import socket
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks_lib import ParameterError
from tasks_lib.documents import parse_json, read_file
from tasks_lib.errors import ParameterErrors, kind_and_text, printable, raise_all, shown, text_of


def refused(path, problem, max_bytes=100):
    with pytest.raises(ParameterError, match=problem) as caught:
        read_file("FILE", path, max_bytes)
    assert str(caught.value).isprintable()


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe", "nobody writes to")
    refused(tmp_path, "is a folder")
    refused("/dev/zero", "is a device")
    refused("/dev/null", "is a device")
    (tmp_path / "loop").symlink_to("loop")
    refused(tmp_path / "loop", "leads to itself")
    refused(tmp_path / "none", "No such file")
    refused(tmp_path / ("n" * 300), "too long")
    refused("a\0b", "is not a path")
    with socket.socket(socket.AF_UNIX) as listening:
        here = os.getcwd()
        os.chdir(tmp_path)  # a socket's path must be short
        try:
            listening.bind("socket")
        finally:
            os.chdir(here)
        refused(tmp_path / "socket", "is a socket")


def test_sizes_are_looked_at_first(tmp_path):
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(10**13)
    refused(tmp_path / "sparse", r"9\.09 TiB; give a file of at most 100 B")
    (tmp_path / "right").write_bytes(b"x" * 100)
    assert read_file("FILE", tmp_path / "right", 100) == b"x" * 100
    refused("/proc/self/status", "more than 100 B")  # which says that it has no size
    (tmp_path / "empty").touch()  # says the same; no room is made for what may be read
    assert read_file("FILE", tmp_path / "empty", 2**40) == b""


def test_a_file_that_may_not_be_read(tmp_path):
    (tmp_path / "f").write_text("x")
    (tmp_path / "f").chmod(0)
    before = os.geteuid()
    if before == 0:  # root may read everything
        os.seteuid(65534)
    try:
        refused(tmp_path / "f", "Permission denied")
    finally:
        os.seteuid(before)


def test_a_pipe_that_somebody_writes_to_is_read(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(b"y" * 200_000))
    descriptor = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)  # so that the writer can begin
    writer.start()
    try:
        # Until it has opened it, nobody writes.
        for _ in range(1000):
            try:
                content = read_file("FILE", pipe, 10**6)
                break
            except ParameterError:
                pass
    finally:
        os.close(descriptor)
        writer.join()
    assert content == b"y" * 200_000


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[" * 100_000, "nested too deep"),
        ('{"a":' * 100_000, "nested too deep"),
        ("9" * 5000, "thousands of digits"),
        ('{"a": {"b": 1, "b": 2}}', "'b' is there twice"),
        (b'{"\xe9": 1}', "not text in UTF-8"),
        ("{", "Expecting"),
    ],
)
def test_json_is_refused_in_words(text, problem):
    with pytest.raises(ValueError, match=problem) as caught:
        parse_json(text)
    assert "sys." not in str(caught.value)


@given(st.text() | st.binary())
def test_any_json_is_read_or_a_value_error(text):
    try:
        parse_json(text)
    except ValueError as error:
        assert text_of(error).isprintable()  # noqa: PT017


@given(st.text())
def test_what_is_printed_is_printable(text):
    assert printable(text).isprintable()
    assert printable(printable(text)) == printable(text)
    error = ParameterError(text, text, text, text)
    assert str(error).isprintable()


nested = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
)


@pytest.mark.slow
@given(nested)
def test_small_values_are_shown_as_they_are(value):
    text = printable(repr(value))
    expected = text if len(text) <= 120 else text[:117] + "..."
    assert shown(value) == expected


@pytest.mark.slow
def test_any_value_can_be_shown():
    class Odd:
        def __repr__(self):
            raise RuntimeError

    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    assert shown(10**5000) == "a whole number of about 5001 digits"
    assert shown([16**9000]).startswith("[a whole number")
    for value in (deep, Odd(), [Odd()], "x" * 10**6, list(range(10**6)), b"\x1b[31m", "\x1b[31m"):
        text = shown(value)
        assert len(text) <= 120
        assert text.isprintable()
    assert printable("a\x1b[31m\u202eb\ud800") == "a\\x1b[31m\\u202eb\\ud800"


def test_any_exception_has_a_text():
    class Odd(Exception):
        def __str__(self):
            raise RuntimeError

    assert text_of(Odd()) == "Odd: its text cannot be had"
    assert text_of(ValueError()) == "ValueError"
    assert text_of(ValueError("a\n \x1b b")) == "a \\x1b b"
    assert kind_and_text(Odd()) == "Odd: its text cannot be had"
    assert kind_and_text(ValueError()) == "ValueError"
    assert kind_and_text(ValueError("a\n \x1b b")) == "ValueError: a \\x1b b"


def test_several_errors_are_a_line_each():
    one, two = (ParameterError(name, 1, "is wrong", "mend it") for name in "ab")
    raise_all([])
    with pytest.raises(ParameterError) as caught:
        raise_all([one])
    assert caught.value is one
    with pytest.raises(ParameterErrors) as several:
        raise_all([one, two])
    assert str(several.value).splitlines() == [str(one), str(two)]
    assert several.value.field == "a"
