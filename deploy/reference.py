"""The reference pages in docs/reference, written from the tables in the code.

    python -m deploy.reference             write them
    python -m deploy.reference --check     only say which are out of date (exit status 1)

Settings, commands, metrics, relations of `sys` and errors are declared once, in code. These pages are made of the declarations, and
tests/deploy/test_reference.py compares them: what is not documented does not pass. The one thing that is written here is
PostgreSQL's name of each SQLSTATE; an SQLSTATE in the code that has no name here is an error.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import inspect
import re
import sys
import types
import typing
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import click
import msgspec

from deploy import cli
from deploy.config import Config
from frontend import functions
from frontend.functions.catalogue import SYS_PROCS, signature_of
from frontend.functions.registry import SCALARS
from frontend.http.app import METRICS
from frontend.settings import EFFECTIVE, HARMLESS, Definition
from frontend.system import registry
from frontend.types.registry import type_by_oid
from journal.errors import BorealError

ROOT = Path(__file__).parent.parent
DIRECTORY = ROOT / "docs" / "reference"
PACKAGES = ("journal", "storage", "frontend", "deploy")

CONDITIONS = {
    "00000": "successful_completion (of a NOTICE)",
    "01000": "warning",
    "08P01": "protocol_violation",
    "0A000": "feature_not_supported",
    "0LP01": "invalid_grant_operation",
    "21000": "cardinality_violation",
    "22000": "data_exception",
    "22001": "string_data_right_truncation",
    "22003": "numeric_value_out_of_range",
    "22004": "null_value_not_allowed",
    "22007": "invalid_datetime_format",
    "22008": "datetime_field_overflow",
    "22009": "invalid_time_zone_displacement_value",
    "2200C": "invalid_use_of_escape_character",
    "2200H": "sequence_generator_limit_exceeded",
    "22011": "substring_error",
    "22012": "division_by_zero",
    "22013": "invalid_preceding_or_following_size",
    "22014": "invalid_argument_for_ntile_function",
    "22015": "interval_field_overflow",
    "22016": "invalid_argument_for_nth_value_function",
    "2201B": "invalid_regular_expression",
    "2201E": "invalid_argument_for_logarithm",
    "2201F": "invalid_argument_for_power_function",
    "2201G": "invalid_argument_for_width_bucket_function",
    "2201W": "invalid_row_count_in_limit_clause",
    "2201X": "invalid_row_count_in_result_offset_clause",
    "22021": "character_not_in_repertoire",
    "22023": "invalid_parameter_value",
    "22025": "invalid_escape_sequence",
    "2202E": "array_subscript_error",
    "22030": "duplicate_json_object_key_value",
    "22P02": "invalid_text_representation",
    "22P03": "invalid_binary_representation",
    "22P04": "bad_copy_file_format",
    "22P05": "untranslatable_character",
    "23502": "not_null_violation",
    "23503": "foreign_key_violation",
    "23505": "unique_violation",
    "23514": "check_violation",
    "25001": "active_sql_transaction",
    "25006": "read_only_sql_transaction",
    "25P01": "no_active_sql_transaction",
    "25P02": "in_failed_sql_transaction",
    "25P03": "idle_in_transaction_session_timeout",
    "26000": "invalid_sql_statement_name",
    "28000": "invalid_authorization_specification",
    "28P01": "invalid_password",
    "2BP01": "dependent_objects_still_exist",
    "34000": "invalid_cursor_name",
    "3B001": "invalid_savepoint_specification",
    "3D000": "invalid_catalog_name",
    "3F000": "invalid_schema_name",
    "40001": "serialization_failure",
    "40003": "statement_completion_unknown",
    "42501": "insufficient_privilege",
    "42601": "syntax_error",
    "42602": "invalid_name",
    "42622": "name_too_long",
    "42701": "duplicate_column",
    "42702": "ambiguous_column",
    "42703": "undefined_column",
    "42704": "undefined_object",
    "42710": "duplicate_object",
    "42712": "duplicate_alias",
    "42725": "ambiguous_function",
    "42803": "grouping_error",
    "42804": "datatype_mismatch",
    "42809": "wrong_object_type",
    "42830": "invalid_foreign_key",
    "42846": "cannot_coerce",
    "42883": "undefined_function",
    "428C9": "generated_always",
    "42939": "reserved_name",
    "42P01": "undefined_table",
    "42P02": "undefined_parameter",
    "42P03": "duplicate_cursor",
    "42P05": "duplicate_prepared_statement",
    "42P06": "duplicate_schema",
    "42P07": "duplicate_table",
    "42P08": "ambiguous_parameter",
    "42P09": "ambiguous_alias",
    "42P10": "invalid_column_reference",
    "42P15": "invalid_schema_definition",
    "42P16": "invalid_table_definition",
    "42P17": "invalid_object_definition",
    "42P18": "indeterminate_datatype",
    "42P19": "invalid_recursion",
    "42P20": "windowing_error",
    "53100": "disk_full",
    "53200": "out_of_memory",
    "53300": "too_many_connections",
    "53400": "configuration_limit_exceeded",
    "54000": "program_limit_exceeded",
    "54001": "statement_too_complex",
    "54011": "too_many_columns",
    "54023": "too_many_arguments",
    "55000": "object_not_in_prerequisite_state",
    "55006": "object_in_use",
    "55P02": "cant_change_runtime_param",
    "57014": "query_canceled",
    "57P01": "admin_shutdown",
    "57P03": "cannot_connect_now",
    "57P05": "idle_session_timeout",
    "58000": "system_error",
    "72000": "snapshot_too_old",
    "F0000": "config_file_error",
    "F0001": "lock_file_exists",
    "XX000": "internal_error (a bug: please report it)",
    "XX001": "data_corrupted",
}
"""PostgreSQL's condition names (Appendix A of its manual) of the SQLSTATEs that Boreal uses."""

