"""BEGIN, COMMIT, ROLLBACK and savepoints: what they do to a session.

A transaction block's snapshot is fixed by its first statement, not by BEGIN. SERIALIZABLE records reads and has them checked;
REPEATABLE READ is snapshot isolation; READ COMMITTED is snapshot isolation whose snapshot may move forward between
statements as long as nothing the transaction has read has changed (docs/compatibility.md).
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from frontend import as_of
from frontend.errors import SqlError, unsupported
from frontend.sql import syntax
from frontend.sql import syntax_commands as commands_syntax
from frontend.sql.executor.foreign_keys import check_deferred
from frontend.tasks import Signal
from frontend.wire import messages
from storage.catalog import Table

if TYPE_CHECKING:
    from frontend.session import Session
    from frontend.settings import Settings
    from frontend.sql.ddl.draft import DraftMark

_BEGIN_TAG = messages.command_complete("BEGIN")
_START_TAG = messages.command_complete("START TRANSACTION")
_COMMIT_TAG = messages.command_complete("COMMIT")
_ROLLBACK_TAG = messages.command_complete("ROLLBACK")


class Block:
    """What one transaction (a block, or an implicit one) carries beside its reads and writes.

    Attributes:
        serializable, read_only, movable: modes; `movable` is READ COMMITTED.
        used: modes were set or savepoints made, so that the next transaction needs a new Block.
        deferred: foreign-key checks for COMMIT; constraints_deferred: what SET CONSTRAINTS said.
        marks: for each savepoint (name, draft of the catalog then).
        implicit_several: one of several statements of a Query message, outside of BEGIN.
        ended: a COMMIT or ROLLBACK has just ended the block.
        committing: a COMMIT is under way; if it fails the block is over.
        as_of: the snapshot that AS OF has fixed, None where it has not.
    """

    __slots__ = (
        "as_of", "committing", "constraints_deferred", "deferred", "ended", "implicit_several", "marks", "movable", "read_only",
        "serializable", "used",
    )  # fmt: skip

    def __init__(self, modes: tuple[bool, bool, bool]) -> None:
        self.serializable, self.movable, self.read_only = modes
        self.used = False
        self.deferred: list[Any] = []
        self.constraints_deferred: dict[int | None, bool] = {}
        self.marks: list[tuple[str, DraftMark | None]] = []
        self.implicit_several = False
        self.ended = False
        self.committing = False
        self.as_of: int | None = None


MODES = ("transaction_isolation", "transaction_read_only", "transaction_deferrable")
"""Settings that are modes of the running transaction: they end with it, however they were set."""


def default_modes(settings: Settings) -> tuple[bool, bool, bool]:
    """(serializable, movable, read_only) of transactions that say nothing of it."""
    isolation = settings.get("default_transaction_isolation")
    return (
        isolation == "serializable",
        isolation in ("read committed", "read uncommitted"),
        settings.get("default_transaction_read_only") == "on",
    )


def pin_modes(session: Session) -> None:
    """Before a default mode changes: the running transaction keeps the modes it began with."""
    for name in MODES:
        session.settings.pin(name)


def require_alone(session: Session, what: str) -> None:
    """25001 for commands that cannot be undone with the rest of a transaction."""
    if session.in_block or session.block.implicit_several:
        raise SqlError("25001", f"{what} cannot run inside a transaction block")


def warn_outside_block(session: Session, what: str) -> None:
    """The warning for what has no lasting effect, because the transaction is only this statement."""
    if not session.in_block and not session.block.implicit_several:
        session.send_notice(SqlError("25P01", f"{what} can only be used in transaction blocks", severity="WARNING"))


def ends_failure(node: syntax.Statement) -> bool:
    """Whether a statement may run in a failed transaction: COMMIT, ROLLBACK, ROLLBACK TO."""
    return isinstance(node, commands_syntax.Transaction) and node.kind in (
        "commit",
        "rollback",
        "rollback to",
        "prepare transaction",
    )


def run_hot(session: Session, node: commands_syntax.Transaction, prefix: bytes = b"") -> bytes | None:
    """BEGIN, COMMIT and ROLLBACK as most programs write them, without a task. What is to be sent now: `prefix` and the CommandComplete, or
    b"", if they follow when the event is durable; None where there is more to it, and nothing is done.
    """
    kind = node.kind
    if kind in ("begin", "start"):
        if session.transaction_status != "I" or session.transaction is not None:
            return None
        if node.modes is not None and node.modes.as_of is not None:
            return None
        begin(session, node.modes)
        session.watch_idle()
        return prefix + (_BEGIN_TAG if kind == "begin" else _START_TAG)
    if node.chain or session.transaction_status == "I":
        return None
    if kind == "rollback":
        session.rollback()
        return prefix + _ROLLBACK_TAG
    if kind != "commit" or session.transaction_status == "E":
        return None
    transaction = session.transaction
    if session.sequences.unsettled:
        return None
    if transaction is None or not transaction.must_propose:
        session.end_committed()
        return prefix + _COMMIT_TAG
    session.commit_hot(prefix, _COMMIT_TAG)
    return b""


def begin(session: Session, modes: commands_syntax.TransactionModes | None) -> None:
    """Open a block with the session's default modes and those of the statement."""
    session.block.used = True
    session.transaction_status = "T"
    if modes is not None:
        try:
            _apply_modes(session, modes)
        except SqlError:
            session.transaction_status = "I"  # the block has not begun
            raise
    session.context.begin_transaction()


