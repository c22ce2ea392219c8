"""ON CONFLICT: which unique indexes are meant, and what DO UPDATE computes."""

from __future__ import annotations

from frontend.errors import SqlError, unsupported
from frontend.sql import logical, syntax
from frontend.sql.binder.assignments import bind_assignments
from frontend.sql.binder.coercion import to_boolean
from frontend.sql.binder.expressions import bind, check_collation
from frontend.sql.binder.statement import Query
from frontend.sql.binder.table_expressions import row_namespace
from frontend.sql.binder.write_targets import by_number, new_row_ids
from storage.catalog import Table


def bind_on_conflict(
    query: Query, node: syntax.OnConflict, table: Table, name: str, target: logical.WriteTarget
) -> logical.OnConflict:
    """The clause over the existing row (under the table's name or alias) and the proposed one (excluded)."""
    binding = query.binding
    arbiters = _infer(query, node, table, name, target)
    existing = new_row_ids(query, table)
    excluded = new_row_ids(query, table)
    if node.assignments is None:
        return logical.OnConflict(
            arbiters=arbiters, assignments=None, where=None, existing_ids=existing, excluded_ids=excluded
        )
    query.namespace = [
        row_namespace(query, "excluded", table.columns, by_number(table, excluded)),
        row_namespace(query, name, table.columns, by_number(table, existing), None, table),
    ]
    assigned = bind_assignments(query, table, node.assignments)
    if assigned.records:
        raise unsupported("assignment of several columns from a sub-SELECT in ON CONFLICT DO UPDATE")
    where = None
    if node.where is not None:
        with query.clause("WHERE"):
            where = to_boolean(binding, bind(query, node.where), "WHERE")
    return logical.OnConflict(
        arbiters=arbiters,
        assignments=assigned.values,
        where=where,
        existing_ids=existing,
        excluded_ids=excluded,
    )


def _infer(
    query: Query, node: syntax.OnConflict, table: Table, name: str, target: logical.WriteTarget
) -> tuple[int, ...]:
    """OIDs of the indexes that the conflict target means; () for any. 42P10 where none fits."""
    position = node.position or None
    wanted = node.target
    if wanted is None:
        if node.assignments is not None:
            raise SqlError(
                "42601",
                "ON CONFLICT DO UPDATE requires inference specification or constraint name",
                hint="For example, ON CONFLICT (column_name).",
                position=position,
            )
        return ()
    if wanted.constraint is not None:
        return (_constraint_index(table, wanted.constraint),)
    query.namespace = [row_namespace(query, name, table.columns, by_number(table, target.row_ids), None, table)]
    keys: list[logical.Expression] = []
    for element in wanted.elements:
        if element.collation:
            check_collation(element.collation, element.position)
        if element.opclass:
            raise unsupported("an operator class in ON CONFLICT", position=element.position or None)
        if element.descending or element.nulls_first is not None:
            what = "ASC/DESC" if element.descending else "NULLS FIRST/LAST"
            raise SqlError("42P10", f"{what} is not allowed in ON CONFLICT clause", position=position)
        expression = element.expression
        if expression is None:
            assert element.name is not None
            expression = syntax.ColumnReference(names=[element.name], position=wanted.position or element.position)
        with query.clause("index expression"):
            keys.append(bind(query, expression))
    predicate = None
    if wanted.where is not None:
        with query.clause("index predicate"):
            predicate = to_boolean(query.binding, bind(query, wanted.where), "WHERE")
    found = tuple(
        [
            bound.index.oid
            for bound in target.indexes
            if bound.index.unique
            and bound.index.valid
            and all(key in keys for key in bound.keys)
            and all(key in bound.keys for key in keys)
            and _implies(predicate, bound.predicate)
        ]
    )
    if not found:
        raise SqlError("42P10", "there is no unique or exclusion constraint matching the ON CONFLICT specification")
    return found


def _constraint_index(table: Table, name: str) -> int:
    for constraint in table.constraints:
        if constraint.name == name:
            if constraint.kind in ("p", "u"):
                return constraint.index
            raise SqlError("42809", "constraint in ON CONFLICT clause has no associated index")
    raise SqlError("42704", f'constraint "{name}" for table "{table.name}" does not exist')


def _implies(given: logical.Expression | None, needed: logical.Expression | None) -> bool:
    """Whether every conjunct of the index's predicate is a conjunct of the one given."""
    if needed is None:
        return True
    if given is None:
        return False
    have = _conjuncts(given)
    return all(item in have for item in _conjuncts(needed))


def _conjuncts(expression: logical.Expression) -> tuple[logical.Expression, ...]:
    if isinstance(expression, logical.BooleanOperation) and expression.operator == "and":
        return tuple([part for item in expression.arguments for part in _conjuncts(item)])
    return (expression,)
