"""What kind of cluster a seed is about: how many members of which kinds, with which settings and how good clocks.

Everything that is drawn once and holds for the whole run; what happens in it is the nemesis' and the clients'.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random


@dataclass(frozen=True)
class Shape:
    """One kind of cluster.

    Attributes:
        voters: founding members, all with a vote.
        spares: nodes that belong to nobody yet; an operator may add them.
        witness: the name of the founder that has no role but the journal's; "" if there is none.
        preferred: who should lead; "" if it does not matter.
        fast_commit, commit_lead_ms, closed_seconds: see `ReplicaSettings`.
        good_clocks: the hosts' clocks are within milliseconds, stay so, and know it; otherwise they are wrong in all ways, and
            nobody knows by how much.
    """

    voters: int = 3
    spares: int = 0
    witness: str = ""
    preferred: str = ""
    fast_commit: bool = False
    commit_lead_ms: float = 0.0
    closed_seconds: float = 0.0
    good_clocks: bool = False

    def __str__(self) -> str:
        parts = [f"{self.voters} voters", f"{'good' if self.good_clocks else 'wrong'} clocks"]
        parts += [f"witness {self.witness}"] if self.witness else []
        parts += ["a spare"] if self.spares else []
        parts += [f"{self.preferred} preferred"] if self.preferred else []
        parts += [f"fast commit, lead {self.commit_lead_ms:.0f} ms"] if self.fast_commit else []
        return ", ".join(parts)


def draw(seed: int, voters: int = 0) -> Shape:
    """The shape of a seed, with so many voters, or as many as the seed says."""
    chance = Random(f"{seed}/shape")
    voters = voters or (5 if chance.random() < 0.2 else 3)
    names = [f"n{number + 1}" for number in range(voters)]
    good_clocks = chance.random() < 0.4
    witness = names[-1] if chance.random() < 0.25 else ""
    fast_commit = voters == 3 and chance.random() < 0.4
    return Shape(
        voters=voters,
        spares=int(chance.random() < 0.2),
        witness=witness,
        preferred=chance.choice(names[:2]) if chance.random() < 0.25 else "",
        fast_commit=fast_commit,
        # An acknowledgement waits until its timestamp has passed: not where a clock may be a minute behind.
        commit_lead_ms=chance.choice((0.0, 12.0)) if fast_commit and good_clocks else 0.0,
        closed_seconds=chance.choice((0.0, 0.02)),
        good_clocks=good_clocks,
    )
