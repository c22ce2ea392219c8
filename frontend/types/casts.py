"""Casts: how a value of one type becomes a value of another, and where that may happen unasked.

`find_cast` follows PostgreSQL: an entry of pg_cast, else arrays by their elements, else through the text form (to string
types in assignments, from string types when explicit). Literals of unknown type are read by the target's input function
anywhere. A `CastPath` carries the conversion in the same form as a registered function, so that the plan compiler treats
both alike; lengths and precisions (typmod) are a second step, `typmod_cast`.

    method      what runs
    binary      nothing: both types hold the same Python value (or a mask, between int4 and the unsigned oid)
    function    the pg_proc entry named by `signature`
    io          the source's output, then the target's input
    array       the element's cast, for each element
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from frontend.context import Context
from frontend.errors import unsupported
from frontend.functions import catalogue
from frontend.functions.registry import SCALARS, ScalarImplementation
from frontend.types import oids
from frontend.types.arrays import VECTOR_ELEMENTS, map_elements
from frontend.types.facts import TypeFact, type_facts
from frontend.types.registry import is_array, sql_name, type_by_oid

CastContext = Literal["implicit", "assignment", "explicit", "i", "a", "e"]
_RANK = {"implicit": 0, "assignment": 1, "explicit": 2, "i": 0, "a": 1, "e": 2}

POLYMORPHIC_SIMPLE = frozenset(
    {oids.ANYELEMENT, oids.ANYARRAY, oids.ANYNONARRAY, oids.ANYENUM, oids.ANYRANGE, 4537}  # 4537 is anymultirange
)
POLYMORPHIC_COMMON = frozenset(
    {oids.ANYCOMPATIBLE, oids.ANYCOMPATIBLEARRAY, oids.ANYCOMPATIBLENONARRAY, oids.ANYCOMPATIBLERANGE, 4538}
)
POLYMORPHIC = POLYMORPHIC_SIMPLE | POLYMORPHIC_COMMON
_ANY_TYPE = frozenset({oids.ANY, oids.ANYELEMENT, oids.ANYCOMPATIBLE})
_ANY_ARRAY = frozenset({oids.ANYARRAY, oids.ANYCOMPATIBLEARRAY})
_ANY_NONARRAY = frozenset({oids.ANYNONARRAY, oids.ANYCOMPATIBLENONARRAY})
_UNSIGNED = frozenset({oids.OID, oids.XID, oids.CID}) | frozenset(
    oid for oid in oids.INTEGER_LIKE_TYPES if oid not in (oids.INT2, oids.INT4, oids.INT8)
)


@dataclass(frozen=True, slots=True)
class CastPath:
    """One conversion.

    Attributes:
        context: the least that it asks for: i implicit, a assignment, e explicit.
        signature: of the function, where `method` is "function".
        element: the elements' cast, where `method` is "array".
    """

    source: int
    target: int
    method: Literal["binary", "function", "io", "array"]
    context: str
    signature: str | None = None
    element: CastPath | None = None

    @property
    def implementation(self) -> ScalarImplementation:
        """What runs: a strict function of one argument. 0A000 where Boreal does not have the function."""
        return cast_implementation(self)


def category(oid: int) -> str:
    """typcategory; C for the row types of tables, which are not built in."""
    fact = type_facts().get(oid)
    return "C" if fact is None else fact.category


def is_preferred(oid: int) -> bool:
    """Whether resolution prefers the type within its category."""
    fact = type_facts().get(oid)
    return fact is not None and fact.preferred


def is_polymorphic(oid: int) -> bool:
    """anyelement and its kin."""
    return oid in POLYMORPHIC


def element_type(oid: int) -> int:
    """The element type of an array type (int2vector and oidvector included); 0 for others."""
    if oid in VECTOR_ELEMENTS:
        return VECTOR_ELEMENTS[oid]
    return type_facts()[oid].element if is_array(oid) else 0


def _fact(oid: int) -> TypeFact | None:
    return type_facts().get(oid)


def is_binary_coercible(source: int, target: int) -> bool:
    """Whether a value of `source` is a value of `target` as it stands."""
    if source == target or target in _ANY_TYPE:
        return True
    if target in _ANY_ARRAY:
        return element_type(source) != 0
    if target in _ANY_NONARRAY:
        return element_type(source) == 0
    if target == oids.RECORD:
        fact = _fact(source)
        return fact is None or fact.kind == "c"
    cast = catalogue.cast_between(source, target)
    return cast is not None and cast.method == "b" and cast.context == "i"


def find_cast(source: int, target: int, context: CastContext) -> CastPath | None:
    """The conversion that PostgreSQL would use in the given context, None where it would refuse."""
    path = _find(source, target)
    if path is not None and _RANK[path.context] <= _RANK[context]:
        return path
    return None


@cache
def _find(source: int, target: int) -> CastPath | None:
    if source == target:
        return CastPath(source, target, "binary", "i")
    cast = catalogue.cast_between(source, target)
    if cast is not None:
        if cast.method == "b":
            return CastPath(source, target, "binary", cast.context)
        if cast.method == "i":
            return CastPath(source, target, "io", cast.context)
        signature = catalogue.signature_of(catalogue.proc_by_oid(cast.function))
        return CastPath(source, target, "function", cast.context, signature)
    if source == oids.UNKNOWN:
        return CastPath(source, target, "io", "i")
    if is_binary_coercible(source, target):
        return CastPath(source, target, "binary", "i")
    source_element, target_element = element_type(source), element_type(target)
    if source_element and target_element and target not in VECTOR_ELEMENTS:
        element = _find(source_element, target_element)
        if element is not None:
            return CastPath(source, target, "array", element.context, element=element)
        return None
    if category(target) == "S":
        return CastPath(source, target, "io", "a")
    if category(source) == "S":
        return CastPath(source, target, "io", "e")
    return None


def _identity(value: Any) -> Any:
    return value


def _to_unsigned(value: int) -> int:
    return value & 0xFFFFFFFF


def _to_signed(value: int) -> int:
    return (value ^ 0x80000000) - 0x80000000


@cache
def cast_implementation(path: CastPath) -> ScalarImplementation:
    """See `CastPath.implementation`."""
    if path.method == "binary":
        if path.source == oids.INT4 and path.target in _UNSIGNED:
            return ScalarImplementation(_to_unsigned, "({0} & 4294967295)")
        if path.target == oids.INT4 and path.source in _UNSIGNED:
            return ScalarImplementation(_to_signed, "(({0} ^ 2147483648) - 2147483648)")
        return ScalarImplementation(_identity, "{0}")
    if path.method == "function":
        assert path.signature is not None
        implementation = SCALARS.get(path.signature)
        if implementation is None:
            raise unsupported(f"cast from type {sql_name(path.source)} to type {sql_name(path.target)}")
        if path.source == oids.INT2 and path.target in _UNSIGNED:  # through int4, whose sign bit oid reads as a digit
            return ScalarImplementation(_to_unsigned, "({0} & 4294967295)")
        return implementation
    if path.method == "array":
        assert path.element is not None
        return _array_cast(cast_implementation(path.element))
    return _io_cast(path.source, path.target)


def _array_cast(element: ScalarImplementation) -> ScalarImplementation:
    if element.call is _identity:
        return ScalarImplementation(_identity, "{0}")
    call = element.call
    if element.context:

        def with_context(context: Context, value: list[Any]) -> list[Any]:
            return map_elements(lambda item: call(context, item), value)

        return ScalarImplementation(with_context, context=True)

    def without_context(value: list[Any]) -> list[Any]:
        return map_elements(call, value)

    return ScalarImplementation(without_context)


def _io_cast(source: int, target: int) -> ScalarImplementation:
    output, read = type_by_oid(source).output, type_by_oid(target).input
    if source in oids.STRING_TYPES and target in (oids.TEXT, oids.VARCHAR):
        return ScalarImplementation(_identity, "{0}")
    if target in (oids.TEXT, oids.VARCHAR, oids.UNKNOWN, oids.CSTRING):

        def write(context: Context, value: Any) -> str:
            return output(value, context)

        return ScalarImplementation(write, context=True)

    if source in (oids.TEXT, oids.VARCHAR, oids.UNKNOWN, oids.CSTRING):

        def parse(context: Context, value: str) -> Any:
            return read(value, -1, context)

        return ScalarImplementation(parse, context=True)

    def convert(context: Context, value: Any) -> Any:
        return read(output(value, context), -1, context)

    return ScalarImplementation(convert, context=True)


def typmod_cast(oid: int, typmod: int, explicit: bool) -> Callable[[Any], Any] | None:
    """The second step of a cast: fit a value to the type's modifier. None where there is nothing to do."""
    if typmod < 0:
        return None
    apply = type_by_oid(oid).apply_typmod
    return lambda value: apply(value, typmod, explicit)
