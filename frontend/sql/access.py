"""Access paths: which index, which part of it, and which conditions that answers.

A condition counts for a key column when it compares the column (or the index's expression, structurally equal) with something
that does not depend on the scanned row: `=`, `<` and their kin of the column's own type (integer widths may differ), IN lists,
= ANY (array), IS NULL, IS NOT NULL, LIKE with a constant prefix, a boolean column by itself. For each index the conditions are
lined up with its key: equalities first, then one list of values, or one range. What the path answers exactly is not tested again.

    cost     rows read × (0.5 from the table itself, 3 through an index: each entry costs a point read)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from frontend.errors import SqlError
from frontend.sql import logical, walk
from frontend.sql.compiler.expressions import hashable
from frontend.sql.physical import AccessPath, Bound
from frontend.types import oids
from storage.catalog import Catalog, Index, Table
from storage.keys import KeyColumn, is_indexable

EQUALITY_SHARE = 0.005
RANGE_SHARE = 1 / 3
BOTH_SHARE = 0.02
ROW_COST = 0.5
ENTRY_COST = 3.0
SEEK_COST = 4.0

_FLIPPED = {"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_INTEGERS = frozenset([oids.INT2, oids.INT4, oids.INT8])
_INTEGER_WIDTHS = {oids.INT2: 2, oids.INT4: 4, oids.INT8: 8}
_STRINGS = frozenset([oids.TEXT, oids.VARCHAR])


@dataclass(frozen=True, slots=True)
class Candidate:
    """A path, its cost, and the conditions that it answers exactly."""

    path: AccessPath
    cost: float
    answered: tuple[logical.Expression, ...]


@dataclass(frozen=True, slots=True)
class KeyShape:
    """An index as the planner sees it: its key over the scan's column ids."""

    index: Index | None
    expressions: tuple[logical.Expression | None, ...]
    columns: tuple[KeyColumn, ...]
    unique: bool
    nulls_distinct: bool
    predicate: tuple[logical.Expression, ...]


def conjuncts(condition: logical.Expression | None) -> list[logical.Expression]:
    """The parts of an AND."""
    if condition is None:
        return []
    if isinstance(condition, logical.BooleanOperation) and condition.operator == "and":
        return [part for argument in condition.arguments for part in conjuncts(argument)]
    return [condition]


def conjunction(parts: Sequence[logical.Expression]) -> logical.Expression | None:
    """The AND of parts; None for none."""
    if not parts:
        return None
    if len(parts) == 1:
        return parts[0]
    return logical.BooleanOperation(type=oids.BOOL, operator="and", arguments=tuple(parts))


def stripped(expression: logical.Expression) -> logical.Expression:
    """Without implicit casts that neither equality nor order notices: varchar seen as text, integers made wider."""
    while isinstance(expression, logical.Cast) and expression.implicit:
        operand = expression.operand
        strings = expression.path.method == "binary" and {expression.type, operand.type} <= _STRINGS
        wider = _INTEGER_WIDTHS.get(operand.type, 9) < _INTEGER_WIDTHS.get(expression.type, 0)
        if not (strings or wider):
            break
        expression = operand
    return expression


def shapes(scan: logical.Scan, catalog: Catalog | None) -> list[KeyShape]:
    """The ways into a table: its primary key and its valid indexes."""
    table = scan.table
    ids = dict(zip(scan.attributes, scan.columns, strict=True))

    def column_of(number: int) -> logical.Expression | None:
        column = ids.get(number)
        return None if column is None else logical.ColumnRef(type=column.type, typmod=column.typmod, id=column.id)

    found: list[KeyShape] = []
    if table.row_key:
        found.append(
            KeyShape(
                None,
                tuple([column_of(number) for number in table.row_key]),
                tuple([KeyColumn(table.columns[number - 1].type, nullable=False) for number in table.row_key]),
                True,
                False,
                (),
            )
        )
    if catalog is None:
        return found
    for oid in table.indexes:
        index = catalog.objects.get(oid)
        if not isinstance(index, Index) or index.primary or not index.valid:
            continue
        bound = _bound_parts(table, index, catalog)
        if bound is None:
            continue
        replacements = {
            number: expression for number in range(1, len(table.columns) + 1) if (expression := column_of(number))
        }
        expressions = tuple([_over_scan(part, replacements) for part in bound[0]])
        predicate = [_over_scan(part, replacements) for part in bound[1]]
        if any(part is None for part in predicate):
            continue
        columns = tuple(
            [
                KeyColumn(part.type, True, key.descending, key.nulls_first)
                for part, key in zip(bound[0], index.key, strict=True)
            ]
        )
        if not all(is_indexable(column.type) for column in columns):
            continue
        found.append(
            KeyShape(
                index,
                expressions,
                columns,
                index.unique,
                not index.nulls_not_distinct,
                tuple([part for part in predicate if part is not None]),
            )
        )
    return found


