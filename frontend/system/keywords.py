"""SQL's key words, as pg_get_keywords() lists them, and quoting of identifiers that depends on them."""

from __future__ import annotations

import json
import re
from functools import cache
from importlib import resources

_PLAIN = re.compile(r"[a-z_][a-z0-9_$]*\Z")

CATEGORY_DESCRIPTIONS = {
    "U": "unreserved",
    "C": "unreserved (cannot be function or type name)",
    "T": "reserved (can be function or type name)",
    "R": "reserved",
}


@cache
def keyword_rows() -> list[tuple[str, str, bool]]:
    """(word, category U C T R, may be a bare label) in alphabetical order."""
    document = json.loads(resources.files("frontend.builtin").joinpath("keywords.json").read_bytes())
    return [(word, category, bare) for word, category, bare in document["rows"]]


@cache
def _quoted_words() -> frozenset[str]:
    return frozenset(word for word, category, _ in keyword_rows() if category != "U")


def quoted(name: str) -> str:
    """quote_identifier(): the name as SQL needs it."""
    if _PLAIN.match(name) and name not in _quoted_words():
        return name
    return '"' + name.replace('"', '""') + '"'
