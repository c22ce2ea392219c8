"""A transaction's draft of the catalog: the schema at its snapshot plus its own, uncommitted DDL.

    Catalog @ snapshot ──put / drop──▶ CatalogDraft.catalog          what the transaction's later statements see
                              └──────▶ Transaction.put               the same change as rows of the catalog relation

A change is a row like any other, so COMMIT, savepoints (the write buffer's undo list), adjudication, replay and `AS OF`
need nothing of their own. Three kinds of key are written, all in the reserved storage id 1:

| index | key | value | what it is for |
| --- | --- | --- | --- |
| 0 | OID | the record (`storage.catalog.encode_object`), empty when dropped | the catalog itself; two DDL transactions on one object conflict (first committer wins) |
| 1 | namespace OID, name | OID | two concurrent `CREATE TABLE x` conflict although their OIDs differ |
| 2 | storage id | OID of the table | a storage id is never given out twice, also not after a DROP, since rows of the dropped table stay readable by older snapshots |

What an object merely needs (its schema, a referenced table) is locked FOR KEY SHARE, so that dropping it concurrently
conflicts in either order while two users of it do not.

**Identifiers.** OIDs and storage ids come from `IdentifierAllocator`, one a node, shared by its sessions: ascending, so that
creation order is OID order as clients expect (pg_dump, \\d), never equal for two concurrent transactions of a node, and never
for two nodes either, because each node uses its own residue modulo `STRIDE`. Nothing is written to allocate, so that
concurrent DDL never conflicts over a counter. Gaps are harmless. Should two nodes ever share a residue, their commits meet at
keys 0 or 2 and one is retried.

The rejected alternatives: a counter row (every pair of concurrent DDL transactions would conflict); random OIDs (no order).
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from frontend.transaction import DELETE, INSERT, KEY_SHARE, KEY_UPDATE, UNIQUE_DELETE, UNIQUE_PUT, Transaction
from storage import keys
from storage.catalog import (
    CATALOG_STORAGE_ID,
    FIRST_USER_OID,
    FIRST_USER_STORAGE_ID,
    Catalog,
    CatalogObject,
    Role,
    Schema,
    Table,
    View,
    encode_object,
)

STRIDE = 16
"""Distance between two identifiers of one node; up to this many nodes run DDL without ever choosing the same one."""

OBJECT_INDEX = 0
NAME_INDEX = 1
STORAGE_INDEX = 2

# Namespaces of names that are in no schema.
SCHEMA_NAMES = 0
ROLE_NAMES = 0xFFFFFFFF

_U32 = struct.Struct(">I")
_OBJECT_PREFIX = keys.prefix(CATALOG_STORAGE_ID, OBJECT_INDEX)
_NAME_PREFIX = keys.prefix(CATALOG_STORAGE_ID, NAME_INDEX)
_STORAGE_PREFIX = keys.prefix(CATALOG_STORAGE_ID, STORAGE_INDEX)

# A draft's catalog needs a version that no other catalog of this process has, because plan caches key on it.
_draft_versions = itertools.count(-1, -1)


def object_key(oid: int) -> bytes:
    """The view key of a catalog object."""
    return _OBJECT_PREFIX + _U32.pack(oid)


def name_key(namespace: int, name: str) -> bytes:
    """The view key under which a name is taken."""
    return _NAME_PREFIX + _U32.pack(namespace) + name.encode() + b"\x00"


def storage_key(storage_id: int) -> bytes:
    """The view key that says which table a storage id was given to."""
    return _STORAGE_PREFIX + _U32.pack(storage_id)


def namespace_of(item: CatalogObject) -> int:
    """Where the object's name must be unique."""
    if isinstance(item, Schema):
        return SCHEMA_NAMES
    return ROLE_NAMES if isinstance(item, Role) else item.schema


class IdentifierAllocator:
    """Gives out OIDs and storage ids of one node.

    Args:
        node: number of the node in the cluster; its residue modulo STRIDE is what it allocates from.
    """

    def __init__(self, node: int = 0) -> None:
        self._residue = node % STRIDE
        self._last_oid = 0
        self._last_storage_id = 0

    def oid(self, catalog: Catalog) -> int:
        """An OID that no object of `catalog` has, and that no other call on this node gets."""
        if not self._last_oid:
            self._last_oid = max(_used_oids(catalog), default=0)
        self._last_oid = self._after(self._last_oid, FIRST_USER_OID)
        return self._last_oid

    def storage_id(self, transaction: Transaction) -> int:
        """A storage id that no table has or had."""
        newest = transaction.store.scan(_STORAGE_PREFIX, keys.successor(_STORAGE_PREFIX), _newest(), reverse=True)
        for key, _ in newest.fetch(1):
            self._last_storage_id = max(self._last_storage_id, _U32.unpack_from(key, keys.PREFIX_LENGTH)[0])
        self._last_storage_id = self._after(self._last_storage_id, FIRST_USER_STORAGE_ID)
        return self._last_storage_id

    def _after(self, last: int, first: int) -> int:
        """The smallest identifier of this node that is greater than `last` and not below `first`."""
        value = max(last + 1, first)
        return value + (self._residue - value) % STRIDE


