"""Goal: visibility and comments follow the search path and pg_description; context functions ask the session.

Method: a catalog with one table that hides another of the same name, examined directly.
"""

from __future__ import annotations

from typing import cast

import pytest

from frontend.context import Context
from frontend.errors import SqlError
from frontend.functions import catalog_information, information
from frontend.system.registry import VirtualRelation
from storage.catalog import PUBLIC_OID, CatalogObject, Column, Schema, Table, bootstrap_catalog
from tests.frontend.functions.comparison import SessionDouble


def _context(search_path: tuple[str, ...] = ("pg_catalog", "front", "public")) -> Context:
    session = SessionDouble()
    column = Column(number=1, name="id", type=23)
    changed: dict[int, CatalogObject | None] = {
        20000: Schema(oid=20000, name="front"),
        20001: Table(oid=20001, name="t", schema=PUBLIC_OID, storage=1000, columns=(column,)),
        20002: Table(oid=20002, name="t", schema=20000, storage=1001, columns=(column,)),
        20003: Table(oid=20003, name="pg_class", schema=PUBLIC_OID, storage=1002, columns=(column,)),
    }
    session.catalog = bootstrap_catalog().replace(changed, 1)  # type: ignore[attr-defined]
    session.search_path = search_path  # type: ignore[assignment]
    return cast(Context, session)


def test_tables_hide_one_another() -> None:
    context = _context()
    visible = {oid: catalog_information.pg_table_is_visible(context, oid) for oid in (20001, 20002, 20003, 1259, 77777)}
    assert visible == {20001: False, 20002: True, 20003: False, 1259: True, 77777: None}
    assert catalog_information.pg_table_is_visible(_context(("public", "pg_catalog")), 20003) is True


def test_types_and_functions_are_visible() -> None:
    context = _context()
    assert catalog_information.pg_type_is_visible(context, 23) is True
    assert catalog_information.pg_type_is_visible(context, 99999) is None


def test_comments(monkeypatch: pytest.MonkeyPatch) -> None:
    context = _context()
    rows = [(20001, 1259, 0, "the table"), (20001, 1259, 1, "the column"), (10, 1260, 0, "the role")]

    def lookup(self: VirtualRelation, position: int, value: object, context: Context) -> list[tuple[object, ...]]:
        return [row for row in rows if row[position] == value]

    monkeypatch.setattr(VirtualRelation, "lookup", lookup)
    assert catalog_information.obj_description(context, 20001, "pg_class") == "the table"
    assert catalog_information.obj_description_any(context, 20001) == "the table"
    assert catalog_information.obj_description(context, 20001, "pg_proc") is None
    assert catalog_information.col_description(context, 20001, 1) == "the column"
    assert catalog_information.col_description(context, 20001, 2) is None


def test_session() -> None:
    context = _context()
    assert information.current_schema(context) == "front"
    assert information.current_schemas(context, True) == ["pg_catalog", "front", "public"]
    assert information.current_schemas(context, False) == ["front", "public"]
    assert information.pg_get_userbyid(context, 10) == "postgres"
    assert information.pg_get_userbyid(context, 4242) == "unknown (OID=4242)"
    assert information.current_setting(context, "nope", True) is None
    with pytest.raises(SqlError, match="unrecognized configuration parameter"):
        information.current_setting(context, "nope")
    assert information.set_config(context, "x.y", "1", False) == "1"
    assert information.current_setting(context, "x.y") == "1"
