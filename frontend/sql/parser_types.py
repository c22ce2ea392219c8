"""Types: SQL's own names with their several words, and any other name with modifiers and array brackets."""

from __future__ import annotations

from frontend.errors import SqlError
from frontend.sql.parser_cursor import TYPE_FUNCTION_NAMES, Cursor
from frontend.sql.syntax import Constant, Expression, TypeName

# keywords that are types of their own in the grammar → the catalogue's name
SIMPLE_TYPES = {
    "int": "int4",
    "integer": "int4",
    "smallint": "int2",
    "bigint": "int8",
    "real": "float4",
    "boolean": "bool",
}
TYPE_KEYWORDS = frozenset(
    (*SIMPLE_TYPES, "float", "double", "decimal", "dec", "numeric", "bit", "character", "char", "varchar", "national")
) | {"nchar", "timestamp", "time", "interval"}
TYPE_CONTINUATIONS = {
    "double": ("precision",),
    "national": ("character", "char"),
    "bit": ("varying",),
    "character": ("varying",),
    "char": ("varying",),
    "nchar": ("varying",),
    "timestamp": ("with", "without"),
    "time": ("with", "without"),
}
INTERVAL_FIELDS: dict[str, tuple[str, ...]] = {
    "year": ("month",),
    "month": (),
    "day": ("hour", "minute", "second"),
    "hour": ("minute", "second"),
    "minute": ("second",),
    "second": (),
}


class TypeParser(Cursor):
    """Types."""

    __slots__ = ()

    def type_name(self) -> TypeName:
        """Typename: with SETOF and array bounds."""
        position = self.position
        setof = self.accept("setof")
        name = self.simple_type()
        name.setof = setof
        name.position = position
        if self.type == "[" or self.type == "array":
            if self.accept("array"):
                if self.accept("["):
                    name.dimensions = [self.integer()]
                    self.expect("]")
                else:
                    name.dimensions = [-1]
            else:
                dimensions = []
                while self.accept("["):
                    dimensions.append(-1 if self.type == "]" else self.integer())
                    self.expect("]")
                name.dimensions = dimensions
        return name

    def simple_type(self) -> TypeName:
        """SimpleTypename."""
        kind = self.type
        position = self.position
        if kind not in TYPE_KEYWORDS:
            return self.generic_type(position)
        self.advance()
        name = TypeName(["pg_catalog", kind], position=position)
        if kind in SIMPLE_TYPES:
            name.names[1] = SIMPLE_TYPES[kind]
        elif kind == "float":
            name.names[1] = "float8"
            if self.accept("("):
                bits_position = self.position
                bits = self.integer()
                self.expect(")")
                if not 1 <= bits <= 53:
                    limit = "precision for type float must be at least 1 bit"
                    if bits > 53:
                        limit = "precision for type float must be less than 54 bits"
                    raise SqlError("22023", limit, position=bits_position)
                if bits < 25:
                    name.names[1] = "float4"
        elif kind == "double":
            if self.type != "precision":
                self.move(self.index - 1)
                return self.generic_type(position)
            self.advance()
            name.names[1] = "float8"
        elif kind in ("decimal", "dec", "numeric"):
            name.names[1] = "numeric"
            name.modifiers = self.modifiers()
        elif kind == "bit":
            varying = self.accept("varying")
            name.names[1] = "varbit" if varying else "bit"
            name.modifiers = self.modifiers()
            if not name.modifiers and not varying:
                name.modifiers = [Constant("integer", "1")]
        elif kind in ("character", "char", "varchar", "national", "nchar"):
            if kind == "national":
                self.one_of("character", "char")
            varying = kind == "varchar" or self.accept("varying")
            name.names[1] = "varchar" if varying else "bpchar"
            if self.accept("("):
                start = self.position
                name.modifiers = [Constant("integer", str(self.integer()), position=start)]
                self.expect(")")
            elif not varying:
                name.modifiers = [Constant("integer", "1")]
        elif kind == "interval":
            if self.accept("("):
                start = self.position
                name.modifiers = [Constant("integer", str(self.integer()), position=start)]
                self.expect(")")
            else:
                name.interval_fields = self.interval_fields(name.modifiers)
        else:  # time, timestamp
            if self.accept("("):
                start = self.position
                name.modifiers = [Constant("integer", str(self.integer()), position=start)]
                self.expect(")")
            if self.type in ("with", "without") and self.ahead() == "time":
                if self.type == "with":
                    name.names[1] = kind + "tz"
                self.advance()
                self.expect("time", "zone")
        return name

    def generic_type(self, position: int) -> TypeName:
        first_type = self.type
        if first_type not in TYPE_FUNCTION_NAMES:
            raise self.error()
        names = [self.values[self.index]]
        self.advance()
        while self.type == ".":
            self.advance()
            names.append(self.label())
        return TypeName(names, self.modifiers(), position=position)

    def modifiers(self) -> list[Expression]:
        if self.type != "(":
            return []
        self.advance()
        lifting, self.lifting = self.lifting, False
        result = self.expressions()
        self.lifting = lifting
        self.expect(")")
        return result

    def interval_fields(self, modifiers: list[Expression]) -> str | None:
        """YEAR, DAY TO SECOND(3) …: the words; a precision goes to `modifiers`."""
        first = self.type
        if first not in INTERVAL_FIELDS:
            return None
        self.advance()
        words = first
        last = first
        if self.type == "to" and INTERVAL_FIELDS[first]:
            self.advance()
            last = self.one_of(*INTERVAL_FIELDS[first])
            words = f"{first} to {last}"
        if last == "second" and self.accept("("):
            start = self.position
            modifiers.append(Constant("integer", str(self.integer()), position=start))
            self.expect(")")
        return words
