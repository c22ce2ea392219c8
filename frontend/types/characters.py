"""Character types: text, varchar, bpchar, name, "char", unknown, cstring; and bytea, uuid, boolean.

`char(n)` values are kept padded to their length, as PostgreSQL stores them; comparing and hashing ignore the padding.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from typing import Any

from frontend.context import Context
from frontend.errors import SqlError
from frontend.types import oids
from frontend.types.behaviour import Decoder, Encoder, TypeBehaviour, invalid_syntax, malformed_binary

NAME_LENGTH_MAX = 63
CHARACTER_LENGTH_MAX = 10485760
_HEADER = 4  # a varchar(n) or char(n) modifier is stored as n + 4


def decode_utf8(data: bytes) -> str:
    """Bytes from the client as text; 22021 names the first bytes that are not UTF-8."""
    try:
        text = str(data, "utf-8")
    except UnicodeDecodeError as error:
        raise invalid_utf8(bytes(data), error.start) from None
    if "\0" in text:
        raise SqlError("22021", 'invalid byte sequence for encoding "UTF8": 0x00')
    return text


def invalid_utf8(data: bytes, start: int) -> SqlError:
    """22021 in PostgreSQL's words: as many bytes as the lead byte announces."""
    lead = data[start]
    expected = 1 if lead < 0xC0 else 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4 if lead < 0xF8 else 1
    shown = " ".join(f"0x{byte:02x}" for byte in data[start : start + expected])
    return SqlError("22021", f'invalid byte sequence for encoding "UTF8": {shown}')


def _text_input(text: str, typmod: int, context: Context) -> str:
    return text


def _text_output(value: str, context: Context) -> str:
    return value


def _text_receive(data: bytes, typmod: int, context: Context) -> str:
    return decode_utf8(data)


def _text_send(value: str, context: Context) -> bytes:
    return value.encode()


def _text_encoder(context: Context) -> Encoder:
    return str.encode


def _text_decoder(typmod: int, context: Context) -> Decoder:
    return decode_utf8


def _length_in(type_name: str) -> Any:
    def typmod_in(modifiers: Sequence[str]) -> int:
        if len(modifiers) != 1:
            raise SqlError("22023", "invalid type modifier")
        length = integer_modifier(modifiers[0])
        if length < 1:
            raise SqlError("22023", f"length for type {type_name} must be at least 1")
        if length > CHARACTER_LENGTH_MAX:
            raise SqlError("22023", f"length for type {type_name} cannot exceed {CHARACTER_LENGTH_MAX}")
        return length + _HEADER

    return typmod_in


def integer_modifier(text: str) -> int:
    """A type modifier as an integer."""
    try:
        return int(text)
    except ValueError:
        raise invalid_syntax("integer", text) from None


def _length_out(typmod: int) -> str:
    return f"({typmod - _HEADER})" if typmod > _HEADER else ""


def varchar_typmod(value: str, typmod: int, explicit: bool) -> str:
    """varchar(n): too long is 22001, but an explicit cast and trailing blanks are cut."""
    length = typmod - _HEADER
    if typmod < _HEADER or len(value) <= length:
        return value
    if not explicit and value[length:].strip(" "):
        raise SqlError("22001", f"value too long for type character varying({length})")
    return value[:length]


def bpchar_typmod(value: str, typmod: int, explicit: bool) -> str:
    """char(n): cut as varchar(n) is, then padded with blanks."""
    length = typmod - _HEADER
    if typmod < _HEADER:
        return value
    if len(value) > length:
        if not explicit and value[length:].strip(" "):
            raise SqlError("22001", f"value too long for type character({length})")
        return value[:length]
    return value.ljust(length)


def _varchar_input(text: str, typmod: int, context: Context) -> str:
    return varchar_typmod(text, typmod, False)


def _bpchar_input(text: str, typmod: int, context: Context) -> str:
    return bpchar_typmod(text, typmod, False)


