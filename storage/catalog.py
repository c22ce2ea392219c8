"""The schema: what relations, columns, constraints, sequences, views and roles exist at one moment.

A `Catalog` is an immutable snapshot. DDL makes a new one with `replace`-style methods and records which relation OIDs
changed; the records travel in the proposal like any other row (one msgpack record an object, in the reserved catalog
relation, storage id 1), so that `AS OF` sees the schema of its time and a restart loads the catalog with one scan.

    Catalog
      ├─ schemas       oid → Schema
      ├─ relations     oid → Relation: Table | View | Sequence | Index share one OID space and one namespace, like pg_class
      ├─ types         oid → row types and domains that users made
      └─ roles         oid → Role

Every object carries `version`: the commit timestamp (microseconds) at which it was last changed. A proposal names the
versions of the relations that it used, and adjudication compares them (OC001).

Attribute numbers are never reused, so that a stored row (an array by attribute number) stays readable after DROP COLUMN.
Expressions (defaults, checks, generated columns, index expressions, view queries) are kept as SQL text in PostgreSQL's
canonical form and bound when used.
"""

from __future__ import annotations

from typing import Literal

import msgspec

FIRST_USER_OID = 16384
PG_CATALOG_OID = 11
PUBLIC_OID = 2200
INFORMATION_SCHEMA_OID = 13000
SYS_SCHEMA_OID = 13001
BOOTSTRAP_ROLE_OID = 10

CATALOG_STORAGE_ID = 1
SEQUENCE_STORAGE_ID = 2
STATISTICS_STORAGE_ID = 3
FIRST_USER_STORAGE_ID = 1000


class Record(msgspec.Struct, frozen=True, kw_only=True, tag_field="object"):
    """What every catalog object has."""

    oid: int
    name: str
    version: int = 0
    owner: int = BOOTSTRAP_ROLE_OID
    comment: str | None = None
    acl: tuple[tuple[int, int, str], ...] | None = None  # (grantee or 0 for PUBLIC, grantor, privilege letters)


class Schema(Record, frozen=True, kw_only=True, tag="schema"):
    """A namespace."""


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """A column of a table or view.

    Attributes:
        number: attribute number, from 1; never reused. A stored row holds the value at index number - 1.
        type: OID; typmod as PostgreSQL encodes it, -1 for none.
        default: canonical SQL text of DEFAULT, or of the generation expression where `generated`.
        missing: encoded value (rows.encode of one value) that rows written before ADD COLUMN … DEFAULT read as.
        identity: "a" ALWAYS, "d" BY DEFAULT, "" none; the sequence is owned by the column.
    """

    number: int
    name: str
    type: int
    typmod: int = -1
    not_null: bool = False
    default: str | None = None
    generated: bool = False
    identity: Literal["", "a", "d"] = ""
    sequence: int = 0  # OID of the sequence that an identity column owns
    missing: bytes | None = None
    dropped: bool = False
    comment: str | None = None
    collation: int = 0
    statistics_target: int = -1


class KeyPart(msgspec.Struct, frozen=True, kw_only=True):
    """One part of an index key: a column (number > 0) or an expression (number 0, canonical SQL text)."""

    number: int
    expression: str | None = None
    type: int = 0
    typmod: int = -1
    descending: bool = False
    nulls_first: bool = False
    operator_class: str | None = None


class Index(Record, frozen=True, kw_only=True, tag="index"):
    """An index of a table; the primary key's index is the table itself (`primary`, index id 0).

    Attributes:
        table: OID of the table; `schema` as the table's.
        index_id: second part of a view key (u16), unique within the table's storage; 0 is the table's own rows.
        key: parts in order; `include`: attribute numbers stored beside.
        predicate: canonical SQL text of WHERE for a partial index.
    """

    schema: int
    table: int
    index_id: int
    key: tuple[KeyPart, ...]
    include: tuple[int, ...] = ()
    unique: bool = False
    nulls_not_distinct: bool = False
    primary: bool = False
    predicate: str | None = None
    valid: bool = True
    constraint: int = 0  # OID of the constraint that owns the index
    options: dict[str, str] = {}


class Constraint(msgspec.Struct, frozen=True, kw_only=True):
    """A table constraint. kind: p primary key, u unique, c check, f foreign key, n not null is on the column."""

    oid: int
    name: str
    kind: Literal["p", "u", "c", "f"]
    columns: tuple[int, ...] = ()
    expression: str | None = None
    index: int = 0  # OID of the index behind p and u; of the referenced index for f
    foreign_table: int = 0
    foreign_columns: tuple[int, ...] = ()
    on_update: Literal["a", "r", "c", "n", "d"] = "a"
    on_delete: Literal["a", "r", "c", "n", "d"] = "a"
    on_delete_columns: tuple[int, ...] = ()
    match_full: bool = False
    deferrable: bool = False
    initially_deferred: bool = False
    validated: bool = True
    no_inherit: bool = False
    comment: str | None = None


