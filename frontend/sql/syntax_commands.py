"""The syntax tree of everything but queries and data modification: definitions, sessions, transactions, roles.

A continuation of `syntax.py`, whose conventions hold here too. These nodes are read by the DDL executor and the
session; the binder needs none of them. What PostgreSQL has and Boreal does not run at all is one
`UnsupportedStatement`.
"""

from __future__ import annotations

from typing import Literal

from frontend.sql.syntax import (
    AsOf,
    AsOfQuery,
    Expression,
    FunctionCall,
    IndexElement,
    Node,
    OperatorName,
    Option,
    RelationName,
    Select,
    Statement,
    TableItem,
    TypeName,
)

# ------------------------------------------------------------------------------------------------- definitions


Persistence = Literal["permanent", "temporary", "unlogged"]
ReferentialAction = Literal["no action", "restrict", "cascade", "set null", "set default"]
ConstraintKind = Literal[
    "null", "not null", "default", "generated", "identity", "check", "primary key", "unique", "foreign key", "exclusion"
]


class SequenceOption(Node):
    """name: as, increment, start, restart, minvalue, maxvalue, cache, cycle, owned by, sequence name, logged, unlogged.

    value by name: as → TypeName; cycle → bool; minvalue/maxvalue None for NO MIN/MAXVALUE; restart None for plain
    RESTART; owned by → list of name parts (["none"] for NONE); sequence name → RelationName; the numbers → int.
    """

    name: str
    value: int | bool | list[str] | TypeName | RelationName | None = None


class ForeignKey(Node):
    """The REFERENCES part. columns [] means the primary key of the referenced table."""

    relation: RelationName
    columns: list[str] = []
    match: Literal["simple", "full", "partial"] = "simple"
    on_update: ReferentialAction = "no action"
    on_delete: ReferentialAction = "no action"
    on_delete_columns: list[str] = []


class Constraint(Node):
    """A column or table constraint; which fields count depends on `kind`.

    columns: of primary key, unique, foreign key as table constraint ([] as column constraint);
    expression: of default, generated (STORED), check; identity_always and sequence: of identity;
    index: of PRIMARY KEY / UNIQUE USING INDEX; options: of WITH (…) on the index.
    """

    kind: ConstraintKind
    name: str | None = None
    columns: list[str] = []
    including: list[str] = []
    expression: Expression | None = None
    identity_always: bool = False
    sequence: list[SequenceOption] = []
    nulls_distinct: bool = True
    references: ForeignKey | None = None
    index: str | None = None
    options: list[Option] = []
    tablespace: str | None = None
    deferrable: bool = False
    initially_deferred: bool = False
    not_valid: bool = False
    no_inherit: bool = False
    exclusion_elements: list[IndexElement] = []
    exclusion_operators: list[OperatorName] = []
    exclusion_method: str | None = None
    where: Expression | None = None


class ColumnDefinition(Node):
    """type is None in CREATE TABLE OF and PARTITION OF."""

    name: str
    type: TypeName | None
    constraints: list[Constraint] = []
    collation: list[str] = []
    storage: str | None = None
    compression: str | None = None


class TableLike(Node):
    """LIKE relation {INCLUDING | EXCLUDING} …: `including` holds what remains included, lower case.

    all: {"comments", "compression", "constraints", "defaults", "generated", "identity", "indexes", "statistics",
    "storage"}.
    """

    relation: RelationName
    including: list[str] = []


class PartitionElement(Node):
    expression: Expression
    collation: list[str] = []
    opclass: list[str] = []


class PartitionBy(Node):
    """PARTITION BY strategy (elements)."""

    strategy: str
    elements: list[PartitionElement]


class PartitionBound(Node):
    """FOR VALUES …, or DEFAULT; kept to be refused by name. in_values, from_values/to_values, or with_ (modulus,
    remainder).
    """

    kind: Literal["default", "in", "range", "hash"]
    values: list[Expression] = []
    to_values: list[Expression] = []
    options: list[Option] = []


class CreateTable(Statement):
    """CREATE TABLE, also AS query (query set) and SELECT INTO is not rewritten to it.

    elements in the order written. columns: the name list of CREATE TABLE AS.
    """

    relation: RelationName
    elements: list[ColumnDefinition | Constraint | TableLike] = []
    if_not_exists: bool = False
    persistence: Persistence = "permanent"
    inherits: list[RelationName] = []
    of_type: TypeName | None = None
    partition_of: RelationName | None = None
    partition_bound: PartitionBound | None = None
    partition_by: PartitionBy | None = None
    method: str | None = None
    options: list[Option] = []
    on_commit: Literal["preserve rows", "delete rows", "drop"] | None = None
    tablespace: str | None = None
    columns: list[str] = []
    query: Statement | None = None
    with_data: bool = True


