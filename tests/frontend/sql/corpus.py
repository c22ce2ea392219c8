"""The statements of statements.sql: hand-written, one a line, over all of PostgreSQL's grammar that Boreal reads.

A line that begins with two blanks continues the one before. `mutated()` makes variants of them, most of which are wrong in
one place, by deleting, inserting, replacing and swapping tokens.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

from frontend.sql.dialect import tokenize

_WORDS = (
    "select from where ( ) , as on not null 1 'x' a and or in is . * + :: int by with order set table all any between "
    "like collate case end default values using join left union limit for of [ ] = < only if exists type row time "
    "interval to into cast $1 over filter group array cross natural lateral distinct user name varchar date"
)
WORDS = _WORDS.split()


def statements() -> list[str]:
    lines: list[str] = []
    for line in (Path(__file__).parent / "statements.sql").read_text("utf-8").splitlines():
        if line.startswith("  "):
            lines[-1] += "\n" + line
        else:
            lines.append(line)
    return lines


def mutated(count: int, seed: int) -> Iterator[str]:
    """`count` statements with one or two tokens changed; none has a semicolon."""
    chance = random.Random(seed)
    originals = statements()
    while count:
        original = chance.choice(originals)
        tokens = tokenize(original)
        spans = zip(tokens.starts, tokens.ends, strict=True)
        parts = [original[start:end] for start, end in spans if end > start]
        for _ in range(chance.choice((1, 1, 2))):
            if parts:
                _mutate(parts, chance)
        text = " ".join(parts)
        if ";" not in text:
            count -= 1
            yield text


def _mutate(parts: list[str], chance: random.Random) -> None:
    place = chance.randrange(len(parts))
    kind = chance.randrange(5)
    if kind == 0:
        del parts[place]
    elif kind == 1:
        parts.insert(place, chance.choice(WORDS))
    elif kind == 2:
        parts[place] = chance.choice(WORDS)
    elif kind == 3:
        other = chance.randrange(len(parts))
        parts[place], parts[other] = parts[other], parts[place]
    else:
        del parts[place:]
