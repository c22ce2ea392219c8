"""The command `boreal` as somebody at a terminal or systemd meets it: output, exit statuses, signals, systemd's socket.

Method: real processes (`tests.server.Server` and plain subprocesses) on free ports and in temporary directories.
"""

from __future__ import annotations

import json
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from deploy import VERSION
from loadtest.compare import foreign_environment
from tests.server import Server, slowness

ROOT = Path(__file__).parent.parent.parent
READY_SECONDS_MAX = 2.0
IDLE_BYTES_MAX = 150 << 20

pytestmark = pytest.mark.xdist_group("command_line")


def boreal(*arguments: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "deploy.cli", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**foreign_environment(), **(environment or {})},
        timeout=60,
    )


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as running:
        yield running


def get(server: Server, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.http_port}{path}", timeout=5) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


# ── without a node ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_help_and_version() -> None:
    assert VERSION in boreal("--version").stdout
    for command in ("start", "status", "drain", "verify"):
        assert command in boreal("--help").stdout
        done = boreal(command, "-h")
        assert done.returncode == 0
        assert "Usage" in done.stdout
    assert boreal("cook").returncode == 2


@pytest.mark.parametrize(
    ("arguments", "environment", "named"),
    [
        (["--pg-port", "99999"], {}, "pg_port"),
        (["--config", "/nonexistent.toml"], {}, "/nonexistent.toml"),
        ([], {"BOREAL_LOG_LEVEL": "loud"}, "BOREAL_LOG_LEVEL"),
        ([], {"BOREAL_TLS_KEY_FILE": "/nonexistent.key"}, "tls_certificate_file"),
        (
            [],
            {"BOREAL_TLS_KEY_FILE": "/nonexistent.key", "BOREAL_TLS_CERTIFICATE_FILE": "/nonexistent.crt"},
            "/nonexistent.crt",
        ),
        (["--pg-host", "256.1.1.1", "--pg-port", "0", "--http-port", "0"], {}, "pg_port"),
    ],
)
def test_wrong_settings_stop_the_start(
    arguments: list[str], environment: dict[str, str], named: str, tmp_path: Path
) -> None:
    done = boreal("start", "--data", str(tmp_path / "data"), *arguments, environment=environment)
    assert done.returncode == 1
    assert named in done.stderr
    assert "Traceback" not in done.stderr


def test_tls_key_of_another_certificate(tmp_path: Path) -> None:
    for name in ("a", "b"):
        make_certificate(tmp_path / f"{name}.crt", tmp_path / f"{name}.key")
    environment = {
        "BOREAL_TLS_CERTIFICATE_FILE": str(tmp_path / "a.crt"),
        "BOREAL_TLS_KEY_FILE": str(tmp_path / "b.key"),
    }
    done = boreal("start", "--data", str(tmp_path / "data"), environment=environment)
    assert done.returncode == 1
    assert "b.key" in done.stderr
    assert "Traceback" not in done.stderr


def make_certificate(certificate: Path, key: Path) -> None:
    """A self-signed certificate for localhost."""
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(private, hashes.SHA256())
    )
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )


def test_tls_of_a_configured_node(tmp_path: Path) -> None:
    make_certificate(tmp_path / "a.crt", tmp_path / "a.key")
    settings = {"tls_certificate_file": str(tmp_path / "a.crt"), "tls_key_file": str(tmp_path / "a.key")}
    with Server(tmp_path, **settings) as server, server.connect(sslmode="require") as connection:
        assert connection.pgconn.ssl_in_use


