"""Goal: visibility and comments follow the search path and pg_description; context functions ask the session.

Method: a catalog with one table that hides another of the same name, examined directly.
"""

from __future__ import annotations

from typing import cast

import msgspec
import pytest

from frontend.context import Context
from frontend.errors import SqlError
from frontend.functions import catalog_information, information, load
from frontend.functions.registry import SCALARS
from frontend.system.registry import VirtualRelation
from storage.catalog import PUBLIC_OID, CatalogObject, Column, Role, Schema, Table, bootstrap_catalog
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
    session.catalog = bootstrap_catalog().replace(changed, 1)
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


def test_privileges() -> None:
    load()
    session = _context()
    catalog = session.catalog
    changed: dict[int, CatalogObject | None] = {
        30000: Role(oid=30000, name="group"),
        30001: Role(oid=30001, name="member", member_of=((30000, False),)),
        30002: Role(oid=30002, name="stranger"),
        20001: msgspec.structs.replace(catalog.table(20001), acl=((30000, 10, "rw*"),)),
    }
    cast(SessionDouble, session).catalog = catalog.replace(changed, 2)
    ask = SCALARS["has_table_privilege(name,oid,text)"].call
    assert ask(session, "member", 20001, "SELECT") is True
    assert ask(session, "member", 20001, "INSERT, update with grant option") is True
    assert ask(session, "member", 20001, "SELECT WITH GRANT OPTION") is False
    assert ask(session, "stranger", 20001, "SELECT") is False
    assert ask(session, "stranger", 1259, "SELECT") is True
    assert ask(session, "postgres", 20001, "DELETE") is True
    assert ask(session, "member", 4242, "SELECT") is None
    with pytest.raises(SqlError, match='role "nobody" does not exist'):
        ask(session, "nobody", 20001, "SELECT")
    with pytest.raises(SqlError, match='unrecognized privilege type: "FLY"'):
        ask(session, "member", 20001, "FLY")
    schema = SCALARS["has_schema_privilege(name,text,text)"].call
    assert schema(session, "stranger", "public", "USAGE") is True
    assert schema(session, "stranger", "public", "CREATE") is False
    assert schema(session, "stranger", "front", "USAGE") is False
    assert SCALARS["has_database_privilege(name,text,text)"].call(session, "stranger", "postgres", "CONNECT") is True
    column = SCALARS["has_column_privilege(name,oid,text,text)"].call
    assert column(session, "member", 20001, "id", "SELECT") is True
    with pytest.raises(SqlError, match='column "zz" of relation "t" does not exist'):
        column(session, "member", 20001, "zz", "SELECT")
    has_role = SCALARS["pg_has_role(name,name,text)"].call
    assert has_role(session, "member", "group", "USAGE") is True
    assert has_role(session, "stranger", "group", "MEMBER") is False
    assert has_role(session, "member", "group", "MEMBER WITH ADMIN OPTION") is False
