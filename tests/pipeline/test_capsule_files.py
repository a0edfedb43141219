"""Capsules as files: what is changed, made up or of a later version is refused; no database."""

from __future__ import annotations

import hashlib
import io
import json
import stat
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from pipeline.cli.commands import app
from pipeline.sharing.capsule_file import check_capsule, opened_capsule
from pipeline.sharing.capsule_values import array_in
from pipeline.sharing.environment import differences, environment, lock
from pipeline.sharing.manifest import CAPSULE, MANIFEST, check_export, manifest_text
from tasks_lib import ParameterError

RELEASED = Path(__file__).parent / "released"
KEPT = RELEASED / "0.1.0" / "capsule.zip"  # of which others are made up
CAPSULES = sorted(RELEASED.glob("*/capsule.zip"))
# The oldest is brought up to date as it is opened, which each back end does with SQL of its own.
every_capsule = pytest.mark.parametrize("kept", [
    pytest.param(p, id=p.parent.name, marks=[pytest.mark.both_backends] * (p == CAPSULES[0]))
    for p in CAPSULES
])  # fmt: skip
ROOT = "root"
NETWORKS = "rows/Training.Network.jsonl"


# Enough of the kept capsule to be a capsule.
SOME = (
    "Task", "NetworkParams", "TrainingParams", "Cohort", "Training", "Training.Network",
    "TrialPlot", "Comparison", "Sweep",
)  # fmt: skip


def contents():
    """Return the files of a part of the kept capsule: few rows, no report."""
    with opened_capsule(KEPT) as capsule:
        manifest = capsule.manifest
        by_hash = {file["sha256"]: name for name, file in manifest["files"].items()}
        named = set()
        for title in SOME:
            for row in capsule.rows(title):
                named |= {by_hash[v] for v in row.values() if isinstance(v, str) and v in by_hash}
        rest = [name for name in manifest["files"] if "/" not in name]
        names = [*(f"rows/{title}.jsonl" for title in SOME), *rest, *sorted(named)]
        found = {name: capsule.bytes_of(name) for name in names}
        tables = {title: manifest["tables"][title] for title in SOME}
        found[MANIFEST] = json.dumps({**manifest, "tables": tables}).encode()
    manifest_of(found)
    return found


@pytest.fixture(scope="module")
def _files():
    return contents()


@pytest.fixture
def files(_files):
    return dict(_files)


def manifest_of(files, /, **changes):
    """Give files a manifest whose hashes are theirs: hashes say nothing of who made it."""
    before = {k: v for k, v in json.loads(files[MANIFEST]).items() if k not in ("kind", "version")}
    described = {
        name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in files.items()
        if name != MANIFEST
    }
    files[MANIFEST] = manifest_text({**before, "files": described, **changes}, CAPSULE).encode()


def packed(tmp_path, files, more=()):
    path = tmp_path / "capsule.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(f"{ROOT}/{name}", content)
        for name, content in more:
            archive.writestr(name, content)
    return path


def changed_row(files, title=NETWORKS, **columns):
    rows = [json.loads(line) for line in files[title].splitlines()]
    rows[0] |= columns
    files[title] = "".join(json.dumps(row) + "\n" for row in rows).encode()
    manifest_of(files)


def fault(path):
    check = check_capsule(path)
    assert len(check.faults) == 1, check.faults
    return check.faults[0]


@every_capsule
def test_the_kept_capsule_is_whole(kept):
    check = check_capsule(kept)
    assert check.faults == [] and check.n_files > 250
    assert kept.stat().st_size < 400_000
    with opened_capsule(kept) as capsule:
        # Something of every table that this version has.
        empty = {title for title, table in capsule.tables.items() if not table.n_rows}
        # No recording is imported into it: that needs the extra `nwb`.
        ours = {title for title in empty if not title.startswith(("Recording", "RecordedPop"))}
        assert ours - MAY_BE_EMPTY == set()
        kinds = {kind for table in capsule.tables.values() for kind in table.columns.values()}
        assert kinds == {
            "whole", "number", "flag", "text", "time", "json", "array", "figure"
        }  # fmt: skip
        row = next(r for r in capsule.rows("Training.Network") if r["network_name"] == "dale")
        assert capsule.array(row["w_rec"]).shape == (5, 5)
        plot = next(capsule.rows("TrialPlot"))
        assert capsule.figure(plot["figure"]).startswith(b"\x89PNG")
        assert {"numpy", "torch", "datajoint"} <= capsule.environment()["packages"].keys()


