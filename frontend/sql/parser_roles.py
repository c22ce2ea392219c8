"""Roles and privileges: CREATE, ALTER and DROP ROLE, GRANT, REVOKE, default privileges, ownership."""

from __future__ import annotations

from typing import Literal

from frontend.errors import SqlError
from frontend.sql import syntax
from frontend.sql import syntax_commands as commands
from frontend.sql.parser_cursor import COLUMN_NAMES, LABELS
from frontend.sql.parser_objects import ObjectParser

ROLE_FLAGS = {
    "superuser": ("superuser", "true"),
    "nosuperuser": ("superuser", "false"),
    "createrole": ("createrole", "true"),
    "nocreaterole": ("createrole", "false"),
    "replication": ("replication", "true"),
    "noreplication": ("replication", "false"),
    "createdb": ("createdb", "true"),
    "nocreatedb": ("createdb", "false"),
    "login": ("login", "true"),
    "nologin": ("login", "false"),
    "bypassrls": ("bypassrls", "true"),
    "nobypassrls": ("bypassrls", "false"),
    "noinherit": ("inherit", "false"),
}
# object kinds of GRANT … ON: words → kind, and how the objects are named
GRANT_KINDS = {
    ("table",): "table",
    ("sequence",): "sequence",
    ("foreign", "data", "wrapper"): "foreign data wrapper",
    ("foreign", "server"): "foreign server",
    ("function",): "function",
    ("procedure",): "procedure",
    ("routine",): "routine",
    ("database",): "database",
    ("domain",): "domain",
    ("language",): "language",
    ("large", "object"): "large object",
    ("parameter",): "parameter",
    ("schema",): "schema",
    ("tablespace",): "tablespace",
    ("type",): "type",
}
RESERVED_AFTER_OBJECTS = {"to", "from"}  # GRANT … ON sequence TO …: a table of that name
ALL_IN_SCHEMA = {
    "tables": "table",
    "sequences": "sequence",
    "functions": "function",
    "procedures": "procedure",
    "routines": "routine",
}


