"""The README, followed in order, works; its figures are what its commands make."""

from __future__ import annotations

import itertools
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from . import preloaded
from .pictures import difference

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))
BACKENDS = ("postgresql",)
RNN = [sys.executable, "-m", "rnn_start"]
# What cannot be followed here.
NOT_RUN = {
    "make test",  # runs this very test
    ".venv/bin/rnn worker --processes 8 --forever",  # does not end
    ".venv/bin/rnn status --watch",  # does not end
    # No such server.
    "export DJ_HOST=db.mylab.org DJ_USER=me DJ_PASS=... RNN_STORE=/shared/rnn_store",
}
FENCED = r"^```(\w+)\n(.*?)^```$"
INDENTED = r"^(    [^ \n][^\n]*\n(?:    [^\n]*\n)*)"
BLOCK = re.compile(f"{FENCED}|{INDENTED}", re.DOTALL | re.MULTILINE)


def steps(text):
    """Yield what a reader follows, in order: ("command", line) and (language, block)."""
    for language, fenced, indented in BLOCK.findall(text):
        if language:
            yield language, fenced
        for line in filter(None, map(str.strip, indented.splitlines())):
            yield "command", re.split(r"  +#", line)[0].strip()


STEPS = list(steps((ROOT / "README.md").read_text(encoding="utf-8")))


def test_every_step_is_known():
    """A kind of step that nothing follows would be a step that nothing tests."""
    assert {kind for kind, _ in STEPS} == {"command", "mermaid", "python", "text", "yaml"}
    commands = [step for kind, step in STEPS if kind == "command"]
    assert {*commands} > NOT_RUN
    followed = [step for step in commands if step not in NOT_RUN]
    assert followed[0] == "make demo" and len(followed) >= 9
    assert all(step.startswith((".venv/bin/rnn ", "make demo")) for step in followed)
    assert sum(kind == "python" for kind, _ in STEPS) == 5
    # What `make demo` does once everything is installed.
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(r"^demo: .*\n\t\$\(BIN\)/rnn demo$", makefile, re.MULTILINE)


@pytest.mark.slow
@pytest.mark.postgresql
@pytest.mark.timeout(1200)  # two minutes of work, on machines where much else runs
def test_the_readme_can_be_followed(short_folder, tmp_path):
    """Every command, submission and piece of Python, in order, in one fresh home and folder."""
    home = short_folder / "readme"
    home.mkdir()
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("DJ_", "RNN_"))}
    path = os.pathsep.join(filter(None, [str(tmp_path), str(ROOT), clean.get("PYTHONPATH")]))
    environment = {
        **clean, "RNN_HOME": str(home), "PYTHONPATH": path, "OMP_NUM_THREADS": "1",
        "RNN_ALLOWED_PACKAGES": "my_package", "TQDM_DISABLE": "1",
    }  # fmt: skip

    def run(command, what, start=preloaded.run):
        done = start(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=400
        )
        assert done.returncode == 0, f"{what}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    printed = {}
    commands = [step for kind, step in STEPS if kind == "command"]
    for kind, group in itertools.groupby(STEPS, key=lambda step: step[0]):
        blocks = [step for _, step in group]
        if kind == "python":  # one session of a reader's
            code = "\n".join(blocks)
            # Four networks more, of which only how they are asked for is told.
            code = code.replace("replace(training, lr=lr)", "replace(training, lr=lr, max_iter=20)")
            printed[code] = run([sys.executable, "-c", code], code)
        for step in blocks:
            name = re.match(r"# ([\w/]+\.(?:yaml|py))\n", step)
            if name:
                (tmp_path / name[1]).parent.mkdir(exist_ok=True)
                (tmp_path / name[1]).write_text(step)
            if kind == "command" and step not in NOT_RUN:
                words = step.removeprefix("make ").removeprefix(".venv/bin/rnn ")
                # The first as a newcomer's shell starts it; the others need not import all anew.
                start = preloaded.run if printed else subprocess.run
                printed[step] = run([*RNN, *shlex.split(words)], step, start)
            elif kind == "yaml" and f".venv/bin/rnn submit {name[1]}" not in commands:
                run([*RNN, "submit", name[1]], step)
    demo = printed["make demo"]
    assert re.findall(r"^   \d", demo, re.MULTILINE) == [f"   {seed}" for seed in range(4)]
    assert "figures in" in demo and "What next" in demo and "not computed yet" not in demo
    again = run([*RNN, "demo"], "make demo, again")
    assert "Everything was done already" in again
    assert ": identical" in printed[next(step for step in printed if "rnn verify" in step)]
    assert (tmp_path / "report" / "index.html").exists()
    assert len([*(tmp_path / "figures").glob("two_bits*.png")]) > 10
    # The library's example reaches what the text under it says.
    (library,) = [text for step, text in printed.items() if "points.by_index()" in step]
    r2, points = library.splitlines()[:2]
    assert round(float(r2), 2) == 0.91
    # Four stable states: networks of six seeds have them, so those of other processors should.
    assert points.startswith("{0: 4, 1: ") and "index sum +1" in points
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "It prints an R² of 0.91" in text and "`{0: 4, 1: 4, 4: 1}`" in text


# Figures -----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_figures_are_those_of_the_demonstration(database):
    """They are drawn again from the network that they were drawn from."""
    import make_figures as script

    kept = json.loads(script.SUBMISSION.read_text(encoding="utf-8"))
    stale = "run `make docs` and commit what it writes"
    assert kept == script.demo_submission(), stale
    p = database
    p.submit({k: v for k, v in kept.items() if k in ("tasks", "networks")})
    (task,), (network,) = kept["tasks"], kept["networks"]
    key = p.import_network(script.NETWORK, task)
    assert key["network_name"] == network, stale
    tables = (p.TrialPlot, p.Psychometric, p.FixedPoints, p.FixedPointPlot, p.LineAttractor)
    assert p.fill(tables).errors == []
    drawn = script.stored_figures(key)
    for name, content in drawn.items():
        committed = (script.FOLDER / f"{name}.png").read_bytes()
        assert difference(committed, content) < 0.5, f"{name}: {stale}"
    assert difference(drawn["trials"], drawn["psychometric"]) > 0.5
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert {*re.findall(r"docs/figures/(\w+)\.png", readme)} == {*script.FIGURES}
