"""Reads in the past: what AS OF says, and a transaction that reads there.

    … AS OF SYSTEM TIME <expression> ─┐
    … AS OF POSITION <expression> ────┴─▶ moment ──▶ snapshot ──▶ read-only Transaction at it, with the schema of that time

The view keeps superseded versions for the retention, so that an old snapshot is read like any other: nothing is rebuilt and nobody
else is asked, on any node, also on one that is cut off from the others. (Only for a position that this node does not have yet it asks
how far the others are, and waits for that.) A statement AS OF outside of a block is a transaction of its
own at that snapshot; in a block that has no snapshot yet it fixes the block's (as `BEGIN … AS OF` does), and everything else in the
block reads there, too.

**Never a wrong answer.** A moment that has not come is refused (22023). So is one before the view's horizon, behind which garbage
collection has removed versions (72000). And a moment so young that an event before it may still be on its way is waited for, so that
the same AS OF gives the same rows for ever; on a node that cannot tell (it does not order events itself) it means what this node has.

The argument is an expression without columns, sub-queries and volatile functions. It means a moment by its type:

    SYSTEM TIME   timestamptz, timestamp, date                a moment
                  interval, negative                          so long before the statement began
                  smallint, integer, bigint                   microseconds since the Unix epoch
                  a string                                    what reads as a timestamptz, else as an interval
    POSITION      smallint, integer, bigint                   position of an event in the journal
"""

from __future__ import annotations

import copy
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from frontend.errors import SqlError
from frontend.functions.moment_arithmetic import timestamptz_plus_interval
from frontend.session_context import POSTGRES_EPOCH_US, postgres_now
from frontend.sql import syntax
from frontend.sql.executor.state import ExecutionState, Sleep
from frontend.sql.walk import SUBQUERIES, walk
from frontend.transaction import Transaction
from frontend.types import oids
from frontend.types.datetime_input import parse_timestamptz
from frontend.types.interval import interval_input

if TYPE_CHECKING:
    from frontend.context import Context
    from frontend.session import Session
    from frontend.tasks import Signal

WAIT_SECONDS_MAX = 5.0
"""How long a statement waits until nothing can be committed any more at the moment that it reads."""

_WAIT_SECONDS = 0.001
_PARAMETER_TYPES: Final = {"time": oids.TIMESTAMPTZ, "position": oids.INT8}
_INTEGERS = (oids.INT2, oids.INT4, oids.INT8)
_CONVERTED = (oids.TIMESTAMP, oids.DATE)
_STRINGS = (oids.TEXT, oids.VARCHAR, oids.BPCHAR, oids.UNKNOWN)


# ── entering a snapshot ────────────────────────────────────────────────────────────────────────────────────────────


def begin(
    session: Session,
    clause: syntax.AsOf,
    parameters: Mapping[int, Any] | None = None,
    types: Mapping[int, int] | None = None,
) -> Generator[Signal, None, None]:
    """From here on the session's transaction reads at the moment that the clause names.

    Args:
        parameters, types: values and type OIDs of the parameters in the clause, by number.

    Raises: SqlError 25001 in a transaction that reads at another snapshot already; what `moment` and `_snapshot` raise.
    """
    if session.transaction is not None and session.block.as_of is None:
        raise _has_snapshot()
    wanted = moment(session, clause, parameters or {}, types or {})
    if clause.kind == "position":
        yield from _arrival(session, wanted)
        _require_position(session, clause, wanted)
    else:
        waited = 0.0
        while not _closed(session, wanted):
            if waited >= WAIT_SECONDS_MAX:
                raise SqlError("55000", "it is not decided yet what is committed at that time")
            yield Sleep(_WAIT_SECONDS)
            waited += _WAIT_SECONDS
    snapshot = _snapshot(session, clause, wanted)
    if session.transaction is not None:
        if session.block.as_of != snapshot:
            raise _has_snapshot()
        return
    if session.in_block:
        session.set_parameter("transaction_read_only", "on")
    session.block.as_of = snapshot
    session.block.used = True
    session.enter_past(snapshot)


@contextmanager
def trying(session: Session, clause: syntax.AsOf) -> Iterator[None]:
    """Names have the meaning that they will have when the statement runs, as far as that is known: at the clause's moment where
    it is known, now where it is open. For Parse and Describe; nothing is begun."""
    if session.transaction is not None or is_open(session, clause):
        yield
        return
    wanted = moment(session, clause, {}, {})
    if clause.kind == "position":
        _require_position(session, clause, wanted)
    session.enter_past(_snapshot(session, clause, wanted))
    try:
        yield
    finally:
        session.transaction = None


