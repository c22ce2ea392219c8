"""Check a recorded history again: `python -m tests.checker FILE [--bank TOTAL] [--no-inversions]`.

Prints the verdict and each anomaly with its explanation. Ends with 0 if there is none, 1 if there is, 2 if the file is
no history. With events in the file, the journal's proof runs as well. With `--bank`, integer registers are balances and
only the bank's invariant (and the proof) is checked, since balances repeat.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.checker.anomalies import check
from tests.checker.bank import check_bank
from tests.checker.history import History, MalformedHistory, ReadRegister, Write, load_history
from tests.checker.proof import prove
from tests.checker.report import Report, merge


def check_history(history: History, *, bank_total: int | None = None, inversions: bool = True) -> Report:
    """All checks that a saved history allows."""
    if bank_total is None:
        report = check(history.transactions, inversions=inversions)
    else:
        accounts = {
            operation.key
            for transaction in history.transactions
            for operation in transaction.operations
            if isinstance(operation, ReadRegister | Write)
        }
        report = check_bank(history.transactions, accounts, bank_total)
    if history.journal:
        report = merge(report, prove(history.transactions, history.journal, inversions=inversions))
    return report


def main(arguments: list[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.checker", description="Check a recorded history.")
    parser.add_argument("file", type=Path, help="JSON lines, as history.save_history writes them")
    parser.add_argument("--bank", type=int, metavar="TOTAL", help="registers are balances that sum to TOTAL")
    parser.add_argument("--no-inversions", action="store_true", help="reads of other sessions need not be monotonic")
    options = parser.parse_args(arguments)
    try:
        history = load_history(options.file)
        report = check_history(history, bank_total=options.bank, inversions=not options.no_inversions)
    except (MalformedHistory, OSError) as error:
        print(f"{options.file}: {error}", file=sys.stderr)
        return 2
    if history.note:
        print(history.note)
    print(report)
    return 0 if report.ok else 1


if __name__ == "__main__":
    sys.exit(main())
