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
from typing import Any

import click

from deploy import config as configuration
from journal.errors import BorealError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="boreal")
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
    """Start a node in the foreground; SIGTERM or Ctrl-C drains and stops it."""
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


async def _run(config: configuration.Config) -> int:
    import sdnotify

    from deploy.node import Node

    node = Node(config)
    try:
        await node.start()
    except (BorealError, OSError) as error:
        click.echo(f"boreal: {error}", err=True)
        return 1
    # What was loaded so far lives as long as the process: the collector need not look at it again.
    gc.collect()
    gc.freeze()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    notifier = sdnotify.SystemdNotifier()
    notifier.notify("READY=1")
    click.echo(
        f"Boreal is ready: psql -h {config.pg_host} -p {node.pg_port} -U postgres postgres"
        f"   (HTTP on {config.http_host}:{node.http_port}, data in {config.data_directory})"
    )
    waits = {loop.create_task(stop.wait()), loop.create_task(node.stopped.wait())}
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()
    if node.fatal is not None:
        click.echo(f"boreal: the node stopped: {node.fatal}", err=True)
        return 2
    notifier.notify("STOPPING=1")
    await node.stop()
    return 0


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


if __name__ == "__main__":
    main()
