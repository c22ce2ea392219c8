"""ANALYZE and VACUUM.

ANALYZE counts rows and writes the count as a row of the statistics relation: (storage id 3, index 0, table OID) → [rows,
bytes, distinct estimates are not kept]. Nothing checks these writes, since the last count is as good as any.
VACUUM has nothing to do (old versions are removed by the view's own garbage queue); VACUUM ANALYZE is ANALYZE.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from frontend.errors import SqlError
from frontend.sql.ddl import names
from frontend.transaction import UNCHECKED
from storage import keys
from storage.catalog import STATISTICS_STORAGE_ID, Index, Sequence, Table, View

if TYPE_CHECKING:
    from frontend.sql import syntax_commands
    from frontend.sql.ddl.environment import DdlEnvironment, Steps, Work

CHUNK_ROWS = 512
_PREFIX = keys.prefix(STATISTICS_STORAGE_ID, 0)
_U32 = struct.Struct(">I")
_encode = msgspec.msgpack.Encoder().encode


class TableStatistics(NamedTuple):
    """What ANALYZE found."""

    rows: int
    bytes: int


_decode = msgspec.msgpack.Decoder(TableStatistics).decode


def statistics_key(table_oid: int) -> bytes:
    """The view key of a table's statistics."""
    return _PREFIX + _U32.pack(table_oid)


def decode_statistics(data: bytes) -> TableStatistics:
    """The stored row."""
    return _decode(data)


def vacuum(environment: DdlEnvironment, node: syntax_commands.Vacuum) -> Steps:
    """VACUUM [ANALYZE] and ANALYZE."""
    tag = "ANALYZE" if node.analyze_only else "VACUUM"
    options = {option.name: option.value for option in node.options}
    analyze = node.analyze_only or options.get("analyze", "off") not in ("off", "false", "0")
    tables = _targets(environment, node, tag)
    if analyze:
        for table in tables:
            yield from _analyze(environment, table)
    return tag


def _targets(environment: DdlEnvironment, node: syntax_commands.Vacuum, tag: str) -> list[Table]:
    if not node.targets:
        return [item for item in environment.draft.catalog.objects.values() if isinstance(item, Table)]
    tables: list[Table] = []
    for target in node.targets:
        found = names.require_relation(environment, target.relation)
        if isinstance(found, View | Index | Sequence):
            verb = "analyze" if node.analyze_only else "vacuum"
            environment.context.notice(
                "01000",
                f'skipping "{found.name}" --- cannot {verb} non-tables or special system tables',
                severity="WARNING",
            )
            continue
        for name in target.columns:
            if names.find_column(found, name) is None:
                raise SqlError("42703", f'column "{name}" of relation "{found.name}" does not exist')
        tables.append(found)
    return tables


def _analyze(environment: DdlEnvironment, table: Table) -> Work:
    transaction = environment.transaction
    low = keys.prefix(table.storage, 0)
    ranges = len(transaction.ranges)
    scan = transaction.scan(low, keys.successor(low))
    del transaction.ranges[ranges:]  # an approximate count need not be serializable
    rows = size = 0
    while not scan.done:
        pairs = scan.fetch(CHUNK_ROWS)
        rows += len(pairs)
        size += sum([len(key) + len(value) for key, value in pairs])
        yield []
    transaction.put(statistics_key(table.oid), _encode(TableStatistics(rows, size)), UNCHECKED)