_SQLSTATE = re.compile(r"[0-9A-Z]{5}")
_NOT_SQLSTATES = {"256MB", "INT32", "KOI8R", "KOI8U"}
"""Strings of the code that only look like one."""


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = ["| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def _code(text: object) -> str:
    return f"`{text}`" if str(text) else '`""`'


# ── settings ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def setting_meanings() -> dict[str, str]:
    """Meaning of each setting of a node, from the docstring of Config."""
    text = inspect.getdoc(Config) or ""
    meanings: dict[str, str] = {}
    for names, meaning in re.findall(
        r"^ {4}([a-z_, ]+): (.*(?:\n {8}.*)*)", text.split("Attributes:")[1], re.MULTILINE
    ):
        for name in names.split(", "):
            meanings[name] = " ".join(meaning.split())
    return meanings


def _kind(hint: object) -> str:
    """A type for people: `integer ≥ 1`, `one of a, b`."""
    origin = typing.get_origin(hint)
    if origin is typing.Annotated:
        inner, *metas = typing.get_args(hint)
        low, high = (
            next((getattr(meta, bound) for meta in metas if getattr(meta, bound, None) is not None), None)
            for bound in ("ge", "le")
        )
        bounds = [f"{low} … {high}"] if high is not None else [f"≥ {low}"] if low is not None else []
        return " ".join([_kind(inner), *bounds])
    if origin is typing.Literal:
        return "one of " + ", ".join(_code(value) for value in typing.get_args(hint))
    if origin is tuple:
        return "list; each " + _kind(typing.get_args(hint)[0])
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_kind(each) for each in typing.get_args(hint))
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        fields = typing.get_type_hints(hint, include_extras=True)
        return "table with " + ", ".join(f"{_code(name)} ({_kind(fields[name])})" for name in hint.__struct_fields__)
    return {str: "text", int: "integer", float: "number", bool: "boolean"}[typing.cast("type[object]", hint)]


