"""Which directory speaks in a member's name: so that a lost disk is noticed, and not taken for the founder it once was.

A voter whose directory is gone has forgotten what it voted for and acknowledged, and must not come back under its old vote. It
cannot know that itself: its empty directory looks like a founder's. The others can. Every directory has an identity, made with
it; every hello says it; and each member remembers, durably and before it listens, with which identity it has first seen a name.
Who comes under that name with another one is turned away, its votes and acknowledgements are never counted, and it is told why.

Whoever is given a vote later is named in the log with its directory (`Member.directory`): that needs no memory, and holds also for
members that have forgotten or never met the former. What is remembered is for founders, learners, and members that are behind.

A name is forgotten when the configuration without it has been applied: whoever is added again may have another directory.
Members that are away then do not hear of it. They would turn away those that are their only way to hear of it, should these lead; so a
hello also says *as which addition* it speaks, by the configuration in the sender's log. A later one than was remembered is believed:
who has that entry has everything before it, the removal of the former and whatever had been committed with its acknowledgements
among it (DESIGN.md). A member that has been away knows less: what it says holds as of its last applied entry (`TurnedAway.index`), and whoever has
applied more does not believe it.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Container

import msgspec

from journal.environment import Disk
from journal.errors import CorruptData, NodeFatal
from journal.transport import FOUNDER, Added

logger = logging.getLogger(__name__)

_NAME = "identity"
_CHECKSUM_BYTES = 4


def another_directory(name: str) -> str:
    """What a member is told that is not who it was."""
    return (
        f"{name} has another data directory than before: what it voted for and acknowledged is forgotten. On the leader: "
        f"boreal member remove {name}, boreal member add {name} …; then start it with joining = true"
    )


class _Known(msgspec.Struct, array_like=True):
    own: int
    others: dict[str, int]
    added: dict[str, Added] = msgspec.field(default_factory=dict)
    """As which additions the others speak, but for founders."""


class Identities:
    """This directory's own identity, and those of the others as far as they have been seen.

    Args:
        fresh: the own one, if the directory has none yet; not 0.

    Raises:
        CorruptData, NodeFatal: the file is damaged, or cannot be written.
    """

    def __init__(self, disk: Disk, directory: str, fresh: int) -> None:
        self._disk = disk
        self._directory = directory
        known = self._load()
        self._known = known or _Known(fresh, {})
        if known is None:
            try:
                self._save()
            except OSError as error:
                raise NodeFatal(f"cannot write {directory}/{_NAME}: {error}") from error

    @property
    def own(self) -> int:
        """This directory's."""
        return self._known.own

    def refusal(self, name: str, identity: int, added: Added) -> str:
        """Why a member is not who it was, or ""; remembers a name that is seen for the first time, or as another member.

        Raises:
            OSError: it cannot be remembered, so that it must not be listened to."""
        before = self._known
        is_later = added > before.added.get(name, FOUNDER)
        if before.others.get(name) == identity and not is_later:
            return ""
        if name not in before.others or is_later:
            self._known = _Known(
                before.own,
                {**before.others, name: identity},
                {**before.added, name: added} if is_later else before.added,
            )
            try:
                self._save()
            except OSError:
                self._known = before
                raise
            return ""
        return another_directory(name)

    def forget_others(self, but: Container[str] = ()) -> None:
        """These names may come with new directories. Raises NodeFatal."""
        known = self._known
        others = {name: identity for name, identity in known.others.items() if name in but}
        if len(others) == len(known.others):
            return
        self._known = _Known(known.own, others, {name: added for name, added in known.added.items() if name in but})
        try:
            self._save()
        except OSError as error:
            raise NodeFatal(f"cannot write {self._directory}/{_NAME}: {error}") from error

    def _load(self) -> _Known | None:
        path = f"{self._directory}/{_NAME}"
        if _NAME not in self._disk.names(self._directory):
            return None
        file = self._disk.open(path)
        try:
            content = file.read(file.size(), 0)
        finally:
            file.close()
        data = content[_CHECKSUM_BYTES:]
        if content[:_CHECKSUM_BYTES] != zlib.crc32(data).to_bytes(_CHECKSUM_BYTES, "little"):
            raise CorruptData(f"{path} at offset 0: checksum mismatch")
        try:
            return msgspec.msgpack.decode(data, type=_Known)
        except msgspec.MsgspecError as error:
            raise CorruptData(f"{path} at offset 0: does not decode: {error}") from error

    def _save(self) -> None:
        disk, path = self._disk, f"{self._directory}/{_NAME}"
        data = msgspec.msgpack.encode(self._known)
        file = disk.open(f"{path}.tmp", create=True)
        try:
            file.truncate(0)
            file.write(zlib.crc32(data).to_bytes(_CHECKSUM_BYTES, "little") + data, 0)
            file.synchronize()
        finally:
            file.close()
        disk.rename(f"{path}.tmp", path)
        disk.synchronize_directory(self._directory)
