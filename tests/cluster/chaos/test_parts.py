"""What judges and what strikes, without a cluster: gaps by hand, schedules by seed, an event that is missing.

Method: commits and strikes as numbers; a cluster that is made and never started.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from random import Random

import msgspec
import pytest

from deploy.cluster import LocalCluster
from journal.event import Event, WriteKind
from tests.checker.history import Append, Outcome, ReadList, Transaction
from tests.cluster.chaos import gaps, judgement
from tests.cluster.chaos.clients import Keys
from tests.cluster.chaos.nemesis import Fault, Nemesis, Strike, faults
from tests.cluster.chaos.recorder import Attempt, Recorder
from tests.cluster.chaos.run import Plan, run


def strike(name: str, victim: str, began_ms: int, healed_ms: int) -> Strike:
    fault = next(each for each in faults() if each.name == name)
    return Strike(fault, victim, "n1", began_ms * 1000, True, healed_ms * 1000)


def commits(node: str, *times_ms: int) -> list[tuple[int, str]]:
    return [(time_ms * 1000, node) for time_ms in times_ms]


def test_a_gap_belongs_to_the_fault_that_it_follows() -> None:
    strikes = [strike("isolate leader", "n1", 1000, 3000), strike("nothing", "n2", 6000, 7000)]
    seen = commits("n2", 900, 990, 1890, 2000, 3100, 3130, 3150, 5800, 5990, 6090, 6100, 7000)
    first, second = gaps.measure(seen, strikes, 8_000_000)
    assert (first.during_ms, first.after_ms) == (1100, 2650)  # 2000–3100 began before the healing
    assert (second.during_ms, second.after_ms) == (900, 0)
    spilling = gaps.measure(commits("n2", 900, 1000, 5000, 6500, 6600), strikes, 8_000_000)
    assert [(gap.during_ms, gap.after_ms) for gap in spilling] == [(4000, 1500), (100, 0)]


def test_commits_of_a_silenced_victim_do_not_count() -> None:
    seen = sorted(commits("n1", 900, 1050, 1100) + commits("n2", 950, 1300))
    (kill,) = gaps.measure(seen, [strike("kill leader", "n1", 1000, 2000)], 2_000_000)
    assert kill.during_ms == 350
    (slow,) = gaps.measure(seen, [strike("slow disk leader", "n1", 1000, 2000)], 2_000_000)
    assert slow.during_ms == 200


def test_the_table_has_a_line_for_each_kind() -> None:
    found = gaps.measure(
        commits("n2", 900, 1500, 1600, 6000, 6100),
        [strike("nothing", "n1", 1000, 2000), strike("nothing", "n1", 6000, 7000)],
        8_000_000,
    )
    assert [line.split()[:3] for line in gaps.table(found)[1:]] == [["nothing", "2", "4400"]]


def schedule(cluster: LocalCluster, seed: int, kinds: tuple[Fault, ...]) -> list[tuple[str, float, float, float]]:
    nemesis = Nemesis(cluster, kinds, Random(seed), print, lambda: True)
    return [(fault.name, *rest) for fault, *rest in itertools.islice(nemesis._schedule(), 3 * len(kinds))]


def test_the_seed_is_the_schedule(tmp_path: Path) -> None:
    cluster = LocalCluster.make(tmp_path / "with", witness=True)
    found = schedule(cluster, 7, faults())
    assert found == schedule(cluster, 7, faults())
    assert found != schedule(cluster, 8, faults())
    names = [name for name, *_ in found]
    for turn in range(3):
        deck = names[turn * len(faults()) : (turn + 1) * len(faults())]
        assert sorted(deck) == sorted(fault.name for fault in faults())
    assert all(0.8 <= seconds <= 3.0 for _, seconds, *_ in found)
    without = LocalCluster.make(tmp_path / "without", witness=False)
    assert "kill witness" not in {name for name, *_ in schedule(without, 7, faults())}


def test_victims(tmp_path: Path) -> None:
    cluster = LocalCluster.make(tmp_path, witness=True)
    nemesis = Nemesis(cluster, faults(), Random(1), print, lambda: True)
    assert nemesis._victim("leader", "n2", 0.9) == "n2"
    assert nemesis._victim("follower", "n2", 0.9) == "n1"
    assert nemesis._victim("witness", "n2", 0.0) == "n3"
    assert [nemesis._victim("any", "n2", which) for which in (0.0, 0.5, 0.99)] == ["n1", "n2", "n3"]
    assert nemesis._victim("leader", "", 0.99) == "n3"  # nobody leads: whoever


def test_minorities(tmp_path: Path) -> None:
    five = LocalCluster.make(tmp_path, regions=5)
    apart = next(each for each in faults() if each.name == "minority apart")
    apart.strike(five, "n5", 0.0)
    assert five.faults("n5").cut == ("n2", "n3", "n4")
    assert five.faults("n2").cut == ("n5", "n1")


def test_keys_are_renewed() -> None:
    now = [0.0]
    keys = Keys(100.0, lambda: now[0])
    dice = Random(1)
    (key,) = keys.choose(dice, 1)
    values = [keys.value(key) for _ in range(Keys.WRITES_MAX)]
    assert len(set(values)) == Keys.WRITES_MAX
    assert all(key not in keys.choose(dice, 5) for _ in range(50))
    own = keys.own("c1")
    assert own == keys.own("c1") != keys.own("c2")
    assert {key, own} <= set(keys.newest)
    now[0] = 101.0
    assert not set(keys.choose(dice, 50)) & set(range(keys.generations[0], keys.generations[1]))
    assert keys.own("c1") >= keys.generations[1]
    assert len(keys.generations) == 2


def committed(client: str, began_us: int, *operations: Append | ReadList, txid: int, snapshot_us: int) -> Transaction:
    return Transaction(
        client=client,
        process=0,
        began_us=began_us,
        ended_us=began_us + 5,
        outcome=Outcome.COMMITTED,
        operations=operations,
        txid=txid,
        snapshot_us=snapshot_us,
    )


def event(position: int, txid: int, *elements: int) -> Event:
    key = (7).to_bytes(4, "big") + b"\0\0" + b"k"
    row = msgspec.msgpack.encode([1, list(elements)])
    return Event(
        position, 100 * position, txid, (1, "", ""), [], [], 0, False, [], False, [(key, row, WriteKind.UPDATE)]
    )


@pytest.mark.parametrize("lost", [False, True])
def test_an_acknowledged_transaction_that_is_missing_is_found(lost: bool) -> None:
    recorder = Recorder()
    recorder.keyed = [
        committed("c1", 10, Append("l1", 5), txid=1, snapshot_us=0),
        committed("c2", 20, ReadList("l1", (5,)), Append("l1", 6), txid=2, snapshot_us=100),
    ]
    events = [event(1, 1, 5), *([] if lost else [event(2, 2, 5, 6)])]
    decode = judgement.Decoder({(7).to_bytes(4, "big") + b"\0\0": "l"})
    verdicts, _ = judgement.judge(recorder, events, decode, [1], inversions=True)
    found = {name: verdict.names for name, verdict in verdicts}
    assert found["proof"] == ({"acknowledged but missing"} if lost else frozenset())
    assert not found["bank"]
    assert not found["isolation of generation 1"]


def test_what_nobody_expects_is_kept() -> None:
    recorder = Recorder()
    recorder.refused("c1 at n1", "40001", "conflict")
    recorder.refused("c1 at n1", "XX000", "internal")
    assert recorder.surprises == ["c1 at n1: internal"]
    attempt = Attempt("c1", 0, "n1", operations=[Append("l1", 1)], txid=9)
    recorder.ended(attempt, Outcome.UNKNOWN, "gone", bank=False)
    assert not recorder.commits
    assert judgement.unknown_fates(recorder, ()) == (1, 0)


def test_unknown_faults_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="kill everybody"):
        run(Plan(1, 1.0, kinds=("kill everybody",), directory=tmp_path / "d"))
