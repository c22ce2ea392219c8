"""The schemas of the past, as far as they were asked for lately.

A schema is the same for all snapshots between two changes of the catalog, so that one entry serves a whole stretch of time:

    ──┬──────────── v1 ───────────┬─────── v2 ───────┬──── now ──▶
      └ change    ▲   ▲ snapshots └ change           └ change: View.catalog, which is not kept here

Loading one walks all catalog records (some 10 µs a table), and plans are cached by the catalog's version, so programs that read
again and again at moments not far from each other pay for it once.
"""

from __future__ import annotations

from typing import NamedTuple

from storage.catalog import Catalog

CATALOGS_MAX = 8
"""Schemas kept; the one used longest ago is forgotten."""


class _Stretch(NamedTuple):
    catalog: Catalog
    since: int
    """The oldest snapshot that is known to see it (commit timestamp, µs)."""
    until: int
    """The first snapshot that sees another."""


class PastCatalogs:
    """Schemas by the stretch of time in which they held, the last used one last."""

    def __init__(self) -> None:
        self._stretches: list[_Stretch] = []

    def find(self, snapshot: int) -> Catalog | None:
        """The schema at a snapshot (commit timestamp, µs), if it is kept."""
        for place, stretch in enumerate(self._stretches):
            if stretch.since <= snapshot < stretch.until:
                self._stretches.append(self._stretches.pop(place))
                return stretch.catalog
        return None

    def put(self, catalog: Catalog, snapshot: int, until: int) -> None:
        """Keep a schema.

        Args:
            snapshot: where it was loaded.
            until: the first change after `snapshot`.
        """
        self._stretches.append(_Stretch(catalog, min(catalog.version, snapshot), until))
        del self._stretches[:-CATALOGS_MAX]
