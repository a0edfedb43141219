"""A capsule opened into an object store: its files are there, and what is interrupted leaves none.

On one back end: what a capsule holds, and its rows on both, is of test_capsules.py.
"""

from __future__ import annotations

import pytest

import pipeline
from pipeline.store.settings import PROBE
from pipeline.upkeep.gc import collect
from tests.pipeline.test_capsule_files import KEPT
from tests.pipeline.test_capsules import interrupt, schemas_of
from tests.s3_server import S3_BUCKET

BACKENDS = ("postgresql",)


def test_a_capsule_opens_into_an_object_store(s3, server, arguments, elsewhere):
    p = pipeline
    folder = f"capsules/{arguments['prefix']}"
    place = {**elsewhere, "store": f"s3://{S3_BUCKET}/{folder}"}
    before = set(s3.keys())
    with pytest.raises(KeyboardInterrupt):
        p.open_capsule(KEPT, **place, progress=interrupt)
    # But for the object by which each connection sees that it may write there.
    assert set(s3.keys()) - before == {f"{folder}/{PROBE}"}
    assert not schemas_of(server, place["prefix"])

    opened = p.open_capsule(KEPT, **place)
    assert opened.variables == {"RNN_PREFIX": place["prefix"], "RNN_STORE": place["store"]}
    assert not [key for key in s3.keys() if key.endswith(".opening")]
    p.connect(**{**arguments, "prefix": place["prefix"], "store": place["store"]})
    files = p.verify_files()
    assert files.is_whole and files.n_files > 100 and p.verify_rows().is_whole
    ours = set(s3.keys()) - before
    assert len(ours) >= files.n_files and all(key.startswith(folder) for key in ours)
    # As they lie there, they are used: an array, and a figure.
    key = (p.Training.Network & "iterations_done > 0").keys(order_by="KEY")[0]
    network = (p.Training.Network & key).load()
    assert network.W_rec.shape == (network.n_units,) * 2
    assert (p.TrialPlot & key).to_dicts()[0]["figure"].png.startswith(b"\x89PNG")
    assert collect(0.0).scan.orphans == []
