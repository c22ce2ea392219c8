"""The rows that clients of the journal work on.

Four kinds: accounts, whose total never changes; lists, to which transactions append their ids; registers, which they
overwrite with them; and bulk rows, which nobody reads.
"""

from __future__ import annotations

ACCOUNTS = 8
ACCOUNT_START = 100
TOTAL = ACCOUNTS * ACCOUNT_START
LISTS = 4
REGISTERS = 4
LIST_SECONDS = 3.0
"""How long a list is used: each read repeats it whole."""

BANK = b"\0\0\0\x07\0\1"
LIST = b"\0\0\0\x08\0\1"
BULK = b"\0\0\0\x09\0\1"
REGISTER = b"\0\0\0\x0a\0\1"

ACCOUNT_KEYS = [BANK + b"%d" % number for number in range(ACCOUNTS)]
REGISTER_KEYS = [REGISTER + b"%d" % number for number in range(REGISTERS)]


def list_keys(seconds: float) -> list[bytes]:
    """The lists in use at a time."""
    generation = int(seconds / LIST_SECONDS)
    return [LIST + b"%d/%d" % (generation, number) for number in range(LISTS)]


def is_account(key: bytes) -> bool:
    """Whether it is an account's."""
    return key.startswith(BANK)


def is_list(key: bytes) -> bool:
    """Whether it is a list's."""
    return key.startswith(LIST)


def is_register(key: bytes) -> bool:
    """Whether it is a register's."""
    return key.startswith(REGISTER)
