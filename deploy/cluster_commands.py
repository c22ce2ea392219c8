"""`boreal cert`, `boreal member`, `boreal cluster`: certificates, who belongs, and a whole cluster on one machine.

What the commands are made of is imported when one of them runs: `boreal status` should not load cryptography and aiohttp.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from journal.errors import BorealError

if TYPE_CHECKING:
    from rich.table import Table

    from deploy.cluster import LocalCluster
    from deploy.control import LeaderOrder, MemberOrder
    from deploy.status import NodeStatus

DATA_DEFAULT = "./boreal-cluster"
BASE_PORT_DEFAULT = 5440


class Failing(click.Group):
    """A group whose commands end with the message of what went wrong, and exit status 1."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run."""
        try:
            return super().invoke(ctx)
        except (BorealError, OSError) as error:
            raise click.ClickException(str(error)) from error


# ── certificates ───────────────────────────────────────────────────────────────────────────────────────────────────────


@click.group(cls=Failing)
def cert() -> None:
    """Make the certificates by which members of a cluster know each other."""


@cert.command("ca")
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, metavar="DIR", help="Where ca.pem and ca.key go."
)
@click.option("--days", type=click.IntRange(1), help="How long it is valid [default: ten years].")
def cert_ca(out: Path, days: int | None) -> None:
    """Make a certificate authority. Keep ca.key where no node is: whoever has it can become a member."""
    from deploy.certificates import AUTHORITY_DAYS, make_authority

    make_authority(out, days=days or AUTHORITY_DAYS)
    click.echo(f"written: {out}/ca.pem, {out}/ca.key")


@cert.command("node")
@click.argument("name")
@click.option(
    "--host", "hosts", multiple=True, required=True, metavar="H", help="Address the others dial; may be repeated."
)
@click.option("--ca", type=click.Path(path_type=Path), required=True, metavar="DIR", help="Where the authority is.")
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="DIR", help="Where the files go.")
@click.option("--days", type=click.IntRange(1), help="How long it is valid [default: 825].")
def cert_node(name: str, hosts: tuple[str, ...], ca: Path, out: Path, days: int | None) -> None:
    """Make the certificate of the node NAME: NAME.pem, NAME.key, and a copy of ca.pem."""
    from deploy.certificates import NODE_DAYS, make_node

    make_node(name, hosts, ca, out, days=days or NODE_DAYS)
    click.echo(f"written: {out}/{name}.pem, {out}/{name}.key, {out}/ca.pem")


# ── members ────────────────────────────────────────────────────────────────────────────────────────────────────────────

_node_data = click.option(
    "--data",
    type=click.Path(path_type=Path),
    default="./boreal-data",
    show_default=True,
    metavar="DIR",
    help="Data directory of the leader, on this host.",
)


def _order(data: Path, order: MemberOrder | LeaderOrder) -> None:
    from deploy.control import give_order

    give_order(data, order)


@click.group(cls=Failing)
def member() -> None:
    """Change who belongs to a cluster, and who leads it. Run it where the leader is; others name the leader."""


@member.command("add")
@click.argument("name")
@click.option("--host", required=True, metavar="H", help="Where it listens for the others.")
@click.option("--port", type=click.IntRange(1, 65535), required=True, metavar="N", help="Its peer_port.")
@click.option("--witness", is_flag=True, help="It has the role journal alone.")
@_node_data
def member_add(name: str, host: str, port: int, witness: bool, data: Path) -> None:
    """Add the node NAME, without a vote. Started on an empty directory, it gets everything from the others."""
    from deploy.control import MemberOrder

    _order(data, MemberOrder("add", name, host, port, witness))
    click.echo(f"{name} is a member without a vote")


@member.command("promote")
@click.argument("name")
@_node_data
def member_promote(name: str, data: Path) -> None:
    """Give the member NAME a vote, once it has caught up."""
    from deploy.control import MemberOrder

    _order(data, MemberOrder("promote", name))
    click.echo(f"{name} votes")


