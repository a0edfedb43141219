"""Which tests run on which back end, and what CI says where one of them is left out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.filled_tables import filled_by

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

import count_tests  # noqa: E402

TESTS = """
import pytest

@pytest.mark.either_backend
@pytest.mark.parametrize("case", range(40))
def test_of_either(backend, case):
    assert backend

@pytest.mark.both_backends
@pytest.mark.either_backend
def test_of_both(backend):
    assert backend

def test_without_a_mark(backend):
    assert backend
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run those tests under the conftest of all."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv("RNN_TEST_BOTH_BACKENDS", raising=False)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "conftest.py").write_text("from tests.conftest import *\n")
    (tmp_path / "test_here.py").write_text(TESTS)

    def run(*options):
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-v", "-W", "ignore", *options],
            cwd=tmp_path, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout
        return [line.split()[0] for line in done.stdout.splitlines() if " PASSED" in line]

    return run


def test_each_case_runs_on_one_back_end_and_each_back_end_gets_its_share(run):
    names = run()
    either = [name for name in names if "of_either" in name]
    cases = {name.replace("mysql", "").replace("postgresql", "") for name in either}
    assert len(cases) == len(either) == 40
    assert 10 < sum("mysql" in name for name in either) < 30
    assert sum("of_both" in name for name in names) == 2
    assert sum("without_a_mark" in name for name in names) == 2
    assert run() == names


def test_all_run_on_both_where_somebody_asks_for_it(run, monkeypatch):
    assert len(run("test_here.py::test_of_either")) == 80  # who names a test wants it
    monkeypatch.setenv("RNN_TEST_BOTH_BACKENDS", "1")
    assert len(run()) == 84


@pytest.mark.parametrize(
    ("statement", "table"),
    [
        ("INSERT INTO `t12_training`.`__training` (`a`) VALUES (%s)", "training.__training"),
        ('INSERT INTO "o7_3_task"."task__input" VALUES (1)', "task.task__input"),
        ("REPLACE INTO `t12_work`.`worker` VALUES (1)", "work.worker"),
        ("SELECT 1 FROM `t12_training`.`__training`", None),
        ("INSERT INTO `t12_training`.`~~training` VALUES (1)", None),
    ],
)
def test_what_a_statement_fills(statement, table):
    assert filled_by(statement) == table


@pytest.mark.parametrize(
    ("mysql", "status"),
    [(["task.task", "work.worker"], 0), (["task.task"], 1), ([], 1)],
)
def test_a_table_that_is_filled_on_one_back_end_only_is_an_error(tmp_path, capsys, mysql, status):
    cases = "".join(f'<testcase name="test[{b}]"/>' for b in count_tests.BACKENDS)
    report = tmp_path / "tests.xml"
    report.write_text(f'<testsuite>{cases}<testcase name="test"/></testsuite>')
    (tmp_path / "1.json").write_text(json.dumps({"mysql": mysql, "postgresql": ["task.task"]}))
    (tmp_path / "2.json").write_text(json.dumps({"postgresql": ["work.worker"]}))
    assert count_tests.main(str(report), str(tmp_path)) == status
    printed = capsys.readouterr().out
    assert ("error: no test inserts rows into" in printed) == bool(status)
    assert ("work.worker on mysql" in printed) == bool(status)


@pytest.mark.parametrize("left", count_tests.BACKENDS)
def test_without_tests_of_one_back_end_ci_fails(tmp_path, capsys, left):
    report = tmp_path / "tests.xml"
    report.write_text(f'<s><testcase name="test[{left}]"/><testcase name="test"/></s>')
    assert count_tests.main(str(report)) == 1
    assert "error: no tests ran on" in capsys.readouterr().out
