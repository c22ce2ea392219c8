"""Three regions, real processes: two full nodes and a witness, with certificates, on loopback (`deploy.cluster`).

Method: one cluster for the module, hurt in one test after another, each of which leaves it whole. What a client saw is compared
with what every full node holds afterwards. How long things took is printed (`-s` shows it) and bounded generously: slow machines
are no failures.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from deploy.cli import EXIT_JOURNAL
from deploy.cluster import LocalCluster
from deploy.control import ControlError, LeaderOrder, MemberOrder, give_order
from deploy.verification import verify_directory

WITHIN_SECONDS = 15.0
FAULTS_SECONDS = 0.3
"""How long nodes take to notice what `partition` has told them; a cut-off leader does not know yet by then."""

pytestmark = [pytest.mark.xdist_group("three_regions"), pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    made = LocalCluster.make(tmp_path_factory.mktemp("regions"))
    try:
        for node in made.nodes:
            made.start(node.name)
        made.wait_until_ready([node.name for node in made.nodes])
        with connect(made, next(node.name for node in made.nodes if not node.witness)) as connection:
            connection.execute("CREATE TABLE t (id int PRIMARY KEY)")
        yield made
    finally:
        late = made.stop()
    assert not late, "did not drain"
    for node in made.nodes:
        if not node.witness:
            report = verify_directory(made.data(node.name))
            assert report.ok


def connect(cluster: LocalCluster, name: str) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(cluster.node(name).dsn, autocommit=True, connect_timeout=5)


def eventually(what: Callable[[], bool], seconds_max: float = WITHIN_SECONDS) -> float:
    """Seconds until it is so."""
    began = time.monotonic()
    while not what():
        assert time.monotonic() - began < seconds_max, "did not happen in time"
        time.sleep(0.02)
    return time.monotonic() - began


def exit_status(cluster: LocalCluster, name: str) -> int:
    """Of a node that is about to end."""
    found: dict[str, int] = {}

    def ended() -> bool:
        found.update(cluster.ended())
        return name in found

    eventually(ended)
    return found[name]


def value(connection: psycopg.Connection[tuple[object, ...]], sql: str) -> Any:
    row = connection.execute(sql.encode()).fetchone()
    assert row is not None
    return row[0]


def farewell(connection: psycopg.Connection[tuple[object, ...]]) -> str:
    """What the server says when it ends a session that asks for nothing. (libpq would ask first, and lose the answer to the reset.)"""
    with socket.socket(fileno=os.dup(connection.fileno())) as raw:
        raw.settimeout(WITHIN_SECONDS)
        return raw.recv(1000).decode()


def rows(cluster: LocalCluster, name: str) -> list[int]:
    with connect(cluster, name) as connection:
        return [int(str(row[0])) for row in connection.execute("SELECT id FROM t ORDER BY id").fetchall()]


def full_nodes(cluster: LocalCluster) -> list[str]:
    return [node.name for node in cluster.nodes if not node.witness]


def lead(cluster: LocalCluster) -> str:
    """The leader, which is a full node: a witness hands over as soon as it can."""
    eventually(lambda: cluster.leader() in full_nodes(cluster))
    return str(cluster.leader())


def insert_until_committed(cluster: LocalCluster, name: str, number: int) -> float:
    """Seconds until the row is there, trying again after whatever says that it is not."""
    began = time.monotonic()
    while True:
        try:
            with connect(cluster, name) as connection:
                connection.execute("INSERT INTO t VALUES (%s)", (number,))
            return time.monotonic() - began
        except psycopg.errors.UniqueViolation:
            return time.monotonic() - began  # an unknown outcome had been a commit
        except psycopg.OperationalError:
            assert time.monotonic() - began < WITHIN_SECONDS
            time.sleep(0.02)


def test_both_regions_read_and_write(cluster: LocalCluster) -> None:
    first, second = full_nodes(cluster)
    lead(cluster)
    with connect(cluster, first) as connection:
        connection.execute("INSERT INTO t VALUES (1)")
    with connect(cluster, second) as connection:
        connection.execute("INSERT INTO t VALUES (2)")
        assert {1, 2} <= set(rows(cluster, first))
        assert rows(cluster, first) == rows(cluster, second)


def test_many_writes_of_each_region(cluster: LocalCluster) -> None:
    names = full_nodes(cluster)
    took = {}
    for offset, name in enumerate(names):
        began = time.monotonic()
        with connect(cluster, name) as connection:
            for number in range(50):
                connection.execute("INSERT INTO t VALUES (%s)", (1000 + 2 * number + offset,))
        took[name] = (time.monotonic() - began) * 20
    print(f"ms a commit, the leader being {cluster.leader()}: {took}")
    for name in names:
        assert [row for row in rows(cluster, name) if 1000 <= row < 2000] == list(range(1000, 1100))


def test_what_is_acknowledged_in_one_region_is_read_in_the_other(cluster: LocalCluster) -> None:
    """Strong reads: no commit that has been acknowledged is missing from a read that begins afterwards, anywhere."""
    first, second = full_nodes(cluster)
    with connect(cluster, first) as one, connect(cluster, second) as other:
        paths = [each.execute("SHOW boreal.read_path").fetchone() for each in (one, other)]
        for number in range(2000, 2060):
            writer, reader = (one, other) if number % 2 else (other, one)
            writer.execute("INSERT INTO t VALUES (%s)", (number,))
            assert reader.execute("SELECT max(id) FROM t WHERE id < 3000").fetchone() == (number,)
    assert sorted(str(path) for (path,) in paths) == ["index", "local"]  # type: ignore[misc]


def test_status_of_every_node(cluster: LocalCluster) -> None:
    leader = lead(cluster)
    for node in cluster.nodes:
        status = cluster.status(node.name)
        assert status is not None
        assert status.cluster is not None
        assert (status.ready, status.cluster.leader, status.region) == (True, leader, node.region)
        assert status.leader == (node.name == leader)
        assert [member.name for member in status.cluster.members] == ["n1", "n2", "n3"]
        assert [member.role for member in status.cluster.members].count("leader") == 1
        assert (status.cluster.read_path is None) == node.witness
        known = [member.entries_behind is not None for member in status.cluster.members]
        assert known == [node.name == leader] * 3


def test_strangers_get_not_a_byte(cluster: LocalCluster) -> None:
    """Beyond TLS's own handshake, which has to say that a certificate is wanted, nothing comes."""
    trusted = cluster.directory / "certificates" / "ca.pem"
    for node in cluster.nodes:
        with socket.create_connection(("127.0.0.1", node.peer_port), 5) as plain:
            plain.sendall(b"\x00\x00\x00\x10" + bytes(16))
            assert_no_answer(plain)
        stranger = ssl.create_default_context(cafile=str(trusted))
        with socket.create_connection(("127.0.0.1", node.peer_port), 5) as connection:
            try:
                # TLS 1.3: the client's side of the handshake ends before the server has refused it.
                with stranger.wrap_socket(connection, server_hostname="127.0.0.1") as secured:
                    secured.sendall(b"\x00\x00\x00\x10" + bytes(16))
                    assert_no_answer(secured)
            except ssl.SSLError as error:
                assert "certificate required" in str(error).lower()
    eventually(lambda: all(getattr(cluster.status(node.name), "ready", False) for node in cluster.nodes))


