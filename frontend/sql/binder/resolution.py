"""Which function or operator a call means: PostgreSQL's overload resolution over its own pg_proc and pg_operator.

The steps are those of "Type Conversion" in PostgreSQL's manual (chapter 10.2 and 10.3): an exact match wins; else the
candidates that the arguments convert to implicitly are narrowed by the number of exact matches, then by preferred types,
then by the category that the literals of unknown type may have, and at last by giving those the type of the known ones.

Results for built-in argument types never change, so they are remembered per (name, types): the second resolution of
`integer = integer` is one dictionary look-up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from frontend.errors import SqlError
from frontend.functions.catalogue import (
    Operator,
    Proc,
    operator_named,
    operators_by_name,
    proc_by_oid,
    procs_by_name,
)
from frontend.sql.binder.coercion import can_coerce
from frontend.sql.binder.polymorphism import unify
from frontend.sql.binder.statement import StatementBinding
from frontend.types import oids
from frontend.types.facts import type_facts


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to call an entry: the types it takes for the arguments as given.

    Attributes:
        arguments: declared types, one an actual argument.
        variadic_count: how many of the last arguments are gathered into the variadic array.
        order: for named notation, the parameter position of each actual argument; None for positional.
    """

    proc: Proc
    arguments: tuple[int, ...]
    variadic_count: int = 0
    order: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class ResolvedOperator:
    """An operator for given operand types: what to convert the operands to (`arguments`, one for prefix) and the result."""

    operator: Operator
    proc: Proc
    arguments: tuple[int, ...]
    result: int


Choice = TypeVar("Choice")


# ── operators ───────────────────────────────────────────────────────────────────────────────────────────────────────

_operator_cache: dict[tuple[str, int, int], ResolvedOperator] = {}


def resolve_operator(
    binding: StatementBinding, name: str, left: int, right: int, position: int, schema: str | None = None
) -> ResolvedOperator:
    """The operator for these operand types (left 0 for prefix). 42883 where there is none, 42725 where several fit."""
    key = (name, left, right)
    known = _operator_cache.get(key)
    if known is not None and schema in (None, "pg_catalog"):
        return known
    result = None
    if schema in (None, "pg_catalog"):
        result = find_operator(binding, name, left, right, position)
    if result is None:
        types = binding.types
        shown = f"{schema}.{name}" if schema else name
        signature = f"{types.name(left)} {shown} {types.name(right)}" if left else f"{shown} {types.name(right)}"
        hint = (
            "No operator matches the given name and argument types. You might need to add explicit type casts."
            if left
            else "No operator matches the given name and argument type. You might need to add an explicit type cast."
        )
        raise SqlError("42883", f"operator does not exist: {signature}", hint=hint, position=position or None)
    return result


def find_operator(
    binding: StatementBinding, name: str, left: int, right: int, position: int = 0
) -> ResolvedOperator | None:
    """The operator for these operand types, or None. 42725 where several fit equally well."""
    key = (name, left, right)
    known = _operator_cache.get(key)
    if known is not None:
        return known
    chosen = _exact_operator(name, left, right)
    if chosen is None:
        chosen = _best_operator(binding, name, left, right, position)
    if chosen is None:
        return None
    if chosen.function == 0:
        raise SqlError("42883", f"operator is only a shell: {name}", position=position or None)
    declared = (chosen.left, chosen.right) if left else (chosen.right,)
    actual = (left, right) if left else (right,)
    arguments, result = unify(binding, actual, declared, chosen.result)
    resolved = ResolvedOperator(chosen, proc_by_oid(chosen.function), tuple(arguments), result)
    facts = type_facts()
    if (left == 0 or left in facts) and right in facts:
        _operator_cache[key] = resolved
    return resolved


def _exact_operator(name: str, left: int, right: int) -> Operator | None:
    if left:
        if left == oids.UNKNOWN:
            left = right
        elif right == oids.UNKNOWN:
            right = left
    return operator_named(name, left, right)


