"""Bank totals.

Goal: any snapshot of all accounts that does not sum to the total is found, and nothing else is. Method: three accounts
with 10 each and histories by hand.
"""

from __future__ import annotations

import pytest

from tests.checker.bank import check_bank
from tests.checker.history import Transaction
from tests.checker.notation import ABORTED, UNKNOWN
from tests.checker.notation import transaction as t

ACCOUNTS = ("a", "b", "c")


@pytest.mark.parametrize(
    ("name", "one"),
    [
        ("wrong total", t("r a 10; r b 10; r c 11")),
        ("wrong total", t("r a 9; r b 10; r c 10", outcome=ABORTED)),
        ("wrong total", t("r a 9; r b 10; r c 10; w a 0", outcome=UNKNOWN)),
        ("negative balance", t("r a -1; r b 21; r c 10")),
        ("negative balance", t("r a -1")),
        ("negative balance", t("r a 5; w a -5")),
        ("missing account", t("r a 10; r b -")),
    ],
)
def test_what_must_not_be_seen(name: str, one: Transaction) -> None:
    assert check_bank([one], ACCOUNTS, 30).names == {name}


@pytest.mark.parametrize(
    "one",
    [
        t("r a 10; r b 10; r c 10"),
        t("r a 0; r b 30; r c 0; r other 77"),
        t("r a 10; w a 5; r b 10; w b 15; r c 10; r a 5; r b 15"),
        t("r a 3"),
        t("r a 5; w a -5", outcome=ABORTED),
    ],
)
def test_what_may_be_seen(one: Transaction) -> None:
    report = check_bank([one], ACCOUNTS, 30)
    assert report.ok, report


def test_totals_are_counted() -> None:
    history = [t("r a 10; r b 10; r c 10"), t("r a 10; r b 10"), t("r a 10; w a 0; r b 10; r c 10")]
    assert dict(check_bank(history, ACCOUNTS, 30).examined) == {"totals": 1}


def test_balances_are_numbers() -> None:
    with pytest.raises(TypeError, match="balance"):
        check_bank([t("r a ten")], ACCOUNTS, 30)