def assert_no_answer(connection: socket.socket) -> None:
    """The connection ends, and nothing but a TLS alert may have come."""
    connection.settimeout(10)
    try:
        data = connection.recv(100)
    except ssl.SSLError as error:
        assert "certificate required" in str(error).lower()
        return
    except ConnectionError:
        return
    assert data == b"" or data[:1] == b"\x15", data


def test_kill_nine_of_the_leader(cluster: LocalCluster) -> None:
    leader = lead(cluster)
    other = next(name for name in full_nodes(cluster) if name != leader)
    insert_until_committed(cluster, leader, 3000)
    cluster.kill(leader)
    seconds = insert_until_committed(cluster, other, 3001)
    print(f"the first commit after the leader's death took {seconds:.2f} s")
    assert cluster.leader() == other or cluster.status("n3") is not None
    cluster.start(leader)
    cluster.wait_until_ready([leader])
    insert_until_committed(cluster, leader, 3002)
    for name in full_nodes(cluster):
        assert {3000, 3001, 3002} <= set(rows(cluster, name))


def test_an_unknown_outcome_is_known_elsewhere_later(cluster: LocalCluster) -> None:
    """The leader's region is paused with COMMITs under way, and its clients get no answer. Every one of them, asked for on the other
    full node by the id that the client knew beforehand, has committed or aborted, as the data says, then and after the region is
    back; also what was never proposed."""
    leader = lead(cluster)
    other = next(name for name in full_nodes(cluster) if name != leader)
    clients = [connect(cluster, leader) for _ in range(8)]
    ids: list[int] = []
    for number, client in enumerate(clients):
        client.execute("BEGIN")
        client.execute("INSERT INTO t VALUES (%s)", (500 + number,))
        ids.append(value(client, "SELECT txid_current()"))
    assert value(clients[0], f"SELECT sys.transaction_status({ids[0]})") == "in progress"
    half = len(clients) // 2
    for client in clients[:half]:
        client.pgconn.send_query(b"COMMIT")
        client.pgconn.flush()
    cluster.pause(leader)
    insert_until_committed(cluster, other, 600)
    with connect(cluster, other) as asker:
        said = [value(asker, f"SELECT sys.transaction_status({txid})") for txid in ids]
    print(f"said of {half} COMMITs at the moment of the pause, and of {half} open transactions: {said}")
    assert set(said[:half]) <= {"committed", "aborted"}
    assert said[half:] == ["aborted"] * half
    cluster.resume(leader)
    for client in clients[half:]:
        with pytest.raises(psycopg.Error) as refused:
            client.execute("COMMIT")
        assert refused.value.sqlstate in ("40001", "40003", "57P03")
    for client in clients:
        client.close()
    cluster.wait_until_ready([leader])
    there = [500 + number for number, each in enumerate(said) if each == "committed"]
    for name in full_nodes(cluster):
        assert [row for row in rows(cluster, name) if 500 <= row < 600] == there
        with connect(cluster, name) as asker:
            answers = [value(asker, f"SELECT sys.transaction_status({txid})") for txid in ids]
        assert answers == said


