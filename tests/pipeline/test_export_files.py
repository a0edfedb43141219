"""Files of exports: archives of equal bytes, the check of a manifest, and cells; no database."""

from __future__ import annotations

import csv
import io
import json
import math
import tarfile
import zipfile
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sharing.archives import ending_of, pack
from pipeline.sharing.manifest import MANIFEST, check_export, described, manifest_text
from pipeline.sharing.selection import Column
from pipeline.sharing.table_files import cell, csv_text
from tasks_lib import ParameterError

FILES = {"a.txt": b"one", "sub/b.csv": b"1,2\n" * 1000, "sub/empty": b""}


@pytest.fixture(params=["", ".zip", ".tar.gz"])
def ending(request):
    return request.param


def folder_of(tmp_path, files=FILES, name="made"):
    folder = tmp_path / name
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    text = manifest_text({"files": described(folder, [*files])})
    (folder / MANIFEST).write_text(text)
    return folder


def exported(tmp_path, ending, folder=None):
    folder = folder or folder_of(tmp_path)
    if not ending:
        return folder
    path = tmp_path / f"made{ending}"
    paths = [p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()]
    with path.open("wb") as file:
        pack(folder, paths, "root", ending, file)
    return path


def test_what_is_whole(tmp_path, ending):
    check = check_export(exported(tmp_path, ending))
    assert (check.faults, check.n_files, check.n_bytes) == ([], 3, 4003)


def test_every_change_is_found(tmp_path, ending):
    folder = folder_of(tmp_path)
    (folder / "a.txt").write_bytes(b"two")
    (folder / "sub" / "empty").unlink()
    (folder / "more.txt").write_bytes(b"x")
    (folder / "sub" / "b.csv").write_bytes(FILES["sub/b.csv"] + b"3,4\n")
    faults = check_export(exported(tmp_path, ending, folder)).faults
    assert sorted(faults) == [
        "changed: a.txt", "changed: sub/b.csv", "missing: sub/empty",
        "not of the export: more.txt",
    ]  # fmt: skip


def test_a_changed_manifest_is_found(tmp_path, ending):
    folder = folder_of(tmp_path)
    content = json.loads((folder / MANIFEST).read_text())
    content["selection"] = {"seed": 3}
    (folder / MANIFEST).write_text(json.dumps(content))
    check = check_export(exported(tmp_path, ending, folder))
    assert check.faults == [f"changed: {MANIFEST}"]


def test_links_are_no_files_of_an_export(tmp_path):
    folder = folder_of(tmp_path)
    (folder / "a.txt").unlink()
    other = tmp_path / "other"
    other.mkdir()
    (other / "a.txt").write_bytes(b"one")
    (folder / "a.txt").symlink_to(other / "a.txt")
    (folder / "linked").symlink_to(other)
    assert sorted(check_export(folder).faults) == [
        "missing: a.txt", "not of the export: a.txt", "not of the export: linked"
    ]  # fmt: skip


@pytest.mark.parametrize("kept", [0.3, 0.9, 0.99])
@pytest.mark.parametrize("ending", [".zip", ".tar.gz"])
def test_an_archive_that_breaks_off_is_not_whole(tmp_path, ending, kept):
    path = exported(tmp_path, ending)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with suppress(ParameterError):  # its manifest is lost
        assert not check_export(path).is_whole


@pytest.mark.parametrize("ending", [".zip", ".tar.gz"])
def test_every_byte_of_the_contents_counts(tmp_path, ending):
    path = exported(tmp_path, ending)
    content = bytearray(path.read_bytes())
    found = 0
    for place in range(40, len(content), 97):
        damaged = bytearray(content)
        damaged[place] ^= 0x40
        path.write_bytes(damaged)
        try:
            found += not check_export(path).is_whole
        except ParameterError:
            found += 1
    # What a reader does not look at (a time, a checksum's padding) may be any.
    assert found > 0.6 * len(range(40, len(content), 97))


def test_what_is_no_export_is_said(tmp_path):
    (tmp_path / "plain").mkdir()
    (tmp_path / "text.zip").write_text("text")
    for name, message in (
        ("nowhere", "is not there"), ("plain", "has no manifest.json"),
        ("text.zip", "is no whole archive"),
    ):  # fmt: skip
        with pytest.raises(ParameterError, match=message):
            check_export(tmp_path / name)
    later = '{"kind": "rnn export", "version": 99, "files": {}}'
    (tmp_path / "plain" / MANIFEST).write_text(later)
    with pytest.raises(ParameterError, match=r"later version .* \(its format is 99, .* up to 1\)"):
        check_export(tmp_path / "plain")
    for content in ("[]", "{", '{"kind": "rnn export", "version": 0, "files": {}}',
                    '{"kind": "rnn export", "version": 1, "files": {"../x": {}}}'):  # fmt: skip
        (tmp_path / "plain" / MANIFEST).write_text(content)
        with pytest.raises(ParameterError, match="not one of an export of this version"):
            check_export(tmp_path / "plain")


def test_names_of_archives():
    names = {"a.zip": ".zip", "a.ZIP": ".zip", "a.tar.gz": ".tar.gz", "a.tgz": ".tar.gz", "a": "",
             "a.tar": "", "zip": ""}  # fmt: skip
    assert {name: ending_of(Path(name)) for name in names} == names


def test_archives_say_nothing_of_time_and_user(tmp_path):
    with zipfile.ZipFile(exported(tmp_path, ".zip")) as archive:
        entries = archive.infolist()
        assert {e.date_time for e in entries} == {(1980, 1, 1, 0, 0, 0)}
        assert [e.filename for e in entries] == sorted(e.filename for e in entries)
        assert all(e.filename.startswith("root/") for e in entries)
    with tarfile.open(exported(tmp_path, ".tar.gz", tmp_path / "made")) as tar:
        assert {(m.mtime, m.uid, m.uname, m.mode) for m in tar} == {(0, 0, "", 0o644)}


TEXTS = st.one_of(st.none(), st.text(st.characters(codec="utf-8", exclude_characters="\r\0")))
NUMBERS = st.one_of(st.none(), st.floats(allow_nan=False))


@given(st.lists(st.tuples(TEXTS, NUMBERS), min_size=1, max_size=5))
def test_cells_come_back(rows):
    columns = [Column("text", "text", ""), Column("number", "number", "")]
    cells = [[cell(c.kind, v) for c, v in zip(columns, row, strict=True)] for row in rows]
    text = csv_text(columns, cells)
    read = [*csv.reader(io.StringIO(text, newline=""))][1:]
    for (word, number), (their_word, their_number) in zip(rows, read, strict=True):
        assert their_word == (word or "")
        if number is not None:
            assert math.copysign(1, float(their_number)) == math.copysign(1, number)
            assert float(their_number) == number
    # An empty text is another thing than none.
    assert csv_text(columns[:1], [[""]]) != csv_text(columns[:1], [[None]])


def test_kinds_of_cells():
    assert cell("flag", 1) is True
    assert cell("json", {"b": 1.0, "a": [None]}) == '{"a": [null], "b": 1.0}'
    when = datetime(2026, 1, 2, 3, 4, 5)
    assert csv_text([Column("t", "time", "")], [[cell("time", when)]]).endswith(
        '"2026-01-02 03:04:05"\n'
    )
    assert all(cell(k, None) is None for k in ("flag", "whole", "json", "time", "text"))
