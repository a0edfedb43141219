"""Whatever a row says of a file: it is read from our store, and never as Python objects."""

from __future__ import annotations

import io
import json
import pickle

import numpy as np
import pytest
from datajoint.blob import unpack
from datajoint.codecs import get_codec
from datajoint.errors import DataJointError

from pipeline.database.connection import connection
from pipeline.store.checked_files import DamagedFile
from pipeline.store.codecs import check_reference
from pipeline.upkeep import gc
from tests.pipeline.test_stored_files import forget_hash

pytestmark = pytest.mark.either_backend

OUTSIDE = [
    "../outside.npy",
    "_schema/../../outside.npy",
    "_schema/..\\..\\outside.npy",
    "/etc/hostname",
    "\\\\host\\share\\x.npy",
    "C:/x.npy",
    "C:x.npy",
    "_schema/x\0.npy",
    "",
    None,
    3,
]


@pytest.mark.parametrize("codec", ["npy", "figure"])
@pytest.mark.parametrize("path", OUTSIDE)
def test_a_path_out_of_the_store_is_refused_before_any_store_is_asked(codec, path, monkeypatch):
    # Before any store: so of whatever kind it is, a folder or S3.
    for_reading = get_codec(codec)
    monkeypatch.setattr(type(for_reading), "_get_backend", lambda *_, **__: pytest.fail("asked"))
    stored = {"path": path, "store": "main", "n_bytes": 1, "shape": [1], "dtype": "float64"}
    with pytest.raises(DataJointError, match=r"^(path|reference) = "):
        for_reading.decode(stored)


@pytest.mark.parametrize("store", ["raw", None, "", 3])
def test_another_store_is_refused(store):
    with pytest.raises(DataJointError, match=r"is not 'main'"):
        check_reference({"path": "_schema/x.npy", "store": store})


@pytest.mark.parametrize("stored", [None, [], "../x", {"store": "main"}])
def test_what_is_no_reference_is_refused(stored):
    with pytest.raises(DataJointError, match="names no file"):
        check_reference(stored)


def test_what_is_written_is_accepted():
    for path in ("_schema/a/b/task_name=a..b/seed=3/w_rec_x.npy", "a/..b/c...npy", "a b/ü.npy"):
        stored = {"path": path, "store": "main"}
        assert check_reference(stored) is stored


@pytest.fixture
def trained(database, submission):
    database.submit(submission)
    assert database.fill((database.Training, database.Validation, database.TrialPlot)).errors == []
    return database


def rewrite(table, column, **changes):
    """Change what a column says of its file, as somebody with rights on the table could."""
    name, quote = table.full_table_name, connection().adapter.quote_identifier
    stored = connection().query(f"SELECT {quote(column)} FROM {name}").fetchone()[0]
    stored = stored if isinstance(stored, dict) else json.loads(stored)
    text = json.dumps({**stored, **changes})
    connection().query(f"UPDATE {name} SET {quote(column)} = %s", args=(text,))
    return stored


def test_rows_that_point_out_of_the_store_are_refused_when_they_are_read(trained, store):
    p = trained
    network = p.Training.Network & {"seed": 3}
    assert network.load().W_rec.shape == (12, 12)
    secret = store.parent / "secret.npy"
    np.save(secret, np.zeros((12, 12)))
    for path in ("../secret.npy", str(secret)):
        rewrite(p.Training.Network, "w_rec", path=path)
        with pytest.raises(DataJointError, match="leads out of the store"):
            network.load()
        with pytest.raises(DataJointError, match="leads out of the store"):
            network.to_dicts()
    rewrite(p.TrialPlot, "figure", path="../secret.npy")
    with pytest.raises(DataJointError, match="leads out of the store"):
        p.TrialPlot.to_arrays("figure")
    rewrite(p.TrialPlot, "figure", path="x.png", store="another")
    with pytest.raises(DataJointError, match="'another'"):
        p.TrialPlot.to_arrays("figure")


def test_what_they_point_to_is_not_even_looked_for(trained, store):
    (store.parent / "secret.npy").write_bytes(b"secret")
    rewrite(trained.Training.Network, "w_rec", path="../secret.npy")
    assert gc.scan().missing == ["../secret.npy"] * 2


class Bomb:
    exploded = False

    def __reduce__(self):
        return (setattr, (Bomb, "exploded", True))


def pickled() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([Bomb()], dtype=object), allow_pickle=True)
    return buffer.getvalue()


def test_an_array_of_objects_is_not_read(trained, store):
    assert b"exploded" in pickled()
    network = trained.Training.Network & {"seed": 3}
    reference = network.fetch1("w_rec")
    (store / reference.path).write_bytes(pickled())
    with pytest.raises(DamagedFile, match="is damaged"):
        np.asarray(reference)
    # Neither where the row of an earlier version keeps no hash of it, and is of such an array.
    forget_hash(trained.Training.Network, "w_rec", "dtype", "shape")
    rewrite(trained.Training.Network, "w_rec", path=reference.path, dtype="object", shape=[1])
    with pytest.raises(DamagedFile, match="Python objects, which are never read"):
        network.load()
    assert not Bomb.exploded
    np.load(io.BytesIO(pickled()), allow_pickle=True)  # the test can fail
    assert Bomb.exploded
    Bomb.exploded = False


def test_a_blob_is_datajoints_own_format_and_no_pickle():
    for start in (b"", b"dj0\0", b"mYm\0"):
        with pytest.raises((DataJointError, KeyError, ValueError)):
            unpack(start + pickle.dumps(Bomb()))
    assert not Bomb.exploded
