"""PostgreSQL 16's own rows of pg_type, as `frontend/builtin` holds them, by OID and by name.

The files are facts dumped from a real server, read once, when first asked for. Procedures, operators and casts are in
`frontend/functions/catalogue.py`.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any, NamedTuple


def load_rows(name: str) -> tuple[list[str], list[list[Any]]]:
    """Columns and rows of one fact file, e.g. `load_rows("pg_type")`."""
    document = json.loads(resources.files("frontend.builtin").joinpath(f"{name}.json").read_bytes())
    return document["columns"], document["rows"]


class TypeFact(NamedTuple):
    """One row of pg_type; `kind` is typtype (b base, c composite, p pseudo, r range, m multirange)."""

    oid: int
    name: str
    length: int
    by_value: bool
    kind: str
    category: str
    preferred: bool
    delimiter: str
    relation: int
    subscript: int
    element: int
    array: int
    collation: int
    has_modifier: bool


@cache
def type_facts() -> dict[int, TypeFact]:
    """pg_type by OID."""
    columns, rows = load_rows("pg_type")
    at = {name: index for index, name in enumerate(columns)}
    return {
        row[at["oid"]]: TypeFact(
            row[at["oid"]],
            row[at["typname"]],
            row[at["typlen"]],
            row[at["typbyval"]],
            row[at["typtype"]],
            row[at["typcategory"]],
            row[at["typispreferred"]],
            row[at["typdelim"]],
            row[at["typrelid"]],
            row[at["typsubscript"]],
            row[at["typelem"]],
            row[at["typarray"]],
            row[at["typcollation"]],
            row[at["typmodin"]] != "-",
        )
        for row in rows
    }


@cache
def type_oids_by_name() -> dict[str, int]:
    """OID by pg_type.typname."""
    return {fact.name: fact.oid for fact in type_facts().values()}