def test_a_commit_that_is_cut_off_ends_and_names_its_transaction(cluster: LocalCluster) -> None:
    """A COMMIT ordered by a leader that nobody hears: it ends with 40001, 57P03 or 40003 and, in the latter case, with the id to
    ask for. The minority does not claim to know; the majority does."""
    leader = lead(cluster)
    other = next(name for name in full_nodes(cluster) if name != leader)
    with connect(cluster, leader) as client:
        client.execute("BEGIN")
        client.execute("INSERT INTO t VALUES (700)")
        txid = value(client, "SELECT txid_current()")
        cluster.partition([leader])
        time.sleep(FAULTS_SECONDS)
        began = time.monotonic()
        with pytest.raises(psycopg.Error) as ended:
            client.execute("COMMIT")
        print(
            f"ended with {ended.value.sqlstate} after {time.monotonic() - began:.2f} s: {ended.value.diag.message_detail}"
        )
        assert ended.value.sqlstate in ("40001", "40003", "57P03")
        if ended.value.sqlstate == "40003":
            assert f"Transaction {txid}" in str(ended.value.diag.message_detail)
            assert f"sys.transaction_status({txid})" in str(ended.value.diag.message_hint)
    insert_until_committed(cluster, other, 701)
    with connect(cluster, leader) as asker, pytest.raises(psycopg.errors.CannotConnectNow):
        value(asker, f"SELECT sys.transaction_status({txid})")
    with connect(cluster, leader) as asker:
        asker.execute("BEGIN AS OF POSITION 1")  # reads in the past are served, and know no more
        assert value(asker, f"SELECT sys.transaction_status({txid})") == "unknown"
    with connect(cluster, other) as asker:
        assert value(asker, f"SELECT sys.transaction_status({txid})") == "aborted"
    cluster.heal()
    cluster.wait_until_ready([leader])
    assert 700 not in rows(cluster, leader)
    with connect(cluster, leader) as asker:
        assert value(asker, f"SELECT sys.transaction_status({txid})") == "aborted"


def test_draining_ends_sessions_with_57p01(cluster: LocalCluster) -> None:
    """An idle session ends at once, an open transaction may still commit, and then ends with the same."""
    leader = lead(cluster)
    process = cluster.process(leader)
    assert process is not None
    idle, working = connect(cluster, leader), connect(cluster, leader)
    working.execute("BEGIN")
    working.execute("INSERT INTO t VALUES (800)")
    os.kill(process, signal.SIGTERM)
    assert "C57P01" in farewell(idle)
    told: list[str | None] = []
    working.add_notice_handler(lambda notice: told.append(notice.sqlstate))
    working.execute("COMMIT")
    if (
        not working.closed
    ):  # it may have come together with COMMIT's answer: then libpq has it, and says so here or nowhere
        told.append("57P01" if "C57P01" in farewell(working) else None)
    with pytest.raises(psycopg.OperationalError):
        working.execute("SELECT 1")
    assert set(told) <= {"57P01", None}
    began = time.monotonic()
    assert exit_status(cluster, leader) == 0
    with pytest.raises(psycopg.OperationalError):
        connect(cluster, leader)
    assert time.monotonic() - began < 5  # who comes to a dead gateway learns it at once
    cluster.start(leader)
    cluster.wait_until_ready([leader])
    assert 800 in rows(cluster, leader)