def _varchar_receive(data: bytes, typmod: int, context: Context) -> str:
    return varchar_typmod(decode_utf8(data), typmod, False)


def _bpchar_receive(data: bytes, typmod: int, context: Context) -> str:
    return bpchar_typmod(decode_utf8(data), typmod, False)


def bpchar_key(value: str) -> str:
    """What char(n) compares and hashes by."""
    return value.rstrip(" ")


def truncate_name(text: str) -> str:
    """An identifier cut to 63 bytes of UTF-8 at a character boundary, as casts to `name` do."""
    encoded = text.encode()
    if len(encoded) <= NAME_LENGTH_MAX:
        return text
    return encoded[:NAME_LENGTH_MAX].decode(errors="ignore")


def _name_input(text: str, typmod: int, context: Context) -> str:
    return truncate_name(text)


def _name_receive(data: bytes, typmod: int, context: Context) -> str:
    text = decode_utf8(data)
    if len(data) > NAME_LENGTH_MAX:
        raise SqlError("42622", "identifier too long", detail="Identifier must be less than 64 characters.")
    return text


def char_from_byte(byte: int) -> str:
    """The text of an internal "char": ASCII as itself, NUL as nothing, the rest as an octal escape."""
    if byte == 0:
        return ""
    return chr(byte) if byte < 128 else f"\\{byte:03o}"


def char_to_byte(value: str) -> int:
    """The byte that an internal "char" stands for."""
    if not value:
        return 0
    return int(value[1:], 8) if len(value) == 4 else ord(value)


_OCTAL = re.compile(r"\\([0-7][0-7][0-7])\Z")


def char_from_text(text: str) -> str:
    """Input of "char": the first byte, or an octal escape."""
    match = _OCTAL.match(text)
    if match:
        return char_from_byte(int(match[1], 8) & 0xFF)
    return char_from_byte(text.encode()[0]) if text else ""


def _char_input(text: str, typmod: int, context: Context) -> str:
    return char_from_text(text)


def _char_receive(data: bytes, typmod: int, context: Context) -> str:
    if len(data) != 1:
        raise malformed_binary("insufficient data left in message" if not data else "incorrect binary data format")
    return char_from_byte(data[0])


def _char_send(value: str, context: Context) -> bytes:
    return bytes([char_to_byte(value)])


# boolean

_TRUE = frozenset({"t", "tr", "tru", "true", "y", "ye", "yes", "on", "1"})
_FALSE = frozenset({"f", "fa", "fal", "fals", "false", "n", "no", "of", "off", "0"})
_BOOL_TEXT = {True: b"t", False: b"f"}
_BOOL_BINARY = {True: b"\x01", False: b"\x00"}


def _bool_input(text: str, typmod: int, context: Context) -> bool:
    word = text.strip(" \t\n\v\f\r").lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise invalid_syntax("boolean", text)


def _bool_output(value: bool, context: Context) -> str:
    return "t" if value else "f"


def _bool_receive(data: bytes, typmod: int, context: Context) -> bool:
    if len(data) != 1:
        raise malformed_binary("insufficient data left in message" if not data else "incorrect binary data format")
    return data[0] != 0


def _bool_send(value: bool, context: Context) -> bytes:
    return b"\x01" if value else b"\x00"


# bytea

_ESCAPED = re.compile(rb"\\(\\|[0-3][0-7][0-7])?", re.DOTALL)


def _bytea_input(text: str, typmod: int, context: Context) -> bytes:
    return parse_bytea(text)


def parse_bytea(text: str) -> bytes:
    """Input of bytea in hex (`\\x…`, whitespace between pairs allowed) or escape form."""
    if text.startswith("\\x"):
        return parse_hexadecimal(text[2:])
    data = text.encode()

    def unescape(match: re.Match[bytes]) -> bytes:
        escape = match[1]
        if escape is None:
            raise SqlError("22P02", "invalid input syntax for type bytea")
        return b"\\" if escape == b"\\" else bytes([int(escape, 8)])

    return _ESCAPED.sub(unescape, data) if b"\\" in data else data


