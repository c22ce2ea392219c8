"""EXPLAIN: the physical plan in PostgreSQL's words, as text or JSON.

The tree that is shown is the one that is compiled: filters are lines of the node that they stand on, projections are not shown,
a hash join's build side is under a Hash node. Costs and widths are the planner's coarse estimates in no particular unit. With
ANALYZE the statement runs (and what it writes is written), compiled so that every node counts its rows and notes when its first
and last row came.

    EXPLAIN (ANALYZE, VERBOSE, COSTS, TIMING, SUMMARY, FORMAT TEXT | JSON)   other formats and options: 0A000
"""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any

from frontend.errors import SqlError, unsupported
from frontend.sql import logical, syntax, walk
from frontend.sql.compiler.plan import CompiledPlan, compile_plan
from frontend.sql.physical import AccessPath, HashJoin, NestedLoop
from frontend.sql.planner import Planner
from frontend.tasks import TICK, Signal
from frontend.types import oids
from frontend.types.facts import type_facts
from frontend.types.registry import format_type, type_by_oid

if TYPE_CHECKING:
    from frontend.session import Session
    from frontend.sql import syntax_commands
    from frontend.sql.executor.state import ExecutionState
    from storage.catalog import Catalog

Node = dict[str, Any]

_JOINS = {"inner": "", "left": " Left", "right": " Right", "full": " Full", "semi": " Semi", "anti": " Anti"}
_BOOLEAN_OPTIONS = ("analyze", "verbose", "costs", "timing", "summary", "buffers", "settings", "wal", "generic_plan")
_PLAIN_NUMBERS = oids.INTEGER_LIKE_TYPES | {oids.NUMERIC, oids.FLOAT8, oids.FLOAT4}


class Options:
    """What was asked for."""

    def __init__(self, node: syntax_commands.Explain) -> None:
        self.format = "text"
        chosen: dict[str, bool] = {}
        for option in node.options:
            value = None if option.value is None else str(option.value).lower()
            if option.name == "format":
                self.format = value or ""
                if self.format not in ("text", "json", "xml", "yaml"):
                    raise SqlError("22023", f'unrecognized value for EXPLAIN option "format": "{option.value}"')
                if self.format in ("xml", "yaml"):
                    raise unsupported(f"EXPLAIN in format {self.format.upper()}")
            elif option.name in _BOOLEAN_OPTIONS:
                if value not in (None, "true", "false", "on", "off", "1", "0"):
                    raise SqlError("42601", f"{option.name} requires a Boolean value")
                chosen[option.name] = value in (None, "true", "on", "1")
            else:
                raise SqlError("42601", f'unrecognized EXPLAIN option "{option.name}"')
        self.analyze = chosen.get("analyze", False)
        self.verbose = chosen.get("verbose", False)
        self.costs = chosen.get("costs", True)
        self.timing = chosen.get("timing", True)
        self.summary = chosen.get("summary", self.analyze)
        if not self.analyze and chosen.get("timing"):
            raise SqlError("22023", "EXPLAIN option TIMING requires ANALYZE")


def explain_columns(node: syntax_commands.Explain) -> tuple[logical.Column, ...]:
    """The one column of the result."""
    kind = oids.JSON if Options(node).format == "json" else oids.TEXT
    return (logical.Column(id=1, name="QUERY PLAN", type=kind),)


def explain_statement(
    session: Session, node: syntax_commands.Explain, parameters: Sequence[Any]
) -> Generator[Signal, None, list[tuple[Any, ...]]]:
    """Plan, and with ANALYZE run, the statement; the rows of EXPLAIN."""
    from frontend import as_of
    from frontend.statements import PLANNABLE

    options = Options(node)
    statement = node.statement
    if isinstance(statement, syntax.AsOfQuery):
        yield from as_of.begin(session, statement.as_of)
        statement = statement.query
    if not isinstance(statement, PLANNABLE):
        raise unsupported("EXPLAIN of this statement")
    started = perf_counter()
    planned = session.gateway.plan_node(session, statement)
    planning = perf_counter() - started
    compiled = planned.compiled
    state: ExecutionState | None = None
    started = perf_counter()
    if options.analyze:
        compiled = compile_plan(planned.compiled.statement, instrument=True)
        transaction = session.ensure_transaction()
        session.check_writable(planned, transaction)
        transaction.depend(planned.relations)
        state = session.new_state(parameters)
        started = perf_counter()
        for batch in compiled.run(state):
            yield batch if not isinstance(batch, list) else TICK
    execution = perf_counter() - started
    described = describe(compiled, session.catalog, session.gateway.statistics, options, state, started)
    if options.format == "json":
        document: Node = {"Plan": described}
        if options.summary:
            document["Planning Time"] = round(planning * 1000, 3)
            if options.analyze:
                document["Execution Time"] = round(execution * 1000, 3)
        return [(json.dumps([document], indent=2),)]
    lines = render(described, options)
    if options.summary:
        lines.append(f"Planning Time: {planning * 1000:.3f} ms")
        if options.analyze:
            lines.append(f"Execution Time: {execution * 1000:.3f} ms")
    return [(line,) for line in lines]


