"""ANALYZE and VACUUM.

ANALYZE counts rows and stores the count as a row of the statistics relation (`frontend.sql.statistics`), which the planner
and pg_class.reltuples read. VACUUM has nothing to do, since old versions are removed by the view's own garbage queue; VACUUM
ANALYZE is ANALYZE.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from frontend.errors import SqlError
from frontend.sql.ddl import names
from frontend.sql.statistics import record
from storage import keys
from storage.catalog import Index, Sequence, Table, View

if TYPE_CHECKING:
    from frontend.sql import syntax_commands
    from frontend.sql.ddl.environment import DdlEnvironment, Steps, Work

CHUNK_ROWS = 512


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
    rows = 0
    while not scan.done:
        rows += len(scan.fetch(CHUNK_ROWS))
        yield []
    record(transaction, table.oid, rows)