def test_verify_and_drain_without_a_node(tmp_path: Path) -> None:
    done = boreal("verify", "--data", str(tmp_path), "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["ok"] is False
    done = boreal("drain", "--data", str(tmp_path))
    assert done.returncode == 1
    assert "no node" in done.stderr
    done = boreal("status", "--url", "http://127.0.0.1:9")
    assert done.returncode == 1
    assert "127.0.0.1:9" in done.stderr


# ── a running node ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_start_is_quick_and_small(tmp_path: Path) -> None:
    """On an empty directory; the best of three, for other tests run at the same time."""
    ready = []
    for attempt in range(3):
        with Server(tmp_path / str(attempt)) as server:
            ready.append(server.ready_seconds)
            assert server.resident_bytes < IDLE_BYTES_MAX
    assert min(ready) < READY_SECONDS_MAX * slowness()


def test_health_and_status(server: Server) -> None:
    assert get(server, "/health") == (200, '{"status": "alive"}')
    assert get(server, "/ready") == (200, '{"ready": true}')
    with server.connect() as connection:
        connection.execute("CREATE TABLE status_test (a int PRIMARY KEY)")
        url = f"http://127.0.0.1:{server.http_port}"
        done = boreal("status", "--url", url, "--json")
        report = json.loads(done.stdout)
        assert done.returncode == 0
        assert report["ready"] is True
        assert report["sessions"] >= 1
        assert report["position"] >= 1
        assert "uptime seconds" in boreal("status", "--url", url).stdout
        metrics = get(server, "/metrics")[1]
    values = dict(line.rsplit(" ", 1) for line in metrics.splitlines() if not line.startswith("#"))
    assert float(values["boreal_view_position_total"]) == report["position"]
    assert float(values["boreal_sessions"]) >= 1


def test_data_directory_in_use(server: Server) -> None:
    assert server.process is not None
    done = boreal("start", "--data", str(server.data), "--pg-port", "0", "--http-port", "0")
    assert done.returncode == 1
    assert str(server.data) in done.stderr
    assert str(server.process.pid) in done.stderr
    done = boreal("verify", "--data", str(server.data))
    assert done.returncode == 1
    assert "in use" in done.stderr


@pytest.mark.parametrize("setting", ["pg_port", "http_port"])
def test_port_taken(server: Server, setting: str, tmp_path: Path) -> None:
    ports = {"pg_port": "0", "http_port": "0"}
    ports[setting] = str(server.port if setting == "pg_port" else server.http_port)
    done = boreal(
        "start", "--data", str(tmp_path / "d"), "--pg-port", ports["pg_port"], "--http-port", ports["http_port"]
    )
    assert done.returncode == 1
    assert f"{setting} {ports[setting]}" in done.stderr
    assert "Traceback" not in done.stderr


# ── stopping ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def ask_until_error(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    """Queries for two seconds."""
    for _ in range(100):
        connection.execute("SELECT 1")
        time.sleep(0.02)


def idle_session(server: Server) -> socket.socket:
    """A session that says nothing: a client that sends into a closing connection may lose what it was told last."""
    session = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    body = struct.pack(">i", 196608) + b"user\0postgres\0database\0postgres\0\0"
    session.sendall(struct.pack(">i", len(body) + 4) + body)
    received = b""
    while not received.endswith(b"Z\0\0\0\x05I"):
        received += session.recv(65536)
    return session


def read_to_end(session: socket.socket) -> bytes:
    received = b""
    while data := session.recv(65536):
        received += data
    return received


def test_drain_ends_idle_sessions_and_lets_transactions_finish(tmp_path: Path) -> None:
    server = Server(tmp_path, drain_seconds="8")
    server.start()
    try:
        with server.connect(autocommit=False) as busy, idle_session(server) as idle:
            busy.execute("CREATE TABLE drained (a int PRIMARY KEY)")
            busy.commit()
            busy.execute("INSERT INTO drained VALUES (1)")
            assert server.process is not None
            server.process.send_signal(signal.SIGTERM)
            assert b"57P01" in read_to_end(idle)
            with pytest.raises(psycopg.OperationalError, match="shutting down"):
                server.connect()
            busy.execute("INSERT INTO drained VALUES (2)")
            busy.commit()
            with pytest.raises(psycopg.OperationalError):
                ask_until_error(busy)
        assert server.process.wait(10) == 0
        assert server.verify()["ok"]
        server.start()
        with server.connect() as connection:
            assert connection.execute("SELECT a FROM drained ORDER BY a").fetchall() == [(1,), (2,)]
    finally:
        server.kill()


def test_drain_interrupts_after_its_time(tmp_path: Path) -> None:
    server = Server(tmp_path, drain_seconds="0.3")
    server.start()
    try:
        with server.connect(autocommit=False) as busy:
            busy.execute("CREATE TABLE never (a int PRIMARY KEY)")
            began = time.monotonic()
            done = boreal("drain", "--data", str(server.data), "--json")
            assert done.returncode == 0, done.stderr
            assert json.loads(done.stdout)["stopped"] is True
            assert time.monotonic() - began < 5
            with pytest.raises(psycopg.OperationalError):
                busy.execute("SELECT 1")
        assert server.process is not None
        assert server.process.wait(5) == 0
    finally:
        server.kill()


def test_interrupt_stops_like_terminate(tmp_path: Path) -> None:
    server = Server(tmp_path)
    server.start()
    assert server.process is not None
    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(10) == 0


# ── systemd ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_systemd_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = str(tmp_path / "notify")
    received: list[bytes] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifications:
        notifications.bind(address)
        notifications.settimeout(20)

        def receive() -> None:
            while b"STOPPING=1" not in received:
                received.append(notifications.recv(1000))

        reader = threading.Thread(target=receive, daemon=True)
        reader.start()
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        monkeypatch.setenv("WATCHDOG_USEC", "200000")
        with Server(tmp_path / "node") as server:
            time.sleep(0.5)
            assert server.stop() == 0
        reader.join(5)
    assert received[0] == b"READY=1"
    assert received[-1] == b"STOPPING=1"
    assert received.count(b"WATCHDOG=1") >= 3


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not here")
def test_systemd_unit(tmp_path: Path) -> None:
    text = (ROOT / "deploy/systemd/boreal.service").read_text()
    program = tmp_path / "boreal"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = tmp_path / "boreal.service"
    unit.write_text(text.replace("/opt/boreal/bin/boreal", str(program)).replace("User=boreal\nGroup=boreal\n", ""))
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    assert "boreal.service" not in done.stderr, done.stderr
    assert done.returncode == 0, done.stderr