def _apply_modes(session: Session, modes: commands_syntax.TransactionModes) -> None:
    for name, value in mode_settings(modes):
        if session.settings.get(name) != value:
            session.set_parameter(name, value)


def read_in_past(session: Session, modes: commands_syntax.TransactionModes | None) -> Generator[Signal, None, None]:
    """What AS OF in BEGIN and SET TRANSACTION does: the whole block reads at that moment, and READ ONLY."""
    if modes is None or modes.as_of is None:
        return
    if modes.read_only is False:
        raise SqlError("0A000", "a transaction AS OF cannot be READ WRITE", position=modes.as_of.position or None)
    yield from as_of.begin(session, modes.as_of)


def mode_settings(modes: commands_syntax.TransactionModes) -> list[tuple[str, str]]:
    """(parameter, value) of each mode that a statement names."""
    settings = []
    if modes.isolation is not None:
        settings.append(("transaction_isolation", modes.isolation))
    if modes.read_only is not None:
        settings.append(("transaction_read_only", "on" if modes.read_only else "off"))
    if modes.deferrable is not None:
        settings.append(("transaction_deferrable", "on" if modes.deferrable else "off"))
    return settings


def set_mode(session: Session, name: str, value: str | None) -> str:
    """SET transaction_isolation and its like, and what SET TRANSACTION and BEGIN come to. Returns the value to keep."""
    settings = session.settings
    if value is None:
        raise SqlError("0A000", f'parameter "{name}" cannot be reset')
    wanted = settings.normalise(name, value)
    if wanted == settings.get(name):
        return wanted
    block = session.block
    transaction = session.transaction
    nested = bool(block.marks)
    if name == "transaction_isolation":
        if nested:
            raise SqlError("25001", "SET TRANSACTION ISOLATION LEVEL must not be called in a subtransaction")
        if transaction is not None:
            raise SqlError("25001", "SET TRANSACTION ISOLATION LEVEL must be called before any query")
        block.serializable = wanted == "serializable"
        block.movable = wanted in ("read committed", "read uncommitted")
    elif name == "transaction_read_only":
        if wanted == "off":
            if nested:
                raise SqlError("25001", "cannot set transaction read-write mode inside a read-only transaction")
            if transaction is not None:
                raise SqlError("25001", "transaction read-write mode must be set before any query")
        block.read_only = wanted == "on"
        if transaction is not None:
            transaction.read_only = block.read_only
    elif nested:
        raise SqlError("25001", "SET TRANSACTION [NOT] DEFERRABLE cannot be called within a subtransaction")
    elif transaction is not None:
        raise SqlError("25001", "SET TRANSACTION [NOT] DEFERRABLE must be called before any query")
    block.used = True
    return wanted


def run(session: Session, node: commands_syntax.Transaction) -> Generator[Signal, None, str]:
    """Any transaction statement; returns the command tag."""
    kind = node.kind
    if kind in ("begin", "start"):
        return (yield from _begin_again(session, node))
    if kind == "commit":
        return (yield from _commit(session, node))
    if kind == "rollback":
        return _rollback(session, node)
    if kind in ("prepare transaction", "commit prepared", "rollback prepared"):
        raise unsupported(kind.upper())
    _require_block(session, node)
    name = node.name or ""
    if kind == "savepoint":
        _savepoint(session, name)
        return "SAVEPOINT"
    if kind == "release":
        _release(session, name)
        return "RELEASE"
    _rollback_to(session, name)
    return "ROLLBACK"


