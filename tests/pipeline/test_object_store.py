"""Arrays and figures in an object store: a server that speaks S3 and checks who asks."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import datajoint as dj
import numpy as np
import pytest
from s3fs import S3FileSystem

import pipeline
from models import CheckpointNotWritten
from pipeline.database import schemas
from pipeline.database.configuration import configure_store
from pipeline.database.connection import check_writing
from pipeline.transient.errors import is_transient
from pipeline.upkeep import gc
from pipeline.workers.checkpoints import StoredCheckpoints
from pipeline.workers.queue import job_hash
from tests import preloaded
from tests.middlemen import gate
from tests.s3_server import S3_BUCKET

pytestmark = pytest.mark.either_backend

TABLES = ("Training", "Validation", "TrialPlot", "FixedPoints")
ADDRESS = f"s3://{S3_BUCKET}/lab/one"


def run_worker(arguments, **environment):
    command = [sys.executable, "-m", "pipeline.cli", "worker", "--quiet"]
    command += [f"--table={name}" for name in TABLES]
    return preloaded.Popen(
        command,
        env={**os.environ, "RNN_PREFIX": arguments["prefix"], **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_networks_and_figures_are_those_of_a_folder(s3, arguments, submission):
    """The same submission, once with each kind of store: the same networks to the bit."""
    p = pipeline
    found = {}
    for kind, store in (("folder", arguments["store"]), ("bucket", ADDRESS)):
        where = {**arguments, "store": store, "prefix": f"{arguments['prefix']}_{kind}"}
        p.connect(**where)
        try:
            p.submit(submission)
            filled = p.fill([getattr(p, name) for name in TABLES])
            assert filled.errors == []
            # A new connection, which knows nothing of what was written.
            p.disconnect()
            p.connect(**where)
            rows = p.Training.Network.to_dicts(order_by="seed")
            assert [row["seed"] for row in rows] == [3, 4]
            arrays = [name for name in rows[0] if name[:2] in ("w_", "b_") or name == "loss_curve"]
            assert {"w_rec", "w_inp", "w_out", "loss_curve"} <= set(arrays)
            assert (p.Training.Network & "seed = 3").load().W_rec.shape == (12, 12)
            figures = p.TrialPlot.to_arrays("figure", order_by="seed, validation_name")
            found[kind] = [np.asarray(row[name]) for row in rows for name in arrays if row[name]]
            found[kind] += [figure.png for figure in figures]
            for key in p.FixedPoints.keys():
                assert len((p.FixedPoints & key).load()) == (p.FixedPoints & key).fetch1("n_points")
        finally:
            schemas.drop()
            p.disconnect()
    assert len(found["folder"]) == len(found["bucket"]) >= 12
    for one, other in zip(found["folder"], found["bucket"], strict=True):
        assert type(one) is type(other)
        if isinstance(one, bytes):
            assert one == other
            assert one.startswith(b"\x89PNG")
        else:
            assert one.dtype == other.dtype
            assert np.array_equal(one, other, equal_nan=True)
    ours = [key for key in s3.keys() if f"{arguments['prefix']}_bucket" in key]
    assert any(key.endswith(".png") for key in ours)
    assert any(key.endswith(".npy") for key in ours)
    assert all(key.startswith("lab/one/") for key in ours)


def test_two_workers_share_one_database_and_one_bucket(s3, server, arguments, submission):
    p = pipeline
    submission["cohorts"] = [
        {**submission["cohorts"][0], "first_seed": first, "n_networks": 1} for first in (3, 20, 40)
    ]
    p.connect(**{**arguments, "store": ADDRESS})
    try:
        p.submit(submission)
        shared = {**server.environment, "RNN_STORE": ADDRESS, "OMP_NUM_THREADS": "1"}
        workers = [run_worker(arguments, **shared) for _ in range(2)]
        ended = [(worker.communicate(timeout=500), worker.returncode) for worker in workers]
        for (out, errors), status in ended:
            assert status == 0, out + errors
        assert len(p.Training()) == 3
        assert len(p.Training.Network()) == len(p.Training.Network & "status = 'finished'") == 3
        assert p.fill([getattr(p, name) for name in TABLES]).made == 0
        for key in p.Training.Network.keys():
            assert np.isfinite((p.Training.Network & key).load().W_rec).all()
        assert all(f.png.startswith(b"\x89PNG") for f in p.TrialPlot.to_arrays("figure"))
    finally:
        schemas.drop()
        p.disconnect()


def test_settings_of_datajoint_name_a_bucket(s3, server, arguments):
    """DJ_STORES is DataJoint's own way; the keys in it are used, and the same check is made."""
    settings = {
        "protocol": "s3",
        "endpoint": s3.endpoint.removeprefix("http://"),
        "secure": False,
        "bucket": S3_BUCKET,
        "location": "named",
        "access_key": s3.writer[0],
        "secret_key": s3.writer[1],
    }
    own = {name: "" for name in s3.environment}
    for change, expected in (({}, None), ({"bucket": "nowhere"}, "nowhere"), ({"size": 1}, "size")):
        stores = json.dumps({"main": settings | change})
        command = [sys.executable, "-m", "pipeline.cli", "status"]
        variables = {**os.environ, **own, **server.environment, "DJ_STORES": stores}
        variables["RNN_PREFIX"] = arguments["prefix"]
        result = preloaded.run(command, env=variables, capture_output=True, text=True)
        if expected is None:
            assert result.returncode == 0, result.stderr
            assert "named/rnn_store" in s3.keys()
        else:
            assert result.returncode == 1
            assert result.stderr.count("\n") == 1
            assert result.stderr.startswith("error: sto")
            assert expected in result.stderr
        assert s3.writer[1] not in result.stdout + result.stderr
    pipeline.connect(**arguments, declare=True)  # the bucket is this database's store
    schemas.drop()