def test_a_part_of_the_kept_capsule_is_one(files, tmp_path):
    assert check_capsule(packed(tmp_path, files)).n_files == len(files) - 1


# No network of a kept capsule has a slow manifold, nor one that splits.
MAY_BE_EMPTY = {
    "ContinuousAttractor.Manifold", "ContinuousAttractorPlot", "FollowedPoints.Bifurcation",
}  # fmt: skip


def test_what_is_changed_is_named(files, tmp_path):
    array = next(name for name in files if name.startswith("files/"))
    figure = next(name for name in files if name.startswith("report/figures/"))
    for name in (array, figure, NETWORKS, "environment.json"):
        damaged = dict(files)
        damaged[name] = damaged[name][:-1] + bytes([damaged[name][-1] ^ 1])
        assert fault(packed(tmp_path, damaged)) == f"changed: {name}"
        del damaged[name]
        assert fault(packed(tmp_path, damaged)) == f"missing: {name}"
    assert fault(packed(tmp_path, {**files, "more.txt": b""})) == "not of the capsule: more.txt"
    changed = json.loads(files[MANIFEST]) | {"code_version": "1"}
    files[MANIFEST] = json.dumps(changed).encode()
    assert fault(packed(tmp_path, files)) == f"changed: {MANIFEST}"


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.999])
def test_a_capsule_that_breaks_off(tmp_path, kept):
    content = KEPT.read_bytes()
    path = tmp_path / "capsule.zip"
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(ParameterError, match="is no whole zip archive"):
        check_capsule(path)