@member.command("remove")
@click.argument("name")
@_node_data
def member_remove(name: str, data: Path) -> None:
    """Remove the member NAME, which stops. A member whose disk was lost has to be removed before it is added again."""
    from deploy.control import MemberOrder

    _order(data, MemberOrder("remove", name))
    click.echo(f"{name} is no member any more")


@member.command("lead")
@click.argument("name", required=False, default="", metavar="[NAME]")
@_node_data
def member_lead(name: str, data: Path) -> None:
    """Hand the leadership to NAME, or to the member that is fittest."""
    from deploy.control import LeaderOrder

    _order(data, LeaderOrder(name))
    click.echo(f"{name or 'another member'} leads")


# ── a cluster on this machine ──────────────────────────────────────────────────────────────────────────────────────────

_data = click.option(
    "--data",
    type=click.Path(path_type=Path),
    default=DATA_DEFAULT,
    show_default=True,
    metavar="DIR",
    help="Directory of the cluster.",
)
_names = click.argument("names", nargs=-1, required=True, metavar="NAME...")


def _open(data: Path) -> LocalCluster:
    from deploy.cluster import LocalCluster

    return LocalCluster.open(data)


@click.group(cls=Failing)
def cluster() -> None:
    """Run a cluster of real processes on this machine, and hurt it."""


@cluster.command("start")
@click.option(
    "--regions", type=click.IntRange(3, 9), default=3, show_default=True, help="How many nodes, each a region."
)
@click.option(
    "--witness/--no-witness", default=True, show_default=True, help="Whether the last region is only a witness."
)
@_data
@click.option(
    "--base-port",
    type=click.IntRange(0, 65000),
    default=BASE_PORT_DEFAULT,
    show_default=True,
    metavar="N",
    help="Node i listens on N+i, N+100+i (HTTP) and N+200+i (peers); 0: on free ports.",
)
@click.option(
    "--wan",
    metavar="T,T,T",
    help="Round-trip times between the pairs 1-2, 1-3, 2-3 (and so on); each way takes half. Such as 12ms,62ms,60ms.",
)
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="A setting for every new node; may be repeated."
)
def cluster_start(
    regions: int, witness: bool, data: Path, base_port: int, wan: str | None, settings: tuple[str, ...]
) -> None:
    """Start a cluster in the foreground; Ctrl-C drains and stops it.

    The first start makes certificates and configurations; later ones use what is in DIR, with the same ports and data.
    """
    from deploy.cluster import LocalCluster, parse_wan
    from deploy.directory import lock

    pairs = [each.partition("=") for each in settings]
    if any(not separator for _, separator, _ in pairs):
        raise click.BadParameter("write KEY=VALUE", param_hint="--set")
    data.mkdir(parents=True, exist_ok=True)
    with lock(data):
        if (data / "cluster.json").exists():
            found = _open(data)
            founders = [node for node in found.nodes if node.founder]
            if len(founders) != regions or founders[-1].witness != witness or settings:
                raise click.ClickException(f"{data} holds a cluster made with other options; use another directory")
        else:
            found = LocalCluster.make(
                data,
                regions=regions,
                witness=witness,
                base_port=base_port,
                settings={key: text for key, _, text in pairs},
            )
        found.set_wan(parse_wan(wan, regions) if wan else {})
        found.heal()
        _run(found)


def _run(found: LocalCluster) -> None:
    """Until somebody says stop."""
    asked = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: asked.set())
    try:
        for node in found.nodes:
            if found.process(node.name) is None:
                found.start(node.name)
        found.wait_until_ready([node.name for node in found.nodes])
        _print_nodes(found)
        while not asked.wait(0.5):
            for name, status in found.ended().items():
                click.echo(f"{name} has ended with {status}; `boreal cluster revive {name}` starts it again")
    finally:
        click.echo("stopping")
        late = found.stop()
    if late:
        raise click.ClickException(f"had to be killed: {', '.join(late)}")