def begin_upload(client, key) -> str:
    """Send one part of two, as a worker that is killed then; return the key."""
    upload = client.create_multipart_upload(Bucket=S3_BUCKET, Key=key)["UploadId"]
    client.upload_part(Bucket=S3_BUCKET, Key=key, UploadId=upload, PartNumber=1, Body=b"x" * 1000)
    return key


def test_uploads_that_a_kill_left_unfinished_go(s3, arguments, submission, monkeypatch):
    p, client = pipeline, s3.client()
    p.connect(**{**arguments, "store": ADDRESS})
    schema = p.Training.database

    def unfinished():
        found = client.list_multipart_uploads(Bucket=S3_BUCKET).get("Uploads", ())
        return {upload["Key"] for upload in found if schema in upload["Key"]}

    try:
        p.submit(submission)
        (key,) = p.Cohort.keys()
        # The state of a job that will be done: what is whole of it stays.
        state = StoredCheckpoints(gc.checkpoint_folder(p.Training), job_hash(key))
        state.write("networks_0_1.npz", b"whole")
        ours = {
            begin_upload(client, f"lab/one/{state.folder}/networks_0_1.npz"),
            begin_upload(client, f"lab/one/_schema/{schema}/__training__network/x=1/w_rec.npy"),
        }
        others = {
            begin_upload(client, f"lab/one/_schema/{schema}/dropped_table/x.npy"),
            begin_upload(client, f"lab/one/_schema/{schema}_b/__training__network/x.npy"),
            begin_upload(client, f"lab/one/elsewhere/{schema}/x.npy"),
            begin_upload(client, f"lab/two/_schema/{schema}/__training__network/x.npy"),
        }
        before = set(s3.keys())
        found = gc.collect().scan
        assert found.by_kind() == {"unfinished uploads": (2, 2000)}
        assert {f"lab/one/{orphan.path}" for orphan in found.orphans} == ours
        assert unfinished() == ours | others
        found = gc.scan(older_than=24 * 365 * 1000)
        assert (found.orphans, found.n_young, found.n_foreign, found.note) == ([], 2, 1, "")

        call = S3FileSystem.call_s3

        def one_at_a_time(self, method, **options):
            if method != "list_multipart_uploads":
                return call(self, method, **options)
            number = int(options.pop("UploadIdMarker", 0))
            assert number == 0 or options.pop("KeyMarker") == "a key"
            uploads = call(self, method, **options)["Uploads"]
            pages = {"IsTruncated": number + 1 < len(uploads), "NextKeyMarker": "a key"}
            return {"Uploads": [uploads[number]], "NextUploadIdMarker": str(number + 1), **pages}

        monkeypatch.setattr(S3FileSystem, "call_s3", one_at_a_time)
        assert gc.scan().by_kind() == {"unfinished uploads": (2, 2000)}

        def refused(self, method, **options):
            raise PermissionError("Access Denied")

        monkeypatch.setattr(S3FileSystem, "call_s3", refused)
        found = gc.collect(delete=True).scan
        assert found.orphans == [] and "uploads cannot be listed (Access Denied)" in found.note
        monkeypatch.setattr(S3FileSystem, "call_s3", call)
        assert gc.collect(delete=True).n_removed == 2
        assert unfinished() == others
        assert set(s3.keys()) == before
        assert state.read("networks_0_1.npz") == b"whole"
    finally:
        schemas.drop()
        p.disconnect()