def test_bytes_that_are_damaged_on_the_way(files, tmp_path):
    content = bytearray(packed(tmp_path, files).read_bytes())
    path = tmp_path / "damaged.zip"
    found = n_cases = 0
    for place in range(200, len(content), len(content) // 25):
        damaged = bytearray(content)
        damaged[place : place + 40] = bytes(b ^ 0x55 for b in damaged[place : place + 40])
        path.write_bytes(damaged)
        n_cases += 1
        try:
            found += not check_capsule(path).is_whole
        except ParameterError:
            found += 1
    assert found == n_cases > 20


@pytest.mark.parametrize(
    "name", ["../x", "/etc/x", "a/../../x", "C:\\x", "..\\x", "root/../../x", "//x", "a\0b"]
)
def test_names_that_lead_out_are_refused_wherever_they_stand(files, tmp_path, name):
    safe = name.replace("\0", "_")
    more = packed(tmp_path, files, [(safe, b"x")])
    assert "not of the capsule" in fault(more)
    files |= {name: b"x"}
    manifest_of(files)
    del files[name]
    with pytest.raises(ParameterError, match="is not one of a capsule of this version"):
        check_capsule(packed(tmp_path, files))
    assert [path.name for path in tmp_path.iterdir()] == ["capsule.zip"]


def test_links_and_names_that_are_there_twice(files, tmp_path):
    link = zipfile.ZipInfo(f"{ROOT}/{NETWORKS}")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    rows = files.pop(NETWORKS)
    path = packed(tmp_path, files, [(link, rows)])
    assert set(check_capsule(path).faults) == {
        f"not of the capsule: {NETWORKS}", f"missing: {NETWORKS}"
    }  # fmt: skip
    files[NETWORKS] = rows
    with pytest.warns(UserWarning, match="Duplicate name"):
        path = packed(tmp_path, files, [(f"{ROOT}/{NETWORKS}", b"other")])
    assert fault(path) == f"not of the capsule: {NETWORKS}"


def test_more_than_any_capsule_holds_is_refused_unread(files, tmp_path, monkeypatch):
    described = json.loads(files[MANIFEST])["files"]
    for n_bytes, message in (
        (2**40, "has a file that is larger than"), (-1, "larger than"), (True, "larger than"),
        (2**31, "would unpack to 2.* more than 200 times its"),
    ):  # fmt: skip
        manifest_of(files, files={**described, NETWORKS: {"bytes": n_bytes, "sha256": "0"}})
        with pytest.raises(ParameterError, match=message):
            check_capsule(packed(tmp_path, files))
    monkeypatch.setattr("pipeline.sharing.capsule_file.MOST_FILES", 10)
    with pytest.raises(ParameterError, match="files, and a capsule 10 at most"):
        check_capsule(KEPT)


def test_nothing_is_read_beyond_what_the_manifest_says(files, tmp_path, monkeypatch):
    """A file of 300 MB that says it has a few bytes."""
    path = packed(tmp_path, {**files, "requirements.txt": bytes(300 * 2**20)})
    read = 0
    before = zipfile.ZipExtFile.read

    def counted(self, n=-1):
        nonlocal read
        content = before(self, n)
        read += len(content)
        return content

    monkeypatch.setattr(zipfile.ZipExtFile, "read", counted)
    assert fault(path) == "changed: requirements.txt"
    assert read < 20 * 2**20
    with opened_capsule(path) as capsule, pytest.raises(ParameterError, match="changed: requi"):
        capsule.bytes_of("requirements.txt")
    assert read < 20 * 2**20


def test_a_size_that_the_archive_itself_lies_about(files, tmp_path):
    path = packed(tmp_path, files)
    with zipfile.ZipFile(path) as archive:
        entry = archive.getinfo(f"{ROOT}/{NETWORKS}")
    content = bytearray(path.read_bytes())
    directory = content.rindex(f"{ROOT}/{NETWORKS}".encode()) - 46
    for place in (entry.header_offset + 22, directory + 24):  # it is in two headers
        content[place : place + 4] = struct.pack("<I", 100)
    path.write_bytes(content)
    assert fault(path) == f"changed: {NETWORKS}"


def test_other_formats_say_what_they_are(files, tmp_path):
    for changes, message in (
        (
            {"version": 2},
            r"a later version of .* \(its format is 2, .* up to 1\); update this package",
        ),
        ({"version": "1"}, "not one of a capsule of this version"),
        ({"kind": "rnn export"}, "is an export, and not a capsule; see `rnn import`"),
        ({"kind": "other"}, "not one of a capsule of this version"),
    ):
        other = {**files, MANIFEST: json.dumps(json.loads(files[MANIFEST]) | changes).encode()}
        with pytest.raises(ParameterError, match=message):
            check_capsule(packed(tmp_path, other))
    with pytest.raises(ParameterError, match="is a capsule, and not an export; see `rnn capsule"):
        check_export(KEPT)
    for nested in ("[" * 10**5, "{}", "[]", '{"kind": "rnn capsule", "version": 1}'):
        other = {**files, MANIFEST: nested.encode()}
        with pytest.raises(ParameterError, match="not one of a capsule"):
            check_capsule(packed(tmp_path, other))
    for table in ({"rows": 1}, [], {"rows": 1, "key": ["a"], "columns": {"b": "whole"}},
                  {"rows": 1, "key": [], "columns": {"b": "pickle"}}):  # fmt: skip
        manifest_of(files, tables={"Task": table})
        assert "has a manifest that lacks" in (said := fault(packed(tmp_path, files))) or (
            "with columns of no kind" in said
        )


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"w_rec": "../../etc/passwd"}, "a 'w_rec' that names no array of this capsule"),
        ({"w_rec": "0" * 64}, "a 'w_rec' that names no array of this capsule"),
        ({"w_rec": {"path": "x", "store": "main"}}, "a 'w_rec' that is no array"),
        ({"seed": None}, "a 'seed' that is missing"),
        ({"seed": "3"}, "a 'seed' that is no whole"),
        ({"seed": True}, "a 'seed' that is no whole"),
        ({"r2": "NaN"}, "a 'r2' that is no number"),
        ({"r2": float("nan")}, "is no JSON"),
        ({"loss": float("inf")}, "is no JSON"),
        ({"more": 1}, "has other columns than the table"),
    ],
)
def test_rows_that_are_none_of_their_table(files, tmp_path, columns, message):
    changed_row(files, **columns)
    said = fault(packed(tmp_path, files))
    assert said.startswith("has a row of Training.Network (line 1) that") and message in said


def test_other_rows_that_are_none(files, tmp_path):
    deep = 1
    for _ in range(40):
        deep = [deep]
    changed_row(files, "rows/Task.jsonl", params=deep)
    assert "'params' that is nested too deep" in fault(packed(tmp_path, files))
    files = contents()
    changed_row(files, "rows/Training.jsonl", trained_at="yesterday")
    assert "'trained_at' that is no time" in fault(packed(tmp_path, files))
    files = contents()
    files[NETWORKS] += b"[" * 100_000 + b"\n"
    manifest_of(files)
    assert "that is no JSON" in fault(packed(tmp_path, files))
    files = contents()
    files[NETWORKS] = files[NETWORKS].splitlines(keepends=True)[0]
    manifest_of(files)
    assert "has 1 rows of Training.Network, and its manifest says" in fault(packed(tmp_path, files))
    # A figure where an array is to be.
    files = contents()
    figure = next(name for name in files if name.startswith("report/figures/"))
    changed_row(files, w_rec=hashlib.sha256(files[figure]).hexdigest())
    assert "names no array of this capsule" in fault(packed(tmp_path, files))


