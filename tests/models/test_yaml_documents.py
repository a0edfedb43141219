"""YAML as people write it, and as nobody should."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.files.yaml_documents import read_yaml
from tasks_lib import ParameterError
from tasks_lib.errors import ParameterErrors


def read(tmp_path, content, **options):
    path = tmp_path / "f.yaml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_yaml("FILE", path, **options)


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-3", 1e-3), ("1e5", 1e5), ("-1E+3", -1e3), (".5e1", 5.0), ("2.e2", 200.0), ("12", 12),
     ("1.5", 1.5), ("1e", "1e"), ("e1", "e1"), ("1e-3x", "1e-3x"), ("0x1e3", 0x1E3),
     ("'1e-3'", "1e-3"), ("1e400", float("inf"))],
)  # fmt: skip
def test_numbers_as_people_write_them(tmp_path, text, value):
    found = read(tmp_path, f"a: {text}")["a"]
    assert found == value
    assert type(found) is type(value)


def test_encodings_that_say_what_they_are(tmp_path):
    assert read(tmp_path, "a: é".encode("utf-16")) == {"a": "é"}
    assert read(tmp_path, "a: é".encode("utf-8-sig")) == {"a": "é"}


def test_merges_and_aliases_are_kept(tmp_path):
    found = read(tmp_path, "a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}\nc: *a")
    assert found["b"] == {"x": 3, "y": 2}
    assert found["c"] == found["a"]


LAUGHS = "a0: &a0 [x]\n" + "".join(
    f"a{i + 1}: &a{i + 1} [{','.join([f'*a{i}'] * 10)}]\n" for i in range(12)
)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("[" * 100_000, "line 1, column 51: is nested more than 50 deep"),
        ("{a: " * 100_000, "nested more than 50 deep"),
        ("a: " + "9" * 5000, "line 1, column 4: is a whole number of thousands of digits"),
        ("a: 0x" + "f" * 5000, "thousands of digits"),
        (LAUGHS, "repeats itself by aliases"),
        ("a: &a [*a]", "contains itself"),
        ("a: 2024-99-99", "is no timestamp"),
        ("a: !!int x", "is no int"),
        ("a: !!bool x", "is no bool"),
        ("a: !!python/object:os.system x", "python/object"),
        ("a: 1\n---\nb: 2", "line 2, column 1: .*single document"),
        ("a: \0", "character 0x0"),
        ("a: \x1b[31m", "character 0x1b"),
        ("a: é".encode("latin-1"), "save the file as text in UTF-8"),
        ("a:\n\t- b", "line 2, column 1"),
        ("a: [", "line 1"),
    ],
)
def test_what_is_refused(tmp_path, content, problem):
    with pytest.raises(ParameterError, match=problem) as caught:
        read(tmp_path, content)
    assert caught.value.field == "FILE"
    assert str(caught.value).isprintable()


def test_every_key_that_is_wrong_is_named_at_once(tmp_path):
    text = "a: 1\nn:\n  x: {c: 1}\n  x: {c: 2}\na: 2\n8: 1\nno: 2\nm: {3.5: 1, ? [1] : 2}\n"
    with pytest.raises(ParameterErrors) as caught:
        read(tmp_path, text)
    fields = [error.field for error in caught.value.errors]
    assert fields == ["n.x", "a", "8", "no", "m.3.5", "m"]
    lines = str(caught.value).splitlines()
    assert "is there twice, in line 3 and in line 4; remove one" in lines[0]
    assert "line 1 and in line 5" in lines[1]
    assert 'quote it: "8"' in lines[2]
    assert 'quote it: "no"' in lines[3]
    assert read(tmp_path, "8: 1", text_keys=False) == {8: 1}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("010", "a.b = '010': is read as a number to the base of 8, line 1; write 10; for 8 write"),
        ("-0_17", "to the base of 8, line 1; write -17; for -15"),
        ("1:30", 'to the base of 60, line 1; write it as one number, or quote it: "1:30"'),
        ("1:30.5", "to the base of 60"),
    ],
)
def test_numbers_that_mean_another_one_than_they_look_like(tmp_path, text, problem):
    with pytest.raises(ParameterError) as caught:
        read(tmp_path, f"a: {{b: {text}}}")
    assert problem in str(caught.value)
    assert read(tmp_path, f"a: '{text}'") == {"a": text}


@pytest.mark.parametrize(
    ("text", "value"),
    [("0", 0), ("00", 0), ("0o10", "0o10"), ("0x10", 16), ("1_000", 1000), ("08", "08")],
)
def test_numbers_that_mean_what_they_look_like(tmp_path, text, value):
    assert read(tmp_path, f"a: {text}") == {"a": value}


@pytest.mark.parametrize("text", ["8", "no", "2024-01-01", "1e3", "null", ""])
def test_places_that_must_hold_text(tmp_path, text):
    content, pattern = f"a: [{{name: {text}, other: 8}}]", r"a\[\d+\]\.name"
    assert read(tmp_path, content)["a"][0]["other"] == 8
    with pytest.raises(
        ParameterError, match=r"a\[0\]\.name = .* and no text, line 1; (quote|write)"
    ):
        read(tmp_path, content, text_at=pattern)
    found = []
    assert read(tmp_path, content, text_at=pattern, errors=found)["a"][0]["other"] == 8
    assert [error.field for error in found] == ["a[0].name"]


TAGS = ["!!int ", "!!set ", "!!omap ", "!!binary ", "!!timestamp "]
PIECES = [*"ab1 \n\t:-?[]{},&*!|>'\"%@`#~<=.e_", *TAGS, "<<: ", "&a ", "*a", "---\n", "0x", "1e-3"]
pieces = st.lists(st.sampled_from(PIECES)).map("".join)
texts = st.text().map(lambda text: text.encode(errors="replace"))


@pytest.mark.slow
@settings(deadline=None)
@given(st.binary() | texts | pieces.map(str.encode))
def test_any_bytes_are_read_or_refused(tmp_path_factory, content):
    try:
        read(tmp_path_factory.getbasetemp(), content)
    except ParameterError as error:
        assert all(line.isprintable() for line in str(error).splitlines())  # noqa: PT017
