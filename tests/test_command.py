"""The command `rnn` where people press Ctrl-C, and where what it prints cannot be printed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

RNN = [sys.executable, "-m", "rnn_start"]
CHECK = [*RNN, "check-task", "CDDM"]  # prints the sign of a union


def run(command, **options):
    return subprocess.run(
        command, stderr=subprocess.PIPE, text=True, timeout=120, errors="replace", **options
    )


def one_line(result, *words):
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1, result.stderr
    for word in words:
        assert word in result.stderr


@pytest.mark.parametrize("imported", ["pipeline", "datajoint"])
def test_ctrl_c_while_it_starts(tmp_path, imported):
    # Where a large import would be, of the command line or of a command, it says so and waits.
    package = tmp_path / imported
    package.mkdir()
    (package / "__init__.py").write_text("import time\nprint('here', flush=True)\ntime.sleep(60)\n")
    path = os.pathsep.join(filter(None, (str(tmp_path), os.getcwd(), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "PYTHONPATH": path}
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "rnn_start", "status"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip
    assert process.stdout.readline() == "here\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, "", "")


def test_it_imports_nothing_large_first():
    code = "import sys, rnn_start; print(sorted({'torch', 'numpy', 'typer'} & {*sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_characters_that_the_terminal_lacks_are_replaced(encoding):
    done = run(CHECK, stdout=subprocess.PIPE, env={**os.environ, "PYTHONIOENCODING": encoding})
    assert (done.returncode, done.stderr) == (0, "")
    assert "[0, 100) ? [200, 300)" in done.stdout


@pytest.mark.slow
def test_output_that_goes_nowhere():
    closed = run(["/bin/sh", "-c", 'exec "$@" >&-', "sh", *CHECK])
    assert (closed.returncode, closed.stderr) == (0, "")
    reading, writing = os.pipe()
    os.close(reading)
    piped = run(CHECK, stdout=writing)
    os.close(writing)
    assert piped.stderr == ""
    assert piped.returncode == 1


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is full")
def test_a_full_disk_under_the_output():
    with open("/dev/full", "w") as full:
        one_line(run(CHECK, stdout=full), "standard output: No space left on device")


@pytest.mark.slow
def test_variables_that_cannot_be_read_at_all():
    done = run([*RNN, "status"], env={**os.environ, "DJ_PORT": "abc"})
    one_line(done, "DJ_PORT", "abc")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"RNN_HOME": "~nobody-of-this-name/rnn"}, "RNN_HOME"),
        ({"RNN_STORE": "{loop}", "DJ_HOST": "localhost"}, "store"),
        ({"RNN_STORE": "/dev/null", "DJ_HOST": "localhost"}, "store"),
        ({"RNN_PREFIX": "\x1b[31m", "DJ_HOST": "localhost"}, "\\x1b[31m"),
    ],
)
def test_variables_that_name_nothing(tmp_path, variables, named):
    (tmp_path / "loop").symlink_to("loop")
    given = {name: value.format(loop=tmp_path / "loop") for name, value in variables.items()}
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("DJ_", "RNN_"))}
    one_line(run([*RNN, "status"], env={**clean, **given}), named)


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "-1", "1e300"])
@pytest.mark.parametrize(
    "option",
    ["worker --heartbeat", "worker --checkpoint-seconds", "status --every", "gc --older-than",
     "summary --accuracy", "worker --threads", "worker --processes"],
)  # fmt: skip
def test_numbers_of_options_have_bounds(option, number):
    """Refused where the command line is read, before anything is connected to."""
    from typer.testing import CliRunner

    from pipeline.cli.commands import app

    done = CliRunner().invoke(app, [*option.split(), number])
    assert done.exit_code == 2, done.output
    assert option.split()[1] in done.output


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "1.5"])
def test_no_network_is_asked_for_an_r2_that_is_no_number_or_above_one(number):
    from typer.testing import CliRunner

    from pipeline.cli.commands import app

    assert CliRunner().invoke(app, ["summary", "--r2", number]).exit_code == 2


def test_a_console_tells_the_terminal_nothing_that_names_say(capsys):
    from rich.table import Table

    from pipeline.cli.base import SafeConsole, message, refusal

    console = SafeConsole(width=80, force_terminal=True, color_system=None)
    table = Table()
    table.add_column("name \x1b[31m")
    table.add_row("a\x1b]0;title\x07[/b] :smile:")
    console.print(table)
    console.print("two  words\tand\u202e\nlines [bold]", highlight=False)
    printed = capsys.readouterr().out
    assert "\x1b[31m" not in printed
    assert "\x1b]0" not in printed
    assert "a\\x1b]0;title\\x07[/b] :smile:" in printed
    assert "\\u202e\nlines [bold]" in printed
    assert message(OSError(28, "No space left on device", "/x/y")) == (
        "'/x/y': No space left on device"
    )
    refusal(ValueError("a\x1b[31m\nb"))
    assert capsys.readouterr().err == "error: a\\x1b[31m b\n"
