"""The bounds of the wire: every buffer, wait and count that a client could otherwise grow."""

from __future__ import annotations

from dataclasses import dataclass

KIB = 1024
MIB = 1024 * KIB

PROTOCOL_MESSAGE_BYTES_MAX = 0x3FFFFFFF
"""PostgreSQL's own limit for Query, Parse, Bind and CopyData; a longer length word is a client out of step."""
SMALL_MESSAGE_BYTES_MAX = 10_000
"""PostgreSQL's limit for messages that only carry a name or nothing."""


@dataclass(frozen=True)
class WireLimits:
    """Bounds of one listener.

    Args:
        message_bytes_max: longest message that is held in memory; longer ones end the connection with 08P01.
        pipeline_bytes_max: how much a client may send ahead while its session is busy; then reading pauses.
        output_bytes_high: replies collected before they are written within a batch; also the transport's high-water
            mark, above which the client counts as a slow reader.
        authentication_seconds_max: from accept to an authenticated session.
        authenticating_count_max: connections that have not authenticated.
        connection_count_max: authenticated connections; 53300 above.
        close_seconds_max: how long a closed connection may take to read its last bytes before it is cut.
    """

    message_bytes_max: int = 64 * MIB
    pipeline_bytes_max: int = 1 * MIB
    output_bytes_high: int = 64 * KIB
    authentication_seconds_max: float = 60.0
    authenticating_count_max: int = 256
    connection_count_max: int = 5000
    close_seconds_max: float = 10.0
