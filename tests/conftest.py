"""Fixtures: both back ends. Tests that ask for `database` run once on each.

Those with the mark `either_backend` run on one of the two.
"""

from __future__ import annotations

import gc
import itertools
import os
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
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

if TYPE_CHECKING:
    from tests.kept_schemas import KeptSchemas

# Before torch is imported: threads that wait for each other make small networks slow on a busy
# machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# No test depends on how fast a machine is.
hypothesis.settings.register_profile("any_speed", deadline=None)
hypothesis.settings.load_profile("any_speed")

# What Triton has compiled is kept for the next test and the next run, as what Numba has.
_caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rnn-pipeline"
os.environ.setdefault("TRITON_CACHE_DIR", str(_caches / "triton"))

# Without bytecode every process that a test starts compiles torch, DataJoint and all others anew,
# which takes longer than what is tested. Whoever asks for none beside the sources gets it there.
if sys.dont_write_bytecode:
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ.setdefault("PYTHONPYCACHEPREFIX", str(_caches / "bytecode"))
    sys.dont_write_bytecode, sys.pycache_prefix = False, os.environ["PYTHONPYCACHEPREFIX"]

# How wide and how coloured texts are is what each test says, not the terminal in which they run.
for _name in ("COLUMNS", "LINES", "FORCE_COLOR", "NO_COLOR", "CLICOLOR_FORCE", "TTY_COMPATIBLE"):
    os.environ.pop(_name, None)

# Torch, SciPy and matplotlib are a million objects, among which there is nothing to collect: to
# look through them so often takes a twelfth of what the tests of the pipeline take.
gc.set_threshold(20_000, 20, 20)

import tests.preloaded  # noqa: E402, F401 - it keeps the variables of now

BACKENDS = ("postgresql", "mysql")
_numbers = itertools.count()


# Files that take longest come first: who has nothing left to do then waits for a short one.
# `scripts/count_tests.py` prints the seconds; only the rough order matters.
SLOW_FILES = (
    "test_outages.py",
    "test_clocks.py",
    "test_workers.py",
    "test_soak.py",
    "test_notebooks.py",
    "test_readme.py",
    "test_deletion.py",
    "test_fencing.py",
    "test_export.py",
    "test_together.py",
    "test_supervisor.py",
    "test_object_store.py",
    "test_upgrade.py",
    "test_capsules.py",
    "test_roles.py",
    "test_chain.py",
    "test_stops.py",
    "test_late_files.py",
    "test_memory_limits.py",
    "test_embedded.py",
    "test_embedded_hosts.py",
    "test_embedded_users.py",
    "test_declaration.py",
    "test_bad_input.py",
    "test_object_store_outages.py",
    "test_store_mark.py",
    "test_failing_jobs.py",
    "test_checkpoints.py",
    "test_manifolds.py",
    "test_memory.py",
    "test_engine_fused.py",
    "test_neurogym.py",
    "test_engine_benchmark.py",
)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    left_out = [item for item in items if runs_elsewhere(item, config)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in {*left_out}]
    places = {name: place for place, name in enumerate(SLOW_FILES)}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))


def pytest_sessionfinish():
    from tests import filled_tables

    filled_tables.save()


def runs_elsewhere(item: pytest.Item, config: pytest.Config) -> bool:
    """Return whether a test of ``either_backend`` is for the other back end.

    Which one it is for follows from its name and its parameters, so that it is the same in every
    run, and half of the cases of a parametrised test are for each.
    """
    if item.get_closest_marker("both_backends") or not item.get_closest_marker("either_backend"):
        return False
    if os.environ.get("RNN_TEST_BOTH_BACKENDS") or any("::" in given for given in config.args):
        return False
    wanted = getattr(item.module, "BACKENDS", BACKENDS)
    backend = item.callspec.params.get("backend") if hasattr(item, "callspec") else None
    if backend is None or len(wanted) == 1:
        return False
    name = item.nodeid.replace(backend, "")
    return wanted[zlib.crc32(name.encode()) % len(wanted)] != backend


