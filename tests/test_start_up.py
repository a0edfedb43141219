"""What is imported when: help, refusals and a look at the database wait for no large library."""

from __future__ import annotations

import ast
import importlib
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import models
import pipeline
import tasks_lib
from pipeline.cli.commands import app

HEAVY = ("torch", "numba", "matplotlib", "scipy", "pandas", "triton", "plotly", "sklearn")
DATABASE = ("datajoint", "pymysql", "psycopg2")
FACES = (models, models.fixed_points, models.manifolds, pipeline, pipeline.upkeep, tasks_lib)


def loaded(code: str, environment: dict[str, str] | None = None) -> set[str]:
    """Return the modules that a fresh process has loaded once it has run some code."""
    ends = "\nimport json, sys\nprint(); print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code + ends],
        capture_output=True,
        text=True,
        env={**os.environ, **(environment or {})},
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def after_commands(*commands: list[str]) -> str:
    """Return code that runs commands of ``rnn`` one after the other, as the program does."""
    return f"""
import sys
from pipeline.cli.commands import app
for arguments in {list(commands)!r}:
    try:
        app(arguments)
    except SystemExit as end:
        assert end.code in (0, 2), (arguments, end.code)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "spared"),
    [
        ("tasks_lib", (*HEAVY, *DATABASE, "numpy")),
        ("models", (*HEAVY, *DATABASE, "numpy")),
        ("pipeline", (*HEAVY, *DATABASE, "numpy")),
        ("pipeline.cli.commands", (*HEAVY, *DATABASE, "numpy")),
        # DataJoint imports pandas.
        ("pipeline.tables.computed", set(HEAVY) - {"pandas"}),
        ("pipeline.workers.shutdown", set(HEAVY) - {"pandas"}),
        ("pipeline.cli.status_page", set(HEAVY) - {"pandas"}),
        ("pipeline.workers.supervisor", set(HEAVY) - {"pandas"}),
    ],
)
def test_importing_a_module_imports_no_library_that_takes_long(name, spared):
    assert not loaded(f"import {name}") & set(spared)


def test_help_and_refused_arguments_import_no_library_that_takes_long():
    names = [command.name or command.callback.__name__ for command in app.registered_commands]
    helps = [[name.replace("_", "-").strip("-"), "--help"] for name in names]
    assert ["check-task", "--help"] in helps and ["worker", "--help"] in helps
    refused = [["worker", "--threads=none"], ["nothing"], ["export"], ["status", "--nothing"]]
    modules = loaded(after_commands(["--help"], *helps, *refused))
    assert not modules & {*HEAVY, *DATABASE, "numpy"}


def test_configurations_are_made_and_checked_without_torch():
    modules = loaded(
        "import models\n"
        "for name in models.ACTIVATIONS: models.NetworkConfig(activation=name)\n"
        "models.TrainingConfig(lr=0.1), models.ManifoldSettings()\n"
        "models.fixed_points.SearchSettings()"
    )
    assert not modules & set(HEAVY)


@pytest.mark.slow
def test_every_table_is_known_where_only_the_face_was_imported():
    tables = (
        "from pipeline.database import schemas\n"
        "tables = lambda: {t.__module__ + t.__qualname__ for s in schemas.SCHEMAS.values()"
        " for t in s.tables}\n"
    )
    rest = (
        "schemas.import_tables(); known = tables()\n"
        "import importlib, pkgutil, pipeline\n"
        "for m in pkgutil.walk_packages(pipeline.__path__, 'pipeline.'):\n"
        "    if not m.name.endswith('__main__'): importlib.import_module(m.name)\n"
        "assert known == tables() and len(known) > 20, tables() - known"
    )
    assert not loaded(tables + rest) & (set(HEAVY) - {"pandas"})


@pytest.mark.slow
def test_rights_are_for_every_table_where_only_roles_are_asked_for():
    code = (
        "from pipeline.database.roles import roles_sql\n"
        "sql = roles_sql('mysql', 'x')\n"
        "assert 'x_dynamics`.`__fixed_points`' in sql and 'x_work`.`worker`' in sql, sql"
    )
    assert "pipeline.tables.fixed_points" in loaded(code)


@pytest.mark.parametrize("face", FACES, ids=lambda face: face.__name__)
def test_a_face_has_every_name_of_its_stub(face):
    tree = ast.parse(Path(face.__file__).with_suffix(".pyi").read_text())
    froms = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    assert len(froms) == len(tree.body)
    for node in froms:
        for alias in node.names:
            assert alias.asname == alias.name  # else a type checker does not pass it on
            value = getattr(face, alias.name)
            if node.module is None:
                assert value is importlib.import_module(f"{face.__name__}.{alias.name}")
            assert alias.name in dir(face)


def test_a_face_refuses_what_it_has_not():
    with pytest.raises(AttributeError, match="nothing_of_that_name"):
        getattr(models, "nothing_of_that_name")  # noqa: B009
    with pytest.raises(ImportError, match="nothing_of_that_name"):
        exec("from pipeline import nothing_of_that_name")


@pytest.mark.parametrize(
    ("name", "has", "lacks"),
    [
        ("models", {"RNNTorch", "penalties", "plot_task", "LineAttractor"}, {"plots", "engine"}),
        ("pipeline", {"connect", "Training", "fill", "Worker"}, {"gc", "verify", "tables"}),
        ("tasks_lib", {"CDDM", "TASKS", "ParameterError", "check_task"}, {"base", "imports"}),
    ],
)
def test_a_star_import_brings_what_is_public_and_no_folders(name, has, lacks):
    names: dict = {}
    exec(f"from {name} import *", names)
    assert has <= set(names)
    assert not lacks & set(names)


def test_what_a_face_gives_is_pickled_as_it_was():
    assert pickle.loads(pickle.dumps(models.NetworkConfig(n_units=3))).n_units == 3
    for name in ("RNNTorch", "SlowManifold", "plot_task"):
        assert pickle.loads(pickle.dumps(getattr(models, name))) is getattr(models, name)
    for old, new in (
        ("ContinuousAttractor", "SlowManifold"),
        ("LineAttractor", "ContextLineAttractor"),
        ("Psychometrics", "PsychometricCurves"),
    ):
        assert getattr(models, old) is getattr(models, new)
