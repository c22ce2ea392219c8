"""Errors of data modification that generated code raises."""

from __future__ import annotations

from frontend.errors import SqlError


def second_time() -> SqlError:
    """21000: two proposed rows of one INSERT … ON CONFLICT DO UPDATE meet the same row."""
    return SqlError(
        "21000",
        "ON CONFLICT DO UPDATE command cannot affect row a second time",
        hint="Ensure that no rows proposed for insertion within the same command have duplicate constrained values.",
    )
