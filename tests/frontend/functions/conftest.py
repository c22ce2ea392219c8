"""One connection to the oracle for all function tests; plans are not cached, so that settings always count."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.oracle import Oracle


@pytest.fixture(scope="module")
def connection(oracle: Oracle) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(oracle.dsn, autocommit=True, prepare_threshold=None) as connection:
        yield connection
