"""PostgreSQL's key words, as far as quoting needs them: which words cannot stand as a plain identifier everywhere."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import msgspec


class _Keywords(msgspec.Struct):
    columns: list[str]
    rows: list[tuple[str, str, bool]]  # word, category (U unreserved, C column name, T type or function, R reserved), …


@cache
def reserved_in_identifiers() -> frozenset[str]:
    """The words that quote_ident quotes: every key word that is not unreserved."""
    data = files("frontend.builtin").joinpath("keywords.json").read_bytes()
    return frozenset(word for word, category, _ in msgspec.json.decode(data, type=_Keywords).rows if category != "U")