class RoleParser(ObjectParser):
    """Statements about roles."""

    __slots__ = ()

    def create_role(self, position: int) -> commands.CreateRole:
        kind: Literal["role", "user", "group"] = (
            "role" if self.type == "role" else "user" if self.type == "user" else "group"
        )
        self.advance()
        role = self.role()
        if role.kind != "name":
            word = role.kind if role.kind != "public" else "public"
            if role.kind == "public":
                raise SqlError("42939", f'role name "{word}" is reserved', position=role.position)
            raise SqlError("42939", f"{word.upper()} cannot be used as a role name here", position=role.position)
        self.accept("with")
        result = commands.CreateRole(kind, role.name, position=position)
        while (option := self.role_option(creating=True)) is not None:
            result.options.append(option)
        return result

    def role_option(self, *, creating: bool) -> syntax.Option | None:
        position = self.position
        word = self.type
        if word == "password":
            self.advance()
            if self.accept("null"):
                return syntax.Option("password", None, position=position)
            return syntax.Option("password", self.string(), position=position)
        if word in ("encrypted", "unencrypted"):
            self.advance()
            self.expect("password")
            if word == "unencrypted":
                raise SqlError(
                    "0A000",
                    "UNENCRYPTED PASSWORD is no longer supported",
                    hint="Remove UNENCRYPTED to store the password in encrypted form instead.",
                    position=position,
                )
            return syntax.Option("password", self.string(), position=position)
        if word == "inherit":
            self.advance()
            return syntax.Option("inherit", "true", position=position)
        if word == "connection":
            self.expect("connection", "limit")
            return syntax.Option("connection limit", str(self.signed_integer()), position=position)
        if word == "valid":
            self.expect("valid", "until")
            return syntax.Option("valid until", self.string(), position=position)
        if word == "user":
            self.advance()
            return syntax.Option("role", self.role_names(), position=position)
        if word == "IDENT":
            name = self.values[self.index]
            if name in ROLE_FLAGS:
                self.advance()
                flag, value = ROLE_FLAGS[name]
                return syntax.Option(flag, value, position=position)
            raise SqlError("42601", f'unrecognized role option "{name}"', position=position)
        if creating:
            if word == "sysid":
                self.advance()
                return syntax.Option("sysid", str(self.integer()), position=position)
            if word in ("admin", "role"):
                self.advance()
                return syntax.Option(word, self.role_names(), position=position)
            if word == "in":
                self.advance()
                self.one_of("role", "group")
                return syntax.Option("in role", self.role_names(), position=position)
        return None

    def role_names(self) -> list[str]:
        return [role.name if role.kind == "name" else role.kind for role in self.roles()]

    def alter_role(self, position: int) -> syntax.Statement:
        group = self.type == "group"
        self.advance()
        if self.type == "all" and not group:
            self.advance()
            return self.role_setting(None, position)
        role = self.role()
        if self.type == "rename":
            self.expect("rename", "to")
            return commands.Rename("role", self.non_reserved_word(), names=[role.name], position=position)
        if group:
            add = self.one_of("add", "drop") == "add"
            self.expect("user")
            start = self.position
            members = syntax.Option("role", self.role_names(), position=start)
            return commands.AlterRole(role, [members], add, position=position)
        if self.type in ("in", "set", "reset"):
            return self.role_setting(role, position)
        self.accept("with")
        result = commands.AlterRole(role, [], position=position)
        while (option := self.role_option(creating=False)) is not None:
            result.options.append(option)
        return result

    def role_setting(self, role: commands.RoleName | None, position: int) -> commands.AlterRoleSetting:
        database = None
        if self.accept("in"):
            self.expect("database")
            database = self.name()
        return commands.AlterRoleSetting(role, database, self.set_or_reset(), position=position)

    def variable_name(self) -> str:
        raise NotImplementedError

    def set_or_reset(self) -> commands.Set | commands.Reset:
        raise NotImplementedError

    def reassign(self) -> commands.ReassignOwned:
        position = self.position
        self.expect("reassign", "owned", "by")
        roles = self.roles()
        self.expect("to")
        return commands.ReassignOwned(roles, self.role(), position=position)

    # --------------------------------------------------------------------------------------------- GRANT and REVOKE

    def grant(self) -> syntax.Statement:
        position = self.position
        self.expect("grant")
        privileges = self.privileges()
        if self.type == "on":
            result = self.grant_on(True, privileges, position)
            self.expect("to")
            result.grantees = self.grantees()
            if self.type == "with":
                self.expect("with", "grant", "option")
                result.grant_option = True
            result.granted_by = self.granted_by()
            return result
        if not privileges or privileges[0].name is None:
            raise self.error()
        self.expect("to")
        role_grant = commands.GrantRole(True, self.role_privileges(privileges), self.roles(), position=position)
        if self.accept("with"):
            role_grant.options.append(self.role_grant_option())
            while self.accept(","):
                role_grant.options.append(self.role_grant_option())
        role_grant.granted_by = self.granted_by()
        return role_grant

    def role_grant_option(self) -> syntax.Option:
        position = self.position
        name = self.label()
        if self.accept("option"):
            value = "true"
        else:
            value = self.one_of("true", "false")
        return syntax.Option(name, value, position=position)

    def revoke(self) -> syntax.Statement:
        position = self.position
        self.expect("revoke")
        option_for = None
        if self.type in COLUMN_NAMES and self.ahead() == "option":
            option_for = self.label()
            self.expect("option", "for")
        elif self.type == "grant":
            self.expect("grant", "option", "for")
            option_for = "grant"
        privileges = self.privileges()
        if self.type == "on":
            result = self.grant_on(False, privileges, position)
            self.expect("from")
            result.grantees = self.grantees()
            result.grant_option = option_for is not None
            result.granted_by = self.granted_by()
            result.cascade = self.cascade()
            return result
        if not privileges or privileges[0].name is None:
            raise self.error()
        self.expect("from")
        role_grant = commands.GrantRole(False, self.role_privileges(privileges), self.roles(), position=position)
        if option_for is not None:
            role_grant.options.append(syntax.Option(option_for, "false", position=position))
        role_grant.granted_by = self.granted_by()
        role_grant.cascade = self.cascade()
        return role_grant

    def privileges(self) -> list[commands.Privilege]:
        """ALL [PRIVILEGES] [(columns)], or a list; [] is ALL without columns."""
        position = self.position
        if self.accept("all"):
            self.accept("privileges")
            if self.type == "(":
                return [commands.Privilege(None, self.names_in_parentheses(), position=position)]
            return []
        result = [self.privilege()]
        while self.accept(","):
            result.append(self.privilege())
        return result

    def privilege(self) -> commands.Privilege:
        position = self.position
        if self.type == "alter":
            self.expect("alter", "system")
            return commands.Privilege("alter system", position=position)
        if self.type in ("select", "references", "create"):
            name = self.type
            self.advance()
        else:
            name = self.name()
        columns = self.names_in_parentheses() if self.type == "(" else []
        return commands.Privilege(name, columns, position=position)

    def role_privileges(self, privileges: list[commands.Privilege]) -> list[str]:
        """The names of GRANT role TO …"""
        names = []
        for privilege in privileges:
            if privilege.columns or privilege.name is None:
                raise SqlError(
                    "0LP01", "column names cannot be included in GRANT/REVOKE ROLE", position=privilege.position
                )
            names.append(privilege.name)
        return names

    def grant_on(self, grant: bool, privileges: list[commands.Privilege], position: int) -> commands.Grant:
        self.expect("on")
        result = commands.Grant(grant, privileges, "table", [], position=position)
        if self.accept("all"):
            result.object_kind = ALL_IN_SCHEMA[self.one_of(*ALL_IN_SCHEMA)]
            self.expect("in", "schema")
            result.all_in_schema = True
            result.objects = [[name] for name in self.names()]
            return result
        kind = None
        if self.type in ("table", "foreign") or self.ahead() in LABELS - RESERVED_AFTER_OBJECTS:
            kind = self.words(GRANT_KINDS, strict=self.type == "foreign")
        if kind in ("function", "procedure", "routine"):
            result.object_kind = kind
            result.functions = [self.function_signature()]
            while self.accept(","):
                result.functions.append(self.function_signature())
        elif kind == "parameter":
            result.object_kind = kind
            result.objects = [[self.variable_name()]]
            while self.accept(","):
                result.objects.append([self.variable_name()])
        elif kind == "large object":
            result.object_kind = kind
            result.objects = [[self.number_text()]]
            while self.accept(","):
                result.objects.append([self.number_text()])
        elif kind in (None, "table", "sequence"):
            result.object_kind = kind or "table"
            for relation in self.relations():
                parts = (relation.catalog, relation.schema, relation.name)
                result.objects.append([part for part in parts if part is not None])
        else:
            result.object_kind = kind
            result.objects = self.qualified_names()
        return result

    def grantees(self) -> list[commands.RoleName]:
        self.accept("group")
        result = [self.role()]
        while self.accept(","):
            self.accept("group")
            result.append(self.role())
        return result

    def granted_by(self) -> commands.RoleName | None:
        if self.type == "granted":
            self.expect("granted", "by")
            return self.role()
        return None

    def alter_default_privileges(self, position: int) -> commands.AlterDefaultPrivileges:
        self.expect("default", "privileges")
        roles: list[commands.RoleName] = []
        schemas: list[str] = []
        while self.type in ("in", "for"):
            if self.accept("in"):
                self.expect("schema")
                schemas += self.names()
            else:
                self.expect("for")
                self.one_of("role", "user")
                roles += self.roles()
        start = self.position
        grant = self.one_of("grant", "revoke") == "grant"
        grant_option = False
        if not grant and self.type == "grant":
            self.expect("grant", "option", "for")
            grant_option = True
        privileges = self.privileges()
        self.expect("on")
        kinds = {**ALL_IN_SCHEMA, "types": "type", "schemas": "schema"}
        del kinds["procedures"]
        action = commands.Grant(grant, privileges, kinds[self.one_of(*kinds)], [], position=start)
        self.expect("to" if grant else "from")
        action.grantees = self.grantees()
        if grant:
            if self.type == "with":
                self.expect("with", "grant", "option")
                grant_option = True
        else:
            action.cascade = self.cascade()
        action.grant_option = grant_option
        return commands.AlterDefaultPrivileges(roles, schemas, action, position=position)