def is_open(session: Session, clause: syntax.AsOf) -> bool:
    """Whether only Bind or Execute tell at which moment names have their meaning: there are parameters, or the position may be on its way
    to this node."""
    if parameter_numbers(clause):
        return True
    gateway = session.gateway
    on_its_way = clause.kind == "position" and gateway.reads.waits
    return on_its_way and moment(session, clause, {}, {}) > gateway.view.frontier.position


def _arrival(session: Session, position: int) -> Generator[Signal, None, None]:
    """Wait for an event that others may have already, as long as a strong read waits. A node that cannot ask them goes by what it has."""
    reads = session.gateway.reads
    if position > session.gateway.view.frontier.position and reads.waits:
        answers: list[SqlError | None] = []
        reads.barrier(answers.append)
        while not answers:
            yield Sleep(_WAIT_SECONDS)


def _require_position(session: Session, clause: syntax.AsOf, position: int) -> None:
    newest = session.gateway.view.frontier.position
    if position > newest:
        raise SqlError(
            "22023",
            f"position {position} does not exist yet",
            detail=f"The last event that this node has is at position {newest}.",
            position=clause.position or None,
        )


def _has_snapshot() -> SqlError:
    return SqlError(
        "25001",
        "AS OF must be called before any query",
        hint="One transaction reads at one moment: end it, or begin it with AS OF.",
    )


def _closed(session: Session, wanted_us: int) -> bool:
    """Whether no event at or before a time can appear any more."""
    if wanted_us <= session.gateway.view.snapshot:
        return True
    closed_us = session.gateway.history.closed_us()
    return closed_us is None or wanted_us <= closed_us


def _snapshot(session: Session, clause: syntax.AsOf, wanted: int) -> int:
    """The snapshot of the last event at a time or with a position; 72000 where what it sees is no longer retained."""
    view = session.gateway.view
    if clause.kind == "position":
        found = session.gateway.history.commit_ts(wanted) if wanted else 0
        if found is None:
            raise SqlError(
                "72000",
                "snapshot too old",
                detail=f"The journal no longer retains position {wanted}.",
                position=clause.position or None,
            )
        snapshot = found
    else:
        snapshot = min(wanted, view.snapshot)
    if snapshot < view.horizon:
        raise SqlError(
            "72000",
            "snapshot too old",
            detail="Row versions that it needs have been removed; what superseded them is older than retention_hours.",
            position=clause.position or None,
        )
    return snapshot


# ── what the argument says ─────────────────────────────────────────────────────────────────────────────────────────


def moment(session: Session, clause: syntax.AsOf, parameters: Mapping[int, Any], types: Mapping[int, int]) -> int:
    """What a clause names: microseconds since the Unix epoch, never in the future, or a position, which may not be here yet.

    Raises: SqlError 22023 for the future and for what is no moment (NULL, a negative position), 42804 for a type that means
    none, 0A000 for sub-queries and volatile functions, and what evaluating the argument raises.
    """
    value, type_oid = _argument(session, clause, parameters, types)
    if value is None:
        raise SqlError("22023", f"AS OF {_NAMES[clause.kind]} must not be null", position=clause.position or None)
    view = session.gateway.view
    if clause.kind == "position":
        if type_oid not in _INTEGERS:
            raise _wrong_type(clause)
        if value < 0:
            raise SqlError("22023", "AS OF POSITION must not be negative", position=clause.position or None)
        return int(value)
    wanted = _time(session.context, clause, value, type_oid)
    if wanted > max(postgres_now() + POSTGRES_EPOCH_US, view.snapshot):
        raise SqlError(
            "22023",
            "AS OF SYSTEM TIME must not be in the future",
            hint="An interval that leads to the past is negative, as in '-5s'."
            if type_oid in (*_STRINGS, oids.INTERVAL)
            else None,
            position=clause.position or None,
        )
    return max(wanted, 0)


_NAMES = {"time": "SYSTEM TIME", "position": "POSITION"}


def _wrong_type(clause: syntax.AsOf) -> SqlError:
    wanted = "an event's position (bigint)" if clause.kind == "position" else "a time, an interval or a whole number"
    return SqlError(
        "42804", f"argument of AS OF {_NAMES[clause.kind]} must be {wanted}", position=clause.position or None
    )


