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
}


def test_every_setting_has_a_wrong_value() -> None:
    assert set(WRONG_VALUES) == set(Config.__struct_fields__)


@pytest.mark.parametrize("key", WRONG_VALUES)
def test_wrong_value_in_the_file(key: str, file: Path) -> None:
    value = WRONG_VALUES[key]
    file.write_text(f"{key} = {msgspec.json.encode(value).decode()}\n")
    with pytest.raises(ConfigError) as raised:
        load(file, {}, {})
    assert str(file) in str(raised.value)
    assert key in str(raised.value)


@pytest.mark.parametrize("key", [key for key, value in WRONG_VALUES.items() if value != 7])
def test_wrong_value_in_the_environment(key: str) -> None:
    value = WRONG_VALUES[key]
    text = ",".join(value) if isinstance(value, list) else str(value)
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
