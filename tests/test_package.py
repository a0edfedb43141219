"""The wheel and the sdist: all that is read at run time, and nothing that is not of the project."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
ROOMS = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
IMPORT_ALL = """
import importlib, os, pkgutil, sys
folder = os.path.realpath(sys.argv[1])
n_modules = 0
for room in sys.argv[2:]:
    package = importlib.import_module(room)
    assert os.path.realpath(package.__file__).startswith(folder), package.__file__
    for module in pkgutil.walk_packages(package.__path__, f"{room}."):
        if module.name.endswith("__main__"):
            continue  # it runs the command
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:  # kernels for GPUs
            assert error.name == "triton", error
        n_modules += 1
print(n_modules)
"""


def tracked(*folders: str) -> set[str]:
    words = ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z", "--", *folders]
    try:
        said = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no git, which says what belongs to the project")
    return {name for name in said.split("\0") if name and (ROOT / name).exists()}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The wheel, as it is made from the sdist, and the sdist."""
    folder = tmp_path_factory.mktemp("dist")
    words = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder)]
    made = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert made.returncode == 0, made.stdout + made.stderr
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return wheel, sdist


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory):
    """A fresh environment with the wheel, and this one's libraries: not its editable install."""
    folder = tmp_path_factory.mktemp("environment") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    programs = Path(sysconfig.get_path("scripts"))
    words = [programs / "uv", "pip", "install", "--quiet", "--offline", "--no-deps", "--python"]
    subprocess.run([*words, folder / "bin/python", built[0]], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    # A path in a .pth file; what that folder has of .pth files is not read.
    (packages / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder


def run(installed, tmp_path, *words):
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    environment |= {"OMP_NUM_THREADS": "1", "RNN_HOME": str(tmp_path / "home"), "COLUMNS": "100"}
    done = subprocess.run(
        [installed / "bin" / words[0], *words[1:]],
        cwd=tmp_path, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_wheel_holds_the_packages_and_nothing_else(built):
    with zipfile.ZipFile(built[0]) as wheel:
        names = set(wheel.namelist())
        notes = {name for name in names if ".dist-info/" in name}
        metadata = wheel.read(next(name for name in notes if name.endswith("METADATA"))).decode()
    assert names - notes == tracked(*ROOMS)
    assert {f"{room}/py.typed" for room in ROOMS} <= names
    assert any(name.endswith("licenses/LICENSE") for name in notes)
    assert built[0].name.endswith("-py3-none-any.whl")  # no compiler
    for line in ("Requires-Python: <3.14,>=3.11", "License-Expression: MIT"):
        assert line in metadata.splitlines()


def test_the_sdist_holds_what_it_is_built_from(built):
    with tarfile.open(built[1]) as sdist:
        names = {member.name.partition("/")[2] for member in sdist if member.isfile()}
    own = {"pyproject.toml", ".gitignore"}
    wanted = PROJECT["tool"]["hatch"]["build"]["targets"]["sdist"]["only-include"]
    assert names - {"PKG-INFO"} == tracked(*wanted, *own)
    assert not [name for name in names if name.startswith("tests/")]
    assert "examples/cddm.yaml" in names


def test_every_module_of_the_installed_wheel_is_imported(installed, tmp_path):
    said = run(installed, tmp_path, "python", "-W", "ignore", "-c", IMPORT_ALL, installed, *ROOMS)
    modules = {name for name in tracked(*ROOMS) if name.endswith(".py")}
    rest = {name for name in modules if re.search(r"(^[^/]+/__init__|/__main__)\.py$", name)}
    assert int(said) == len(modules - rest)


def test_the_installed_command_finds_its_files(installed, tmp_path):
    assert PROJECT["project"]["version"] in run(installed, tmp_path, "rnn", "--version")
    studies = {path.parent.name for path in (ROOT / "studies").glob("*/study.yaml")}
    said = run(installed, tmp_path, "rnn", "reproduce", "--list")
    assert len(studies) > 3 and all(study in said for study in studies)


def test_classifiers_are_the_pythons_that_are_required():
    classifiers = PROJECT["project"]["classifiers"]
    named = {c.rpartition(" ")[2] for c in classifiers if re.search(r":: 3\.\d+$", c)}
    assert named == {"3.11", "3.12", "3.13"}
    assert PROJECT["project"]["requires-python"] == ">=3.11,<3.14"
