"""`boreal cluster start` and its verbs, as somebody at a terminal meets them; and what they are made of.

Method: the real command in a session of its own, its verbs from other processes, Ctrl-C at the end. Nothing may be left behind.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import msgspec
import psycopg
import pytest

from deploy.cluster import ClusterError, LocalCluster, parse_duration_us, parse_wan
from deploy.config import ConfigError, load
from loadtest.compare import foreign_environment

ROOT = Path(__file__).parent.parent.parent
WITHIN_SECONDS = 60.0


def boreal(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "deploy.cli", "cluster", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**foreign_environment(), "COLUMNS": "160"},
        timeout=90,
    )


def test_durations() -> None:
    assert [parse_duration_us(text) for text in ("12ms", "250us", "-1.5s", "3")] == [12_000, 250, -1_500_000, 3000]
    with pytest.raises(ClusterError, match="12 m"):
        parse_duration_us("12 m")


def test_wan() -> None:
    assert parse_wan("12ms, 62ms,60ms", 3) == {(0, 1): 12_000, (0, 2): 62_000, (1, 2): 60_000}
    for wrong in ("12ms", "12ms,62ms,-60ms", "12ms,62ms,60ms,1ms"):
        with pytest.raises(ClusterError, match="1-2, 1-3, 2-3"):
            parse_wan(wrong, 3)


def test_what_is_made(tmp_path: Path) -> None:
    made = LocalCluster.make(tmp_path, settings={"leader_preferred": "n1", "fast_commit": "true", "drain_seconds": "2"})
    configs = [load(tmp_path / node.name / "boreal.toml", {}, {}) for node in made.nodes]
    assert [config.is_witness for config in configs] == [False, False, True]
    assert [config.peer_address[1] for config in configs] == [node.peer_port for node in made.nodes]
    assert all(
        config.fast_commit and config.leader_preferred == "n1" and config.drain_seconds == 2 for config in configs
    )
    assert LocalCluster.open(tmp_path).nodes == made.nodes
    with pytest.raises(ClusterError, match="already"):
        LocalCluster.make(tmp_path)
    with pytest.raises(ClusterError, match="no local cluster"):
        LocalCluster.open(tmp_path / "n1")
    with pytest.raises(ConfigError, match=r"boreal\.toml.*fast_comit"):
        LocalCluster.make(tmp_path / "wrong", settings={"fast_comit": "true"})
    fixed = LocalCluster.make(tmp_path / "fixed", regions=5, witness=False, base_port=20_000)
    assert (fixed.nodes[4].pg_port, fixed.nodes[4].http_port, fixed.nodes[4].peer_port) == (20_005, 20_105, 20_205)
    assert not any(node.witness for node in fixed.nodes)


def test_stop_ends_nodes_that_joined_later(tmp_path: Path) -> None:
    """By another process: what stands in for the node is whoever holds the lock on its data directory."""
    made = LocalCluster.make(tmp_path)
    other = LocalCluster.open(tmp_path)
    other.nodes = (*other.nodes, msgspec.structs.replace(other.nodes[0], name="n4", founder=False))
    other._write({})
    program = (
        "import sys, time, pathlib; from deploy.directory import lock\n"
        "with lock(pathlib.Path(sys.argv[1])): print('locked', flush=True); time.sleep(60)"
    )
    made.data("n4").mkdir(parents=True)
    with subprocess.Popen(
        [sys.executable, "-c", program, str(made.data("n4"))], cwd=ROOT, stdout=subprocess.PIPE
    ) as node:
        assert node.stdout is not None
        assert node.stdout.readline() == b"locked\n"
        assert made.stop() == []
        assert node.wait(5) == -signal.SIGTERM


def test_faults_are_written(tmp_path: Path) -> None:
    made = LocalCluster.make(tmp_path)
    made.set_wan(parse_wan("12ms,62ms,60ms", 3))
    made.partition(["n1"])
    made.partition(["n3"], one_way=True)
    made.skew("n2", -5000)
    first, second, third = (made.faults(node.name) for node in made.nodes)
    assert first.delays_ms == {"n2": 6.0, "n3": 31.0}
    assert second.delays_ms == {"n1": 6.0, "n3": 30.0}
    assert (first.cut, second.cut, third.cut) == (("n2", "n3"), ("n1",), ("n1", "n2"))
    assert second.skew_us == -5000
    made.heal()
    assert all(not made.faults(node.name).cut and not made.faults(node.name).skew_us for node in made.nodes)
    assert made.faults("n1") == made.faults("n1").__class__(delays_ms={"n2": 6.0, "n3": 31.0})
    made.bridge("n3")
    assert [made.faults(node.name).cut for node in made.nodes] == [("n2",), ("n1",), ()]
    made.heal()
    made.deafen(["n1"])
    made.slow_disk("n2", 80.0)
    made.fill_disk("n3")
    assert [made.faults(node.name).cut for node in made.nodes] == [(), ("n1",), ("n1",)]
    assert (made.faults("n2").disk_delay_ms, made.faults("n3").disk_full) == (80.0, True)
    made.heal()
    assert made.faults("n2") == made.faults("n2").__class__(delays_ms={"n1": 6.0, "n3": 30.0})
    assert not made.faults("n3").disk_full
    for names in ([], ["n1", "n2", "n3"], ["n4"]):
        with pytest.raises(ClusterError):
            made.partition(names)
    for act in (made.kill, made.pause, made.resume):
        with pytest.raises(ClusterError, match="n1 does not run"):
            act("n1")


@pytest.mark.timeout(180)
@pytest.mark.xdist_group("three_regions")
def test_a_session_at_the_terminal(tmp_path: Path) -> None:
    data, output = ["--data", str(tmp_path)], tmp_path / "output"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "deploy.cli", "cluster", "start", "--base-port", "0", "--wan", "4ms,8ms,8ms", *data],
            stdout=file,
            stderr=file,
            cwd=ROOT,
            env={**foreign_environment(), "COLUMNS": "160"},
        )
    try:
        began = time.monotonic()
        while "Ctrl-C" not in output.read_text():
            assert process.poll() is None, output.read_text()
            assert time.monotonic() - began < WITHIN_SECONDS
            time.sleep(0.1)
        print(f"three nodes ready after {time.monotonic() - began:.1f} s")
        found = LocalCluster.open(tmp_path)
        for node in found.nodes[:2]:
            assert f"psql -h 127.0.0.1 -p {node.pg_port}" in output.read_text()
        assert "in use by process" in boreal("start", *data).stderr
        assert boreal("pause", "n3", *data).stdout == "n3 is paused\n"
        assert boreal("kill", "n2", *data).stdout == "n2 is killed\n"
        done = boreal("status", "--json", *data)
        assert done.returncode == 1
        statuses = json.loads(done.stdout)
        assert statuses["n1"]["name"] == "n1"
        assert (statuses["n2"], statuses["n3"]) == (None, None)
        assert boreal("resume", "n3", *data).stdout == "n3 goes on\n"
        done = boreal("revive", "n2", *data)
        assert done.returncode == 0, done.stderr
        found.wait_until_ready(["n1", "n2", "n3"])
        table = boreal("status", *data)
        assert table.returncode == 0, table.stdout
        assert table.stdout.count("ready") == 3
        assert "n2 has ended with -9" in output.read_text()
        assert boreal("kill", "n7", *data).returncode == 1
        processes = [found.process(node.name) for node in found.nodes]
        assert None not in processes
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0, output.read_text()
        assert [found.process(node.name) for node in found.nodes] == [None] * 3
        for number in processes:
            assert not is_running(number or 0)
    finally:
        process.kill()
        process.wait()
        LocalCluster.open(tmp_path).stop()


def test_one_of_three_waits_for_the_others(tmp_path: Path) -> None:
    """It says so, everywhere, refuses what it must, and can be stopped."""
    made = LocalCluster.make(tmp_path, settings={"join_seconds": "1"})
    try:
        made.start("n1")
        until(lambda: "waits for a majority" in made.log("n1").read_text(), made)
        status = made.status("n1")
        assert status is not None
        assert status.cluster is not None
        assert (status.ready, status.leader, status.cluster.leader, status.cluster.has_majority) == (
            False,
            False,
            None,
            False,
        )
        assert "majority" in status.waiting_for
        with pytest.raises(urllib.error.HTTPError, match="503"):
            urllib.request.urlopen(f"{made.nodes[0].url}/ready", timeout=5)
        with psycopg.connect(made.nodes[0].dsn, autocommit=True) as connection:
            for sql in ("CREATE TABLE t (id int)", "SELECT count(*) FROM pg_class"):
                began = time.monotonic()
                with pytest.raises(psycopg.errors.CannotConnectNow):
                    connection.execute(sql)
                assert time.monotonic() - began < 3
    finally:
        assert made.stop() == []


def test_whoever_waits_can_be_stopped(tmp_path: Path) -> None:
    made = LocalCluster.make(tmp_path, settings={"join_seconds": "300"})
    try:
        made.start("n3")
        until(lambda: made.status("n3") is not None, made)
        process = made.process("n3")
        assert process is not None
        began = time.monotonic()
        os.kill(process, signal.SIGTERM)
        found: dict[str, int] = {}
        until(lambda: bool(found.update(made.ended()) or found), made)
        assert found == {"n3": 0}
        assert time.monotonic() - began < 10
        assert "Traceback" not in made.log("n3").read_text()
    finally:
        assert made.stop() == []


def test_without_certificates_on_loopback(tmp_path: Path) -> None:
    made = LocalCluster.make(tmp_path, settings={"peer_tls": "off"})
    try:
        for name in ("n1", "n3"):
            made.start(name)
        made.wait_until_ready(["n1", "n3"])
    finally:
        assert made.stop() == []


def until(what: Callable[[], bool], cluster: LocalCluster) -> None:
    began = time.monotonic()
    while not what():
        assert time.monotonic() - began < WITHIN_SECONDS, [cluster.log(node.name) for node in cluster.nodes]
        time.sleep(0.05)


def is_running(process: int) -> bool:
    """Whether it is a process that has not ended (one without a parent that waits may linger as a zombie)."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