class CreateIndex(Statement):
    """asynchronous is Aurora DSQL's CREATE INDEX ASYNC."""

    relation: RelationName
    elements: list[IndexElement]
    name: str | None = None
    unique: bool = False
    concurrently: bool = False
    asynchronous: bool = False
    if_not_exists: bool = False
    only: bool = False
    method: str | None = None
    including: list[IndexElement] = []
    nulls_distinct: bool = True
    options: list[Option] = []
    tablespace: str | None = None
    where: Expression | None = None


class CreateView(Statement):
    relation: RelationName
    query: Select
    columns: list[str] = []
    replace: bool = False
    recursive: bool = False
    persistence: Persistence = "permanent"
    options: list[Option] = []
    check_option: Literal["local", "cascaded"] | None = None


class CreateMaterializedView(Statement):
    relation: RelationName
    query: Select
    columns: list[str] = []
    if_not_exists: bool = False
    options: list[Option] = []
    with_data: bool = True


class RefreshMaterializedView(Statement):
    relation: RelationName
    concurrently: bool = False
    with_data: bool = True


class RoleName(Node):
    """A role in a specification: a name, or CURRENT_ROLE, CURRENT_USER, SESSION_USER, PUBLIC by `kind`."""

    kind: Literal["name", "current_role", "current_user", "session_user", "public"]
    name: str = ""


class CreateSchema(Statement):
    """name None: the name of the role of AUTHORIZATION."""

    name: str | None
    authorization: RoleName | None = None
    if_not_exists: bool = False
    elements: list[Statement] = []


class CreateSequence(Statement):
    relation: RelationName
    options: list[SequenceOption] = []
    if_not_exists: bool = False
    persistence: Persistence = "permanent"


class AlterSequence(Statement):
    relation: RelationName
    options: list[SequenceOption]
    if_exists: bool = False


AlterTableKind = Literal[
    "add column",  # column, if_not_exists
    "drop column",  # name, if_exists, cascade
    "alter column type",  # name, type, collation, expression (USING)
    "set default",  # name, expression
    "drop default",  # name
    "set not null",  # name
    "drop not null",  # name
    "set expression",  # name, expression (PostgreSQL 17)
    "drop expression",  # name, if_exists
    "add identity",  # name, constraint
    "set identity",  # name, sequence (plus an item "generated" with value True for ALWAYS)
    "drop identity",  # name, if_exists
    "set statistics",  # name, number; of a column given by number: number, target in value
    "set column options",  # name, options
    "reset column options",  # name, options
    "set storage",  # name, value
    "set compression",  # name, value
    "add constraint",  # constraint
    "alter constraint",  # constraint (name, deferrable, initially_deferred)
    "validate constraint",  # name; asynchronous is DSQL's ALTER TABLE ASYNC
    "drop constraint",  # name, if_exists, cascade
    "owner",  # role
    "set options",  # options
    "reset options",  # options
    "set logged",
    "set unlogged",
    "set access method",  # value
    "set tablespace",  # value
    "set without oids",
    "set without cluster",
    "cluster on",  # name
    "enable trigger",  # name; value: "", "always" or "replica"; or without a name "all" or "user"
    "disable trigger",
    "enable rule",
    "disable rule",
    "enable row security",
    "disable row security",
    "force row security",
    "no force row security",
    "replica identity",  # value: default, full, nothing, index (name)
    "inherit",  # relation
    "no inherit",  # relation
    "of",  # type
    "not of",
    "attach partition",  # relation, bound
    "detach partition",  # relation, value: "", "concurrently" or "finalize"
]


class AlterTableAction(Node):
    """One action of ALTER TABLE (and of ALTER INDEX/VIEW/SEQUENCE that share it); which fields count depends on
    `kind`.
    """

    kind: AlterTableKind
    name: str | None = None
    column: ColumnDefinition | None = None
    constraint: Constraint | None = None
    type: TypeName | None = None
    collation: list[str] = []
    expression: Expression | None = None
    sequence: list[SequenceOption] = []
    options: list[Option] = []
    relation: RelationName | None = None
    bound: PartitionBound | None = None
    role: RoleName | None = None
    value: str = ""
    number: int | None = None
    if_exists: bool = False
    if_not_exists: bool = False
    cascade: bool = False


RelationKind = Literal["table", "index", "view", "materialized view", "sequence", "foreign table"]


