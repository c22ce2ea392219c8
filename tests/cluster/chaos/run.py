"""One run: a cluster, sixteen clients, a nemesis, and the verdict."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import psycopg

from deploy.cluster import LocalCluster, NodePlace, parse_wan
from tests.checker.history import Outcome
from tests.checker.report import Report
from tests.cluster.chaos import clients, gaps, judgement, tpcb
from tests.cluster.chaos.nemesis import Nemesis, faults
from tests.cluster.chaos.recorder import Recorder, now_us
from tests.cluster.chaos.sessions import AsyncpgSession, PsycopgSession

KEYED_CLIENTS, BANK_CLIENTS, PULSE_CLIENTS = 5, 5, 2
"""With pgbench's, sixteen at two gateways."""
PULSE_PAUSE_SECONDS = 0.005
LAST_SECONDS = 2.0
"""After the faults, clients go on in a whole cluster for so long."""
CLOCK_ERROR_US = 10_000


@dataclass(frozen=True)
class Plan:
    """What to do.

    Attributes:
        seconds: how long the nemesis strikes.
        wan: round-trip times, as `boreal cluster start --wan` has them.
        kinds: names of faults; all if empty.
        regions, witness: of the cluster; every other node is full.
        read_path: `local`, `index` or `clock`. By the clock, skews stay within the configured error, since recency depends on it.
        settings: further settings of every node.
        pause_seconds: mean time between two transactions of a client.
        generation_seconds: how long the same lists and registers are in use.
        directory: where files are kept; None: somewhere, and only if it fails.
    """

    seed: int
    seconds: float
    wan: str = ""
    kinds: tuple[str, ...] = ()
    regions: int = 3
    witness: bool = True
    read_path: str = "local"
    settings: dict[str, str] = field(default_factory=dict)
    pause_seconds: float = 0.03
    pgbench_rate: float = 15.0
    generation_seconds: float = 240.0
    directory: Path | None = None


@dataclass
class Result:
    """What came of it.

    Attributes:
        problems: empty if all is right.
        gaps: one for each strike.
        text: the report.
        directory: where the files are, if they were kept.
    """

    problems: list[str]
    gaps: list[gaps.Gap]
    text: str
    directory: Path | None


def run(plan: Plan, say: Callable[[str], None] = print) -> Result:
    """Blocks until all is judged."""
    directory = plan.directory or Path(tempfile.mkdtemp(prefix="boreal-chaos-"))
    directory.mkdir(parents=True, exist_ok=True)
    result = _Run(plan, directory, say).run()
    (directory / "report.txt").write_text(result.text + "\n")
    if plan.directory is None and not result.problems:
        shutil.rmtree(directory)
        result.directory = None
    return result


