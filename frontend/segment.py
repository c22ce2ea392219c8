"""Prepared statements as drivers run them: Bind, [Describe,] Execute and Sync in one packet, answered in one step.

A `PreparedSegment` is everything that running one statement so takes, gathered once: how its parameters are read from the bytes of
Bind, its compiled function, the encoder of its rows, its replies. It is found by the *head* of the Bind message (portal and
statement name, number of formats and parameters), which is the same every time, so that nothing of it is parsed again.

    "\\0" name "\\0"  0 0  count   length value …   result formats
    └────────── head ──────────┘   └─ read() ─┘    └─── tail ───┘

HOT PATH. The reader is generated source, unrolled over the parameters: 0.6 µs for two integers, a third of a loop's cost. Guarded by
tests/frontend/bench_transactions.py.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from struct import Struct
from typing import TYPE_CHECKING, Any

from frontend.statements import PlannedStatement, PreparedStatement
from frontend.types.integers import SURE_DIGITS
from frontend.wire import messages

if TYPE_CHECKING:
    from frontend.sql import syntax_commands
    from frontend.wire.rowencoder import RowEncoder
    from storage.catalog import Catalog

PARAMETERS_MAX = 100
"""A statement with more parameters goes the ordinary way."""

_TAGS_MAX = 16
_FACTORIES_MAX = 1000

BindReader = Callable[[bytes, int], list[Any] | None]
"""(body of Bind, where the parameters begin) → their values; None where the message is another than the one expected.

Raises struct.error where it ends too early, and what the types' input functions raise.
"""


class PreparedSegment:
    """See the module's text.

    Attributes:
        prepared: the statement it belongs to; None of the other is valid for another one of the same name.
        head_bytes: length of the head.
        node: BEGIN, COMMIT or ROLLBACK; then nothing else counts.
        catalog, settings_version: what it holds for; with anything else it is gathered anew.
        read: the parameters of a Bind message with the expected result formats.
        formats: of the result columns, one each.
        described: BindComplete and RowDescription or NoData.
        run: the compiled statement.
        encode: rows to DataRow messages; None where there are no rows.
        tags: CommandComplete of small row counts.
        counts_rows: whether that counts the rows sent or the rows changed.
    """

    __slots__ = (
        "catalog", "counts_rows", "described", "encode", "formats", "head_bytes", "node", "planned", "prepared", "read",
        "relations", "run", "settings_version", "tags", "writes",
    )  # fmt: skip

    catalog: Catalog
    read: BindReader
    formats: tuple[int, ...]
    run: Callable[..., Any]
    planned: PlannedStatement

    def __init__(self, prepared: PreparedStatement, head_bytes: int) -> None:
        self.prepared = prepared
        self.head_bytes = head_bytes
        self.node: syntax_commands.Transaction | None = None
        self.settings_version = -1
        self.described = messages.BIND_COMPLETE + messages.NO_DATA
        self.encode: RowEncoder | None = None
        self.relations: tuple[tuple[int, int], ...] = ()
        self.writes = False
        self.tags: list[bytes] = []
        self.counts_rows = False

    def take_plan(
        self,
        planned: PlannedStatement,
        read: BindReader,
        formats: tuple[int, ...],
        encode: RowEncoder | None,
        settings_version: int,
        catalog: Catalog,
    ) -> None:
        """Hold what running a planned statement takes."""
        self.planned = planned
        self.read = read
        self.formats = formats
        self.encode = encode
        self.settings_version = settings_version
        self.catalog = catalog
        self.described = messages.BIND_COMPLETE + planned.description(formats)
        self.run = planned.compiled.run_inline
        self.relations = planned.relations
        self.writes = planned.writes
        self.tags = [messages.command_complete(f"{planned.tag} {count}") for count in range(_TAGS_MAX)]
        self.counts_rows = planned.tag == "SELECT"

    def complete(self, count: int) -> bytes:
        """CommandComplete, for more rows than there are `tags`."""
        return messages.command_complete(f"{self.planned.tag} {count}")


def bind_reader(decoders: list[Callable[[bytes], Any]], tail: bytes) -> BindReader:
    """The reader of parameters in text form.

    Args:
        decoders: one a parameter.
        tail: what follows them in the message, result formats as they were sent.
    """
    return _factory(tuple([SURE_DIGITS.get(decode, 0) for decode in decoders]))(*decoders, tail)


@lru_cache(_FACTORIES_MAX)
def _factory(sure_digits: tuple[int, ...]) -> Callable[..., BindReader]:
    """Of one reader for each kind of parameters: how many plain digits a parameter may have for `int` to be all that it takes."""
    count = len(sure_digits)
    names = ", ".join([f"d{place}" for place in range(count)])
    lines = [f"def make({names}{', ' if count else ''}tail):", " def read(body, p):"]
    for place in range(count):
        lines += [
            "  (n,) = length(body, p); p += 4",
            f"  if n >= 0: r{place} = body[p:p + n]; p += n",
            f"  elif n == -1: r{place} = None",
            "  else: return None",
        ]
    lines.append("  if body[p:] != tail: return None")
    values = ", ".join(
        [
            f"None if r{place} is None else "
            + (f"int(r{place}) if len(r{place}) <= {digits} and r{place}.isdigit() else " if digits else "")
            + f"d{place}(r{place})"
            for place, digits in enumerate(sure_digits)
        ]
    )
    lines += [f"  return [{values}]", " return read"]
    names_of_module: dict[str, Any] = {"length": Struct("!i").unpack_from}
    exec(compile("\n".join(lines), f"<bind reader of {count} parameters>", "exec"), names_of_module)
    made: Callable[..., BindReader] = names_of_module["make"]
    return made