def _best_operator(binding: StatementBinding, name: str, left: int, right: int, position: int) -> Operator | None:
    given = (left, right) if left else (right,)
    matching = [
        (operator, wanted)
        for operator in operators_by_name(name)
        if bool(operator.left) == bool(left)
        and _matches(
            binding, given, wanted := (operator.left, operator.right) if left else (operator.right,), operator.result
        )
    ]
    if not matching:
        return None
    chosen = select_candidate(binding, given, matching)
    if chosen is None:
        types = binding.types
        signature = f"{types.name(left)} {name} {types.name(right)}" if left else f"{name} {types.name(right)}"
        raise SqlError(
            "42725",
            f"operator is not unique: {signature}",
            hint="Could not choose a best candidate operator. You might need to add explicit type casts.",
            position=position or None,
        )
    return chosen


def _matches(binding: StatementBinding, given: Sequence[int], wanted: Sequence[int], result: int) -> bool:
    for source, target in zip(given, wanted, strict=True):
        if not can_coerce(binding, source, target, "i"):
            return False
    try:
        concrete, _ = unify(binding, given, wanted, oids.VOID, deciding=True)
    except SqlError:
        return False
    return all(
        source == oids.UNKNOWN or can_coerce(binding, source, target, "i")
        for source, target in zip(given, concrete, strict=True)
    )


def select_candidate(
    binding: StatementBinding, given: Sequence[int], candidates: Sequence[tuple[Choice, Sequence[int]]]
) -> Choice | None:
    """The best of several (choice, declared types) that all match, or None where PostgreSQL finds none the best."""
    types = binding.types
    remaining = list(candidates)
    if len(remaining) == 1:
        return remaining[0][0]
    unknown = [place for place, oid in enumerate(given) if oid == oids.UNKNOWN]
    known = [place for place, oid in enumerate(given) if oid != oids.UNKNOWN]

    def keep_best(score: list[int]) -> None:
        best = max(score)
        remaining[:] = [item for item, points in zip(remaining, score, strict=True) if points == best]

    keep_best([sum(wanted[place] == given[place] for place in known) for _, wanted in remaining])
    if len(remaining) == 1:
        return remaining[0][0]
    category = {place: types.category(given[place]) for place in known}

    def is_preferred(oid: int, wanted_category: str) -> bool:
        return types.category(oid) == wanted_category and types.preferred(oid)

    keep_best(
        [
            sum(wanted[place] == given[place] or is_preferred(wanted[place], category[place]) for place in known)
            for _, wanted in remaining
        ]
    )
    if len(remaining) == 1:
        return remaining[0][0]
    if not unknown:
        return None
    narrowed = _narrow_by_category(binding, unknown, remaining)
    if narrowed:
        remaining = narrowed
        if len(remaining) == 1:
            return remaining[0][0]
    known_types = {given[place] for place in known}
    if len(known_types) == 1:
        only = known_types.pop()
        fitting = [item for item in remaining if all(can_coerce(binding, only, wanted, "i") for wanted in item[1])]
        if len(fitting) == 1:
            return fitting[0][0]
    return None


def _narrow_by_category(
    binding: StatementBinding, unknown: Sequence[int], candidates: Sequence[tuple[Choice, Sequence[int]]]
) -> list[tuple[Choice, Sequence[int]]]:
    types = binding.types
    chosen: dict[int, tuple[str, bool]] = {}
    for place in unknown:
        category, has_preferred, conflict = "", False, False
        for _, wanted in candidates:
            other = types.category(wanted[place])
            preferred = types.preferred(wanted[place])
            if not category:
                category, has_preferred = other, preferred
            elif other == category:
                has_preferred = has_preferred or preferred
            elif other == "S":
                category, has_preferred = other, preferred
            else:
                conflict = True
        if conflict and category != "S":
            return []
        chosen[place] = (category, has_preferred)
    return [
        item
        for item in candidates
        if all(
            types.category(item[1][place]) == category and (not has_preferred or types.preferred(item[1][place]))
            for place, (category, has_preferred) in chosen.items()
        )
    ]


# ── functions ───────────────────────────────────────────────────────────────────────────────────────────────────────

_function_cache: dict[tuple[str, tuple[int, ...], bool], Candidate] = {}


