"""From the bound plan to one that can be compiled: joins ordered, access paths chosen, sorts avoided.

    plan(statement, catalog, statistics)
      rewrite       see rewrite.py
      joins         inner joins are taken apart into relations and conditions, and put together greedily, smallest result first;
                    outer and semi joins stay where they are and are relations to those around them
      each join     index nested loop where the right side has a path for the left's values and few left rows come;
                    hash join for equalities; nested loop for the rest
      each scan     the cheapest path that the conditions allow (access.py), or one that gives the wanted order
      min, max      of an indexed column read one row

Estimates are coarse on purpose: row counts from statistics, fixed shares for conditions. They only have to tell a handful of
rows from thousands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from frontend.errors import SqlError
from frontend.sql import logical, walk
from frontend.sql.access import (
    ENTRY_COST,
    EQUALITY_SHARE,
    RANGE_SHARE,
    ROW_COST,
    Candidate,
    candidates,
    conjunction,
    conjuncts,
    ordered_path,
    shapes,
    stripped,
)
from frontend.sql.compiler.expressions import hashable, is_plain_equality
from frontend.sql.compiler.pipeline import produced, references
from frontend.sql.physical import AccessPath, HashJoin, NestedLoop
from frontend.sql.rewrite import filtered, rewrite
from frontend.sql.statistics import NoStatistics, RowCounts
from frontend.types import oids
from storage.catalog import Catalog

FUNCTION_ROWS = 100.0
HASH_ROW_COST = 0.6
PROBE_COST = 0.3
LOOP_COST = 1.0
SORT_ROWS_MIN = 1.0


def plan(
    statement: logical.BoundStatement, catalog: Catalog | None, statistics: RowCounts | None = None
) -> logical.BoundStatement:
    """The statement with a physical plan. `catalog` None: only primary keys are known."""
    planner = Planner(catalog, statistics or NoStatistics())
    return replace(statement, plan=planner.physical(rewrite(statement.plan)))


class Planner:
    """Plans one statement."""

    def __init__(self, catalog: Catalog | None, statistics: RowCounts) -> None:
        self.catalog = catalog
        self.statistics = statistics
        self.cte_rows: dict[int, float] = {}

    # ── the walk ───────────────────────────────────────────────────────────────────────────────────────────────────

    def physical(self, node: logical.Plan) -> logical.Plan:
        """The node and everything below it, subqueries of its expressions included."""
        if isinstance(node, logical.Scan):
            return self._scan(node, [])
        if isinstance(node, logical.Filter):
            return self._filter(node)
        if isinstance(node, logical.Join):
            return self._join_tree(node, [])
        if isinstance(node, logical.Sort):
            return self._sort(node, limited=False)
        if isinstance(node, logical.Limit):
            return self._limit(node)
        if isinstance(node, logical.Aggregate):
            return self._aggregate(node)
        if isinstance(node, logical.With):
            return self._with(node)
        return self._others(node)

    def _others(self, node: logical.Plan) -> logical.Plan:
        changes: dict[str, Any] = {}
        for name in walk.child_fields(type(node)):
            value = getattr(node, name)
            if isinstance(value, logical.Plan):
                changes[name] = self.physical(value)
            else:
                new = self.expressions(value)
                if new is not value:
                    changes[name] = new
        return replace(node, **changes) if changes else node

    def expressions(self, node: Any) -> Any:
        """Expressions with the plans of their subqueries made physical."""

        def inner(expression: logical.Expression) -> logical.Expression | None:
            if not isinstance(expression, walk.SUBQUERIES):
                return None
            changes: dict[str, Any] = {"plan": self.physical(expression.plan)}
            if isinstance(expression, logical.QuantifiedSubquery):
                changes["operands"] = self.expressions(expression.operands)
            return replace(expression, **changes)

        return walk.rewrite(node, inner)

    def _with(self, node: logical.With) -> logical.Plan:
        ctes = []
        for cte in node.ctes:
            plan_ = self.physical(cte.plan)
            self.cte_rows[cte.id] = self.rows(plan_) * (10.0 if cte.recursive_step is not None else 1.0)
            step = None if cte.recursive_step is None else self.physical(cte.recursive_step)
            ctes.append(replace(cte, plan=plan_, recursive_step=step))
        return replace(node, ctes=tuple(ctes), body=self.physical(node.body))

    def _filter(self, node: logical.Filter) -> logical.Plan:
        conditions = conjuncts(node.condition)
        if isinstance(node.input, logical.Scan):
            return self._scan(node.input, conditions)
        if isinstance(node.input, logical.Join):
            return self._join_tree(node.input, conditions)
        return filtered(self.physical(node.input), self.expressions(tuple(conditions)))

    # ── scans ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _scan(self, scan: logical.Scan, conditions: Sequence[logical.Expression]) -> logical.Plan:
        """A scan under conditions, by its cheapest path."""
        best = self._best(scan, conditions)
        if best is None:
            return filtered(replace(scan, path=None), self.expressions(tuple(conditions)))
        return self._with_path(scan, conditions, best.path, best.answered)

    def _with_path(
        self,
        scan: logical.Scan,
        conditions: Sequence[logical.Expression],
        path: AccessPath,
        answered: Sequence[logical.Expression],
    ) -> logical.Plan:
        rest = [condition for condition in conditions if not any(condition is item for item in answered)]
        return filtered(replace(scan, path=self._planned_path(path)), self.expressions(tuple(rest)))

    def _planned_path(self, path: AccessPath) -> AccessPath:
        changes: dict[str, Any] = {}
        if path.equals:
            changes["equals"] = tuple([None if item is None else self.expressions(item) for item in path.equals])
        if path.many is not None:
            changes["many"] = self.expressions(path.many)
        if path.many_array is not None:
            changes["many_array"] = self.expressions(path.many_array)
        for name in ("low", "high"):
            bound = getattr(path, name)
            if bound is not None:
                changes[name] = replace(bound, value=self.expressions(bound.value))
        return replace(path, **changes)

    def _best(self, scan: logical.Scan, conditions: Sequence[logical.Expression]) -> Candidate | None:
        rows = self.statistics.rows(scan.table)
        found = candidates(scan, conditions, rows, self.catalog)
        best = min(found, key=lambda item: item.cost, default=None)
        if best is None or (best.cost >= rows * ROW_COST and best.path.index is not None and not best.path.unique):
            return None
        return best

    # ── order and limit ────────────────────────────────────────────────────────────────────────────────────────────

    def _limit(self, node: logical.Limit) -> logical.Plan:
        source = node.input
        # A projection does not change how many rows there are: below the limit's place it is computed for fewer.
        if isinstance(source, logical.Project) and not walk.is_volatile(source.expressions):
            inner = replace(node, columns=source.input.columns, input=source.input)
            return replace(source, input=self._limit(inner), expressions=self.expressions(source.expressions))
        count, offset = self.expressions(node.count), self.expressions(node.offset)
        if isinstance(source, logical.Sort):
            planned = self._sort(source, limited=node.count is not None and not node.with_ties)
            if node.with_ties and not isinstance(planned, logical.Sort):
                planned = replace(source, input=self.physical(source.input), keys=self.expressions(source.keys))
            return replace(node, input=planned, count=count, offset=offset)
        return replace(node, input=self.physical(source), count=count, offset=offset)

    def _sort(self, node: logical.Sort, limited: bool) -> logical.Plan:
        """A sort, or nothing where an index gives the order."""
        if not all(_is_constant(key.expression) for key in node.keys):
            ordered = self._ordered(node.input, node.keys, limited)
            if ordered is not None:
                return ordered
        return replace(node, input=self.physical(node.input), keys=self.expressions(node.keys))

    def _ordered(self, source: logical.Plan, keys: Sequence[logical.SortKey], limited: bool) -> logical.Plan | None:
        """`source` such that its rows come in the order of `keys` by themselves; None where that is not possible or dear."""
        if isinstance(source, logical.Project):
            replacements = {
                column.id: expression for column, expression in zip(source.columns, source.expressions, strict=True)
            }
            inner_keys = [replace(key, expression=walk.substitute(key.expression, replacements)) for key in keys]
            inner = self._ordered(source.input, inner_keys, limited)
            if inner is None:
                return None
            return replace(source, input=inner, expressions=self.expressions(source.expressions))
        conditions: list[logical.Expression] = []
        scan = source
        if isinstance(source, logical.Filter):
            conditions, scan = conjuncts(source.condition), source.input
        if not isinstance(scan, logical.Scan):
            return None
        rows = self.statistics.rows(scan.table)
        best = self._best(scan, conditions)
        found = {id(item.path.index): item for item in candidates(scan, conditions, rows, self.catalog)}
        for shape in shapes(scan, self.catalog):
            if not all(part in conditions for part in shape.predicate):
                continue
            candidate = found.get(id(shape.index))
            path = ordered_path(scan, shape, keys, candidate)
            if path is None:
                continue
            chosen = best is not None and candidate is not None and candidate.path.index is best.path.index
            if best is not None and not chosen and not (limited and best.path.rows > 100 and not best.path.unique):
                continue  # another path reads far fewer rows; sorting those is cheap
            if best is None and path.index is not None and not limited:
                continue
            answered = candidate.answered if candidate is not None else shape.predicate
            if path.full:
                path = replace(path, rows=rows)
            return self._with_path(scan, conditions, path, answered)
        return None

    def _aggregate(self, node: logical.Aggregate) -> logical.Plan:
        """min(x) or max(x) alone: the first row in x's order, where an index gives that."""
        if not node.keys and node.grouping_sets is None and len(node.aggregates) == 1:
            call = node.aggregates[0]
            name = call.signature.split("(", 1)[0]
            if name in ("min", "max") and call.filter is None and not call.order_by and len(call.arguments) == 1:
                argument = call.arguments[0]
                present = logical.NullTest(type=oids.BOOL, operand=argument, negated=True)
                key = logical.SortKey(expression=argument, descending=name == "max", nulls_first=name == "max")
                source = node.input
                condition = (
                    conjunction([*conjuncts(source.condition), present])
                    if isinstance(source, logical.Filter)
                    else present
                )
                base = source.input if isinstance(source, logical.Filter) else source
                assert condition is not None
                inner = logical.Filter(columns=base.columns, input=base, condition=condition)
                ordered = self._ordered(inner, [key], True)
                if ordered is not None:
                    one = logical.Constant(type=oids.INT8, value=1)
                    limited = logical.Limit(columns=source.columns, input=ordered, count=one, offset=None)
                    return replace(node, input=limited)
        return self._others(node)

    # ── joins ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _join_tree(self, node: logical.Join, conditions: list[logical.Expression]) -> logical.Plan:
        """Inner joins in the order that keeps results small; others in their place."""
        if node.kind != "inner":
            return filtered(self._outer_join(node), self.expressions(tuple(conditions)))
        relations: list[logical.Plan] = []
        parts: list[logical.Expression] = list(conditions)
        self._take_apart(node, relations, parts)
        fixed = [part for part in parts if walk.is_volatile(part)]
        parts = [part for part in parts if not walk.is_volatile(part)]
        return filtered(self._greedy(relations, parts), self.expressions(tuple(fixed)))

    def _take_apart(self, node: logical.Plan, relations: list[logical.Plan], parts: list[logical.Expression]) -> None:
        if isinstance(node, logical.Join) and node.kind == "inner":
            parts.extend(conjuncts(node.condition))
            self._take_apart(node.left, relations, parts)
            self._take_apart(node.right, relations, parts)
            return
        if isinstance(node, logical.Filter) and isinstance(node.input, logical.Join) and node.input.kind == "inner":
            parts.extend(conjuncts(node.condition))
            self._take_apart(node.input, relations, parts)
            return
        relations.append(node)

    def _greedy(self, relations: list[logical.Plan], parts: list[logical.Expression]) -> logical.Plan:
        everything = frozenset().union(*[produced(relation) for relation in relations])
        waiting = list(relations)
        needs = {id(relation): references(relation) & everything - produced(relation) for relation in waiting}
        sizes = {id(relation): self.rows(self.physical(relation)) for relation in waiting}

        def ready(relation: logical.Plan, have: frozenset[int]) -> bool:
            return needs[id(relation)] <= have

        start = min(
            [relation for relation in waiting if ready(relation, frozenset())], key=lambda item: sizes[id(item)]
        )
        waiting = [relation for relation in waiting if relation is not start]
        have = produced(start)
        usable, parts = self._usable(parts, have, everything)
        current = self.physical(filtered(start, usable))
        while waiting:
            best: tuple[float, int, logical.Plan] | None = None
            for place, relation in enumerate(waiting):
                if not ready(relation, have):
                    continue
                together = have | produced(relation)
                connecting = [part for part in parts if references(part) & everything <= together]
                linked = any(references(part) & have and references(part) & produced(relation) for part in connecting)
                lateral = bool(needs[id(relation)])
                size = self._joined_rows(current, sizes[id(relation)], relation, connecting)
                cost = size if linked or lateral else size * 1000.0
                if best is None or cost < best[0]:
                    best = (cost, place, relation)
            assert best is not None
            relation = waiting.pop(best[1])
            together = have | produced(relation)
            usable, parts = self._usable(parts, together, everything)
            columns = (*current.columns, *relation.columns)
            current = self._join("inner", current, relation, usable, columns, bool(needs[id(relation)]))
            have = together
        return filtered(current, self.expressions(tuple(parts)))

    def _usable(
        self, parts: list[logical.Expression], have: frozenset[int], everything: frozenset[int]
    ) -> tuple[list[logical.Expression], list[logical.Expression]]:
        now = [part for part in parts if references(part) & everything <= have]
        return now, [part for part in parts if not any(part is item for item in now)]

    def _joined_rows(
        self, left: logical.Plan, right_rows: float, right: logical.Plan, connecting: Sequence[logical.Expression]
    ) -> float:
        rows = self.rows(left) * right_rows
        for part in connecting:
            if isinstance(part, logical.Call) and part.operator == "=":
                rows /= max(self.rows(left), right_rows, 1.0)
            else:
                rows *= RANGE_SHARE
        return max(rows, 1.0)

    def _outer_join(self, node: logical.Join) -> logical.Plan:
        kind, left, right = node.kind, node.left, node.right
        lateral = bool(references(right) & produced(left))
        if kind == "right" and not lateral:
            kind, left, right = "left", right, left
        return self._join(kind, self.physical(left), right, conjuncts(node.condition), node.columns, lateral)

    def _join(
        self,
        kind: Any,
        left: logical.Plan,
        right: logical.Plan,
        conditions: list[logical.Expression],
        columns: tuple[logical.Column, ...],
        lateral: bool,
    ) -> logical.Plan:
        """One join; `left` is physical already, `right` is not."""
        left_ids, right_ids = produced(left), produced(right)
        if lateral:
            inner = filtered(right, conditions) if kind == "inner" else right
            condition = None if kind == "inner" else conjunction(self.expressions(tuple(conditions)))
            return NestedLoop(
                columns=columns, kind=kind, left=left, right=self.physical(inner), condition=condition, lateral=True
            )
        planned_right = self.physical(right)
        left_rows, right_rows = self.rows(left), self.rows(planned_right)
        left_keys, right_keys, types, residual = self._equalities(conditions, left_ids, right_ids)
        full_cost = self._cost(planned_right)
        if kind in ("inner", "left", "semi", "anti"):
            looped = self._index_loop(kind, left, right, conditions, columns, left_rows)
            if looped is not None:
                path_cost, loop = looped
                hash_cost = full_cost + right_rows * HASH_ROW_COST + left_rows * PROBE_COST
                if left_rows * path_cost < hash_cost or (not left_keys and path_cost < right_rows):
                    return loop
        if not left_keys:
            condition = conjunction(self.expressions(tuple(conditions)))
            if kind == "full" and condition is not None and references(condition) & (left_ids | right_ids):
                raise SqlError(
                    "0A000", "FULL JOIN is only supported with merge-joinable or hash-joinable join conditions"
                )
            if kind == "inner" and right_rows > left_rows * 4:
                left, planned_right = planned_right, left
            return NestedLoop(
                columns=columns, kind=kind, left=left, right=planned_right, condition=condition, lateral=False
            )
        if kind == "inner" and right_rows > left_rows:
            left, planned_right = planned_right, left
            left_keys, right_keys = right_keys, left_keys
        return HashJoin(
            columns=columns,
            kind=kind,
            left=left,
            right=planned_right,
            left_keys=self.expressions(tuple(left_keys)),
            right_keys=self.expressions(tuple(right_keys)),
            key_types=tuple(types),
            residual=conjunction(self.expressions(tuple(residual))),
            unique=kind not in ("right", "full") and _is_unique(planned_right, right_keys, self.catalog),
        )

    def _equalities(
        self, conditions: Sequence[logical.Expression], left_ids: frozenset[int], right_ids: frozenset[int]
    ) -> tuple[list[logical.Expression], list[logical.Expression], list[int], list[logical.Expression]]:
        left_keys: list[logical.Expression] = []
        right_keys: list[logical.Expression] = []
        types: list[int] = []
        residual: list[logical.Expression] = []
        for condition in conditions:
            if (
                isinstance(condition, logical.Call)
                and is_plain_equality(condition)
                and hashable(condition.arguments[0].type)
            ):
                first, second = condition.arguments
                used = references(first), references(second)
                if used[0] & left_ids and not used[0] & right_ids and used[1] & right_ids and not used[1] & left_ids:
                    pair = first, second
                elif used[0] & right_ids and not used[0] & left_ids and used[1] & left_ids and not used[1] & right_ids:
                    pair = second, first
                else:
                    residual.append(condition)
                    continue
                left_keys.append(pair[0])
                right_keys.append(pair[1])
                types.append(pair[0].type)
                continue
            residual.append(condition)
        return left_keys, right_keys, types, residual

    def _index_loop(
        self,
        kind: Any,
        left: logical.Plan,
        right: logical.Plan,
        conditions: list[logical.Expression],
        columns: tuple[logical.Column, ...],
        left_rows: float,
    ) -> tuple[float, logical.Plan] | None:
        """(cost for each left row, the loop) with the right side looked up by the left's values; None where no path uses them."""
        projections: list[logical.Project] = []
        scan = right
        own: list[logical.Expression] = []
        joining = list(conditions)
        while isinstance(scan, (logical.Project, logical.Filter)):
            if isinstance(scan, logical.Filter):
                own.extend(conjuncts(scan.condition))
                scan = scan.input
                continue
            replacements = {
                column.id: expression for column, expression in zip(scan.columns, scan.expressions, strict=True)
            }
            if walk.is_volatile(scan.expressions) or own:
                return None
            joining = [walk.substitute(condition, replacements) for condition in joining]
            projections.append(scan)
            scan = scan.input
        if not isinstance(scan, logical.Scan) or any(walk.is_volatile(part) for part in own):
            return None
        every = [*joining, *own]
        rows = self.statistics.rows(scan.table)
        found = [
            candidate
            for candidate in candidates(scan, every, rows, self.catalog)
            if any(references(item) & produced(left) for item in candidate.path.expressions)
        ]
        best = min(found, key=lambda item: item.cost, default=None)
        if best is None:
            return None
        inner = self._with_path(scan, every, best.path, best.answered)
        for projection in reversed(projections):
            inner = replace(projection, input=inner, expressions=self.expressions(projection.expressions))
        loop = NestedLoop(columns=columns, kind=kind, left=left, right=inner, condition=None, lateral=True)
        return best.cost, loop

    # ── estimates ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _cost(self, node: logical.Plan) -> float:
        """Cost of running a physical plan once."""
        if isinstance(node, logical.Scan):
            if isinstance(node.path, AccessPath) and not node.path.full:
                return node.path.rows * (ROW_COST if node.path.index is None else ENTRY_COST)
            return self.statistics.rows(node.table) * ROW_COST
        return sum(self._cost(item) for item in walk.inputs_of(node)) + self.rows(node) * 0.1

    def rows(self, node: logical.Plan) -> float:
        """Estimated rows of a physical (or logical) plan."""
        if isinstance(node, logical.Scan):
            if isinstance(node.path, AccessPath) and not node.path.full:
                return node.path.rows
            return self.statistics.rows(node.table)
        if isinstance(node, logical.Filter):
            return max(self.rows(node.input) * share(node.condition), 1.0)
        if isinstance(node, logical.Values):
            return float(len(node.rows))
        if isinstance(node, logical.OneRow):
            return 1.0
        if isinstance(node, logical.FunctionScan | logical.VirtualScan):
            return FUNCTION_ROWS
        if isinstance(node, logical.CteScan):
            return self.cte_rows.get(node.cte, 1000.0)
        if isinstance(node, logical.Aggregate):
            if not node.keys:
                return 1.0
            return max(self.rows(node.input) * 0.1, 1.0)
        if isinstance(node, logical.Distinct):
            return max(self.rows(node.input) * 0.2, 1.0)
        if isinstance(node, logical.Limit):
            rows = self.rows(node.input)
            if isinstance(node.count, logical.Constant) and node.count.value is not None:
                return max(min(rows, float(node.count.value)), 1.0)
            return max(min(rows, 100.0), 1.0) if node.count is not None else rows
        if isinstance(node, logical.SetOperation):
            return self.rows(node.left) + self.rows(node.right)
        if isinstance(node, logical.ProjectSet):
            return self.rows(node.input) * 10.0
        if isinstance(node, HashJoin | NestedLoop | logical.Join):
            left, right = self.rows(node.left), self.rows(node.right)
            if node.kind in ("semi", "anti"):
                return max(left * 0.5, 1.0)
            if isinstance(node, NestedLoop) and node.lateral:
                return max(left * right, 1.0)
            if isinstance(node, HashJoin):
                return max(left * right / max(left, right, 1.0), 1.0)
            return max(left * right * (RANGE_SHARE if node.condition is not None else 1.0), 1.0)
        if isinstance(node, logical.With):
            return self.rows(node.body)
        inputs = list(walk.inputs_of(node))
        return self.rows(inputs[0]) if inputs else 1.0


