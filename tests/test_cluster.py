"""What can be checked of the files for clusters without a cluster."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time

import kubernetes_validate
import pytest
import yaml

from tests.test_docker import ROOT, help_of

CLUSTER = ROOT / "cluster"
WORKERS = CLUSTER / "slurm" / "workers.sh"
MANIFEST = CLUSTER / "kubernetes" / "workers.yaml"

# Says how it was called and by which signals it was reached, and ends with a status of one's own.
FAKE_RNN = """#!{python}
import os, signal, sys, time
def told(number, frame):
    print("told", signal.Signals(number).name, flush=True)
    time.sleep(0.5)  # writes a checkpoint
    sys.exit(0)
for number in (signal.SIGTERM, signal.SIGUSR1):
    signal.signal(number, told)
print("called", *sys.argv[1:], flush=True)
print("threads", os.environ.get("OMP_NUM_THREADS"), os.environ.get("DJ_PASS"), flush=True)
time.sleep(float(os.environ["FAKE_SECONDS"]))
sys.exit(int(os.environ["FAKE_STATUS"]))
"""


@pytest.fixture
def commands(tmp_path):
    """A folder of stand-ins for `rnn` and SLURM's commands, and an environment with them."""
    folder = tmp_path / "bin"
    folder.mkdir()
    texts = {
        "rnn": FAKE_RNN.format(python=sys.executable),
        "squeue": '#!/bin/sh\necho "$FAKE_STATE"\n',
        "scontrol": '#!/bin/sh\necho "scontrol $*"\n',
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    clean = {k: v for k, v in os.environ.items() if not re.match("(DJ|RNN|SLURM|OMP)_", k)}
    return clean | {
        "PATH": f"{folder}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "DJ_HOST": "server",
        "RNN_STORE": "s3://bucket",
        "SLURM_JOB_ID": "17",
        "FAKE_STATE": "RUNNING",
        "FAKE_SECONDS": "60",
        "FAKE_STATUS": "0",
    }


def run(command, environment, send=None, everyone=False):
    """Run a script; once its worker is up send it a signal; return its status and output."""
    process = subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    shown = []
    try:
        if send is not None:
            while "threads" not in "".join(shown[-1:]):
                line = process.stdout.readline()
                assert line, shown
                shown.append(line)
            time.sleep(0.3)
            (os.killpg if everyone else os.kill)(process.pid, send)
        shown.append(process.communicate(timeout=30)[0])
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return process.returncode, "".join(shown)


def test_scripts_are_bash():
    scripts = [WORKERS, *(ROOT / "scripts").glob("*.sh")]
    for script in scripts:
        checked = subprocess.run(["bash", "-n", str(script)], capture_output=True, text=True)
        assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("status", ["0", "1"])
def test_an_element_that_was_not_stopped_ends_as_its_worker(commands, status):
    commands |= {"FAKE_SECONDS": "0", "FAKE_STATUS": status, "SLURM_CPUS_PER_TASK": "3"}
    ended, text = run(["bash", str(WORKERS), "--device", "cpu"], commands)
    assert ended == int(status)
    assert "called worker --quiet --patient --threads 3 --device cpu" in text
    assert "scontrol" not in text


@pytest.mark.parametrize(
    ("number", "everyone"),
    [(signal.SIGUSR1, False), (signal.SIGTERM, True)],
    ids=["time limit", "announced preemption"],
)
def test_an_element_whose_time_ends_stops_its_worker_and_asks_for_a_new_start(
    commands, number, everyone
):
    ended, text = run(["bash", str(WORKERS)], commands, number, everyone)
    assert ended == 0
    assert text.count("told SIGTERM") == 1
    assert "worker ended with 0 after" in text  # which the worker had the time to reach
    assert "scontrol requeue 17" in text


@pytest.mark.parametrize("state", ["COMPLETING", "CANCELLED", ""])
def test_an_element_that_is_ended_leaves_the_rest_to_slurm(commands, state):
    commands["FAKE_STATE"] = state
    ended, text = run(["bash", str(WORKERS)], commands, signal.SIGTERM, everyone=True)
    assert ended == 0
    assert "told SIGTERM" in text
    assert "scontrol" not in text


def test_an_element_does_not_start_again_without_end(commands):
    commands |= {"SLURM_RESTART_COUNT": "4", "RNN_MAX_RESTARTS": "4"}
    _, text = run(["bash", str(WORKERS)], commands, signal.SIGUSR1)
    assert "RNN_MAX_RESTARTS = 4 is reached" in text
    assert "scontrol" not in text


def test_settings_are_read_from_a_file_that_others_cannot_read(commands, tmp_path):
    settings = tmp_path / "settings"
    settings.write_text("DJ_HOST=other\nDJ_PASS='pass word'\n")
    commands |= {"RNN_SETTINGS_FILE": str(settings), "FAKE_SECONDS": "0"}
    settings.chmod(0o640)
    ended, text = run(["bash", str(WORKERS)], commands)
    assert (ended, text.count("\n")) == (1, 1)
    assert f"chmod 600 {settings}" in text
    settings.chmod(0o600)
    ended, text = run(["bash", str(WORKERS)], commands)
    assert ended == 0
    assert "pass word" in text  # of the stand-in, which has it from the file


@pytest.mark.parametrize("name", ["DJ_HOST", "RNN_STORE"])
def test_settings_that_are_missing_are_named(commands, name):
    del commands[name]
    ended, text = run(["bash", str(WORKERS)], commands)
    assert ended == 1
    assert text.startswith("error: ")
    assert name in text
    assert "called" not in text


def test_directives_of_the_array():
    directives = dict(
        re.match(r"#SBATCH --([a-z-]+)(?:=(.*))?", line).groups()
        for line in WORKERS.read_text().splitlines()
        if line.startswith("#SBATCH")
    )
    assert directives["requeue"] is None
    assert directives["open-mode"] == "append"  # a new start does not erase what was said
    assert directives["signal"] == "B:USR1@60"
    assert "array" not in directives  # the user says how many


# Kubernetes ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def manifest():
    documents = list(yaml.safe_load_all(MANIFEST.read_text()))
    return {document["kind"]: document for document in documents}


@pytest.fixture(scope="module")
def worker(manifest):
    (container,) = manifest["Job"]["spec"]["template"]["spec"]["containers"]
    return container


@pytest.mark.parametrize("version", ["1.31", "latest"])
def test_manifest_is_what_kubernetes_publishes(manifest, version):
    if version == "latest":
        version = ".".join(kubernetes_validate.latest_version().split(".")[:2])
    assert set(manifest) == {"ConfigMap", "Job"}
    for document in manifest.values():
        kubernetes_validate.validate(document, version, strict=True)
    misspelt = yaml.safe_load(yaml.safe_dump(manifest["Job"]).replace("parallelism", "paralelism"))
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(misspelt, version, strict=True)


def test_manifest_passes_the_linter():
    rules = "{extends: default, rules: {line-length: {max: 110}}}"
    command = [sys.executable, "-m", "yamllint", "-d", rules, str(MANIFEST)]
    checked = subprocess.run(command, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


def test_stopped_pods_are_replaced_without_being_counted(manifest, worker):
    spec = manifest["Job"]["spec"]
    assert spec["completionMode"] == "Indexed"
    assert spec["parallelism"] == spec["completions"]
    # What Kubernetes asks for where there is a policy of failures.
    assert spec["template"]["spec"]["restartPolicy"] == "Never"
    assert spec["template"]["spec"]["terminationGracePeriodSeconds"] >= 15
    rules = spec["podFailurePolicy"]["rules"]
    assert {rule["action"] for rule in rules} == {"Ignore"}
    assert rules[0]["onExitCodes"] == {
        "containerName": worker["name"], "operator": "In", "values": [143],
    }  # fmt: skip
    assert rules[1]["onPodConditions"] == [{"type": "DisruptionTarget", "status": "True"}]


def test_credentials_are_in_a_secret_only(manifest, worker):
    secret = {s["secretRef"]["name"] for s in worker["envFrom"] if "secretRef" in s}
    assert secret == {"rnn-credentials"}
    settings = {s["configMapRef"]["name"] for s in worker["envFrom"] if "configMapRef" in s}
    assert settings == {manifest["ConfigMap"]["metadata"]["name"]}
    assert not [name for name in manifest["ConfigMap"]["data"] if re.search("USER|PASS|KEY", name)]
    assert "env" not in worker


def test_a_pod_that_was_stopped_ends_with_143_and_others_as_their_worker(commands, worker):
    command = worker["command"] + worker["args"]
    ended, text = run(command, commands, signal.SIGTERM)
    assert ended == 143
    assert text.count("told SIGTERM") == 1
    assert f"called worker --quiet --patient {worker['args'][0]}" in text
    # 3: jobs failed, which no other pod would do better.
    for status, expected in ((0, 0), (1, 1), (2, 2), (3, 0)):
        commands |= {"FAKE_SECONDS": "0", "FAKE_STATUS": str(status)}
        assert run(command, commands)[0] == expected


# Both ------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_options_of_the_worker_exist(worker):
    shown = help_of("rnn", "worker")
    used = {
        "--quiet",
        "--patient",
        "--threads",
        "--device",
        *(a.split("=")[0] for a in worker["args"]),
    }
    assert [option for option in sorted(used) if option not in shown] == []


def test_the_template_of_settings_holds_no_credentials():
    lines = (CLUSTER / "slurm" / "settings.example").read_text().splitlines()
    values = dict(line.split("=", 1) for line in lines if not line.startswith("#"))
    assert {"DJ_HOST", "DJ_PASS", "RNN_STORE", "AWS_SECRET_ACCESS_KEY"} <= set(values)
    assert not [name for name in values if re.search("USER|PASS|KEY", name) and values[name]]
