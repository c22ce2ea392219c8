"""Configuration parameters of a session: SET, SHOW, RESET, set_config, start-up options, pg_settings.

Three declared kinds, and nothing in between:

    EFFECTIVE     Boreal acts on them; each has a parser that normalises the value or refuses it (22023)
    HARMLESS      accepted because what they tune does not exist here, and each says why
    the rest      PostgreSQL's own list (builtin/pg_settings.json): shown with the value that is true here; SET refuses

Custom parameters (`myapp.user_id`) are accepted like in PostgreSQL. Values obey transactions: SET is undone by ROLLBACK, SET
LOCAL ends with the transaction, both obey savepoints. `Settings` keeps a stack of undo records for that, and tells which
reported parameters (ParameterStatus) changed.
"""

from __future__ import annotations

import importlib.resources
import re
import zoneinfo
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, NamedTuple

import msgspec

from frontend.errors import SqlError

SERVER_VERSION = "16.14"
SERVER_VERSION_NUM = "160014"

INT4_MAX = 2**31 - 1

Parser = Callable[[str, "Definition"], str]


@dataclass(frozen=True, slots=True)
class Definition:
    """One parameter.

    Attributes:
        default: as SHOW prints it.
        parse: normalises what SET was given, or raises SqlError.
        reported: changes are sent as ParameterStatus.
        unit: PostgreSQL's unit of an integer given without one ("ms", "kB", "").
        minimum, maximum: of integers; PostgreSQL's own bounds where they are not given.
        effect: what it does here; "" for internal facts that cannot be set.
    """

    name: str
    default: str
    parse: Parser
    effect: str
    reported: bool = False
    unit: str = ""
    minimum: int = 0
    maximum: int = INT4_MAX
    values: tuple[str, ...] = ()
    settable: bool = True


def _invalid(definition: Definition, value: str, hint: str | None = None) -> SqlError:
    return SqlError("22023", f'invalid value for parameter "{definition.name}": "{value}"', hint=hint)


def parse_boolean(value: str) -> bool | None:
    """PostgreSQL's boolean spellings, prefixes included; None for anything else."""
    text = value.lower()
    if text in ("1", "on") or (text and ("true".startswith(text) or "yes".startswith(text))):
        return True
    if text in ("0", "of", "off") or (text and ("false".startswith(text) or "no".startswith(text))):
        return False
    return None


def _boolean(value: str, definition: Definition) -> str:
    result = parse_boolean(value)
    if result is None:
        raise SqlError("22023", f'parameter "{definition.name}" requires a Boolean value')
    return "on" if result else "off"


