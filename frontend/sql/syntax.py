"""The syntax tree of a SQL statement: what was written, before anything is looked up.

The parser builds these nodes and nothing else does (except code that rewrites a tree); the binder, the DDL executor and
`deparse.py` read them. The shapes follow PostgreSQL's raw parse tree, because PostgreSQL's rules for names, types,
column labels and error positions are stated in terms of it, but the words are plain: a `ColumnReference` is a dotted
name that may turn out to be a column, a field or a whole row; a `Constant` has no type yet. Here are expressions,
queries and data modification; all other statements are in `syntax_commands.py`.

Conventions
- `position` is the 1-based character offset of the node in the statement's text, as the protocol's ErrorResponse wants
  it; 0 means unknown. It takes no part in `same()`, which compares two trees by meaning.
- Identifiers are already folded to lower case (unless quoted) and truncated to 63 bytes.
- A qualified name is a list of its parts, outermost first: `pg_catalog.int4` is ["pg_catalog", "int4"]. Where the
  grammar itself resolves a keyword (INTEGER, EXTRACT(…), TRIM(…)) the parts start with "pg_catalog", as in PostgreSQL.
- Absent optional parts are None, absent lists are []. `None` and `[]` never mean two different things in one field
  unless its comment says so.
- Nodes are mutable msgspec structs: slotted, cheap to make (≈ 0.1 µs), and not hashable; use `id()` for side tables.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec


class Node(msgspec.Struct, kw_only=True):
    """Anything in the tree."""

    position: int = 0


class Expression(Node):
    """Anything that has a value."""


class FromItem(Node):
    """Anything that may stand in FROM."""


class Statement(Node):
    """One statement."""


def same(left: object, right: object) -> bool:
    """Whether two trees (or lists of trees, or leaves) are equal but for positions."""
    if isinstance(left, Node):
        if type(left) is not type(right):
            return False
        return all(
            same(getattr(left, name), getattr(right, name)) for name in left.__struct_fields__ if name != "position"
        )
    if isinstance(left, list | tuple):
        return (
            isinstance(right, list | tuple)
            and len(left) == len(right)
            and all(same(a, b) for a, b in zip(left, right, strict=True))
        )
    return type(left) is type(right) and left == right


def nodes(node: object) -> Iterator[Node]:
    """A tree's nodes (or those of a list of trees), from left to right, parents first."""
    if isinstance(node, list | tuple):
        for item in node:
            yield from nodes(item)
    elif isinstance(node, Node):
        yield node
        for name in node.__struct_fields__:
            yield from nodes(getattr(node, name))


# ---------------------------------------------------------------------------------------------------------------- names


class RelationName(Node):
    """A table, view, index or sequence as named in a statement."""

    name: str
    schema: str | None = None
    catalog: str | None = None


class TypeName(Node):
    """A type as written. INTEGER is ["pg_catalog", "int4"], CHAR(3) is ["pg_catalog", "bpchar"] with modifiers [3].

    `dimensions` has one entry per pair of brackets, -1 where no size was given. `interval_fields` are the lower-case
    words of INTERVAL's qualifier ("year to month", "day to second"), its precision, if any, is in `modifiers`.
    """

    names: list[str]
    modifiers: list[Expression] = []
    dimensions: list[int] = []
    setof: bool = False
    interval_fields: str | None = None
    percent_type: bool = False  # table.column%TYPE


class OperatorName(Node):
    """An operator named outside an expression, e.g. in ORDER BY … USING or COMMENT ON OPERATOR."""

    name: str
    schema: str | None = None


# ---------------------------------------------------------------------------------------------------------- expressions

ConstantKind = Literal["integer", "decimal", "string", "bit", "boolean", "null"]
LiftedKind = Literal["i4", "i8", "numeric", "string"]


class ColumnReference(Expression):
    """`a`, `t.a`, `s.t.a`, `t.*`, `*` (names [] and star)."""

    names: list[str]
    star: bool = False


class Constant(Expression):
    """A literal. Its `value` by kind:

    integer: decimal digits, however it was written (0x1F is "31", 1_000 is "1000"), no sign; any size;
    decimal: digits with a point and/or exponent as written, underscores removed; string: the unescaped text;
    bit: `b` or `x` followed by the digits; boolean: "true" or "false"; null: "".
    A string (and null) has PostgreSQL's type "unknown" until context gives it one.
    """

    kind: ConstantKind
    value: str = ""


class Parameter(Expression):
    """`$number`, or a literal lifted by `fingerprint()`.

    lifted is None for the client's own `$n`. Otherwise number counts the lifted literals of the statement from 1, and
    the binder must treat the parameter as the literal it stands for: "string" is of type unknown (resolved by
    context, like the constant would be), "i4", "i8" and "numeric" are int4, int8 and numeric. A statement has only
    one of both kinds.
    """

    number: int
    lifted: LiftedKind | None = None