class Table(Record, frozen=True, kw_only=True, tag="table"):
    """A table.

    Attributes:
        storage: storage id (u32), first part of every view key of the table and its indexes; a TRUNCATE or rewrite takes
            a new one, so that old snapshots keep reading the old rows.
        row_key: attribute numbers of the primary key in key order; empty: rows are keyed by a hidden 64-bit row id that
            is unique and time-ordered (taken from the transaction id and a counter).
        type: OID of the row type; array_type: of its array.
        indexes: OIDs of all indexes, the primary key's included; constraints ordered by name.
        referenced_by: OIDs of tables whose foreign keys point here.
    """

    schema: int
    storage: int
    columns: tuple[Column, ...]
    row_key: tuple[int, ...] = ()
    type: int = 0
    array_type: int = 0
    indexes: tuple[int, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    referenced_by: tuple[int, ...] = ()
    options: dict[str, str] = {}
    next_index_id: int = 1


class View(Record, frozen=True, kw_only=True, tag="view"):
    """A view: `query` is canonical SQL text with every name schema-qualified as needed."""

    schema: int
    columns: tuple[Column, ...]
    query: str
    type: int = 0
    array_type: int = 0
    check_option: Literal["", "local", "cascaded"] = ""
    depends_on: tuple[int, ...] = ()
    column_uses: tuple[tuple[int, int], ...] = ()  # (relation OID, attribute number) of the columns its query reads
    options: dict[str, str] = {}


class Sequence(Record, frozen=True, kw_only=True, tag="sequence"):
    """A sequence's definition; its state is a row of SEQUENCE_STORAGE_ID keyed by OID and generation.

    Attributes:
        generation: a number that each ALTER SEQUENCE and RESTART takes anew, and with it a new, empty state row.
        first: what the first nextval of this generation gives; None: `start`. With `first_is_called` it was given
            already, and the one after it comes.
    """

    schema: int
    type: int
    start: int = 1
    increment: int = 1
    minimum: int = 1
    maximum: int = 2**63 - 1
    cache: int = 1
    cycle: bool = False
    owned_by_table: int = 0
    owned_by_column: int = 0
    generation: int = 0
    first: int | None = None
    first_is_called: bool = False


class Role(Record, frozen=True, kw_only=True, tag="role"):
    """A role; `password` is a SCRAM-SHA-256 verifier in PostgreSQL's form."""

    superuser: bool = False
    inherit: bool = True
    create_role: bool = False
    create_database: bool = False
    login: bool = False
    replication: bool = False
    bypass_rls: bool = False
    connection_limit: int = -1
    password: str | None = None
    valid_until: str | None = None
    member_of: tuple[tuple[int, bool], ...] = ()  # (role OID, with admin option)
    settings: dict[str, str] = {}


CatalogObject = Schema | Table | View | Index | Sequence | Role
Relation = Table | View | Index | Sequence


class Catalog:
    """An immutable set of catalog objects with the look-ups that name resolution needs.

    `version` is the newest version of any object in it; plan caches key on it. Names are exact (already case-folded).
    """

    __slots__ = ("_by_name", "_schema_by_name", "objects", "version")

    def __init__(self, objects: dict[int, CatalogObject], version: int) -> None:
        self.objects = objects
        self.version = version
        self._schema_by_name: dict[str, Schema] = {}
        self._by_name: dict[tuple[int, str], Relation] = {}
        for item in objects.values():
            if isinstance(item, Schema):
                self._schema_by_name[item.name] = item
            elif not isinstance(item, Role):
                self._by_name[item.schema, item.name] = item

    def replace(self, changed: dict[int, CatalogObject | None], version: int) -> Catalog:
        """A new catalog with `changed` objects put in (None: removed)."""
        objects = dict(self.objects)
        for oid, item in changed.items():
            if item is None:
                objects.pop(oid, None)
            else:
                objects[oid] = item
        return Catalog(objects, version)

    def schema(self, name: str) -> Schema | None:
        """The user-visible schema of this name (pg_catalog, information_schema and sys are in `frontend/system`)."""
        return self._schema_by_name.get(name)

    def relation(self, schema_oid: int, name: str) -> Relation | None:
        """The table, view, index or sequence of this name in this schema."""
        return self._by_name.get((schema_oid, name))

    def table(self, oid: int) -> Table:
        """The table with this OID; KeyError where there is none."""
        item = self.objects[oid]
        if not isinstance(item, Table):
            raise KeyError(oid)
        return item

    def index(self, oid: int) -> Index:
        """The index with this OID; KeyError where there is none."""
        item = self.objects[oid]
        if not isinstance(item, Index):
            raise KeyError(oid)
        return item

    def indexes_of(self, table: Table) -> list[Index]:
        """The table's indexes in OID order, the primary key's included."""
        return [self.index(oid) for oid in table.indexes]

    def role(self, name: str) -> Role | None:
        """The role of this name."""
        for item in self.objects.values():
            if isinstance(item, Role) and item.name == name:
                return item
        return None


_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[CatalogObject] = msgspec.msgpack.Decoder(CatalogObject)


def encode_object(item: CatalogObject) -> bytes:
    """The record as it is stored in the catalog relation."""
    return _encoder.encode(item)


def decode_object(data: bytes) -> CatalogObject:
    """Inverse of `encode_object`; raises msgspec.ValidationError on a record of another format."""
    return _decoder.decode(data)


def bootstrap_catalog() -> Catalog:
    """The catalog of a new database: schema public, superusers postgres and admin."""
    objects: dict[int, CatalogObject] = {
        PUBLIC_OID: Schema(oid=PUBLIC_OID, name="public", comment="standard public schema"),
        BOOTSTRAP_ROLE_OID: Role(
            oid=BOOTSTRAP_ROLE_OID,
            name="postgres",
            superuser=True,
            create_role=True,
            create_database=True,
            login=True,
            replication=True,
            bypass_rls=True,
        ),
        11_000: Role(
            oid=11_000,
            name="admin",
            superuser=True,
            create_role=True,
            create_database=True,
            login=True,
            bypass_rls=True,
        ),
    }
    return Catalog(objects, 0)
