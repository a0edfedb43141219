"""The public continuous integration runs what there is: targets, scripts, Pythons."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / ".github" / "workflows" / "ci.yml"
TEXT = FILE.read_text(encoding="utf-8")
JOBS = yaml.safe_load(TEXT)["jobs"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
RULES = (
    "{extends: default, rules: {line-length: {max: 100}, truthy: {check-keys: false}, "
    "document-start: disable}}"
)


def commands():
    return [step["run"] for job in JOBS.values() for step in job["steps"] if "run" in step]


def test_it_is_tidy_yaml():
    words = [sys.executable, "-m", "yamllint", "--strict", "-d", RULES, str(FILE)]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_every_target_and_every_script_exists():
    made = re.findall(r"(?m)^([\w-]+):", (ROOT / "Makefile").read_text())
    called = [shlex.split(command) for command in commands()]
    targets = {words[1] for words in called if words[0] == "make"}
    assert {"setup", "lint", "types", "site", "test"} <= targets <= set(made)
    scripts = [word for words in called for word in words if word.startswith("scripts/")]
    assert scripts and all((ROOT / script).exists() for script in scripts)


def test_every_python_is_tried_with_lowest_and_highest_versions():
    classifiers = PROJECT["classifiers"]
    pythons = sorted(c.rpartition(" ")[2] for c in classifiers if re.search(r":: 3\.\d+$", c))
    assert JOBS["tests"]["strategy"]["matrix"]["python"] == pythons
    tried = JOBS["wheel"]["strategy"]["matrix"]
    assert tried == {"python": pythons, "versions": ["lowest", "highest"]}


def test_both_back_ends_have_to_be_there():
    variables = JOBS["tests"]["env"]
    assert variables["RNN_TEST_REQUIRE"] == "mysql,postgresql"
    (server,) = JOBS["tests"]["services"].values()
    assert server["image"].startswith("mysql:8.4")
    # A server of this run alone, on loopback.
    assert server["env"]["MYSQL_ROOT_PASSWORD"] == variables["RNN_TEST_MYSQL_PASSWORD"]


def test_a_release_needs_all_of_it_and_no_secret():
    release = JOBS["release"]
    assert set(release["needs"]) == JOBS.keys() - {"release"}
    assert release["permissions"] == {"id-token": "write"} and release["environment"]
    assert "refs/tags/v" in release["if"]
    # Whoever writes to the repository writes nothing more than that.
    assert yaml.safe_load(TEXT)["permissions"] == {"contents": "read"}
    assert "secrets." not in TEXT and "://" not in TEXT


def test_the_wheel_is_named_as_the_release_expects():
    (check,) = [s["run"] for s in JOBS["release"]["steps"] if "run" in s]
    assert "dist/rnn_pipeline-${GITHUB_REF_NAME#v}-py3-none-any.whl" in check
    assert PROJECT["name"].replace("-", "_") == "rnn_pipeline"


@pytest.mark.parametrize("words", [(), ("newest", "x.whl"), ("lowest",)])
def test_the_script_that_tries_a_wheel_says_how_it_is_called(words):
    done = subprocess.run(
        ["bash", ROOT / "scripts/try_wheel.sh", *words], capture_output=True, text=True
    )
    assert done.returncode == 2 and "lowest|highest" in done.stderr


def test_scripts_that_are_called_by_their_name_can_be():
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "scripts").glob("*.sh")]
    by_name = re.compile(r"(?m)^(?: {4}|#\s+|)(?:[A-Z_]+=\S+ )*(scripts/[\w.]+\.sh)\b")
    called = {name for page in pages for name in by_name.findall(page.read_text(encoding="utf-8"))}
    assert "scripts/try_wheel.sh" in called
    for name in called:
        assert (ROOT / name).stat().st_mode & 0o100, f"{name} is no executable file"
