"""Serving a report: read only, its own files alone, on loopback."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time

import pytest

from pipeline.report.server import serving
from tasks_lib.errors import ParameterError
from tests import preloaded
from tests.pipeline.test_report_site import HOSTILE, cohort, write
from tests.pipeline.workers import settings_of


@pytest.fixture
def site(tmp_path):
    folder = tmp_path / "report"
    made = write(folder, [cohort(HOSTILE)])
    (folder / "secret.txt").write_text("secret")
    (tmp_path / "outside.html").write_text("secret")
    with serving(folder) as running:
        running.paths = frozenset(made.paths)
        yield running


def ask(server, path, method="GET", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    connection.putrequest(method, path, skip_host="Host" in headers)
    for name, value in headers.items():
        connection.putheader(name.replace("_", "-"), value)
    connection.endheaders()
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer, content


def test_every_file_of_the_report_is_served_as_it_is(site):
    from urllib.parse import quote

    for path in site.paths:
        answer, content = ask(site, "/" + quote(path))
        assert answer.status == 200
        assert content == (site.folder / path).read_bytes()
        assert answer.getheader("X-Content-Type-Options") == "nosniff"
        head, nothing = ask(site, "/" + quote(path), "HEAD")
        assert (head.status, nothing) == (200, b"")
        assert head.getheader("ETag") == answer.getheader("ETag")
        assert head.getheader("Content-Length") == str(len(content))
        again, nothing = ask(site, "/" + quote(path), If_None_Match=answer.getheader("ETag"))
        assert (again.status, nothing) == (304, b"")
    assert ask(site, "/favicon.ico")[0].status == 204
    assert ask(site, "/")[1] == (site.folder / "index.html").read_bytes()


@pytest.mark.parametrize(
    "path",
    [
        "/secret.txt", "/../outside.html", "/%2e%2e/outside.html", "/networks/../../outside.html",
        "/networks", "/networks/", "//etc/passwd", "/..%2foutside.html", "/networks/..%5c..%5cx",
        "/%00", "/index.html%00.png", "/figures", "/index.html/",
    ],
)  # fmt: skip
def test_nothing_else_is_served(site, path):
    answer, content = ask(site, path)
    assert answer.status == 404 and b"secret" not in content


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "MKCOL"])
def test_nothing_can_be_written(site, method):
    before = {p: p.stat().st_mtime_ns for p in site.folder.rglob("*")}
    assert ask(site, "/index.html", method)[0].status in (405, 501)
    assert before == {p: p.stat().st_mtime_ns for p in site.folder.rglob("*")}


def test_a_name_of_another_site_that_leads_here_is_refused(site):
    for host in ("evil.example", "evil.example:8040", ""):
        assert ask(site, "/", Host=host)[0].status == 403
    for host in ("localhost:1", "127.0.0.1", f"127.0.0.1:{site.server_port}"):
        assert ask(site, "/", Host=host)[0].status == 200


def test_it_listens_on_loopback_alone(site):
    assert site.is_loopback and site.server_address[0] == "127.0.0.1"


def test_a_port_that_is_taken_is_one_line(site, tmp_path):
    with (
        pytest.raises(ParameterError, match="--port") as raised,
        serving(tmp_path, port=site.server_port),
    ):
        pass
    assert "\n" not in str(raised.value)
    with pytest.raises(ParameterError, match="--host"), serving(tmp_path, "no such host"):
        pass


def test_a_client_that_says_nothing_does_not_stop_others(site):
    with socket.create_connection(("127.0.0.1", site.server_port)):
        assert ask(site, "/")[0].status == 200


def test_a_served_report_is_kept_fresh_beside_workers_and_ends_at_ctrl_c(
    database, arguments, submission, tmp_path
):
    p = database
    environment = {**os.environ, **settings_of(arguments), "PYTHONUNBUFFERED": "1"}
    command = ["report", "--out", str(tmp_path / "r"), "--serve", "--port=0", "--every=0.2"]
    process = preloaded.Popen(
        [sys.executable, "-m", "rnn_start", *command],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        found = None
        while found is None:
            line = process.stdout.readline()
            assert line, process.stderr.read()
            found = re.search(r"http://127\.0\.0\.1:(\d+)/", line)

        class Running:
            server_port = int(found[1])

        assert b"No cohort has been entered yet." in ask(Running, "/")[1]
        submission["trainings"]["short"]["max_iter"] = 3
        p.submit(submission)
        assert p.fill((p.Training,)).errors == []
        page, until = "/networks/cddm--small--short--seed4.html", time.monotonic() + 30
        while ask(Running, page)[0].status != 200 and time.monotonic() < until:
            time.sleep(0.1)
        assert b"finished after 3 iterations" in ask(Running, page)[1]
        process.send_signal(signal.SIGINT)
        said, errors = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    assert "Traceback" not in errors and "files written" in said, errors
    assert process.returncode == 0
    assert (tmp_path / "r" / "index.html").exists()