def _print_nodes(found: LocalCluster) -> None:
    from rich.console import Console
    from rich.table import Table

    from deploy.cluster import HOST

    table = Table()
    for heading in ("node", "region", "role", "connect", "HTTP"):
        table.add_column(heading, no_wrap=True)
    leader = found.leader()
    for node in found.nodes:
        role = "witness" if node.witness else "leader" if node.name == leader else "full"
        connect = "–" if node.witness else f"psql -h {HOST} -p {node.pg_port} -U postgres"
        table.add_row(node.name, node.region, role, connect, str(node.http_port))
    Console(highlight=False).print(table)
    click.echo(f"Each node's configuration, data and log are in {found.directory}/NAME.")
    click.echo(
        "Ctrl-C stops all. `boreal cluster status|kill|revive|pause|resume|partition|bridge|skew|slow-disk|fill-disk|heal --help`"
    )


def _each(names: tuple[str, ...], act: Callable[[str], None], done: str) -> None:
    for name in names:
        act(name)
        click.echo(f"{name} {done}")


@cluster.command("kill")
@_names
@_data
def cluster_kill(names: tuple[str, ...], data: Path) -> None:
    """End nodes by SIGKILL."""
    _each(names, _open(data).kill, "is killed")


@cluster.command("revive")
@_names
@_data
def cluster_revive(names: tuple[str, ...], data: Path) -> None:
    """Start nodes that have ended, and wait until they have joined."""
    found = _open(data)
    _each(names, found.start, "is starting")
    found.wait_until_ready(names)
    click.echo(f"ready: {', '.join(names)}")


@cluster.command("join")
@click.argument("name")
@click.option("--vote/--no-vote", default=True, show_default=True, help="Whether it gets a vote when it has caught up.")
@click.option(
    "--within", type=click.FloatRange(1), default=60.0, show_default=True, metavar="SECONDS", help="How long to wait."
)
@_data
def cluster_join(name: str, vote: bool, within: float, data: Path) -> None:
    """Add a node NAME with an empty disk to the running cluster, and wait until it has caught up."""
    from deploy.cluster import HOST

    found = _open(data)
    found.join(name, vote=vote, seconds_max=within)
    click.echo(f"{name} has joined: psql -h {HOST} -p {found.node(name).pg_port} -U postgres")


@cluster.command("pause")
@_names
@_data
def cluster_pause(names: tuple[str, ...], data: Path) -> None:
    """Stop nodes in their tracks, by SIGSTOP."""
    _each(names, _open(data).pause, "is paused")


@cluster.command("resume")
@_names
@_data
def cluster_resume(names: tuple[str, ...], data: Path) -> None:
    """Let paused nodes go on."""
    _each(names, _open(data).resume, "goes on")


@cluster.command("partition")
@_names
@click.option("--one-way", is_flag=True, help="What they send is lost; they still hear the others.")
@click.option("--deaf", is_flag=True, help="What is sent to them is lost; the others still hear them.")
@_data
def cluster_partition(names: tuple[str, ...], one_way: bool, deaf: bool, data: Path) -> None:
    """Cut nodes off from all others, together."""
    if one_way and deaf:
        raise click.UsageError("--one-way and --deaf are opposites; without either nothing passes")
    found = _open(data)
    if deaf:
        found.deafen(names)
    else:
        found.partition(names, one_way=one_way)
    click.echo(f"cut off: {', '.join(names)}")


@cluster.command("bridge")
@click.argument("name")
@_data
def cluster_bridge(name: str, data: Path) -> None:
    """Cut all other nodes off from each other; each of them still reaches NAME."""
    _open(data).bridge(name)
    click.echo(f"only {name} is reached by all")


