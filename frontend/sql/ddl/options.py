"""Storage parameters: WITH (…) of tables and indexes, kept and shown although most of them tune what Boreal does not have.

A parameter that PostgreSQL does not know is refused, and so is a value out of its range, so that a typing error is found
here as it would be there.
"""

from __future__ import annotations

from collections.abc import Sequence

from frontend.errors import SqlError
from frontend.settings import parse_boolean
from frontend.sql.syntax import Option

_BOOLEAN = "boolean"
_Range = tuple[float, float]

_AUTOVACUUM: dict[str, str | _Range] = {
    "autovacuum_enabled": _BOOLEAN,
    "autovacuum_vacuum_threshold": (0, 2**31 - 1),
    "autovacuum_vacuum_insert_threshold": (-1, 2**31 - 1),
    "autovacuum_analyze_threshold": (0, 2**31 - 1),
    "autovacuum_vacuum_cost_limit": (1, 10000),
    "autovacuum_vacuum_cost_delay": (0, 100),
    "autovacuum_vacuum_scale_factor": (0, 100),
    "autovacuum_vacuum_insert_scale_factor": (0, 100),
    "autovacuum_analyze_scale_factor": (0, 100),
    "autovacuum_freeze_min_age": (0, 10**9),
    "autovacuum_freeze_max_age": (10**5, 2 * 10**9),
    "autovacuum_freeze_table_age": (0, 2 * 10**9),
    "autovacuum_multixact_freeze_min_age": (0, 10**9),
    "autovacuum_multixact_freeze_max_age": (10**4, 2 * 10**9),
    "autovacuum_multixact_freeze_table_age": (0, 2 * 10**9),
    "log_autovacuum_min_duration": (-1, 2**31 - 1),
    "vacuum_truncate": _BOOLEAN,
}
TABLE_OPTIONS: dict[str, str | _Range] = {
    "fillfactor": (10, 100),
    "toast_tuple_target": (128, 8160),
    "parallel_workers": (0, 1024),
    "user_catalog_table": _BOOLEAN,
    "vacuum_index_cleanup": "auto",
    **_AUTOVACUUM,
}
INDEX_OPTIONS: dict[str, str | _Range] = {"fillfactor": (10, 100), "deduplicate_items": _BOOLEAN}
VIEW_OPTIONS: dict[str, str | _Range] = {
    "security_barrier": _BOOLEAN,
    "security_invoker": _BOOLEAN,
    "check_option": "check option",
}


def checked_options(options: Sequence[Option], known: dict[str, str | _Range]) -> dict[str, str]:
    """The options as text by name; 22023 for one that is unknown, given twice or out of range."""
    found: dict[str, str] = {}
    for option in options:
        name = option.name if option.namespace is None else f"{option.namespace}.{option.name}"
        if option.namespace == "toast" and option.name in _AUTOVACUUM:
            rule = _AUTOVACUUM[option.name]
        elif option.namespace is not None:
            raise SqlError("22023", f'unrecognized parameter namespace "{option.namespace}"')
        elif option.name not in known:
            if option.name == "oids":
                raise SqlError("0A000", "tables declared WITH OIDS are not supported")
            raise SqlError("22023", f'unrecognized parameter "{option.name}"')
        else:
            rule = known[option.name]
        if name in found:
            raise SqlError("22023", f'parameter "{name}" specified more than once')
        found[name] = _checked(name, option.value, rule)
    return found


def _checked(name: str, value: str | list[str] | None, rule: str | _Range) -> str:
    text = "true" if value is None else value
    if isinstance(text, list):
        raise SqlError("22023", f'invalid value for option "{name}": {", ".join(text)}')
    if rule == _BOOLEAN:
        if parse_boolean(text) is None:
            raise SqlError("22023", f'invalid value for boolean option "{name}": {text}')
        return text
    if rule == "auto":
        if text != "auto" and parse_boolean(text) is None:
            raise SqlError("22023", f'invalid value for enum option "{name}": {text}')
        return text
    if rule == "check option":
        if text not in ("local", "cascaded"):
            raise SqlError(
                "22023",
                f'invalid value for enum option "{name}": {text}',
                detail='Valid values are "local" and "cascaded".',
            )
        return text
    assert isinstance(rule, tuple)
    try:
        number = float(text)
    except ValueError:
        kind = "integer" if isinstance(rule[0], int) else "floating point"
        raise SqlError("22023", f'invalid value for {kind} option "{name}": {text}') from None
    if not rule[0] <= number <= rule[1]:
        raise SqlError(
            "22023",
            f'value {text} out of bounds for option "{name}"',
            detail=f'Valid values are between "{rule[0]}" and "{rule[1]}".',
        )
    return text
