"""System information, settings, sequences and housekeeping (PostgreSQL's manual, 9.17, 9.26, 9.27).

What is answered here needs only the session (`Context`); what needs names of catalogue objects (privileges, visibility,
definitions, comments, sizes of relations) is registered by `frontend.system`. Functions about replication, WAL, files,
snapshots for export and advisory locks have no implementation and are therefore refused with 0A000, except
pg_advisory_unlock_all, which is right to do nothing while no lock can be taken.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

from frontend.context import Context
from frontend.errors import SqlError
from frontend.functions.numeric_division import EXACT
from frontend.functions.registry import scalar, set_returning
from frontend.types import oids
from frontend.types.arrays import dimensions, flatten
from frontend.types.datetime import Interval
from frontend.types.decimals import format_numeric
from frontend.types.interval import interval_key
from frontend.types.registry import format_type, type_by_name, type_by_oid
from storage.catalog import Role

# ── the session ─────────────────────────────────────────────────────────────────────────────────────────────────────


@scalar("version()", context=True)
def version(context: Context) -> str:
    return f"PostgreSQL {context.get_setting('server_version')} (Boreal)"


@scalar("current_database()", context=True)
def current_database(context: Context) -> str:
    return context.database_name


def _implicit_schemas(context: Context) -> frozenset[str]:
    """Schemas searched although search_path does not name them."""
    named = {part.strip().strip('"') for part in (context.get_setting("search_path") or "").split(",")}
    return frozenset({"pg_catalog"} - named)


@scalar("current_schema()", context=True)
def current_schema(context: Context) -> str | None:
    implicit = _implicit_schemas(context)
    return next((name for name in context.search_path if name not in implicit), None)


@scalar("current_schemas(bool)", context=True)
def current_schemas(context: Context, include_implicit: bool) -> list[str]:
    implicit = frozenset() if include_implicit else _implicit_schemas(context)
    return [name for name in context.search_path if name not in implicit]


@scalar("current_user()", "getpgusername()", context=True)
def current_user(context: Context) -> str:
    return context.current_user


@scalar("session_user()", context=True)
def session_user(context: Context) -> str:
    return context.session_user


@scalar("pg_backend_pid()", context=True)
def pg_backend_pid(context: Context) -> int:
    return context.backend_pid


@scalar("inet_server_addr()", "inet_client_addr()", "inet_server_port()", "inet_client_port()")
def no_address() -> None:
    """NULL, as on a Unix socket: a session does not tell its addresses to SQL."""
    return


@scalar(
    "pg_is_in_recovery()", "pg_jit_available()", "row_security_active(oid)", "row_security_active(text)",
    "pg_is_other_temp_schema(oid)", "pg_is_wal_replay_paused()",
)  # fmt: skip
def always_false(*arguments: Any) -> bool:
    return False


@scalar("pg_my_temp_schema()")
def pg_my_temp_schema() -> int:
    """0: there are no temporary tables."""
    return 0


@scalar("pg_blocking_pids(int4)", "pg_safe_snapshot_blocking_pids(int4)")
def pg_blocking_pids(process: int) -> list[int]:
    """Nobody ever waits for a lock."""
    return []


@scalar("txid_current()", "pg_current_xact_id()", context=True)
def transaction_id(context: Context) -> int:
    return context.transaction_id


@scalar("pg_advisory_unlock_all()")
def pg_advisory_unlock_all() -> None:
    return None


@scalar("pg_get_userbyid(oid)", context=True)
def pg_get_userbyid(context: Context, oid: int) -> str:
    role = context.catalog.objects.get(oid)
    return role.name if isinstance(role, Role) else f"unknown (OID={oid})"


# ── settings ────────────────────────────────────────────────────────────────────────────────────────────────────────


@scalar("current_setting(text)", "current_setting(text,bool)", context=True)
def current_setting(context: Context, name: str, missing_ok: bool = False) -> str | None:
    value = context.get_setting(name)
    if value is None and not missing_ok:
        raise SqlError("42704", f'unrecognized configuration parameter "{name}"')
    return value


@scalar("set_config(text,text,bool)", context=True)
def set_config(context: Context, name: str | None, value: str | None, is_local: bool | None) -> str:
    if name is None:
        raise SqlError("22004", "SET requires parameter name")
    if value is None:
        raise SqlError("0A000", "set_config with a NULL value is not supported", hint="Use RESET.")
    return context.set_setting(name, value, bool(is_local))


# ── encodings ───────────────────────────────────────────────────────────────────────────────────────────────────────

_ENCODINGS = (
    "SQL_ASCII", "EUC_JP", "EUC_CN", "EUC_KR", "EUC_TW", "EUC_JIS_2004", "UTF8", "MULE_INTERNAL", "LATIN1", "LATIN2",
    "LATIN3", "LATIN4", "LATIN5", "LATIN6", "LATIN7", "LATIN8", "LATIN9", "LATIN10", "WIN1256", "WIN1258", "WIN866",
    "WIN874", "KOI8R", "WIN1251", "WIN1252", "ISO_8859_5", "ISO_8859_6", "ISO_8859_7", "ISO_8859_8", "WIN1250", "WIN1253",
    "WIN1254", "WIN1255", "WIN1257", "KOI8U", "SJIS", "BIG5", "GBK", "UHC", "GB18030", "JOHAB", "SHIFT_JIS_2004",
)  # fmt: skip
_ENCODING_BYTES_MAX = {
    "EUC_JP": 3, "EUC_CN": 3, "EUC_KR": 3, "EUC_TW": 4, "EUC_JIS_2004": 3, "UTF8": 4, "MULE_INTERNAL": 4, "SJIS": 2,
    "BIG5": 2, "GBK": 2, "UHC": 2, "GB18030": 4, "JOHAB": 3, "SHIFT_JIS_2004": 2,
}  # fmt: skip


@scalar("pg_encoding_to_char(int4)")
def pg_encoding_to_char(number: int) -> str:
    return _ENCODINGS[number] if 0 <= number < len(_ENCODINGS) else ""


@scalar("pg_char_to_encoding(name)")
def pg_char_to_encoding(name: str) -> int:
    wanted = re.sub(r"[^A-Z0-9]", "", name.upper())
    wanted = {"UNICODE": "UTF8", "ISO88591": "LATIN1"}.get(wanted, wanted)
    return next((place for place, known in enumerate(_ENCODINGS) if known.replace("_", "") == wanted), -1)


@scalar("pg_encoding_max_length(int4)")
def pg_encoding_max_length(number: int) -> int | None:
    return _ENCODING_BYTES_MAX.get(_ENCODINGS[number], 1) if 0 <= number < len(_ENCODINGS) else None


@scalar("getdatabaseencoding()")
def getdatabaseencoding() -> str:
    return "UTF8"


@scalar("pg_client_encoding()", context=True)
def pg_client_encoding(context: Context) -> str:
    return context.get_setting("client_encoding") or "UTF8"


# ── types and names ─────────────────────────────────────────────────────────────────────────────────────────────────


@scalar("pg_typeof(any)", typed=True)
def pg_typeof(value: Any, *, argument_types: tuple[int, ...], result_type: int) -> int:
    return argument_types[0]


@scalar("format_type(oid,int4)")
def format_type_of(oid: int | None, typmod: int | None) -> str | None:
    return None if oid is None else format_type(oid, typmod)


_NO_SUCH_OBJECT = frozenset({"42704", "42883", "42P01", "42725", "3F000"})


def _name_resolver(oid: int) -> Any:
    def resolve(context: Context, name: str) -> int | None:
        try:
            value = type_by_oid(oid).input(name, -1, context)
        except SqlError as error:
            if error.sqlstate in _NO_SUCH_OBJECT:
                return None
            raise
        return int(value)

    return resolve


for _name, _oid in {
    "to_regclass": oids.REGCLASS,
    "to_regtype": oids.REGTYPE,
    "to_regproc": oids.REGPROC,
    "to_regprocedure": oids.REGPROCEDURE,
    "to_regoper": oids.REGOPER,
    "to_regoperator": oids.REGOPERATOR,
    "to_regnamespace": oids.REGNAMESPACE,
    "to_regrole": oids.REGROLE,
    "to_regcollation": oids.REGCOLLATION,
}.items():
    scalar(f"{_name}(text)", context=True)(_name_resolver(_oid))


_TYPE_WITH_MODIFIER = re.compile(r"\s*([^()]+?)\s*\(([^()]*)\)\s*(.*)\Z", re.DOTALL)


def _input_error(context: Context, text: str, type_text: str) -> SqlError | None:
    found = _TYPE_WITH_MODIFIER.match(type_text)
    typmod = -1
    if found:
        suffix = f" {found[3]}" if found[3] else ""
        entry = type_by_name(found[1] + suffix)
        typmod = entry.typmod_in([part.strip() for part in found[2].split(",")])
    else:
        entry = type_by_name(type_text.strip())
    try:
        entry.input(text, typmod, context)
    except SqlError as error:
        return error
    return None


@scalar("pg_input_is_valid(text,text)", context=True)
def pg_input_is_valid(context: Context, text: str, type_text: str) -> bool:
    return _input_error(context, text, type_text) is None


@scalar("pg_input_error_info(text,text)", context=True)
def pg_input_error_info(context: Context, text: str, type_text: str) -> tuple[str | None, ...]:
    """(message, detail, hint, sql_error_code), all NULL for valid input."""
    error = _input_error(context, text, type_text)
    if error is None:
        return (None, None, None, None)
    return (error.message, error.detail, error.hint, error.sqlstate)


@set_returning("pg_input_error_info(text,text)", context=True)
def pg_input_error_row(context: Context, text: str, type_text: str) -> Iterable[tuple[str | None, ...]]:
    """The same in FROM."""
    return (pg_input_error_info(context, text, type_text),)


@scalar("num_nulls(any)")
def num_nulls(*arguments: Any) -> int:
    return sum(1 for value in arguments if value is None)


@scalar("num_nonnulls(any)")
def num_nonnulls(*arguments: Any) -> int:
    return sum(1 for value in arguments if value is not None)


# ── sizes ───────────────────────────────────────────────────────────────────────────────────────────────────────────

_VARLENA_HEADER = 4
_ARRAY_HEADER = 16
_NUMERIC_HEADER = 2


def _numeric_size(value: Decimal) -> int:
    """Header and base-10,000 digits, as PostgreSQL packs them."""
    if not value.is_finite() or not value:
        return _VARLENA_HEADER + _NUMERIC_HEADER
    exponent = value.as_tuple().exponent
    assert isinstance(exponent, int)
    first = value.adjusted() // 4
    normalized = EXACT.normalize(value)
    last_exponent = normalized.as_tuple().exponent
    assert isinstance(last_exponent, int)
    return _VARLENA_HEADER + _NUMERIC_HEADER + 2 * (first - last_exponent // 4 + 1)


def datum_size(value: Any, oid: int, context: Context) -> int:
    """Bytes of a value as PostgreSQL holds it in memory, uncompressed."""
    entry = type_by_oid(oid)
    if entry.length > 0:
        return entry.length
    if oid == oids.NUMERIC:
        return _numeric_size(value)
    if isinstance(value, list):
        items = list(flatten(value))
        has_nulls = None in items
        size = _ARRAY_HEADER + 8 * len(dimensions(value)) + ((len(items) + 7) // 8 if has_nulls else 0)
        size += -size % 8 if has_nulls else 0
        for item in items:
            if item is not None:
                item_size = datum_size(item, entry.element, context)
                size += item_size + (-item_size % 4 if type_by_oid(entry.element).length < 0 else 0)
        return size
    if isinstance(value, bytes):
        return _VARLENA_HEADER + len(value)
    text = entry.output(value, context).encode()
    return len(text) + (1 if entry.length == -2 else _VARLENA_HEADER)


@scalar("pg_column_size(any)", context=True, typed=True)
def pg_column_size(context: Context, value: Any, *, argument_types: tuple[int, ...], result_type: int) -> int:
    return datum_size(value, argument_types[0], context)


# unit, the size from which the next unit is used, whether it is rounded from half units, bits
_SIZE_UNITS: tuple[tuple[str, int, bool, int], ...] = (
    ("bytes", 10 * 1024, False, 0),
    ("kB", 20 * 1024 - 1, True, 10),
    ("MB", 20 * 1024 - 1, True, 20),
    ("GB", 20 * 1024 - 1, True, 30),
    ("TB", 20 * 1024 - 1, True, 40),
    ("PB", 20 * 1024 - 1, True, 50),
)


def _truncated_quotient(value: int, divisor: int) -> int:
    return -(-value // divisor) if value < 0 else value // divisor


@scalar("pg_size_pretty(int8)")
def pg_size_pretty(size: int) -> str:
    for place, (unit, limit, rounds, bits) in enumerate(_SIZE_UNITS):
        if place == len(_SIZE_UNITS) - 1 or abs(size) < limit:
            if rounds:
                size = _truncated_quotient(size + (-1 if size < 0 else 1), 2)
            return f"{size} {unit}"
        _, _, next_rounds, next_bits = _SIZE_UNITS[place + 1]
        size = _truncated_quotient(size, 1 << next_bits - bits - next_rounds + rounds)
    raise AssertionError("the last unit has no limit")


@scalar("pg_size_pretty(numeric)")
def pg_size_pretty_numeric(size: Decimal) -> str:
    if not size.is_finite():
        return f"{format_numeric(size)} {_SIZE_UNITS[-1][0]}" if not size.is_nan() else "NaN bytes"
    if abs(size) < _SIZE_UNITS[0][1]:
        return f"{format_numeric(size)} bytes"
    return pg_size_pretty(int(size))


_SIZE = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(.*?)\s*\Z", re.DOTALL)


@scalar("pg_size_bytes(text)")
def pg_size_bytes(text: str) -> int:
    found = _SIZE.match(text)
    if found is None:
        raise SqlError("22023", f'invalid size: "{text}"')
    bits = 0
    if found[2]:
        units = {unit.lower(): bits for unit, _, _, bits in _SIZE_UNITS} | {"b": 0}
        if found[2].lower() not in units:
            raise SqlError(
                "22023",
                f'invalid size: "{text}"',
                detail=f'Invalid size unit: "{found[2]}".',
                hint='Valid units are "bytes", "B", "kB", "MB", "GB", "TB", and "PB".',
            )
        bits = units[found[2].lower()]
    size = EXACT.multiply(EXACT.create_decimal(found[1]), Decimal(1 << bits))
    value = int(EXACT.to_integral_value(size))
    if not -(2**63) <= value < 2**63:
        raise SqlError("22003", "bigint out of range")
    return value


# ── sequences ───────────────────────────────────────────────────────────────────────────────────────────────────────


@scalar("nextval(regclass)", context=True)
def nextval(context: Context, sequence: int) -> int:
    return context.next_sequence_value(sequence)


@scalar("currval(regclass)", context=True)
def currval(context: Context, sequence: int) -> int:
    return context.current_sequence_value(sequence)


@scalar("lastval()", context=True)
def lastval(context: Context) -> int:
    return context.last_sequence_value()


@scalar("setval(regclass,int8)", "setval(regclass,int8,bool)", context=True)
def setval(context: Context, sequence: int, value: int, is_called: bool = True) -> int:
    return context.set_sequence_value(sequence, value, is_called)


# ── UUIDs and waiting ───────────────────────────────────────────────────────────────────────────────────────────────


@scalar("gen_random_uuid()")
def gen_random_uuid() -> str:
    return str(uuid.uuid4())


@scalar("pg_sleep(float8)", blocking=True)
def pg_sleep(seconds: float) -> Iterator[float]:
    """Seconds to wait; the executor waits (see `ScalarImplementation.blocking`)."""
    if seconds > 0:  # not NaN
        yield seconds


@scalar("pg_sleep_for(interval)", blocking=True)
def pg_sleep_for(duration: Interval) -> Iterator[float]:
    return pg_sleep(interval_key(duration) / 1_000_000)


@scalar("pg_sleep_until(timestamptz)", blocking=True, context=True)
def pg_sleep_until(context: Context, moment: int) -> Iterator[float]:
    return pg_sleep((moment - context.clock_timestamp()) / 1_000_000)