def test_a_minority_refuses_writes(cluster: LocalCluster) -> None:
    """The leader, cut off from both others, must say 57P03; the rest goes on; afterwards it follows again by itself."""
    leader = lead(cluster)
    other = next(name for name in full_nodes(cluster) if name != leader)
    with connect(cluster, leader) as connection:
        count = value(connection, "SELECT count(*) FROM t")
    status = cluster.status(leader)
    assert status is not None
    past = f"AS OF POSITION {status.position}"
    with connect(cluster, leader) as cut_off:
        cluster.partition([leader])
        seconds = insert_until_committed(cluster, other, 4000)
        print(f"the majority's first commit after the partition took {seconds:.2f} s")
        eventually(lambda: not getattr(cluster.status(leader), "ready", True))
        began = time.monotonic()
        with pytest.raises(psycopg.Error) as refused:
            cut_off.execute("INSERT INTO t VALUES (4001)")
        print(f"refused with {refused.value.sqlstate} after {time.monotonic() - began:.2f} s")
        assert refused.value.sqlstate == "57P03"
        began = time.monotonic()
        with pytest.raises(psycopg.errors.CannotConnectNow):
            cut_off.execute("SELECT count(*) FROM t")
        assert time.monotonic() - began < 3
        for prepare in (False, True):
            found = cut_off.execute(f"SELECT count(*) FROM t {past}".encode(), prepare=prepare).fetchone()
            assert found == (count,)
        cut_off.execute(f"PREPARE before AS SELECT count(*) FROM t {past}".encode())
        assert value(cut_off, "EXECUTE before") == count
        assert cut_off.execute(f"EXPLAIN SELECT count(*) FROM t {past}".encode()).fetchall()
        with (
            cut_off.cursor() as cursor,
            cursor.copy(f"COPY (SELECT count(*) FROM t {past}) TO STDOUT".encode()) as rows_,
        ):
            assert list(rows_.rows()) == [(str(count),)]
        with cut_off.transaction():
            cut_off.execute(f"DECLARE c CURSOR FOR SELECT count(*) FROM t {past}".encode())
            assert value(cut_off, "FETCH c") == count
        with pytest.raises(psycopg.errors.CannotConnectNow):
            cut_off.execute("SELECT count(*) FROM t", prepare=True)
    status = cluster.status(leader)
    assert status is not None
    assert "majority" in status.waiting_for
    cluster.heal()
    print(f"whole again after {eventually(lambda: getattr(cluster.status(leader), 'ready', False)):.2f} s")
    insert_until_committed(cluster, leader, 4002)
    for name in full_nodes(cluster):
        assert [row for row in rows(cluster, name) if row >= 4000] == [4000, 4002]


def test_wide_area(cluster: LocalCluster) -> None:
    """Round trips of 40 ms to the witness and between the full nodes: a commit costs one in the leader's region, and two
    in the other, or rather from there to the leader and back, and from the leader to a majority and back."""
    leader = lead(cluster)
    other = next(name for name in full_nodes(cluster) if name != leader)
    cluster.set_wan({(0, 1): 40_000, (0, 2): 40_000, (1, 2): 40_000})
    time.sleep(0.3)
    medians = {}
    for offset, name in enumerate((leader, other)):
        times = []
        with connect(cluster, name) as connection:
            for number in range(9):
                began = time.monotonic()
                connection.execute("INSERT INTO t VALUES (%s)", (5000 + 2 * number + offset,))
                times.append((time.monotonic() - began) * 1000)
        medians[name] = sorted(times)[4]
    cluster.set_wan({})
    print(f"p50 ms with 40 ms round trips: leader's region {medians[leader]:.1f}, other {medians[other]:.1f}")
    assert cluster.leader() == leader
    assert medians[leader] >= 40
    assert medians[other] >= 80


