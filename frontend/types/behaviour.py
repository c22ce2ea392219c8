"""What a type can do, as plain functions: the contract between the families of types and the registry.

A family module (numbers, characters, moments …) builds one `TypeBehaviour` for each of its types; `registry.py` joins it
with PostgreSQL's catalogue facts into a `TypeEntry`. Only `input`, `output`, `receive` and `send` are required. The
optional makers (`text_encoder` …) return functions specialised for a session's settings; they exist for the types whose
rows travel in bulk, everything else gets a generic wrapper.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from frontend.context import Context
from frontend.errors import SqlError

Input = Callable[[str, int, Context], Any]
Output = Callable[[Any, Context], str]
Receive = Callable[[bytes, int, Context], Any]
Send = Callable[[Any, Context], bytes]
Encoder = Callable[[Any], bytes]
Decoder = Callable[[bytes], Any]


def keep_value(value: Any, typmod: int, explicit: bool) -> Any:
    """`apply_typmod` of types without modifiers."""
    return value


def invalid_syntax(type_name: str, text: str, detail: str | None = None) -> SqlError:
    """22P02 in PostgreSQL's words."""
    return SqlError("22P02", f'invalid input syntax for type {type_name}: "{text}"', detail=detail)


def out_of_range(type_name: str, text: str) -> SqlError:
    """22003 for a literal."""
    return SqlError("22003", f'value "{text}" is out of range for type {type_name}')


def malformed_binary(what: str = "incorrect binary data format") -> SqlError:
    """22P03: a binary parameter or COPY field that is not what its type sends; 08P01 where it is too short."""
    return SqlError("08P01" if what.startswith("insufficient") else "22P03", what)


@dataclass(frozen=True, slots=True)
class TypeBehaviour:
    """See the module header. `sort_key` and `hash_key` are None where Python's own comparison and hashing are right."""

    input: Input
    output: Output
    receive: Receive
    send: Send
    apply_typmod: Callable[[Any, int, bool], Any] = keep_value
    typmod_in: Callable[[Sequence[str]], int] | None = None
    typmod_out: Callable[[int], str] | None = None
    text_encoder: Callable[[Context], Encoder] | None = None
    binary_encoder: Callable[[Context], Encoder] | None = None
    text_decoder: Callable[[int, Context], Decoder] | None = None
    binary_decoder: Callable[[int, Context], Decoder] | None = None
    sort_key: Callable[[Any], Any] | None = None
    hash_key: Callable[[Any], Any] | None = None
