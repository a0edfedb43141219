"""Make a release: write its version, freeze its defaults, and keep what it writes for the tests.

    python scripts/release.py prepare 0.2.0    # files that name the version; frozen defaults
    python scripts/release.py keep             # a database of both back ends, and a capsule

CONTRIBUTING.md, "A release", says what is typed between them. Neither of them commits anything.
"""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import re
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path

from packaging.version import InvalidVersion, Version

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from scripts import freeze_defaults  # noqa: E402

PACKAGE = "rnn-pipeline"
KEPT = Path("tests/pipeline/released")
UPGRADING = Path("docs/upgrading.md")
# Of what an earlier release wrote, and what this one has frozen.
TESTS = (
    "tests/test_release.py tests/pipeline/test_released_defaults.py tests/pipeline/test_upgrade.py "
    "tests/pipeline/test_capsules.py tests/pipeline/test_capsule_files.py "
    "tests/pipeline/test_kept_schemas.py tests/pipeline/test_provenance.py"
)


def prepare(version: str, today: datetime.date | None = None) -> None:
    """Write a version into the files that name it, and freeze its defaults.

    All is looked at before anything is written.
    """
    date = (today or datetime.datetime.now(datetime.UTC).date()).isoformat()
    before = version_of(ROOT)
    _refuse_changes()
    _refuse_unless(_is_later(version, before), f"{version!r} is no version later than {before}")
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    heading = f"## {version} (unreleased)\n"
    _refuse_unless(heading in changelog, f"CHANGELOG.md has no line {heading.strip()!r}")
    note = f"## From {before} to {version}\n"
    has_note = note in (ROOT / UPGRADING).read_text(encoding="utf-8")
    _refuse_unless(has_note, f"{UPGRADING} has no section {note.strip()!r}")
    project = _replaced("pyproject.toml", r'(?m)^version = ".*"$', f'version = "{version}"')
    citation = _replaced("CITATION.cff", r"(?m)^version: .*$", f"version: {version}")
    dated = f"date-released: {date}"
    if "date-released:" in citation:
        citation = re.sub(r"(?m)^date-released: .*$", dated, citation)
    else:
        citation = citation.replace(f"version: {version}\n", f"version: {version}\n{dated}\n", 1)

    freeze_defaults.main(version)
    subprocess.run([sys.executable, "-m", "ruff", "format", "-q", freeze_defaults.FILE], check=True)
    frozen = runpy.run_path(str(freeze_defaults.FILE))["DEFAULTS"][version]
    folder = ROOT / KEPT / version
    folder.mkdir(parents=True)
    _write(folder / "defaults.json", json.dumps(frozen, indent=1) + "\n")
    _write(ROOT / "CHANGELOG.md", changelog.replace(heading, f"## {version} ({date})\n", 1))
    _write(ROOT / "pyproject.toml", project)
    _write(ROOT / "CITATION.cff", citation)


def keep() -> None:
    """Keep a database of both back ends and a capsule, as the code of this checkout makes them."""
    version = version_of(ROOT)
    _refuse_changes()  # rows say by which commit they were written
    installed = importlib.metadata.version(PACKAGE)
    said = f"{PACKAGE} {installed} is installed here, and this is {version}: run `make setup`"
    _refuse_unless(installed == version, said)
    making = []
    for module, *arguments in (
        ("make", str(ROOT), version, "mysql"),
        ("make", str(ROOT), version, "postgresql"),
        ("make_capsule", version),
    ):
        words = [sys.executable, "-W", "ignore", "-m", f"tests.pipeline.released.{module}"]
        making.append(subprocess.Popen([*words, *arguments], cwd=ROOT))
    failed = [process.args for process in making if process.wait() != 0]
    _refuse_unless(not failed, f"these failed, and are to be run again: {failed}")
    print(f"\nin {KEPT / version}; now commit it, and run\n\n    pytest {TESTS}")


def version_of(folder: Path) -> str:
    """Return the version in the pyproject.toml of a folder."""
    text = (folder / "pyproject.toml").read_text(encoding="utf-8")
    return str(tomllib.loads(text)["project"]["version"])


def _is_later(version: str, before: str) -> bool:
    try:
        return str(Version(version)) == version and Version(version) > Version(before)
    except InvalidVersion:
        return False


def _replaced(name: str, pattern: str, line: str) -> str:
    text, n_lines = re.subn(pattern, line, (ROOT / name).read_text(encoding="utf-8"))
    _refuse_unless(n_lines == 1, f"{name}: {n_lines} lines name the version, and not one")
    return text


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    print(f"wrote {path.relative_to(ROOT)}")


def _refuse_changes() -> None:
    words = ["git", "-C", str(ROOT), "status", "--porcelain", "--untracked-files=no"]
    changed = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    _refuse_unless(not changed, f"there are changes that are not committed:\n{changed}")


def _refuse_unless(holds: bool, problem: str) -> None:
    if not holds:
        sys.exit(f"error: {problem}")


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "prepare":
        prepare(sys.argv[2])
    elif sys.argv[1:] == ["keep"]:
        keep()
    else:
        sys.exit(__doc__)
