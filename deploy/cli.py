"""The command `boreal`."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec
import sdnotify

from deploy import VERSION
from deploy import config as configuration
from deploy.cluster_commands import cert, cluster, member
from journal.errors import BorealError, NodeFatal

if TYPE_CHECKING:
    from deploy.node import Node

EXIT_ERROR = 1
"""Wrong settings, a port that is taken, a directory in use; for `verify`: something does not hold."""
EXIT_JOURNAL = 2
"""The journal cannot be trusted or written; starting again does not help before somebody has looked at the disk."""
EXIT_VIEW = 3
"""The view was found damaged; the next start replays it."""


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="boreal")
def main() -> None:
    """Boreal: an active-active distributed SQL database that speaks the PostgreSQL protocol."""


@main.command()
@click.option("--data", "data_directory", metavar="DIR", help="Data directory [default: ./boreal-data].")
@click.option("--pg-host", metavar="ADDRESS", help="Address of the PostgreSQL listener [default: 127.0.0.1].")
@click.option("--pg-port", type=int, metavar="N", help="Port of the PostgreSQL listener [default: 5433].")
@click.option("--http-port", type=int, metavar="N", help="Port of the HTTP listener [default: 8433].")
@click.option(
    "--config", "config_file", type=click.Path(path_type=Path), metavar="FILE", help="TOML file with settings."
)
def start(config_file: Path | None, **flags: Any) -> None:
    """Start a node in the foreground; SIGTERM or Ctrl-C drains and stops it.

    Exit status 0: stopped as asked; 1: it could not start, for a reason that is named; 2: the journal cannot be trusted or
    written; 3: the view was found damaged and will be replayed by the next start.
    """
    gc.disable()  # nothing that is loaded becomes garbage: a tenth of the time until ready
    try:
        config = configuration.load(config_file, os.environ, flags)
    except configuration.ConfigError as error:
        raise click.ClickException(str(error)) from error
    logging.basicConfig(
        level=config.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr
    )
    import uvloop

    # Deeply nested SQL recurses in parser and binder; beyond this it is 54001.
    sys.setrecursionlimit(10_000)
    sys.exit(uvloop.run(_run(config)))


def tune_garbage_collection() -> None:
    """Have the collector look at little, and seldom; for a started node."""
    # What was loaded so far lives as long as the process: the collector need not look at it again.
    gc.collect()
    gc.freeze()
    gc.enable()
    # Rows in flight are tuples without cycles: looking at them often finds nothing.
    gc.set_threshold(20_000, 20, 50)


async def _run(config: configuration.Config) -> int:
    from deploy.node import Node

    node = Node(config)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    starting, asked = loop.create_task(node.start()), loop.create_task(stop.wait())
    # A member may wait for the others; whoever asks it to stop does not.
    await asyncio.wait({starting, asked}, return_when=asyncio.FIRST_COMPLETED)
    try:
        if not starting.done():
            starting.cancel()
        await starting
    except asyncio.CancelledError:
        return 0
    except (BorealError, OSError) as error:
        click.echo(f"boreal: {error}", err=True)
        return EXIT_JOURNAL if isinstance(error, NodeFatal) else EXIT_ERROR
    finally:
        asked.cancel()
    tune_garbage_collection()
    notifier = sdnotify.SystemdNotifier()
    notifier.notify("READY=1")
    click.echo(_ready_line(config, node))
    watchdog = loop.create_task(_keep_watchdog(notifier))
    waits = {loop.create_task(stop.wait()), loop.create_task(node.stopped.wait())}
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for task in (*waits, watchdog):
        task.cancel()
    if node.fatal is not None:
        click.echo(f"boreal: the node stopped: {node.fatal}", err=True)
        return EXIT_VIEW if node.view_damaged else EXIT_JOURNAL
    notifier.notify("STOPPING=1")
    try:
        await node.stop()
    except NodeFatal as error:
        click.echo(f"boreal: while stopping: {error}", err=True)
        return EXIT_JOURNAL
    return 0


def _ready_line(config: configuration.Config, node: Node) -> str:
    """What a started node prints."""
    state = "Boreal is ready" if node.has_joined else "Boreal waits for a majority of its members"
    http = f"HTTP on {config.http_host}:{node.http_port}, data in {config.data_directory}"
    if config.is_witness:
        return f"{state}: witness {config.name}   ({http})"
    return f"{state}: psql -h {config.pg_host} -p {node.pg_port} -U postgres postgres   ({http})"


async def _keep_watchdog(notifier: sdnotify.SystemdNotifier) -> None:
    """Tell systemd that the event loop turns, twice as often as it wants to hear it."""
    interval_us = int(os.environ.get("WATCHDOG_USEC", "0"))
    while interval_us:
        notifier.notify("WATCHDOG=1")
        await asyncio.sleep(interval_us / 2_000_000)


@main.command()
@click.option(
    "--data", "data_directory", default="./boreal-data", metavar="DIR", help="Data directory of a stopped node."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def verify(data_directory: str, as_json: bool) -> None:
    """Prove that the journal is intact and that the view is exactly what replaying it gives.

    The node must not be running. Exit status 0: everything holds; 1: something does not, and is named.
    """
    from deploy.verification import verify_directory

    try:
        report = verify_directory(Path(data_directory))
    except (BorealError, OSError) as error:
        if as_json:
            click.echo(json.dumps({"ok": False, "error": str(error)}))
        else:
            click.echo(f"boreal: {error}", err=True)
        sys.exit(1)
    click.echo(json.dumps(report.to_dict()) if as_json else report.to_text())
    sys.exit(0 if report.ok else 1)


@main.command()
@click.option(
    "--url", default="http://127.0.0.1:8433", metavar="URL", show_default=True, help="The node's HTTP listener."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def status(url: str, as_json: bool) -> None:
    """Show how a running node is. Exit status 0: it is ready; 1: it is not, or cannot be reached."""
    from rich.console import Console

    from deploy.status import fetch_status, print_status

    try:
        report = fetch_status(url)
    except (OSError, ValueError) as error:
        click.echo(
            json.dumps({"ready": False, "error": str(error)}) if as_json else f"boreal: {url}: {error}", err=not as_json
        )
        sys.exit(EXIT_ERROR)
    if as_json:
        click.echo(msgspec.json.encode(report))
    else:
        print_status(report, Console(highlight=False))
    sys.exit(0 if report.ready else EXIT_ERROR)


@main.command()
@click.option("--data", "data_directory", default="./boreal-data", metavar="DIR", help="Data directory of the node.")
@click.option(
    "--timeout",
    "seconds_max",
    type=float,
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for its end.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def drain(data_directory: str, seconds_max: float, as_json: bool) -> None:
    """Drain and stop the node that uses a data directory, like SIGTERM, and wait until it has ended.

    Exit status 0: it has; 1: there is none, or it did not end in time.
    """
    from deploy.directory import holder, wait_until_free

    directory = Path(data_directory)
    process = holder(directory)
    error = ""
    if process is None:
        error = f"no node uses {directory}"
    else:
        os.kill(process, signal.SIGTERM)
        if not wait_until_free(directory, seconds_max):
            error = f"process {process} has not ended within {seconds_max:g} s"
    if as_json:
        click.echo(json.dumps({"stopped": not error, "process": process, **({"error": error} if error else {})}))
    else:
        click.echo(f"boreal: {error}" if error else f"process {process} has drained and stopped", err=bool(error))
    sys.exit(EXIT_ERROR if error else 0)


main.add_command(cert)
main.add_command(cluster)
main.add_command(member)


if __name__ == "__main__":
    main()
