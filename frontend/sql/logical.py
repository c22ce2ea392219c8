"""The bound plan: what the binder makes of a statement and the planner and compiler turn into code.

    syntax tree ──binder──▶ BoundStatement(plan of these nodes) ──planner──▶ the same nodes, rearranged, with access paths
                                                                ──compiler─▶ Python source

Everything here is resolved: names are column ids, operators and functions are pg_proc entries (by OID and signature), every
implicit cast is explicit, every expression knows its type. Nothing here is ever executed.

**Column ids.** Every column that any node produces has an id (int) that is unique in the whole statement; a node that only
passes a column of its input on (Filter, Sort, Join, also a Project or ProjectSet whose expression for the column is a
`ColumnRef` of that very id) keeps the id. Expressions say `ColumnRef(id)`; where the id is not produced by the node's own input, it is a reference to an outer query (correlation) or,
in a lateral join, to the left side. Rearranging a plan therefore never renumbers anything.

**Nodes and expressions are frozen**; rewrites make new ones (`dataclasses.replace`). Walkers are in `walk.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from frontend.types.casts import CastPath
    from storage.catalog import Constraint, Index, Table

# Pseudo attribute numbers that a Scan can produce besides the table's own columns.
ROW_KEY = -100  # the row's view key without timestamp: bytes
WHOLE_ROW = (
    -101
)  # the stored row, a list by attribute number - 1 (dropped columns included): what UPDATE/DELETE start from
CTID = -1  # tid text, made of the row key
XMIN = -2  # low 32 bits of the transaction that wrote the version
CMIN = -3
XMAX = -4
CMAX = -5
TABLEOID = -6


# ── expressions ─────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Expression:
    """Base of all bound expressions. `type` is an OID, `typmod` PostgreSQL's modifier (-1: none).

    `position` is the 1-based offset in the statement's text that an error about this expression points to (0: unknown); it
    takes no part in equality, so that two occurrences of one expression are equal.
    """

    type: int
    typmod: int = -1
    collation: int = 0
    position: int = field(default=0, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant(Expression):
    """A constant in its in-memory form; None is NULL."""

    value: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterRef(Expression):
    """$number, 1-based; lifted literals are parameters too. Its value arrives already decoded as `type`."""

    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnRef(Expression):
    """The column with this id, from the input, from the left side of a lateral join or from an outer query."""

    id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Expression):
    """A function or operator: a pg_proc entry. Arguments already have the declared types.

    `arguments` of a VARIADIC function called with separate arguments are gathered by the binder into an ArrayConstructor,
    except for VARIADIC "any" functions (concat, format, json_build_object …), whose arguments stay as they are.
    `argument_types` are the actual types (for polymorphic implementations).
    """

    proc_oid: int
    signature: str
    arguments: tuple[Expression, ...]
    strict: bool
    volatile: Literal["i", "s", "v"]
    operator: str = ""  # the operator's name where it was written as one, for EXPLAIN, access paths and column naming
    variadic: bool = False  # VARIADIC array given explicitly


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast(Expression):
    """A conversion by `path`; length coercion (typmod) is applied after it. `implicit` casts are hidden in EXPLAIN."""

    operand: Expression
    path: CastPath
    implicit: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyTypmod(Expression):
    """varchar(n), numeric(p,s), timestamp(p) … applied to a value that already has the type."""

    operand: Expression
    explicit: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BooleanOperation(Expression):
    """AND / OR with SQL's three values, evaluated left to right with short circuit."""

    operator: Literal["and", "or"]
    arguments: tuple[Expression, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Not(Expression):
    operand: Expression


@dataclass(frozen=True, slots=True, kw_only=True)
class NullTest(Expression):
    """IS [NOT] NULL; over a row value all fields count (`row`)."""

    operand: Expression
    negated: bool
    row: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BooleanTest(Expression):
    """IS [NOT] TRUE / FALSE / UNKNOWN."""

    operand: Expression
    test: Literal["true", "false", "unknown"]
    negated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DistinctTest(Expression):
    """IS [NOT] DISTINCT FROM. `equality` is a Call of the = operator over two `CaseValue` placeholders 0 and 1."""

    left: Expression
    right: Expression
    equality: Expression
    negated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseValue(Expression):
    """A value that the enclosing node supplies: CASE's operand, the two sides in DistinctTest, NullIf, InList, Quantified."""

    slot: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseExpression(Expression):
    """CASE: `operand` is evaluated once and seen by the conditions as CaseValue(0) (None for a searched CASE)."""

    operand: Expression | None
    branches: tuple[tuple[Expression, Expression], ...]
    otherwise: Expression


@dataclass(frozen=True, slots=True, kw_only=True)
class Coalesce(Expression):
    arguments: tuple[Expression, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NullIf(Expression):
    left: Expression
    right: Expression
    equality: Expression


@dataclass(frozen=True, slots=True, kw_only=True)
class MinMax(Expression):
    """GREATEST / LEAST; NULLs are ignored; compared by the type's sort key."""

    greatest: bool
    arguments: tuple[Expression, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayConstructor(Expression):
    """ARRAY[…]; `nested`: the elements are arrays themselves and are joined as one more dimension."""

    elements: tuple[Expression, ...]
    nested: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RowConstructor(Expression):
    """ROW(…) or a whole-row reference; a tuple at run time. `names` for to_json and (row).field."""

    fields: tuple[Expression, ...]
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldSelect(Expression):
    operand: Expression
    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscript(Expression):
    """array[i][j] or, with `slice`, array[a:b]…; each subscript is (lower or None, upper or None). NULL out of range."""

    operand: Expression
    subscripts: tuple[tuple[Expression | None, Expression | None], ...]
    slice: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptAssign(Expression):
    """The array with an element or slice replaced: UPDATE … SET a[i] = value, also INSERT INTO t (a[i]). NULL counts as {}."""

    operand: Expression
    subscripts: tuple[tuple[Expression | None, Expression | None], ...]
    slice: bool
    value: Expression


@dataclass(frozen=True, slots=True, kw_only=True)
class InList(Expression):
    """operand [NOT] IN (items): `comparison` is a Call of = over CaseValue 0 (operand) and 1 (item)."""

    operand: Expression
    items: tuple[Expression, ...]
    comparison: Expression
    negated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantified(Expression):
    """operand OP ANY/ALL (array): `comparison` over CaseValue 0 (operand) and 1 (element)."""

    operand: Expression
    array: Expression
    comparison: Expression
    all: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RowComparison(Expression):
    """(a, b) OP (c, d) for < <= > >=, lexicographic; = and <> are bound to AND/OR of the parts.

    Each part is (less-than Call, equality Call) over CaseValue 0 and 1 for that pair of fields.
    """

    operator: Literal["<", "<=", ">", ">="]
    left: tuple[Expression, ...]
    right: tuple[Expression, ...]
    parts: tuple[tuple[Expression, Expression], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalarSubquery(Expression):
    """(SELECT …) as a value; 21000 where it gives more than one row. `outer`: column ids it takes from outside."""

    plan: Plan
    outer: frozenset[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exists(Expression):
    plan: Plan
    outer: frozenset[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArraySubquery(Expression):
    plan: Plan
    outer: frozenset[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantifiedSubquery(Expression):
    """operands OP ANY/ALL (SELECT …); IN is = ANY, NOT IN is Not of it.

    `comparison` compares CaseValue 0…n-1 (operands) with CaseValue n…2n-1 (the subquery's columns).
    """

    operands: tuple[Expression, ...]
    plan: Plan
    outer: frozenset[int]
    comparison: Expression
    all: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SetReturningCall(Expression):
    """A function that returns rows; only in FunctionScan and ProjectSet. `type` is the element or record type."""

    proc_oid: int
    signature: str
    arguments: tuple[Expression, ...]
    strict: bool
    columns: tuple[Column, ...] = ()  # its result columns where it returns a record


# ── plan nodes ──────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """An output column of a node. `table` and `attribute` (0: none) name where it comes from, for RowDescription."""

    id: int
    name: str
    type: int
    typmod: int = -1
    collation: int = 0
    table: int = 0
    attribute: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Base of all plan nodes; `columns` are what it produces, in order."""

    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan(Plan):
    """All visible rows of a table. `attributes[i]` is the attribute number (or a pseudo one) behind columns[i].

    The planner fills `path` (see access.py) and may absorb filters into it.
    """

    table: Table
    alias: str
    attributes: tuple[int, ...]
    path: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualScan(Plan):
    """A relation of pg_catalog, information_schema or sys: rows are made by `frontend.system` when asked.

    `relation` has `.name` and `rows(context) -> Iterable[tuple]` in the order of its declared columns; `positions[i]` is the
    index in such a tuple behind columns[i].
    """

    relation: Any
    alias: str
    positions: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionScan(Plan):
    """FROM f(…) / ROWS FROM (…) / unnest: rows of several functions side by side, padded with NULL."""

    calls: tuple[Expression, ...]  # SetReturningCall, or any expression (one row)
    ordinality: bool
    alias: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Values(Plan):
    rows: tuple[tuple[Expression, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OneRow(Plan):
    """A single row without columns: SELECT without FROM."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CteScan(Plan):
    """Rows of the WITH query `cte`; `positions[i]` indexes its columns. Inside its own recursive step: the work table."""

    cte: int
    positions: tuple[int, ...]
    alias: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter(Plan):
    input: Plan
    condition: Expression


@dataclass(frozen=True, slots=True, kw_only=True)
class Project(Plan):
    """columns[i] is computed by expressions[i]; nothing of the input passes unless named."""

    input: Plan
    expressions: tuple[Expression, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectSet(Plan):
    """Like Project, where some expressions are (or contain, as top level) SetReturningCall: PostgreSQL's lockstep rule."""

    input: Plan
    expressions: tuple[Expression, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Join(Plan):
    """columns = left's then right's (semi/anti: left's). `lateral`: the right side refers to ids of the left."""

    kind: Literal["inner", "left", "right", "full", "semi", "anti"]
    left: Plan
    right: Plan
    condition: Expression | None
    lateral: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AggregateCall:
    """One aggregate to compute. `arguments` over the input; hypothetical/ordered-set: `direct` arguments + `order_by`."""

    proc_oid: int
    signature: str
    arguments: tuple[Expression, ...]
    type: int
    distinct: bool = False
    filter: Expression | None = None
    order_by: tuple[SortKey, ...] = ()
    direct: tuple[Expression, ...] = ()
    within_group: bool = False
    star: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregate(Plan):
    """columns = keys, then aggregates, then groupings.

    `grouping_sets`: tuples of indices into keys (None: one set of all keys). No keys and no sets: one row always.
    `groupings`: for each GROUPING(…) call the indices of its keys, most significant bit first.
    """

    input: Plan
    keys: tuple[Expression, ...]
    aggregates: tuple[AggregateCall, ...]
    grouping_sets: tuple[tuple[int, ...], ...] | None = None
    groupings: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SortKey:
    """Sorted by the type's own order (`frontend.types` sort_key), NULLs placed as said."""

    expression: Expression
    descending: bool = False
    nulls_first: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowFrame:
    """mode and bounds; each bound is (kind, offset expression or None)."""

    mode: Literal["rows", "range", "groups"]
    start: tuple[
        Literal["unbounded_preceding", "preceding", "current", "following", "unbounded_following"], Expression | None
    ]
    end: tuple[
        Literal["unbounded_preceding", "preceding", "current", "following", "unbounded_following"], Expression | None
    ]
    exclusion: Literal["none", "current", "group", "ties"] = "none"
    # For RANGE offsets: pg_proc signatures of + and - between the sort column and the offset.
    range_add: Expression | None = None  # over CaseValue 0 (sort value) and 1 (offset)
    range_subtract: Expression | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowCall:
    """A window function or an aggregate used as one."""

    proc_oid: int
    signature: str
    arguments: tuple[Expression, ...]
    type: int
    aggregate: bool
    filter: Expression | None = None
    star: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Window(Plan):
    """columns = input's, then one a call. All calls share this partitioning, ordering and frame."""

    input: Plan
    partition_by: tuple[Expression, ...]
    order_by: tuple[SortKey, ...]
    frame: WindowFrame
    calls: tuple[WindowCall, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sort(Plan):
    input: Plan
    keys: tuple[SortKey, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Distinct(Plan):
    """DISTINCT over all columns, or ON: the first row of each group of equal `on` values, in input order."""

    input: Plan
    on: tuple[Expression, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit(Plan):
    """count/offset are bigint expressions without column references (None: none); WITH TIES needs the Sort below."""

    input: Plan
    count: Expression | None
    offset: Expression | None
    with_ties: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SetOperation(Plan):
    """Both sides have the types of `columns`, position by position."""

    operation: Literal["union", "intersect", "except"]
    all: bool
    left: Plan
    right: Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class CteDefinition:
    """A WITH query. `recursive_step` is set for WITH RECURSIVE: `plan` is its base term."""

    id: int
    name: str
    plan: Plan
    recursive_step: Plan | None = None
    distinct: bool = False  # UNION rather than UNION ALL
    materialized: bool | None = None
    references: int = 0
    modifies: bool = False  # INSERT/UPDATE/DELETE … RETURNING: runs once, to completion


@dataclass(frozen=True, slots=True, kw_only=True)
class With(Plan):
    """`body` with WITH queries in scope, evaluated in order, once, when first needed (modifying ones always)."""

    ctes: tuple[CteDefinition, ...]
    body: Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class LockRows(Plan):
    """FOR UPDATE / FOR KEY SHARE: registers each row's key (column ids of ROW_KEY) as a check of the proposal."""

    input: Plan
    targets: tuple[tuple[int, Literal["exclusive", "share"]], ...]


# ── data modification ───────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundIndex:
    """An index to maintain: its key and predicate as expressions over the row's column ids."""

    index: Index
    keys: tuple[Expression, ...]
    predicate: Expression | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteTarget:
    """All that writing a row of a table needs, bound once a plan.

    Attributes:
        row_ids: column id for each attribute number (index number - 1) under which checks, generated columns, index keys,
            SET expressions, WHERE and RETURNING see the row; 0 for dropped columns.
        old_ids: in Update, ids under which the row before the update is seen by SET expressions (same as `row_ids` for
            expressions evaluated before the change).
        not_null: attribute numbers.
        foreign_keys: this table's own; referencing: (table, constraint) of others that refer to it.
    """

    table: Table
    row_ids: tuple[int, ...]
    generated: tuple[tuple[int, Expression], ...]
    checks: tuple[tuple[Constraint, Expression], ...]
    not_null: tuple[int, ...]
    indexes: tuple[BoundIndex, ...]
    foreign_keys: tuple[Constraint, ...] = ()
    referencing: tuple[tuple[Table, Constraint], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OnConflict:
    """`arbiters`: OIDs of the unique indexes inferred (empty: any). `assignments` None: DO NOTHING.

    Expressions see the existing row under `existing_ids` and the proposed row under `excluded_ids` (by attribute number).
    """

    arbiters: tuple[int, ...]
    assignments: tuple[tuple[int, Expression], ...] | None
    where: Expression | None
    existing_ids: tuple[int, ...]
    excluded_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Insert(Plan):
    """`values[n-1]` computes attribute n from the source's columns (defaults filled in; None for dropped/generated).

    `columns`/`returning`: RETURNING over target.row_ids; empty without it.
    """

    target: WriteTarget
    source: Plan
    values: tuple[Expression | None, ...]
    on_conflict: OnConflict | None
    returning: tuple[Expression, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Update(Plan):
    """`source` produces, for each row to update, ROW_KEY as `key_id`, WHOLE_ROW as `row_id`, and what SET needs.

    SET expressions see the old row under target.row_ids (the scan of the target produces those ids). RETURNING sees the new
    row under target.row_ids and other sources' columns as they are.
    """

    target: WriteTarget
    source: Plan
    key_id: int
    row_id: int
    assignments: tuple[tuple[int, Expression], ...]
    returning: tuple[Expression, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Delete(Plan):
    target: WriteTarget
    source: Plan
    key_id: int
    row_id: int
    returning: tuple[Expression, ...]


# ── statement ───────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundStatement:
    """What the binder returns for SELECT, INSERT, UPDATE, DELETE, VALUES.

    Attributes:
        columns: what the client receives; empty for DML without RETURNING.
        parameters: type OIDs of $1…$n, all resolved.
        relations: (OID, version) of every user relation the statement depends on, views and referenced tables included.
        writes: True where it modifies data or locks rows (refused in a read-only transaction, 25006).
        volatile: calls a volatile function (not to be answered from a shared result, runs once).
    """

    plan: Plan
    columns: tuple[Column, ...]
    command: Literal["SELECT", "INSERT", "UPDATE", "DELETE"]
    parameters: tuple[int, ...]
    relations: tuple[tuple[int, int], ...]
    writes: bool
    volatile: bool = False
    notices: tuple[str, ...] = field(default=())