def share(condition: logical.Expression) -> float:
    """The share of rows that passes a condition."""
    if isinstance(condition, logical.BooleanOperation):
        shares = [share(item) for item in condition.arguments]
        result = 1.0
        if condition.operator == "and":
            for item in shares:
                result *= item
            return result
        return min(sum(shares), 1.0)
    if isinstance(condition, logical.Call) and condition.operator == "=":
        return EQUALITY_SHARE
    if isinstance(condition, logical.InList):
        return min(len(condition.items) * EQUALITY_SHARE, 1.0)
    if isinstance(condition, logical.NullTest):
        return 0.99 if condition.negated else 0.01
    if isinstance(condition, logical.Constant):
        return 1.0 if condition.value else 0.0
    return RANGE_SHARE


def _is_constant(expression: logical.Expression) -> bool:
    return isinstance(expression, logical.Constant | logical.ParameterRef)


def _is_unique(node: logical.Plan, keys: Sequence[logical.Expression], catalog: Catalog | None) -> bool:
    """Whether no two rows of the node agree in these keys (NULLs aside)."""
    wanted = [stripped(key) for key in keys]
    while isinstance(node, logical.Filter | logical.Project | logical.Sort):
        if isinstance(node, logical.Project):
            replacements = {
                column.id: expression for column, expression in zip(node.columns, node.expressions, strict=True)
            }
            wanted = [stripped(walk.substitute(key, replacements)) for key in wanted]
        node = node.input
    if isinstance(node, logical.Scan):
        for shape in shapes(node, catalog):
            if (
                shape.unique
                and not shape.predicate
                and all(part is not None and part in wanted for part in shape.expressions)
            ):
                return True
        return False
    if isinstance(node, logical.Aggregate) and node.grouping_sets is None and node.keys:
        ids = {column.id for column, _ in zip(node.columns, node.keys, strict=False)}
        have = {key.id for key in wanted if isinstance(key, logical.ColumnRef)}
        return ids <= have
    return False