class _Run:
    def __init__(self, plan: Plan, directory: Path, say: Callable[[str], None]) -> None:
        self._plan = plan
        self._directory = directory
        self._say = say
        skew_us_max = CLOCK_ERROR_US * 9 // 10 if plan.read_path == "clock" else 5_000_000
        self._kinds = [kind for kind in faults(skew_us_max) if not plan.kinds or kind.name in plan.kinds]
        unknown = set(plan.kinds) - {kind.name for kind in self._kinds}
        if unknown:
            raise ValueError(f"there are no faults {', '.join(sorted(unknown))}")
        self._recorder = Recorder()
        self._problems: list[str] = []
        self._going = True
        self._striking = True
        self._load = 0.0

    def run(self) -> Result:
        """Everything."""
        plan = self._plan
        settings = {
            "read_path": plan.read_path,
            "journal_segment_bytes": str(64 << 10),
            **({"clock_error_us": str(CLOCK_ERROR_US)} if plan.read_path == "clock" else {}),
            **plan.settings,
        }
        cluster = LocalCluster.make(
            self._directory / "cluster", regions=plan.regions, witness=plan.witness, settings=settings
        )
        try:
            if plan.wan:
                cluster.set_wan(parse_wan(plan.wan, plan.regions))
            for node in cluster.nodes:
                cluster.start(node.name)
            cluster.wait_until_ready([node.name for node in cluster.nodes])
            decode = self._create_schema(cluster)
            asyncio.run(self._storm(cluster))
            self._problems += judgement.converge(cluster)
            self._problems += judgement.ask_gateways(cluster, self._recorder, self._keys.newest, self._pgbench)
        finally:
            late = cluster.stop()
        self._problems += [f"{name} did not drain in time" for name in late]
        self._problems += self._uncaught(cluster)
        began = time.monotonic()
        events, different = judgement.compare_logs(cluster)
        self._problems += different
        verdicts, journal = judgement.judge(
            self._recorder, events, decode, self._keys.generations, inversions=plan.read_path != "clock"
        )
        self._problems += [f"{name}: {report}" for name, report in verdicts if not report.ok]
        found = gaps.measure(self._recorder.commits, self._nemesis.strikes, self._end_us)
        text = self._report(verdicts, found, len(events), judgement.unknown_fates(self._recorder, journal), began)
        if self._problems or plan.directory is not None:
            judgement.save(self._directory, self._recorder, journal, f"chaos, seed {plan.seed}")
        return Result(self._problems, found, text, self._directory)

    def _create_schema(self, cluster: LocalCluster) -> judgement.Decoder:
        node = next(node for node in cluster.nodes if not node.witness)
        with psycopg.connect(node.dsn, autocommit=True, connect_timeout=5) as connection:
            for statement in (*clients.SCHEMA, *tpcb.SCHEMA):
                connection.execute(statement)
            return judgement.Decoder.of(connection)

    async def _storm(self, cluster: LocalCluster) -> None:
        """Clients and nemesis, until the time is over and the cluster has recovered."""
        plan, loop = self._plan, asyncio.get_running_loop()
        gateways = [node for node in cluster.nodes if not node.witness]
        self._keys = clients.Keys(plan.generation_seconds, time.monotonic)
        self._pgbench = [
            tpcb.Pgbench(node, self._directory, plan.pgbench_rate, self._is_going) for node in gateways[:2]
        ]
        self._nemesis = Nemesis(cluster, self._kinds, Random(f"{plan.seed}/nemesis"), self._say, lambda: self._striking)
        tasks = [loop.create_task(each.run()) for each in (*self._clients(gateways), *self._pgbench)]
        nemesis = loop.create_task(asyncio.to_thread(self._nemesis.run))
        deadline = loop.time() + plan.seconds
        try:
            while loop.time() < deadline:
                ended = next((task for task in (*tasks, nemesis) if task.done()), None)
                if ended is not None:
                    ended.result()
                    raise RuntimeError("a client has ended by itself")
                await asyncio.sleep(0.2)
            self._striking = False
            await nemesis
            self._load = os.getloadavg()[0]
            before = len(self._recorder.commits)
            self._end_us = now_us()
            await asyncio.sleep(LAST_SECONDS)
            if len(self._recorder.commits) == before:
                self._problems.append(f"nothing was committed in {LAST_SECONDS:g} s after the faults")
        finally:
            self._striking = self._going = False
            await asyncio.gather(*tasks)
            await nemesis
        self._problems += self._nemesis.problems
        self._problems += [problem for each in self._pgbench for problem in each.problems]
        self._problems += [f"an error that no fault explains: {each}" for each in self._recorder.surprises]

    def _is_going(self) -> bool:
        return self._going

    def _clients(self, gateways: list[NodePlace]) -> list[clients.Client]:
        made: list[clients.Client] = []
        kinds: list[type[clients.Client]]
        kinds = [clients.KeyedClient] * KEYED_CLIENTS + [clients.BankClient] * BANK_CLIENTS
        kinds += [clients.PulseClient] * PULSE_CLIENTS
        for number, kind in enumerate(kinds):
            home = number % len(gateways)
            client = kind(
                f"c{number}",
                gateways[home:] + gateways[:home],
                PsycopgSession.open if kind.is_bank else AsyncpgSession.open,
                self._recorder,
                PULSE_PAUSE_SECONDS if kind is clients.PulseClient else self._plan.pause_seconds,
                Random(f"{self._plan.seed}/client/{number}"),
                self._is_going,
            )
            if isinstance(client, clients.KeyedClient):
                client.keys = self._keys
            made.append(client)
        return made

    def _uncaught(self, cluster: LocalCluster) -> list[str]:
        """Nodes that logged an exception which nobody caught; what falls out of one that stops by itself does not count."""
        problems = []
        for node in cluster.nodes:
            stopped = False
            for line in cluster.log(node.name).read_text("utf-8", "replace").splitlines():
                if line.startswith("boreal: the node stopped") or " deploy.faults: " in line:
                    stopped = line.startswith("boreal")  # a node that starts tells its faults first
                elif " ERROR asyncio: " in line and not stopped:
                    problems.append(
                        f"{node.name}: an exception that nobody caught, in {cluster.log(node.name)}: {line}"
                    )
        return problems

    def _report(
        self,
        verdicts: list[tuple[str, Report]],
        found: list[gaps.Gap],
        events: int,
        unknown: tuple[int, int],
        began: float,
    ) -> str:
        recorder, strikes = self._recorder, self._nemesis.strikes
        seconds = (self._end_us - strikes[0].began_us) / 1e6 if strikes else 0.0
        acknowledged = sum(each.acknowledged for each in self._pgbench)
        refusals = ", ".join(f"{state} × {count}" for state, count in sorted(recorder.refusals.items()))
        outcomes = recorder.outcomes
        lines = [
            f"seed {self._plan.seed}: {len(strikes)} faults in {seconds:.0f} s, one in {seconds / max(1, len(strikes)):.1f} s; "
            f"load average at the end {self._load:.1f} on {os.cpu_count()} processors",
            f"transactions: {outcomes[Outcome.COMMITTED]} committed ({len(recorder.commits)} of them wrote), "
            f"{outcomes[Outcome.ABORTED]} not, {outcomes[Outcome.UNKNOWN]} unknown; of {unknown[0]} unknown that wrote, "
            f"{unknown[1]} had committed",
            f"pgbench: {acknowledged} acknowledged, {sum(each.lost for each in self._pgbench)} connections lost",
            f"refusals: {refusals or 'none'}; connections lost: {recorder.gone}",
            f"events: {events}, the same on every member" if events else "no events",
            "",
            "longest time without a commit:",
            *gaps.table(found),
            "",
            f"judged in {time.monotonic() - began:.1f} s:",
        ]
        lines += [f"  {name}: {report}" for name, report in verdicts if report.ok]
        notes = [f"  {each.fault.name} {each.victim}: {each.note}" for each in strikes if each.note]
        lines += ["", "notes:", *notes] if notes else []
        lines += ["", f"{len(self._problems)} PROBLEMS", *self._problems] if self._problems else ["", "no violation"]
        return "\n".join(lines)
