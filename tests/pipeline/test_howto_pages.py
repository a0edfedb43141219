"""The pages of docs/howto: every command and every block of code is run, in order.

These are read on PostgreSQL, those of `test_howto_mysql` on MySQL, and that of searches in
`test_search`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import pipeline
from tests.page_blocks import Reader, blocks_of

BACKENDS = ("postgresql",)
PAGES = Path(__file__).parents[2] / "docs" / "howto"
HERE = ("sweep.md", "analyse.md", "change.md", "share.md", "words.md")


def test_every_page_is_read():
    from tests.pipeline.test_howto_mysql import HERE as THERE

    names = sorted(path.name for path in PAGES.glob("*.md"))
    assert sorted([*HERE, *THERE, "mysql.md", "search.md", "slurm.md"]) == names


@pytest.mark.parametrize("page", HERE)
def test_the_commands_and_blocks_of_a_page_run(reader, page):
    reader.read(PAGES / page)
    pipeline.connect()
    if page == "change.md":
        assert {*pipeline.Task.to_arrays("task_name")} == {"exclusive_or"}
        assert pipeline.NetworkParams & {"network_name": "slow", "tau": 50.0}
    if page == "share.md":
        assert sum("whole" in said for said in reader.said) == 2
        assert any("1 task and 2 networks new" in said for said in reader.said)
        assert {*pipeline.Training.Network.to_arrays("status")} == {"imported"}
        assert len(pipeline.Training.Network()) == 2
    if page == "sweep.md":
        assert len(pipeline.Cohort()) == 2 * 3 + 2 * 2


def test_blocks_of_a_page():
    page = ["# A", "", "    rnn status", "    rnn show", "", "text", "", "```python", "# a.py"]
    page += ["x = 1", "```", "", "- item", "    no code", ""]
    found = [(b.kind, b.text, b.line) for b in blocks_of("\n".join(page))]
    assert found == [("shell", "rnn status\nrnn show", 3), ("python", "# a.py\nx = 1", 9)]


@pytest.mark.parametrize(
    "text",
    [
        "    rnn no-such-command\n",
        "    false\n",
        "```python\n1 / 0\n```\n",
        "```fortran\nx\n```\n",
    ],
)
def test_a_block_that_fails_fails(tmp_path, monkeypatch, text):
    page = tmp_path / "page.md"
    page.write_text("\n" + text)
    with pytest.raises((AssertionError, ZeroDivisionError, pytest.fail.Exception)):
        Reader(tmp_path, monkeypatch).read(page)
