"""What commands say of names that nothing has, of huge texts, and of old configuration files."""

from __future__ import annotations

import io
import json
import time

import pytest

from pipeline.cli.base import SafeConsole, cut
from pipeline.database.configuration import DatabaseError, refuse_old_configuration
from tasks_lib.errors import kind_and_text, text_of


@pytest.mark.parametrize("text", ["x" * 300_000, "1" * 300_000, "a.b-" * 80_000, "/é" * 150_000])
def test_a_text_of_any_length_is_printed_at_once(text):
    """rich's highlighting took hours for some of them, in which the worker did not end."""
    console = SafeConsole(file=io.StringIO(), width=80)
    began = time.process_time()
    console.print(f"error: {text}", style="red", soft_wrap=True)
    assert time.process_time() - began < 5
    assert len(cut(text)) < 1100
    assert cut(text).endswith("000 characters)")
    assert cut("short") == "short"


def odd(returned):
    class Odd(Exception):
        def __str__(self):
            if isinstance(returned, BaseException):
                raise returned
            return returned

    return Odd()


@pytest.mark.parametrize("returned", [3, None, b"x", ValueError("no text"), RecursionError()])
def test_an_exception_whose_text_cannot_be_had_is_named_by_its_kind(returned):
    assert kind_and_text(odd(returned)) == "Odd: its text cannot be had"
    assert text_of(odd(returned)).startswith("Odd")


@pytest.mark.parametrize("where", ["dj_local_conf.json", ".datajoint_config.json"])
def test_configuration_files_of_the_old_datajoint_are_named(tmp_path, monkeypatch, where):
    here, home = tmp_path / "here", tmp_path / "home"
    for folder in (here, home):
        folder.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("HOME", str(home))
    refuse_old_configuration()
    path = (here if where.startswith("dj") else home) / where
    for harmless in ("{}", "no json", "[]", json.dumps({"database.host": None})):
        path.write_text(harmless)
        refuse_old_configuration()
    path.write_text(json.dumps({"database.host": "db.lab.org\n\x1b[31m"}))
    with pytest.raises(DatabaseError) as caught:
        refuse_old_configuration()
    message = str(caught.value)
    assert message.isprintable()
    assert str(path) in message
    assert "set DJ_HOST=db.lab.org" in message