def refused(store=ADDRESS) -> pipeline.DatabaseError:
    """Connect with a store that cannot be used; the server is never asked."""
    with pytest.raises(pipeline.DatabaseError) as raised:
        pipeline.connect(host="127.0.0.1", port=9, user="u", password="p", store=store)
    return raised.value


def refusal(store=ADDRESS) -> str:
    line = str(refused(store))
    assert "\n" not in line
    assert line.startswith(("store = ", "AWS_"))
    return line


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variables", "store", "words"),
    [
        ({}, "s3://elsewhere/x", ("elsewhere", "no bucket", "RNN_STORE")),
        ({}, "s3://", ("names no bucket", "s3://bucket/prefix")),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, ADDRESS, ("127.0.0.1:9", "does not answer")),
        ({"AWS_ENDPOINT_URL": "127.0.0.1:9000"}, ADDRESS, ("AWS_ENDPOINT_URL", "http://")),
        ({"AWS_ENDPOINT_URL_S3": "ftp://a"}, ADDRESS, ("AWS_ENDPOINT_URL_S3", "https://")),
        ({"AWS_SECRET_ACCESS_KEY": "not it"}, ADDRESS, ("SignatureDoesNotMatch", "AWS_SECRET")),
        ({"AWS_ACCESS_KEY_ID": "AKIAUNKNOWN000000000"}, ADDRESS, ("InvalidAccessKeyId",)),
        (
            {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""},
            ADDRESS,
            ("no credentials", "AWS_ACCESS_KEY_ID"),
        ),
        ({"AWS_SECRET_ACCESS_KEY": ""}, ADDRESS, ("no credentials", "AWS_SECRET_ACCESS_KEY")),
    ],
)
def test_a_store_that_cannot_be_used_is_one_line_at_connect(
    s3, monkeypatch, variables, store, words
):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    line = refusal(store)
    for word in words:
        assert word in line
    assert s3.writer[1] not in line


def test_a_server_with_another_scheme_does_not_answer(s3, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.endpoint.replace("http:", "https:"))
    assert "http or https" in refusal()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("status", "code", "passing"),
    [
        (503, "SlowDown", True),
        (500, "InternalError", True),
        (429, "TooManyRequests", True),
        (403, "AccessDenied", False),
        (400, "ExpiredToken", False),
        (404, "NoSuchBucket", False),
    ],
)
def test_what_a_server_answers_is_waited_for_where_it_passes(
    s3, monkeypatch, status, code, passing
):
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with gate(s3.port) as door:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{door.port}")
        door.answer(status, code)
        error = refused()
        assert is_transient(error) is passing
        assert "\n" not in str(error) and "said by the gate" not in str(error)
        if passing:
            assert code in str(error)
            door.open()
            configure_store(ADDRESS)


def test_a_server_that_is_away_is_waited_for_and_missing_credentials_are_not(s3, monkeypatch):
    with gate(s3.port) as door:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{door.port}")
        door.shut()
        assert is_transient(refused())
        door.open()
        monkeypatch.setenv("AWS_PROFILE", "nobody")
        error = refused()
        assert "ProfileNotFound" in str(error) and not is_transient(error)
        monkeypatch.delenv("AWS_PROFILE")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "")
        error = refused()
        assert "no credentials" in str(error) and not is_transient(error)


