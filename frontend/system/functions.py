"""Functions over the system catalogue: definitions as SQL text, sizes, statistics counters, partitions (of which there are none).

Registered as pg_proc's own entries like every other function; `frontend.functions.load` imports this module.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Any

from frontend.context import Context
from frontend.errors import SqlError
from frontend.functions.catalogue import Proc, proc_by_oid
from frontend.functions.registry import scalar, set_returning
from frontend.system import definitions, object_names
from frontend.system.keywords import CATEGORY_DESCRIPTIONS, keyword_rows, quoted
from frontend.system.privileges import PRIVILEGES_BY_LETTER
from frontend.system.relations import rule_oid
from frontend.types.registry import format_type
from storage.catalog import Index, Role, Sequence, Table, View

# ── definitions ─────────────────────────────────────────────────────────────────────────────────────────────────────


@scalar("pg_get_constraintdef(oid)", "pg_get_constraintdef(oid,bool)", context=True)
def pg_get_constraintdef(context: Context, oid: int, pretty: bool = False) -> str | None:
    for item in context.catalog.objects.values():
        if isinstance(item, Table):
            for constraint in item.constraints:
                if constraint.oid == oid:
                    return definitions.constraint_definition(context, item, constraint, readable=pretty)
    return None


@scalar("pg_get_indexdef(oid)", context=True)
def pg_get_indexdef(context: Context, oid: int) -> str | None:
    item = context.catalog.objects.get(oid)
    return definitions.index_definition(context, item) if isinstance(item, Index) else None


@scalar("pg_get_indexdef(oid,int4,bool)", context=True)
def pg_get_indexdef_column(context: Context, oid: int, column: int, pretty: bool) -> str | None:
    item = context.catalog.objects.get(oid)
    if not isinstance(item, Index):
        return None
    if column:
        return definitions.index_column_definition(context, item, column, readable=pretty)
    return definitions.index_definition(context, item, qualified=not pretty)


def _view(context: Context, oid: int, pretty: object) -> str | None:
    item = context.catalog.objects.get(oid)
    return definitions.view_definition(context, item, readable=bool(pretty)) if isinstance(item, View) else None


@scalar("pg_get_viewdef(oid)", "pg_get_viewdef(oid,bool)", "pg_get_viewdef(oid,int4)", context=True)
def pg_get_viewdef(context: Context, oid: int, pretty: object = False) -> str | None:
    return _view(context, oid, pretty)


@scalar("pg_get_viewdef(text)", "pg_get_viewdef(text,bool)", context=True)
def pg_get_viewdef_by_name(context: Context, name: str, pretty: bool = False) -> str | None:
    return _view(context, object_names.relation_from_text(name, context), pretty)


@scalar("pg_get_expr(pg_node_tree,oid)", "pg_get_expr(pg_node_tree,oid,bool)", context=True)
def pg_get_expr(context: Context, text: str, relation: int, pretty: bool = False) -> str:
    """The catalogue keeps SQL text where PostgreSQL keeps a tree; what remains is to drop schemas that are not needed."""
    shown = definitions.expression_text(context, text)
    return definitions.pretty(shown) if pretty else shown


@scalar("pg_get_ruledef(oid)", "pg_get_ruledef(oid,bool)", context=True)
def pg_get_ruledef(context: Context, oid: int, pretty: bool = False) -> str | None:
    for item in context.catalog.objects.values():
        if isinstance(item, View) and rule_oid(item.oid) == oid:
            name = f"{quoted(definitions.schema_name(context.catalog, item))}.{quoted(item.name)}"
            query = definitions.view_definition(context, item).strip()
            return f'CREATE RULE "_RETURN" AS\n    ON SELECT TO {name} DO INSTEAD  {query}'
    return None


@scalar("pg_get_serial_sequence(text,text)", context=True)
def pg_get_serial_sequence(context: Context, table: str, column: str) -> str | None:
    catalog = context.catalog
    item = catalog.objects.get(object_names.relation_from_text(table, context))
    found = None
    if isinstance(item, Table | View):
        found = next((each for each in item.columns if each.name == column and not each.dropped), None)
    if item is None or found is None:
        name = object_names.split_name(table)[-1]
        raise SqlError("42703", f'column "{column}" of relation "{name}" does not exist')
    for sequence in catalog.objects.values():
        if (
            isinstance(sequence, Sequence)
            and sequence.owned_by_table == item.oid
            and sequence.owned_by_column == found.number
        ):
            return f"{quoted(definitions.schema_name(catalog, sequence))}.{quoted(sequence.name)}"
    return None


@scalar(
    "pg_get_triggerdef(oid)",
    "pg_get_triggerdef(oid,bool)",
    "pg_get_statisticsobjdef(oid)",
    "pg_get_statisticsobjdef_columns(oid)",
    "pg_get_partkeydef(oid)",
    "pg_get_partition_constraintdef(oid)",
    "pg_get_function_sqlbody(oid)",
    "pg_get_replica_identity_index(regclass)",
)
def no_such_definition(*arguments: object) -> None:
    """Definitions of objects that do not exist here: triggers, extended statistics, partitions."""
    return


@set_returning("pg_get_keywords()")
def pg_get_keywords() -> Iterator[tuple[str, str, bool, str, str]]:
    for word, category, bare in keyword_rows():
        described = "can be bare label" if bare else "requires AS"
        yield (word, category, bare, CATEGORY_DESCRIPTIONS[category], described)


# ── functions' own definitions ──────────────────────────────────────────────────────────────────────────────────────


def _proc(oid: int) -> Proc | None:
    try:
        return proc_by_oid(oid)
    except KeyError:
        return None


_MODE_WORDS = {"i": "", "o": "OUT ", "b": "INOUT ", "v": "VARIADIC ", "t": ""}


def _arguments(proc: Proc, *, with_defaults: bool) -> str:
    types = proc.all_argument_types or proc.argument_types
    modes = proc.argument_modes or (("i",) * len(types))
    names = proc.argument_names or (("",) * len(types))
    defaults: list[str] = []
    if with_defaults and proc.default_count and proc.default_expressions:
        defaults = proc.default_expressions.split(", ")
    inputs = sum(1 for mode in modes if mode in "ibv")
    parts: list[str] = []
    seen = 0
    for oid, mode, name in zip(types, modes, names, strict=True):
        if mode == "t":
            continue
        word = (
            "VARIADIC "
            if mode == "i" and proc.variadic and oid == proc.argument_types[-1] and seen == inputs - 1
            else ""
        )
        text = (_MODE_WORDS[mode] or word) + (f"{quoted(name)} " if name else "") + format_type(oid)
        if mode in "ibv":
            seen += 1
            place = seen - (inputs - len(defaults))
            if defaults and place > 0:
                text += f" DEFAULT {defaults[place - 1]}"
        parts.append(text)
    return ", ".join(parts)


@scalar("pg_get_function_arguments(oid)")
def pg_get_function_arguments(oid: int) -> str | None:
    proc = _proc(oid)
    return None if proc is None else _arguments(proc, with_defaults=True)


@scalar("pg_get_function_identity_arguments(oid)")
def pg_get_function_identity_arguments(oid: int) -> str | None:
    proc = _proc(oid)
    return None if proc is None else _arguments(proc, with_defaults=False)


@scalar("pg_get_function_result(oid)")
def pg_get_function_result(oid: int) -> str | None:
    proc = _proc(oid)
    if proc is None or proc.kind == "p":
        return None
    if proc.argument_modes is not None and "t" in proc.argument_modes:
        columns = ", ".join(f"{quoted(name)} {format_type(kind)}" for name, kind in proc.output_columns)
        return f"TABLE({columns})"
    return ("SETOF " if proc.returns_set else "") + format_type(proc.result_type)


_LANGUAGES = {"i": " IMMUTABLE", "s": " STABLE", "v": ""}


@scalar("pg_get_functiondef(oid)")
def pg_get_functiondef(oid: int) -> str | None:
    proc = _proc(oid)
    if proc is None:
        return None
    if proc.kind == "a":
        raise SqlError("42809", f'"{proc.name}" is an aggregate function')
    strict = " STRICT" if proc.is_strict else ""
    window = " WINDOW" if proc.kind == "w" else ""
    return (
        f"CREATE OR REPLACE FUNCTION pg_catalog.{quoted(proc.name)}"
        f"({_arguments(proc, with_defaults=True)})\n RETURNS {pg_get_function_result(oid)}\n"
        f" LANGUAGE internal\n{window}{_LANGUAGES[proc.volatility]}{strict}\nAS $function${proc.source}$function$\n"
    )


# ── sizes ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _table_bytes(context: Context, table: Table) -> int:
    return context.system.relation_bytes(table.storage, 0)


def _index_bytes(context: Context, index: Index) -> int:
    table = context.catalog.table(index.table)
    return 0 if index.primary else context.system.relation_bytes(table.storage, index.index_id)


@scalar("pg_relation_size(regclass)", "pg_relation_size(regclass,text)", context=True)
def pg_relation_size(context: Context, oid: int, fork: str = "main") -> int | None:
    if fork not in ("main", "fsm", "vm", "init"):
        raise SqlError("22023", "invalid fork name", hint='Valid fork names are "main", "fsm", "vm", and "init".')
    item = context.catalog.objects.get(oid)
    if item is None:
        return 0 if oid < 16384 else None
    if fork != "main":
        return 0
    if isinstance(item, Table):
        return _table_bytes(context, item)
    return _index_bytes(context, item) if isinstance(item, Index) else 0


@scalar("pg_table_size(regclass)", context=True)
def pg_table_size(context: Context, oid: int) -> int | None:
    return pg_relation_size(context, oid)


@scalar("pg_indexes_size(regclass)", context=True)
def pg_indexes_size(context: Context, oid: int) -> int | None:
    item = context.catalog.objects.get(oid)
    if isinstance(item, Table):
        return sum(_index_bytes(context, index) for index in context.catalog.indexes_of(item))
    return 0 if item is not None or oid < 16384 else None


@scalar("pg_total_relation_size(regclass)", context=True)
def pg_total_relation_size(context: Context, oid: int) -> int | None:
    item = context.catalog.objects.get(oid)
    if isinstance(item, Table):
        return context.system.relation_bytes(item.storage, None)
    return pg_relation_size(context, oid)


@scalar("pg_database_size(name)", "pg_database_size(oid)", context=True)
def pg_database_size(context: Context, database: object) -> int:
    if isinstance(database, str) and database != context.database_name:
        raise SqlError("3D000", f'database "{database}" does not exist')
    return sum(
        context.system.relation_bytes(item.storage, None)
        for item in context.catalog.objects.values()
        if isinstance(item, Table)
    )


@scalar("pg_tablespace_size(oid)", "pg_tablespace_size(name)", context=True)
def pg_tablespace_size(context: Context, tablespace: object) -> int:
    return pg_database_size(context, context.database_name)


@scalar("pg_relation_filenode(regclass)", context=True)
def pg_relation_filenode(context: Context, oid: int) -> int | None:
    item = context.catalog.objects.get(oid)
    return item.storage if isinstance(item, Table) else None


@scalar("pg_relation_filepath(regclass)", "pg_tablespace_location(oid)")
def no_path(oid: int) -> str | None:
    """Rows lie in the view's database, not in files of their own."""
    return ""


