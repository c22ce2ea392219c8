"""Fixtures that several test packages share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.oracle import Oracle
from tests.server import Server


@pytest.fixture(scope="session")
def oracle() -> Iterator[Oracle]:
    """One PostgreSQL 16 for the whole test session."""
    with Oracle() as server:
        yield server


@pytest.fixture(scope="session")
def boreal() -> Iterator[Server]:
    """One Boreal node for the whole test session; tests use schemas of their own."""
    with Server() as server:
        yield server