def parse_hexadecimal(digits: str) -> bytes:
    """Pairs of hexadecimal digits, whitespace allowed between pairs; PostgreSQL's errors otherwise."""
    position, length, result = 0, len(digits), bytearray()
    try:
        if digits.isalnum():
            return bytes.fromhex(digits)
    except ValueError:
        pass
    while position < length:
        first = digits[position]
        if first in " \n\t\r":
            position += 1
            continue
        high = _hexadecimal_digit(first)
        position += 1
        if position >= length:
            raise SqlError("22023", "invalid hexadecimal data: odd number of digits")
        result.append(high << 4 | _hexadecimal_digit(digits[position]))
        position += 1
    return bytes(result)


def _hexadecimal_digit(character: str) -> int:
    digit = "0123456789abcdef".find(character.lower())
    if digit < 0:
        raise SqlError("22023", f'invalid hexadecimal digit: "{character}"')
    return digit


def format_bytea(value: bytes, style: str) -> str:
    """bytea as text, in the form that `bytea_output` asks for."""
    if style == "hex":
        return "\\x" + value.hex()
    return "".join("\\\\" if byte == 92 else chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}" for byte in value)


def _bytea_output(value: bytes, context: Context) -> str:
    return format_bytea(value, context.bytea_output)


def _bytea_encoder(context: Context) -> Encoder:
    if context.bytea_output == "hex":
        return lambda value: b"\\x" + value.hex().encode()
    return lambda value: format_bytea(value, "escape").encode()


def _bytea_receive(data: bytes, typmod: int, context: Context) -> bytes:
    return bytes(data)


def _bytea_send(value: bytes, context: Context) -> bytes:
    return value


# uuid

_UUID = re.compile(r"[0-9a-fA-F]{4}(?:-?[0-9a-fA-F]{4}){7}\Z")


def parse_uuid(text: str) -> str:
    """A uuid in canonical form; braces, upper case and hyphens after any group of four digits are accepted."""
    body = text
    if body.startswith("{"):
        if not body.endswith("}"):
            raise invalid_syntax("uuid", text)
        body = body[1:-1]
    if not _UUID.match(body):
        raise invalid_syntax("uuid", text)
    digits = body.replace("-", "").lower()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _uuid_input(text: str, typmod: int, context: Context) -> str:
    return parse_uuid(text)


def _uuid_receive(data: bytes, typmod: int, context: Context) -> str:
    return _uuid_from_binary(data)


def _uuid_from_binary(data: bytes) -> str:
    if len(data) != 16:
        raise malformed_binary(
            "insufficient data left in message" if len(data) < 16 else "incorrect binary data format"
        )
    digits = data.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _uuid_to_binary(value: str) -> bytes:
    return bytes.fromhex(value.replace("-", ""))


def _uuid_send(value: str, context: Context) -> bytes:
    return _uuid_to_binary(value)


def _ascii_encoder(context: Context) -> Encoder:
    return str.encode


# tid and pg_lsn are kept as text-like values: a tid is (block, offset), a pg_lsn an int

_TID = re.compile(r"\((\d+),(\d+)\)\Z")


def _tid_input(text: str, typmod: int, context: Context) -> tuple[int, int]:
    match = _TID.match(text)
    if match is None or int(match[1]) >= 2**32 or int(match[2]) >= 2**16:
        raise invalid_syntax("tid", text)
    return int(match[1]), int(match[2])


def _tid_output(value: tuple[int, int], context: Context) -> str:
    return f"({value[0]},{value[1]})"


def _tid_receive(data: bytes, typmod: int, context: Context) -> tuple[int, int]:
    if len(data) != 6:
        raise malformed_binary("insufficient data left in message" if len(data) < 6 else "incorrect binary data format")
    return struct.unpack(">IH", data)