def _over_scan(
    expression: logical.Expression, replacements: dict[int, logical.Expression]
) -> logical.Expression | None:
    """An expression over attribute numbers as one over the scan's ids; None where the scan does not have a column."""
    if any(isinstance(item, logical.ColumnRef) and item.id not in replacements for item in walk.walk(expression)):
        return None
    return walk.substitute(expression, replacements)


_parts: dict[int, tuple[Index, Table, tuple[Any, Any] | None]] = {}


def _bound_parts(
    table: Table, index: Index, catalog: Catalog
) -> tuple[tuple[logical.Expression, ...], tuple[logical.Expression, ...]] | None:
    """(key parts, conjuncts of the predicate) over attribute numbers as column ids; None where they do not bind."""
    known = _parts.get(id(index))
    if known is not None and known[0] is index and known[1] is table:
        return known[2]
    if len(_parts) > 2000:
        _parts.clear()
    found = _bind_parts(table, index, catalog)
    _parts[id(index)] = (index, table, found)
    return found


def _bind_parts(
    table: Table, index: Index, catalog: Catalog
) -> tuple[tuple[logical.Expression, ...], tuple[logical.Expression, ...]] | None:
    keys: list[logical.Expression] = []
    bind = _expression_binder(table, catalog)
    try:
        for part in index.key:
            if part.number:
                column = table.columns[part.number - 1]
                keys.append(logical.ColumnRef(type=column.type, typmod=column.typmod, id=part.number))
            else:
                keys.append(bind(str(part.expression), "index expression"))
        predicate = [] if index.predicate is None else conjuncts(bind(index.predicate, "index predicate"))
    except SqlError:
        return None  # an index that cannot be understood is maintained by who can, and not used
    return tuple(keys), tuple(predicate)


def _expression_binder(table: Table, catalog: Catalog) -> Callable[[str, Any], logical.Expression]:
    def bind(text: str, kind: Any) -> logical.Expression:
        from frontend.sql.binder.table_expressions import bind_expression, parse_stored

        context: Any = None
        bound = bind_expression(
            parse_stored(text),
            catalog,
            ("pg_catalog", "public"),
            context,
            kind,
            table_name=table.name,
            columns=[column for column in table.columns if not column.dropped],
        )
        return bound.expression

    return bind


# ── matching ────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Match:
    """What one condition says about one key column."""

    kind: str  # = < <= > >= in any null notnull like
    value: logical.Expression | None
    condition: logical.Expression
    items: tuple[logical.Expression, ...] = ()
    prefix: str = ""
    exact: bool = True


def _comparable(key_type: int, value_type: int) -> bool:
    if key_type == value_type:
        return True
    if key_type in _INTEGERS and value_type in _INTEGERS:
        return True
    return key_type in _STRINGS and value_type in _STRINGS


def _independent(expression: logical.Expression, own: frozenset[int]) -> bool:
    """Whether a value can be computed before the scan: no columns of the scan, nothing volatile, no subquery of its own rows."""
    for item in walk.walk(expression):
        if isinstance(item, logical.ColumnRef) and item.id in own:
            return False
        if isinstance(item, logical.Call) and item.volatile == "v":
            return False
        if isinstance(item, logical.CaseValue):
            return False
    return True


