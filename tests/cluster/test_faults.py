"""What disks do to databases: each fault is detected and named, and either nothing is lost or the node stops.

Method: a real node writes rows whose content is a function of their number, so that a wrong answer can be told from a right one.
Then its files are treated as a failing disk or a power cut would treat them, and the node is started again. Two outcomes are
allowed: every acknowledged row is there and right and `boreal verify` passes; or the node has stopped with the exit status that
docs/operating.md gives for the case, naming the file. Power cuts that lose un-synchronized writes need a disk that can lose them:
there the node runs in this process on `journal.simulated.SimulatedDisk`.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from deploy.cli import EXIT_JOURNAL, EXIT_VIEW
from deploy.config import Config
from deploy.node import Node
from journal.environment import Environment, SystemClock, SystemDisk, SystemNetwork
from journal.segment import HEADER_BYTES, Record, encode_record, scan
from journal.simulated import Loss, SimulatedDisk
from tests.server import Server

SOAK = bool(os.environ.get("BOREAL_SOAK"))
ROWS = 2000

pytestmark = [pytest.mark.xdist_group("faults"), pytest.mark.timeout(600 if SOAK else 120)]


def payload(number: int) -> str:
    """The content of row `number`: does not compress, and nothing else gives it."""
    return hashlib.sha256(b"%d" % number).hexdigest() * 3


def insert(connection: psycopg.Connection[tuple[object, ...]], first: int, count: int, batch: int = 50) -> None:
    """Rows in transactions of `batch`."""
    with connection.cursor() as cursor:
        for start in range(first, first + count, batch):
            with connection.transaction():
                rows = [(number, payload(number)) for number in range(start, min(start + batch, first + count))]
                cursor.executemany("INSERT INTO t VALUES (%s, %s)", rows)


def rows_of(server: Server) -> list[tuple[object, ...]]:
    with server.connect() as connection:
        return connection.execute("SELECT id, payload FROM t ORDER BY id").fetchall()


def assert_rows(found: list[tuple[object, ...]], count: int) -> None:
    """All of the first `count` rows, possibly more, and every one right."""
    assert len(found) >= count
    assert found == [(number, payload(number)) for number in range(len(found))]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data directory of a node that was killed after `ROWS` rows, 200 of them since its last start."""
    server = Server(tmp_path_factory.mktemp("written"))
    server.start()
    with server.connect() as connection:
        connection.execute("CREATE TABLE t (id int PRIMARY KEY, payload text NOT NULL)")
        insert(connection, 0, ROWS - 200)
    assert server.stop() == 0
    server.start()
    with server.connect() as connection:
        insert(connection, ROWS - 200, 200)
        time.sleep(0.5)  # the event log is written behind the verdicts, within a turn of the loop; here it has to be
    server.kill()
    return server.data


@pytest.fixture
def server(written: Path, tmp_path: Path) -> Iterator[Server]:
    """A stopped node on a copy of those files."""
    shutil.copytree(written, tmp_path / "data")
    copy = Server(tmp_path)
    yield copy
    copy.kill()


def newest(directory: Path, pattern: str) -> Path:
    return max(directory.glob(pattern))


def records(path: Path) -> list[Record]:
    """Every record of a segment."""
    file = SystemDisk().open(str(path))
    try:
        return list(scan(file, str(path), int(path.stem.split("-")[1]), last=True))
    finally:
        file.close()


def overwrite(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def flip(path: Path, offset: int) -> None:
    """Change one bit."""
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 0x04]))


def refuses_to_start(server: Server, *named: str) -> None:
    """The node does not start, says why, with the journal's exit status."""
    done = subprocess.run(
        [sys.executable, "-m", "deploy.cli", "start", "--data", str(server.data), "--pg-port", "0", "--http-port", "0"],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parent.parent.parent,
        timeout=60,
        env={name: value for name, value in os.environ.items() if not name.startswith("BOREAL_")},
    )
    assert done.returncode == EXIT_JOURNAL, done.stderr
    for name in named:
        assert name in done.stderr
    assert "Traceback" not in done.stderr.splitlines()[-1]


