"""The reg* types: OIDs of catalogue objects that read and print as names.

What a name means depends on the catalog and the search path, which belong to a higher layer: it installs one pair of
functions for each type with `set_name_resolver`. Built in are regtype and regproc(edure) over PostgreSQL's own types and
functions; the others print as numbers and accept only numbers until they have a resolver.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from frontend.context import Context
from frontend.errors import SqlError
from frontend.functions import catalogue
from frontend.types import oids
from frontend.types.behaviour import TypeBehaviour, malformed_binary
from frontend.types.integers import parse_unsigned

ToText = Callable[[int, Context], str | None]
FromText = Callable[[str, Context], int]

_RESOLVERS: dict[int, tuple[ToText, FromText]] = {}
_NAMES = {
    "regproc": oids.REGPROC,
    "regprocedure": oids.REGPROCEDURE,
    "regoper": oids.REGOPER,
    "regoperator": oids.REGOPERATOR,
    "regclass": oids.REGCLASS,
    "regtype": oids.REGTYPE,
    "regconfig": oids.REGCONFIG,
    "regdictionary": oids.REGDICTIONARY,
    "regnamespace": oids.REGNAMESPACE,
    "regrole": oids.REGROLE,
    "regcollation": oids.REGCOLLATION,
}


def set_name_resolver(kind: str, to_text: ToText, from_text: FromText) -> None:
    """Install how a reg* type ("regclass", …) names OIDs and finds names.

    Args:
        to_text: the name of an OID as the session would write it, None where there is no such object.
        from_text: the OID of a name as written (quotes and schema included); raises 42P01, 42704 … for unknown ones.
    """
    _RESOLVERS[_NAMES[kind]] = (to_text, from_text)


def name_resolver(kind: str) -> tuple[ToText, FromText] | None:
    """What is installed for a reg* type."""
    return _RESOLVERS.get(_NAMES[kind])


def _behaviour(oid: int) -> TypeBehaviour:
    name = next(name for name, candidate in _NAMES.items() if candidate == oid)

    def input_name(text: str, typmod: int, context: Context) -> int:
        if text == "-":
            return 0
        if text.isdigit() and text.isascii():
            return parse_unsigned(text, "oid", 32)
        resolver = _RESOLVERS.get(oid)
        if resolver is None:
            raise SqlError("42704", f'{name} "{text}" does not exist')
        return resolver[1](text, context)

    def output_name(value: int, context: Context) -> str:
        if value == 0:
            return "-"
        resolver = _RESOLVERS.get(oid)
        text = resolver[0](value, context) if resolver is not None else None
        return str(value) if text is None else text

    def receive(data: bytes, typmod: int, context: Context) -> int:
        if len(data) != 4:
            raise malformed_binary(
                "insufficient data left in message" if len(data) < 4 else "incorrect binary data format"
            )
        return int.from_bytes(data, "big")

    def send(value: int, context: Context) -> bytes:
        return struct.pack(">I", value)

    return TypeBehaviour(input_name, output_name, receive, send)


BEHAVIOURS: dict[int, TypeBehaviour] = {oid: _behaviour(oid) for oid in _NAMES.values()}


def _strip_catalog(text: str) -> str:
    name = text.strip()
    return name.removeprefix("pg_catalog.").strip('"') if '"' in name else name.removeprefix("pg_catalog.").lower()


def procedure_to_text(oid: int, context: Context) -> str | None:
    """regproc: the name, qualified where it is overloaded."""
    try:
        name = catalogue.proc_by_oid(oid).name
    except KeyError:
        return None
    return name if len(catalogue.procs_by_name(name)) == 1 else f"pg_catalog.{name}"


def procedure_from_text(text: str, context: Context) -> int:
    """regproc: the one function of that name."""
    found = catalogue.procs_by_name(_strip_catalog(text))
    if not found:
        raise SqlError("42883", f'function "{text}" does not exist')
    if len(found) > 1:
        raise SqlError("42725", f'more than one function named "{text}"')
    return found[0].oid


set_name_resolver("regproc", procedure_to_text, procedure_from_text)