_NUMBER = re.compile(r"[+-]?(0[xX][0-9a-fA-F]+|(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?)")
_TIME_UNITS_MS = {"us": 0.001, "ms": 1, "s": 1000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
_SIZE_UNITS_KB = {"B": 1 / 1024, "kB": 1, "MB": 1024, "GB": 1024**2, "TB": 1024**3}


def _integer(value: str, definition: Definition) -> str:
    text = value.strip()
    found = _NUMBER.match(text)
    if found is None:
        raise _invalid(definition, value)
    number, suffix = found[0], text[found.end() :].strip()
    units = _TIME_UNITS_MS if definition.unit == "ms" else _SIZE_UNITS_KB if definition.unit == "kB" else {}
    if suffix and suffix not in units:
        if not number:
            raise _invalid(definition, value)
        valid = {"ms": '"us", "ms", "s", "min", "h", and "d"', "kB": '"B", "kB", "MB", "GB", and "TB"'}.get(
            definition.unit
        )
        raise _invalid(definition, value, f"Valid units for this parameter are {valid}." if valid else None)
    bare = number.lstrip("+-").lower()
    base = 16 if bare.startswith("0x") else 8 if len(bare) > 1 and bare[0] == "0" and bare.isdigit() else 0
    try:
        amount = round((int(number, base) if base else float(number)) * (units[suffix] if suffix else 1))
    except ValueError:
        raise _invalid(definition, value) from None
    if abs(amount) > INT4_MAX:
        raise _invalid(definition, value, "Value exceeds integer range.")
    minimum, maximum = definition.minimum, definition.maximum
    facts = postgresql_fact(definition.name.lower())
    if facts is not None and (minimum, maximum) == (0, INT4_MAX) and facts["unit"] in (None, definition.unit):
        minimum, maximum = int(facts["min_val"]), int(facts["max_val"])
    if not minimum <= amount <= maximum:
        unit = f" {definition.unit}" if definition.unit else ""
        raise SqlError(
            "22023",
            f'{amount}{unit} is outside the valid range for parameter "{definition.name}" ({minimum} .. {maximum})',
        )
    return _with_unit(amount, definition.unit)


def _with_unit(amount: int, unit: str) -> str:
    """As SHOW prints it: the largest unit that divides the amount."""
    if not unit or amount <= 0:
        return str(amount)
    units = _TIME_UNITS_MS if unit == "ms" else _SIZE_UNITS_KB
    for name, factor in sorted(units.items(), key=lambda item: -item[1]):
        if factor >= 1 and amount % int(factor) == 0:
            return f"{amount // int(factor)}{name}"
    return f"{amount}{unit}"


def _real(value: str, definition: Definition) -> str:
    try:
        amount = float(value)
    except ValueError:
        raise _invalid(definition, value) from None
    facts = postgresql_fact(definition.name.lower())
    if facts is not None and not float(facts["min_val"]) <= amount <= float(facts["max_val"]):
        raise SqlError(
            "22023",
            f'{amount:g} is outside the valid range for parameter "{definition.name}" '
            f"({float(facts['min_val']):g} .. {float(facts['max_val']):g})",
        )
    return format(amount, "g")


def _string(value: str, definition: Definition) -> str:
    return value


def _choice(value: str, definition: Definition) -> str:
    lowered = value.lower()
    for candidate in definition.values:
        if candidate.lower() == lowered:
            return candidate
    raise _invalid(definition, value, f"Available values: {', '.join(definition.values)}.")


def _boolean_or_choice(value: str, definition: Definition) -> str:
    return _SWITCHES.get(value.lower()) or _choice(value, definition)


_SWITCHES = {"true": "on", "yes": "on", "1": "on", "false": "off", "no": "off", "0": "off"}


def _fixed_boolean(value: str, definition: Definition) -> str:
    """A switch that cannot be turned from its default."""
    result = _boolean(value, definition)
    if result != definition.default:
        raise _invalid(definition, value, f"Available values: {definition.default}.")
    return result


def _application_name(value: str, definition: Definition) -> str:
    shown = (chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}" for byte in value.encode())
    return "".join(shown)[:63]


def _client_encoding(value: str, definition: Definition) -> str:
    name = "".join(character for character in value if character.isalnum()).lower()  # asyncpg sends 'utf-8' with quotes
    if name in ("utf8", "unicode"):
        return "UTF8"
    if name in ("sqlascii", "latin1", "iso88591", "win1252", "windows1252", "latin9"):
        raise SqlError("0A000", f'client_encoding "{value}" is not supported', hint="Boreal speaks UTF8 only.")
    raise _invalid(definition, value)


_STYLES = {"iso": "ISO", "sql": "SQL", "postgres": "Postgres", "german": "German"}
_ORDERS = {
    "mdy": "MDY", "us": "MDY", "noneuro": "MDY", "noneuropean": "MDY",
    "dmy": "DMY", "euro": "DMY", "european": "DMY", "ymd": "YMD",
}  # fmt: skip


def _date_style(value: str, definition: Definition, current: str = "ISO, MDY") -> str:
    """What is not said stays as it is: `current`."""
    style, order = "", ""
    for part in value.split(","):
        word = part.strip().lower()
        if word in _STYLES:
            if style and style != _STYLES[word]:
                raise _conflicting_styles(value)
            style = _STYLES[word]
            if style == "German" and not order:
                order = "DMY"
        elif word in _ORDERS:
            if order and order != _ORDERS[word] and style != "German":
                raise _conflicting_styles(value)
            order = _ORDERS[word]
        elif not value.strip():
            break
        elif word == "default":
            style = style or definition.default.partition(", ")[0]
            order = order or definition.default.partition(", ")[2]
        else:
            raise SqlError(
                "22023",
                f'invalid value for parameter "DateStyle": "{value}"',
                detail=f'Unrecognized key word: "{word}".',
            )
    style_before, _, order_before = current.partition(", ")
    return f"{style or style_before}, {order or order_before}"


def _conflicting_styles(value: str) -> SqlError:
    return SqlError(
        "22023",
        f'invalid value for parameter "DateStyle": "{value}"',
        detail='Conflicting "datestyle" specifications.',
    )


def split_identifiers(text: str) -> list[str] | None:
    """A comma-separated list of identifiers (search_path): folded to lower case unless quoted; None if malformed."""
    names: list[str] = []
    place = 0
    while found := _IDENTIFIER.match(text, place):
        quoted, plain = found["quoted"], found["plain"]
        names.append(plain.lower() if quoted is None else quoted[1:-1].replace('""', '"'))
        place = found.end()
        if found["more"] is None:
            return names if place == len(text) else None
    return names if not text.strip() else None


_IDENTIFIER = re.compile(r'\s*(?:(?P<quoted>"(?:[^"]|"")*")|(?P<plain>[^\s,"][^\s,]*))\s*(?P<more>,)?')


def _search_path(value: str, definition: Definition) -> str:
    if split_identifiers(value) is None:
        raise SqlError(
            "22023", f'invalid value for parameter "search_path": "{value}"', detail="List syntax is invalid."
        )
    return value


@cache
def _zone_names() -> dict[str, str]:
    return {name.lower(): name for name in zoneinfo.available_timezones()}


def _time_zone(value: str, definition: Definition) -> str:
    text = value.strip()
    lowered = text.lower()
    if lowered in ("default", "local"):
        return "UTC"
    if lowered in _zone_names():
        return _zone_names()[lowered]
    if is_posix_zone(text) or re.fullmatch(r"[+-]?\d{1,2}:\d\d", text):
        return text.upper()  # the latter is a POSIX zone without a name, whose sign is the other way round
    number = text.removeprefix("INTERVAL").strip().strip("'")
    sign = -1 if number.startswith("-") else 1
    hours, _, minutes = number.lstrip("+-").partition(":")
    try:
        seconds = round(float(hours) * 3600) + (int(minutes) * 60 if minutes else 0)
    except ValueError:
        raise _invalid(definition, value) from None
    if seconds > 168 * 3600:
        raise _invalid(definition, value)
    # PostgreSQL shows a numeric offset as a POSIX zone, whose sign is the other way round.
    whole, rest = divmod(seconds, 3600)
    shown = f"{whole:02d}" + (f":{rest // 60:02d}" if rest else "")
    return f"<{'+' if sign > 0 else '-'}{shown}>{'-' if sign > 0 else '+'}{shown}"


def is_posix_zone(text: str) -> bool:
    """Whether the text has the form of a POSIX zone: letters or <…>, then an offset (EST5, <+02>-02)."""
    if text.startswith("<"):
        name, closed, offset = text[1:].partition(">")
        return bool(closed and name and offset) and offset.lstrip("+-").replace(":", "").isdigit()
    letters = 0
    while letters < len(text) and text[letters].isalpha():
        letters += 1
    offset = text[letters:]
    return letters >= 3 and bool(offset) and offset.lstrip("+-").replace(":", "").isdigit()


ISOLATION_LEVELS = ("serializable", "repeatable read", "read committed", "read uncommitted")
_LEVELS = ("debug5", "debug4", "debug3", "debug2", "debug1", "log", "notice", "warning", "error")

EFFECTIVE: tuple[Definition, ...] = (
    Definition("application_name", "", _application_name, "Name of the client program, shown in pg_stat_activity and in events.", True),
    Definition("bytea_output", "hex", _choice, "Text form of bytea.", values=("escape", "hex")),
    Definition("client_encoding", "UTF8", _client_encoding, "Encoding of the client; UTF8 only.", True),
    Definition("client_min_messages", "notice", _choice, "Which notices are sent.", values=_LEVELS),
    Definition("DateStyle", "ISO, MDY", _date_style, "Text form and field order of dates.", True),
    Definition("default_transaction_isolation", "read committed", _choice, "Isolation of new transactions.", values=ISOLATION_LEVELS),
    Definition("default_transaction_read_only", "off", _boolean, "New transactions are read-only.", True),
    Definition("extra_float_digits", "1", _integer, "Digits of floating-point text; above 0: the shortest exact form.", minimum=-15, maximum=3),
    Definition("idle_in_transaction_session_timeout", "0", _integer, "Ends a session that idles inside a transaction.", unit="ms"),
    Definition("idle_session_timeout", "0", _integer, "Ends a session that idles.", unit="ms"),
    Definition("IntervalStyle", "postgres", _choice, "Text form of intervals.", True, values=("postgres", "postgres_verbose", "sql_standard", "iso_8601")),
    Definition("search_path", '"$user", public', _search_path, "Schemas searched for unqualified names."),
    Definition("statement_timeout", "0", _integer, "Ends a statement that takes longer.", unit="ms"),
    Definition("TimeZone", "UTC", _time_zone, "Time zone of the session.", True),
    Definition("transaction_isolation", "read committed", _choice, "Isolation of the current transaction.", values=ISOLATION_LEVELS),
    Definition("transaction_read_only", "off", _boolean, "The current transaction is read-only."),
    Definition("work_mem", "256MB", _integer, "Memory that one statement may use before it fails with 53200.", unit="kB", minimum=64),
)  # fmt: skip

_NO_LOCKS = "Nothing waits for a lock."
_PLANNER = "The planner chooses by its own rules; answers do not depend on it."
_STRONGER = "Every commit is durable before it is acknowledged, whatever is asked."

HARMLESS: tuple[Definition, ...] = (
    *(
        Definition(name, "on", _boolean, _PLANNER)
        for name in (
            "enable_async_append", "enable_bitmapscan", "enable_gathermerge", "enable_hashagg", "enable_hashjoin",
            "enable_incremental_sort", "enable_indexonlyscan", "enable_indexscan", "enable_material", "enable_memoize",
            "enable_mergejoin", "enable_nestloop", "enable_parallel_append", "enable_parallel_hash",
            "enable_partition_pruning", "enable_presorted_aggregate", "enable_seqscan", "enable_sort", "enable_tidscan",
            "geqo", "jit_expressions", "jit_tuple_deforming",
        )
    ),
    Definition("jit", "off", _boolean, "Plans are always compiled, to Python."),
    Definition("enable_partitionwise_aggregate", "off", _boolean, _PLANNER),
    Definition("enable_partitionwise_join", "off", _boolean, _PLANNER),
    Definition("from_collapse_limit", "8", _integer, _PLANNER),
    Definition("join_collapse_limit", "8", _integer, _PLANNER),
    Definition("geqo_threshold", "12", _integer, _PLANNER),
    Definition("cursor_tuple_fraction", "0.1", _real, _PLANNER),
    Definition("random_page_cost", "4", _real, _PLANNER),
    Definition("seq_page_cost", "1", _real, _PLANNER),
    Definition("cpu_tuple_cost", "0.01", _real, _PLANNER),
    Definition("cpu_index_tuple_cost", "0.005", _real, _PLANNER),
    Definition("cpu_operator_cost", "0.0025", _real, _PLANNER),
    Definition("effective_cache_size", "4GB", _string, _PLANNER),
    Definition("effective_io_concurrency", "1", _integer, _PLANNER),
    Definition("constraint_exclusion", "partition", _boolean_or_choice, _PLANNER, values=("partition", "on", "off")),
    Definition("plan_cache_mode", "auto", _choice, _PLANNER, values=("auto", "force_generic_plan", "force_custom_plan")),
    Definition("default_statistics_target", "100", _integer, "ANALYZE counts rows exactly."),
    Definition("max_parallel_workers", "8", _integer, "No statement runs in parallel."),
    Definition("max_parallel_workers_per_gather", "2", _integer, "No statement runs in parallel."),
    Definition("max_parallel_maintenance_workers", "2", _integer, "No statement runs in parallel."),
    Definition("lock_timeout", "0", _integer, _NO_LOCKS, unit="ms"),
    Definition("deadlock_timeout", "1s", _integer, _NO_LOCKS, unit="ms", minimum=1),
    Definition("synchronous_commit", "on", _boolean_or_choice, _STRONGER, values=("local", "remote_write", "remote_apply", "on", "off")),
    Definition("maintenance_work_mem", "64MB", _integer, "Index builds are bounded by the transaction size limit.", unit="kB"),
    Definition("temp_buffers", "8MB", _integer, "There are no temporary tables.", unit="kB"),
    Definition("hash_mem_multiplier", "2", _real, "work_mem bounds the whole statement."),
    Definition("check_function_bodies", "on", _boolean, "There are no user-defined functions."),
    Definition("row_security", "on", _boolean, "There are no row security policies."),
    Definition("default_text_search_config", "pg_catalog.english", _string, "There is no text search."),
    Definition("default_table_access_method", "heap", _choice, "There is one access method.", values=("heap",)),
    Definition("default_tablespace", "", _choice, "There are no tablespaces.", values=("",)),
    Definition("default_transaction_deferrable", "off", _boolean, "No transaction waits for a safe snapshot."),
    Definition("transaction_deferrable", "off", _boolean, "No transaction waits for a safe snapshot."),
    Definition("xmloption", "content", _choice, "There is no xml type.", values=("content", "document")),
    Definition("escape_string_warning", "on", _boolean, "Backslashes are ordinary in standard strings; no warning is given."),
    Definition("restrict_nonsystem_relation_kind", "", _string, "There are no foreign tables, and views run as their reader."),
    Definition("synchronize_seqscans", "on", _boolean, "Scans are in key order."),
    Definition("vacuum_cost_delay", "0", _real, "There is no vacuum."),
    Definition("tcp_keepalives_idle", "0", _integer, "The node sets keep-alive for all connections."),
    Definition("tcp_keepalives_interval", "0", _integer, "The node sets keep-alive for all connections."),
    Definition("tcp_keepalives_count", "0", _integer, "The node sets keep-alive for all connections."),
    Definition("standard_conforming_strings", "on", _fixed_boolean, "Always on.", True, values=("on",)),
    Definition("array_nulls", "on", _fixed_boolean, "Always on.", values=("on",)),
    Definition("backslash_quote", "safe_encoding", _choice, "Always safe_encoding.", values=("safe_encoding",)),
    Definition("quote_all_identifiers", "off", _fixed_boolean, "Identifiers are quoted where needed.", values=("off",)),
    Definition("password_encryption", "scram-sha-256", _choice, "Passwords are always SCRAM verifiers.", values=("scram-sha-256",)),
    Definition("transform_null_equals", "off", _fixed_boolean, "Always off.", values=("off",)),
    Definition("log_statement", "none", _choice, "Statements are not logged.", values=("none",)),
    Definition("log_min_duration_statement", "-1", _integer, "Statements are not logged.", unit="ms", minimum=-1, maximum=-1),
    Definition("log_min_messages", "warning", _choice, "The node's log has its own level.", values=_LEVELS),
    Definition("lc_messages", "C", _choice, "Messages are English.", values=("C", "en_US.UTF-8", "en_US.utf8")),
    Definition("lc_monetary", "C", _choice, "There is one locale.", values=("C",)),
    Definition("lc_numeric", "C", _choice, "There is one locale.", values=("C",)),
    Definition("lc_time", "C", _choice, "There is one locale.", values=("C",)),
)  # fmt: skip

_FACTS = {
    "server_version": SERVER_VERSION,
    "server_version_num": SERVER_VERSION_NUM,
    "server_encoding": "UTF8",
    "integer_datetimes": "on",
    "in_hot_standby": "off",
    "is_superuser": "on",
    "session_authorization": "postgres",
    "max_identifier_length": "63",
    "max_index_keys": "32",
    "block_size": "8192",
    "lc_collate": "C",
    "lc_ctype": "C",
    "ssl": "off",
    "role": "none",
    "data_checksums": "on",
    "fsync": "on",
    "full_page_writes": "off",
    "wal_level": "logical",
    "listen_addresses": "localhost",
    "boreal.read_path": "local",
    "boreal.snapshot": "",
}
_REPORTED_FACTS = (
    "in_hot_standby",
    "integer_datetimes",
    "is_superuser",
    "server_encoding",
    "server_version",
    "session_authorization",
)


_TRANSACTION_MODES = ("transaction_isolation", "transaction_read_only", "transaction_deferrable")


class _Facts(NamedTuple):
    columns: list[str]
    rows: list[list[Any]]


@cache
def _postgresql_settings() -> dict[str, dict[str, Any]]:
    data = importlib.resources.files("frontend.builtin").joinpath("pg_settings.json").read_bytes()
    facts = msgspec.json.decode(data)
    return {row[0].lower(): dict(zip(facts["columns"], row, strict=True)) for row in facts["rows"]}


def postgresql_fact(lowered: str) -> dict[str, Any] | None:
    """PostgreSQL's own entry for a parameter: unit, category, context, kind, bounds."""
    return _postgresql_settings().get(lowered)


def _internal(name: str, value: str) -> Definition:
    return Definition(name, value, _string, "", reported=name in _REPORTED_FACTS, settable=False)


@cache
def definitions() -> dict[str, Definition]:
    """Every parameter by lower-case name: effective, harmless, facts, then PostgreSQL's others as read-only facts."""
    table = {definition.name.lower(): definition for definition in (*EFFECTIVE, *HARMLESS)}
    for name, value in _FACTS.items():
        table.setdefault(name, _internal(name, value))
    for lowered, row in _postgresql_settings().items():
        table.setdefault(lowered, _internal(row["name"], row["boot_val"] or ""))
    return table


def unrecognized(name: str) -> SqlError:
    """42704 as PostgreSQL says it."""
    return SqlError("42704", f'unrecognized configuration parameter "{name}"')


class Settings:
    """The parameters of one session.

    `on_change(lower-case name, reported)` is called for every change, whether by SET, RESET or ROLLBACK. `version`
    counts changes, so that what was derived from the settings (row encoders, search path) can be kept until it moves.
    `live` holds the facts that change by themselves: lower-case name → what tells the value.
    """

    __slots__ = ("_base", "_marks", "_undo", "_values", "live", "on_change", "version")

    def __init__(self, on_change: Callable[[str, bool], None] | None = None) -> None:
        self._base: dict[str, str] = {}  # what RESET returns to: role and start-up settings
        self._values: dict[str, str] = {}
        self._undo: list[tuple[str, str | None, bool]] = []
        self._marks: list[int] = []
        self.on_change = on_change
        self.version = 0
        self.live: dict[str, Callable[[], str]] = {}

    def get(self, name: str) -> str | None:
        """The text that SHOW prints, None for an unknown name."""
        lowered = name.lower()
        value = self._values.get(lowered)
        if value is not None:
            return value
        if lowered in _TRANSACTION_MODES:
            lowered = "default_" + lowered  # what the next transaction begins with
            value = self._values.get(lowered)
            if value is not None:
                return value
        if lowered in self.live:
            return self.live[lowered]()
        definition = definitions().get(lowered)
        return None if definition is None else self._base.get(lowered, definition.default)

    def show(self, name: str) -> tuple[str, str]:
        """(column name, value) of SHOW; 42704 for an unknown name."""
        value = self.get(name)
        if value is None:
            raise unrecognized(name)
        definition = definitions().get(name.lower())
        return (definition.name if definition else name), value

    def amount(self, name: str) -> int:
        """An integer parameter in its base unit (ms or kB)."""
        definition = definitions()[name.lower()]
        text = self.get(name) or "0"
        digits = text.rstrip("BkMGTabcdefghijlmnopqrstuvwxyz")
        suffix = text[len(digits) :]
        units = _TIME_UNITS_MS if definition.unit == "ms" else _SIZE_UNITS_KB
        return round(int(digits) * (units[suffix] if suffix else 1))

    def plain_amount(self, name: str) -> str:
        """An integer parameter without its unit, as pg_settings shows it."""
        return str(self.amount(name))

    def set_base(self, name: str, value: str) -> None:
        """A start-up or role setting: where RESET returns to."""
        self._base[name.lower()] = self.normalise(name, value)
        self.version += 1

    def set_fact(self, name: str, value: str) -> None:
        """Change an internal fact (session_authorization, is_superuser, role) and report it."""
        lowered = name.lower()
        if self._base.get(lowered) != value:
            self._base[lowered] = value
            self.version += 1
            if self.on_change is not None:
                self.on_change(lowered, definitions()[lowered].reported)

    def normalise(self, name: str, value: str) -> str:
        """A value as SHOW will print it; raises what SET raises."""
        definition = definitions().get(name.lower())
        if definition is None:
            if "." in name:
                return value
            raise unrecognized(name)
        if not definition.settable:
            facts = _postgresql_settings().get(name.lower())
            if facts is not None and facts["context"] in ("user", "superuser", "backend", "superuser-backend"):
                raise SqlError("0A000", f'setting configuration parameter "{definition.name}" is not supported')
            if facts is not None and facts["context"] == "postmaster":
                raise SqlError(
                    "55P02", f'parameter "{definition.name}" cannot be changed without restarting the server'
                )
            if facts is not None and facts["context"] == "sighup":
                raise SqlError("55P02", f'parameter "{definition.name}" cannot be changed now')
            raise SqlError("55P02", f'parameter "{definition.name}" cannot be changed')
        if definition.parse is _date_style:
            return _date_style(value, definition, self.get(definition.name) or definition.default)
        if definition.name != name and definition.parse in (_boolean, _integer, _real, _choice):
            definition = replace(definition, name=name)  # errors name it as it was written
        return definition.parse(value, definition)

    def set(self, name: str, value: str | None, *, local: bool = False, in_transaction: bool = False) -> str:
        """SET [LOCAL] name = value (None: DEFAULT). Returns the value as SHOW prints it."""
        lowered = name.lower()
        if value is None:
            definition = definitions().get(lowered)
            if definition is None and lowered not in self._values:
                raise unrecognized(name)
            if definition is not None and not definition.settable:
                facts = _postgresql_settings().get(lowered)
                if facts is None or facts["context"] in ("internal", "postmaster", "sighup"):
                    self.normalise(name, "")
            new = self._base.get(lowered, definition.default if definition else "")
        else:
            new = self.normalise(name, value)
        if in_transaction:
            self._undo.append((lowered, self._values.get(lowered), local))
        self._put(lowered, new)
        return new

    def pin(self, lowered: str) -> None:
        """Keep a transaction's mode while the default that it comes from changes."""
        if lowered not in self._values:
            self.set(lowered, self.get(lowered), local=True, in_transaction=True)

    def _put(self, lowered: str, value: str | None) -> None:
        before = self.get(lowered)
        if value is None:
            self._values.pop(lowered, None)
        else:
            self._values[lowered] = value
        after = self.get(lowered)
        if before == after:
            return
        self.version += 1
        definition = definitions().get(lowered)
        if definition is not None and self.on_change is not None:
            self.on_change(lowered, definition.reported)

    def reset_all(self, *, in_transaction: bool = False) -> None:
        """RESET ALL."""
        for lowered in list(self._values):
            if lowered in _TRANSACTION_MODES:
                continue
            if in_transaction:
                self._undo.append((lowered, self._values[lowered], False))
            self._put(lowered, None)

    @property
    def touched(self) -> bool:
        """Whether the running transaction has SET anything."""
        return bool(self._undo)

    def savepoint(self) -> None:
        """Open a level that `rollback_to` can return to."""
        self._marks.append(len(self._undo))

    def rollback_to(self, depth: int) -> None:
        """Undo everything since savepoint number `depth` (0: the first), which stays."""
        self._unwind(self._marks[depth])
        del self._marks[depth + 1 :]

    def abort(self, savepoints: int) -> None:
        """A statement has failed: undo what was SET since the last of so many savepoints, or since the beginning."""
        self._unwind(self._marks[savepoints - 1] if savepoints else 0)

    def release(self, depth: int) -> None:
        """Forget savepoints from number `depth` on; their changes stay."""
        del self._marks[depth:]

    def _unwind(self, mark: int) -> None:
        for lowered, before, _ in reversed(self._undo[mark:]):
            self._put(lowered, before)
        del self._undo[mark:]

    def end_transaction(self, *, committed: bool) -> None:
        """COMMIT keeps SET and ends SET LOCAL; ROLLBACK undoes both."""
        if self._undo:
            if committed:
                self._end_local()
            else:
                self._unwind(0)
        self._undo.clear()
        self._marks.clear()

    def _end_local(self) -> None:
        """A parameter's value after COMMIT is that of its last SET, or, if only SET LOCAL touched it, that of before."""
        final: dict[str, str | None] = {}
        touched_locally: set[str] = set()
        for place, (lowered, before, local) in enumerate(self._undo):
            if local:
                if lowered not in touched_locally:
                    touched_locally.add(lowered)
                    final[lowered] = before
                continue
            touched_locally.discard(lowered)
            following = next((old for name, old, _ in self._undo[place + 1 :] if name == lowered), None)
            final[lowered] = following if following is not None else self._values.get(lowered)
        for lowered in touched_locally:
            self._put(lowered, final[lowered])

    def all(self) -> Iterator[tuple[str, str, str]]:
        """(name, value, what it does here) of every parameter, by name: SHOW ALL."""
        table = definitions()
        for lowered in sorted(table):
            definition = table[lowered]
            yield definition.name, self.get(lowered) or "", definition.effect

    def reported(self) -> Iterator[tuple[str, str]]:
        """The parameters that a new connection is told."""
        for lowered, definition in definitions().items():
            if definition.reported:
                yield definition.name, self.get(lowered) or ""
