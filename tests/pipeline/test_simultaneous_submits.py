"""What several processes enter at the same moment: each row is new to one of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import yaml

import pipeline
from tests import preloaded
from tests.kept_schemas import drop_schemas

N_PROCESSES = 8
# One process loads what the command needs, and becomes several; each then runs the command.
FORKS = """
import json, os, pathlib, runpy, sys
import pipeline.cli.commands, pipeline.submission, pipeline.tables.training, psycopg2, pymysql
import rnn_start
folder, files = pathlib.Path(sys.argv[1]), sys.argv[2:]
wait, go = os.pipe()
children = []
for number, file in enumerate(files):
    child = os.fork()
    if child == 0:
        os.close(go)
        for descriptor, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(folder / f"{number}.{name}", os.O_CREAT | os.O_WRONLY), descriptor)
        os.read(wait, 1)  # until all are there
        sys.argv = ["rnn", "submit", file]
        try:
            if file.endswith(".py"):
                runpy.run_path(file)
                os._exit(0)
            else:
                rnn_start.main()
        except SystemExit as end:
            os._exit(end.code or 0)
    children.append(child)
os.close(go)
print(json.dumps([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]))
"""
SECTIONS = ("tasks", "networks", "trainings", "cohorts")


@pytest.fixture
def submitted(server, arguments, store, tmp_path):
    """Submit files, each by a process, all at once; return status, sections and errors of each."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("DJ_", "RNN_"))}
    environment = {
        **clean, **server.environment, "RNN_STORE": str(store), "OMP_NUM_THREADS": "1",
        "RNN_PREFIX": arguments["prefix"],
    }  # fmt: skip

    def submit(*files):
        folder = Path(tempfile.mkdtemp(dir=tmp_path))
        done = preloaded.run(
            [sys.executable, "-c", FORKS, str(folder), *map(str, files)],
            stdout=subprocess.PIPE, text=True, env=environment, timeout=240, check=True,
        )  # fmt: skip
        results = []
        for number, status in enumerate(json.loads(done.stdout)):
            out, err = ((folder / f"{number}.{end}").read_text() for end in ("out", "err"))
            words = [line.split() for line in out.splitlines()]
            new = {line[0].rstrip(":"): int(line[1]) for line in words if line[-1:] == ["new"]}
            results.append((status, new, err))
        return results

    yield submit
    drop_schemas(server, arguments["prefix"])


def written(path, content):
    path.write_text(yaml.safe_dump(content))
    return path


def race(network="netr", first_seed=0, n_networks=1, **network_fields):
    task = {"n_steps": 24, "n_inputs": 1, "n_outputs": 1}
    params = {"n_bits": 1, "pulse": 3, "batch_size": 8}
    cohort = {"task": "ffr", "network": network, "training": "tr"}
    return {
        "tasks": {"ffr": {"class": "NBitFlipFlop", **task, "params": params}},
        "networks": {
            network: {"n_units": 9, "activation": "tanh", "gamma": 0.02, **network_fields}
        },
        "trainings": {"tr": {"max_iter": 6, "penalties": {"metabolic": {"weight": 0.1}}}},
        "cohorts": [{**cohort, "first_seed": first_seed, "n_networks": n_networks}],
    }


def test_one_enters_it_and_the_others_say_that_it_is_there(submitted, tmp_path, arguments):
    file = written(tmp_path / "race.yaml", race())
    # Onto a server without any schema: the tables are made meanwhile.
    results = submitted(*[file] * N_PROCESSES)
    assert [(status, err) for status, _, err in results] == [(0, "")] * N_PROCESSES
    assert sorted(new["cohorts"] for _, new, _ in results) == [0] * (N_PROCESSES - 1) + [1]
    for _, new, _ in results:
        assert new == dict.fromkeys(SECTIONS, new["cohorts"])  # all of it, or nothing

    # Onto one that has it: nothing is new. Beside it, files that share rows with it.
    others = [written(tmp_path / f"{n}.yaml", race("other", 10 * n, gamma=0.03)) for n in range(4)]
    results = submitted(*[file] * 2, *others)
    assert [(status, err) for status, _, err in results] == [(0, "")] * 6
    assert sum(new["networks"] for _, new, _ in results) == 1
    assert [new["cohorts"] for _, new, _ in results] == [0, 0, 1, 1, 1, 1]

    # Files that contradict each other: one is entered, and each other one says why not.
    contradicting = [
        written(tmp_path / f"c{n}.yaml", race("third", 3 * n, n_networks=4, gamma=0.04))
        for n in range(2)
    ]
    contradicting.append(written(tmp_path / "c2.yaml", race("third", gamma=0.05)))
    contradicting.append(written(tmp_path / "c3.yaml", race("fourth", gamma=0.04)))
    results = submitted(*contradicting)
    entered = [new for status, new, _ in results if not status]
    assert len(entered) in (1, 2)  # c2 and c3 do not contradict each other
    for status, new, err in results:
        if status:
            assert new == {}
            assert err.startswith("error: ")
            assert "Traceback" not in err
            assert len(err.splitlines()) <= 2
    pipeline.connect(**arguments)
    try:
        seeds = [
            (row["network_name"], row["first_seed"] + n)
            for row in pipeline.Cohort.to_dicts()
            for n in range(row["n_networks"])
        ]
        assert len(seeds) == len(set(seeds))
        assert len(pipeline.Task()) == len(pipeline.TrainingParams()) == 1
    finally:
        pipeline.disconnect()


# Each rests between looking for cohorts that share seeds and inserting, so that others may come.
INSERT = """
import time
import pipeline

pipeline.connect()
refuse = pipeline.Cohort._refuse_overlap
pipeline.Cohort._refuse_overlap = lambda self, row: (refuse(self, row), time.sleep(0.3))
row = {"task_name": "ffr", "network_name": "netr", "training_name": "tr", "n_networks": 4}
pipeline.Cohort.insert1({**row, "first_seed": NUMBER})
"""


def test_inserted_cohorts_share_no_seeds(submitted, tmp_path, arguments):
    """By DataJoint's own insert too, from programs of their own."""
    assert [status for status, _, _ in submitted(written(tmp_path / "all.yaml", race()))] == [0]
    programs = [tmp_path / f"{number}.py" for number in range(2, 2 + N_PROCESSES)]
    for number, program in enumerate(programs, start=2):
        program.write_text(INSERT.replace("NUMBER", str(number)))
    results = submitted(*programs)
    refused = [err for status, _, err in results if status]
    expected = "a cohort of these parameters has the seeds"
    assert [err for err in refused if expected not in err] == []
    pipeline.connect(**arguments)
    try:
        seeds = [
            row["first_seed"] + n
            for row in pipeline.Cohort.to_dicts()
            for n in range(row["n_networks"])
        ]
        assert len(seeds) == len(set(seeds)) == 1 + 4 * (N_PROCESSES - len(refused)) > 1
    finally:
        pipeline.disconnect()
