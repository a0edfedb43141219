"""What can be checked of the docker files without an engine."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from pipeline.submission import read_submission
from pipeline.tables.provenance import COMMIT

ROOT = Path(__file__).resolve().parent.parent
COMPOSE = (ROOT / "docker" / "compose.yaml").read_text()
DOCKERFILE = (ROOT / "docker" / "Dockerfile").read_text()


@pytest.fixture(scope="module")
def services():
    return yaml.safe_load(COMPOSE)["services"]


def help_of(*words: str) -> str:
    """What a command of this environment says of itself, however narrow the terminal."""
    executable = Path(sys.executable).parent / words[0]
    command = [sys.executable, "-m", "pipeline.cli"] if words[0] == "rnn" else [str(executable)]
    shown = subprocess.run(
        [*command, *words[1:], "--help"],
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
        cwd=ROOT,
    )
    assert shown.returncode == 0, shown.stderr
    return shown.stdout


def instructions():
    text = re.sub(r"\\\n", " ", DOCKERFILE)
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [tuple(line.split(None, 1)) for line in lines]


def test_compose_passes_the_linter():
    rules = "{extends: default, rules: {line-length: {max: 110}, document-start: disable}}"
    command = [sys.executable, "-m", "yamllint", "-d", rules, str(ROOT / "docker" / "compose.yaml")]
    checked = subprocess.run(command, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


def test_every_path_that_the_image_copies_exists():
    copied = [words for name, rest in instructions() if name == "COPY"
              for words in [shlex.split(rest)]]  # fmt: skip
    assert copied
    for *sources, _ in copied:
        for source in sources:
            assert (ROOT / source).exists(), source


def test_every_package_is_in_the_image():
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"][
        "targets"
    ]["wheel"]["packages"]
    for package in packages:
        assert f"COPY {package} ./{package}" in DOCKERFILE


def test_image_does_not_run_as_root_and_starts_the_command_line():
    names = [name for name, _ in instructions()]
    assert "USER" in names
    assert ("USER", "rnn") in instructions()
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    (entry,) = [yaml.safe_load(rest) for name, rest in instructions() if name == "ENTRYPOINT"]
    assert entry[0] in scripts


@pytest.mark.slow
@pytest.mark.parametrize("service", ["worker", "jupyter"])
def test_commands_of_services_exist(services, service):
    described = services[service]
    entry = described.get("entrypoint", ["rnn"])
    shown = help_of(entry[0], described["command"][0])
    for option in [w.split("=")[0] for w in described["command"][1:]]:
        assert option in shown or service == "jupyter"


def test_workers_wait_for_work_and_have_the_time_to_stop(services):
    worker = services["worker"]
    assert worker["command"][:2] == ["worker", "--forever"]
    assert worker["restart"] == "unless-stopped"
    # The first process of a container must hand the signal on; the worker needs ten seconds.
    assert worker["init"] is True
    assert int(worker["stop_grace_period"].removesuffix("s")) > 10
    (limit,) = services["mysql"]["command"]
    assert int(limit.removeprefix("--max-connections=")) >= 2000


def test_services_are_healthy_before_others_start(services):
    assert services["mysql"]["image"] == "mysql:8.4"
    for service in services.values():
        assert service["healthcheck"]["test"]
    for name in ("worker", "jupyter"):
        assert services[name]["depends_on"]["mysql"]["condition"] == "service_healthy"
    # More than one worker can run: nothing about it is unique to one container.
    assert not {"container_name", "ports"} & set(services["worker"])


def test_no_password_is_in_the_files_and_all_variables_are_in_the_template():
    variables = set(re.findall(r"(?<!\$)\$\{([A-Z_]+)", COMPOSE))
    template = dict(
        line.split("=", 1)
        for line in (ROOT / "docker" / "env.example").read_text().splitlines()
        if line and not line.startswith("#")
    )
    assert variables == set(template)
    assert not any(template[name] for name in template if re.search("PASSWORD|TOKEN", name))
    for line in COMPOSE.splitlines():
        if re.search(r"(PASSWORD|PASS|TOKEN):", line):
            assert "${" in line
    assert {"docker/.env", "docker/s3.env"} <= set((ROOT / ".gitignore").read_text().split())


def test_a_bucket_is_an_option_whose_keys_are_in_no_file_of_git(services):
    for name in ("worker", "jupyter"):
        assert services[name]["env_file"] == [{"path": "s3.env", "required": False}]
        # What is said here would hide what the file says.
        assert "RNN_STORE" not in services[name]["environment"]
    assert ("ENV", "RNN_STORE=/store") in instructions()
    lines = (ROOT / "docker" / "s3.env.example").read_text().splitlines()
    values = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert values["RNN_STORE"].startswith("s3://")
    assert not values["AWS_ACCESS_KEY_ID"] + values["AWS_SECRET_ACCESS_KEY"]
    assert re.search(r"pip install .*s3", DOCKERFILE)


def test_the_image_knows_its_commit(services):
    for name in ("worker", "jupyter"):
        assert services[name]["build"]["args"][COMMIT] == "${RNN_COMMIT:-}"
    # After all that takes long: a new commit is no reason to install torch again.
    assert instructions()[-4:-2] == [("ARG", f"{COMMIT}="), ("ENV", f"{COMMIT}=${COMMIT}")]
    (command,) = re.findall(r"RNN_COMMIT=\$\((git .*)\)", (ROOT / "docker/README.md").read_text())
    assert command in DOCKERFILE
    named = subprocess.run(command, shell=True, capture_output=True, text=True, cwd=ROOT)
    assert re.fullmatch(r"[0-9a-f]{12,}(-dirty)?\n", named.stdout), named.stderr


def test_volumes_that_services_use_are_named():
    whole = yaml.safe_load(COMPOSE)
    used = {v.split(":")[0] for s in whole["services"].values() for v in s["volumes"]}
    named = {v for v in used if not v.startswith(".")}
    assert named == set(whole["volumes"]) == {"database", "store"}
    assert all((ROOT / "docker" / v).exists() for v in used - named)


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda p: p.stem)
def test_examples_are_submissions(path):
    assert read_submission(path)["cohorts"]
