"""PostgreSQL's hash functions, for those who call hashtext and its like in SQL.

The hash is Bob Jenkins's lookup3 (2006, public domain) over little-endian words, seeded as PostgreSQL seeds it. Boreal itself
never uses these: they are slow in Python (2 µs and more).
"""

from __future__ import annotations

from frontend.functions.registry import scalar

_MASK = 0xFFFFFFFF
_GOLDEN = 0x9E3779B9
_PERTURBATION = 3923095


def _rotate(value: int, count: int) -> int:
    return (value << count | value >> (32 - count)) & _MASK


def _mix(a: int, b: int, c: int) -> tuple[int, int, int]:
    a = ((a - c) & _MASK) ^ _rotate(c, 4)
    c = (c + b) & _MASK
    b = ((b - a) & _MASK) ^ _rotate(a, 6)
    a = (a + c) & _MASK
    c = ((c - b) & _MASK) ^ _rotate(b, 8)
    b = (b + a) & _MASK
    a = ((a - c) & _MASK) ^ _rotate(c, 16)
    c = (c + b) & _MASK
    b = ((b - a) & _MASK) ^ _rotate(a, 19)
    a = (a + c) & _MASK
    c = ((c - b) & _MASK) ^ _rotate(b, 4)
    b = (b + a) & _MASK
    return a, b, c


def _final(a: int, b: int, c: int) -> tuple[int, int]:
    c = ((c ^ b) - _rotate(b, 14)) & _MASK
    a = ((a ^ c) - _rotate(c, 11)) & _MASK
    b = ((b ^ a) - _rotate(a, 25)) & _MASK
    c = ((c ^ b) - _rotate(b, 16)) & _MASK
    a = ((a ^ c) - _rotate(c, 4)) & _MASK
    b = ((b ^ a) - _rotate(a, 14)) & _MASK
    c = ((c ^ b) - _rotate(b, 24)) & _MASK
    return b, c


def _hash(data: bytes, seed: int = 0) -> tuple[int, int]:
    a = b = c = (_GOLDEN + len(data) + _PERTURBATION) & _MASK
    if seed:
        a, b, c = _mix((a + (seed >> 32 & _MASK)) & _MASK, (b + (seed & _MASK)) & _MASK, c)
    whole = len(data) - len(data) % 12
    for place in range(0, whole, 12):
        a = (a + int.from_bytes(data[place : place + 4], "little")) & _MASK
        b = (b + int.from_bytes(data[place + 4 : place + 8], "little")) & _MASK
        c = (c + int.from_bytes(data[place + 8 : place + 12], "little")) & _MASK
        a, b, c = _mix(a, b, c)
    rest = data[whole:]
    a = (a + int.from_bytes(rest[:4], "little")) & _MASK
    b = (b + int.from_bytes(rest[4:8], "little")) & _MASK
    c = (c + (int.from_bytes(rest[8:11], "little") << 8)) & _MASK  # the lowest byte is the length's
    return _final(a, b, c)


def _hash_word(word: int) -> tuple[int, int]:
    start = (_GOLDEN + 4 + _PERTURBATION) & _MASK
    return _final((start + word) & _MASK, start, start)


def _hash_word_extended(word: int, seed: int) -> tuple[int, int]:
    a = b = c = (_GOLDEN + 4 + _PERTURBATION) & _MASK
    if seed:
        a, b, c = _mix((a + (seed >> 32 & _MASK)) & _MASK, (b + (seed & _MASK)) & _MASK, c)
    return _final((a + word) & _MASK, b, c)


def _int4(word: int) -> int:
    return word - (1 << 32) if word >> 31 else word


def _int8(high: int, low: int) -> int:
    value = high << 32 | low
    return value - (1 << 64) if value >> 63 else value


def _fold_bigint(value: int) -> int:
    """An int8 as the word that an equal int4 would be."""
    high = value >> 32 & _MASK
    return (value & _MASK) ^ (high if value >= 0 else ~high & _MASK)


@scalar("hashtext(text)")
def hash_text(text: str) -> int:
    return _int4(_hash(text.encode())[1])


@scalar("hashtextextended(text,int8)")
def hash_text_extended(text: str, seed: int) -> int:
    return _int8(*_hash(text.encode(), seed & (1 << 64) - 1))


@scalar("hashbpchar(bpchar)")
def hash_bpchar(text: str) -> int:
    return hash_text(text.rstrip(" "))


@scalar("hashname(name)")
def hash_name(text: str) -> int:
    return hash_text(text)


@scalar("hashint2(int2)", "hashint4(int4)", "hashoid(oid)")
def hash_integer(value: int) -> int:
    return _int4(_hash_word(value & _MASK)[1])


@scalar("hashint2extended(int2,int8)", "hashint4extended(int4,int8)", "hashoidextended(oid,int8)")
def hash_integer_extended(value: int, seed: int) -> int:
    return _int8(*_hash_word_extended(value & _MASK, seed & (1 << 64) - 1))


@scalar("hashint8(int8)")
def hash_bigint(value: int) -> int:
    return _int4(_hash_word(_fold_bigint(value))[1])


@scalar("hashint8extended(int8,int8)")
def hash_bigint_extended(value: int, seed: int) -> int:
    return _int8(*_hash_word_extended(_fold_bigint(value), seed & (1 << 64) - 1))
