"""The pages of docs/howto that are read on MySQL, among them those about servers and clusters."""

from __future__ import annotations

from pathlib import Path

import pytest

import pipeline
from tests.test_docker import help_of

BACKENDS = ("mysql",)
ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs" / "howto"
HERE = ("task.md", "activity.md", "import.md")

# Stands for SLURM's commands: says how it was called.
STAND_IN = '#!/bin/sh\necho "$*" >> "$HOME/called"\n'


@pytest.mark.parametrize("page", HERE)
def test_the_commands_and_blocks_of_a_page_run(reader, page):
    reader.read(PAGES / page)
    pipeline.connect()
    if page == "import.md":
        assert "at step t + 1" in " ".join(reader.said)
        assert {*pipeline.NetworkParams.to_arrays("network_name")} == {"mine", "elman"}
    if page == "task.md":
        assert len(pipeline.Training.Network()) == 4


def test_the_page_of_the_lab_s_server_runs(reader):
    """With the address of a server that is there instead of the page's."""
    reader.in_processes = True
    reader.read(PAGES / "mysql.md")
    assert any("rnn_experimenter" in said or "_experimenter" in said for said in reader.said)
    assert reader.said[-1] == "0 tasks\n"


def test_the_commands_of_the_page_of_slurm_are_those_of_its_script(reader):
    """The array itself runs on a real SLURM in tests/test_slurm.py."""
    stand_in = reader.folder / "stand_in"
    stand_in.write_text(STAND_IN)
    stand_in.chmod(0o755)
    reader.programs = dict.fromkeys(("sbatch", "squeue", "scancel"), str(stand_in))
    reader.read(PAGES / "slurm.md")
    called = (reader.folder / "called").read_text().splitlines()
    script = "cluster/slurm/workers.sh"
    arrays = [line.split(script) for line in called if "--array" in line]
    assert len(arrays) == 3
    known, written = help_of("rnn", "worker"), (ROOT / script).read_text()
    for before, after in arrays:
        options = [word.partition("=")[0] for word in before.split()]
        assert {*options} <= {"--array", "--cpus-per-task", "--gpus-per-task"}
        assert all(word in known for word in after.split() if word.startswith("--"))
    (job,) = (line.partition("=")[2] for line in written.splitlines() if "--job-name=" in line)
    assert f"--name={job}" in called
    settings = reader.folder / ".config" / "rnn" / "settings"
    assert settings.stat().st_mode & 0o777 == 0o600
    pipeline.connect()
    assert len(pipeline.Cohort()) == 1