# ── what relations are ──────────────────────────────────────────────────────────────────────────────────────────────


@scalar("pg_relation_is_publishable(regclass)", context=True)
def pg_relation_is_publishable(context: Context, oid: int) -> bool | None:
    item = context.catalog.objects.get(oid)
    if item is None:
        return False if oid < 16384 else None
    return isinstance(item, Table)


_ALL_EVENTS = 4 | 8 | 16


@scalar("pg_relation_is_updatable(regclass,bool)", context=True)
def pg_relation_is_updatable(context: Context, oid: int, triggers: bool) -> int:
    return _ALL_EVENTS | 64 if isinstance(context.catalog.objects.get(oid), Table) else 0


@scalar("pg_column_is_updatable(regclass,int2,bool)", context=True)
def pg_column_is_updatable(context: Context, oid: int, number: int, triggers: bool) -> bool:
    return isinstance(context.catalog.objects.get(oid), Table) and number > 0


@set_returning("pg_partition_ancestors(regclass)")
def pg_partition_ancestors(oid: int) -> Iterator[int]:
    """No table is a partition."""
    return iter(())


@set_returning("pg_partition_tree(regclass)")
def pg_partition_tree(oid: int) -> Iterator[tuple[Any, ...]]:
    return iter(())


@scalar("pg_partition_root(regclass)")
def pg_partition_root(oid: int) -> int | None:
    return None