def describe(
    compiled: CompiledPlan,
    catalog: Catalog | None,
    statistics: Any,
    options: Options,
    state: ExecutionState | None = None,
    started: float = 0.0,
) -> Node:
    """The plan as nested dictionaries with the keys of FORMAT JSON."""
    return _Describer(compiled, catalog, statistics, options, state, started).node(compiled.statement.plan)


# ── text ────────────────────────────────────────────────────────────────────────────────────────────────────────────

_SHOWN = (
    "Index Cond", "Hash Cond", "Join Filter", "Sort Key", "Group Key", "Filter", "Rows Removed by Filter", "Output",
    "Conflict Resolution", "Conflict Arbiter Indexes",
)  # fmt: skip


def render(node: Node, options: Options, depth: int = 0) -> list[str]:
    """The lines of FORMAT TEXT."""
    if depth == 0:
        lead, inner = "", "  "
    else:
        lead, inner = "  " + "      " * (depth - 1) + "->  ", "  " + "      " * depth
    lines: list[str] = []
    label = node.get("Subplan Name")
    if label is not None:
        lines.append(("  " + "      " * (depth - 1) if depth else "") + str(label))
        lead = "  " + "      " * (depth - 1) + "  ->  "
        inner = "  " + "      " * depth + "  "
    lines.append(lead + _title(node) + _figures(node, options))
    for key in _SHOWN:
        if key in node:
            value = node[key]
            lines.append(f"{inner}{key}: {', '.join(value) if isinstance(value, list) else value}")
    for child in node.get("Plans", ()):
        lines.extend(render(child, options, depth + 1))
    return lines


def _title(node: Node) -> str:
    kind = str(node["Node Type"])
    if node.get("Scan Direction") == "Backward":
        kind += " Backward"
    if "Index Name" in node:
        kind += f" using {node['Index Name']}"
    named = node.get("Relation Name") or node.get("CTE Name") or node.get("Function Name")
    alias = node.get("Alias")
    if named is not None:
        kind += f" on {named}" + (f" {alias}" if alias and alias != named else "")
    elif alias:
        kind += f' on "{alias}"'
    return kind


def _figures(node: Node, options: Options) -> str:
    text = ""
    if options.costs:
        text += (
            f"  (cost={node['Startup Cost']:.2f}..{node['Total Cost']:.2f} rows={node['Plan Rows']}"
            f" width={node['Plan Width']})"
        )
    if "Actual Loops" in node:
        if node["Actual Loops"] == 0:
            return text + " (never executed)"
        timing = ""
        if options.timing:
            timing = f"time={node['Actual Startup Time']:.3f}..{node['Actual Total Time']:.3f} "
        text += f" (actual {timing}rows={node['Actual Rows']} loops={node['Actual Loops']})"
    return text


