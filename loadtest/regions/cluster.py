"""A cluster of real processes on this machine, as its operator has it: `boreal cluster start`, and its other verbs.

Everything goes by the command line, SQL and HTTP: what is measured is what is shipped.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import psycopg

from loadtest.compare import Target, foreign_environment

HOST = "127.0.0.1"
WAN = "12ms,62ms,60ms"
"""Round trips between n1 and n2 (full regions), n1 and n3, n2 and n3 (a witness)."""
ONE_WAY_MS = 6.0
"""d of the architecture's table: between the two full regions."""
READY_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 60.0
_PROGRAM = [sys.executable, "-m", "deploy.cli"]
_READY = "Ctrl-C stops all"

Connection = psycopg.Connection[tuple[Any, ...]]


@dataclass(frozen=True)
class Place:
    """A node: its name, and where it listens."""

    name: str
    pg_port: int
    http_port: int
    witness: bool

    @property
    def target(self) -> Target:
        """For pgbench and psql."""
        return Target(f"Boreal {self.name}", HOST, self.pg_port)


class Regions:
    """Two full regions n1 and n2, of which n1 leads, and a witness n3; gone when the `with` block ends.

    Args:
        settings: of every node.
        wan: round trips between the pairs; "" for none.
        directory: where it is; None: a temporary one. An existing cluster there is started again.
    """

    def __init__(
        self, settings: Mapping[str, str] | None = None, *, wan: str = WAN, directory: Path | None = None
    ) -> None:
        self._settings = {"leader_preferred": "n1", **(settings or {})}
        self._wan = wan
        self._temporary = directory is None
        self.directory = directory or Path(tempfile.mkdtemp(prefix="boreal-regions-"))
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Regions:
        exists = (self.directory / "cluster.json").exists()
        options = [] if exists else [f"--set={key}={value}" for key, value in self._settings.items()]
        if not exists:
            options += ["--base-port", "0"]
        if self._wan:
            options += ["--wan", self._wan]
        self._process = subprocess.Popen(
            [*_PROGRAM, "cluster", "start", "--data", str(self.directory), *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=foreign_environment(),
        )
        try:
            self._wait_until_ready()
        except BaseException:
            self._end()
            raise
        return self

    def _wait_until_ready(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        shown = []
        for line in self._process.stdout:
            shown.append(line)
            if _READY in line:
                break
        else:
            raise RuntimeError(f"the cluster did not start:\n{''.join(shown)}")
        deadline = time.monotonic() + READY_SECONDS_MAX
        while not self.status("n1").get("leader"):
            if time.monotonic() > deadline:
                raise RuntimeError("n1 does not lead")
            time.sleep(0.05)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.communicate(timeout=STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                self._process.kill()
                raise
        if self._temporary:
            shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def places(self) -> dict[str, Place]:
        """The nodes that there are now, by name."""
        state = json.loads((self.directory / "cluster.json").read_text())
        return {
            node["name"]: Place(node["name"], node["pg_port"], node["http_port"], node["witness"])
            for node in state["nodes"]
        }

    def verb(self, *arguments: str, nice: int = 0) -> str:
        """`boreal cluster …`; its output. Raises RuntimeError with it when it fails.

        Args:
            nice: of the command, and so of every node that it starts.
        """
        return self._boreal("cluster", *arguments, "--data", str(self.directory), nice=nice)

    def member(self, node: str, *arguments: str) -> str:
        """`boreal member …` on a node's host."""
        return self._boreal("member", *arguments, "--data", str(self.directory / node / "data"))

    def _boreal(self, *arguments: str, nice: int = 0) -> str:
        command = [*_PROGRAM, *arguments]
        if nice:
            command = ["nice", "-n", str(nice), *command]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=foreign_environment()
        )
        while nice and process.poll() is None:
            _renice_sessions_of_children(process.pid, nice)
            time.sleep(0.02)
        output, _ = process.communicate()
        if process.returncode:
            raise RuntimeError(f"boreal {' '.join(arguments)} failed:\n{output}")
        return output

    def status(self, name: str) -> dict[str, Any]:
        """What a node says of itself; {} if it says nothing."""
        try:
            with urllib.request.urlopen(f"http://{HOST}:{self.places[name].http_port}/status", timeout=5) as answer:
                found: dict[str, Any] = json.loads(answer.read())
                return found
        except (OSError, urllib.error.URLError):
            return {}

    def connect(self, name: str) -> Connection:
        """An autocommit session at a node."""
        return psycopg.connect(
            host=HOST,
            port=self.places[name].pg_port,
            user="postgres",
            dbname="postgres",
            autocommit=True,
            prepare_threshold=0,
        )


def _renice_sessions_of_children(process: int, nice: int) -> None:
    """A node is a session of its own. Where the kernel schedules by session (autogroup), a process's niceness says nothing to those
    of other sessions: the session has one itself."""
    try:
        for child in Path(f"/proc/{process}/task/{process}/children").read_text().split():
            file = Path(f"/proc/{child}/autogroup")
            is_own_session = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[3] == child
            if is_own_session and not file.read_text().endswith(f" nice {nice}\n"):
                file.write_text(str(nice))
    except (FileNotFoundError, ProcessLookupError):
        return  # it has ended, or this kernel has no autogroups
