"""`boreal cert` and the contexts made of its files: who is let in, and whom a node recognises.

Method: real TLS handshakes over memory buffers, between contexts of nodes of one authority, of another, and of nobody.
"""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.certificates import CertificateError, make_authority, make_node, names_in, peer_contexts

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("certificates")
    for authority in ("ours", "theirs"):
        make_authority(made / authority)
        for name in ("n1", "n2"):
            make_node(name, ["127.0.0.1", "::1", "db.example.com"], made / authority, made / authority)
    return made


def contexts(directory: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    return peer_contexts(str(directory / "ca.pem"), str(directory / f"{name}.pem"), str(directory / f"{name}.key"))


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, host: str) -> tuple[dict[str, object], dict[str, object]]:
    """(the client's certificate, the server's), as each side sees the other; raises ssl.SSLError."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    accepting = server.wrap_bio(to_server, to_client, server_side=True)
    dialling = client.wrap_bio(to_client, to_server, server_hostname=host)
    pending = {dialling.do_handshake, accepting.do_handshake}
    for _ in range(10):
        for step in (dialling.do_handshake, accepting.do_handshake):
            if step in pending:
                try:
                    step()
                    pending.discard(step)
                except ssl.SSLWantReadError:
                    pass
    assert not pending
    return accepting.getpeercert() or {}, dialling.getpeercert() or {}


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "db.example.com", "n1"])
def test_members_know_each_other(directory: Path, host: str) -> None:
    client, server = handshake(contexts(directory / "ours", "n1")[0], contexts(directory / "ours", "n2")[1], host)
    assert ("DNS", "n2") in client["subjectAltName"]  # type: ignore[operator]
    assert ("DNS", "n1") in server["subjectAltName"]  # type: ignore[operator]


def test_others_are_not_let_in(directory: Path) -> None:
    server, client = contexts(directory / "ours", "n1")
    foreign_server, foreign_client = contexts(directory / "theirs", "n2")
    foreign_client.load_verify_locations(directory / "ours" / "ca.pem")
    nobody = ssl.create_default_context(cafile=str(directory / "ours" / "ca.pem"))
    for stranger in (foreign_client, nobody):
        with pytest.raises(ssl.SSLError, match=r"(?i)certificate"):
            handshake(server, stranger, "127.0.0.1")
    with pytest.raises(ssl.SSLError, match="CERTIFICATE_VERIFY_FAILED"):
        handshake(foreign_server, client, "127.0.0.1")
    with pytest.raises(ssl.SSLError, match="CERTIFICATE_VERIFY_FAILED"):
        handshake(server, contexts(directory / "ours", "n2")[1], "10.0.0.1")
    old = ssl.create_default_context(cafile=str(directory / "ours" / "ca.pem"))
    old.load_cert_chain(directory / "ours" / "n2.pem", directory / "ours" / "n2.key")
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):
        handshake(server, old, "127.0.0.1")


def test_keys_are_the_owners_alone(directory: Path) -> None:
    for key in (directory / "ours").glob("*.key"):
        assert key.stat().st_mode & 0o777 == 0o600
    assert len(list((directory / "ours").glob("*.key"))) == 3


def test_names(directory: Path) -> None:
    assert names_in(str(directory / "ours" / "n1.pem")) == ["n1", "127.0.0.1", "::1", "db.example.com"]


def test_nothing_is_replaced(directory: Path) -> None:
    before = (directory / "ours" / "ca.key").read_bytes()
    with pytest.raises(CertificateError, match=r"ca\.pem exists"):
        make_authority(directory / "ours")
    with pytest.raises(CertificateError, match=r"n1\.pem exists"):
        make_node("n1", ["127.0.0.1"], directory / "ours", directory / "ours")
    assert (directory / "ours" / "ca.key").read_bytes() == before


def test_files_that_do_not_fit(directory: Path, tmp_path: Path) -> None:
    ours = directory / "ours"
    with pytest.raises(CertificateError, match="no certificate authority"):
        make_node("n3", ["127.0.0.1"], tmp_path, tmp_path)
    with pytest.raises(CertificateError, match="peer_ca_file"):
        peer_contexts(str(tmp_path / "none"), str(ours / "n1.pem"), str(ours / "n1.key"))
    with pytest.raises(CertificateError, match=r"peer_certificate_file.*n1\.pem.*n2\.key"):
        peer_contexts(str(ours / "ca.pem"), str(ours / "n1.pem"), str(ours / "n2.key"))
    with pytest.raises(CertificateError, match="peer_certificate_file"):
        names_in(str(ours / "n1.key"))


def test_the_commands(tmp_path: Path) -> None:
    def boreal(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "deploy.cli", "cert", *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
            timeout=60,
        )

    authority, out = str(tmp_path / "authority"), str(tmp_path / "node")
    assert boreal("ca", "--out", authority).returncode == 0
    done = boreal("node", "n1", "--host", "127.0.0.1", "--ca", authority, "--out", out)
    assert done.returncode == 0
    assert sorted(os.listdir(out)) == ["ca.pem", "n1.key", "n1.pem"]
    again = boreal("node", "n1", "--host", "127.0.0.1", "--ca", authority, "--out", out)
    assert again.returncode == 1
    assert "exists already" in again.stderr
    assert "Traceback" not in again.stderr
