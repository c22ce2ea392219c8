"""The settings of a node: a TOML file, then `BOREAL_*` environment variables, then flags, validated by one model.

A wrong key or value is a ConfigError that names it and where it came from. Units are last in the names.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from journal.errors import BorealError

Role = Literal["journal", "storage", "frontend"]
Port = Annotated[int, Meta(ge=0, le=65535)]
Positive = Annotated[int, Meta(ge=1)]


class ConfigError(BorealError):
    """A setting is unknown or has a value that does not fit; the message names it."""

    sqlstate = "F0000"


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that can be set, with its default.

    Attributes:
        data_directory: where journal and view live; made if missing, used by one node at a time.
        node_id: number of this node, unique in the cluster; part of transaction ids.
        region: label of the node.
        roles: what the node does.
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
        drain_seconds: how long SIGTERM lets transactions finish.
        log_level: of the node's log on standard error.
    """

    data_directory: str = "./boreal-data"
    node_id: Annotated[int, Meta(ge=0, le=1023)] = 1
    region: str = "local"
    roles: tuple[Role, ...] = ("journal", "storage", "frontend")
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
    drain_seconds: Annotated[float, Meta(ge=0)] = 10.0
    log_level: Literal["debug", "info", "warning", "error"] = "info"


def load(file: Path | None, environment: Mapping[str, str], flags: Mapping[str, object]) -> Config:
    """The effective configuration.

    Args:
        file: TOML file, or None.
        environment: the process environment; `BOREAL_PG_PORT` sets pg_port, lists are comma-separated.
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
        value: Any = [part.strip() for part in text.split(",")] if key == "roles" else text
        values[key] = _check({key: value}, f"environment variable {name}", strict=False)[key]
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


def _check_together(config: Config) -> None:
    if bool(config.tls_certificate_file) != bool(config.tls_key_file):
        raise ConfigError("tls_certificate_file and tls_key_file go together")
    if set(config.roles) != {"journal", "storage", "frontend"}:
        raise ConfigError("roles: a single node needs all of journal, storage and frontend")
