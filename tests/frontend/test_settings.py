"""Settings against PostgreSQL: which value counts after SET, SET LOCAL, RESET, savepoints, COMMIT and ROLLBACK in any order;
how values are read and shown.

Method: the same random steps run on `Settings` and on PostgreSQL, whose SHOW must say the same after each; and every parameter
that Boreal accepts is compared with PostgreSQL's own for a range of values. Differences by design are listed where they are.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import psycopg
import pytest

from frontend.errors import SqlError
from frontend.settings import EFFECTIVE, HARMLESS, Settings, definitions, split_identifiers
from tests.oracle import Oracle

Connection = psycopg.Connection[tuple[str, ...]]
NAMES = ("intervalstyle", "timezone", "my.own")
VALUES = {
    "intervalstyle": ("iso_8601", "sql_standard", "postgres_verbose"),
    "timezone": ("Europe/Berlin", "Asia/Tokyo", "UTC"),
    "my.own": ("a", "b", "c"),
}


@pytest.fixture(scope="module")
def connection(oracle: Oracle) -> Iterator[Connection]:
    with psycopg.connect(oracle.dsn, autocommit=True, options="-c timezone=UTC -c client_min_messages=error") as made:
        made.execute("set my.own = 'a'")
        yield made


class Both:
    """`Settings` and PostgreSQL, in step."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        connection.execute("reset all")
        connection.execute("set my.own = 'a'")
        self.settings = Settings()
        self.settings.set("my.own", "a")
        self.savepoints: list[str] = []

    def step(self, dice: random.Random) -> str:
        """One random statement inside a block, on both."""
        name = dice.choice(NAMES)
        value = dice.choice(VALUES[name])
        kind = dice.choice(["set", "set", "local", "local", "reset", "savepoint", "rollback to", "release", "fail"])
        settings = self.settings
        if kind in ("set", "local"):
            sql = f"set {'local' if kind == 'local' else ''} {name} = '{value}'"
            settings.set(name, value, local=kind == "local", in_transaction=True)
        elif kind == "reset" and name != "my.own":
            sql = f"reset {name}"
            settings.set(name, None, in_transaction=True)
        elif kind == "savepoint":
            sql = f"savepoint s{len(self.savepoints)}"
            self.savepoints.append(sql.split()[1])
            settings.savepoint()
        elif kind in ("rollback to", "release", "fail") and self.savepoints:
            place = dice.randrange(len(self.savepoints))
            if kind == "fail":
                with pytest.raises(psycopg.errors.DivisionByZero):
                    self.connection.execute("select 1/0")
                settings.abort(len(self.savepoints))
                kind = "rollback to"
            sql = f"{kind} {self.savepoints[place]}"
            if kind == "release":
                del self.savepoints[place:]
                settings.release(place)
            else:
                del self.savepoints[place + 1 :]
                settings.rollback_to(place)
        else:
            return ""
        self.connection.execute(sql)
        return sql

    def end(self, committed: bool) -> str:
        sql = "commit" if committed else "rollback"
        self.connection.execute(sql)
        self.savepoints.clear()
        self.settings.end_transaction(committed=committed)
        return sql

    def compare(self, history: list[str]) -> None:
        for name in NAMES:
            row = self.connection.execute(f"show {name}").fetchone()
            assert row is not None
            assert self.settings.get(name) == row[0], (name, history)


@pytest.mark.parametrize("seed", range(40))
def test_random_transactions(connection: Connection, seed: int) -> None:
    dice = random.Random(seed)
    both = Both(connection)
    history: list[str] = []
    try:
        for _ in range(4):
            connection.execute("begin")
            for _ in range(dice.randrange(1, 9)):
                history.append(both.step(dice))
                both.compare(history)
            history.append(both.end(dice.random() < 0.6))
            both.compare(history)
    finally:
        connection.execute("rollback")


