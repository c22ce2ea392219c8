"""Imports run down the list of packages only: journal, storage, frontend, deploy; loadtest imports none of them.

Method: the imports of every module, read from its syntax tree (those made inside functions and for type checking included).
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAY_IMPORT = {
    "journal": {"journal"},
    "storage": {"storage", "journal"},
    "frontend": {"frontend", "storage", "journal"},
    "deploy": {"deploy", "frontend", "storage", "journal"},
    "loadtest": {"loadtest"},
}
PACKAGES = set(MAY_IMPORT) | {"tests"}
DRAWERS = {"utils", "util", "common", "helpers", "helper", "misc"}


def imports_of(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path} uses a relative import"
            found.add((node.module or "").partition(".")[0])
    return found & PACKAGES


@pytest.mark.parametrize("package", list(MAY_IMPORT))
def test_imports_run_down(package: str) -> None:
    for path in (ROOT / package).rglob("*.py"):
        wrong = imports_of(path) - MAY_IMPORT[package]
        assert not wrong, f"{path.relative_to(ROOT)} imports {wrong}"


def test_no_module_is_a_drawer() -> None:
    for package in MAY_IMPORT:
        for path in (ROOT / package).rglob("*.py"):
            assert path.stem not in DRAWERS, path
