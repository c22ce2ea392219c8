"""Bank: transfers move money, so every snapshot of all accounts has the same total.

Balances are registers whose values repeat, which the dependency checks cannot use; the invariant is checked instead. A
transaction that read every account before it wrote any has seen one snapshot, whatever became of it afterwards: aborted
transactions count as well, for snapshot isolation promises a consistent snapshot while they run. Within a transaction
that has begun to transfer, the balances read afterwards are not compared.

Transfers are made so that no balance may become negative: a lost check of the balance (two withdrawals from one account
on the same snapshot) shows there.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from tests.checker.history import Key, Outcome, ReadRegister, Transaction, Value, Write
from tests.checker.report import AnomalyKind, Findings, Report


def check_bank(transactions: Sequence[Transaction], accounts: Collection[Key], total: int) -> Report:
    """Totals and signs of all balances that were read or written.

    Args:
        transactions: in any order; they may work on other keys, too. They begin after the accounts were filled.
        accounts: the registers that hold the balances.
        total: their sum, always.
    """
    findings = Findings(transactions)
    totals = 0
    for index, transaction in enumerate(transactions):
        balances = _snapshot(transaction, accounts)
        for key, value in balances.items():
            if value is None:
                findings.add(AnomalyKind.MISSING_ACCOUNT, f"T{index} found no account {key}", [index], [key])
            elif _number(value) < 0:
                findings.add(AnomalyKind.NEGATIVE_BALANCE, f"T{index} read {key} = {value}", [index], [key])
        numbers = [_number(value) for value in balances.values() if value is not None]
        if len(numbers) == len(accounts):
            totals += 1
            if sum(numbers) != total:
                what = f"T{index} read balances that sum to {sum(numbers)}; the total is {total}"
                findings.add(AnomalyKind.WRONG_TOTAL, what, [index])
        for operation in transaction.operations if transaction.outcome is Outcome.COMMITTED else ():
            if isinstance(operation, Write) and operation.key in accounts and _number(operation.value) < 0:
                what = f"T{index} wrote {operation.key} = {operation.value} and committed"
                findings.add(AnomalyKind.NEGATIVE_BALANCE, what, [index], [operation.key])
    return findings.report(("totals", totals))


def _snapshot(transaction: Transaction, accounts: Collection[Key]) -> dict[Key, Value | None]:
    """The accounts that the transaction read before its first write."""
    balances: dict[Key, Value | None] = {}
    for operation in transaction.operations:
        if isinstance(operation, ReadRegister):
            if operation.key in accounts:
                balances.setdefault(operation.key, operation.value)
        elif isinstance(operation, Write):
            break
    return balances


def _number(value: Value) -> int:
    if not isinstance(value, int):
        raise TypeError(f"a balance is a number, not {value!r}")
    return value
