"""The settings of a node: a TOML file, then `BOREAL_*` environment variables, then flags, validated by one model.

A wrong key or value is a ConfigError that names it and where it came from. Units are last in the names.
"""

from __future__ import annotations

import ipaddress
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from journal.configuration import MEMBERS_MAX
from journal.errors import BorealError
from journal.transport import Peer

Role = Literal["journal", "storage", "frontend"]
Port = Annotated[int, Meta(ge=0, le=65535)]
Positive = Annotated[int, Meta(ge=1)]
NodeName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]{0,61}[A-Za-z0-9])?$")]
"""What a certificate can carry as a name."""


class ConfigError(BorealError):
    """A setting is unknown or has a value that does not fit; the message names it."""

    sqlstate = "F0000"


class MemberSetting(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A founding member: its `node_name`, where it listens for the others, and whether it is a witness."""

    name: NodeName
    host: str
    port: Annotated[int, Meta(ge=1, le=65535)]
    witness: bool = False


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that can be set, with its default.

    Attributes:
        data_directory: where journal and view live; made if missing, used by one node at a time.
        node_id: number of this node, unique in the cluster; part of transaction ids. Its place in `members`, or a larger one.
        node_name: name of the node among the members, in its certificate and its log; empty: `node-` and the number. It
            cannot be changed later.
        cluster: name that all members share; nodes of another cluster are turned away.
        region: label of the node.
        roles: what the node does. All three: a full node. `journal` alone: a witness, which votes and holds no data.
            `storage` and `frontend`: a follower without a vote.
        members: the founding members, the same list on every node, this one included. Empty: a single node. A node that the
            list does not name gets its data from the others, and has to be added to them.
        joining: this node is named in `members`, but its directory was lost: it is filled from the others, after the node was
            removed from them and added again.
        peer_host, peer_port: where this node listens for other members; empty and 0: as `members` says.
        peer_tls: `mutual`: members prove who they are by certificates; `off`: no encryption, on loopback only.
        peer_ca_file, peer_certificate_file, peer_key_file: PEM files that `boreal cert` makes.
        heartbeat_ms: how often a leader is heard of.
        election_ms: a leader not heard of for so long, or up to twice that, is replaced; the shorter lease counts from this.
        leader_preferred: name of the member that should lead when it can; the same on every node.
        fast_commit: with three voters, a COMMIT in the other full region is acknowledged after one round trip.
        commit_lead_ms: how far commit timestamps lead the clock, so that strong reads by the clock need not wait.
        read_path: how a transaction learns how far it must read. `auto`: `local` where this node leads with a lease, else
            `clock` if the clock's error is known and small, else `index`. `local`: the same without `clock`. `index`: always
            asks the leader. `clock`: by the clock wherever its error is known, also on the leader.
        clock_error_us: the largest error of any member's clock; -1: what this host's kernel says of its own.
        closed_ms: how often the leader tells up to when time is closed; 0: with its heartbeats.
        join_seconds: how long a member waits, when it starts, for a leader and for what was committed meanwhile.
        faults_file: JSON file with delays, cuts and a clock skew for this node, and what is wrong with its disk, as
            `boreal cluster` writes it; for tests.
        pg_host, pg_port: the PostgreSQL listener; port 0 takes a free one.
        pg_socket_directory: also listen on the Unix socket `.s.PGSQL.PORT` in this directory; empty for none.
        http_host, http_port: health and metrics.
        profile: SQL surface; so far only PostgreSQL's.
        tls_certificate_file, tls_key_file: PEM files; both or neither.
        authentication: `trust-loopback`: whoever is on this machine is let in, others need SCRAM; `scram`: everybody does.
        retention_hours: how long superseded row versions stay readable; 0 keeps all.
        conflict_window_seconds: longest time between a transaction's snapshot and its COMMIT.
        transaction_bytes_max: post-images of one transaction.
        connections_max: client connections at once.
        cache_bytes: RocksDB block cache.
        busy_poll_us: how long the node looks for a client's next message before it sleeps; 0 sleeps at once.
        journal_segment_bytes: size of a file of the Raft log, which is compacted beyond two of them; files of the event log are
            twice as large. Space is taken file by file, so small ones suit small disks.
        drain_seconds: how long SIGTERM lets transactions finish.
        log_level: of the node's log on standard error.
    """

    data_directory: str = "./boreal-data"
    node_id: Annotated[int, Meta(ge=0, le=1023)] = 1
    node_name: NodeName | Literal[""] = ""
    cluster: Annotated[str, Meta(min_length=1)] = "boreal"
    region: str = "local"
    roles: tuple[Role, ...] = ("journal", "storage", "frontend")
    members: Annotated[tuple[MemberSetting, ...], Meta(max_length=MEMBERS_MAX)] = ()
    joining: bool = False
    peer_host: str = ""
    peer_port: Port = 0
    peer_tls: Literal["mutual", "off"] = "mutual"
    peer_ca_file: str = ""
    peer_certificate_file: str = ""
    peer_key_file: str = ""
    heartbeat_ms: Annotated[int, Meta(ge=5, le=10_000)] = 100
    election_ms: Annotated[int, Meta(ge=50, le=60_000)] = 600
    leader_preferred: str = ""
    fast_commit: bool = False
    commit_lead_ms: Annotated[float, Meta(ge=0, le=1000)] = 0.0
    read_path: Literal["auto", "local", "index", "clock"] = "auto"
    clock_error_us: Annotated[int, Meta(ge=-1)] = -1
    closed_ms: Annotated[float, Meta(ge=0)] = 0.0
    join_seconds: Annotated[float, Meta(ge=0)] = 10.0
    faults_file: str = ""
    pg_host: str = "127.0.0.1"
    pg_port: Port = 5433
    pg_socket_directory: str = ""
    http_host: str = "127.0.0.1"
    http_port: Port = 8433
    profile: Literal["postgres"] = "postgres"
    tls_certificate_file: str = ""
    tls_key_file: str = ""
    authentication: Literal["trust-loopback", "scram"] = "trust-loopback"
    retention_hours: Annotated[float, Meta(ge=0)] = 24.0
    conflict_window_seconds: Positive = 300
    transaction_bytes_max: Positive = 256 << 20
    connections_max: Positive = 1000
    cache_bytes: Positive = 256 << 20
    busy_poll_us: Annotated[int, Meta(ge=0, le=10_000)] = 50
    journal_segment_bytes: Annotated[int, Meta(ge=64 << 10, le=1 << 30)] = 32 << 20
    drain_seconds: Annotated[float, Meta(ge=0)] = 10.0
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @property
    def name(self) -> str:
        """This node's name."""
        return self.node_name or f"node-{self.node_id}"

    @property
    def own_member(self) -> MemberSetting | None:
        """This node among the founding members."""
        return next((member for member in self.members if member.name == self.name), None)

    @property
    def is_witness(self) -> bool:
        """Whether the journal is all there is."""
        return set(self.roles) == {"journal"}

    @property
    def joins(self) -> bool:
        """Whether an empty directory is to be filled from the others."""
        return bool(self.members) and (self.joining or self.own_member is None)

    @property
    def peer_address(self) -> tuple[str, int]:
        """Where to listen for other members."""
        own = self.own_member
        host = self.peer_host or (own.host if own is not None else "127.0.0.1")
        return host, self.peer_port or (own.port if own is not None else 0)

    @property
    def peers(self) -> list[Peer]:
        """The other founding members."""
        return [Peer(each.name, each.host, each.port, each.witness) for each in self.members if each.name != self.name]


def load(file: Path | None, environment: Mapping[str, str], flags: Mapping[str, object]) -> Config:
    """The effective configuration.

    Args:
        file: TOML file, or None.
        environment: the process environment; `BOREAL_PG_PORT` sets pg_port, lists are comma-separated, and members
            written as `name=host:port` or, a witness, `name=host:port/witness`.
        flags: command line values by setting name; None means not given.

    Raises:
        ConfigError: unreadable file, unknown key, value of the wrong type or out of range.
    """
    values: dict[str, Any] = {}
    if file is not None:
        try:
            values.update(tomllib.loads(file.read_text("utf-8")))
        except (OSError, ValueError) as error:  # not readable, not UTF-8, not TOML
            raise ConfigError(f"configuration file {file}: {error}") from error
        _check(values, f"configuration file {file}")
    known = set(Config.__struct_fields__)
    for name, text in environment.items():
        if not name.startswith("BOREAL_"):
            continue
        key = name.removeprefix("BOREAL_").lower()
        if key not in known:
            raise ConfigError(f"environment variable {name}: there is no setting {key}")
        source = f"environment variable {name}"
        values[key] = _check({key: _from_text(key, text, source)}, source, strict=False)[key]
    values.update({key: value for key, value in flags.items() if value is not None})
    config = msgspec.convert(_check(values, "command line"), Config)
    _check_together(config)
    return config


def _check(values: dict[str, Any], source: str, *, strict: bool = True) -> dict[str, Any]:
    """Validate a part of the configuration, naming its source in the error; returns the converted values."""
    try:
        converted = msgspec.convert(values, Config, strict=strict)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{source}: {error}") from error
    return {key: getattr(converted, key) for key in values}


def _from_text(key: str, text: str, source: str) -> object:
    """A list is written with commas."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if key == "roles":
        return parts
    if key != "members":
        return text
    members = []
    for part in parts:
        found = _MEMBER.fullmatch(part)
        if found is None:
            raise ConfigError(f"{source}: members: {part!r} is not name=host:port or name=host:port/witness")
        name, host, port, witness = found.groups()
        members.append(MemberSetting(name, host.strip("[]"), int(port), witness is not None))
    return tuple(members)


_MEMBER = re.compile(r"([^=]+)=(\[[^]]+\]|[^:]+):(\d+)(/witness)?")
_ROLES = (
    {"journal", "storage", "frontend"},
    {"journal"},
    {"storage", "frontend"},
)


def _check_together(config: Config) -> None:
    """Settings that need one another."""
    if bool(config.tls_certificate_file) != bool(config.tls_key_file):
        raise ConfigError("tls_certificate_file and tls_key_file go together")
    if set(config.roles) not in _ROLES:
        raise ConfigError(
            "roles: all of journal, storage and frontend; or journal alone (a witness); or storage and frontend (a "
            "follower without a vote)"
        )
    if not config.members:
        _check_alone(config)
        return
    _check_members(config)
    _check_peer_tls(config)
    if config.election_ms < 3 * config.heartbeat_ms:
        raise ConfigError(
            f"election_ms {config.election_ms} is less than three times heartbeat_ms {config.heartbeat_ms}"
        )
    if config.leader_preferred and config.leader_preferred not in {member.name for member in config.members}:
        raise ConfigError(f"leader_preferred: members has no {config.leader_preferred}")


def _check_alone(config: Config) -> None:
    if len(set(config.roles)) != 3:
        raise ConfigError("roles: a single node needs all of journal, storage and frontend; others need members")
    for key in ("joining", "peer_host", "peer_port", "peer_ca_file", "peer_certificate_file", "peer_key_file"):
        if getattr(config, key):
            raise ConfigError(f"{key} is of no use without members")


def _check_members(config: Config) -> None:
    names = [member.name for member in config.members]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"members: {name} is there twice")
    addresses = [(member.host, member.port) for member in config.members]
    for host, port in addresses:
        if addresses.count((host, port)) > 1:
            raise ConfigError(f"members: {host}:{port} is there twice")
    if all(member.witness for member in config.members):
        raise ConfigError("members: there are only witnesses, nobody has data")
    own = config.own_member
    if own is None:
        if config.node_id <= len(names):
            raise ConfigError(
                f"node_id {config.node_id}: numbers up to {len(names)} belong to the nodes that members names"
            )
        if not config.peer_port:
            raise ConfigError(f"peer_port: members does not name {config.name}, so it must say where this node listens")
        return
    if config.node_id != names.index(own.name) + 1:
        raise ConfigError(f"node_id {config.node_id}: {own.name} is number {names.index(own.name) + 1} in members")
    if own.witness != config.is_witness:
        raise ConfigError(f"members says that {own.name} is {'' if own.witness else 'not '}a witness; roles differ")
    if "journal" not in config.roles and not config.joining:
        raise ConfigError(f"members names {own.name} as a voter, but its roles are without journal")


def _check_peer_tls(config: Config) -> None:
    if config.peer_tls == "off":
        for host in (config.peer_address[0], *(member.host for member in config.members)):
            if not _is_loopback(host):
                raise ConfigError(f'peer_tls = "off" is for loopback addresses only, not {host}')
        return
    for key in ("peer_ca_file", "peer_certificate_file", "peer_key_file"):
        if not getattr(config, key):
            raise ConfigError(f"{key} is needed with members (see `boreal cert`)")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