TEXTS = (
    "on", "off", "of", "o", "t", "f", "TRUE", "yes", "n", "1", "0", "2", "-1", "", " on ", "maybe", "default",
    "10", "1.5", "1e3", "0x10", "017", "10ms", "10 ms", "1s", "1.5s", "90min", "2h", "1d", "1us", "64kB", "100MB", "1GB", "1TB",
    "5 MB", "5mb", "1e100", "3000000000", "-5", "+5", ".5", "5.", "1x", "ms", "auto", "local", "content", "none", "heap",
    "iso", "iso_8601", "escape", "debug1", "error", "read committed", "SERIALIZABLE", "repeatable  read", "utf8", "UTF-8",
    "sql, dmy", "iso,iso", "mdy,dmy", "german", "euro,german", "utc", "EST", "EST5EDT", "+3", "-4.5", "3:30", "Nowhere",
    "a, b", '"A b", c', "a,,b", '"a', "public;",
)  # fmt: skip
ODD_ZONES = (
    *("default", "local"),  # words of SET TIME ZONE; set_config refuses them in PostgreSQL
    *("0x10", "1us", "10ms", "10 ms", "1s", "1.5s", "90min", "2h", "1d", "64kB", "100MB", "1GB", "1TB", "5 MB", "5mb", "1x"),
)  # fmt: skip
DIFFERENT = {
    "client_encoding": "UTF8 only",
    "effective_cache_size": "kept as written",
    "default_tablespace": "there are none",
    "default_text_search_config": "there is no text search",
    "escape_string_warning": "no warning either way",
    "temp_buffers": "given in kB, not pages",
    "vacuum_cost_delay": "without unit",
    "log_min_duration_statement": "statements are not logged",
    "work_mem": "another default and lower bound",
    "restrict_nonsystem_relation_kind": "means nothing",
    "search_path": "compared below",
    "lc_messages": "one locale",
    "lc_monetary": "one locale",
    "lc_numeric": "one locale",
    "lc_time": "one locale",
    "password_encryption": "only SCRAM",
    "tcp_keepalives_idle": "",
    "tcp_keepalives_interval": "",
    "tcp_keepalives_count": "",
}


def answer(connection: Connection, name: str, text: str) -> tuple[str, str]:
    """("", value) or (SQLSTATE, message) of PostgreSQL."""
    try:
        row = connection.execute("select set_config(%s, %s, true)", (name, text)).fetchone()
        assert row is not None
        return "", row[0]
    except psycopg.Error as error:
        return error.sqlstate or "", error.diag.message_primary or ""


def our_answer(name: str, text: str) -> tuple[str, str]:
    settings = Settings()
    try:
        return "", settings.set(name, text)
    except SqlError as error:
        return error.sqlstate, error.message


COMPARED = [
    definition.name
    for definition in (*EFFECTIVE, *HARMLESS)
    if definition.name not in DIFFERENT and not definition.name.startswith("transaction_")
]


@pytest.mark.parametrize("name", COMPARED)
def test_values(connection: Connection, name: str) -> None:
    definition = definitions()[name.lower()]
    parser = definition.parse.__name__
    fixed = parser == "_fixed_boolean" or (parser == "_choice" and len(definition.values) == 1)
    wrong = []
    for text in TEXTS:
        if (parser == "_time_zone" and text in ODD_ZONES) or (parser == "_real" and text == "0x10"):
            continue
        expected, ours = answer(connection, name, text), our_answer(name, text)
        if fixed and ours[0] and not expected[0]:
            continue  # a value that PostgreSQL has and Boreal refuses
        if expected != ours:
            wrong.append((text, expected, ours))
    assert wrong == []


def test_the_differences_exist() -> None:
    assert set(DIFFERENT) <= {definition.name for definition in (*EFFECTIVE, *HARMLESS)}


@pytest.mark.parametrize(
    "text", ["", " ", "a", "A", '"A"', "a, b", "a,b", ' "a""b" , c ', '""', "$user", '"$user", public']
)
def test_search_path(connection: Connection, text: str) -> None:
    """Lists that PostgreSQL takes are taken, and mean the same names."""
    assert answer(connection, "search_path", text)[0] == ""
    row = connection.execute("select string_to_array(%s, ',')", (text,)).fetchone()
    assert row is not None
    names = split_identifiers(text)
    assert names is not None
    assert len(names) == (len(row[0]) if text.strip() else 0)


@pytest.mark.parametrize("text", ["a,", ",a", "a,,b", '"a', "a b", "a, ,"])
def test_malformed_search_path(connection: Connection, text: str) -> None:
    assert our_answer("search_path", text) == answer(connection, "search_path", text)


def test_changes_are_told() -> None:
    changes: list[tuple[str, bool]] = []
    settings = Settings(lambda name, reported: changes.append((name, reported)))
    settings.set("TimeZone", "Asia/Tokyo", in_transaction=True)
    settings.set("timezone", "Asia/Tokyo", in_transaction=True)
    settings.set("work_mem", "1GB", in_transaction=True)
    version = settings.version
    settings.end_transaction(committed=False)
    assert settings.version > version
    assert changes == [("timezone", True), ("work_mem", False), ("work_mem", False), ("timezone", True)]
