"""Faults by the clock: every five seconds one of a shuffled deck strikes, lasts a few seconds, and is healed.

Which, for how long, how hard and, among equals, whom is drawn from the seed before anything happens; who leads at that moment is the
cluster's affair. Before a strike the nemesis waits, within a bound, until the cluster is whole, so that what is measured after
it is due to it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

from deploy.cluster import ClusterError, LocalCluster
from tests.cluster.chaos.recorder import now_us

INTERVAL_SECONDS = 5.0
LASTS_SECONDS = (0.8, 3.0)
WHOLE_SECONDS_MAX = 10.0
"""How long a strike waits for a whole cluster."""
BACK_SECONDS_MAX = 60.0
"""A node that was started again and is not ready by then is a failure."""
_POLL_SECONDS = 0.05

Act = Callable[[LocalCluster, str, float], None]
"""(cluster, victim, strength within 0 … 1)"""


@dataclass(frozen=True)
class Fault:
    """A kind of fault.

    Attributes:
        target: `leader`, `follower` (a full node that does not lead), `witness` (no such fault without one) or `any`.
        strike: what it does; it is undone by `LocalCluster.heal`, by starting what does not run and resuming what is paused.
        silences: what the victim's gateway acknowledges is left out of the measured gaps.
        stops: the node may stop by itself.
    """

    name: str
    target: str
    strike: Act
    silences: bool = False
    stops: bool = False


@dataclass
class Strike:
    """One fault as it happened; times by the clients' clock, µs.

    Attributes:
        whole: the cluster had recovered from whatever came before.
        whole_us: when it had recovered from this one; 0: not before the next.
    """

    fault: Fault
    victim: str
    leader: str
    began_us: int
    whole: bool
    healed_us: int = 0
    whole_us: int = 0
    note: str = ""


def _nothing(cluster: LocalCluster, victim: str, strength: float) -> None:
    """What the same seconds look like without a fault."""


def _kill(cluster: LocalCluster, victim: str, strength: float) -> None:
    cluster.kill(victim)


def _kill_all(cluster: LocalCluster, victim: str, strength: float) -> None:
    for node in cluster.nodes:
        cluster.kill(node.name)


def _pause(cluster: LocalCluster, victim: str, strength: float) -> None:
    cluster.pause(victim)


def _isolate(cluster: LocalCluster, victim: str, strength: float) -> None:
    cluster.partition([victim])


def _mute(cluster: LocalCluster, victim: str, strength: float) -> None:
    cluster.partition([victim], one_way=True)


def _deafen(cluster: LocalCluster, victim: str, strength: float) -> None:
    cluster.deafen([victim])


def _bridge(cluster: LocalCluster, victim: str, strength: float) -> None:
    cluster.bridge(victim)


def _split(cluster: LocalCluster, victim: str, strength: float) -> None:
    """The largest minority that has the victim in it."""
    names = [node.name for node in cluster.nodes]
    place = names.index(victim)
    cluster.partition((names[place:] + names[:place])[: (len(names) - 1) // 2])


def _slow_disk(cluster: LocalCluster, victim: str, strength: float) -> None:
    cluster.slow_disk(victim, 20 + 180 * strength)


def _fill_disk(cluster: LocalCluster, victim: str, strength: float) -> None:
    cluster.fill_disk(victim)


def skew_by(skew_us_max: int) -> Act:
    """A wrong clock, ahead or behind, by up to that."""

    def act(cluster: LocalCluster, victim: str, strength: float) -> None:
        cluster.skew(victim, round((2 * strength - 1) * skew_us_max))

    return act


def faults(skew_us_max: int = 5_000_000) -> tuple[Fault, ...]:
    """All kinds."""
    skew = skew_by(skew_us_max)
    return (
        Fault("kill leader", "leader", _kill, silences=True),
        Fault("kill follower", "follower", _kill, silences=True),
        Fault("kill witness", "witness", _kill),
        Fault("kill all", "any", _kill_all),
        Fault("pause leader", "leader", _pause, silences=True),
        Fault("pause follower", "follower", _pause, silences=True),
        Fault("isolate leader", "leader", _isolate, silences=True),
        Fault("isolate follower", "follower", _isolate, silences=True),
        Fault("mute leader", "leader", _mute, silences=True),
        Fault("mute follower", "follower", _mute, silences=True),
        Fault("deafen leader", "leader", _deafen, silences=True),
        Fault("deafen follower", "follower", _deafen, silences=True),
        Fault("minority apart", "any", _split, silences=True),
        Fault("bridge", "any", _bridge),
        Fault("slow disk leader", "leader", _slow_disk),
        Fault("slow disk follower", "follower", _slow_disk),
        Fault("full disk leader", "leader", _fill_disk, silences=True, stops=True),
        Fault("full disk follower", "follower", _fill_disk, silences=True, stops=True),
        Fault("skew leader", "leader", skew),
        Fault("skew follower", "follower", skew),
        Fault("nothing", "any", _nothing),
    )


class Nemesis:
    """Strikes a cluster.

    Args:
        kinds: to draw from; each once before any comes again.
        dice: for the schedule.
        say: one line for people.
        going: False when no further strike is to begin.
    """

    def __init__(
        self,
        cluster: LocalCluster,
        kinds: Sequence[Fault],
        dice: Random,
        say: Callable[[str], None],
        going: Callable[[], bool],
    ) -> None:
        witness = any(node.witness for node in cluster.nodes)
        self._cluster = cluster
        self._kinds = [kind for kind in kinds if kind.target != "witness" or witness]
        self._dice = dice
        self._say = say
        self._going = going
        self._killed: set[str] = set()
        self._began_us = now_us()
        self.strikes: list[Strike] = []
        self.problems: list[str] = []

    def run(self) -> None:
        """Strike until told to end; blocks, so it belongs in a thread. The last fault is healed, and the cluster whole again."""
        schedule = self._schedule()
        due = time.monotonic() + 1.0
        while self._going():
            time.sleep(max(0.0, min(_POLL_SECONDS, due - time.monotonic())))
            if time.monotonic() < due:
                continue
            whole = self.wait_until_whole(WHOLE_SECONDS_MAX)
            began = time.monotonic()
            self._strike(*next(schedule), whole=whole)
            due = max(began + INTERVAL_SECONDS, time.monotonic())
            if self.wait_until_whole(due - time.monotonic()):
                self.strikes[-1].whole_us = now_us()
        if not self.wait_until_whole(BACK_SECONDS_MAX):
            self.problems.append(f"the cluster is not whole {BACK_SECONDS_MAX:g} s after the last fault")

    def _schedule(self) -> Iterator[tuple[Fault, float, float, float]]:
        """(fault, seconds it lasts, which of equals, strength); a function of the seed."""
        while True:
            deck = list(self._kinds)
            self._dice.shuffle(deck)
            for fault in deck:
                yield fault, self._dice.uniform(*LASTS_SECONDS), self._dice.random(), self._dice.random()

    def _strike(self, fault: Fault, seconds: float, which: float, strength: float, *, whole: bool) -> None:
        cluster = self._cluster
        leader = cluster.leader() or ""
        victim = self._victim(fault.target, leader, which)
        strike = Strike(fault, victim, leader, now_us(), whole)
        self.strikes.append(strike)
        try:
            fault.strike(cluster, victim, strength)
        except ClusterError as error:  # it has just ended by itself
            strike.note = str(error)
        time.sleep(seconds)
        strike.healed_us = now_us()
        cluster.heal()
        self._mend()
        when = (strike.began_us - self._began_us) / 1e6
        self._say(
            f"{when:8.1f} s  {fault.name:<20} {victim} for {seconds:.1f} s{'' if whole else ' (not whole before)'}"
        )

    def _victim(self, target: str, leader: str, which: float) -> str:
        nodes = self._cluster.nodes
        candidates = {
            "leader": [leader] if leader else [],
            "follower": [node.name for node in nodes if not node.witness and node.name != leader],
            "witness": [node.name for node in nodes if node.witness],
        }.get(target) or [node.name for node in nodes]
        return candidates[int(which * len(candidates))]

    def _mend(self) -> None:
        """Resume what is paused, and start what has ended."""
        cluster = self._cluster
        for name, status in cluster.ended().items():
            self.strikes[-1].note += f"{name} stopped by itself with exit status {status}; "
            if not self.strikes[-1].fault.stops:
                self.problems.append(
                    f"{name} stopped by itself with exit status {status} ({self.strikes[-1].fault.name})"
                )
        for node in cluster.nodes:
            if cluster.process(node.name) is None:
                cluster.start(node.name)
            else:
                cluster.resume(node.name)

    def wait_until_whole(self, seconds_max: float) -> bool:
        """Whether all nodes are ready by then, and a full node leads. Starts what has ended late."""
        deadline = time.monotonic() + seconds_max
        while not self._is_whole():
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_SECONDS)
        return True

    def _is_whole(self) -> bool:
        statuses = [self._cluster.status(node.name) for node in self._cluster.nodes]
        if all(status is not None and status.ready for status in statuses):
            return any(status.leader and "storage" in status.roles for status in statuses if status is not None)
        for name, status in self._cluster.ended().items():
            # A full disk may stop a node after it has space again: it fails when it looks.
            last = self.strikes[-1] if self.strikes else None
            if last is None or not last.fault.stops:
                self.problems.append(f"{name} ended with exit status {status}")
            self._cluster.start(name)
        return False
