"""The options of COPY: defaults, and what PostgreSQL refuses, in its order and words.

The codecs are in copy_in.py (client to server) and copy_out.py (server to client); none of them does IO. The SQL layer turns the
WITH list into `CopyOptions` and calls `resolved` before anything else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from frontend.errors import SqlError

CopyFormat = Literal["text", "csv", "binary"]
Header = Literal["none", "names", "match"]

BINARY_SIGNATURE = b"PGCOPY\n\xff\r\n\0"


@dataclass(frozen=True)
class CopyOptions:
    """What the statement said; None means that it said nothing, and `resolved` fills in PostgreSQL's default.

    Args:
        header: `names` skips (FROM) or writes (TO) a first line; `match` also compares it with the columns.
        force_quote, force_not_null, force_null: column indexes (0-based) within the columns being copied.
        default: marker that stands for the column's default.
    """

    format: CopyFormat = "text"
    delimiter: str | None = None
    null: str | None = None
    header: Header = "none"
    quote: str | None = None
    escape: str | None = None
    default: str | None = None
    force_quote: frozenset[int] = frozenset()
    force_not_null: frozenset[int] = frozenset()
    force_null: frozenset[int] = frozenset()

    def resolved(self, *, copy_from: bool) -> CopyOptions:
        """With defaults filled in.

        Raises:
            SqlError: 0A000, 22023 or 42601 for what PostgreSQL refuses.
        """
        csv = self.format == "csv"
        if self.format == "binary":
            for name, value in (("DELIMITER", self.delimiter), ("NULL", self.null), ("DEFAULT", self.default)):
                if value is not None:
                    raise SqlError("42601", f"cannot specify {name} in BINARY mode")
        delimiter = self.delimiter if self.delimiter is not None else "," if csv else "\t"
        null = self.null if self.null is not None else "" if csv else "\\N"
        quote = self.quote if self.quote is not None else '"'
        escape = self.escape if self.escape is not None else quote
        full = replace(self, delimiter=delimiter, null=null, quote=quote, escape=escape)
        full._check_characters(csv, delimiter, null)
        if self.header != "none" and self.format == "binary":
            raise _unsupported("cannot specify HEADER in BINARY mode")
        self._check_csv_only(csv, delimiter, quote, escape)
        self._check_force(csv, copy_from)
        _check_overlap(csv, delimiter, quote, null, "NULL")
        if self.default is not None:
            if not copy_from:
                raise _unsupported("COPY DEFAULT only available using COPY FROM")
            _check_overlap(csv, delimiter, quote, self.default, "DEFAULT")
            if self.default == null:
                raise _unsupported("NULL specification and DEFAULT specification cannot be the same")
        return full

    def _check_characters(self, csv: bool, delimiter: str, null: str) -> None:
        if len(delimiter.encode()) != 1:
            raise _unsupported("COPY delimiter must be a single one-byte character")
        if delimiter in "\r\n":
            raise SqlError("22023", "COPY delimiter cannot be newline or carriage return")
        if "\r" in null or "\n" in null:
            raise SqlError("22023", "COPY null representation cannot use newline or carriage return")
        if self.default is not None and ("\r" in self.default or "\n" in self.default):
            raise SqlError("22023", "COPY default representation cannot use newline or carriage return")
        if not csv and delimiter in "\\.abcdefghijklmnopqrstuvwxyz0123456789":
            raise SqlError("22023", f'COPY delimiter cannot be "{delimiter}"')

    def _check_csv_only(self, csv: bool, delimiter: str, quote: str, escape: str) -> None:
        if not csv and self.quote is not None:
            raise _unsupported("COPY quote available only in CSV mode")
        if csv and len(quote.encode()) != 1:
            raise _unsupported("COPY quote must be a single one-byte character")
        if csv and delimiter == quote:
            raise SqlError("22023", "COPY delimiter and quote must be different")
        if not csv and self.escape is not None:
            raise _unsupported("COPY escape available only in CSV mode")
        if csv and len(escape.encode()) != 1:
            raise _unsupported("COPY escape must be a single one-byte character")

    def _check_force(self, csv: bool, copy_from: bool) -> None:
        for name, columns, needs_from in (
            ("quote", self.force_quote, False),
            ("not null", self.force_not_null, True),
            ("null", self.force_null, True),
        ):
            if columns and not csv:
                raise _unsupported(f"COPY force {name} available only in CSV mode")
            if columns and needs_from != copy_from:
                raise _unsupported(f"COPY force {name} only available using COPY {'FROM' if needs_from else 'TO'}")


def _unsupported(message: str) -> SqlError:
    return SqlError("0A000", message)


def _check_overlap(csv: bool, delimiter: str, quote: str, marker: str, what: str) -> None:
    if delimiter in marker:
        raise _unsupported(f"COPY delimiter must not appear in the {what} specification")
    if csv and quote in marker:
        raise _unsupported(f"CSV quote character must not appear in the {what} specification")


def bad_data(message: str, *, hint: str | None = None) -> SqlError:
    """22P04: the COPY data is not in the format."""
    return SqlError("22P04", message, hint=hint)


def missing_column(columns: Sequence[str], present: int) -> SqlError:
    """22P04: a line has too few fields."""
    return bad_data(f'missing data for column "{columns[present]}"')


def extra_data() -> SqlError:
    """22P04: a line has too many fields."""
    return bad_data("extra data after last expected column")
