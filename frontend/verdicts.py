"""From the journal's verdict to what the client is told: 40001 with table and key, 54000, 40003 …"""

from __future__ import annotations

from typing import TYPE_CHECKING

from frontend.errors import SqlError
from frontend.types.registry import type_by_oid
from journal.event import Outcome, Verdict
from storage import keys
from storage.catalog import Catalog, Index, Table
from storage.rows import row_decoder

if TYPE_CHECKING:
    from frontend.context import Context
    from storage.mvcc import VersionedStore

OC000 = "change conflicts with another transaction, please retry: (OC000)"
OC001 = "schema has been updated by another transaction, please retry: (OC001)"


def verdict_error(
    verdict: Verdict, catalog: Catalog, store: VersionedStore, snapshot: int, context: Context, txid: int
) -> SqlError:
    """The error for a transaction that did not commit, or of which that is not known.

    Args:
        txid: its id.
        snapshot: where to read the row behind the conflicting key, so that DETAIL can show its values.
    """
    outcome = verdict.outcome
    if outcome == Outcome.CONFLICT:
        table, detail = _describe_key(verdict.key, catalog, store, snapshot, context)
        winner = (
            f"Transaction {verdict.winner} committed a change to " if verdict.winner else "Another transaction changed "
        )
        return SqlError(
            "40001",
            OC000,
            detail=f"{winner}{detail}.",
            schema=_schema_name(table, catalog),
            table=table.name if table else None,
        )
    if outcome == Outcome.SCHEMA_CONFLICT:
        relation = catalog.objects.get(verdict.relation)
        name = f'"{relation.name}"' if relation is not None else f"object {verdict.relation}"
        return SqlError("40001", OC001, detail=f"Transaction {verdict.winner} changed the definition of {name}.")
    if outcome == Outcome.TOO_OLD:
        return SqlError(
            "40001",
            OC000,
            detail="The transaction's snapshot is older than the conflict window.",
            hint="Retry the transaction; keep writing transactions shorter than the window.",
        )
    if outcome == Outcome.TOO_LARGE:
        return SqlError("54000", "transaction size limit exceeded", detail=verdict.reason or None)
    if outcome == Outcome.OVERLOADED:
        return SqlError("53400", "too many transactions are waiting to commit", detail=verdict.reason or None)
    if outcome == Outcome.DISK_FULL:
        return SqlError("53100", "could not commit the transaction: no space left on the journal's disk")
    if outcome == Outcome.NOT_LEADER:
        return SqlError("57P03", "this node cannot commit transactions now", detail=verdict.reason or None)
    if outcome == Outcome.UNKNOWN:
        return SqlError(
            "40003",
            "the outcome of the transaction is unknown",
            detail=f"Transaction {txid}: {verdict.reason or 'nothing was heard of it'}.",
            hint=f"Before trying again, ask any node: SELECT sys.transaction_status({txid}).",
        )
    if outcome == Outcome.GIVEN_UP:
        return SqlError(
            "40001",
            OC000,
            detail=f"Somebody asked for the status of transaction {txid} before it was decided, which gave it up.",
        )
    return SqlError("XX000", f"proposal refused: {verdict.reason}")


def _schema_name(table: Table | None, catalog: Catalog) -> str | None:
    schema = catalog.objects.get(table.schema) if table is not None else None
    return schema.name if schema is not None else None


def _describe_key(
    key: bytes, catalog: Catalog, store: VersionedStore, snapshot: int, context: Context
) -> tuple[Table | None, str]:
    """(table, «table "t", key (id)=(1)») for a view key, as far as it can be told."""
    storage_id = int.from_bytes(key[:4], "big")
    index_id = int.from_bytes(key[4:6], "big")
    table = next(
        (item for item in catalog.objects.values() if isinstance(item, Table) and item.storage == storage_id), None
    )
    if table is None:
        return None, "the catalog" if storage_id < 1000 else f"storage {storage_id}"
    if len(key) <= keys.PREFIX_LENGTH:
        return table, f'table "{table.name}"'
    index = next((item for item in catalog.indexes_of(table) if item.index_id == index_id), None)
    columns = _key_columns(table, index)
    values = _key_values(key, index_id, table, columns, store, snapshot, context)
    if values is None:
        return table, f'a row of table "{table.name}"'
    names = ", ".join(table.columns[number - 1].name for number in columns)
    return table, f'table "{table.name}", key ({names})=({", ".join(values)})'


def _key_columns(table: Table, index: Index | None) -> tuple[int, ...]:
    if index is None or index.primary:
        return table.row_key
    return tuple(part.number for part in index.key)


def _key_values(
    key: bytes,
    index_id: int,
    table: Table,
    columns: tuple[int, ...],
    store: VersionedStore,
    snapshot: int,
    context: Context,
) -> list[str] | None:
    """The key's values in text form, read from the row (or its last version, if the winner deleted it)."""
    row_key = key
    if index_id:
        version = store.get_version(key, snapshot)
        if version is None or not version[1]:
            return None
        row_key = keys.prefix(table.storage, 0) + version[1]
    version = store.get_version(row_key, snapshot)
    if version is not None and not version[1]:
        version = store.get_version(row_key, version[0] - 1)
    if version is None or not version[1] or not columns or not all(columns):
        return None
    decode = row_decoder([column.type for column in table.columns], [column.missing for column in table.columns])
    row = decode(version[1])
    return [
        "null"
        if row[number - 1] is None
        else type_by_oid(table.columns[number - 1].type).output(row[number - 1], context)
        for number in columns
    ]
