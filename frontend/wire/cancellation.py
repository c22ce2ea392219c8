"""Cancel keys: from the pair in a CancelRequest to the session it means, on whichever node that lives.

BackendKeyData gives every client a process id and a secret. A CancelRequest brings both back on a connection of its own,
which may reach another node when the nodes share an address. So the process id carries the node:

    bits 30…20  node      bits 19…0  connection number on that node, reused only after it is free

The secret is 32 random bits, compared in constant time. A wrong one is ignored without an answer, as the protocol has it.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from typing import Protocol

NODE_SHIFT = 20
NODE_MAX = (1 << 11) - 1
NUMBER_MASK = (1 << NODE_SHIFT) - 1


class Cancellable(Protocol):
    """What can be cancelled: a connection."""

    def cancel(self) -> None:
        """Stop the query that is running now, if one is."""


class CancelRegistry:
    """The cancel keys that this node gave out.

    Args:
        node: number of this node, 0…2047.
        forward: takes (node, process id, secret) of a request for a session of another node.
    """

    def __init__(self, node: int = 0, forward: Callable[[int, int, int], None] | None = None) -> None:
        if not 0 <= node <= NODE_MAX:
            raise ValueError(f"node number {node} is not between 0 and {NODE_MAX}")
        self.node = node
        self.forward = forward
        self._entries: dict[int, tuple[int, Cancellable]] = {}
        self._last = 0

    def allocate(self) -> tuple[int, int]:
        """A process id that is free, and a new secret. `register` completes it."""
        for _ in range(NUMBER_MASK):
            self._last = self._last % NUMBER_MASK + 1
            process_id = self.node << NODE_SHIFT | self._last
            if process_id not in self._entries:
                return process_id, secrets.randbits(32)
        raise RuntimeError("no free process id")

    def register(self, process_id: int, secret: int, target: Cancellable) -> None:
        """From now on the pair cancels `target`."""
        self._entries[process_id] = (secret, target)

    def release(self, process_id: int) -> None:
        """The connection is gone."""
        self._entries.pop(process_id, None)

    def cancel(self, process_id: int, secret: int) -> bool:
        """Serve a CancelRequest; True when it met its session or was forwarded (for metrics, never for the client)."""
        node = process_id >> NODE_SHIFT
        if node != self.node:
            if self.forward is None:
                return False
            self.forward(node, process_id, secret)
            return True
        entry = self._entries.get(process_id)
        if entry is None or not hmac.compare_digest(entry[0].to_bytes(4), secret.to_bytes(4)):
            return False
        entry[1].cancel()
        return True
