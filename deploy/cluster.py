"""A cluster of real processes on this machine's loopback, to try Boreal and to hurt it.

    DIR/cluster.json        which nodes there are, and their ports
    DIR/certificates/       an authority and a certificate for each node
    DIR/n1/boreal.toml      the node's configuration, as somebody would write it for three hosts
    DIR/n1/data, DIR/n1/log
    DIR/n1/faults.json      delays, cuts, skew and disk faults that are in force on it (`deploy.faults`)

Every verb works from any process that knows the directory: a node's process is found by the lock on its data directory, which
the kernel releases with the process, so a number that was reused by something else is never signalled.

Delays and cuts happen in the nodes' own transport, not in the kernel. That needs no privileges, works the same in every
container, and is what a partition looks like to the journal; what it does not show is how the kernel's TCP behaves on a
lossy line, and client connections are not delayed.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from deploy.certificates import CA_CERTIFICATE, make_authority, make_node
from deploy.config import load
from deploy.control import ControlError, LeaderOrder, MemberOrder, give_order
from deploy.directory import holder, wait_until_free
from deploy.faults import FaultSettings, read_faults, write_faults
from deploy.status import NodeStatus, fetch_status
from journal.errors import BorealError

HOST = "127.0.0.1"
READY_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 20.0
_ROOT = Path(__file__).resolve().parent.parent
_STATE = "cluster.json"
_DURATION = re.compile(r"([+-]?\d+(?:\.\d+)?)(us|ms|s)?")
_UNIT_US = {"us": 1, "ms": 1000, "s": 1_000_000, None: 1000}


class ClusterError(BorealError):
    """A local cluster cannot do what it was asked to; the message says why."""

    sqlstate = "F0000"


class NodePlace(msgspec.Struct, frozen=True):
    """One node: its name, its region, and where it listens."""

    name: str
    region: str
    witness: bool
    pg_port: int
    http_port: int
    peer_port: int
    roles: tuple[str, ...] = ("journal", "storage", "frontend")
    founder: bool = True
    """Whether it was there from the beginning; others were added."""

    @property
    def dsn(self) -> str:
        """For psycopg."""
        return f"host={HOST} port={self.pg_port} user=postgres dbname=postgres"

    @property
    def url(self) -> str:
        """Of the HTTP listener."""
        return f"http://{HOST}:{self.http_port}"


class ClusterState(msgspec.Struct, frozen=True):
    """What cluster.json holds."""

    nodes: tuple[NodePlace, ...]


def parse_duration_us(text: str) -> int:
    """`12ms`, `250us`, `-1.5s`; without a unit milliseconds. Raises ClusterError."""
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise ClusterError(f"{text!r} is no duration; write 12ms, 250us or 1.5s")
    return round(float(found[1]) * _UNIT_US[found[2]])


def parse_wan(text: str, count: int) -> dict[tuple[int, int], int]:
    """Round-trip times in µs by pair of nodes, from a list in the order 1-2, 1-3, …, 2-3, …. Raises ClusterError."""
    pairs = list(itertools.combinations(range(count), 2))
    times = [parse_duration_us(part) for part in text.split(",")]
    if len(times) != len(pairs) or min(times) < 0:
        shown = ", ".join(f"{first + 1}-{second + 1}" for first, second in pairs)
        raise ClusterError(f"--wan {text}: {len(pairs)} round-trip times are needed, for the pairs {shown}")
    return dict(zip(pairs, times, strict=True))


class LocalCluster:
    """The cluster in a directory.

    Attributes:
        nodes: in the order of their numbers.
    """

    def __init__(self, directory: Path, state: ClusterState) -> None:
        self.directory = directory.resolve()
        self.nodes = state.nodes
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    @classmethod
    def open(cls, directory: Path) -> LocalCluster:
        """The one that was made there. Raises ClusterError."""
        try:
            state = msgspec.json.decode((directory / _STATE).read_bytes(), type=ClusterState)
        except (OSError, msgspec.MsgspecError) as error:
            raise ClusterError(f"there is no local cluster in {directory}: {error}") from error
        return cls(directory, state)

    @classmethod
    def make(
        cls,
        directory: Path,
        *,
        regions: int = 3,
        witness: bool = True,
        base_port: int = 0,
        settings: Mapping[str, str] | None = None,
    ) -> LocalCluster:
        """Make one, with certificates and configurations; nothing is started.

        Args:
            witness: the last region has only a witness.
            base_port: node i has the ports base + i, base + 100 + i (HTTP), base + 200 + i (peers); 0: free ones.
            settings: further settings of every node; the values are TOML, or text.

        Raises:
            ClusterError: there is one already. ConfigError: a setting is wrong.
        """
        if (directory / _STATE).exists():
            raise ClusterError(f"there is a local cluster in {directory} already")
        ports = _ports(regions, base_port)
        nodes = tuple(
            NodePlace(
                f"n{number}",
                f"region-{number}",
                witness and number == regions,
                *ports[number - 1],
                ("journal",) if witness and number == regions else NodePlace.__struct_defaults__[0],
            )
            for number in range(1, regions + 1)
        )
        cluster = cls(directory, ClusterState(nodes))
        cluster._write(settings or {})
        return cluster

    def _write(self, settings: Mapping[str, str]) -> None:
        certificates = self.directory / "certificates"
        if not (certificates / CA_CERTIFICATE).exists():
            make_authority(certificates)
        for number, node in enumerate(self.nodes, 1):
            file = self.directory / node.name / "boreal.toml"
            if file.exists():
                continue
            if not (certificates / f"{node.name}.pem").exists():
                make_node(node.name, [HOST], certificates, certificates)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(self._configuration(number, node, settings), "utf-8")
            load(file, {}, {})
        (self.directory / _STATE).write_bytes(msgspec.json.encode(ClusterState(self.nodes)))

    def _configuration(self, number: int, node: NodePlace, settings: Mapping[str, str]) -> str:
        certificates = self.directory / "certificates"
        values: dict[str, str] = {
            "data_directory": _quoted(self.data(node.name)),
            "node_id": str(number),
            "node_name": _quoted(node.name),
            "cluster": _quoted("local"),
            "region": _quoted(node.region),
            "roles": json.dumps(node.roles),
            "pg_port": str(node.pg_port),
            "http_port": str(node.http_port),
            "peer_port": str(node.peer_port),
            "peer_ca_file": _quoted(certificates / CA_CERTIFICATE),
            "peer_certificate_file": _quoted(certificates / f"{node.name}.pem"),
            "peer_key_file": _quoted(certificates / f"{node.name}.key"),
            "faults_file": _quoted(self._faults_file(node.name)),
        }
        values.update((key, _toml(value)) for key, value in settings.items())
        lines = [f"{key} = {value}" for key, value in values.items()]
        for member in (each for each in self.nodes if each.founder):
            lines += ["", "[[members]]", f"name = {_quoted(member.name)}", f"host = {_quoted(HOST)}"]
            lines += [f"port = {member.peer_port}", f"witness = {str(member.witness).lower()}"]
        return "\n".join(lines) + "\n"

    # ---- who ---------------------------------------------------------------------------------------------------------

    def node(self, name: str) -> NodePlace:
        """By name. Raises ClusterError."""
        for each in self.nodes:
            if each.name == name:
                return each
        raise ClusterError(f"there is no node {name}; there are {', '.join(each.name for each in self.nodes)}")

    def data(self, name: str) -> Path:
        """A node's data directory."""
        return self.directory / name / "data"

    def log(self, name: str) -> Path:
        """A node's log."""
        return self.directory / name / "log"

    def process(self, name: str) -> int | None:
        """The process that runs the node, or None."""
        return holder(self.data(self.node(name).name))

    # ---- life --------------------------------------------------------------------------------------------------------

    def start(self, name: str) -> None:
        """Start a node's process; it goes on when this one ends. Raises ClusterError if it runs."""
        place = self.node(name)
        if self.process(name) is not None:
            raise ClusterError(f"{name} runs already")
        environment = {key: value for key, value in os.environ.items() if not key.startswith("BOREAL_")}
        path = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = os.pathsep.join([str(_ROOT), *([path] if path else [])])
        with self.log(name).open("ab") as log:
            self._children[name] = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "deploy.cli",
                    "start",
                    "--config",
                    str(self.directory / place.name / "boreal.toml"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,  # Ctrl-C at a terminal is for whoever started the cluster
            )

    def ended(self) -> dict[str, int]:
        """Exit statuses of nodes that this object started and that have ended since it was asked last."""
        found = {}
        for name, child in list(self._children.items()):
            status = child.poll()
            if status is not None:
                found[name] = status
                del self._children[name]
        return found

    def wait_until_ready(self, names: Iterable[str], seconds_max: float = READY_SECONDS_MAX) -> None:
        """Raises ClusterError, with the end of the log, if one is not ready in time or has ended."""
        deadline = time.monotonic() + seconds_max
        for name in names:
            while not self._is_ready(name):
                ended = self._children.get(name)
                if time.monotonic() > deadline or (ended is not None and ended.poll() is not None):
                    last = "\n".join(self.log(name).read_text("utf-8", "replace").splitlines()[-5:])
                    raise ClusterError(f"{name} is not ready; the end of {self.log(name)}:\n{last}")
                time.sleep(0.05)

    def _is_ready(self, name: str) -> bool:
        status = self.status(name)
        return status is not None and status.ready

    def stop(self, seconds_max: float = STOP_SECONDS_MAX) -> list[str]:
        """SIGTERM to every node, SIGKILL to those that have not ended in time, whose names are returned."""
        self.nodes = LocalCluster.open(self.directory).nodes  # others may have joined meanwhile
        running = [node.name for node in self.nodes if self.process(node.name) is not None]
        for name in running:
            self._signal(name, signal.SIGCONT, signal.SIGTERM)
        deadline = time.monotonic() + seconds_max
        late = [name for name in running if not wait_until_free(self.data(name), max(0.0, deadline - time.monotonic()))]
        for name in late:
            self._signal(name, signal.SIGKILL)
        for name, child in self._children.items():
            if name not in running and child.poll() is None:
                child.terminate()  # one that had not become a node yet
            try:
                child.wait(max(1.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
                if name not in late:
                    late.append(name)
        self._children.clear()
        return late

    def _signal(self, name: str, *numbers: signal.Signals) -> bool:
        process = self.process(name)
        if process is None:
            return False
        try:
            for number in numbers:
                os.kill(process, number)
        except ProcessLookupError:
            return False
        return True

    # ---- members -----------------------------------------------------------------------------------------------------

    def join(self, name: str, *, vote: bool, seconds_max: float = READY_SECONDS_MAX) -> None:
        """Add a node while the cluster runs: make it, start it on an empty directory, let it catch up, and give it a vote; or
        none, then it has no role journal. Its settings are the defaults.

        Raises:
            ClusterError, ControlError: there is no leader, or the leader refuses.
        """
        if any(each.name == name for each in self.nodes):
            raise ClusterError(f"there is a node {name} already")
        roles = NodePlace.__struct_defaults__[0] if vote else ("storage", "frontend")
        ports = _ports(1, 0)[0]
        place = NodePlace(name, f"region-{len(self.nodes) + 1}", False, *ports, roles, False)
        self.nodes = (*self.nodes, place)
        self._write({})
        self.order(MemberOrder("add", name, HOST, place.peer_port))
        self.start(name)
        self.wait_until_ready([name], seconds_max)
        deadline = time.monotonic() + seconds_max
        while vote:
            try:
                self.order(MemberOrder("promote", name))
                return
            except ControlError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def order(self, order: MemberOrder | LeaderOrder) -> None:
        """Have the leader do something. Raises ClusterError (there is none), ControlError (it refuses)."""
        leader = self.leader()
        if leader is None:
            raise ClusterError("no node leads now")
        give_order(self.data(leader), order)

    # ---- faults ------------------------------------------------------------------------------------------------------

    def kill(self, name: str) -> None:
        """kill -9."""
        self._must_run(name, signal.SIGKILL)
        wait_until_free(self.data(name), STOP_SECONDS_MAX)
        child = self._children.pop(name, None)
        if child is not None:
            child.wait()

    def pause(self, name: str) -> None:
        """SIGSTOP: alive for the kernel, dead for everybody else."""
        self._must_run(name, signal.SIGSTOP)

    def resume(self, name: str) -> None:
        """SIGCONT."""
        self._must_run(name, signal.SIGCONT)

    def _must_run(self, name: str, number: signal.Signals) -> None:
        if not self._signal(name, number):
            raise ClusterError(f"{name} does not run")

    def set_wan(self, round_trips_us: Mapping[tuple[int, int], int]) -> None:
        """Delays between pairs of nodes (by place in `nodes`); half of a round trip each way."""
        for place, node in enumerate(self.nodes):
            delays = {}
            for pair, round_trip_us in round_trips_us.items():
                if place in pair and round_trip_us:
                    delays[self.nodes[pair[0] + pair[1] - place].name] = round_trip_us / 2000
            self._change_faults(node.name, delays_ms=delays)

    def partition(self, names: Sequence[str], *, one_way: bool = False) -> None:
        """Cut these nodes off from all others; one-way: what they send is lost, they still hear the others."""
        inside = [self.node(name).name for name in names]
        outside = [node.name for node in self.nodes if node.name not in inside]
        if not inside or not outside:
            raise ClusterError("a partition needs nodes on both sides")
        for name in inside:
            self._cut(name, outside)
        for name in outside if not one_way else ():
            self._cut(name, inside)

    def _cut(self, name: str, others: Sequence[str]) -> None:
        cut = read_faults(self._faults_file(name)).cut
        self._change_faults(name, cut=tuple(dict.fromkeys([*cut, *others])))

    def bridge(self, name: str) -> None:
        """Of the other nodes no two reach each other; all of them reach this one."""
        others = [node.name for node in self.nodes if node.name != self.node(name).name]
        for each in others:
            self._cut(each, [other for other in others if other != each])

    def deafen(self, names: Sequence[str]) -> None:
        """The other one-way partition: these nodes no longer hear the others, who still hear them."""
        inside = {self.node(name).name for name in names}
        self.partition([node.name for node in self.nodes if node.name not in inside], one_way=True)

    def slow_disk(self, name: str, delay_ms: float) -> None:
        """Every synchronization of the node's journal takes so much longer; 0: no longer."""
        self._change_faults(self.node(name).name, disk_delay_ms=delay_ms)

    def fill_disk(self, name: str) -> None:
        """The node's journal gets no further space."""
        self._change_faults(self.node(name).name, disk_full=True)

    def heal(self) -> None:
        """No cuts any more, right clocks, disks that are quick and have space; delays stay."""
        for node in self.nodes:
            self._change_faults(node.name, cut=(), skew_us=0, disk_delay_ms=0.0, disk_full=False)

    def skew(self, name: str, skew_us: int) -> None:
        """Set how far a node's clock is ahead of the host's."""
        self._change_faults(self.node(name).name, skew_us=skew_us)

    def faults(self, name: str) -> FaultSettings:
        """What is in force on a node."""
        return read_faults(self._faults_file(name))

    def _change_faults(self, name: str, **changes: object) -> None:
        file = self._faults_file(name)
        write_faults(file, msgspec.structs.replace(read_faults(file), **changes))

    def _faults_file(self, name: str) -> Path:
        return self.directory / name / "faults.json"

    # ---- how it is ---------------------------------------------------------------------------------------------------

    def status(self, name: str, seconds_max: float = 1.0) -> NodeStatus | None:
        """What a node says of itself; None if it does not."""
        try:
            return fetch_status(self.node(name).url, seconds_max=seconds_max)
        except (OSError, ValueError):
            return None  # down, paused, or on its way up: that is the answer

    def leader(self) -> str | None:
        """The name of the node that leads now, if one says so."""
        for node in self.nodes:
            status = self.status(node.name)
            if status is not None and status.leader and status.ready:
                return node.name
        return None


def _ports(count: int, base_port: int) -> list[tuple[int, int, int]]:
    if base_port:
        return [(base_port + i, base_port + 100 + i, base_port + 200 + i) for i in range(1, count + 1)]
    sockets = []
    try:
        for _ in range(3 * count):
            sockets.append(socket.create_server((HOST, 0)))
        free = [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
    return [(free[3 * i], free[3 * i + 1], free[3 * i + 2]) for i in range(count)]


def _quoted(value: object) -> str:
    """A TOML string; JSON's are a subset of TOML's."""
    return json.dumps(str(value), ensure_ascii=False)


def _toml(text: str) -> str:
    """As it is if it is a TOML value, else as a string."""
    try:
        tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return _quoted(text)
    return text