# ── the tree ────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Describer:
    def __init__(
        self,
        compiled: CompiledPlan,
        catalog: Catalog | None,
        statistics: Any,
        options: Options,
        state: ExecutionState | None,
        started: float,
    ) -> None:
        self.instruments = compiled.instruments
        self.figures = state.instruments if state is not None else None
        self.options = options
        self.catalog = catalog
        self.started = started
        self.planner = Planner(catalog, statistics)
        self.names = _column_names(compiled.statement.plan)
        self.subplans = 0

    def node(self, plan: logical.Plan) -> Node:
        """One plan node with its children; nodes that only pass on are skipped."""
        if isinstance(plan, logical.Project) and not isinstance(plan.input, logical.OneRow):
            inner = self.node(plan.input)
            self._add_subplans(inner, plan.expressions)
            return inner
        if isinstance(plan, logical.Filter):
            inner = self.node(plan.input)
            condition = self.text(plan.condition)
            if "Filter" in inner:
                condition = f"({inner['Filter']} AND {condition})"
            inner["Filter"] = condition
            passed, read = self._counted(plan), inner.get("Actual Rows")
            if passed is not None and read is not None:
                loops = max(inner["Actual Loops"], 1)
                inner["Rows Removed by Filter"] = max(read - round(passed / loops), 0)
                inner["Actual Rows"] = round(passed / loops)
            inner["Plan Rows"] = max(round(self.planner.rows(plan)), 1)
            self._add_subplans(inner, (plan.condition,))
            return inner
        if isinstance(plan, logical.With):
            return self._with(plan)
        found = self._describe(plan)
        result: Node = {"Node Type": found.pop("Node Type"), **found}
        children = result.pop("Plans", [])
        rows = max(round(self.planner.rows(plan)), 1)
        result["Startup Cost"] = 0.0
        result["Total Cost"] = round(self.planner._cost(plan), 2)
        result["Plan Rows"] = rows
        result["Plan Width"] = sum(_width(column.type) for column in plan.columns)
        self._actual(result, plan)
        result["Plans"] = children
        if not isinstance(plan, logical.Scan):
            self._add_subplans(result, tuple(walk.expressions_of(plan)))
        if not result["Plans"]:
            del result["Plans"]
        return result

    def _counted(self, plan: logical.Plan) -> int | None:
        if self.figures is None or id(plan) not in self.instruments:
            return None
        return int(self.figures[self.instruments[id(plan)]][0])

    def _actual(self, result: Node, plan: logical.Plan) -> None:
        if self.figures is None:
            return
        place = self.instruments.get(id(plan))
        rows, loops, first, last = self.figures[place] if place is not None else (0, 0, 0.0, 0.0)
        result["Actual Startup Time"] = round((first - self.started) * 1000, 3) if first else 0.0
        result["Actual Total Time"] = round((last - self.started) * 1000, 3) if last else 0.0
        result["Actual Rows"] = round(rows / loops) if loops else 0
        result["Actual Loops"] = loops

    def _add_subplans(self, result: Node, expressions: tuple[logical.Expression, ...]) -> None:
        for item in walk.walk_local(expressions):
            if isinstance(item, walk.SUBQUERIES):
                self.subplans += 1
                child = self.node(item.plan)
                kind = "SubPlan" if item.outer else "InitPlan"
                child = {"Subplan Name": f"{kind} {self.subplans}", **child}
                result.setdefault("Plans", []).append(child)

    def _with(self, plan: logical.With) -> Node:
        body = self.node(plan.body)
        ctes = []
        for cte in plan.ctes:
            if cte.recursive_step is None:
                child = self.node(cte.plan)
            else:
                base = self.node(cte.plan)
                child = {
                    **base,
                    "Node Type": "Recursive Union",
                    "Plans": [base, self.node(cte.recursive_step)],
                }
                for key in ("Relation Name", "Alias", "Index Name", "Filter", "Index Cond", "Rows Removed by Filter"):
                    child.pop(key, None)
            ctes.append({"Subplan Name": f"CTE {cte.name}", **child})
        body["Plans"] = [*ctes, *body.get("Plans", [])]
        return body

    def _describe(self, plan: logical.Plan) -> Node:
        if isinstance(plan, logical.Scan):
            return self._scan(plan)
        if isinstance(plan, HashJoin):
            build: Node = {
                "Node Type": "Hash",
                "Startup Cost": 0.0,
                "Total Cost": round(self.planner._cost(plan.right), 2),
                "Plan Rows": max(round(self.planner.rows(plan.right)), 1),
                "Plan Width": sum(_width(column.type) for column in plan.right.columns),
                "Plans": [self.node(plan.right)],
            }
            self._actual(build, plan.right)
            keys = [
                f"({self.text(left)} = {self.text(right)})"
                for left, right in zip(plan.left_keys, plan.right_keys, strict=True)
            ]
            found: Node = {
                "Node Type": f"Hash{_JOINS[plan.kind]} Join",
                "Hash Cond": keys[0] if len(keys) == 1 else f"({' AND '.join(keys)})",
                "Plans": [self.node(plan.left), build],
            }
            if plan.residual is not None:
                found["Join Filter"] = self.text(plan.residual)
            return found
        if isinstance(plan, NestedLoop):
            kind = "Nested Loop" + (f"{_JOINS[plan.kind]} Join" if plan.kind != "inner" else "")
            right = self.node(plan.right)
            if not plan.lateral:
                figures = {
                    key: value
                    for key, value in right.items()
                    if key.startswith(("Startup", "Total", "Plan ", "Actual"))
                }
                right = {"Node Type": "Materialize", **figures, "Plans": [right]}
            found = {"Node Type": kind, "Plans": [self.node(plan.left), right]}
            if plan.condition is not None:
                found["Join Filter"] = self.text(plan.condition)
            return found
        if isinstance(plan, logical.Aggregate):
            keys = [self.text(key) for key in plan.keys]
            found = {"Node Type": "HashAggregate" if keys else "Aggregate", "Plans": [self.node(plan.input)]}
            if keys:
                found["Group Key"] = keys
            return found
        if isinstance(plan, logical.Sort):
            return {
                "Node Type": "Sort",
                "Sort Key": [self._sort_key(key) for key in plan.keys],
                "Plans": [self.node(plan.input)],
            }
        if isinstance(plan, logical.SetOperation):
            return self._set_operation(plan)
        if isinstance(plan, logical.CteScan):
            return {"Node Type": "CTE Scan", "CTE Name": plan.alias, "Alias": plan.alias}
        if isinstance(plan, logical.FunctionScan):
            name = (
                plan.calls[0].signature.split("(", 1)[0]
                if isinstance(plan.calls[0], logical.SetReturningCall | logical.Call)
                else plan.alias
            )
            return {"Node Type": "Function Scan", "Function Name": name, "Alias": plan.alias}
        if isinstance(plan, logical.VirtualScan):
            return {"Node Type": "Seq Scan", "Relation Name": plan.relation.name, "Alias": plan.alias}
        if isinstance(plan, logical.Values):
            return {"Node Type": "Values Scan", "Alias": "*VALUES*"}
        if isinstance(plan, logical.OneRow) or (
            isinstance(plan, logical.Project) and isinstance(plan.input, logical.OneRow)
        ):
            return {"Node Type": "Result"}
        if isinstance(plan, logical.Insert | logical.Update | logical.Delete):
            found = {
                "Node Type": type(plan).__name__,
                "Relation Name": plan.target.table.name,
                "Plans": [self.node(plan.source)],
            }
            if isinstance(plan, logical.Insert) and plan.on_conflict is not None:
                action = "NOTHING" if plan.on_conflict.assignments is None else "UPDATE"
                found["Conflict Resolution"] = action
            return found
        name = {
            "Window": "WindowAgg",
            "Distinct": "Unique",
            "LockRows": "LockRows",
            "ProjectSet": "ProjectSet",
            "Limit": "Limit",
        }.get(type(plan).__name__, type(plan).__name__)
        return {"Node Type": name, "Plans": [self.node(item) for item in walk.inputs_of(plan)]}

    def _set_operation(self, plan: logical.SetOperation) -> Node:
        sides = [self.node(plan.left), self.node(plan.right)]
        if plan.operation != "union":
            kind = plan.operation.capitalize() + (" All" if plan.all else "")
            return {"Node Type": f"HashSetOp {kind}", "Plans": sides}
        if plan.all:
            return {"Node Type": "Append", "Plans": sides}
        append = {
            "Node Type": "Append",
            "Startup Cost": 0.0,
            "Total Cost": round(self.planner._cost(plan), 2),
            "Plan Rows": max(round(self.planner.rows(plan)), 1),
            "Plan Width": sum(_width(column.type) for column in plan.columns),
            "Plans": sides,
        }
        return {"Node Type": "HashAggregate", "Plans": [append]}

    def _scan(self, plan: logical.Scan) -> Node:
        path = plan.path
        found: Node = {
            "Node Type": "Seq Scan",
            "Relation Name": plan.table.name,
            "Alias": plan.alias or plan.table.name,
        }
        if not isinstance(path, AccessPath) or (path.full and path.index is None and not path.reverse):
            return found
        found["Node Type"] = "Index Scan"
        if path.reverse:
            found["Scan Direction"] = "Backward"
        found["Index Name"] = path.index.name if path.index is not None else self._primary_name(plan)
        if path.conditions:
            texts = [self.text(item) for item in path.conditions]
            found["Index Cond"] = texts[0] if len(texts) == 1 else f"({' AND '.join(texts)})"
        return found

    def _primary_name(self, plan: logical.Scan) -> str:
        if self.catalog is not None:
            for index in self.catalog.indexes_of(plan.table):
                if index.primary:
                    return index.name
        return f"{plan.table.name}_pkey"

    # ── expressions ────────────────────────────────────────────────────────────────────────────────────────────────

    def _sort_key(self, key: logical.SortKey) -> str:
        text = self.text(key.expression)
        if key.descending:
            text += " DESC" + ("" if key.nulls_first else " NULLS LAST")
        elif key.nulls_first:
            text += " NULLS FIRST"
        return text

    def text(self, expression: logical.Expression) -> str:
        """An expression as PostgreSQL prints it, nearly."""
        if isinstance(expression, logical.ColumnRef):
            return self.names.get(expression.id, "?column?")
        if isinstance(expression, logical.ParameterRef):
            return f"${expression.number}"
        if isinstance(expression, logical.Constant):
            return _constant_text(expression)
        if isinstance(expression, logical.Call):
            arguments = [self.text(argument) for argument in expression.arguments]
            if expression.operator and len(arguments) == 2:
                return f"({arguments[0]} {expression.operator} {arguments[1]})"
            if expression.operator:
                return f"({expression.operator} {arguments[0]})"
            return f"{expression.signature.split('(', 1)[0]}({', '.join(arguments)})"
        if isinstance(expression, logical.Cast):
            operand = self.text(expression.operand)
            if expression.implicit and expression.path.method != "binary":
                return operand
            return f"({operand})::{_type_text(expression.type)}"
        if isinstance(expression, logical.ApplyTypmod):
            return self.text(expression.operand)
        if isinstance(expression, logical.BooleanOperation):
            joined = f" {expression.operator.upper()} ".join([self.text(item) for item in expression.arguments])
            return f"({joined})"
        if isinstance(expression, logical.Not):
            return f"(NOT {self.text(expression.operand)})"
        if isinstance(expression, logical.NullTest):
            return f"({self.text(expression.operand)} IS {'NOT ' if expression.negated else ''}NULL)"
        if isinstance(expression, logical.InList):
            items = ", ".join([self.text(item) for item in expression.items])
            how = "<> ALL" if expression.negated else "= ANY"
            return f"({self.text(expression.operand)} {how} (ARRAY[{items}]))"
        if isinstance(expression, logical.Quantified):
            operator = expression.comparison.operator if isinstance(expression.comparison, logical.Call) else "="
            how = "ALL" if expression.all else "ANY"
            return f"({self.text(expression.operand)} {operator} {how} ({self.text(expression.array)}))"
        if isinstance(expression, walk.SUBQUERIES):
            return f"({'SubPlan' if expression.outer else 'InitPlan'})"
        parts = [
            self.text(item)
            for name in walk.child_fields(type(expression))
            for item in _items(getattr(expression, name))
        ]
        return f"{type(expression).__name__.upper()}({', '.join(parts)})"


