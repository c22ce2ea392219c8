"""The root of Boreal's errors.

    BorealError                deterministic = True   a result: every replica gets the same one, the node goes on
      ├─ NodeFatal             deterministic = False  the node must stop: disk lied, an invariant broke
      │    ├─ CorruptData      what a CRC, a hash chain or a format check found
      │    └─ MemberRemoved    the node does not belong to its cluster any more
      └─ frontend.errors.SqlError                     what a client sees

There is no third kind (architecture §9): whatever is not a result stops the node.
"""

from __future__ import annotations


class BorealError(Exception):
    """Base of every error that Boreal raises on purpose."""

    sqlstate: str = "XX000"
    deterministic: bool = True


class NodeFatal(BorealError):
    """The node cannot go on without risking a wrong answer; it logs this and exits."""

    sqlstate = "58000"
    deterministic = False


class MemberRemoved(NodeFatal):
    """The cluster has removed this node, which therefore stops."""

    sqlstate = "57P01"


class CorruptData(NodeFatal):
    """A file is not what was written. The message names the file, the offset and the check that failed."""

    sqlstate = "XX001"
