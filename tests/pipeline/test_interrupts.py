"""Ctrl-C: what is kept, and what to type, is said; and it is so."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest
from typer.testing import CliRunner

from pipeline.cli.commands import app
from tests import preloaded

BACKENDS = ("postgresql",)
RNN = [sys.executable, "-m", "rnn_start"]


@pytest.mark.parametrize(
    ("words", "where", "said"),
    [
        (["show"], "pipeline.cli.report.network_reports", "nothing was changed"),
        (["summary"], "pipeline.cli.cohort_report.cohort_reports", "nothing was changed"),
        (
            ["submit", "x.yaml"],
            "pipeline.submission.submit",
            "all of it is entered, or nothing",
        ),
        (["rename", "task", "a", "b"], "pipeline.upkeep.renaming.rename", "or nothing has"),
        (["gc", "--delete"], "pipeline.upkeep.gc.collect", "type it again to go on"),
        (["gc"], "pipeline.upkeep.gc.collect", "nothing was changed"),
        (["demo"], "pipeline.cli.demo.run_demo", "rnn demo goes on"),
        (["report", "--out", "x"], "pipeline.report.write.write_report", "finishes the report"),
        (["import", "x", "--task", "t"], "pipeline.exchange.import_network", "or nothing of it is"),
    ],
)
def test_what_is_kept_is_said(database, monkeypatch, tmp_path, words, where, said):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    # This one first: the package looks names up as they are asked for, and keeps what it finds.
    monkeypatch.setattr(database, where.rpartition(".")[2], interrupted, raising=False)
    monkeypatch.setattr(where, interrupted)
    monkeypatch.setattr(database, "connect", lambda **_: None)
    monkeypatch.setattr(database, "disconnect", lambda: None)
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 130, done.output
    line = done.stderr.splitlines()[-1]  # behind what is left of a bar
    assert line.startswith("interrupted: ") and said in line


@pytest.mark.slow
@pytest.mark.postgresql
def test_a_demonstration_that_is_interrupted_goes_on(home, tmp_path):
    """The training writes its state, and its job is free for the next `rnn demo`."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("DJ_", "RNN_"))}
    process = preloaded.Popen(
        [*RNN, "demo"], cwd=tmp_path, env={**clean, "RNN_HOME": str(home)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    killer = threading.Timer(200, process.kill)
    killer.start()
    read = ""
    while "cddm_demo/relu_dale_demo:" not in read or "loss" not in read:  # it is training
        letter = process.stderr.read(1)
        assert letter, read
        read += letter
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    killer.cancel()
    assert process.returncode == 130
    assert "the state of a training that was going on; rnn demo goes on" in err
    assert len([*(home / "store" / "checkpoints").rglob("*.npz")]) >= 1
    code = (
        "import pipeline; pipeline.connect(); from pipeline import Training;"
        "print(len(Training()), Training.jobs.to_arrays('status').tolist())"
    )
    done = preloaded.run(
        [sys.executable, "-c", code], env={**clean, "RNN_HOME": str(home)},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout.strip() == "0 ['pending']", done.stderr