def test_a_checkpoint_is_written_later_where_the_server_is_away(s3, monkeypatch, caplog):
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with gate(s3.port) as door:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{door.port}")
        configure_store(ADDRESS)
        checkpoints = StoredCheckpoints("table", "job")
        checkpoints.write("state", b"first")
        door.shut()
        with pytest.raises(CheckpointNotWritten):
            checkpoints.write("state", b"second")
        assert "the training goes on" in caplog.text
        with pytest.raises(Exception, match="connect") as raised:
            checkpoints.read("state")
        assert is_transient(raised.value)  # whoever goes on from it waits
        door.open()
        assert checkpoints.read("state") == b"first"
        checkpoints.write("state", b"third")
        assert checkpoints.read("state") == b"third"
        checkpoints.remove()
        assert checkpoints.read("state") is None


@pytest.mark.slow
def test_who_may_only_read_reads_and_is_told_so_where_he_writes(s3, monkeypatch):
    """Whether anything lies there already or not."""
    for address in (ADDRESS, f"{ADDRESS}/nothing/yet"):
        for credentials in (s3.reader, s3.writer, s3.reader):
            for name, value in s3.variables(credentials).items():
                monkeypatch.setenv(name, value)
            configure_store(address)
            if credentials == s3.writer:
                check_writing()
                continue
            with pytest.raises(pipeline.DatabaseError, match="cannot be written") as raised:
                check_writing()
            assert "AccessDenied" in str(raised.value) and not is_transient(raised.value)


def test_a_server_that_is_no_store_is_found_out(s3, monkeypatch):
    """It answers whatever is asked, and keeps nothing."""
    with gate(s3.port) as door:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{door.port}")
        door.answer(200, "OK")
        assert "gives back something else" in refusal()


@pytest.mark.parametrize(
    ("name", "value"),
    [("AWS_ENDPOINT_URL", "http://key:hidden@host"), ("RNN_STORE", "s3://key:hidden@networks/x")],
)
def test_credentials_in_an_address_are_refused_and_not_repeated(s3, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    assert "hidden" not in refusal(None if name == "RNN_STORE" else ADDRESS)


@pytest.mark.parametrize("package", ["s3fs", "botocore.session"])
def test_a_missing_package_is_named(s3, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    line = refusal()
    assert package in line
    assert "rnn-pipeline[s3]" in line


def test_amazon_is_the_server_where_none_is_named(s3, monkeypatch):
    from pipeline.store.settings import s3_store

    monkeypatch.delenv("AWS_ENDPOINT_URL")
    for region, endpoint in (
        ("eu-central-1", "s3.eu-central-1.amazonaws.com"),
        ("", "s3.amazonaws.com"),
    ):
        monkeypatch.setenv("AWS_DEFAULT_REGION", region)
        assert s3_store("s3://bucket/a/b/") == {
            "protocol": "s3",
            "endpoint": endpoint,
            "secure": True,
            "bucket": "bucket",
            "location": "a/b",
        }


def test_credentials_are_kept_nowhere(s3, database):
    """Neither in DataJoint's settings, which a user may save, nor in a message of the store."""
    database.disconnect()
    configure_store(ADDRESS)
    settings = dj.config.stores["main"]
    assert settings["endpoint"] == s3.endpoint.removeprefix("http://")
    assert settings["secure"] is False
    for secret in s3.writer:
        assert secret not in str(settings)


def test_an_address_is_remembered_only_if_it_could_be_used(s3, tmp_path):
    dj.config.stores["main"] = {"protocol": "file", "location": str(tmp_path)}
    refusal("s3://elsewhere")
    assert dj.config.stores["main"]["protocol"] == "file"
    dj.config.stores["main"] = {"protocol": "file", "location": str(tmp_path / "gone")}
    with pytest.raises(pipeline.DatabaseError, match=r"stores\.main\.location.*is not a folder"):
        pipeline.connect(host="127.0.0.1", port=9, user="u", password="p")
