"""A real Boreal process for tests: started, killed, restarted, verified."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType

import psycopg

from loadtest.compare import foreign_environment, free_port

READY_SECONDS_MAX = 30.0
LIBRARIES = "aiohttp.web, sqlglot, uvloop, rocksdict, msgspec, cryptography.x509, prometheus_client, click, pysyncobj"
LIBRARIES_SECONDS = 0.4
"""What loading them takes on the machine that limits of starting are written for."""


def slowness() -> float:
    """How many times slower than that machine this one is at this moment, at least 1: what a limit of starting is multiplied with.

    Virtual machines drift by a factor of two and more. The libraries are not ours, so a node that became slower, or sleeps, does
    not change this."""
    seconds = []
    for _ in range(2):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", f"import {LIBRARIES}"], check=True)
        seconds.append(time.perf_counter() - began)
    return max(1.0, min(seconds) / LIBRARIES_SECONDS)


class Server:
    """`boreal start` on free ports in a directory of its own.

    Attributes:
        dsn: for psycopg; `port` for anything else.
        environment: further variables for the process.
        ready_seconds: how long the last start took until the node said that it is ready.
    """

    def __init__(self, directory: Path | None = None, **settings: str) -> None:
        self._temporary = None if directory else tempfile.TemporaryDirectory(prefix="boreal-test-")
        self.directory = directory or Path(self._temporary.name if self._temporary else "")
        self.settings = settings
        self.environment: dict[str, str] = {}
        self.port = free_port()
        self.http_port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.ready_seconds = 0.0
        self.log = self.directory / "log"

    @property
    def dsn(self) -> str:
        return f"host=127.0.0.1 port={self.port} user=postgres dbname=postgres"

    @property
    def data(self) -> Path:
        return self.directory / "data"

    def connect(self, **options: object) -> psycopg.Connection[tuple[object, ...]]:
        """A psycopg connection in autocommit mode unless said otherwise."""
        options.setdefault("autocommit", True)
        return psycopg.connect(self.dsn, **options)  # type: ignore[arg-type, no-any-return]

    def start(self) -> None:
        """Start (again); returns when the node is ready."""
        began = time.perf_counter()
        settings = {f"BOREAL_{name.upper()}": value for name, value in self.settings.items()}
        self.directory.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "deploy.cli", "start", "--data", str(self.data)]
                + ["--pg-port", str(self.port), "--http-port", str(self.http_port)],
                stdout=subprocess.PIPE,
                stderr=log,
                env={**foreign_environment(), **self.environment, **settings},
                cwd=Path(__file__).parent.parent,
            )
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], READY_SECONDS_MAX)
        line = self.process.stdout.readline() if ready else b""
        if b"ready" not in line:
            self.kill()
            raise RuntimeError(f"boreal did not start: {self.log.read_text()}")
        self.ready_seconds = time.perf_counter() - began

    def kill(self) -> None:
        """kill -9."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self) -> int:
        """SIGTERM and wait; the exit status."""
        if self.process is None:
            return 0
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(30)
        self.process = None
        return status

    def verify(self) -> dict[str, object]:
        """`boreal verify --json` of the stopped node; its report."""
        done = subprocess.run(
            [sys.executable, "-m", "deploy.cli", "verify", "--data", str(self.data), "--json"],
            capture_output=True,
            text=True,
            check=False,
            cwd=Path(__file__).parent.parent,
            env=foreign_environment(),
        )
        report: dict[str, object] = json.loads(done.stdout)
        return report

    @property
    def resident_bytes(self) -> int:
        """Resident memory of the process."""
        assert self.process is not None
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.stop()
        finally:
            self.kill()
            if self._temporary is not None:
                self._temporary.cleanup()
