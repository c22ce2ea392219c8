"""Real clients against the wire: psycopg, asyncpg and psql with a trivial session, over plaintext, TLS and direct TLS.

Goal: what drivers do at start-up, authentication, cancel, pipelining and COPY works end to end. The session answers canned
texts (trivial_session.py); what is under test is everything below it.
"""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from frontend.wire.authentication import AccessRule, make_verifier, parse_verifier
from frontend.wire.tls import load_server_tls
from tests.frontend.wire.serving import Served, make_certificate
from tests.oracle import client

PASSWORD = "pa\u00adss ⅷ"  # SASLprep drops the soft hyphen and makes "viii" of the numeral
VERIFIERS = {"alice": str(make_verifier(PASSWORD)), "postgres": str(make_verifier("secret"))}
RULES = [
    AccessRule("hostssl", "all", "token", "password"),
    AccessRule("host", "all", "alice", "scram-sha-256"),
    AccessRule("host", "all", "ghost", "scram-sha-256"),
    AccessRule("host", "all", "banned", "reject"),
    AccessRule("hostnossl", "all", "plain", "trust"),
    AccessRule("host", "127.0.0.1/32", "postgres", "trust"),
    AccessRule("host", "127.0.0.1/32", "nobody", "trust"),
]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module", params=["uvloop", "asyncio"])
def served(request: pytest.FixtureRequest, certificate: tuple[Path, Path]) -> Iterator[Served]:
    with Served(
        use_uvloop=request.param == "uvloop",
        verifier=VERIFIERS.get,
        rules=RULES,
        tls=load_server_tls(*certificate),
        password_check=lambda user, password: password == "a token",
    ) as server:
        yield server


def connect(served: Served, **options: object) -> psycopg.Connection:
    return psycopg.connect(served.dsn, autocommit=True, **options)  # type: ignore[arg-type]


def test_plain(served: Served) -> None:
    with connect(served, sslmode="disable", options="-c application_name=x\\ y -c a.b=2") as connection:
        assert connection.execute("select 1").fetchall() == [(1,)]
        assert connection.info.parameter_status("application_name") == "x y"
        assert connection.info.server_version == 160004
        assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE


def test_gssenc_then_ssl_then_startup(served: Served) -> None:
    with psycopg.connect(served.dsn.replace("gssencmode=disable", "gssencmode=prefer"), autocommit=True) as connection:
        assert connection.execute("select 1").fetchall() == [(1,)]
        assert connection.pgconn.ssl_in_use


@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
@pytest.mark.parametrize("negotiation", ["postgres", "direct"])
def test_tls(served: Served, certificate: tuple[Path, Path], mode: str, negotiation: str) -> None:
    with connect(served, sslmode=mode, sslnegotiation=negotiation, sslrootcert=str(certificate[0])) as connection:
        assert connection.pgconn.ssl_in_use
        assert connection.execute("select 1").fetchall() == [(1,)]
        assert len(connection.execute("big 3000").fetchall()) == 3000


@pytest.mark.parametrize("binding", ["disable", "prefer", "require"])
def test_scram_over_tls(served: Served, binding: str) -> None:
    with connect(served, user="alice", password=PASSWORD, sslmode="require", channel_binding=binding) as connection:
        assert connection.execute("select 1").fetchall() == [(1,)]


def test_scram_plain(served: Served) -> None:
    with connect(served, user="alice", password="pass viii", sslmode="disable") as connection:
        assert connection.execute("select 1").fetchall() == [(1,)]
    # Channel binding cannot be had without TLS.
    with pytest.raises(psycopg.OperationalError, match="channel binding"):
        connect(served, user="alice", password=PASSWORD, sslmode="disable", channel_binding="require")


@pytest.mark.parametrize("user", ["alice", "ghost"])
@pytest.mark.parametrize("mode", ["disable", "require"])
def test_wrong_password(served: Served, user: str, mode: str) -> None:
    with pytest.raises(psycopg.OperationalError, match=f'FATAL:  password authentication failed for user "{user}"'):
        connect(served, user=user, password="wrong", sslmode=mode)


def test_password_only_over_tls(served: Served) -> None:
    with connect(served, user="token", password="a token", sslmode="require") as connection:
        assert connection.execute("select 1").fetchall() == [(1,)]
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        connect(served, user="token", password="no", sslmode="require")
    with pytest.raises(psycopg.OperationalError, match="no pg_hba.conf entry .* no encryption"):
        connect(served, user="token", password="a token", sslmode="disable")


