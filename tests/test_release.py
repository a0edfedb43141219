"""What a release writes, and that the files which name a version agree."""

from __future__ import annotations

import datetime
import json
import re
import shutil
import subprocess
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from pipeline.migrations import m0003_columns_that_join
from pipeline.tables.released_defaults import DEFAULTS
from scripts import freeze_defaults, release

ROOT = Path(__file__).resolve().parent.parent
NAMES = ("pyproject.toml", "CITATION.cff", "CHANGELOG.md", "docs/upgrading.md")
DAY = datetime.date(2027, 2, 1)
VERSION = release.version_of(ROOT)


def headings(text):
    """Return version -> date of the sections of a changelog, as they stand there."""
    return dict(re.findall(r"(?m)^## (\d+\.\d+\.\d+) \(([\w-]+)\)$", text))


def test_files_agree_on_the_version():
    sections = headings((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))
    released = [version for version, date in sections.items() if date != "unreleased"]
    assert released[0] == VERSION
    assert [*sections][: len(sections) - len(released)] == [
        version for version, date in sections.items() if date == "unreleased"
    ]
    assert set(DEFAULTS) == set(released)
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert str(citation["version"]) == VERSION
    assert str(citation["date-released"]) == sections[VERSION]


def test_every_release_after_the_first_says_how_to_come_to_it():
    sections = [*headings((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))]
    page = (ROOT / "docs" / "upgrading.md").read_text(encoding="utf-8")
    for version, before in pairwise(sections):
        assert f"\n## From {before} to {version}\n" in page


def test_the_note_of_0_2_0_names_every_column_that_it_renamed():
    page = (ROOT / "docs" / "upgrading.md").read_text(encoding="utf-8")
    note = page.partition("## From 0.1.0 to 0.2.0\n")[2].partition("\n## ")[0]
    rows = [line for line in note.splitlines() if line.startswith("| `")]
    for (_, table), names in m0003_columns_that_join.RENAMED.items():
        title = table.strip("_").replace("__", "_.").title().replace("_", "")
        (row,) = [line for line in rows if line.startswith(f"| `{title}` |")]
        for old, new in names.items():
            assert f"`{old}`" in row
            assert f"`{new}`" in row or (new == f"line_{old}" and "after `line_`" in row)


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A repository with the files that a release changes."""
    for name in (*NAMES, "pipeline/tables/released_defaults.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    changelog = tmp_path / "CHANGELOG.md"
    text = changelog.read_text(encoding="utf-8")
    text = text.replace("\n## ", "\n## 9.9.9 (unreleased)\n\n- More.\n\n## ", 1)
    changelog.write_text(text, encoding="utf-8")
    upgrading = tmp_path / "docs" / "upgrading.md"
    upgrading.write_text(f"{upgrading.read_text()}\n## From {VERSION} to 9.9.9\n\nNothing.\n")
    git(tmp_path, "init", "--quiet")
    commit(tmp_path)
    monkeypatch.setattr(release, "ROOT", tmp_path)
    monkeypatch.setattr(
        freeze_defaults, "FILE", tmp_path / "pipeline" / "tables" / "released_defaults.py"
    )
    return tmp_path


def git(folder, *words):
    own = ("-c", "user.name=a", "-c", "user.email=a@b.c", "-c", f"safe.directory={folder}")
    subprocess.run(["git", *own, "-C", str(folder), *words], check=True)


def commit(folder):
    git(folder, "add", "-A")
    git(folder, "commit", "--quiet", "-m", "all")


def test_a_release_is_written_into_the_files_that_name_it(checkout):
    release.prepare("9.9.9", DAY)
    project = tomllib.loads((checkout / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["version"] == "9.9.9"
    citation = yaml.safe_load((checkout / "CITATION.cff").read_text(encoding="utf-8"))
    assert (citation["version"], citation["date-released"]) == ("9.9.9", DAY)
    assert headings((checkout / "CHANGELOG.md").read_text())["9.9.9"] == "2027-02-01"
    kept = checkout / release.KEPT / "9.9.9" / "defaults.json"
    assert json.loads(kept.read_text()) == freeze_defaults.unreleased()
    commit(checkout)
    with pytest.raises(SystemExit, match=r"9\.9\.9.*no version later than 9\.9\.9"):
        release.prepare("9.9.9", DAY)
    # Rows of the kept database name the version that is installed.
    with pytest.raises(SystemExit, match=r"is installed here, and this is 9\.9\.9: run `make set"):
        release.keep()


def test_what_is_missing_is_said_before_anything_is_written(checkout):
    before = {name: (checkout / name).read_bytes() for name in NAMES}
    for version, message in (
        ("0.0.1", "no version later than"), ("9.9", "CHANGELOG.md has no line '## 9.9 "),
        ("later", "no version later"), ("v9.9.9", "no version later"),
        ("9.9.10", r"no line '## 9\.9\.10 \(unreleased\)'"),
    ):  # fmt: skip
        with pytest.raises(SystemExit, match=message):
            release.prepare(version, DAY)
    upgrading = checkout / "docs" / "upgrading.md"
    upgrading.write_text(upgrading.read_text().replace("to 9.9.9", "to 9.9.8"))
    with pytest.raises(SystemExit, match="changes that are not committed"):
        release.prepare("9.9.9", DAY)
    commit(checkout)
    with pytest.raises(SystemExit, match=r"no section '## From .* to 9\.9\.9'"):
        release.prepare("9.9.9", DAY)
    assert {name: (checkout / name).read_bytes() for name in NAMES if "up" not in name} == {
        name: content for name, content in before.items() if "up" not in name
    }


def test_the_tests_that_a_release_names_exist():
    assert all((ROOT / name).exists() for name in release.TESTS.split())