def recovers(server: Server, count: int = ROWS) -> None:
    """The node starts, has every row, and its files hold what they should."""
    server.start()
    assert_rows(rows_of(server), count)
    assert server.stop() == 0
    report = server.verify()
    assert report["ok"], report


# ── the journal's files ────────────────────────────────────────────────────────────────────────────────────────────────


def test_torn_last_record_of_the_raft_log(server: Server) -> None:
    """The machine stopped in the middle of writing a block that nobody was told of."""
    path = newest(server.data / "journal/raft", "raft-*.log")
    last = records(path)[-1]
    block = encode_record(
        int(path.stem.split("-")[1]), last.kind, last.batch + 1, last.index + 1, last.term, os.urandom(4000)
    )
    overwrite(path, last.end, block[: 512 * 3 - last.end % 512])
    recovers(server)


@pytest.mark.parametrize("place", ["first", "middle", "last"])
@pytest.mark.parametrize("part", ["header", "payload"])
def test_flipped_bit_in_the_raft_log(server: Server, place: str, part: str) -> None:
    path = newest(server.data / "journal/raft", "raft-*.log")
    found = records(path)
    record = {"first": found[0], "middle": found[len(found) // 2], "last": found[-1]}[place]
    flip(path, record.offset + (5 if part == "header" else HEADER_BYTES + len(record.payload) // 2))
    if (place, part) == ("last", "header"):
        # A wrong length in the very last header looks like a torn write; that the event log has more gives it away.
        refuses_to_start(server, str(path.parent), "event log has applied")
        return
    refuses_to_start(server, str(path), f"offset {record.offset}")
    report = server.verify()
    assert report["ok"] is False
    assert str(path) in str(report["error"])


@pytest.mark.parametrize("place", ["middle", "last"])
def test_flipped_bit_in_the_event_log(server: Server, place: str) -> None:
    path = newest(server.data / "journal/events", "events-*.log")
    found = records(path)
    record = {"middle": found[len(found) // 2], "last": found[-1]}[place]
    flip(path, record.offset + HEADER_BYTES + len(record.payload) // 2)
    refuses_to_start(server, str(path), f"offset {record.offset}")
    report = server.verify()
    assert report["ok"] is False
    assert str(path) in str(report["error"])


@pytest.mark.parametrize("lost", [1, 3])
def test_lost_suffix_of_the_event_log(server: Server, lost: int) -> None:
    """The event log is not synchronized with every commit: what it lost comes back from the Raft log."""
    path = newest(server.data / "journal/events", "events-*.log")
    found = records(path)
    overwrite(path, found[-lost].offset, bytes(found[-1].end - found[-lost].offset))
    recovers(server)


def test_torn_last_record_of_the_event_log(server: Server) -> None:
    path = newest(server.data / "journal/events", "events-*.log")
    last = records(path)[-1]
    boundary = last.offset + 512 - last.offset % 512
    assert boundary + 512 < last.end
    overwrite(path, boundary, bytes(last.end - boundary))
    recovers(server)


def test_event_log_is_missing(server: Server) -> None:
    """All of it is still in the Raft log, which is enough."""
    shutil.rmtree(server.data / "journal/events")
    recovers(server)


def test_raft_log_is_missing(server: Server) -> None:
    shutil.rmtree(server.data / "journal/raft")
    refuses_to_start(server, "journal/raft")


# ── the view's files ───────────────────────────────────────────────────────────────────────────────────────────────────


def survives_damage_of_the_view(server: Server) -> None:
    """Either the damage is met before clients are served, and the view replayed; or a reader meets it, gets an error, the
    node stops, and replays at the next start; or nobody reads there and all answers are right."""
    server.start()
    assert server.process is not None
    try:
        found = rows_of(server)
    except psycopg.Error:
        assert server.process.wait(10) == EXIT_VIEW
        assert "view" in server.log.read_text()
        recovers(server)
        assert "replayed" in server.log.read_text()
    else:
        assert_rows(found, ROWS)
        if server.process.poll() is None:
            server.stop()


def test_flipped_bits_in_the_view(server: Server, tmp_path: Path) -> None:
    """In the middle of the rows: a reader must meet it. Then anywhere."""
    server.start()
    assert server.stop() == 0
    for path in (server.data / "view").glob("*.sst"):
        if path.stat().st_size > 100_000:
            flip(path, path.stat().st_size // 2)
    server.start()
    assert server.process is not None
    with pytest.raises(psycopg.Error):
        rows_of(server)
    assert server.process.wait(10) == EXIT_VIEW
    assert ".sst" in server.log.read_text()
    assert server.verify()["ok"] is False
    recovers(server)
    pristine = tmp_path / "pristine"
    shutil.copytree(server.data, pristine)
    seed = random.randrange(1 << 32)
    print("seed", seed)
    chance = random.Random(seed)
    for _ in range(40 if SOAK else 4):
        shutil.rmtree(server.data)
        shutil.copytree(pristine, server.data)
        path = chance.choice(sorted((server.data / "view").glob("*.sst")))
        offset = chance.randrange(path.stat().st_size)
        print("bit flipped in", path.name, "at", offset, "of", path.stat().st_size)
        flip(path, offset)
        survives_damage_of_the_view(server)
        server.kill()


@pytest.mark.parametrize("name", ["CURRENT", "MANIFEST-*", "*.sst"])
@pytest.mark.parametrize("fault", ["missing", "garbage"])
def test_a_file_of_the_view_is_unusable(server: Server, name: str, fault: str) -> None:
    server.start()
    assert server.stop() == 0
    path = max((server.data / "view").glob(name), key=lambda each: each.stat().st_size)
    if fault == "missing":
        path.unlink()
    else:
        path.write_bytes(os.urandom(path.stat().st_size))
    server.start()
    assert_rows(rows_of(server), ROWS)
    assert "replayed" in server.log.read_text()


def test_the_view_is_missing(server: Server) -> None:
    shutil.rmtree(server.data / "view")
    recovers(server)


# ── errors while it runs ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled fault_shim.c."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler here")
    library = tmp_path_factory.mktemp("shim") / "fault_shim.so"
    source = Path(__file__).parent / "fault_shim.c"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    return library


@pytest.mark.parametrize("part", ["journal/raft/", "journal/events/"])
def test_failed_fsync(tmp_path: Path, shim: Path, part: str) -> None:
    """After a failed fsync nobody knows what is on disk: no commit is acknowledged any more, and the node stops."""
    trigger = tmp_path / "trigger"
    server = Server(tmp_path)
    server.environment = {"LD_PRELOAD": str(shim), "FAULT_TRIGGER": str(trigger), "FAULT_PATH": part}
    server.start()
    acknowledged = 0
    try:
        with server.connect() as connection:
            connection.execute("CREATE TABLE t (id int PRIMARY KEY, payload text NOT NULL)")
            insert(connection, 0, 100)
            acknowledged = 100
            trigger.touch()
            with pytest.raises(psycopg.Error):
                while acknowledged < 1_000_000:
                    insert(connection, acknowledged, 1)
                    acknowledged += 1
        if part == "journal/raft/":
            assert acknowledged == 100
        assert server.process is not None
        assert server.process.wait(10) == EXIT_JOURNAL
        log = server.log.read_text()
        assert "Input/output error" in log
        assert part in log
        trigger.unlink()
        recovers(server, acknowledged)
    finally:
        server.kill()


@contextmanager
def small_disk(directory: Path, megabytes: int) -> Iterator[Callable[[int], None]]:
    """A tmpfs of that size; the function resizes it."""
    directory.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "none", str(directory)]
    if os.geteuid() != 0 or not shutil.which("mount") or subprocess.run(command, check=False).returncode:
        pytest.skip("may not mount a small file system here")
    try:
        yield lambda size: subprocess.run(["mount", "-o", f"remount,size={size}m", str(directory)], check=True) and None
    finally:
        subprocess.run(["umount", "-l", str(directory)], check=True)


@pytest.mark.parametrize("megabytes", [150, 220])
def test_full_disk(tmp_path: Path, megabytes: int) -> None:
    with small_disk(tmp_path / "disk", megabytes) as resize:
        server = Server(tmp_path / "disk/node")
        server.log = tmp_path / "log"
        server.start()
        acknowledged = 0
        try:
            with server.connect() as connection:
                connection.execute("CREATE TABLE t (id int PRIMARY KEY, payload text NOT NULL)")
                with pytest.raises(psycopg.Error) as caught:
                    while acknowledged < 2_000_000:
                        insert(connection, acknowledged, 5000, 5000)
                        acknowledged += 5000
            assert acknowledged > 5000
            assert server.process is not None
            print(f"{acknowledged} rows acknowledged, then {caught.value!r}, exit status {server.process.poll()}")
            if isinstance(caught.value, psycopg.errors.DiskFull):
                # Refused and still serving: what was acknowledged can be read, and with more space it goes on.
                assert_rows(rows_of(server), acknowledged)
                resize(1000)
                with server.connect() as connection:
                    insert(connection, acknowledged, 100)
                acknowledged += 100
                assert server.stop() == 0
            else:
                assert server.process.wait(10) == EXIT_JOURNAL
                assert "No space left" in server.log.read_text()
                resize(1000)
            recovers(server, acknowledged)
        finally:
            server.kill()


# ── power cuts, in process ─────────────────────────────────────────────────────────────────────────────────────────────


async def life(
    disk: SimulatedDisk, directory: Path, work: Callable[[Node, psycopg.AsyncConnection], Awaitable[None]]
) -> Node:
    """A node in this process on a simulated disk, its view on the real one, until `work` returns; then it is as if the power
    had failed: nothing is closed in order."""
    environment = Environment(SystemClock(), random.SystemRandom(), disk, SystemNetwork())
    node = Node(Config(data_directory=str(directory), pg_port=0, http_port=0), environment)
    await node.start()
    connection = await psycopg.AsyncConnection.connect(
        f"host=127.0.0.1 port={node.pg_port} user=postgres dbname=postgres", autocommit=True
    )
    try:
        await work(node, connection)
    finally:
        await connection.close()
        await node.abandon()
    return node


@pytest.mark.parametrize("loss", list(Loss))
def test_power_cuts(tmp_path: Path, loss: Loss) -> None:
    """Whatever a power cut does to un-synchronized writes, what was acknowledged is there. The view may even survive with more
    than the journal: then it is thrown away."""
    disk = SimulatedDisk()
    seed = random.randrange(1 << 32)
    print("seed", seed)
    chance = random.Random(seed)
    acknowledged = 0

    async def write(node: Node, connection: psycopg.AsyncConnection) -> None:
        nonlocal acknowledged
        await connection.execute("CREATE TABLE IF NOT EXISTS t (id int PRIMARY KEY, payload text NOT NULL)")
        cursor = await connection.execute("SELECT id, payload FROM t ORDER BY id")
        found = await cursor.fetchall()
        assert_rows(found, acknowledged)
        acknowledged = len(found)
        for _ in range(chance.randrange(1, 60)):
            await connection.execute("INSERT INTO t VALUES (%s, %s)", (acknowledged, payload(acknowledged)))
            acknowledged += 1
        # One more is under way when the power fails; nobody was told that it is committed.
        pending = asyncio.ensure_future(
            connection.execute("INSERT INTO t VALUES (%s, %s)", (acknowledged, payload(acknowledged)))
        )
        await asyncio.sleep(chance.random() * 0.002)
        if pending.done():
            acknowledged += 1
        pending.cancel()

    async def lives() -> None:
        for _ in range(30 if SOAK else 4):
            await life(disk, tmp_path, write)
            disk.crash(chance, loss)

    asyncio.run(lives())


@pytest.mark.parametrize("operation", ["synchronize", "write"])
def test_errors_of_the_simulated_disk(tmp_path: Path, operation: str) -> None:
    """EIO on any write or synchronization of the Raft log: the client is told that the outcome is unknown, the node stops."""
    disk = SimulatedDisk()

    async def write(node: Node, connection: psycopg.AsyncConnection) -> None:
        await connection.execute("CREATE TABLE t (id int PRIMARY KEY)")
        disk.fail(operation, 5, after=3, path="/raft/")
        inserted = 0
        with pytest.raises(psycopg.Error):
            for number in range(1000):
                await connection.execute("INSERT INTO t VALUES (%s)", (number,))
                inserted = number
        assert inserted < 5
        await asyncio.wait_for(node.stopped.wait(), 5)
        assert "Input/output error" in str(node.fatal)

    asyncio.run(life(disk, tmp_path, write))
