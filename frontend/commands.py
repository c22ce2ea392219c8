"""Statements that are no queries: SET, SHOW, PREPARE, cursors, EXPLAIN, DDL … each a function in one table.

    run(session, node, text, parameters) ──▶ CommandResult(tag, columns and rows where it returns any)

What is neither here nor a query is refused with 0A000 by name.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from frontend import as_of, copying, cursors, transaction_control
from frontend.errors import SqlError, unsupported
from frontend.session_context import postgres_now
from frontend.sql import syntax
from frontend.sql import syntax_commands as statements
from frontend.sql.ddl.dispatch import DDL_STATEMENTS, execute_ddl
from frontend.sql.explain import explain_columns, explain_statement
from frontend.sql.logical import Column
from frontend.statements import PlannedStatement, PreparedStatement
from frontend.tasks import TICK, Signal
from frontend.types import oids

if TYPE_CHECKING:
    from frontend.session import Session
    from frontend.wire.session_contract import Startup

Steps = Generator[Signal, None, "CommandResult"]

NOTICE_LEVELS = {
    "debug5": 0,
    "debug4": 1,
    "debug3": 2,
    "debug2": 3,
    "debug1": 4,
    "log": 5,
    "notice": 6,
    "warning": 7,
    "error": 9,
}
_SEVERITY_LEVELS = {"DEBUG": 4, "LOG": 5, "INFO": 8, "NOTICE": 6, "WARNING": 7}


@dataclass(frozen=True, slots=True)
class CommandResult:
    """What a command tells the client; `columns` None: nothing but the tag. `formats`: those of a simple query's rows where
    they are not text (FETCH from a BINARY cursor)."""

    tag: str
    columns: Sequence[Column] | None = None
    rows: Sequence[Sequence[Any]] = ()
    formats: tuple[int, ...] = ()


def text_column(name: str) -> Column:
    """A result column of type text."""
    return Column(id=0, name=name, type=oids.TEXT)


def run(session: Session, node: syntax.Statement, text: str, parameters: Sequence[Any] = ()) -> Steps:
    """Run a command; gives way while it works."""
    handler = _HANDLERS.get(type(node))
    if handler is not None:
        return (yield from handler(session, node, parameters))
    if isinstance(node, DDL_STATEMENTS):
        return (yield from _run_ddl(session, node, text))
    if isinstance(node, statements.UnsupportedStatement):
        raise unsupported(node.name)
    raise unsupported(_spelled(type(node).__name__))


def command_name(node: syntax.Statement) -> str:
    """What PostgreSQL calls a statement that changes the schema."""
    if isinstance(node, statements.Drop):
        return f"DROP {node.kind.upper()}"
    if isinstance(node, statements.AlterTable | statements.SetSchema | statements.SetOwner):
        return f"ALTER {node.kind.upper()}"
    if isinstance(node, statements.Rename):
        return f"ALTER {(node.relation_kind if node.relation is not None else node.kind).upper()}"
    if isinstance(node, statements.CreateTable) and node.query is not None:
        return "CREATE TABLE AS"
    if isinstance(node, statements.Grant | statements.GrantRole):
        return ("GRANT" if node.grant else "REVOKE") + (" ROLE" if isinstance(node, statements.GrantRole) else "")
    if isinstance(node, syntax.Truncate):
        return "TRUNCATE TABLE"
    return _spelled(type(node).__name__)


def _spelled(name: str) -> str:
    """CreateTable → CREATE TABLE."""
    return "".join(" " + letter if letter.isupper() else letter for letter in name).strip().upper()


def columns_of(session: Session, node: syntax.Statement | None) -> Sequence[Column]:
    """What Describe says of a command: its result columns, without running it."""
    if isinstance(node, statements.Show):
        if node.name is None:
            return _SHOW_ALL_COLUMNS
        return (text_column(session.settings.show(node.name)[0]),)
    if isinstance(node, statements.Explain):
        return explain_columns(node)
    if isinstance(node, statements.Execute):
        prepared = session.prepared.get(node.name)
        if prepared is None:
            return ()  # its execution says so
        planned = session.plan_prepared(prepared)
        return planned.columns if planned is not None else columns_of(session, prepared.node)
    if isinstance(node, statements.Fetch) and not node.move:
        portal = session.portals.get(node.cursor)
        return portal.columns if portal is not None else ()
    return ()


def wants_notice(level: str, severity: str) -> bool:
    """Whether client_min_messages lets a notice of this severity through (INFO always passes)."""
    return severity == "INFO" or _SEVERITY_LEVELS.get(severity, 6) >= NOTICE_LEVELS.get(level, 6)


# ── start-up, roles ────────────────────────────────────────────────────────────────────────────────────────────────


def apply_startup(session: Session, startup: Startup) -> None:
    """Role settings, then start-up parameters, as what RESET returns to; identity facts."""
    settings = session.settings
    role = session.catalog.role(startup.user)
    if role is not None:
        for name, value in role.settings.items():
            settings.set_base(name, value)
    settings.set_fact("session_authorization", startup.user)
    settings.set_fact("is_superuser", "on" if role is not None and role.superuser else "off")
    settings.set_fact("ssl", "on" if startup.tls_version else "off")
    for name, value in startup.settings.items():
        try:
            settings.set_base(name, value)
        except SqlError as error:
            error.severity = "FATAL"
            raise


def set_identity(session: Session, name: str, value: str | None, local: bool) -> str:
    """SET ROLE / SET SESSION AUTHORIZATION."""
    if local:
        raise unsupported(f"SET LOCAL {name.upper()}")
    context = session.context
    if value is None or (name == "role" and value.lower() == "none"):
        context.user = context.session_user
        if name == "session_authorization":
            context.user = context.session_user = session.connection.startup.user
            session.settings.set_fact("session_authorization", context.user)
        session.settings.set_fact("role", "none")
        shown = "none"
    else:
        role = session.catalog.role(value)
        if role is None:
            raise SqlError("22023", f'role "{value}" does not exist')
        if not context.is_superuser and not _is_member(session, context.session_user, role.oid):
            raise SqlError("42501", f'permission denied to set {name.replace("_", " ")} "{value}"')
        if name == "role":
            context.user = value
            session.settings.set_fact("role", value)
        else:
            context.user = context.session_user = value
            session.settings.set_fact("session_authorization", value)
        shown = value
    current = session.catalog.role(context.user)
    session.settings.set_fact("is_superuser", "on" if current is not None and current.superuser else "off")
    return shown


def _is_member(session: Session, user: str, role_oid: int) -> bool:
    member = session.catalog.role(user)
    return member is not None and (member.oid == role_oid or any(oid == role_oid for oid, _ in member.member_of))


# ── settings ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _plain(
    step: Callable[[Session, Any, Sequence[Any]], CommandResult],
) -> Callable[[Session, Any, Sequence[Any]], Steps]:
    """A command that is done at once, as a task."""

    def steps(session: Session, node: Any, parameters: Sequence[Any]) -> Steps:
        return step(session, node, parameters)
        yield TICK

    return steps


def setting_text(value: syntax.Expression) -> str:
    """A SET value as text; what is no constant is refused."""
    if isinstance(value, syntax.Constant):
        return value.value
    if isinstance(value, syntax.Operator) and value.left is None and isinstance(value.right, syntax.Constant):
        return value.name + value.right.value
    if isinstance(value, syntax.Cast) and isinstance(value.operand, syntax.Constant):
        return f"INTERVAL '{value.operand.value}'"
    raise SqlError("42601", "SET takes constants only", position=value.position or None)


def _set(session: Session, node: statements.Set, parameters: Sequence[Any]) -> CommandResult:
    if node.local:
        transaction_control.warn_outside_block(session, "SET LOCAL")
    value = None
    if node.values is not None:
        texts = [setting_text(item) for item in node.values]
        if node.name.lower() == "search_path":
            value = ", ".join(
                '"' + text.replace('"', '""') + '"' if text != text.lower() or not text.isidentifier() else text
                for text in texts
            )
        elif len(texts) > 1 and node.name.lower() != "datestyle":
            raise SqlError("22023", f"SET {node.name} takes only one argument")
        else:
            value = ", ".join(texts)
    session.set_parameter(node.name, value, local=node.local)
    return CommandResult("SET")


def _set_transaction(session: Session, node: statements.SetTransaction, parameters: Sequence[Any]) -> Steps:
    if node.snapshot is not None:
        raise unsupported("SET TRANSACTION SNAPSHOT")
    modes = node.modes
    prefix = "default_" if node.session else ""
    if not node.session:
        transaction_control.warn_outside_block(session, "SET TRANSACTION")
    for name, value in transaction_control.mode_settings(modes):
        session.set_parameter(prefix + name, value, local=not node.session)
    if modes.as_of is not None and node.session:
        raise SqlError(
            "0A000", "AS OF is not possible in SET SESSION CHARACTERISTICS", position=modes.as_of.position or None
        )
    if session.in_block or session.block.implicit_several:
        yield from transaction_control.read_in_past(session, modes)
    return CommandResult("SET")


def _set_constraints(session: Session, node: statements.SetConstraints, parameters: Sequence[Any]) -> CommandResult:
    transaction_control.set_constraints(session, node)
    return CommandResult("SET CONSTRAINTS")


def _reset(session: Session, node: statements.Reset, parameters: Sequence[Any]) -> CommandResult:
    if node.name is None:
        session.settings.reset_all(in_transaction=True)
    else:
        session.set_parameter(node.name, None)
    return CommandResult("RESET")


_SHOW_ALL_COLUMNS = (text_column("name"), text_column("setting"), text_column("description"))


def _show(session: Session, node: statements.Show, parameters: Sequence[Any]) -> CommandResult:
    if node.name is None:
        return CommandResult("SHOW", _SHOW_ALL_COLUMNS, list(session.settings.all()))
    name, value = session.settings.show(node.name)
    return CommandResult("SHOW", (text_column(name),), [(value,)])


def _discard(session: Session, node: statements.Discard, parameters: Sequence[Any]) -> CommandResult:
    if node.target == "all":
        transaction_control.require_alone(session, "DISCARD ALL")
        cursors.close_all(session)
        set_identity(session, "session_authorization", None, False)
        session.settings.reset_all()
        session.prepared.clear()
        session.sequences.discard()
    elif node.target == "sequences":
        session.sequences.discard()
    return CommandResult(f"DISCARD {'TEMP' if node.target == 'temporary' else node.target.upper()}")


# ── prepared statements ────────────────────────────────────────────────────────────────────────────────────────────


def _prepare(session: Session, node: statements.Prepare, parameters: Sequence[Any]) -> CommandResult:
    if node.name in session.prepared:
        raise SqlError("42P05", f'prepared statement "{node.name}" already exists')
    declared = [session.gateway.resolve_type(session, type_name)[0] for type_name in node.types]
    prepared = PreparedStatement(node.name, session.current_sql, node.statement, declared, postgres_now(), True)
    session.plan_first(prepared)
    session.prepared[node.name] = prepared
    return CommandResult("PREPARE")


def _execute(session: Session, node: statements.Execute, parameters: Sequence[Any]) -> Steps:
    prepared = session.find_prepared(node.name)
    if isinstance(prepared.node, syntax.AsOfQuery):
        past, arguments = yield from _enter_past(session, prepared, prepared.node, node)
        return (yield from _run_prepared(session, past, arguments))
    planned = session.plan_prepared(prepared)
    _check_arguments(node, len(prepared.parameters))
    values = [
        session.gateway.evaluate(session, argument, oid)
        for argument, oid in zip(node.arguments, prepared.parameters, strict=True)
    ]
    if planned is None:
        assert prepared.node is not None
        return (yield from run(session, prepared.node, prepared.sql, values))
    return (yield from _run_prepared(session, planned, values))


def _check_arguments(node: statements.Execute, count: int) -> None:
    if len(node.arguments) != count:
        raise SqlError(
            "42601",
            f'wrong number of parameters for prepared statement "{node.name}"',
            detail=f"Expected {count} parameters but got {len(node.arguments)}.",
        )


def _enter_past(
    session: Session, prepared: PreparedStatement, query: syntax.AsOfQuery, node: statements.Execute
) -> Generator[Signal, None, tuple[PlannedStatement, list[Any]]]:
    """The plan and the parameters of a query AS OF, whose arguments say where in the past they have a meaning."""
    gateway = session.gateway
    types = as_of.parameter_types(session, query.as_of, prepared.parameters or prepared.declared)
    given = {
        number: gateway.evaluate_before(session, node.arguments[number - 1], oid)
        for number, oid in types.items()
        if number <= len(node.arguments)
    }
    if len(given) < len(types):
        _check_arguments(node, max(types))
    yield from as_of.begin(session, query.as_of, given, types)
    planned = session.plan_prepared(prepared)
    assert planned is not None
    _check_arguments(node, len(planned.parameters))
    values = [
        gateway.evaluate_before(session, argument, oid)
        for argument, oid in zip(node.arguments, planned.parameters, strict=True)
    ]
    return planned, values


def _run_prepared(session: Session, planned: PlannedStatement, values: Sequence[Any]) -> Steps:
    transaction = session.ensure_transaction()
    session.check_writable(planned, transaction)
    transaction.depend(planned.relations)
    state = session.new_state(values)
    rows: list[Sequence[Any]] = []
    for batch in (planned.compiled.run_inline(state),) if planned.compiled.inline else planned.compiled.run(state):
        if isinstance(batch, list):
            rows.extend(batch)
            yield TICK
        else:
            yield batch
    count = len(rows) if planned.tag == "SELECT" else state.processed
    return CommandResult(f"{planned.tag} {count}", planned.columns or None, rows)


def _deallocate(session: Session, node: statements.Deallocate, parameters: Sequence[Any]) -> CommandResult:
    if node.name is None:
        session.prepared.clear()
        return CommandResult("DEALLOCATE ALL")
    session.find_prepared(node.name)
    del session.prepared[node.name]
    return CommandResult("DEALLOCATE")


# ── transactions, cursors, EXPLAIN, DDL ────────────────────────────────────────────────────────────────────────────


def _transaction(session: Session, node: statements.Transaction, parameters: Sequence[Any]) -> Steps:
    tag = yield from transaction_control.run(session, node)
    return CommandResult(tag)


def _declare(session: Session, node: statements.DeclareCursor, parameters: Sequence[Any]) -> Steps:
    yield from cursors.declare(session, node, parameters)
    return CommandResult("DECLARE CURSOR")


def _fetch(session: Session, node: statements.Fetch, parameters: Sequence[Any]) -> Steps:
    portal, rows, count = yield from cursors.fetch(session, node)
    if node.move:
        return CommandResult(f"MOVE {count}")
    return CommandResult(f"FETCH {count}", portal.columns, rows, portal.formats)


def _close(session: Session, node: statements.CloseCursor, parameters: Sequence[Any]) -> CommandResult:
    if node.name is None:
        cursors.close_all(session)
        return CommandResult("CLOSE CURSOR ALL")
    cursors.close(session, node.name)
    return CommandResult("CLOSE CURSOR")


def _explain(session: Session, node: statements.Explain, parameters: Sequence[Any]) -> Steps:
    rows = yield from explain_statement(session, node, parameters)
    return CommandResult("EXPLAIN", explain_columns(node), rows)


def _run_ddl(session: Session, node: syntax.Statement, text: str) -> Steps:
    transaction = session.ensure_transaction()
    if isinstance(node, statements.Vacuum):
        if not node.analyze_only:
            transaction_control.require_alone(session, "VACUUM")
    elif transaction.read_only:
        raise SqlError("25006", f"cannot execute {command_name(node)} in a read-only transaction")
    tag = yield from execute_ddl(session, node, text)
    return CommandResult(tag)


def _lock(session: Session, node: statements.Lock, parameters: Sequence[Any]) -> CommandResult:
    if not session.in_block and not session.block.implicit_several:
        raise SqlError("25P01", "LOCK TABLE can only be used in transaction blocks")
    session.ensure_transaction()
    for target in node.targets:
        session.gateway.resolve_relation(session, target.relation)
    if node.mode not in ("access share", "row share"):
        raise unsupported(
            f"LOCK TABLE in {node.mode.upper()} MODE",
            hint="Nothing waits for locks here: conflicts are found at COMMIT. Use SELECT … FOR UPDATE to have rows checked.",
        )
    return CommandResult("LOCK TABLE")


def _refuse(feature: str) -> Callable[[Session, Any, Sequence[Any]], Steps]:
    def refuse(session: Session, node: Any, parameters: Sequence[Any]) -> CommandResult:
        raise unsupported(feature)

    return _plain(refuse)


def _unlisten(session: Session, node: statements.Unlisten, parameters: Sequence[Any]) -> CommandResult:
    """Nothing can be listened to (LISTEN is refused), so there is nothing to stop: true for every channel."""
    return CommandResult("UNLISTEN")


def _checkpoint(session: Session, node: statements.Checkpoint, parameters: Sequence[Any]) -> CommandResult:
    session.gateway.view.flush()
    return CommandResult("CHECKPOINT")


_HANDLERS: dict[type[syntax.Statement], Callable[[Session, Any, Sequence[Any]], Steps]] = {
    statements.Set: _plain(_set),
    statements.SetTransaction: _set_transaction,
    statements.SetConstraints: _plain(_set_constraints),
    statements.Reset: _plain(_reset),
    statements.Show: _plain(_show),
    statements.Discard: _plain(_discard),
    statements.Prepare: _plain(_prepare),
    statements.Execute: _execute,
    statements.Deallocate: _plain(_deallocate),
    statements.Transaction: _transaction,
    statements.DeclareCursor: _declare,
    statements.Fetch: _fetch,
    statements.CloseCursor: _plain(_close),
    statements.Explain: _explain,
    statements.Lock: _plain(_lock),
    statements.Listen: _refuse("LISTEN"),
    statements.Notify: _refuse("NOTIFY"),
    statements.Unlisten: _plain(_unlisten),
    statements.Checkpoint: _plain(_checkpoint),
    statements.Call: _refuse("CALL"),
    statements.Do: _refuse("DO"),
}


def run_copy(session: Session, node: statements.Copy) -> Generator[Signal, None, bytes]:
    """COPY in either direction; returns the CommandComplete message."""
    return (yield from copying.run(session, node))