class FunctionCall(Expression):
    """`name(arguments)`, also for the special syntaxes that PostgreSQL turns into calls.

    arguments may contain NamedArgument (after the positional ones); `variadic` concerns the last one.
    `star` is `count(*)`. `order_by` belongs inside the parentheses, `within_group` is WITHIN GROUP (ORDER BY …).
    `syntax` is "" for an ordinary call, else the special form written, with names = ["pg_catalog", function]:
    "extract", "substring" (FROM/FOR), "substring similar", "overlay", "position", "trim", "normalize", "is normalized",
    "at time zone", "overlaps", "collation for". The arguments are in the order of the pg_catalog function:
    extract(text, source), position(string, substring), timezone(zone, value), btrim/ltrim/rtrim(string[, characters]).
    """

    names: list[str]
    arguments: list[Expression] = []
    variadic: bool = False
    distinct: bool = False
    star: bool = False
    order_by: list[SortItem] = []
    within_group: list[SortItem] = []
    filter: Expression | None = None
    over: WindowDefinition | None = None
    syntax: str = ""


class NamedArgument(Expression):
    """`name => value` or `name := value` in a call."""

    name: str
    value: Expression


SqlValueName = Literal[
    "current_date",
    "current_time",
    "current_timestamp",
    "localtime",
    "localtimestamp",
    "current_role",
    "current_user",
    "user",
    "session_user",
    "system_user",
    "current_catalog",
    "current_schema",
]


class SqlValue(Expression):
    """A function called without parentheses: current_date, current_timestamp(3), user …"""

    name: SqlValueName
    precision: int | None = None


class Operator(Expression):
    """`left name right`, or prefix `name right`; schema is set for OPERATOR(schema.name). != is already <>."""

    name: str
    left: Expression | None
    right: Expression
    schema: str | None = None


class Quantified(Expression):
    """`left operator ANY|ALL (array)` or `(query)`; SOME is any. LIKE ANY has the operator ~~. One of array, query."""

    name: str
    kind: Literal["any", "all"]
    left: Expression
    array: Expression | None = None
    query: Select | None = None
    schema: str | None = None


class BooleanExpression(Expression):
    """AND and OR with two or more arguments (chains are flat), NOT with one."""

    kind: Literal["and", "or", "not"]
    arguments: list[Expression]


class IsTest(Expression):
    """`operand IS [NOT] kind`; `distinct` is IS [NOT] DISTINCT FROM other."""

    kind: Literal["null", "true", "false", "unknown", "distinct"]
    operand: Expression
    negated: bool = False
    other: Expression | None = None


class JsonTest(Expression):
    """`operand IS [NOT] JSON [VALUE|ARRAY|OBJECT|SCALAR] [WITH UNIQUE KEYS]`."""

    operand: Expression
    kind: Literal["value", "array", "object", "scalar"] = "value"
    unique_keys: bool = False
    negated: bool = False


class Between(Expression):
    operand: Expression
    low: Expression
    high: Expression
    symmetric: bool = False
    negated: bool = False


class In(Expression):
    """`operand [NOT] IN (items)` or `(query)`; exactly one of both."""

    operand: Expression
    items: list[Expression] = []
    query: Select | None = None
    negated: bool = False


class Like(Expression):
    """`operand [NOT] LIKE|ILIKE|SIMILAR TO pattern [ESCAPE escape]`; the operators are ~~, ~~* and ~ and their
    negations.
    """

    kind: Literal["like", "ilike", "similar"]
    operand: Expression
    pattern: Expression
    escape: Expression | None = None
    negated: bool = False

    @property
    def operator(self) -> str:
        """PostgreSQL's operator that the predicate stands for."""
        name = {"like": "~~", "ilike": "~~*", "similar": "~"}[self.kind]
        return "!" + name if self.negated else name


class When(Node):
    condition: Expression
    result: Expression


class Case(Expression):
    operand: Expression | None
    whens: list[When]
    default: Expression | None = None


class Cast(Expression):
    """CAST(operand AS type), operand::type, and `type 'string'` when `literal` is set (date '2020-01-01')."""

    operand: Expression
    type: TypeName
    literal: bool = False


class Collate(Expression):
    operand: Expression
    names: list[str]


class ArrayConstructor(Expression):
    """ARRAY[…]; nested brackets are nested ArrayConstructor elements."""

    elements: list[Expression]


