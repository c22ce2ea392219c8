"""The black-box checker: a history of transactions in, named anomalies out.

    transactions ─▶ Observations ─▶ lists, registers ─▶ edges ─┬─▶ StartCommitGraph ─▶ cycles, named
                    (by key)        (versions, reads)          └─ sessions, moments of real time
                         └─▶ internal         └─▶ G1a, G1b, lost updates, stale reads, own writes …

Sound for what README.md lists as promised: a history that Boreal may produce gives no anomaly. Not complete, as no
black box can be: what nobody reads cannot be judged; `proof.py` has no such gap. The cost is linear in the size of the
history (operations and elements read) but for sorting by time; guarded by test_performance.py.
"""

from __future__ import annotations

from collections.abc import Sequence

from tests.checker.dependencies import Edge, moments, session_edges
from tests.checker.history import Transaction
from tests.checker.isolation import StartCommitGraph
from tests.checker.lists import check_list
from tests.checker.observations import Observations
from tests.checker.recency import check_recency
from tests.checker.registers import check_register
from tests.checker.report import Findings, Report


def check(transactions: Sequence[Transaction], *, inversions: bool = True) -> Report:
    """Judge a history of list-append and register transactions.

    Args:
        transactions: in any order.
        inversions: whether a strong read must also see what another session's ended transaction had only *read*. Linearizable
            reads do; a read path may legitimately not, while a write is not yet acknowledged.

    Raises:
        MalformedHistory: the recorder broke its part of the contract (`history.py`).
    """
    findings = Findings(transactions)
    observations = Observations(transactions, findings)
    edges: list[Edge] = []
    for of_key in observations.keys.values():
        key_edges, versions = (check_list if of_key.is_list else check_register)(observations, of_key, findings)
        edges += key_edges
        if versions is not None:
            check_recency(observations, versions, findings)
    dependencies = len(edges)
    edges += session_edges(observations)
    StartCommitGraph(observations, edges, moments(observations, inversions=inversions)).check(findings)
    return findings.report(
        ("transactions", len(transactions)),
        ("counted as committed", sum(observations.counted)),
        ("keys", len(observations.keys)),
        ("reads", sum(len(of_key.reads) for of_key in observations.keys.values())),
        ("dependencies", dependencies),
    )