def _newest() -> int:
    return 2**63 - 1


def _used_oids(catalog: Catalog) -> Iterable[int]:
    for item in catalog.objects.values():
        yield item.oid
        if isinstance(item, Table | View):
            yield item.type
            yield item.array_type
        if isinstance(item, Table):
            for constraint in item.constraints:
                yield constraint.oid


class DraftMark(NamedTuple):
    """A moment of a draft, to go back to (`CatalogDraft.restore`)."""

    catalog: Catalog
    changes: frozenset[int]


class CatalogDraft:
    """The catalog as one transaction sees and changes it.

    Attributes:
        catalog: for name resolution and planning; the very object given at the start until the first change.
    """

    __slots__ = ("_allocator", "_transaction", "catalog")

    def __init__(self, catalog: Catalog, transaction: Transaction, allocator: IdentifierAllocator) -> None:
        self.catalog = catalog
        self._transaction = transaction
        self._allocator = allocator

    # ── identifiers ────────────────────────────────────────────────────────────────────────────────────────────────

    def new_oid(self) -> int:
        """An OID for a new object."""
        return self._allocator.oid(self.catalog)

    def new_storage_id(self, table_oid: int) -> int:
        """A storage id for a new table, or for the rewritten rows of an old one."""
        storage_id = self._allocator.storage_id(self._transaction)
        self._transaction.put(storage_key(storage_id), _U32.pack(table_oid), UNIQUE_PUT)
        return storage_id

    # ── changes ────────────────────────────────────────────────────────────────────────────────────────────────────

    def put(self, *items: CatalogObject) -> None:
        """Create the objects, or replace those with the same OID."""
        self.apply({item.oid: item for item in items})

    def drop(self, *oids: int) -> None:
        """Remove the objects."""
        self.apply(dict.fromkeys(oids))

    def apply(self, changes: Mapping[int, CatalogObject | None]) -> None:
        """Make all changes at once (None removes); what does not differ is not written."""
        transaction, before = self._transaction, self.catalog
        transaction.movable = False  # the draft stands on the catalog of this snapshot
        changed: dict[int, CatalogObject | None] = {}
        for oid, item in changes.items():
            old = before.objects.get(oid)
            if old == item:
                continue
            changed[oid] = item
            transaction.catalog_changes.add(oid)
            old_name = None if old is None else name_key(namespace_of(old), old.name)
            new_name = None if item is None else name_key(namespace_of(item), item.name)
            if old_name is not None and old_name != new_name:
                transaction.put(old_name, b"", UNIQUE_DELETE)
            if item is None:
                transaction.put(object_key(oid), b"", DELETE)
                continue
            transaction.put(object_key(oid), encode_object(item), INSERT if old is None else KEY_UPDATE)
            if new_name is not None and new_name != old_name:
                transaction.put(new_name, _U32.pack(oid), UNIQUE_PUT)
        if changed:
            self.catalog = before.replace(changed, next(_draft_versions))

    def rely_on(self, *oids: int) -> None:
        """What this transaction makes needs these objects: dropping or changing them concurrently conflicts."""
        for oid in oids:
            item = self.catalog.objects.get(oid)
            if item is not None and object_key(oid) not in self._transaction.writes:
                self._transaction.lock(object_key(oid), KEY_SHARE)

    # ── savepoints ─────────────────────────────────────────────────────────────────────────────────────────────────

    def mark(self) -> DraftMark:
        """The present moment; taken with every savepoint. It costs nothing: a catalog never changes."""
        return DraftMark(self.catalog, frozenset(self._transaction.catalog_changes))

    def restore(self, mark: DraftMark) -> None:
        """Go back to a mark. The rows are undone by `Transaction.rollback_to`, which the session calls beside this."""
        self.catalog = mark.catalog
        self._transaction.catalog_changes.intersection_update(mark.changes)
