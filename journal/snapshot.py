"""The snapshot: what holds before the first entry that the Raft log still has.

It is tiny, because everything else is in the event log: which Raft entry has been applied, and the position, timestamp
and chain value reached there, and who the members were. It is written, durably and atomically, after the event log was
synchronized and before the Raft log is compacted; on a restart it proves that nothing is missing between the two logs.
"""

from __future__ import annotations

import zlib

import msgspec

from journal.configuration import Configuration
from journal.environment import Disk
from journal.errors import CorruptData, NodeFatal

FORMAT_VERSION = 1
_NAME = "snapshot"
_PREFIX_BYTES = 8


class Snapshot(msgspec.Struct, array_like=True):
    """See the module."""

    version: int
    raft_index: int
    position: int
    commit_ts: int
    hash: bytes
    members: list[str]
    """Names, for people; see `configuration`."""
    configuration: Configuration = Configuration()
    """Empty in snapshots of older versions, whose members never changed."""


NOTHING = Snapshot(FORMAT_VERSION, 0, 0, 0, b"", [])


def save_snapshot(disk: Disk, directory: str, snapshot: Snapshot) -> None:
    """Replace the snapshot; durable when it returns. Raises NodeFatal."""
    path = f"{directory}/{_NAME}"
    data = msgspec.msgpack.encode(snapshot)
    try:
        file = disk.open(f"{path}.tmp", create=True)
        try:
            file.truncate(0)
            file.write(len(data).to_bytes(4, "little") + _checksum(data) + data, 0)
            file.synchronize()
        finally:
            file.close()
        disk.rename(f"{path}.tmp", path)
        disk.synchronize_directory(directory)
    except OSError as error:
        raise NodeFatal(f"cannot write {path}: {error}") from error


def load_snapshot(disk: Disk, directory: str) -> Snapshot:
    """The snapshot, or one of nothing if none was written yet. Raises CorruptData."""
    path = f"{directory}/{_NAME}"
    try:
        file = disk.open(path)
    except FileNotFoundError:
        return NOTHING
    try:
        content = file.read(file.size(), 0)
    finally:
        file.close()
    data = content[_PREFIX_BYTES : _PREFIX_BYTES + int.from_bytes(content[:4], "little")]
    if content[4:_PREFIX_BYTES] != _checksum(data):
        raise CorruptData(f"{path} at offset 0: checksum mismatch")
    try:
        snapshot = msgspec.msgpack.decode(data, type=Snapshot)
    except msgspec.MsgspecError as error:
        raise CorruptData(f"{path} at offset 0: does not decode: {error}") from error
    if snapshot.version != FORMAT_VERSION:
        raise CorruptData(f"{path}: format {snapshot.version}, known is {FORMAT_VERSION}")
    return snapshot


def _checksum(data: bytes) -> bytes:
    return zlib.crc32(data).to_bytes(4, "little")
