"""WITH: common table expressions, recursive ones and those that modify data.

An entry is bound when WITH is read; under RECURSIVE, when it is first referred to, so that forward references work. A
recursive query's base term is bound first, its columns are what the recursive term sees of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import msgspec

from frontend.errors import SqlError
from frontend.sql import logical, syntax
from frontend.sql.binder.coercion import common_type, common_typmod, to_common
from frontend.sql.binder.scopes import NamespaceItem, PlanSource, ScopeColumn, Source
from frontend.sql.binder.statement import CommonTableEntry, Query, reference


def bind_with(query: Query, node: syntax.With) -> None:
    """Enter and bind the WITH queries of a level."""
    for table in node.tables:
        if table.name in query.common_tables:
            raise SqlError(
                "42712", f'WITH query name "{table.name}" specified more than once', position=table.position or None
            )
        if not isinstance(table.query, syntax.Select) and query.parent is not None:
            raise SqlError(
                "0A000",
                "WITH clause containing a data-modifying statement must be at the top level",
                position=table.position or None,
            )
        if node.recursive:
            entry = CommonTableEntry(id=query.binding.new_id(), name=table.name, node=table)
            query.common_tables[table.name] = entry
        else:
            entry = CommonTableEntry(id=query.binding.new_id(), name=table.name, node=table)
            _bind_entry(query, entry)
            query.common_tables[table.name] = entry
    if node.recursive:
        for entry in list(query.common_tables.values()):
            if entry.definition is None:
                _bind_recursive(query, entry)


def wrap_with(query: Query, plan: logical.Plan) -> logical.Plan:
    """The level's plan inside a With node, where it has WITH queries."""
    entries = sorted(
        [entry for entry in query.common_tables.values() if entry.definition is not None], key=lambda item: item.order
    )
    if not entries:
        return plan
    definitions = []
    for entry in entries:
        assert entry.definition is not None
        definitions.append(replace(entry.definition, references=entry.references))
    return logical.With(columns=plan.columns, ctes=tuple(definitions), body=plan)


def _bind_entry(query: Query, entry: CommonTableEntry) -> None:
    """Bind a WITH query that does not refer to itself."""
    from frontend.sql.binder.modification import bind_modification
    from frontend.sql.binder.queries import bind_query

    table = entry.node
    binding = query.binding
    entry.state = "binding"
    modifies = False
    if isinstance(table.query, syntax.Select):
        plan = bind_query(binding, table.query, query).finish()
    elif isinstance(table.query, syntax.Insert | syntax.Update | syntax.Delete):
        plan = bind_modification(binding, table.query, query)
        modifies = True
        entry.returning = bool(table.query.returning)
    else:
        raise SqlError("0A000", f"{type(table.query).__name__.upper()} is not supported in WITH query")
    _finish_entry(query, entry, plan.columns)
    entry.definition = logical.CteDefinition(
        id=entry.id, name=entry.name, plan=plan, materialized=table.materialized, modifies=modifies
    )


def _finish_entry(query: Query, entry: CommonTableEntry, columns: Sequence[logical.Column]) -> None:
    names = entry.node.columns
    if len(names) > len(columns):
        raise SqlError(
            "42P10",
            f'WITH query "{entry.name}" has {len(columns)} columns available but {len(names)} columns specified',
            position=entry.node.position or None,
        )
    entry.columns = tuple(
        [replace(column, name=names[place]) if place < len(names) else column for place, column in enumerate(columns)]
    )
    entry.state = "bound"
    entry.order = query.binding.new_id()


