"""The oracle: a real PostgreSQL 16, whose behaviour is the specification, and its client programs."""

from __future__ import annotations

from loadtest.postgresql import PostgresServer as Oracle
from loadtest.postgresql import client

__all__ = ["Oracle", "client"]