@cluster.command("slow-disk")
@_names
@click.option("--by", required=True, metavar="DURATION", help="By how much every synchronization takes longer.")
@_data
def cluster_slow_disk(names: tuple[str, ...], by: str, data: Path) -> None:
    """Make the disks of nodes' journals slow."""
    from deploy.cluster import parse_duration_us

    found, delay_ms = _open(data), parse_duration_us(by) / 1000
    if not 0 <= delay_ms <= 60_000:
        raise click.BadParameter("between 0 and 60s", param_hint="--by")
    _each(names, lambda name: found.slow_disk(name, delay_ms), f"synchronizes {delay_ms:g} ms slower")


@cluster.command("fill-disk")
@_names
@_data
def cluster_fill_disk(names: tuple[str, ...], data: Path) -> None:
    """Give nodes' journals no further space."""
    _each(names, _open(data).fill_disk, "has a full disk")


@cluster.command("heal")
@_data
def cluster_heal(data: Path) -> None:
    """End every partition and disk fault, and set every clock right; delays stay."""
    _open(data).heal()
    click.echo("healed")


@cluster.command("skew")
@_names
@click.option(
    "--by", required=True, metavar="DURATION", help="How far ahead of the host's clock; such as 250ms or -5s."
)
@_data
def cluster_skew(names: tuple[str, ...], by: str, data: Path) -> None:
    """Set nodes' clocks wrong."""
    from deploy.cluster import parse_duration_us

    found, skew_us = _open(data), parse_duration_us(by)
    _each(names, lambda name: found.skew(name, skew_us), f"is {skew_us / 1000:g} ms ahead")


@cluster.command("status")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@_data
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, by name of the node.")
def cluster_status(names: tuple[str, ...], data: Path, as_json: bool) -> None:
    """Show all nodes, or some. Exit status 0: all of them are ready; 1: they are not."""
    import msgspec
    from rich.console import Console

    found = _open(data)
    chosen = names or tuple(node.name for node in found.nodes)
    statuses = {name: found.status(name) for name in chosen}
    if as_json:
        click.echo(msgspec.json.encode(statuses))
    else:
        Console(highlight=False).print(_statuses(found, statuses))
    sys.exit(0 if all(status is not None and status.ready for status in statuses.values()) else 1)


def _statuses(found: LocalCluster, statuses: dict[str, NodeStatus | None]) -> Table:
    """One line a node; how far each is behind is the leader's word."""
    from rich.table import Table

    table = Table()
    headings = (
        "node",
        "state",
        "leader",
        "term",
        "position",
        "applied",
        "behind",
        "closed ms ago",
        "read path",
        "faults",
    )
    for heading in headings:
        table.add_column(heading, overflow="fold")
    behind: dict[str, int | None] = {}
    for status in statuses.values():
        if status is not None and status.leader and status.cluster is not None:
            behind = {member.name: member.entries_behind for member in status.cluster.members}
    for name, status in statuses.items():
        faults = found.faults(name)
        shown = [f"cut {','.join(faults.cut)}"] if faults.cut else []
        shown += [f"skew {faults.skew_us / 1000:g} ms"] if faults.skew_us else []
        shown += [f"disk {faults.disk_delay_ms:g} ms slower"] if faults.disk_delay_ms else []
        shown += ["disk full"] if faults.disk_full else []
        cluster = status.cluster if status is not None else None
        if status is None or cluster is None:
            state = "down" if found.process(name) is None else "silent"
            table.add_row(name, state, *["–"] * 7, "; ".join(shown))
            continue
        values = (
            cluster.leader,
            cluster.term,
            status.journal_position,
            cluster.applied_index,
            behind.get(name),
            cluster.closed_lag_ms,
            cluster.read_path,
        )
        state = "ready" if status.ready else "draining" if status.draining else "no majority"
        table.add_row(name, state, *("–" if value is None else str(value) for value in values), "; ".join(shown))
    return table