@scalar("pg_sequence_last_value(regclass)", context=True)
def pg_sequence_last_value(context: Context, oid: int) -> int | None:
    item = context.catalog.objects.get(oid)
    return context.system.sequence_last_value(item) if isinstance(item, Sequence) else None


@set_returning("pg_sequence_parameters(oid)", context=True)
def pg_sequence_parameters(context: Context, oid: int) -> Iterator[tuple[Any, ...]]:
    item = context.catalog.objects.get(oid)
    if isinstance(item, Sequence):
        yield (item.start, item.minimum, item.maximum, item.increment, item.cycle, item.cache, item.type)


# ── privileges as rows ──────────────────────────────────────────────────────────────────────────────────────────────


@set_returning("aclexplode(_aclitem)", context=True)
def aclexplode(context: Context, items: list[str | None]) -> Iterator[tuple[int, int, str, bool]]:
    for item in items:
        if item is None:
            continue
        grantee, _, rest = item.rpartition("=")
        letters, _, grantor = rest.partition("/")
        grantee_oid = 0 if not grantee else _role_oid(context, grantee)
        for place, letter in enumerate(letters):
            if letter != "*":
                yield (
                    _role_oid(context, grantor),
                    grantee_oid,
                    PRIVILEGES_BY_LETTER[letter],
                    letters[place + 1 : place + 2] == "*",
                )