class AlterTable(Statement):
    """ALTER TABLE|INDEX|VIEW|… relation action, …; asynchronous is DSQL's ALTER TABLE ASYNC."""

    kind: RelationKind
    relation: RelationName
    actions: list[AlterTableAction]
    if_exists: bool = False
    only: bool = False
    asynchronous: bool = False


class Rename(Statement):
    """ALTER … RENAME TO. For columns and constraints of a relation, `object` is the old name and `relation` the table.

    kind: a RelationKind, "column", "constraint", "schema", "role", "database", "domain", "type", "function", … ; what
    is no relation is named by `names`.
    """

    kind: str
    new_name: str
    relation: RelationName | None = None
    relation_kind: str = "table"
    names: list[str] = []
    object: str | None = None
    if_exists: bool = False


class SetSchema(Statement):
    """ALTER … SET SCHEMA; a relation or other object."""

    kind: str
    schema: str
    relation: RelationName | None = None
    names: list[str] = []
    if_exists: bool = False


class SetOwner(Statement):
    """ALTER SCHEMA|DATABASE|TYPE|… name OWNER TO role (relations: an AlterTable action)."""

    kind: str
    names: list[str]
    role: RoleName


class FunctionSignature(Node):
    """name(argument types); arguments None when no list was written, aggregates' `*` is []."""

    names: list[str]
    arguments: list[TypeName] | None = None


class Drop(Statement):
    """DROP kind names. kind: a RelationKind, "schema", "type", "domain", "function", "procedure", "routine",
    "aggregate", "extension", "collation", "trigger" (names end with the table's and the trigger's name), "rule",
    "policy", "statistics", …

    objects: the dotted names; functions in `functions` instead.
    """

    kind: str
    objects: list[list[str]] = []
    functions: list[FunctionSignature] = []
    if_exists: bool = False
    cascade: bool = False
    concurrently: bool = False


class Comment(Statement):
    """COMMENT ON kind names IS text. For "column" the last part is the column; for "constraint" and "trigger" the
    object's name follows the relation's; functions and types are in their own fields."""

    kind: str
    names: list[str]
    text: str | None
    function: FunctionSignature | None = None
    type: TypeName | None = None


# ------------------------------------------------------------------------------------------------ other commands


class Copy(Statement):
    """COPY; both option syntaxes end as `options` (format, delimiter, null, header, quote, escape, force_quote, …).

    source: "stdin"/"stdout" ("stdin" and "stdout" are interchangeable, as in PostgreSQL), or target file/program name.
    """

    relation: RelationName | None
    columns: list[str] = []
    query: Statement | None = None
    from_: bool = False
    program: bool = False
    filename: str | None = None  # None: the client (STDIN/STDOUT)
    options: list[Option] = []
    where: Expression | None = None


class Set(Statement):
    """SET [LOCAL|SESSION] name = values. values None means TO DEFAULT. Special forms are already mapped to their
    variables: TIME ZONE → timezone, NAMES → client_encoding, ROLE → role, SESSION AUTHORIZATION →
    session_authorization, SCHEMA → search_path. A value is a Constant (a bare word is a string, a number may have a
    sign), or for TIME ZONE INTERVAL a Cast.
    """

    name: str
    values: list[Expression] | None
    local: bool = False


class SetTransaction(Statement):
    """SET TRANSACTION (session False), SET SESSION CHARACTERISTICS AS TRANSACTION (session True); snapshot: SET
    TRANSACTION SNAPSHOT."""

    modes: TransactionModes
    session: bool = False
    local: bool = False
    snapshot: str | None = None


class SetConstraints(Statement):
    """constraints [] means ALL."""

    constraints: list[RelationName]
    deferred: bool


class Reset(Statement):
    """name None: RESET ALL."""

    name: str | None


class Show(Statement):
    """name None: SHOW ALL."""

    name: str | None


class TransactionModes(Node):
    """isolation: "read uncommitted", "read committed", "repeatable read", "serializable"; None where nothing was
    said.
    """

    isolation: str | None = None
    read_only: bool | None = None
    deferrable: bool | None = None
    as_of: AsOf | None = None


class Transaction(Statement):
    """Transaction control.

    kind: begin, start (modes), commit, rollback (chain), savepoint, release, rollback to (name),
    prepare transaction, commit prepared, rollback prepared (name is the identifier).
    """

    kind: Literal[
        "begin",
        "start",
        "commit",
        "rollback",
        "savepoint",
        "release",
        "rollback to",
        "prepare transaction",
        "commit prepared",
        "rollback prepared",
    ]
    modes: TransactionModes | None = None
    chain: bool = False
    name: str | None = None