def test_a_table_made_in_one_region_is_known_in_the_other_at_once(cluster: LocalCluster) -> None:
    """Also to a statement that is prepared before it is run, to one that is described again later, and to one that reads at the position
    of its making. So is a role, to a login."""
    leader = lead(cluster)
    other = next(name for name in full_nodes(cluster) if name != leader)
    cluster.set_wan({(0, 1): 40_000})
    time.sleep(FAULTS_SECONDS)
    try:
        with connect(cluster, leader) as here, connect(cluster, other) as there:
            for number in range(5):
                table = f"made_{number}"
                for suffix, prepare in (("_a", False), ("_b", True)):
                    here.execute(f"CREATE TABLE {table}{suffix} (id int)".encode())
                    status = cluster.status(leader)
                    assert status is not None
                    past = f"SELECT * FROM {table}{suffix} AS OF POSITION {status.position}"
                    assert there.execute(past.encode(), prepare=prepare).fetchall() == []
                here.execute(f"CREATE TABLE {table} (id int)".encode())
                assert there.execute(f"SELECT * FROM {table}".encode(), prepare=True).fetchall() == []
                there.pgconn.prepare(f"p{number}".encode(), f"SELECT * FROM {table} -- {number}".encode())
                here.execute(f"ALTER TABLE {table} ADD COLUMN more text".encode())
                described = there.pgconn.describe_prepared(f"p{number}".encode())
                assert b"cached plan must not change" in described.error_message or described.nfields == 2
                here.execute(f"DROP TABLE {table}".encode())
                with pytest.raises(psycopg.errors.UndefinedTable):
                    there.execute(f"SELECT 1 FROM {table}".encode(), prepare=True)
                here.execute(f"CREATE ROLE made_{number} LOGIN".encode())
                psycopg.connect(cluster.node(other).dsn, user=f"made_{number}").close()
            with pytest.raises(psycopg.Error, match="position 1000000 does not exist yet"):
                there.execute("SELECT 1 AS OF POSITION 1000000")
    finally:
        cluster.set_wan({})


def test_draining_the_leader_hands_over(cluster: LocalCluster) -> None:
    leader = lead(cluster)
    other = next(name for name in full_nodes(cluster) if name != leader)
    process = cluster.process(leader)
    assert process is not None
    with connect(cluster, other) as connection:
        os.kill(process, signal.SIGTERM)
        slowest = 0.0
        for number in range(6000, 6040):
            began = time.monotonic()
            connection.execute("INSERT INTO t VALUES (%s)", (number,))
            slowest = max(slowest, time.monotonic() - began)
            time.sleep(0.02)
    print(f"slowest commit of the other region while the leader drained: {slowest * 1000:.0f} ms")
    assert exit_status(cluster, leader) == 0
    assert cluster.leader() == other
    cluster.start(leader)
    cluster.wait_until_ready([leader])
    assert [row for row in rows(cluster, leader) if row >= 6000] == list(range(6000, 6040))


def test_a_follower_without_a_vote(cluster: LocalCluster) -> None:
    """It joins with an empty directory, reads what is newest, writes through the leader, and stops when it is removed."""
    began = time.monotonic()
    cluster.join("n4", vote=False)
    print(f"joined after {time.monotonic() - began:.2f} s")
    expected = rows(cluster, full_nodes(cluster)[0])
    assert rows(cluster, "n4") == expected
    with connect(cluster, "n4") as connection:
        connection.execute("INSERT INTO t VALUES (8000)")
    assert rows(cluster, full_nodes(cluster)[0]) == [*expected, 8000]
    leader = lead(cluster)
    status = cluster.status(leader)
    assert status is not None
    assert status.cluster is not None
    assert [(each.name, each.role) for each in status.cluster.members if not each.voter] == [("n4", "learner")]
    other = next(name for name in full_nodes(cluster) if name not in (leader, "n4"))
    with pytest.raises(ControlError, match=f"the leader is {leader}"):
        give_order(cluster.data(other), MemberOrder("remove", "n4"))
    with pytest.raises(ControlError, match=f"{leader} leads"):
        cluster.order(MemberOrder("remove", leader))
    cluster.order(MemberOrder("remove", "n4"))
    assert exit_status(cluster, "n4") == EXIT_JOURNAL
    assert "was removed from the cluster" in cluster.log("n4").read_text()
    cluster.nodes = cluster.nodes[:3]


def test_a_voter_joins_and_leads(cluster: LocalCluster) -> None:
    cluster.join("n5", vote=True)
    status = cluster.status(lead(cluster))
    assert status is not None
    assert status.cluster is not None
    assert [each.name for each in status.cluster.members if each.voter] == ["n1", "n2", "n3", "n5"]
    cluster.order(LeaderOrder("n5"))
    eventually(lambda: cluster.leader() == "n5")
    cluster.order(LeaderOrder("n1"))
    eventually(lambda: cluster.leader() == "n1")
    cluster.order(MemberOrder("remove", "n5"))
    assert exit_status(cluster, "n5") == EXIT_JOURNAL
    cluster.nodes = cluster.nodes[:3]