def _role_oid(context: Context, name: str) -> int:
    role = context.catalog.role(object_names.split_name(name)[-1])
    return 0 if role is None else role.oid


@scalar("acldefault(char,oid)", context=True)
def acldefault(context: Context, kind: str, owner: int) -> list[str]:
    role = context.catalog.objects.get(owner)
    name = quoted(role.name) if isinstance(role, Role) else str(owner)
    letters = {"r": "arwdDxt", "s": "rwU", "n": "UC", "d": "CTc", "f": "X", "T": "U", "l": "U"}.get(kind)
    if letters is None:
        return []
    public = {"d": "=Tc/", "f": "=X/", "T": "=U/", "l": "=U/"}.get(kind)
    return [*([f"{public}{name}"] if public else []), f"{name}={letters}/{name}"]


# ── describing objects ──────────────────────────────────────────────────────────────────────────────────────────────


@scalar("pg_describe_object(oid,oid,int4)", context=True)
def pg_describe_object(context: Context, class_oid: int, oid: int, part: int) -> str | None:
    item = context.catalog.objects.get(oid)
    if item is None:
        system = object_names.relation_to_text(oid, context) if class_oid == 1259 else None
        return None if system is None else f"table {system}"
    if isinstance(item, Role):
        return f"role {quoted(item.name)}"
    name = object_names.relation_to_text(oid, context)
    if name is None:
        return f"schema {quoted(item.name)}"
    kind = type(item).__name__.lower()
    if part and isinstance(item, Table | View):
        return f"column {quoted(item.columns[part - 1].name)} of {kind} {name}"
    return f"{kind} {name}"