class Row(Expression):
    """ROW(…) when explicit, else a parenthesised list of two or more."""

    elements: list[Expression]
    explicit: bool = False


class Index(Node):
    """One pair of brackets: [upper], or [lower:upper] with either side optional when slice is set."""

    upper: Expression | None
    lower: Expression | None = None
    slice: bool = False


class Subscript(Expression):
    """operand[…][…]."""

    operand: Expression
    indexes: list[Index]


class FieldSelection(Expression):
    """(operand).name, or (operand).* when name is None."""

    operand: Expression
    name: str | None


class SubqueryExpression(Expression):
    kind: Literal["scalar", "exists", "array"]
    query: Select


class Coalesce(Expression):
    arguments: list[Expression]


class NullIf(Expression):
    left: Expression
    right: Expression


class MinMax(Expression):
    kind: Literal["greatest", "least"]
    arguments: list[Expression]


class Grouping(Expression):
    """GROUPING(…)."""

    arguments: list[Expression]


class SetToDefault(Expression):
    """DEFAULT as a value in INSERT, UPDATE and MERGE."""


class CurrentOf(Expression):
    """WHERE CURRENT OF cursor."""

    cursor: str


# ---------------------------------------------------------------------------------------------- parts of expressions


class SortItem(Node):
    """One item of ORDER BY. nulls_first None: PostgreSQL's default (last when ascending, first when descending)."""

    expression: Expression
    descending: bool = False
    nulls_first: bool | None = None
    using: OperatorName | None = None


FrameBoundKind = Literal[
    "unbounded preceding", "offset preceding", "current row", "offset following", "unbounded following"
]


class FrameBound(Node):
    kind: FrameBoundKind
    offset: Expression | None = None


class Frame(Node):
    mode: Literal["rows", "range", "groups"]
    start: FrameBound
    end: FrameBound | None = None  # None: only the start was written, the end is CURRENT ROW
    exclusion: Literal["current row", "group", "ties"] | None = None


class WindowDefinition(Node):
    """An item of WINDOW (name set), OVER name (name set, nothing else), or OVER ([reference] …)."""

    name: str | None = None
    reference: str | None = None
    partition_by: list[Expression] = []
    order_by: list[SortItem] = []
    frame: Frame | None = None


# ----------------------------------------------------------------------------------------------------- queries


class Target(Node):
    """One item of a select list or RETURNING; `expression` may be a ColumnReference or FieldSelection with a star."""

    expression: Expression
    alias: str | None = None


class GroupingSet(Expression):
    """An item of GROUP BY that is not a plain expression; `empty` is (). Items are expressions or grouping sets."""

    kind: Literal["empty", "rollup", "cube", "sets"]
    items: list[Expression] = []


class CommonTable(Node):
    """One query of WITH. materialized None: not said. SEARCH and CYCLE are refused by the parser (0A000)."""

    name: str
    columns: list[str]
    query: Statement
    materialized: bool | None = None


class With(Node):
    tables: list[CommonTable]
    recursive: bool = False


class Locking(Node):
    """FOR strength [OF relations] [NOWAIT | SKIP LOCKED]; relations [] means all."""

    strength: Literal["update", "no key update", "share", "key share"]
    relations: list[RelationName] = []
    wait: Literal["block", "nowait", "skip locked"] = "block"


class IntoTable(Node):
    """SELECT … INTO."""

    relation: RelationName
    persistence: Literal["permanent", "temporary", "unlogged"] = "permanent"


class Select(Statement):
    """A query: a plain SELECT, VALUES (values is not None), or a set operation (operation, left and right are set).

    distinct: None, [] for DISTINCT, or the expressions of DISTINCT ON. all_rows is UNION ALL etc.
    limit: None without a limit and for LIMIT ALL; FETCH FIRST without a count is 1.
    with_, order_by, limit, offset, locking apply to the whole, also for VALUES and set operations.
    """

    targets: list[Target] = []
    from_: list[FromItem] = []
    where: Expression | None = None
    group_by: list[Expression] = []
    group_distinct: bool = False
    having: Expression | None = None
    windows: list[WindowDefinition] = []
    distinct: list[Expression] | None = None
    into: IntoTable | None = None
    values: list[list[Expression]] | None = None
    operation: Literal["union", "intersect", "except"] | None = None
    all_rows: bool = False
    left: Select | None = None
    right: Select | None = None
    with_: With | None = None
    order_by: list[SortItem] = []
    limit: Expression | None = None
    offset: Expression | None = None
    with_ties: bool = False
    locking: list[Locking] = []


class AsOf(Node):
    """AS OF SYSTEM TIME argument, AS OF POSITION argument."""

    kind: Literal["time", "position"]
    argument: Expression


