"""Histories as one writes them on paper, for the tests.

    transaction("a x 1; r y [2 3]; w z 4; r z 4; r u -", at=(10, 20))

`a` appends, `r` with brackets reads a list, `w` writes a register, `r` without brackets reads it, `-` is no row. Unless
told otherwise, every transaction has a session of its own and overlaps all others in time, so that only dependencies
order them.
"""

from __future__ import annotations

from itertools import count

from tests.checker.history import (
    Append,
    Isolation,
    Operation,
    Outcome,
    ReadList,
    ReadPath,
    ReadRegister,
    Transaction,
    Value,
    Write,
)

SNAPSHOT, SERIALIZABLE = Isolation.SNAPSHOT, Isolation.SERIALIZABLE
COMMITTED, ABORTED, UNKNOWN = Outcome.COMMITTED, Outcome.ABORTED, Outcome.UNKNOWN

_sessions = count()


def transaction(
    operations: str,
    *,
    at: tuple[int, int] = (0, 1000),
    session: str = "",
    outcome: Outcome = COMMITTED,
    isolation: Isolation = SNAPSHOT,
    read_path: ReadPath = ReadPath.INDEX,
    snapshot: int | None = None,
    commit: int | None = None,
    position: int | None = None,
    txid: int | None = None,
) -> Transaction:
    """One transaction from its operations in the notation above."""
    return Transaction(
        client=session or f"s{next(_sessions)}",
        process=0,
        began_us=at[0],
        ended_us=at[1],
        outcome=outcome,
        operations=tuple(_operation(text.strip()) for text in operations.split(";") if text.strip()),
        isolation=isolation,
        read_path=read_path,
        snapshot_us=snapshot,
        commit_us=commit,
        position=position,
        txid=txid,
    )


def _operation(text: str) -> Operation:
    verb, key, argument = text.split(" ", 2)
    match verb:
        case "a":
            return Append(key, _value(argument))
        case "w":
            return Write(key, _value(argument))
        case "r" if argument.startswith("["):
            return ReadList(key, tuple(_value(one) for one in argument.strip("[]").split()))
        case "r":
            return ReadRegister(key, None if argument == "-" else _value(argument))
    raise ValueError(f"no operation: {text!r}")


def _value(text: str) -> Value:
    return int(text) if text.lstrip("-").isdigit() else text