def npy(array, **options):
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


class Bomb:
    def __reduce__(self):
        raise AssertionError("a pickle was read")


def test_no_pickle_is_ever_read(files, tmp_path):
    content = npy(np.array([{"a": 1}], dtype=object), allow_pickle=True)
    row = json.loads(files[NETWORKS].splitlines()[0])
    (name,) = [
        name for name, old in files.items() if hashlib.sha256(old).hexdigest() == row["w_rec"]
    ]
    files[name] = content
    changed_row(files, w_rec=hashlib.sha256(content).hexdigest())
    assert "holds Python objects, which are never read" in fault(packed(tmp_path, files))


def test_arrays_are_what_their_headers_say():
    content = npy(np.arange(6.0).reshape(2, 3))
    assert np.array_equal(array_in(content), [[0, 1, 2], [3, 4, 5]])
    fortran = np.asfortranarray(np.arange(6).reshape(2, 3))
    assert array_in(npy(fortran)).flags.f_contiguous
    for empty in (np.empty((0, 2)), np.float32(3.0)):
        assert array_in(npy(empty)).shape == np.shape(empty)
    for wrong, message in (
        (content + b"\0", "size is not that of its shape"),
        (content[:-1], "size is not that of its shape"),
        (content.replace(b"(2, 3)", b"(9, 9)"), "size is not that of its shape"),
        (content.replace(b"(2, 3)", b"(-2,-3)"), "no npy file|size is not"),
        (b"\x93NUMPY\x09\x00" + content[8:], "no npy file"),
        (b"", "no npy file"),
        (b"\x80\x04K\x01.", "no npy file"),
        (npy(np.array(["a"])), "something else than numbers"),
        (npy(np.array(["2026-01-01"], dtype="M8[D]")), "something else than numbers"),
        (npy(np.zeros(2, dtype=[("a", "f8")])), "something else than numbers"),
    ):
        with pytest.raises(ValueError, match=message):
            array_in(wrong)


def test_a_file_that_no_row_names_is_one_too_many(files, tmp_path):
    files["files/more.npy"] = npy(np.arange(3))
    manifest_of(files)
    assert "has a file 'files/more.npy' that no row names" in fault(packed(tmp_path, files))


def test_environments_differ_in_what_decides():
    here = environment()
    assert differences(here, here) == []
    other = {**here, "packages": {**here["packages"], "torch": "1.0", "rich": "1"}}
    assert differences(other, here) == [f"torch: 1.0 then, {here['packages']['torch']} here"]
    assert f"numpy=={np.__version__}" in lock(here).splitlines()
    assert "rnn-pipeline is " in lock(here) and "\nrnn-pipeline==" not in lock(here)
    assert str(Path.home()) not in json.dumps(here)


def test_the_command_checks_and_describes_without_a_database(files, tmp_path, monkeypatch):
    monkeypatch.setenv("DJ_HOST", "nowhere.invalid")

    def run(*words):
        result = CliRunner().invoke(app, ["capsule", *map(str, words)])
        return result.exit_code, result.output.replace("\n", " ")

    assert run("check", KEPT)[0] == 0 and "whole" in run("check", KEPT)[1]
    status, said = run("describe", KEPT)
    assert status == 0
    for text in ("packages of others: tests", "rows of Training.Network: ", "made on: x86_64"):
        assert text in said
    status, said = run("check", packed(tmp_path, {**files, "more": b""}))
    assert status == 1 and "not of the capsule: more" in said
    for words, status, message in (
        (("check", tmp_path), 1, "is a folder; name the capsule as it was made"),
        (("describe", tmp_path / "x.zip"), 1, "is not there"),
        ((), 2, "nothing is named; give --out FILE"),
        (("--task", "cddm", "check", KEPT), 2, "do not go with check"),
        (("open", tmp_path / "x.zip"), 1, "is not there"),
    ):
        assert (run(*words)[0], message in run(*words)[1]) == (status, True), run(*words)
