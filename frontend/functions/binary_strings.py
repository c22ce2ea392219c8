"""Functions on bytea (PostgreSQL's manual, 9.5), digests, and conversions between text and bytes.

Where a function works on text and bytea alike, the slicing rules are those of `strings`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re

from frontend.errors import SqlError, unsupported
from frontend.functions.letters import lower_ascii
from frontend.functions.registry import scalar
from frontend.functions.strings import overlay_at, substring_bounds
from frontend.types.characters import decode_utf8, parse_bytea

# ── slices and search ───────────────────────────────────────────────────────────────────────────────────────────────


@scalar("byteacat(bytea,bytea)", inline="({0} + {1})")
def byteacat(left: bytes, right: bytes) -> bytes:
    return left + right


@scalar("length(bytea)", "octet_length(bytea)", inline="len({0})")
def length(data: bytes) -> int:
    return len(data)


@scalar("bit_length(bytea)")
def bit_length(data: bytes) -> int:
    return 8 * len(data)


@scalar("substring(bytea,int4,int4)", "substr(bytea,int4,int4)")
def substring(data: bytes, start: int, count: int) -> bytes:
    first, end = substring_bounds(start, count)
    return data[first:end]


@scalar("substring(bytea,int4)", "substr(bytea,int4)")
def substring_from(data: bytes, start: int) -> bytes:
    return data[max(start - 1, 0) :]


@scalar("overlay(bytea,bytea,int4,int4)")
def overlay(data: bytes, replacement: bytes, start: int, count: int) -> bytes:
    return bytes(overlay_at(data, replacement, start, count))


@scalar("overlay(bytea,bytea,int4)")
def overlay_whole(data: bytes, replacement: bytes, start: int) -> bytes:
    return bytes(overlay_at(data, replacement, start, len(replacement)))


@scalar("position(bytea,bytea)")
def position(data: bytes, part: bytes) -> int:
    return data.find(part) + 1


@scalar("btrim(bytea,bytea)")
def btrim(data: bytes, octets: bytes) -> bytes:
    return data.strip(octets) if octets else data


@scalar("ltrim(bytea,bytea)")
def ltrim(data: bytes, octets: bytes) -> bytes:
    return data.lstrip(octets) if octets else data


@scalar("rtrim(bytea,bytea)")
def rtrim(data: bytes, octets: bytes) -> bytes:
    return data.rstrip(octets) if octets else data


# ── bytes and bits ──────────────────────────────────────────────────────────────────────────────────────────────────


def _checked_index(index: int, size: int) -> int:
    if not 0 <= index < size:
        raise SqlError("2202E", f"index {index} out of valid range, 0..{size - 1}")
    return index


@scalar("get_byte(bytea,int4)")
def get_byte(data: bytes, index: int) -> int:
    return data[_checked_index(index, len(data))]


@scalar("set_byte(bytea,int4,int4)")
def set_byte(data: bytes, index: int, value: int) -> bytes:
    _checked_index(index, len(data))
    return data[:index] + bytes((value & 255,)) + data[index + 1 :]


@scalar("get_bit(bytea,int8)")
def get_bit(data: bytes, index: int) -> int:
    _checked_index(index, 8 * len(data))
    return data[index // 8] >> index % 8 & 1


@scalar("set_bit(bytea,int8,int4)")
def set_bit(data: bytes, index: int, value: int) -> bytes:
    _checked_index(index, 8 * len(data))
    if value not in (0, 1):
        raise SqlError("22023", "new bit must be 0 or 1")
    octet = data[index // 8] & ~(1 << index % 8) | value << index % 8
    return data[: index // 8] + bytes((octet,)) + data[index // 8 + 1 :]


@scalar("bit_count(bytea)")
def bit_count(data: bytes) -> int:
    return int.from_bytes(data, "big").bit_count()


# ── digests ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@scalar("md5(text)")
def md5_of_text(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


@scalar("md5(bytea)")
def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


@scalar("sha224(bytea)")
def sha224(data: bytes) -> bytes:
    return hashlib.sha224(data).digest()


@scalar("sha256(bytea)")
def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


@scalar("sha384(bytea)")
def sha384(data: bytes) -> bytes:
    return hashlib.sha384(data).digest()


@scalar("sha512(bytea)")
def sha512(data: bytes) -> bytes:
    return hashlib.sha512(data).digest()


# ── encode and decode ───────────────────────────────────────────────────────────────────────────────────────────────

_BASE64_LINE = 76


def _escape(data: bytes) -> str:
    result = []
    for octet in data:
        if octet == 0 or octet >= 128:
            result.append(f"\\{octet:03o}")
        elif octet == 92:
            result.append("\\\\")
        else:
            result.append(chr(octet))
    return "".join(result)


@scalar("encode(bytea,text)")
def encode(data: bytes, format_name: str) -> str:
    """base64 (in lines of 76), hex or escape."""
    name = lower_ascii(format_name)
    if name == "hex":
        return data.hex()
    if name == "escape":
        return _escape(data)
    if name == "base64":
        text = base64.b64encode(data).decode()
        return "\n".join(text[place : place + _BASE64_LINE] for place in range(0, len(text), _BASE64_LINE))
    raise SqlError("22023", f'unrecognized encoding: "{format_name}"')


_BASE64_SYMBOL = re.compile(r"[A-Za-z0-9+/=\s]", re.ASCII)


def _decode_base64(text: str) -> bytes:
    for character in text:
        if character not in " \t\n\r" and not _BASE64_SYMBOL.match(character):
            raise SqlError("22023", f'invalid symbol "{character}" found while decoding base64 sequence')
    symbols = re.sub(r"[ \t\n\r]", "", text)
    body = symbols.rstrip("=")
    padding = len(symbols) - len(body)
    if "=" in body or padding > 2:
        raise SqlError("22023", 'unexpected "=" while decoding base64 sequence')
    if len(symbols) % 4:
        raise SqlError(
            "22023",
            "invalid base64 end sequence",
            hint="Input data is missing padding, is truncated, or is otherwise corrupted.",
        )
    try:
        return binascii.a2b_base64(symbols)
    except binascii.Error:
        raise SqlError("22023", 'unexpected "=" while decoding base64 sequence') from None


def _decode_hexadecimal(text: str) -> bytes:
    digits: list[int] = []
    for character in text:
        if character in " \t\n\r":
            if len(digits) % 2:
                raise SqlError("22023", f'invalid hexadecimal digit: "{character}"')
            continue
        if character not in "0123456789abcdefABCDEF":
            raise SqlError("22023", f'invalid hexadecimal digit: "{character}"')
        digits.append(int(character, 16))
    if len(digits) % 2:
        raise SqlError("22023", "invalid hexadecimal data: odd number of digits")
    return bytes(high << 4 | low for high, low in zip(digits[::2], digits[1::2], strict=True))


@scalar("decode(text,text)")
def decode(text: str, format_name: str) -> bytes:
    name = lower_ascii(format_name)
    if name == "hex":
        return _decode_hexadecimal(text)
    if name == "base64":
        return _decode_base64(text)
    if name == "escape":
        if text.startswith("\\x"):  # parse_bytea would take it for the hex form
            raise SqlError("22P02", "invalid input syntax for type bytea")
        return parse_bytea(text)
    raise SqlError("22023", f'unrecognized encoding: "{format_name}"')


# ── character sets ──────────────────────────────────────────────────────────────────────────────────────────────────

_CODECS = {
    "utf8": "utf-8", "unicode": "utf-8", "sqlascii": "utf-8", "latin1": "latin-1", "iso88591": "latin-1",
    "latin2": "iso8859-2", "iso88592": "iso8859-2", "latin3": "iso8859-3", "iso88593": "iso8859-3",
    "latin4": "iso8859-4", "iso88594": "iso8859-4", "latin5": "iso8859-9", "iso88599": "iso8859-9",
    "latin6": "iso8859-10", "iso885910": "iso8859-10", "latin7": "iso8859-13", "iso885913": "iso8859-13",
    "latin8": "iso8859-14", "iso885914": "iso8859-14", "latin9": "iso8859-15", "iso885915": "iso8859-15",
    "latin10": "iso8859-16", "iso885916": "iso8859-16", "iso88595": "iso8859-5", "iso88596": "iso8859-6",
    "iso88597": "iso8859-7", "iso88598": "iso8859-8", "win1250": "cp1250", "windows1250": "cp1250",
    "win1251": "cp1251", "windows1251": "cp1251", "win1252": "cp1252", "windows1252": "cp1252", "win1253": "cp1253",
    "windows1253": "cp1253", "win1254": "cp1254", "windows1254": "cp1254", "win1255": "cp1255",
    "windows1255": "cp1255", "win1256": "cp1256", "windows1256": "cp1256", "win1257": "cp1257",
    "windows1257": "cp1257", "win1258": "cp1258", "windows1258": "cp1258", "win866": "cp866", "windows866": "cp866",
    "win874": "cp874", "windows874": "cp874", "koi8r": "koi8-r", "koi8": "koi8-r", "koi8u": "koi8-u",
    "eucjp": "euc_jp", "euckr": "euc_kr", "euccn": "gb2312", "gbk": "gbk", "win936": "gbk", "windows936": "gbk",
    "gb18030": "gb18030", "big5": "big5", "win950": "big5", "windows950": "big5", "sjis": "cp932",
    "shiftjis": "cp932", "mskanji": "cp932", "win932": "cp932", "windows932": "cp932", "uhc": "cp949",
    "win949": "cp949", "windows949": "cp949", "johab": "johab",
}  # fmt: skip


def _codec(name: str, role: str) -> str:
    codec = _CODECS.get(re.sub(r"[^a-z0-9]", "", lower_ascii(name)))
    if codec is None:
        raise SqlError("22023", f'invalid {role} encoding name "{name}"')
    return codec


def _hexadecimal_bytes(data: bytes) -> str:
    return " ".join(f"0x{octet:02x}" for octet in data)


@scalar("convert_from(bytea,name)")
def convert_from(data: bytes, encoding: str) -> str:
    codec = _codec(encoding, "source")
    if codec == "utf-8":
        return decode_utf8(data)
    try:
        text = data.decode(codec)
    except UnicodeDecodeError as error:
        raise SqlError(
            "22021",
            f'invalid byte sequence for encoding "{encoding.upper()}": {_hexadecimal_bytes(data[error.start : error.end])}',
        ) from None
    if "\0" in text:
        raise SqlError("22021", f'invalid byte sequence for encoding "{encoding.upper()}": 0x00')
    return text


@scalar("convert_to(text,name)")
def convert_to(text: str, encoding: str) -> bytes:
    codec = _codec(encoding, "destination")
    try:
        return text.encode(codec)
    except UnicodeEncodeError as error:
        shown = _hexadecimal_bytes(text[error.start].encode())
        raise SqlError(
            "22P05",
            f'character with byte sequence {shown} in encoding "UTF8" has no equivalent in encoding "{encoding.upper()}"',
        ) from None


@scalar("convert(bytea,name,name)")
def convert(data: bytes, source: str, destination: str) -> bytes:
    target = _codec(destination, "destination")
    origin = _codec(source, "source")
    if origin == target:
        return data
    if "utf-8" not in (origin, target):
        raise unsupported("convert between two encodings that are not UTF8")
    return convert_to(convert_from(data, source), destination)


@scalar("length(bytea,name)")
def length_in_encoding(data: bytes, encoding: str) -> int:
    return len(convert_from(data, encoding))