# ── counters ────────────────────────────────────────────────────────────────────────────────────────────────────────

_ZERO_COUNTERS = (
    "numscans", "tuples_returned", "tuples_fetched", "tuples_inserted", "tuples_updated", "tuples_deleted",
    "tuples_hot_updated", "tuples_newpage_updated", "dead_tuples", "mod_since_analyze", "ins_since_vacuum", "blocks_fetched",
    "blocks_hit", "vacuum_count", "autovacuum_count", "analyze_count", "autoanalyze_count", "xact_numscans",
    "xact_tuples_returned", "xact_tuples_fetched", "xact_tuples_inserted", "xact_tuples_updated", "xact_tuples_deleted",
    "xact_tuples_hot_updated", "xact_tuples_newpage_updated", "xact_blocks_fetched", "xact_blocks_hit", "db_xact_commit",
    "db_xact_rollback", "db_blocks_fetched", "db_blocks_hit", "db_tuples_returned", "db_tuples_fetched", "db_tuples_inserted",
    "db_tuples_updated", "db_tuples_deleted", "db_conflict_all", "db_temp_files", "db_temp_bytes", "db_deadlocks",
)  # fmt: skip
_NO_TIMES = ("lastscan", "last_vacuum_time", "last_autovacuum_time", "last_analyze_time", "last_autoanalyze_time")


def _constant(value: int | None) -> Callable[[int], int | None]:
    def counter(oid: int) -> int | None:
        return value

    return counter


for _name in _ZERO_COUNTERS:
    scalar(f"pg_stat_get_{_name}(oid)")(_constant(0))
for _name in _NO_TIMES:
    scalar(f"pg_stat_get_{_name}(oid)")(_constant(None))


@scalar("pg_stat_get_live_tuples(oid)", context=True)
def pg_stat_get_live_tuples(context: Context, oid: int) -> int:
    item = context.catalog.objects.get(oid)
    return max(0, int(context.system.row_count(item))) if isinstance(item, Table) else 0


@scalar("pg_stat_get_db_numbackends(oid)", context=True)
def pg_stat_get_db_numbackends(context: Context, oid: int) -> int:
    return sum(1 for _ in context.system.sessions())


@scalar("age(xid)", "mxid_age(xid)")
def age(xid: int) -> int:
    """Transaction ids never wrap around here, so nothing grows old."""
    return 0


@scalar("txid_current_if_assigned()", "pg_current_xact_id_if_assigned()", context=True)
def txid_current_if_assigned(context: Context) -> int | None:
    return context.transaction_id_if_assigned


@scalar("sys.transaction_status(int8)", context=True, blocking=True)
def transaction_status(context: Context, txid: int) -> Generator[float, None, str]:
    """What became of a transaction: `committed`, `aborted`, `in progress` (open on the node that is asked) or `unknown`.

    The question decides it: a transaction that has not committed by then, wherever it is, never will (its COMMIT gets 40001), so
    `aborted` means that it is safe to try again. `unknown` is what a node without a majority says, and where the journal retains
    too little. A transaction that wrote nothing is not in the journal. `txid_status` and `pg_xact_status` are PostgreSQL's names
    for the same, with NULL for what is not known; `txid_current()` tells the id beforehand, and DETAIL of 40003 afterwards.
    """
    return context.system.transaction_status(txid)


@scalar("txid_status(int8)", "pg_xact_status(xid8)", context=True, blocking=True)
def pg_xact_status(context: Context, txid: int) -> Generator[float, None, str | None]:
    """PostgreSQL's names for it; what is not known is NULL there."""
    status = yield from context.system.transaction_status(txid)
    return None if status == "unknown" else status


@set_returning("pg_options_to_table(_text)")
def pg_options_to_table(options: list[str | None]) -> Iterator[tuple[str, str | None]]:
    for option in options:
        if option is not None:
            name, separator, value = option.partition("=")
            yield (name, value if separator else None)
