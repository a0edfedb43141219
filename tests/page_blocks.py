"""Pages as programs: their blocks are run one after the other, in one folder, as a reader would."""

from __future__ import annotations

import glob
import os
import re
import shlex
import sys
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests import preloaded

FENCE = re.compile(r"^(`{3,})(\w*)\s*$")
# The first line of a block that is a file says its name.
NAMED = re.compile(r"# ([\w.-]+\.(?:py|yaml))$")


@dataclass(frozen=True)
class Block:
    """A block of code of a page.

    Attributes
    ----------
    kind : str
        "python", "yaml", "shell", or what stands behind the fence.
    text : str
    line : int
        Of its first line, in the page.
    """

    kind: str
    text: str
    line: int


def blocks_of(text: str) -> Iterator[Block]:
    """Yield the blocks of a page: fenced ones, and indented ones, which are commands."""
    lines = text.split("\n")
    number = 0
    while number < len(lines):
        fence = FENCE.match(lines[number])
        start = number + 1
        if fence:
            end = next(n for n in range(start, len(lines)) if lines[n].rstrip() == fence[1])
            kind = {"bash": "shell", "sh": "shell"}.get(fence[2], fence[2])
            yield Block(kind, "\n".join(lines[start:end]), start + 1)
            number = end + 1
        elif lines[number].startswith("    ") and not lines[number - 1].strip():
            end = number
            while end < len(lines) and (lines[end].startswith("    ") or not lines[end].strip()):
                end += 1
            yield Block("shell", textwrap.dedent("\n".join(lines[number:end])).strip(), start)
            number = end
        else:
            number += 1


@dataclass
class Reader:
    """Runs the blocks of a page.

    Parameters
    ----------
    folder : Path
        Where commands are typed and files are saved.
    patch : MonkeyPatch
    kept : collection of str
        Variables of the environment that stay as they are, whatever the page exports.
    programs : mapping
        Name of a command -> a program to be called instead.
    in_processes : bool
        Whether commands and blocks of Python are processes of their own, which are slow to start,
        and read the environment.
    """

    folder: Path
    patch: pytest.MonkeyPatch
    kept: Iterable[str] = ()
    programs: dict[str, str] = field(default_factory=dict)
    in_processes: bool = False
    said: list[str] = field(default_factory=list)
    namespace: dict[str, Any] = field(default_factory=lambda: {"__name__": "__main__"})
    n_done: int = 0

    def read(self, page: Path) -> None:
        """Run every block; a block that cannot be run fails the test, with its place."""
        self.patch.chdir(self.folder)
        for block in blocks_of(page.read_text(encoding="utf-8")):
            where = f"{page.name}:{block.line}"
            named = NAMED.match(block.text.partition("\n")[0])
            if named and block.kind in ("python", "yaml"):
                Path(named[1]).write_text(block.text + "\n", encoding="utf-8")
            elif block.kind == "python" and self.in_processes:
                self.run([sys.executable, "-c", block.text], where)
            elif block.kind == "python":
                exec(compile(block.text, where, "exec"), self.namespace)
            elif block.kind == "shell":
                for command in block.text.replace("\\\n", " ").splitlines():
                    self.type(command, where)
            elif block.kind not in ("mermaid", "text"):
                pytest.fail(f"{where}: {block.kind or 'no kind'}: cannot be run")
            self.n_done += 1

    def type(self, command: str, where: str) -> None:
        """Do what a line typed in a shell does."""
        words = shlex.split(command, comments=True)
        if not words:
            return
        if words[0] == "export":
            for name, _, value in (word.partition("=") for word in words[1:]):
                if name not in self.kept:
                    self.patch.setenv(name, os.path.expandvars(value))
            return
        words = [each for word in words for each in (sorted(glob.glob(word)) or [word])]
        if words[0] == "rnn":
            self.rnn(words[1:], f"{where}: {command}")
            return
        words[0] = self.programs.get(words[0], words[0])
        self.run([os.path.expanduser(word) for word in words], f"{where}: {command}")

    def run(self, words: list[str], where: str) -> None:
        """Run a process."""
        done = preloaded.run(words, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, f"{where}\n{done.stderr}"
        self.said.append(done.stdout)

    def rnn(self, words: list[str], where: str) -> None:
        """Run a command of ours."""
        if self.in_processes:
            self.run([sys.executable, "-m", "rnn_start", *words], where)
            return
        from pipeline.cli.commands import app

        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, f"{where}\n{result.output}\n{result.exception!r}"
        self.said.append(result.output)
