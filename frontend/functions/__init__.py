"""PostgreSQL's functions: `registry` (what runs), `catalogue` (what exists), and one module a chapter of the manual.

The chapters register themselves when imported; `load()` imports them all, so a new chapter is a new file and nothing else.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules


def load() -> None:
    """Import every chapter, so that the registry's tables are complete. Cheap when repeated."""
    for module in iter_modules(__path__):
        import_module(f"frontend.functions.{module.name}")
    import_module("frontend.system.functions")
