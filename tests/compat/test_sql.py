"""Everyday SQL answers as PostgreSQL answers.

Goal: a program cannot tell Boreal from PostgreSQL by rows, column names and types, command tags, notices, errors (all their
fields) or transaction state. Method: the scripts in sql/ run statement by statement on both servers, in the simple protocol, and
in the extended one with text and with binary results; every answer must be equal. A statement marked `-- diverges: reason` must
differ, so that the list of intended differences stays true (docs/compatibility.md explains them).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.compat.differential import differences
from tests.oracle import Oracle
from tests.server import Server

SCRIPTS = sorted((Path(__file__).parent / "sql").glob("*.sql"))


@pytest.mark.parametrize("mode", ["simple", "extended", "binary"])
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_script(boreal: Server, oracle: Oracle, script: Path, mode: str) -> None:
    found = differences(script, boreal.dsn, oracle.dsn, mode)
    assert not found, "\n".join([f"{len(found)} differences", *found])