def test_rules(served: Served) -> None:
    with pytest.raises(psycopg.OperationalError, match="pg_hba.conf rejects connection"):
        connect(served, user="banned", sslmode="disable")
    with pytest.raises(psycopg.OperationalError, match="no pg_hba.conf entry .* SSL encryption"):
        connect(served, user="plain", sslmode="require")
    with pytest.raises(psycopg.OperationalError, match='role "nobody" does not exist'):
        connect(served, user="nobody")


def test_oracle_accepts_our_verifier_and_we_its(oracle: object) -> None:
    from tests.oracle import Oracle

    assert isinstance(oracle, Oracle)
    ours = str(make_verifier(PASSWORD))
    with psycopg.connect(oracle.dsn, autocommit=True) as connection:
        connection.execute(f"create role verifier_ours password '{ours}' login")
        connection.execute(f"create role verifier_theirs password '{PASSWORD}' login")
        stored: dict[str, str] = dict(
            connection.execute("select rolname, rolpassword from pg_authid where rolname like 'verifier_%'").fetchall()
        )
        connection.execute("drop role verifier_ours, verifier_theirs")
    assert stored["verifier_ours"] == ours
    theirs = parse_verifier(stored["verifier_theirs"])
    assert theirs is not None
    assert str(make_verifier(PASSWORD, theirs.iterations, theirs.salt)) == stored["verifier_theirs"]


def test_errors_reach_the_client(served: Served) -> None:
    with connect(served) as connection:
        with pytest.raises(psycopg.errors.DivisionByZero) as raised:
            connection.execute("fail")
        diagnostic = raised.value.diag
        assert (diagnostic.severity, diagnostic.message_primary) == ("ERROR", "division by zero")
        assert (diagnostic.message_detail, diagnostic.message_hint) == ("d", "h")
        assert (diagnostic.statement_position, diagnostic.constraint_name) == ("3", "c")
        with pytest.raises(psycopg.errors.InternalError_, match="a bug"):
            connection.execute("bug")
        assert connection.execute("select 1").fetchall() == [(1,)]
        with pytest.raises(psycopg.errors.SerializationFailure):
            connection.execute("later fail")
        with pytest.raises(psycopg.errors.AdminShutdown):
            connection.execute("fatal")
        assert connection.closed


@pytest.mark.parametrize("mode", ["disable", "require"])
def test_cancel(served: Served, mode: str) -> None:
    with connect(served, sslmode=mode) as connection:
        timer = threading.Timer(0.2, connection.cancel_safe)  # PQcancel would keep the GIL that the server needs
        timer.start()
        started = time.monotonic()
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("later 20000")
        assert time.monotonic() - started < 10
        timer.join()
        connection.cancel_safe()  # idle: hits nothing
        assert connection.execute("select 1").fetchall() == [(1,)]


def test_pipeline(served: Served) -> None:
    with connect(served) as connection, connection.pipeline():
        cursors = [connection.execute("select %s", (str(number),)) for number in range(1000)]
        assert [cursor.fetchone()[0] for cursor in cursors] == [*range(1000)]  # type: ignore[index]


def test_pipeline_with_suspending_statements(served: Served) -> None:
    with connect(served) as connection, connection.pipeline():
        for _ in range(300):
            connection.execute("later 0")
        assert connection.execute("select 1").fetchall() == [(1,)]


def test_copy(served: Served) -> None:
    with connect(served) as connection:
        cursor = connection.cursor()
        with cursor.copy("copy in") as copy:
            for _ in range(100):
                copy.write(b"x" * 100_000)
        assert cursor.rowcount == 10_000_000
        with pytest.raises(psycopg.errors.BadCopyFileFormat), cursor.copy("copy in") as copy:
            copy.write(b"bad")
        with pytest.raises(ZeroDivisionError), cursor.copy("copy in") as copy:
            raise ZeroDivisionError
        assert connection.execute("select 1").fetchall() == [(1,)]


def test_large_message(served: Served) -> None:
    with connect(served) as connection:
        text = "x" * (20 << 20)
        result = connection.execute("select %s", (text,)).pgresult
        assert result is not None
        assert result.get_value(0, 0) == text.encode()


def test_psql(served: Served) -> None:
    run = subprocess.run(
        [client("psql"), "-X", "-At", served.dsn, "-c", "select 1", "-c", "fail"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert run.stdout == "1\n"
    assert run.stderr.startswith("ERROR:  division by zero\nLINE 1: fail\n          ^\nDETAIL:  d\nHINT:  h\n")


def test_many_clients_and_no_leak(served: Served) -> None:
    connections = [connect(served) for _ in range(50)]
    assert len(served.listener.connections) >= 50
    for connection in connections:
        assert connection.execute("select 1").fetchall() == [(1,)]
        connection.close()
    deadline = time.monotonic() + 5
    while served.listener.connections and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not served.listener.connections
    assert not served.listener.registry._entries
    assert not served.listener._starting