def test_orders_need_the_token(cluster: LocalCluster) -> None:
    leader = cluster.node(lead(cluster))
    file = cluster.data(leader.name) / "control.json"
    assert file.stat().st_mode & 0o777 == 0o600
    for headers in ({}, {"Authorization": "Bearer x"}):
        request = urllib.request.Request(f"{leader.url}/control/leader", b'{"name": "n3"}', headers)
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(request, timeout=5)
    assert cluster.leader() == leader.name


def test_a_lost_view_comes_back(cluster: LocalCluster) -> None:
    """A killed node whose view is gone replays its event log, and goes on with the others."""
    victim = full_nodes(cluster)[1]
    cluster.kill(victim)
    shutil.rmtree(Path(cluster.data(victim)) / "view")
    insert_until_committed(cluster, full_nodes(cluster)[0], 7000)
    cluster.start(victim)
    cluster.wait_until_ready([victim])
    assert rows(cluster, victim) == rows(cluster, full_nodes(cluster)[0])


def stop(cluster: LocalCluster, name: str) -> None:
    """Drain one node and wait for its end."""
    process = cluster.process(name)
    assert process is not None
    os.kill(process, signal.SIGTERM)
    assert exit_status(cluster, name) == 0


def test_a_view_that_is_ahead_of_the_journal(cluster: LocalCluster) -> None:
    """What a crash may leave: the view has been written to disk, the journal behind it has not. The journal catches up."""
    leader = lead(cluster)
    other = next(name for name in full_nodes(cluster) if name != leader)
    stop(cluster, other)
    journal, older = cluster.data(other) / "journal", cluster.directory / "older"
    shutil.copytree(journal, older)
    cluster.start(other)
    cluster.wait_until_ready([other])
    for number in range(9000, 9010):
        insert_until_committed(cluster, other, number)
    stop(cluster, other)
    shutil.rmtree(journal)
    older.rename(journal)
    began = cluster.log(other).stat().st_size
    cluster.start(other)
    cluster.wait_until_ready([other])
    log = cluster.log(other).read_text()[began:]
    assert "ahead of the journal's" in log
    assert "replayed" in log
    assert [row for row in rows(cluster, other) if row >= 9000] == list(range(9000, 9010))
    insert_until_committed(cluster, other, 9010)
    assert rows(cluster, other) == rows(cluster, leader)


def test_a_lost_disk(cluster: LocalCluster) -> None:
    """The operator's procedure: remove, add, start on an empty directory, promote. Without it the node refuses."""
    leader = lead(cluster)
    victim = next(name for name in full_nodes(cluster) if name != leader)
    cluster.kill(victim)
    shutil.rmtree(cluster.data(victim))
    cluster.order(MemberOrder("remove", victim))
    file = cluster.directory / victim / "boreal.toml"
    file.write_text("joining = true\n" + file.read_text())
    insert_until_committed(cluster, leader, 10_000)
    cluster.order(MemberOrder("add", victim, "127.0.0.1", cluster.node(victim).peer_port))
    cluster.start(victim)
    cluster.wait_until_ready([victim])
    assert rows(cluster, victim) == rows(cluster, leader)

    def promoted() -> bool:
        try:
            cluster.order(MemberOrder("promote", victim))
        except ControlError as error:
            assert "caught up" in str(error)
            return False
        return True

    eventually(promoted)
    cluster.order(LeaderOrder(victim))
    eventually(lambda: cluster.leader() == victim)
    insert_until_committed(cluster, victim, 10_001)


def test_all_at_once(cluster: LocalCluster) -> None:
    """Power failure everywhere: nothing acknowledged is missing when two of three are back, nor when all are."""
    expected = rows(cluster, lead(cluster))
    for node in cluster.nodes:
        cluster.kill(node.name)
    cluster.start("n1")
    cluster.start("n3")
    cluster.wait_until_ready(["n1", "n3"])
    assert rows(cluster, "n1") == expected
    insert_until_committed(cluster, "n1", 11_000)
    cluster.start("n2")
    cluster.wait_until_ready(["n2"])
    assert rows(cluster, "n2") == [*expected, 11_000]