class Explain(Statement):
    """options: names in lower case; ANALYZE and VERBOSE of the old syntax are options without value."""

    statement: Statement
    options: list[Option] = []


class Prepare(Statement):
    name: str
    types: list[TypeName]
    statement: Statement


class Execute(Statement):
    name: str
    arguments: list[Expression] = []


class Deallocate(Statement):
    """name None: ALL."""

    name: str | None


class DeclareCursor(Statement):
    name: str
    query: Select | AsOfQuery
    binary: bool = False
    scroll: bool | None = None
    insensitive: bool | None = None
    hold: bool = False


class Fetch(Statement):
    """FETCH and MOVE (move). count None with direction forward/backward means ALL."""

    cursor: str
    direction: Literal["forward", "backward", "absolute", "relative"]
    count: int | None = 1
    move: bool = False


class CloseCursor(Statement):
    """name None: ALL."""

    name: str | None


class VacuumTarget(Node):
    relation: RelationName
    columns: list[str] = []


class Vacuum(Statement):
    """VACUUM, or ANALYZE alone (analyze_only); the old syntax's words are options without value."""

    targets: list[VacuumTarget] = []
    options: list[Option] = []
    analyze_only: bool = False


class Lock(Statement):
    """mode as written, lower case, e.g. "access exclusive"."""

    targets: list[TableItem]
    mode: str = "access exclusive"
    nowait: bool = False


class Discard(Statement):
    target: Literal["all", "plans", "sequences", "temporary"]


class Listen(Statement):
    channel: str


class Notify(Statement):
    channel: str
    payload: str | None = None


class Unlisten(Statement):
    """channel None: *."""

    channel: str | None


class Checkpoint(Statement):
    pass


class Call(Statement):
    call: FunctionCall


class Do(Statement):
    language: str | None
    body: str | None


class Privilege(Node):
    """name: select, insert, … or a role's name as written; None: ALL."""

    name: str | None
    columns: list[str] = []


class Grant(Statement):
    """GRANT/REVOKE privileges ON objects TO/FROM grantees.

    object_kind: table, sequence, database, schema, function, procedure, routine, language, type, domain, foreign
    server, …; all_in_schema: objects are schemas of ALL … IN SCHEMA. privileges [] means ALL PRIVILEGES.
    grant_option: WITH GRANT OPTION, or REVOKE GRANT OPTION FOR.
    """

    grant: bool
    privileges: list[Privilege]
    object_kind: str
    grantees: list[RoleName]
    objects: list[list[str]] = []
    functions: list[FunctionSignature] = []
    all_in_schema: bool = False
    grant_option: bool = False
    granted_by: RoleName | None = None
    cascade: bool = False


class GrantRole(Statement):
    """GRANT roles TO grantees / REVOKE roles FROM; options: admin, inherit, set with value true/false."""

    grant: bool
    roles: list[str]
    grantees: list[RoleName]
    options: list[Option] = []
    granted_by: RoleName | None = None
    cascade: bool = False


class AlterDefaultPrivileges(Statement):
    roles: list[RoleName]
    schemas: list[str]
    action: Grant


class CreateRole(Statement):
    """kind: role, user (LOGIN by default) or group. Option names: superuser, createdb, createrole, inherit, login,
    replication, bypassrls (value "true"/"false"), password (None: NULL), connection limit, valid until, in role,
    role, admin, sysid (lists of role names as list[str])."""

    kind: Literal["role", "user", "group"]
    name: str
    options: list[Option] = []


class AlterRole(Statement):
    role: RoleName
    options: list[Option]
    add_members: bool | None = None  # ALTER GROUP … ADD/DROP USER: members are in an option "role"


class AlterRoleSetting(Statement):
    """ALTER ROLE role|ALL [IN DATABASE database] SET|RESET …; role None is ALL."""

    role: RoleName | None
    database: str | None
    setting: Set | Reset


class DropRole(Statement):
    roles: list[RoleName]
    if_exists: bool = False


class ReassignOwned(Statement):
    roles: list[RoleName]
    new_role: RoleName


class DropOwned(Statement):
    roles: list[RoleName]
    cascade: bool = False


class UnsupportedStatement(Statement):
    """A statement of PostgreSQL that Boreal does not run: `name` completes «… is not supported» (CREATE FUNCTION)."""

    name: str


class EmptyStatement(Statement):
    """Nothing but white space and comments: the protocol's EmptyQueryResponse. `parse()` yields none; here for
    portals.
    """