def pytest_generate_tests(metafunc):
    if "backend" in metafunc.fixturenames:
        wanted = getattr(metafunc.module, "BACKENDS", BACKENDS)  # a module may name one
        marked = [pytest.param(b, marks=getattr(pytest.mark, b)) for b in wanted]
        metafunc.parametrize("backend", marked, scope="session")


@pytest.fixture(scope="session")
def backend(request):
    return request.param


class Once:
    """What is started when it is first asked for, and ended with the session.

    A fixture with the back end as its parameter would be ended wherever the next test is of the
    other back end, and started again for the test after that.
    """

    def __init__(self, stack: ExitStack) -> None:
        self._stack, self._made = stack, {}

    def get(self, name: str, start: Callable[[], AbstractContextManager]) -> Any:
        """Return what was started under a name; an error of the start is raised every time."""
        if name not in self._made:
            try:
                self._made[name] = self._stack.enter_context(start())
            except ServerUnavailable as reason:
                self._made[name] = reason
        if isinstance(self._made[name], ServerUnavailable):
            raise self._made[name]
        return self._made[name]


@pytest.fixture(scope="session")
def _once() -> Iterator[Once]:
    with ExitStack() as stack:
        yield Once(stack)


@pytest.fixture(scope="session")
def server(backend, _once) -> Server:
    """A running server of the back end; without one the test is skipped, unless required."""
    start = {"mysql": mysql_server, "postgresql": postgresql_server}[backend]
    return _running(_once, start, backend)


@pytest.fixture(scope="session")
def own_server(backend, _once) -> OwnServer:
    """Another one, which tests may stop and start."""
    start = {"mysql": own_mysql_server, "postgresql": own_postgresql_server}[backend]
    return _running(_once, start, backend)


def _running(once: Once, start, backend):
    try:
        return once.get(start.__name__, start)
    except ServerUnavailable as reason:
        skip_unless_required(backend, str(reason))


@pytest.fixture
def settable_clocks() -> None:
    """Clocks of processes can be set: libfaketime is there."""
    if faketime() is None:
        skip_unless_required("faketime", "install Debian's package faketime")


@pytest.fixture(scope="session")
def kept_schemas(_once) -> Callable[[str, Server], KeptSchemas]:
    """Give the schemas that are kept from test to test under a prefix, on a server."""

    def kept(prefix: str, server: Server) -> KeptSchemas:
        from tests.kept_schemas import kept_schemas

        return _once.get(
            f"{prefix} {server.host} {server.port}", lambda: kept_schemas(server, prefix)
        )

    return kept


@pytest.fixture
def store(tmp_path) -> Path:
    folder = tmp_path / "store"
    folder.mkdir()
    return folder


@pytest.fixture
def arguments(request, server, store) -> dict:
    """Arguments of `pipeline.connect` for schemas without rows, and a store without files.

    Together with `database`: for its schemas. Otherwise for schemas that are not there: what a
    test makes of them it has to drop.
    """
    prefix = f"t{os.getpid()}"
    if "database" not in request.fixturenames or _wants_fresh_schemas(request):
        prefix += f"_{next(_numbers)}"
    return {**server.arguments, "prefix": prefix, "store": store}


def _wants_fresh_schemas(request) -> bool:
    return request.node.get_closest_marker("fresh_schemas") is not None


@pytest.fixture
def database(request, server, arguments, kept_schemas):
    """The pipeline, connected to schemas without rows.

    They are declared once and emptied after each test. With the mark ``fresh_schemas`` a test gets
    schemas of its own, which are dropped: where it is about their declaration or the rights on
    them.
    """
    import pipeline
    from tests.kept_schemas import drop_schemas

    if _wants_fresh_schemas(request):
        pipeline.connect(**arguments)
        yield pipeline
        pipeline.disconnect()
        drop_schemas(server, arguments["prefix"])
    else:
        kept = kept_schemas(arguments["prefix"], server)
        pipeline.connect(**arguments)
        kept.declared()
        yield pipeline
        pipeline.disconnect()
        kept.restore()


@pytest.fixture(scope="session")
def short_folder() -> Iterator[Path]:
    """A folder with a short path: a Unix socket's may not exceed about 100 characters."""
    with tempfile.TemporaryDirectory(prefix="rnn", ignore_cleanup_errors=True) as folder:
        yield Path(folder)