class AsOfQuery(Statement):
    """A whole query with AS OF at its end. Only statements that may read in the past hold one; a part of a query never does.

    source: the query's text without the clause, in which positions before the clause are what they were.
    """

    query: Select
    as_of: AsOf
    source: str


class Alias(Node):
    """[AS] name [(columns)]."""

    name: str
    columns: list[str] = []


class TableSample(Node):
    method: list[str]
    arguments: list[Expression]
    repeatable: Expression | None = None


class TableItem(FromItem):
    relation: RelationName
    alias: Alias | None = None
    only: bool = False
    sample: TableSample | None = None


class SubqueryItem(FromItem):
    query: Select
    alias: Alias | None = None
    lateral: bool = False


class RecordColumn(Node):
    """name type [COLLATE …] of a column definition list."""

    name: str
    type: TypeName
    collation: list[str] = []


class FunctionItemCall(Node):
    """One call of ROWS FROM; call is a FunctionCall or another call-like expression (SqlValue, Coalesce, Cast …)."""

    call: Expression
    columns: list[RecordColumn] = []


class FunctionItem(FromItem):
    """f(…) or ROWS FROM (f(…), …) [WITH ORDINALITY] [alias [(columns)]] [AS (name type, …)].

    A column definition list is in `columns`; inside ROWS FROM each call has its own.
    """

    calls: list[FunctionItemCall]
    alias: Alias | None = None
    columns: list[RecordColumn] = []
    rows_from: bool = False
    ordinality: bool = False
    lateral: bool = False


class JoinItem(FromItem):
    """CROSS JOIN is kind "inner" without condition, using and natural, as in PostgreSQL."""

    kind: Literal["inner", "left", "right", "full"]
    left: FromItem
    right: FromItem
    natural: bool = False
    using: list[str] = []
    using_alias: str | None = None
    condition: Expression | None = None
    alias: Alias | None = None


# -------------------------------------------------------------------------------------------- data modification


class Option(Node):
    """name [= value] of a WITH (…), COPY (…), EXPLAIN (…), sequence or role option list; namespace as in
    toast.fillfactor.

    value: None when only the name was written; a word, string or number is a str (as SQL would print it, unquoted);
    `*` is the str "*"; a parenthesised list is a list of str.
    """

    name: str
    value: str | list[str] | None = None
    namespace: str | None = None


class IndexElement(Node):
    """A column (name) or an expression of an index; exactly one of both is set."""

    name: str | None = None
    expression: Expression | None = None
    collation: list[str] = []
    opclass: list[str] = []
    opclass_options: list[Option] = []
    descending: bool = False
    nulls_first: bool | None = None


class InsertColumn(Node):
    """A target column of INSERT; steps are the subscripts (Index) and field names (str) after its name."""

    name: str
    steps: list[Index | str] = []


class Assignment(Node):
    """column = value, or (columns) = value, where value is a Row, a scalar SubqueryExpression or any expression."""

    columns: list[InsertColumn]
    value: Expression
    multiple: bool = False


class ConflictTarget(Node):
    """ON CONFLICT (elements) [WHERE …] or ON CONSTRAINT name."""

    elements: list[IndexElement] = []
    where: Expression | None = None
    constraint: str | None = None


class OnConflict(Node):
    target: ConflictTarget | None
    assignments: list[Assignment] | None  # None: DO NOTHING
    where: Expression | None = None


class Insert(Statement):
    """query None means DEFAULT VALUES."""

    relation: RelationName
    alias: Alias | None = None
    columns: list[InsertColumn] = []
    query: Select | None = None
    overriding: Literal["user", "system"] | None = None
    on_conflict: OnConflict | None = None
    returning: list[Target] = []
    with_: With | None = None


class Update(Statement):
    target: TableItem
    assignments: list[Assignment]
    from_: list[FromItem] = []
    where: Expression | None = None
    returning: list[Target] = []
    with_: With | None = None


class Delete(Statement):
    target: TableItem
    using: list[FromItem] = []
    where: Expression | None = None
    returning: list[Target] = []
    with_: With | None = None


class MergeWhen(Node):
    matched: bool
    action: Literal["update", "delete", "insert", "nothing"]
    condition: Expression | None = None
    assignments: list[Assignment] = []
    columns: list[InsertColumn] = []
    values: list[Expression] | None = None  # None with action insert: DEFAULT VALUES
    overriding: Literal["user", "system"] | None = None


class Merge(Statement):
    target: TableItem
    source: FromItem
    condition: Expression
    whens: list[MergeWhen]
    with_: With | None = None


class Truncate(Statement):
    targets: list[TableItem]
    restart_identity: bool = False
    cascade: bool = False