def _bind_recursive(query: Query, entry: CommonTableEntry) -> None:
    """Bind a WITH RECURSIVE entry: as a plain one where it does not name itself."""
    from frontend.sql.binder.queries import bind_query, projected

    select = entry.node.query
    if not isinstance(select, syntax.Select) or not _mentions(select, entry.name):
        if not isinstance(select, syntax.Select) and _mentions(select, entry.name):
            raise SqlError(
                "42P19",
                f'recursive query "{entry.name}" must not contain data-modifying statements',
                position=entry.node.position or None,
            )
        _bind_entry(query, entry)
        return
    _check_recursion(entry, select)
    assert select.left is not None
    assert select.right is not None
    binding = query.binding
    entry.state = "binding"
    outer = query
    if select.with_ is not None:
        outer = Query(binding, query)
        bind_with(outer, select.with_)
    base_body = bind_query(binding, select.left, outer)
    positions = [target.position for target in base_body.targets]
    base = base_body.finish()
    names = entry.node.columns
    if len(names) > len(base.columns):
        raise SqlError(
            "42P10",
            f'WITH query "{entry.name}" has {len(base.columns)} columns available but {len(names)} columns specified',
            position=entry.node.position or None,
        )
    labels = [names[place] if place < len(names) else column.name for place, column in enumerate(base.columns)]
    entry.columns = tuple([replace(column, name=name) for column, name in zip(base.columns, labels, strict=True)])
    entry.recursive = True
    step = bind_query(binding, select.right, outer, resolve_unknowns=False)
    if step.query.aggregates and isinstance(step.node, syntax.Select) and step.node.operation is None:
        raise SqlError(
            "42P19",
            "aggregate functions are not allowed in a recursive query's recursive term",
            position=step.query.aggregate_position or None,
        )
    if len(step.targets) != len(base.columns):
        raise SqlError(
            "42601",
            "each UNION query must have the same number of columns",
            position=(step.targets[0].position or None) if step.targets else None,
        )
    columns = []
    for place, (column, target, name) in enumerate(zip(base.columns, step.targets, labels, strict=True)):
        left: logical.Expression = reference(column)
        common = common_type(binding, [left, target.expression], "UNION")
        assert common is not None
        types = binding.types
        if common != column.type:
            raise SqlError(
                "42804",
                f'recursive query "{entry.name}" column {place + 1} has type {types.name(column.type, column.typmod)} '
                f"in non-recursive term but type {types.name(common)} overall",
                hint="Cast the output of the non-recursive term to the correct type.",
                position=positions[place] or None,
            )
        target.expression = to_common(binding, target.expression, common, "UNION")
        typmod = common_typmod([left, target.expression], common)
        if typmod != column.typmod:
            raise SqlError(
                "42804",
                f'recursive query "{entry.name}" column {place + 1} has type {types.name(column.type, column.typmod)} '
                f"in non-recursive term but type {types.name(common, typmod)} overall",
                hint="Cast the output of the non-recursive term to the correct type.",
                position=positions[place] or None,
            )
        columns.append(query.column(name, common, column.typmod))
    definition = logical.CteDefinition(
        id=entry.id,
        name=entry.name,
        plan=base,
        recursive_step=projected(step),
        distinct=not select.all_rows,
        materialized=entry.node.materialized,
    )
    if outer is not query:
        # WITH inside the recursive query: its own WITH queries are evaluated with the base term.
        inner = [item.definition for item in outer.common_tables.values() if item.definition is not None]
        definition = replace(
            definition,
            plan=logical.With(columns=base.columns, ctes=tuple(inner), body=base),
            recursive_step=logical.With(
                columns=definition.recursive_step.columns,  # type: ignore[union-attr]
                ctes=tuple(inner),
                body=definition.recursive_step,  # type: ignore[arg-type]
            ),
        )
    entry.definition = definition
    entry.columns = tuple(columns)
    entry.state = "bound"
    entry.recursive = False
    entry.order = binding.new_id()


def _check_recursion(entry: CommonTableEntry, select: syntax.Select) -> None:
    position = entry.node.position or None
    if select.operation != "union" or select.left is None or select.right is None:
        raise SqlError(
            "42P19",
            f'recursive query "{entry.name}" does not have the form non-recursive-term UNION [ALL] recursive-term',
            position=position,
        )
    if _mentions(select.left, entry.name):
        raise _misplaced(entry, "its non-recursive term", select.left)
    for clause, what in (
        (select.order_by[0].expression if select.order_by else None, "ORDER BY"),
        (select.offset, "OFFSET"),
        (select.limit, "LIMIT"),
        (select.locking[0] if select.locking else None, "FOR UPDATE/SHARE"),
    ):
        if clause is not None:
            place = 0 if isinstance(clause, syntax.Locking) else clause.position
            raise SqlError("0A000", f"{what} in a recursive query is not implemented", position=place or None)
    _check_terms(entry, select.right)