def settings_page() -> str:
    """docs/reference/settings.md"""
    meanings = setting_meanings()
    hints = typing.get_type_hints(Config, include_extras=True)
    flags = {parameter.name: parameter.opts[0] for parameter in cli.start.params}
    rows = []
    for name, default in zip(Config.__struct_fields__, Config.__struct_defaults__, strict=True):
        shown = ", ".join(default) if isinstance(default, tuple) else default
        flag = _code(flags[name]) if name in flags else ""
        rows.append((_code(name), _kind(hints[name]), _code(shown), flag, meanings[name]))
    return f"""# Settings

## Of a node

From a TOML file (`boreal start --config FILE`), then environment variables (`BOREAL_` and the name in capitals; lists separated
by commas), then flags; later ones win. An unknown name or a wrong value stops the start with an error that names it.

{_table(("setting", "value", "default", "flag", "meaning"), rows)}

## Of a session

`SET`, `SHOW`, `RESET`, `set_config`, start-up options, `ALTER ROLE … SET`. Boreal acts on these:

{_table(("parameter", "default", "values", "effect"), [_parameter(each) for each in EFFECTIVE])}

These are accepted because nothing depends on them here:

{_table(("parameter", "default", "values", "why"), [_parameter(each) for each in HARMLESS])}

Every other parameter of PostgreSQL 16 is shown with the value that is true here, and refused by `SET` (`0A000`, or `55P02` where
PostgreSQL refuses, too). Names with a dot are free for programs to use.
"""


def _parameter(definition: Definition) -> tuple[str, str, str, str]:
    values = ", ".join(_code(value) for value in definition.values)
    if not values and definition.unit:
        values = f"amount, in {definition.unit} if without unit"
    return _code(definition.name), _code(definition.default), values, definition.effect


# ── commands ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def all_commands(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    """A command, and those below it, with their whole names."""
    yield name, command
    if isinstance(command, click.Group):
        for part, child in sorted(command.commands.items()):
            yield from all_commands(child, f"{name} {part}")


def commands_page() -> str:
    """docs/reference/commands.md"""
    parts = ["# Commands\n\n`boreal`, or `python -m deploy.cli`.\n"]
    for name, command in all_commands(cli.main, "boreal"):
        context = click.Context(command, info_name=name, terminal_width=110, max_content_width=110)
        parts.append(f"## {context.info_name}\n\n```\n{command.get_help(context)}\n```\n")
    parts.append(
        "The scripts of loadtest/ are run from a checkout: `python -m loadtest.compare --help`, "
        "`python -m loadtest.figures --help`, `python -m loadtest.regions --help`.\n"
    )
    return "\n".join(parts)


# ── metrics ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def metrics_page() -> str:
    """docs/reference/metrics.md"""
    rows = [
        (_code(metric.name + ("_total" if metric.kind == "counter" else "")), metric.kind, metric.help)
        for metric in METRICS
    ]
    return f"""# Metrics

`GET /metrics` on the HTTP listener, in Prometheus' text format. Values are read when they are asked for.

{_table(("metric", "kind", "meaning"), rows)}
"""


# ── sys ────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def sys_page() -> str:
    """docs/reference/sys.md"""
    parts = [
        "# The schema sys\n\nWhat PostgreSQL has no relation for. Read-only, computed when it is read; everything else is in "
        "`pg_catalog` and `information_schema`, as in PostgreSQL 16.\n"
    ]
    for relation in sorted(registry.all_relations(), key=lambda each: each.name):
        if relation.schema != "sys":
            continue
        rows = [(_code(name), type_by_oid(oid).name) for name, oid, _ in relation.columns]
        parts.append(f"## sys.{relation.name}\n\n{relation.description}\n\n{_table(('column', 'type'), rows)}\n")
    functions.load()
    for proc in SYS_PROCS:
        types = [type_by_oid(oid).name for oid in proc.argument_types]
        named = ", ".join(f"{name} {kind}" for name, kind in zip(proc.argument_names or (), types, strict=True))
        about = inspect.getdoc(SCALARS[signature_of(proc)].call)
        parts.append(f"## {proc.name}({named}) → {type_by_oid(proc.result_type).name}\n\n{about}\n")
    return "\n".join(parts)


