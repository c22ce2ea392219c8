"""PostgreSQL 16's own catalogue rows as Python tuples: what `frontend/builtin/*.json` says about types, casts, procedures.

The files are facts (OIDs, names, signatures) dumped from a real server. They are read once, when first asked for, and
indexed in the ways that type and function resolution need.
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


class ProcedureFact(NamedTuple):
    """One row of pg_proc, as far as evaluation needs it; `kind` is prokind (f, a, w, p)."""

    oid: int
    name: str
    kind: str
    strict: bool
    returns_set: bool
    volatility: str
    result: int
    arguments: tuple[int, ...]
    source: str


class OperatorFact(NamedTuple):
    """One row of pg_operator; `left` is 0 for prefix operators."""

    oid: int
    name: str
    left: int
    right: int
    result: int
    commutator: int
    negator: int
    procedure: int


class CastFact(NamedTuple):
    """One row of pg_cast; `context` is i, a or e; `method` f (function), b (binary-coercible) or i (through text)."""

    source: int
    target: int
    function: int
    context: str
    method: str


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


@cache
def procedure_facts() -> dict[int, ProcedureFact]:
    """pg_proc by OID."""
    columns, rows = load_rows("pg_proc")
    at = {name: index for index, name in enumerate(columns)}
    return {
        row[at["oid"]]: ProcedureFact(
            row[at["oid"]],
            row[at["proname"]],
            row[at["prokind"]],
            row[at["proisstrict"]],
            row[at["proretset"]],
            row[at["provolatile"]],
            row[at["prorettype"]],
            tuple(row[at["proargtypes"]]),
            row[at["prosrc"]],
        )
        for row in rows
    }


@cache
def operator_facts() -> list[OperatorFact]:
    """pg_operator."""
    columns, rows = load_rows("pg_operator")
    at = {name: index for index, name in enumerate(columns)}
    names = ("oid", "oprname", "oprleft", "oprright", "oprresult", "oprcom", "oprnegate", "oprcode")
    return [OperatorFact(*(row[at[name]] for name in names)) for row in rows]


@cache
def cast_facts() -> dict[tuple[int, int], CastFact]:
    """pg_cast by (source, target)."""
    columns, rows = load_rows("pg_cast")
    at = {name: index for index, name in enumerate(columns)}
    names = ("castsource", "casttarget", "castfunc", "castcontext", "castmethod")
    facts = (CastFact(*(row[at[name]] for name in names)) for row in rows)
    return {(fact.source, fact.target): fact for fact in facts}


def signature(procedure: ProcedureFact) -> str:
    """How `functions/registry.py` names a procedure: "int4pl(int4,int4)"."""
    types = type_facts()
    return f"{procedure.name}({','.join(types[argument].name for argument in procedure.arguments)})"
