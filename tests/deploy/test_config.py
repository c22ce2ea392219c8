"""Settings: file, then environment, then flags; whatever is wrong is named together with where it came from."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from deploy.config import Config, ConfigError, load


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "boreal.toml"


def test_defaults_are_those_of_the_architecture() -> None:
    config = load(None, {}, {})
    assert (config.data_directory, config.profile) == ("./boreal-data", "postgres")
    assert (config.pg_host, config.pg_port) == ("127.0.0.1", 5433)
    assert (config.http_host, config.http_port) == ("127.0.0.1", 8433)
    assert config.authentication == "trust-loopback"
    assert set(config.roles) == {"journal", "storage", "frontend"}


def test_later_sources_win(file: Path) -> None:
    file.write_text('pg_port = 1111\nhttp_port = 1112\nlog_level = "error"\nretention_hours = 1\n')
    environment = {"BOREAL_HTTP_PORT": "2222", "BOREAL_LOG_LEVEL": "debug", "PATH": "/bin", "BOREALIS": "x"}
    config = load(file, environment, {"log_level": "warning", "pg_host": None})
    assert (config.pg_port, config.http_port, config.log_level) == (1111, 2222, "warning")
    assert (config.retention_hours, config.pg_host) == (1.0, "127.0.0.1")


def test_environment_values_are_text() -> None:
    environment = {
        "BOREAL_ROLES": "journal, storage,frontend",
        "BOREAL_RETENTION_HOURS": "0.5",
        "BOREAL_CACHE_BYTES": "1048576",
        "BOREAL_PG_SOCKET_DIRECTORY": "/tmp",
    }
    config = load(None, environment, {})
    assert config.roles == ("journal", "storage", "frontend")
    assert (config.retention_hours, config.cache_bytes, config.pg_socket_directory) == (0.5, 1 << 20, "/tmp")


WRONG_VALUES = {
    "data_directory": 7,
    "node_id": "x",
    "region": 7,
    "roles": ["cook"],
    "pg_host": 7,
    "pg_port": 65536,
    "pg_socket_directory": 7,
    "http_host": 7,
    "http_port": -1,
    "profile": "oracle",
    "tls_certificate_file": 7,
    "tls_key_file": 7,
    "authentication": "none",
    "retention_hours": -1,
    "conflict_window_seconds": 0,
    "transaction_bytes_max": 0,
    "connections_max": 0,
    "cache_bytes": "much",
    "drain_seconds": -0.1,
    "log_level": "loud",
    "busy_poll_us": 10_001,
    "node_name": "not a name",
    "cluster": 7,
    "members": [{"name": "a", "host": "127.0.0.1"}],
    "joining": "perhaps",
    "peer_host": 7,
    "peer_port": -1,
    "peer_tls": "perhaps",
    "peer_ca_file": 7,
    "peer_certificate_file": 7,
    "peer_key_file": 7,
    "heartbeat_ms": 1,
    "election_ms": 1,
    "leader_preferred": 7,
    "fast_commit": "perhaps",
    "commit_lead_ms": -1,
    "read_path": "shortcut",
    "clock_error_us": -2,
    "closed_ms": -1,
    "join_seconds": -1,
    "faults_file": 7,
    "journal_segment_bytes": 1000,
}


def test_every_setting_has_a_wrong_value() -> None:
    assert set(WRONG_VALUES) == set(Config.__struct_fields__)


@pytest.mark.parametrize("key", WRONG_VALUES)
def test_wrong_value_in_the_file(key: str, file: Path) -> None:
    value = WRONG_VALUES[key]
    text = '[{name = "a", host = "127.0.0.1"}]' if key == "members" else msgspec.json.encode(value).decode()
    file.write_text(f"{key} = {text}\n")
    with pytest.raises(ConfigError) as raised:
        load(file, {}, {})
    assert str(file) in str(raised.value)
    assert key in str(raised.value)


@pytest.mark.parametrize("key", [key for key, value in WRONG_VALUES.items() if value != 7])
def test_wrong_value_in_the_environment(key: str) -> None:
    value = WRONG_VALUES[key]
    text = "a=127.0.0.1" if key == "members" else ",".join(value) if isinstance(value, list) else str(value)
    with pytest.raises(ConfigError) as raised:
        load(None, {f"BOREAL_{key.upper()}": text}, {})
    assert f"BOREAL_{key.upper()}" in str(raised.value)


def test_wrong_flag() -> None:
    with pytest.raises(ConfigError, match=r"command line.*pg_port"):
        load(None, {}, {"pg_port": 70000})


def test_unknown_keys(file: Path) -> None:
    file.write_text("pg_prot = 1\n")
    with pytest.raises(ConfigError, match="pg_prot"):
        load(file, {}, {})
    with pytest.raises(ConfigError, match=r"BOREAL_PG_PROT.*pg_prot"):
        load(None, {"BOREAL_PG_PROT": "1"}, {})


def test_unreadable_file(file: Path) -> None:
    with pytest.raises(ConfigError, match=r"boreal\.toml"):
        load(file, {}, {})
    file.write_text("pg_port = = 1\n")
    with pytest.raises(ConfigError, match=r"boreal\.toml.*line 1"):
        load(file, {}, {})
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"boreal\.toml"):
        load(file, {}, {})


def test_settings_that_go_together() -> None:
    with pytest.raises(ConfigError, match="tls_certificate_file and tls_key_file"):
        load(None, {}, {"tls_key_file": "key.pem"})
    with pytest.raises(ConfigError, match="roles"):
        load(None, {"BOREAL_ROLES": "storage"}, {})


# ── members ────────────────────────────────────────────────────────────────────────────────────────────────────────────

THREE = "a=10.0.0.1:7433, b=10.0.0.2:7433, w=[fd00::3]:7433/witness"
TLS = {"BOREAL_PEER_CA_FILE": "ca", "BOREAL_PEER_CERTIFICATE_FILE": "certificate", "BOREAL_PEER_KEY_FILE": "key"}
MEMBER = {"BOREAL_MEMBERS": THREE, "BOREAL_NODE_NAME": "b", "BOREAL_NODE_ID": "2", **TLS}


def test_a_member_of_three() -> None:
    config = load(None, MEMBER, {})
    assert [(each.name, each.host, each.port, each.witness) for each in config.members] == [
        ("a", "10.0.0.1", 7433, False),
        ("b", "10.0.0.2", 7433, False),
        ("w", "fd00::3", 7433, True),
    ]
    assert config.peer_address == ("10.0.0.2", 7433)
    assert [peer.name for peer in config.peers] == ["a", "w"]
    assert not config.joins
    assert not config.is_witness


def test_members_in_a_file(file: Path) -> None:
    member = '[[members]]\nname = "a"\nhost = "127.0.0.1"\nport = 7433\n'
    file.write_text(f'node_name = "a"\npeer_tls = "off"\npeer_host = "127.0.0.1"\npeer_port = 1\n{member}')
    config = load(file, {}, {})
    assert config.peer_address == ("127.0.0.1", 1)
    file.write_text(f'node_name = "a"\n{member}witnes = true\n')
    with pytest.raises(ConfigError, match=r"boreal\.toml.*witnes"):
        load(file, {}, {})


def test_a_node_that_joins() -> None:
    joining = {**MEMBER, "BOREAL_NODE_NAME": "c", "BOREAL_NODE_ID": "4", "BOREAL_ROLES": "storage,frontend"}
    with pytest.raises(ConfigError, match="peer_port"):
        load(None, joining, {})
    config = load(None, {**joining, "BOREAL_PEER_HOST": "10.0.0.4", "BOREAL_PEER_PORT": "7433"}, {})
    assert config.joins
    assert config.peer_address == ("10.0.0.4", 7433)
    assert len(config.peers) == 3


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"BOREAL_MEMBERS": "a=1.1.1.1:1, a=1.1.1.2:1"}, "a is there twice"),
        ({"BOREAL_MEMBERS": "a=1.1.1.1:1, b=1.1.1.1:1"}, "1.1.1.1:1 is there twice"),
        ({"BOREAL_MEMBERS": "a=1.1.1.1:1/witness"}, "only witnesses"),
        ({"BOREAL_MEMBERS": "a:1.1.1.1"}, "BOREAL_MEMBERS"),
        ({"BOREAL_NODE_ID": "1"}, "node_id 1: b is number 2"),
        ({"BOREAL_NODE_NAME": "c"}, "node_id 2"),
        ({"BOREAL_ROLES": "journal"}, "b is not a witness"),
        ({"BOREAL_NODE_NAME": "w", "BOREAL_NODE_ID": "3"}, "w is a witness"),
        ({"BOREAL_ROLES": "storage,frontend"}, "without journal"),
        ({"BOREAL_PEER_KEY_FILE": ""}, "peer_key_file"),
        ({"BOREAL_PEER_CA_FILE": ""}, "peer_ca_file"),
        ({"BOREAL_PEER_TLS": "off"}, "10.0.0"),
        ({"BOREAL_ELECTION_MS": "299"}, "election_ms 299"),
        ({"BOREAL_LEADER_PREFERRED": "c"}, "leader_preferred"),
    ],
)
def test_members_that_do_not_fit(changes: dict[str, str], named: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load(None, {**MEMBER, **changes}, {})
    assert named in str(raised.value)


@pytest.mark.parametrize("key", ["joining", "peer_host", "peer_port", "peer_ca_file", "peer_key_file"])
def test_settings_of_members_without_members(key: str) -> None:
    with pytest.raises(ConfigError, match=key):
        load(None, {f"BOREAL_{key.upper()}": "1"}, {})
    with pytest.raises(ConfigError, match="single node"):
        load(None, {"BOREAL_ROLES": "journal"}, {})