def _match(condition: logical.Expression, key: logical.Expression, own: frozenset[int]) -> _Match | None:
    """How a condition restricts the key expression."""
    if isinstance(condition, logical.Call):
        return _match_call(condition, key, own)
    if isinstance(condition, logical.InList) and not condition.negated:
        if stripped(condition.operand) != key or not _plain_comparison(condition.comparison):
            return None
        if not all(_independent(item, own) and _comparable(key.type, item.type) for item in condition.items):
            return None
        return _Match("in", None, condition, items=condition.items)
    if isinstance(condition, logical.Quantified) and not condition.all:
        if stripped(condition.operand) != key or not _plain_comparison(condition.comparison):
            return None
        assert isinstance(condition.comparison, logical.Call)
        if not _independent(condition.array, own) or not _comparable(key.type, condition.comparison.arguments[1].type):
            return None
        return _Match("any", condition.array, condition)
    if isinstance(condition, logical.NullTest) and not condition.row and stripped(condition.operand) == key:
        return _Match("notnull" if condition.negated else "null", None, condition)
    if condition == key and key.type == oids.BOOL:
        return _Match("=", logical.Constant(type=oids.BOOL, value=True), condition)
    if isinstance(condition, logical.Not) and condition.operand == key:
        return _Match("=", logical.Constant(type=oids.BOOL, value=False), condition)
    return None


def _plain_comparison(comparison: logical.Expression) -> bool:
    return (
        isinstance(comparison, logical.Call)
        and comparison.operator == "="
        and all(isinstance(stripped(argument), logical.CaseValue) for argument in comparison.arguments)
    )


def _match_call(condition: logical.Call, key: logical.Expression, own: frozenset[int]) -> _Match | None:
    if len(condition.arguments) != 2:
        return None
    left, right = condition.arguments
    operator = condition.operator
    if operator == "~~" and stripped(left) == key and isinstance(right, logical.Constant) and right.value is not None:
        return _match_like(condition, key, right.value)
    if operator not in _FLIPPED:
        return None
    if stripped(left) == key and _independent(right, own):
        value = right
    elif stripped(right) == key and _independent(left, own):
        value, operator = left, _FLIPPED[operator]
    else:
        return None
    if not _comparable(key.type, value.type) or not hashable(key.type):
        return None
    return _Match(operator, value, condition)


def _match_like(condition: logical.Call, key: logical.Expression, pattern: str) -> _Match | None:
    if key.type not in _STRINGS:
        return None
    place = next((at for at, character in enumerate(pattern) if character in "%_\\"), len(pattern))
    if place == len(pattern):
        return _Match("=", logical.Constant(type=oids.TEXT, value=pattern), condition)
    if place == 0:
        return None
    return _Match("like", None, condition, prefix=pattern[:place], exact=pattern[place:] == "%")


# ── lining up ───────────────────────────────────────────────────────────────────────────────────────────────────────


def candidates(
    scan: logical.Scan,
    conditions: Sequence[logical.Expression],
    table_rows: float,
    catalog: Catalog | None,
) -> list[Candidate]:
    """All useful paths under these conditions, full scan not included."""
    own = walk.produced_columns(scan)
    found = []
    for shape in shapes(scan, catalog):
        if not all(part in conditions for part in shape.predicate):
            continue
        candidate = _line_up(shape, conditions, own, table_rows)
        if candidate is not None:
            found.append(candidate)
    return found