def _misplaced(entry: CommonTableEntry, where: str, within: object) -> SqlError:
    position = next((found.position for found in _references(within, entry.name)), 0)
    message = f'recursive reference to query "{entry.name}" must not appear within {where}'
    return SqlError("42P19", message, position=position or None)


def _check_terms(entry: CommonTableEntry, term: syntax.Select) -> None:
    """The recursive term may name the query once, in FROM, outside subqueries of expressions and outer joins' far sides."""
    if term.operation is not None:
        assert term.left is not None
        assert term.right is not None
        if term.operation == "except" and _mentions(term.right, entry.name):
            raise _misplaced(entry, "EXCEPT", term.right)
        if term.operation == "intersect" and term.all_rows and _mentions(term, entry.name):
            raise _misplaced(entry, "INTERSECT", term)
        _check_terms(entry, term.left)
        _check_terms(entry, term.right)
        return
    for part in (term.targets, term.where, term.having, term.group_by, term.order_by):
        if _mentions(part, entry.name):
            raise _misplaced(entry, "a subquery", part)
    for item in term.from_:
        _check_from(entry, item)
    places = sorted(found.position for found in _references(term.from_, entry.name))
    if len(places) > 1:
        raise SqlError(
            "42P19",
            f'recursive reference to query "{entry.name}" must not appear more than once',
            position=places[1] or None,
        )


def _check_from(entry: CommonTableEntry, item: syntax.FromItem) -> None:
    if isinstance(item, syntax.JoinItem):
        far = {
            "left": [item.right],
            "right": [item.left],
            "full": [item.left, item.right],
            "inner": [],
        }[item.kind]
        if any(_mentions(side, entry.name) for side in far):
            raise _misplaced(entry, "an outer join", far)
        if _mentions(item.condition, entry.name):
            raise _misplaced(entry, "a subquery", item.condition)
        _check_from(entry, item.left)
        _check_from(entry, item.right)


def _mentions(node: object, name: str) -> bool:
    return next(_references(node, name), None) is not None


def _references(node: object, name: str) -> Iterator[syntax.RelationName]:
    """Unqualified mentions of a relation name in FROM, not looking through WITH queries of the same name."""
    stack = [node]
    while stack:
        item = stack.pop()
        if isinstance(item, list | tuple):
            stack.extend(item)
        elif isinstance(item, syntax.TableItem):
            if item.relation.schema is None and item.relation.name == name:
                yield item.relation
        elif (
            isinstance(item, syntax.Select)
            and item.with_ is not None
            and any(table.name == name for table in item.with_.tables)
        ):
            continue
        elif isinstance(item, msgspec.Struct):
            stack.extend(getattr(item, field) for field in item.__struct_fields__ if field != "position")


def bind_reference(
    query: Query, entry: CommonTableEntry, owner: Query, item: syntax.TableItem
) -> tuple[Source, list[NamespaceItem]]:
    """A WITH query in FROM."""
    from frontend.sql.binder.from_items import rename

    position = item.relation.position or item.position
    if entry.columns is None:
        if entry.state == "unbound":
            _bind_recursive(owner, entry)
        else:
            raise SqlError(
                "0A000", "mutual recursion between WITH items is not implemented", position=entry.node.position or None
            )
    assert entry.columns is not None
    if not entry.returning:
        raise SqlError(
            "0A000",
            f'WITH query "{entry.name}" does not have a RETURNING clause',
            position=position or None,
        )
    entry.references += 1
    alias = item.alias.name if item.alias is not None else item.relation.name
    shapes = query.binding.shapes
    columns = []
    for column in entry.columns:
        mine = query.column(column.name, column.type, column.typmod, shapes.get(column.id))
        columns.append(replace(mine, table=column.table, attribute=column.attribute))
    plan = logical.CteScan(columns=tuple(columns), cte=entry.id, positions=tuple(range(len(columns))), alias=alias)
    source = PlanSource(query, alias, plan)
    scope = [ScopeColumn(column.name, column.type, column.typmod, expression=reference(column)) for column in columns]
    return source, [NamespaceItem(alias, rename(scope, item.alias, position), source)]