def _time(context: Context, clause: syntax.AsOf, value: Any, type_oid: int) -> int:
    """A value that means a moment, in microseconds since the Unix epoch."""
    if type_oid in _INTEGERS:
        return int(value)
    if type_oid == oids.INTERVAL:
        value = timestamptz_plus_interval(context, context.statement_timestamp, value)
    elif type_oid in _STRINGS:
        value = _time_of_text(context, clause, value)
    elif type_oid != oids.TIMESTAMPTZ:
        raise _wrong_type(clause)
    return int(value) + POSTGRES_EPOCH_US


def _time_of_text(context: Context, clause: syntax.AsOf, text: str) -> int:
    try:
        return parse_timestamptz(text, context)
    except SqlError as error:
        if error.sqlstate != "22007":
            raise
        try:
            span = interval_input(text, -1, context)
        except SqlError:
            error.position = clause.argument.position or None
            raise error from None
    return timestamptz_plus_interval(context, context.statement_timestamp, span)


def parameter_numbers(clause: syntax.AsOf) -> list[int]:
    """The parameters that the argument mentions, in order."""
    return sorted({node.number for node in syntax.nodes(clause) if isinstance(node, syntax.Parameter)})


def parameter_types(session: Session, clause: syntax.AsOf, declared: Sequence[int]) -> dict[int, int]:
    """The type of each parameter in the argument: as declared, else what its place wants (a parameter that is the whole argument:
    timestamptz, or bigint for a position).

    Args:
        declared: type OIDs of $1…, 0 where nothing was said; may be short.
    """
    numbers = parameter_numbers(clause)
    if isinstance(clause.argument, syntax.Parameter):
        number = numbers[0]
        known = declared[number - 1] if number <= len(declared) else 0
        return {number: known or _PARAMETER_TYPES[clause.kind]}
    if not numbers:
        return {}
    query, types = _query(clause, numbers, {n: oid for n, oid in enumerate(declared, 1) if oid})
    return dict(zip(numbers, session.gateway.plan_node(session, query, types).parameters, strict=True))


def _query(clause: syntax.AsOf, numbers: Sequence[int], types: Mapping[int, int]) -> tuple[syntax.Select, list[int]]:
    """`SELECT argument` with the parameters numbered from 1, and their types (0: unknown)."""
    argument = copy.deepcopy(clause.argument)
    query = syntax.Select(targets=[syntax.Target(argument)])
    for node in syntax.nodes(query):
        if isinstance(node, syntax.Parameter):
            node.number = numbers.index(node.number) + 1
    return query, [types.get(number, 0) for number in numbers]


def _argument(
    session: Session, clause: syntax.AsOf, parameters: Mapping[int, Any], types: Mapping[int, int]
) -> tuple[Any, int]:
    """The argument's value and type."""
    argument = clause.argument
    if isinstance(argument, syntax.Constant) and argument.kind == "string":
        return argument.value, oids.UNKNOWN
    numbers = parameter_numbers(clause)
    for number in numbers:
        if number not in parameters:
            raise SqlError("42P02", f"there is no parameter ${number}", position=clause.argument.position or None)
    if isinstance(argument, syntax.Parameter) and types[numbers[0]] not in _CONVERTED:
        return parameters[numbers[0]], types[numbers[0]]
    query, declared = _query(clause, numbers, types)
    planned = session.gateway.plan_node(session, query, declared)
    if planned.columns[0].type in _CONVERTED:
        target = query.targets[0]
        target.expression = syntax.Cast(target.expression, syntax.TypeName(["pg_catalog", "timestamptz"]))
        planned = session.gateway.plan_node(session, query, declared)
    for node in walk(planned.bound.plan):
        if isinstance(node, SUBQUERIES):
            raise SqlError("0A000", "cannot use subquery in AS OF", position=clause.position or None)
    if planned.bound.volatile:
        raise SqlError("0A000", "cannot use volatile functions in AS OF", position=clause.position or None)
    if not planned.compiled.inline:
        raise SqlError("0A000", "AS OF needs a single value", position=clause.position or None)
    rows = planned.compiled.run_inline(reading_now(session, [parameters[number] for number in numbers]))
    return rows[0][0], planned.columns[0].type


def reading_now(session: Session, parameters: Sequence[Any]) -> ExecutionState:
    """An execution that does not begin the session's transaction: for expressions that come before it."""
    gateway = session.gateway
    reader = Transaction(gateway.view.store, gateway.view.snapshot, gateway.next_transaction_id, read_only=True)
    return ExecutionState(reader, parameters, session.context)