def _begin_again(session: Session, node: commands_syntax.Transaction) -> Generator[Signal, None, str]:
    tag = "BEGIN" if node.kind == "begin" else "START TRANSACTION"
    if session.in_block:
        session.send_notice(SqlError("25001", "there is already a transaction in progress", severity="WARNING"))
    else:
        # After other statements of one Query message they become part of the block.
        begin(session, node.modes)
        try:
            yield from read_in_past(session, node.modes)
        except SqlError:
            session.rollback()  # the block has not begun
            raise
        if session.transaction is not None:
            session.transaction.movable = False
    return tag


def _commit(session: Session, node: commands_syntax.Transaction) -> Generator[Signal, None, str]:
    modes = _chained_modes(session) if node.chain else None
    if node.chain and not session.in_block:
        raise SqlError("25P01", "COMMIT AND CHAIN can only be used in transaction blocks")
    if session.transaction_status == "E":
        session.rollback()
        tag = "ROLLBACK"
    else:
        if not session.in_block:
            session.send_notice(SqlError("25P01", "there is no transaction in progress", severity="WARNING"))
        session.block.committing = True
        yield from session.commit()
        session.block.committing = False  # outside of a block, COMMIT keeps the Block for what comes
        tag = "COMMIT"
    session.block.ended = True
    if modes is not None:
        session.block.ended = False
        begin(session, modes)
    return tag


def _rollback(session: Session, node: commands_syntax.Transaction) -> str:
    modes = _chained_modes(session) if node.chain else None
    if not session.in_block:
        if node.chain:
            raise SqlError("25P01", "ROLLBACK AND CHAIN can only be used in transaction blocks")
        session.send_notice(SqlError("25P01", "there is no transaction in progress", severity="WARNING"))
    session.rollback()
    session.block.ended = True
    if modes is not None:
        session.block.ended = False
        begin(session, modes)
    return "ROLLBACK"


def _chained_modes(session: Session) -> commands_syntax.TransactionModes:
    settings = session.settings
    return commands_syntax.TransactionModes(
        isolation=settings.get("transaction_isolation"),
        read_only=settings.get("transaction_read_only") == "on",
        deferrable=settings.get("transaction_deferrable") == "on",
    )


def _require_block(session: Session, node: commands_syntax.Transaction) -> None:
    if session.in_block:
        return
    what = {"savepoint": "SAVEPOINT", "release": "RELEASE SAVEPOINT", "rollback to": "ROLLBACK TO SAVEPOINT"}[node.kind]
    raise SqlError("25P01", f"{what} can only be used in transaction blocks")


def _savepoint(session: Session, name: str) -> None:
    transaction = session.ensure_transaction()
    transaction.savepoint(name)
    session.block.marks.append((name, session.draft.mark() if session.draft is not None else None))
    session.settings.savepoint()


def _find(session: Session, name: str) -> int:
    marks = session.block.marks
    for place in range(len(marks) - 1, -1, -1):
        if marks[place][0] == name:
            return place
    raise SqlError("3B001", f'savepoint "{name}" does not exist')


def _release(session: Session, name: str) -> None:
    place = _find(session, name)
    assert session.transaction is not None
    session.transaction.release(name)
    del session.block.marks[place:]
    for portal in session.portals.values():
        portal.level = min(portal.level, place)
    session.settings.release(place)


def _rollback_to(session: Session, name: str) -> None:
    place = _find(session, name)
    transaction = session.transaction
    assert transaction is not None
    transaction.rollback_to(name)
    mark = session.block.marks[place][1]
    if session.draft is not None:
        if mark is None:
            session.draft = None
            transaction.catalog_changes.clear()
        else:
            session.draft.restore(mark)
    del session.block.marks[place + 1 :]
    session.drop_portals_above(place)
    session.settings.rollback_to(place)
    if session.transaction_status == "E":
        session.transaction_status = "T"


def set_constraints(session: Session, node: commands_syntax.SetConstraints) -> None:
    """SET CONSTRAINTS: from now on in this transaction; IMMEDIATE checks what was deferred so far."""
    warn_outside_block(session, "SET CONSTRAINTS")
    block = session.block
    if not node.constraints:
        block.constraints_deferred.clear()
        block.constraints_deferred[None] = node.deferred
    else:
        for name in node.constraints:
            block.constraints_deferred[_constraint_oid(session, name)] = node.deferred
    if not node.deferred and block.deferred:
        check_deferred(session.ensure_transaction(), session.context, block.deferred)


def _constraint_oid(session: Session, name: syntax.RelationName) -> int:
    for item in session.catalog.objects.values():
        if isinstance(item, Table):
            for constraint in item.constraints:
                if constraint.name == name.name:
                    if not constraint.deferrable:
                        raise SqlError("42809", f'constraint "{name.name}" is not deferrable')
                    return constraint.oid
    raise SqlError("42704", f'constraint "{name.name}" does not exist')
