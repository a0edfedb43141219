"""TLS: taken where it is offered, and required where that is asked for."""

from __future__ import annotations

import ssl

import datajoint as dj
import pytest
from datajoint.errors import LostConnectionError

import pipeline
from pipeline.database import connection as connections
from tests.middlemen import certificate, postgresql_with_tls, without_tls


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch):
    monkeypatch.delenv("RNN_TLS_CA", raising=False)
    monkeypatch.setenv("PGSSLROOTCERT", "")  # restored, whatever is set meanwhile
    monkeypatch.delenv("PGSSLROOTCERT")


@pytest.fixture
def require_tls(monkeypatch):
    """As DJ_USE_TLS=true does."""
    monkeypatch.setattr(dj.config.database, "use_tls", True)


def opened(server):
    return connections._open(*server.arguments.values())


def cipher(connection):
    """Return the cipher of a connection; nothing where it is not encrypted."""
    if connection.adapter.backend == "mysql":
        return connection.query("SHOW SESSION STATUS LIKE 'Ssl_cipher'").fetchone()[1]
    return "TLS" if connection._conn.info.ssl_in_use else ""


@pytest.fixture
def with_tls(server, tmp_path):
    """A server of the back end that offers TLS."""
    if server.backend == "mysql":
        yield server
    else:
        with postgresql_with_tls(server, certificate(tmp_path)) as offering:
            yield offering


def test_it_is_taken_where_it_is_offered(with_tls):
    connection = opened(with_tls)
    assert cipher(connection)
    connection.connect()  # as after a lost connection
    assert cipher(connection)
    connection.close()


def test_it_can_be_required(with_tls, require_tls):
    connection = opened(with_tls)
    assert cipher(connection)
    connection.close()


def test_without_it_there_is_a_connection_all_the_same(server):
    opened(server).close()  # so that MySQL knows the password, which it would not ask for in plain
    with without_tls(server) as plain:
        connection = opened(plain)
        assert connection.query("SELECT 1").fetchone()[0] == 1
        assert not cipher(connection)
        connection.close()


def test_where_it_is_required_a_server_without_it_is_refused(server, require_tls):
    with without_tls(server) as plain:
        with pytest.raises(pipeline.DatabaseError, match="DJ_USE_TLS") as caught:
            opened(plain)
        assert "\n" not in str(caught.value)


def test_the_second_connection_is_encrypted_too(with_tls, arguments):
    pipeline.connect(**{**arguments, **with_tls.arguments})
    try:
        second = connections.second_connection()
        assert cipher(connections.connection()) and cipher(second)
        second.close()
    finally:
        pipeline.database.schemas.drop()
        pipeline.disconnect()


def test_a_certificate_of_another_authority_is_refused(with_tls, tmp_path, monkeypatch):
    other, _ = certificate(tmp_path, "somebody_else")
    monkeypatch.setenv("RNN_TLS_CA", str(other))
    with pytest.raises(pipeline.DatabaseError, match="RNN_TLS_CA"):
        opened(with_tls)
    monkeypatch.setenv("RNN_TLS_CA", str(tmp_path / "nowhere.crt"))
    with pytest.raises(pipeline.DatabaseError, match="is not a file"):
        opened(with_tls)
    if with_tls.backend == "postgresql":  # signed by the certificate itself
        monkeypatch.setenv("RNN_TLS_CA", str(tmp_path / "localhost.crt"))
        connection = opened(with_tls)
        assert cipher(connection)
        connection.close()


def test_no_certificate_is_loaded_where_none_is_asked_for(server, monkeypatch):
    """PyMySQL loads all of the machine for each connection, and verifies nothing by them."""

    def loaded(self, *_):
        raise AssertionError("certificates are loaded")

    monkeypatch.setattr(ssl.SSLContext, "load_default_certs", loaded)
    connection = opened(server)
    assert cipher(connection) or server.backend == "postgresql"
    connection.close()


@pytest.fixture
def tls_in_name_only(monkeypatch):
    """PyMySQL gets an empty dictionary, and takes any connection."""
    monkeypatch.setattr(connections, "tls_options", lambda kind: {} if kind == "mysql" else True)


def test_whatever_asks_for_it_gets_no_connection_without_it(with_tls, server, tls_in_name_only):
    connection = opened(with_tls)
    assert cipher(connection) and connection.is_encrypted
    with without_tls(server) as plain:
        with pytest.raises(pipeline.DatabaseError, match="DJ_USE_TLS") as caught:
            opened(plain)
        assert "\n" not in str(caught.value)
        # Nor when it connects again, as after a lost connection.
        connection.conn_info |= {"host": plain.host, "port": plain.port}
        with pytest.raises(Exception, match=r"TLS was asked for|SSL"):
            connection.connect()
        if server.backend == "mysql":  # the driver itself was content
            with pytest.raises(LostConnectionError):
                connection.query("SELECT 1", reconnect=False)


def test_what_was_not_asked_for_is_not_looked_at(server):
    with without_tls(server) as plain:
        opened(server).close()  # so that MySQL knows the password
        connection = opened(plain)
        assert not connection.is_encrypted
        connection.close()