def find_function(
    binding: StatementBinding,
    names: Sequence[str],
    given: Sequence[int],
    argument_names: Sequence[str] = (),
    variadic: bool = False,
    position: int = 0,
) -> Candidate | None:
    """The pg_catalog function that a call means, or None. 42725 where several fit equally well."""
    name = names[-1]
    key = (name, tuple(given), variadic)
    if not argument_names:
        known = _function_cache.get(key)
        if known is not None:
            return known
    candidates = _candidates(name, len(given), argument_names, variadic)
    chosen = next((item for item in candidates if item.arguments == tuple(given)), None)
    if chosen is None:
        matching = [
            (item, item.arguments)
            for item in candidates
            if _matches(binding, given, item.arguments, item.proc.result_type)
        ]
        if not matching:
            return None
        chosen = select_candidate(binding, given, matching)
        if chosen is None:
            raise ambiguous_function(binding, names, given, argument_names, position)
    facts = type_facts()
    if not argument_names and all(oid in facts for oid in given):
        _function_cache[key] = chosen
    return chosen


def exact_function(name: str, given: Sequence[int]) -> bool:
    """Whether there is a function with exactly these argument types."""
    return any(proc.argument_types == tuple(given) for proc in procs_by_name(name))


def _candidates(name: str, count: int, argument_names: Sequence[str], variadic: bool) -> list[Candidate]:
    found: dict[tuple[int, ...], Candidate] = {}
    for proc in procs_by_name(name):
        candidate = (
            _named_candidate(proc, count, argument_names)
            if argument_names
            else _positional_candidate(proc, count, variadic)
        )
        if candidate is None:
            continue
        rival = found.get(candidate.arguments)
        if rival is None or _better(candidate, rival):
            found[candidate.arguments] = candidate
    return list(found.values())


def _better(one: Candidate, other: Candidate) -> bool:
    """Of two with the same argument types: not variadic before variadic, fewer defaults before more."""
    if bool(one.variadic_count) != bool(other.variadic_count):
        return not one.variadic_count
    return one.proc.argument_count < other.proc.argument_count


def _positional_candidate(proc: Proc, count: int, variadic: bool) -> Candidate | None:
    wanted = proc.argument_types
    if proc.variadic and not variadic and count >= proc.argument_count:
        extra = count - proc.argument_count + 1
        return Candidate(proc, (*wanted[:-1], *[proc.variadic] * extra), extra)
    if variadic and not proc.variadic:
        return None
    if count == proc.argument_count:
        return Candidate(proc, wanted)
    if proc.argument_count - proc.default_count <= count < proc.argument_count:
        return Candidate(proc, wanted[:count])
    return None


def _named_candidate(proc: Proc, count: int, argument_names: Sequence[str]) -> Candidate | None:
    """Named notation: the positional arguments first, then each name in its place, defaults for the rest."""
    if proc.argument_names is None or count > proc.argument_count:
        return None
    modes = proc.argument_modes or ("i",) * proc.argument_count
    inputs = [name for name, mode in zip(proc.argument_names, modes, strict=False) if mode in "ibv"]
    positional = count - len(argument_names)
    order = list(range(positional))
    for name in argument_names:
        if name not in inputs or inputs.index(name) in order:
            return None
        order.append(inputs.index(name))
    first_default = proc.argument_count - proc.default_count
    if any(place not in order and place < first_default for place in range(proc.argument_count)):
        return None
    return Candidate(proc, tuple(proc.argument_types[place] for place in order), 0, tuple(order))


def call_signature(
    binding: StatementBinding, names: Sequence[str], given: Sequence[int], argument_names: Sequence[str]
) -> str:
    """name(type, …) as messages show a call."""
    shown = [binding.types.name(oid) for oid in given]
    first_named = len(given) - len(argument_names)
    for place, name in enumerate(argument_names):
        shown[first_named + place] = f"{name} => {shown[first_named + place]}"
    return f"{'.'.join(names)}({', '.join(shown)})"


def missing_function(
    binding: StatementBinding,
    names: Sequence[str],
    given: Sequence[int],
    argument_names: Sequence[str],
    position: int,
) -> SqlError:
    """42883 for a call that no function fits."""
    return SqlError(
        "42883",
        f"function {call_signature(binding, names, given, argument_names)} does not exist",
        hint="No function matches the given name and argument types. You might need to add explicit type casts.",
        position=position or None,
    )


def ambiguous_function(
    binding: StatementBinding,
    names: Sequence[str],
    given: Sequence[int],
    argument_names: Sequence[str],
    position: int,
) -> SqlError:
    """42725 for a call that several functions fit equally well."""
    return SqlError(
        "42725",
        f"function {call_signature(binding, names, given, argument_names)} is not unique",
        hint="Could not choose a best candidate function. You might need to add explicit type casts.",
        position=position or None,
    )
