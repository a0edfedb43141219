"""Only the datajoint.json that the user means is read; another one is named."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from pipeline.database.configuration import DatabaseError, configured_host
from pipeline.database.datajoint_file import choose

ROOT = Path(__file__).parents[2]
FOREIGN = {"database.host": "evil.example", "database.user": "u", "database.password": "p"}
SAY = """
import sys
{first}
import pipeline
from pipeline.database import connection, configuration
import datajoint as dj
configuration.check_configuration_file()
print(configuration.configured_host(), dj.config["database.user"], dj.config["database.password"])
"""


def write(folder, host="db.lab.example"):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "datajoint.json"
    path.write_text(json.dumps({**FOREIGN, "database.host": host}))
    path.chmod(0o600)
    folder.chmod(0o700)
    return path


def run(folder, first="", **variables):
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("DJ_", "RNN_"))}
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SAY.format(first=first)],
        cwd=folder, env={**environment, "PYTHONPATH": str(ROOT), **variables},
        capture_output=True, text=True,
    )  # fmt: skip


@pytest.fixture(autouse=True)
def no_variables(monkeypatch):
    for name in ("RNN_CONFIG", "DJ_IGNORE_CONFIG_FILE"):
        monkeypatch.delenv(name, raising=False)


def test_that_of_the_working_directory_counts(tmp_path):
    write(tmp_path)
    said = run(tmp_path)
    assert said.stdout.split() == ["db.lab.example", "u", "p"] and not said.stderr


@pytest.mark.parametrize("content", [[], None, "x", 3, {"database": None}, {"stores": 3}])
def test_what_is_no_object_of_settings_is_one_line(tmp_path, content, monkeypatch):
    path = tmp_path / "datajoint.json"
    path.write_text(json.dumps(content))
    monkeypatch.setattr("pipeline.database.configuration._file_of_datajoint", lambda: path)
    monkeypatch.delenv("DJ_HOST", raising=False)
    with pytest.raises(DatabaseError, match=r"is no object of settings.*; mend it"):
        configured_host()


def test_so_does_that_of_the_project(tmp_path):
    path = write(tmp_path)
    (tmp_path / "pyproject.toml").touch()
    below = tmp_path / "notebooks" / "figures"
    below.mkdir(parents=True)
    assert choose(below).path == path
    assert run(below).stdout.split()[0] == "db.lab.example"
    (tmp_path / "pyproject.toml").rename(tmp_path / "notebooks" / "pyproject.toml")
    assert choose(below).path is None


def test_one_above_the_project_is_named_and_not_read(tmp_path):
    path = write(tmp_path, "evil.example")
    below = tmp_path / "mine"
    below.mkdir()
    said = run(below)
    assert said.stdout.split() == ["None", "None", "None"]
    (line,) = said.stderr.splitlines()
    assert str(path) in line and "is not read; set RNN_CONFIG" in line
    meant = run(below, RNN_CONFIG=str(path))
    assert meant.stdout.split() == ["evil.example", "u", "p"] and not meant.stderr
    quiet = run(below, DJ_IGNORE_CONFIG_FILE="true")
    assert quiet.stdout.split() == ["None", "None", "None"] and not quiet.stderr


def test_variables_go_before_the_file_that_was_named(tmp_path):
    path = write(tmp_path / "elsewhere")
    said = run(tmp_path, RNN_CONFIG=str(path), DJ_USER="ann")
    assert said.stdout.split() == ["db.lab.example", "ann", "p"]
    missing = run(tmp_path, RNN_CONFIG=str(tmp_path / "none.json"))
    assert "is not a file; mend it" in missing.stderr


def test_secrets_beside_the_named_file_are_read(tmp_path):
    path = write(tmp_path / "elsewhere")
    path.write_text(json.dumps({"database.host": "db.lab.example"}))
    secrets = path.parent / ".secrets"
    secrets.mkdir()
    (secrets / "database.user").write_text("carl")
    (secrets / "database.password").write_text("word")
    said = run(tmp_path, RNN_CONFIG=str(path))
    assert said.stdout.split() == ["db.lab.example", "carl", "word"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda path: path.chmod(0o666), "can be written by every user"),
        (lambda path: path.parent.chmod(0o777), "its folder can be written by every user"),
        (lambda path: path.chmod(0o660) or os.chown(path, -1, 54321), "by a group of users"),
        (lambda path: os.chown(path, 54321, -1), "belongs to another user (number 54321)"),
        (lambda path: os.chown(path.parent, 54321, -1), "its folder belongs to another user"),
    ],
)
def test_one_that_others_could_have_written_is_not_read(tmp_path, change, words):
    path = write(tmp_path / "here")
    assert choose(path.parent).path == path
    try:
        change(path)
    except PermissionError:
        pytest.skip("only root gives files away")
    choice = choose(path.parent)
    assert choice.path is None and words in choice.foreign and "\n" not in choice.foreign


def test_a_file_of_ones_own_in_a_shared_temporary_folder_counts(tmp_path):
    path = write(tmp_path / "here")
    path.parent.chmod(0o1777)
    assert choose(path.parent).path == path


def test_who_has_imported_datajoint_first_is_told(tmp_path):
    write(tmp_path, "evil.example")
    below = tmp_path / "mine"
    below.mkdir()
    said = run(below, first="import datajoint")
    assert not said.stdout
    assert "DataJoint, imported before pipeline, has read it" in said.stderr.splitlines()[-1]
    write(below)  # his own: all is well
    assert run(below, first="import datajoint").stdout.split()[0] == "db.lab.example"


def test_what_the_advisories_concern_is_never_called():
    """Of DataJoint before 2.3.6: `alter`, and the classes it makes of what a database says."""
    for path in (ROOT / "pipeline").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute):
                assert node.attr not in ("alter", "make_classes", "spawn_missing_classes"), path


def test_the_version_that_mends_them_is_taken_when_it_is_there():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (wanted,) = [line for line in project["dependencies"] if line.startswith("datajoint")]
    lower, upper = wanted.removeprefix("datajoint").split(",")
    assert (lower, upper) == (">=2.3.5", "<2.4")