def _tid_send(value: tuple[int, int], context: Context) -> bytes:
    return struct.pack(">IH", *value)


_LSN = re.compile(r"([0-9a-fA-F]{1,8})/([0-9a-fA-F]{1,8})\Z")


def _lsn_input(text: str, typmod: int, context: Context) -> int:
    match = _LSN.match(text)
    if match is None:
        raise invalid_syntax("pg_lsn", text)
    return int(match[1], 16) << 32 | int(match[2], 16)


def _lsn_output(value: int, context: Context) -> str:
    return f"{value >> 32:X}/{value & 0xFFFFFFFF:X}"


def _lsn_receive(data: bytes, typmod: int, context: Context) -> int:
    if len(data) != 8:
        raise malformed_binary("insufficient data left in message" if len(data) < 8 else "incorrect binary data format")
    return int.from_bytes(data, "big")


def _lsn_send(value: int, context: Context) -> bytes:
    return value.to_bytes(8, "big")


def _void_input(text: str, typmod: int, context: Context) -> None:
    return None


def _void_output(value: object, context: Context) -> str:
    return ""


def _void_receive(data: bytes, typmod: int, context: Context) -> None:
    return None


def _void_send(value: object, context: Context) -> bytes:
    return b""


def _plain() -> TypeBehaviour:
    return TypeBehaviour(
        _text_input,
        _text_output,
        _text_receive,
        _text_send,
        text_encoder=_text_encoder,
        binary_encoder=_text_encoder,
        text_decoder=_text_decoder,
        binary_decoder=_text_decoder,
    )


BEHAVIOURS: dict[int, TypeBehaviour] = {
    oids.TEXT: _plain(),
    oids.UNKNOWN: _plain(),
    oids.CSTRING: _plain(),
    oids.ACLITEM: _plain(),
    oids.PG_NODE_TREE: _plain(),
    oids.VARCHAR: TypeBehaviour(
        _varchar_input,
        _text_output,
        _varchar_receive,
        _text_send,
        apply_typmod=varchar_typmod,
        typmod_in=_length_in("varchar"),
        typmod_out=_length_out,
        text_encoder=_text_encoder,
        binary_encoder=_text_encoder,
    ),
    oids.BPCHAR: TypeBehaviour(
        _bpchar_input,
        _text_output,
        _bpchar_receive,
        _text_send,
        apply_typmod=bpchar_typmod,
        typmod_in=_length_in("char"),
        typmod_out=_length_out,
        text_encoder=_text_encoder,
        binary_encoder=_text_encoder,
        sort_key=bpchar_key,
        hash_key=bpchar_key,
    ),
    oids.NAME: TypeBehaviour(
        _name_input,
        _text_output,
        _name_receive,
        _text_send,
        text_encoder=_text_encoder,
        binary_encoder=_text_encoder,
    ),
    oids.CHAR: TypeBehaviour(_char_input, _text_output, _char_receive, _char_send, sort_key=char_to_byte),
    oids.BOOL: TypeBehaviour(
        _bool_input,
        _bool_output,
        _bool_receive,
        _bool_send,
        text_encoder=lambda context: _BOOL_TEXT.__getitem__,
        binary_encoder=lambda context: _BOOL_BINARY.__getitem__,
    ),
    oids.BYTEA: TypeBehaviour(_bytea_input, _bytea_output, _bytea_receive, _bytea_send, text_encoder=_bytea_encoder),
    oids.UUID: TypeBehaviour(
        _uuid_input,
        _text_output,
        _uuid_receive,
        _uuid_send,
        text_encoder=_ascii_encoder,
        binary_encoder=lambda context: _uuid_to_binary,
    ),
    oids.TID: TypeBehaviour(_tid_input, _tid_output, _tid_receive, _tid_send),
    oids.PG_LSN: TypeBehaviour(_lsn_input, _lsn_output, _lsn_receive, _lsn_send),
    oids.VOID: TypeBehaviour(_void_input, _void_output, _void_receive, _void_send),
}
