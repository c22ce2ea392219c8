"""README's quick start, played again: every line of output that psql and `boreal verify` give stands in the README.

Method: the same statements through the real psql, two sessions at once for the conflict. Transaction ids, hashes and trailing
spaces differ from run to run and are masked.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

from loadtest.postgresql import client
from tests.server import Server

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text("utf-8")


def masked(text: str) -> list[str]:
    text = re.sub(r"Transaction \d+", "Transaction N", text)
    text = re.sub(r"ends in [0-9a-f]+", "ends in H", text)
    return [line.rstrip() for line in text.splitlines() if line.strip()]


class Psql:
    """An interactive session."""

    def __init__(self, server: Server) -> None:
        command = [client("psql"), "-X", "-h", "127.0.0.1", "-p", str(server.port), "-U", "postgres", "postgres"]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def type(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        time.sleep(0.2)

    def output(self) -> str:
        return self.process.communicate(timeout=20)[0]


def test_quick_start() -> None:
    statements = re.findall(r"postgres=# (.*;)$", README, re.MULTILINE)
    assert len(statements) == 2
    with Server() as server:
        first, second = Psql(server), Psql(server)
        for statement in statements:
            first.type(statement)
        second.type("\\set VERBOSITY verbose")
        for session, amount in ((first, 30), (second, 80)):
            session.type("BEGIN;")
            session.type(f"UPDATE account SET balance = balance - {amount} WHERE owner = 'alice';")
        first.type("COMMIT;")
        second.type("COMMIT;")
        second.type("SELECT * FROM account ORDER BY owner;")
        shown = masked(first.output()) + masked(second.output())
        assert server.stop() == 0
        verified = subprocess.run(
            [sys.executable, "-m", "deploy.cli", "verify", "--data", str(server.data)],
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
        )
        shown += masked(verified.stdout)
    expected = masked(README)
    for line in shown:
        if line not in ("BEGIN", "UPDATE 1") and "LOCATION" not in line:
            assert line in expected, line
    assert any("(OC000)" in line for line in shown)
