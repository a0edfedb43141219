"""A submission small enough to train in a second."""

from __future__ import annotations

import copy
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

SMALL = {
    "tasks": {
        "cddm": {
            "class": "CDDM",
            "n_steps": 20,
            "params": {"stim_on": 5, "dec_on": 14, "coherences": [-1.0, 0.0, 1.0]},
        }
    },
    "networks": {"small": {"n_units": 12, "dale": True, "tau": 2.0, "sigma_rec": 0.02}},
    "trainings": {
        "short": {"max_iter": 20, "lr": 0.02, "penalties": {"metabolic": {"weight": 0.01}}}
    },
    "cohorts": [
        {"task": "cddm", "network": "small", "training": "short", "first_seed": 3, "n_networks": 2}
    ],
}


@pytest.fixture
def submission() -> dict:
    return copy.deepcopy(SMALL)


@pytest.fixture
def entered(database, submission):
    database.submit(submission)
    return database


@pytest.fixture
def prepared(request, database, arguments, kept_schemas, server):
    """Give what a function makes in the database: it is called once, and its rows are put back.

    To be called first of all in a test, with a function that always makes the same: it may depend
    on the module, and on what is said by ``variant``.
    """
    kept = kept_schemas(arguments["prefix"], server)

    def prepared(make: Callable[[], object], variant: str = "") -> None:
        name = f"{request.module.__name__}.{make.__qualname__} {variant}"
        kept.prepare(name, arguments["store"], make)

    return prepared


@pytest.fixture
def own_classes_allowed():
    """What an operator sets who trusts the task and the penalty of `tests.pipeline.own`."""
    with pytest.MonkeyPatch.context() as patch:  # one of its own: tests undo theirs
        patch.setenv("RNN_ALLOWED_PACKAGES", "tests")
        yield


@pytest.fixture(scope="session")
def object_store():
    from tests.s3_server import s3_server

    with s3_server() as running:
        yield running


@pytest.fixture
def s3(object_store, monkeypatch):
    """A server that speaks S3, with the variables that a user would set."""
    import datajoint as dj

    import pipeline

    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    # Neither a profile of whoever runs the tests nor the role of the machine.
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name, value in object_store.environment.items():
        monkeypatch.setenv(name, value)
    before = dict(dj.config.stores)
    yield object_store
    pipeline.disconnect()
    dj.config.stores.clear()
    dj.config.stores.update(before)


@pytest.fixture
def lab(database, arguments, tmp_path):
    """A place for worker processes, on fresh schemas."""
    from tests.pipeline.workers import laboratory

    with laboratory(arguments, tmp_path) as made:
        yield made


@pytest.fixture
def own_lab(own_server, store, tmp_path, kept_schemas):
    """The same on a server of its own, which may be stopped and started."""
    import pipeline
    from tests.pipeline.workers import laboratory

    arguments = {**own_server.arguments, "prefix": f"o{os.getpid()}", "store": store}
    kept = kept_schemas(arguments["prefix"], own_server)
    pipeline.connect(**arguments)
    kept.declared()
    with laboratory(arguments, tmp_path) as made:
        yield made
    pipeline.disconnect()
    kept.restore()


@pytest.fixture
def elsewhere(arguments, server, tmp_path):
    """Where a capsule may be opened: arguments of `open_capsule`."""
    import pipeline
    from tests.kept_schemas import drop_schemas

    prefix = f"{arguments['prefix']}_c"
    yield {**server.arguments, "prefix": prefix, "store": tmp_path / "opened"}
    pipeline.disconnect()
    drop_schemas(server, prefix)


@pytest.fixture
def home():
    """A home of the embedded database that does not exist yet, with a short path."""
    with tempfile.TemporaryDirectory(prefix="rnn", dir="/tmp", ignore_cleanup_errors=True) as at:
        yield Path(at) / "home"


@pytest.fixture
def started():
    """Starts processes that use embedded databases; they end with the test."""
    from tests.pipeline.embedded_processes import processes

    with processes() as made:
        yield made


@pytest.fixture
def reader(database, arguments, server, tmp_path, monkeypatch):
    """A reader of a page of docs/howto, at a machine where the database is that of the test."""
    import matplotlib.pyplot as plt

    import pipeline
    from tests.page_blocks import Reader

    root = Path(__file__).parents[2]
    for name in [name for name in os.environ if name.startswith(("DJ_", "RNN_"))]:
        monkeypatch.delenv(name)
    where = {
        **server.environment,
        "RNN_STORE": str(arguments["store"]),
        "RNN_PREFIX": arguments["prefix"],
    }
    for name, value in where.items():
        monkeypatch.setenv(name, value)
    connect = pipeline.connect
    # DataJoint has read the environment, when it was imported.
    monkeypatch.setattr(pipeline, "connect", lambda **_: connect(**arguments))
    folder = tmp_path / "reader"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    for name in ("examples", "cluster"):  # of a checkout
        shutil.copytree(root / name, folder / name)
    monkeypatch.syspath_prepend(folder)
    modules = {*sys.modules}
    yield Reader(folder, monkeypatch, where)
    plt.close("all")
    for name in {*sys.modules} - modules:  # of files of the page, which other pages have too
        if str(folder) in (getattr(sys.modules[name], "__file__", None) or ""):
            del sys.modules[name]
    connect(**arguments)