def _items(value: Any) -> list[logical.Expression]:
    if isinstance(value, logical.Expression):
        return [value]
    if isinstance(value, tuple):
        return [item for part in value for item in _items(part)]
    return []


def _constant_text(constant: logical.Constant) -> str:
    value = constant.value
    if value is None:
        return f"NULL::{_type_text(constant.type)}"
    if value is True or value is False:
        return str(value).lower()
    if constant.type in _PLAIN_NUMBERS and constant.type != oids.NUMERIC:
        return str(value)
    if constant.type not in type_facts():
        return f"'{value}'"
    try:
        text = type_by_oid(constant.type).output(value, _NO_CONTEXT)
    except AttributeError:  # its form depends on a session's settings
        text = str(value)
    return "'" + text.replace("'", "''") + f"'::{_type_text(constant.type)}"


_NO_CONTEXT: Any = object()


def _type_text(oid: int) -> str:
    return format_type(oid) if oid in type_facts() else "record"


def _width(type_oid: int) -> int:
    fact = type_facts().get(type_oid)
    return fact.length if fact is not None and fact.length > 0 else 32


def _column_names(plan: logical.Plan) -> dict[int, str]:
    """Column id → name, qualified where several relations are in play."""
    scans = [
        item
        for item in walk.walk(plan)
        if isinstance(item, logical.Scan | logical.VirtualScan | logical.CteScan | logical.FunctionScan)
    ]
    names: dict[int, str] = {}
    for item in walk.walk(plan):
        if isinstance(item, logical.Plan):
            for column in item.columns:
                names.setdefault(column.id, column.name)
    for scan in scans:
        qualifier = f"{scan.alias}." if len(scans) > 1 and scan.alias else ""
        for column in scan.columns:
            names[column.id] = qualifier + column.name
    return names
