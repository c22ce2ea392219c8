"""python -m tests.cluster.many_events DIR EVENTS: a local cluster whose journal holds many events, made quickly.

Its three nodes run in this one process, and every event is a transaction that inserts one row, proposed at the leader's replica as its
gateway would propose it, in blocks: judged, replicated, synchronized, applied to both views and compacted by the product itself. What is
left out is what a client costs: pgbench makes 3,000 a second, this about 9,000. `boreal cluster start --data DIR`, and so
`python -m loadtest.regions join --directory DIR`, go on with what is there.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import time
from pathlib import Path
from random import Random

import psycopg
import uvloop

from deploy.cluster import LocalCluster
from deploy.config import load
from deploy.node import Node
from journal.event import Outcome, Proposal, Verdict, WriteKind
from loadtest.regions.join import FILLED_TABLE
from loadtest.regions.measure import TABLES
from storage.catalog import Table
from storage.keys import KeyColumn, key_encoder, prefix
from storage.rows import encode_row

UNDECIDED_MAX = 256
ROUND_EVENTS = 20_000
LEADER_SECONDS_MAX = 30.0
_INT8 = 20


async def run(directory: Path, events: int) -> None:
    """Make the cluster, unless it is there, and commit until its journal is at position `events`."""
    is_new = not (directory / "cluster.json").exists()
    if is_new:
        cluster = LocalCluster.make(directory, settings={"leader_preferred": "n1"})
    else:
        cluster = LocalCluster.open(directory)
    nodes = [Node(load(directory / place.name / "boreal.toml", {}, {})) for place in cluster.nodes]
    async with contextlib.AsyncExitStack() as stack:
        await asyncio.gather(*(node.start() for node in nodes))
        for node in nodes:  # the leader is the last to stop
            stack.push_async_callback(node.stop)
        leader = nodes[0]
        async with asyncio.timeout(LEADER_SECONDS_MAX):
            while not (leader.is_ready and leader.replica.is_leader):  # noqa: ASYNC110 - there is no event of it
                await asyncio.sleep(0.05)
        if is_new:
            await asyncio.to_thread(_make_tables, cluster.node("n1").dsn)
        await fill(leader, events)


def _make_tables(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in (*TABLES, FILLED_TABLE):
            connection.execute(statement)


async def fill(node: Node, events: int) -> None:
    """Propose until the position is `events`. Raises RuntimeError if something is refused for another reason than that the leader
    has changed, which is no loss here: as many are proposed again."""
    view, replica = node.view, node.replica
    assert view is not None
    table = next(each for each in view.catalog.objects.values() if isinstance(each, Table) and each.name == "filled")
    key_of = key_encoder(prefix(table.storage, 0), [KeyColumn(_INT8, nullable=False)])
    provenance = (node.config.node_id, "postgres", "many_events")
    dependencies = [(table.oid, table.version)]
    chance = Random(replica.frontier.position)
    room = asyncio.Semaphore(UNDECIDED_MAX)
    refused: list[Verdict] = []

    def decided(verdict: Verdict) -> None:
        room.release()
        if verdict.outcome not in (Outcome.COMMITTED, Outcome.UNKNOWN):
            refused.append(verdict)

    began = said = time.monotonic()
    while (missing := events - replica.frontier.position) > 0:
        for _ in range(min(missing, ROUND_EVENTS)):
            await room.acquire()
            identity = chance.getrandbits(63)
            write = (key_of([identity]), encode_row([identity, 1]), int(WriteKind.INSERT))
            txid = replica.transaction_ids.next()
            proposal = Proposal(txid, view.snapshot, [write], dependencies=dependencies, provenance=provenance)
            replica.propose(proposal, decided)
        for _ in range(UNDECIDED_MAX):
            await room.acquire()
        for _ in range(UNDECIDED_MAX):
            room.release()
        if any(verdict.outcome is not Outcome.NOT_LEADER for verdict in refused):
            raise RuntimeError(f"refused: {refused[0].outcome.name} {refused[0].reason}")
        if refused:
            refused.clear()
            await asyncio.sleep(1)
        if time.monotonic() - said > 10:
            said = time.monotonic()
            print(f"{replica.frontier.position} events after {said - began:.0f} s", flush=True)
    print(f"{replica.frontier.position} events after {time.monotonic() - began:.0f} s", flush=True)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.cluster.many_events",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("directory", type=Path, metavar="DIR")
    parser.add_argument("events", type=int, metavar="EVENTS")
    given = parser.parse_args()
    uvloop.run(run(given.directory, given.events))
    return 0


if __name__ == "__main__":
    sys.exit(main())