def _line_up(
    shape: KeyShape, conditions: Sequence[logical.Expression], own: frozenset[int], table_rows: float
) -> Candidate | None:
    equals: list[logical.Expression | None] = []
    answered: list[logical.Expression] = list(shape.predicate)
    used: list[logical.Expression] = []
    share = 1.0
    path = AccessPath(index=shape.index, key=shape.columns)
    listed = 1.0
    only_values = True
    for position, key in enumerate(shape.expressions):
        if key is None:
            break
        matches = [match for condition in conditions if (match := _match(condition, key, own)) is not None]
        equal = next((match for match in matches if match.kind == "="), None)
        if equal is not None:
            equals.append(equal.value)
            answered.append(equal.condition)
            used.append(equal.condition)
            share *= EQUALITY_SHARE
            continue
        null = next((match for match in matches if match.kind == "null"), None)
        if null is not None and shape.columns[position].nullable:
            equals.append(None)
            answered.append(null.condition)
            used.append(null.condition)
            share *= EQUALITY_SHARE
            only_values = False
            continue
        path, share, listed = _end(path, position, matches, answered, used, share, listed)
        break
    path = replace(path, equals=tuple(equals), conditions=tuple(used))
    if path.full:
        if not shape.predicate:
            return None
        share = 0.3
    count = len(equals) + (path.many is not None or path.many_array is not None)
    complete = shape.unique and count == len(shape.columns) and path.low is None and path.high is None
    complete = complete and (only_values or not shape.nulls_distinct) and path.prefix is None
    rows = listed if complete else max(table_rows * share, 1.0)
    path = replace(path, unique=complete, rows=rows)
    per_row = ROW_COST if shape.index is None else ENTRY_COST
    return Candidate(path, SEEK_COST * listed + rows * per_row, tuple(answered))


def _end(
    path: AccessPath,
    position: int,
    matches: list[_Match],
    answered: list[logical.Expression],
    used: list[logical.Expression],
    share: float,
    listed: float,
) -> tuple[AccessPath, float, float]:
    """What comes after the equalities: a list, a prefix, or a range."""
    many = next((match for match in matches if match.kind in ("in", "any")), None)
    if many is not None:
        answered.append(many.condition)
        used.append(many.condition)
        count = float(len(many.items)) if many.kind == "in" else 10.0
        if many.kind == "in":
            path = replace(path, many=many.items)
        else:
            path = replace(path, many_array=many.value)
        return path, min(share * EQUALITY_SHARE * count, 1.0), count
    like = next((match for match in matches if match.kind == "like"), None)
    if like is not None:
        used.append(like.condition)
        if like.exact:
            answered.append(like.condition)
        return replace(path, prefix=like.prefix), share * BOTH_SHARE, listed
    low = next((match for match in matches if match.kind in (">", ">=")), None)
    high = next((match for match in matches if match.kind in ("<", "<=")), None)
    if low is not None and low.value is not None:
        path = replace(path, low=Bound(value=low.value, inclusive=low.kind == ">="))
        answered.append(low.condition)
        used.append(low.condition)
    if high is not None and high.value is not None:
        path = replace(path, high=Bound(value=high.value, inclusive=high.kind == "<="))
        answered.append(high.condition)
        used.append(high.condition)
    if low is not None or high is not None:
        return path, share * (BOTH_SHARE if low is not None and high is not None else RANGE_SHARE), listed
    present = next((match for match in matches if match.kind == "notnull"), None)
    if present is not None and path.key[position].nullable:
        answered.append(present.condition)
        used.append(present.condition)
        return replace(path, not_null=True), share, listed
    return path, share, listed


# ── order ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def ordered_path(
    scan: logical.Scan,
    shape: KeyShape,
    keys: Sequence[logical.SortKey],
    candidate: Candidate | None,
) -> AccessPath | None:
    """The path along `shape` that gives rows in the order of `keys`, forward or in reverse; None where it does not.

    Leading key columns that equalities fix to one value need not be among the sort keys.
    """
    path = candidate.path if candidate is not None else AccessPath(index=shape.index, key=shape.columns)
    if not path.ordered:
        return None
    fixed = len(path.equals)
    for reverse in (False, True):
        place = 0
        matched = True
        for key in keys:
            while (
                place < fixed
                and place < len(shape.expressions)
                and stripped(key.expression) != shape.expressions[place]
            ):
                place += 1
            if place >= len(shape.expressions) or stripped(key.expression) != shape.expressions[place]:
                # Behind a complete unique key nothing is left to order.
                matched = place == len(shape.expressions) and shape.unique and shape.index is None
                break
            column = shape.columns[place]
            descending = column.descending != reverse
            nulls_first = column.nulls_first != reverse
            differs = key.descending != descending or (column.nullable and key.nulls_first != nulls_first)
            if differs and place >= fixed:
                matched = False
                break
            place += 1
        if matched:
            return replace(path, reverse=reverse)
    return None