# ── errors ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def sqlstates() -> dict[str, set[str]]:
    """Every SQLSTATE in the code, with the packages, or modules right below a package, that name it."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        if path == Path(__file__):
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and _is_sqlstate(node.value):
                found[node.value].add("/".join(path.relative_to(ROOT).parts[:2]).removesuffix(".py"))
    return dict(sorted(found.items()))


def _is_sqlstate(text: str) -> bool:
    return bool(_SQLSTATE.fullmatch(text)) and any(map(str.isdigit, text)) and text not in _NOT_SQLSTATES


def error_classes() -> list[type[BorealError]]:
    """BorealError and everything below it."""
    for path in sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        if "(BorealError)" in (text := path.read_text("utf-8")) or "(NodeFatal)" in text or "(CorruptData)" in text:
            importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    return list(_tree(BorealError))


def _tree(root: type[BorealError]) -> Iterator[type[BorealError]]:
    yield root
    for child in sorted(root.__subclasses__(), key=lambda each: each.__name__):
        yield from _tree(child)


def errors_page() -> str:
    """docs/reference/errors.md"""
    classes = []
    for each in error_classes():
        effect = "a result" if each.deterministic else "stops the node"
        state = (
            "of the error"
            if "sqlstate" in inspect.signature(vars(each).get("__init__", object.__init__)).parameters
            else each.sqlstate
        )
        meaning = (inspect.getdoc(each) or "").split("\n\n")[0]
        classes.append((_code(f"{each.__module__}.{each.__name__}"), _code(state), effect, meaning))
    states = []
    for state, places in sqlstates().items():
        states.append((_code(state), CONDITIONS[state], ", ".join(sorted(places))))
    return f"""# Errors

Every error is a result, or it stops the node. Messages, SQLSTATEs and positions are PostgreSQL's wherever PostgreSQL has the error.

{_table(("class", "SQLSTATE", "effect", "meaning"), classes)}

## Retry

`40001` is the answer to be retried: the transaction met another one that committed first (`OC000`; DETAIL names table and key) or
a change of the schema (`OC001`). It comes at COMMIT, the transaction has left nothing behind, and trying again is the whole
recovery. `40003` says that the outcome is not known, because the node stopped or lost its leader in between: DETAIL names the transaction, and
`SELECT sys.transaction_status(txid)` on any node says what became of it ([operating.md](../operating.md)). `57P01`,
`57P03` and `53300` come with the connection's end: connect again, later. What the process's exit statuses mean is in
[operating.md](../operating.md).

## SQLSTATEs

{_table(("SQLSTATE", "condition", "raised in"), states)}
"""


PAGES: dict[str, Callable[[], str]] = {
    "settings.md": settings_page,
    "commands.md": commands_page,
    "metrics.md": metrics_page,
    "sys.md": sys_page,
    "errors.md": errors_page,
}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="write docs/reference from the code")
    parser.add_argument("--check", action="store_true", help="write nothing; exit status 1 if a page is out of date")
    arguments = parser.parse_args()
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    stale = []
    for name, page in PAGES.items():
        text, path = page(), DIRECTORY / name
        if not path.exists() or path.read_text("utf-8") != text:
            stale.append(name)
            if not arguments.check:
                path.write_text(text, "utf-8")
    print(f"{'out of date' if arguments.check else 'written'}: {', '.join(stale) or 'nothing'}")
    sys.exit(1 if arguments.check and stale else 0)


if __name__ == "__main__":
    main()
