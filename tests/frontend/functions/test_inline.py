"""Every inline template must compute what its function computes: both run on the same values, errors included."""

from __future__ import annotations

import itertools
from typing import Any

import frontend.functions
from frontend.errors import SqlError
from frontend.functions import catalogue
from frontend.functions.registry import SCALARS, ScalarImplementation
from frontend.types.registry import type_by_oid
from tests.frontend.functions.comparison import CONTEXT
from tests.frontend.functions.test_conversions import SAMPLES
from tests.frontend.functions.test_moments import VALUES as MOMENTS
from tests.frontend.functions.test_numbers import VALUES as NUMBERS

frontend.functions.load()

LITERALS = {name.replace('"', ""): literals for name, literals in (SAMPLES | NUMBERS | MOMENTS).items()}


def outcome(function: Any, arguments: tuple[Any, ...]) -> Any:
    try:
        result = function(*arguments)
    except SqlError as error:
        return error.sqlstate, error.message
    return repr(result)


def template_function(implementation: ScalarImplementation, count: int) -> Any:
    """The template as a function of its arguments, as the plan compiler would write it."""
    assert implementation.inline is not None
    names = [f"a{position}" for position in range(count)]
    source = f"lambda {', '.join(names)}: {implementation.inline.format(*names)}"
    return eval(source, dict(implementation.names))


def test_templates_agree_with_functions() -> None:
    checked = 0
    report = []
    for signature, implementation in SCALARS.items():
        if implementation.inline is None or implementation.context or implementation.typed:
            continue
        proc = catalogue.proc_by_signature(signature)
        assert proc is not None
        names = [catalogue.type_name(oid) for oid in proc.argument_types]
        if not names or len(names) > 2 or not all(name in LITERALS for name in names):
            continue
        values = [
            [type_by_oid(oid).input(literal, -1, CONTEXT) for literal in LITERALS[name]]
            for oid, name in zip(proc.argument_types, names, strict=True)
        ]
        inlined = template_function(implementation, len(names))
        for arguments in itertools.product(*values):
            expected, found = outcome(implementation.call, arguments), outcome(inlined, arguments)
            if expected != found:
                report.append(f"{signature}{arguments!r}: function {expected!r}, template {found!r}")
        checked += 1
    assert checked > 150
    assert not report, "\n".join(report[:40])
