"""Fixtures: both back ends. Tests that ask for `database` run once on each."""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clocks import library as faketime
from tests.needs import skip_unless_required
from tests.servers import (
    OwnServer,
    Server,
    ServerUnavailable,
    mysql_server,
    own_mysql_server,
    own_postgresql_server,
    postgresql_server,
)

# Before torch is imported: threads that wait for each other make small networks slow on a busy
# machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")

BACKENDS = ("postgresql", "mysql")
_numbers = itertools.count()


def pytest_generate_tests(metafunc):
    if "backend" in metafunc.fixturenames:
        wanted = getattr(metafunc.module, "BACKENDS", BACKENDS)  # a module may name one
        marked = [pytest.param(b, marks=getattr(pytest.mark, b)) for b in wanted]
        metafunc.parametrize("backend", marked, scope="session")


@pytest.fixture(scope="session")
def backend(request):
    return request.param


@pytest.fixture(scope="session")
def server(backend) -> Iterator[Server]:
    """A running server of the back end; without one the test is skipped, unless required."""
    start = {"mysql": mysql_server, "postgresql": postgresql_server}[backend]
    yield from _running(start, backend)


@pytest.fixture(scope="session")
def own_server(backend) -> Iterator[OwnServer]:
    """Another one, which tests may stop and start."""
    start = {"mysql": own_mysql_server, "postgresql": own_postgresql_server}[backend]
    yield from _running(start, backend)


def _running(start, backend):
    try:
        with start() as running:
            yield running
    except ServerUnavailable as reason:
        skip_unless_required(backend, str(reason))


@pytest.fixture
def settable_clocks() -> None:
    """Clocks of processes can be set: libfaketime is there."""
    if faketime() is None:
        skip_unless_required("faketime", "install Debian's package faketime")


@pytest.fixture
def store(tmp_path) -> Path:
    folder = tmp_path / "store"
    folder.mkdir()
    return folder


@pytest.fixture
def arguments(server, store) -> dict:
    """Arguments of `pipeline.connect` for a fresh set of schemas."""
    return {**server.arguments, "prefix": f"t{os.getpid()}_{next(_numbers)}", "store": store}


@pytest.fixture
def database(arguments):
    """The pipeline, connected to fresh schemas that are dropped afterwards."""
    import pipeline
    from pipeline.database import schemas

    pipeline.connect(**arguments)
    yield pipeline
    pipeline.disconnect()
    pipeline.connect(**arguments, declare=True)  # whatever has become of the store
    schemas.drop()
    pipeline.disconnect()


@pytest.fixture(scope="session")
def short_folder() -> Iterator[Path]:
    """A folder with a short path: a Unix socket's may not exceed about 100 characters."""
    with tempfile.TemporaryDirectory(prefix="rnn", ignore_cleanup_errors=True) as folder:
        yield Path(folder)
