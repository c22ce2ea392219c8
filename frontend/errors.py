"""The errors that a PostgreSQL client can see.

    BorealError (journal/errors.py)          sqlstate, deterministic
      └─ SqlError                            one ErrorResponse: SQLSTATE, message, detail, hint, position, object names

Every place that refuses something raises `SqlError` through one of the constructors below, so that SQLSTATEs are written
once. An SqlError is always deterministic: it is a result for this client and never harms the node.
"""

from __future__ import annotations

from journal.errors import BorealError


class SqlError(BorealError):
    """An error reported to the client.

    Args:
        sqlstate: five characters, PostgreSQL Appendix A.
        message: primary message, PostgreSQL's own wording wherever PostgreSQL has the error.
        position: 1-based character offset into the statement's text, or None.
        context: where it happened, e.g. `COPY accounts, line 3: "x"`.
        severity: ERROR or FATAL (the connection ends after it); WARNING, NOTICE … in a notice.
    """

    deterministic = True

    def __init__(
        self,
        sqlstate: str,
        message: str,
        *,
        detail: str | None = None,
        hint: str | None = None,
        position: int | None = None,
        schema: str | None = None,
        table: str | None = None,
        column: str | None = None,
        datatype: str | None = None,
        constraint: str | None = None,
        context: str | None = None,
        severity: str = "ERROR",
    ) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate
        self.message = message
        self.detail = detail
        self.hint = hint
        self.position = position
        self.schema = schema
        self.table = table
        self.column = column
        self.datatype = datatype
        self.constraint = constraint
        self.context = context
        self.severity = severity


def unsupported(feature: str, *, position: int | None = None, hint: str | None = None) -> SqlError:
    """0A000: Boreal does not do this; `feature` completes «… is not supported»."""
    return SqlError("0A000", f"{feature} is not supported", position=position, hint=hint)


def syntax_error(near: str, position: int | None) -> SqlError:
    """42601 in PostgreSQL's words; an empty `near` means the end of the input."""
    message = f'syntax error at or near "{near}"' if near else "syntax error at end of input"
    return SqlError("42601", message, position=position)
