"""What the command line prints: tables that fit, exact plurals, help, progress bars."""

from __future__ import annotations

import logging
import re
import sys
from io import StringIO
from pathlib import Path

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from typer.testing import CliRunner

from pipeline.cli import base
from pipeline.cli.commands import app
from pipeline.cli.order import COMMANDS, arrange
from pipeline.cli.text_table import Column, cut_to, number, table_lines
from tasks_lib.sizes import counted

ROOT = Path(__file__).resolve().parent.parent
text = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), max_size=30)


@given(st.lists(st.tuples(text, text), min_size=1, max_size=5), st.integers(1, 60))
def test_lines_fit_a_width(rows, width):
    columns = [
        Column("name", [row[0] for row in rows], is_left=True),
        Column("words", [(row[1], row[1][:3]) for row in rows]),
    ]
    lines = table_lines(columns, width=width)
    assert len(lines) == 1 + len(rows)
    assert all(cell_len(line) <= width for line in lines)
    whole = table_lines(columns)
    assert all(row[1] in line for row, line in zip(rows, whole[1:], strict=True))


def test_tables_take_shorter_words_before_they_are_cut():
    columns = [Column("a", ["1", "22"]), Column("b", [("a long text", "short"), "x"], is_left=True)]
    assert table_lines(columns) == [" a  b", " 1  a long text", "22  x"]
    assert table_lines(columns, width=10) == [" a  b", " 1  short", "22  x"]
    assert table_lines(columns, width=6)[1] == " 1..."
    assert table_lines(columns, ["one", "two"]) == [
        " a  b",
        "one",
        " 1  a long text",
        "two",
        "22  x",
    ]
    assert table_lines(columns, ["one", "one"]).count("one") == 1
    assert table_lines([]) == []
    assert [cut_to("four", n) for n in (4, 3, 1)] == ["four", "...", "."]
    assert (number(None), number(0.25, 1), number(-1)) == ("-", "0.2", "-1.000")


def test_plural_forms():
    assert [counted(n, "job") for n in (0, 1, 2)] == ["0 jobs", "1 job", "2 jobs"]
    assert counted(2, "entry", "entries") == "2 entries"


def test_no_message_counts_one_rows():
    """Numbers and nouns are joined by `counted`, wherever something is printed."""
    nouns = "rows|files|jobs|networks|figures|cohorts|workers|folders|points|trials"
    loose = re.compile(rf"\{{[^{{}}]*\b(?:len|number|n_\w+|made|sum)\b[^{{}}]*\}} (?:{nouns})\b")
    for path in (ROOT / "pipeline" / "cli").rglob("*.py"):
        assert loose.findall(path.read_text(encoding="utf-8")) == [], path


def run(*words, columns="80"):
    done = CliRunner().invoke(app, [*words], env={"COLUMNS": columns, "TERM": "dumb"})
    assert done.exit_code == 0, done.output
    return done.output


def test_the_version():
    from pipeline.tables.provenance import code_version

    assert run("--version").startswith(f"rnn-pipeline {code_version()[0]}")


def test_what_is_typed_every_day_comes_first():
    output = run("--help")
    places = [
        output.index(f"\n│ {name} ") if f"\n│ {name} " in output else output.index(f" {name} ")
        for names in COMMANDS.values()
        for name in names
    ]
    assert places == sorted(places)
    assert [heading for heading in COMMANDS if f" {heading} " in output] == [*COMMANDS]
    other = typer.Typer()
    other.command("unknown")(lambda: None)
    with pytest.raises(KeyError, match="unknown"):
        arrange(other)


def test_values_are_named():
    """NAME, FILE or SECONDS, and not by the type that Python has for them."""
    commands = typer.main.get_command(app).commands
    assert {*commands} == {name for names in COMMANDS.values() for name in names}
    for command in commands.values():
        for param in command.params:
            if not getattr(param, "is_flag", False):
                assert param.metavar, f"{command.name} {param.name}"


class Terminal(StringIO):
    def isatty(self):
        return True


def test_lines_and_bars_do_not_run_into_each_other(monkeypatch):
    """The bar is wiped out before a line, and drawn again below."""
    from tqdm import tqdm

    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    console = base.SafeConsole(file=screen, force_terminal=False)
    monkeypatch.setattr(base, "errors", console)
    handler = base.LogHandler(logging.WARNING)
    logger = logging.getLogger("tests.terminal")
    logger.addHandler(handler)
    logger.propagate = False
    with tqdm(total=2, desc="bar", file=screen, ncols=40) as bar:
        bar.update()
        bar.refresh()
        console.print("a line")
        logger.warning("a warning")
    logger.removeHandler(handler)
    lines = [visible(line) for line in screen.getvalue().split("\n")]
    assert "a line" in lines and "a warning" in lines


def visible(line):
    """What a terminal shows in the end of a line that carriage returns write over."""
    shown: list[str] = []
    for part in line.split("\r"):
        shown[: len(part)] = part
    return "".join(shown).rstrip()
