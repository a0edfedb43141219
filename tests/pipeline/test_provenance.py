"""Which commit made a row: of a checkout, of what pip fetched, of an image."""

from __future__ import annotations

import json
import subprocess
from importlib.metadata import PackageNotFoundError
from types import SimpleNamespace

import pytest

from pipeline.tables import provenance
from pipeline.tables.provenance import COMMIT, code_version

ID = "1402a3bd03e1c0ffee00112233445566778899aa"
FROM_GIT = {"url": "https://h/r.git", "vcs_info": {"vcs": "git", "commit_id": ID}}


@pytest.fixture
def installed(monkeypatch, tmp_path):
    """A package in a folder that is no checkout; returned is what sets how pip got it."""
    monkeypatch.setattr(
        provenance, "__file__", str(tmp_path / "pipeline" / "tables" / "provenance.py")
    )
    monkeypatch.setattr(provenance, "version", lambda name: {"rnn-pipeline": "1.2.3"}[name])
    monkeypatch.delenv(COMMIT, raising=False)

    def by(noted):
        text = noted if isinstance(noted, str | None) else json.dumps(noted)
        package = SimpleNamespace(read_text={"direct_url.json": text}.get)
        monkeypatch.setattr(provenance, "distribution", lambda _: package)

    by(None)
    code_version.cache_clear()
    yield by
    code_version.cache_clear()


def test_of_a_registry_only_the_version_is_known(installed):
    assert code_version() == ("1.2.3", False)


def test_pip_notes_the_commit_that_it_fetched(installed, monkeypatch):
    monkeypatch.setenv(COMMIT, "0" * 40)  # of the image that it was installed into
    installed(FROM_GIT)
    assert code_version() == ("1.2.3+1402a3bd03e1", False)
    code_version.cache_clear()
    monkeypatch.setattr(
        provenance, "version", lambda _: (_ for _ in ()).throw(PackageNotFoundError())
    )
    assert code_version() == ("unknown+1402a3bd03e1", False)


@pytest.mark.parametrize(
    "noted",
    [
        {"url": "file:///src", "dir_info": {}},  # pip install .
        {"url": "file:///a.whl", "archive_info": {"hash": "sha256=0"}},
        {"vcs_info": {}},
        {"vcs_info": None},
        [],
        "no JSON",
        "",
    ],
)
def test_other_notes_name_none(installed, monkeypatch, noted):
    installed(noted)
    assert code_version() == ("1.2.3", False)
    code_version.cache_clear()
    monkeypatch.setenv(COMMIT, ID)
    assert code_version() == ("1.2.3+1402a3bd03e1", False)


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        (ID, ("1.2.3+1402a3bd03e1", False)),
        ("1402a3bd03e1", ("1.2.3+1402a3bd03e1", False)),
        ("1402a3b-dirty", ("1.2.3+1402a3b", True)),
        ("", ("1.2.3", False)),
        ("main", ("1.2.3", False)),
        ("1402a3bd03e1; rm", ("1.2.3", False)),
    ],
)
def test_an_image_says_its_own(installed, monkeypatch, caplog, named, expected):
    monkeypatch.setenv(COMMIT, named)
    assert code_version() == expected
    assert ("is not a commit" in caplog.text) is (expected[0] == "1.2.3" and bool(named))
    assert provenance.provenance()["code_dirty"] is expected[1]


def test_a_checkout_knows_better(installed, monkeypatch, tmp_path):
    monkeypatch.setenv(COMMIT, "f" * 40)
    (tmp_path / "file").write_text("one")
    settings = ["-c", "user.name=n", "-c", "user.email=e@e", "-c", "commit.gpgsign=false"]
    for words in (["init", "-q"], ["add", "file"], ["commit", "-q", "-m", "m"]):
        subprocess.run(["git", *settings, *words], cwd=tmp_path, check=True)
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=tmp_path, check=True, capture_output=True, text=True
    ).stdout
    assert code_version() == (f"1.2.3+{head[:12]}", False)
    code_version.cache_clear()
    (tmp_path / "file").write_text("two")
    assert code_version() == (f"1.2.3+{head[:12]}", True)
    # Where there is no git, or it does not answer, what is known else.
    code_version.cache_clear()

    def silent(*_, **__):
        raise subprocess.TimeoutExpired("git", 10)

    monkeypatch.setattr(subprocess, "run", silent)
    assert code_version() == (f"1.2.3+{'f' * 12}", False)
