r"""PostgreSQL's advanced regular expressions (manual, 9.7.3) on Python's `re`.

    pattern, flags ─▶ parse (a tree) ─▶ checks ─▶ Python source ─▶ re.compile, cached by (pattern, flags)

The two engines differ in three ways that this module bridges:

* **Syntax.** A parser of our own reads the ARE syntax (classes, \m \M \y, embedded options, expanded syntax, bounds) and
  writes Python's. Letters, digits and spaces are ASCII's, as in PostgreSQL under the C collation.
* **Which match.** PostgreSQL takes the longest match from the leftmost start, or the shortest where the first quantifier
  is non-greedy; Python takes the first alternative that works. Where the two can differ (alternatives that may begin with
  the same character, or quantifiers of both kinds) `Expression.search` settles the end by matching every candidate span
  as a whole, which also gives the groups their right extents. That costs up to one match per character, and only for such
  patterns. Not bridged: an optional part that swallows the beginning of a later optional group, `a?(ab)?`.
* **Time.** PostgreSQL runs automata; Python backtracks, holding the interpreter. Repetitions whose body can be cut in
  several ways, `(a+)+` or `(\w+\s?)*`, would take exponential time: they are refused with 0A000.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from frontend.errors import SqlError, unsupported

REPEAT_MAX = 255
OTHER = 128  # stands for every character outside ASCII in a character set
EVERYTHING = frozenset(range(129))
WORD = frozenset(code for code in range(128) if chr(code).isalnum() or chr(code) == "_")
NEWLINE = frozenset({10})

_CLASSES: dict[str, frozenset[int]] = {
    "alpha": frozenset(code for code in range(128) if chr(code).isalpha()),
    "digit": frozenset(range(48, 58)),
    "alnum": frozenset(code for code in range(128) if chr(code).isalnum()),
    "upper": frozenset(range(65, 91)),
    "lower": frozenset(range(97, 123)),
    "space": frozenset({9, 10, 11, 12, 13, 32}),
    "blank": frozenset({9, 32}),
    "punct": frozenset(code for code in range(33, 127) if not chr(code).isalnum()),
    "print": frozenset(range(32, 127)),
    "graph": frozenset(range(33, 127)),
    "cntrl": frozenset({*range(32), 127}),
    "xdigit": frozenset(map(ord, "0123456789abcdefABCDEF")),
    "word": WORD,
    "ascii": frozenset(range(128)),
}
_CLASS_SOURCE: dict[str, str] = {
    "alpha": "a-zA-Z",
    "digit": "0-9",
    "alnum": "a-zA-Z0-9",
    "upper": "A-Z",
    "lower": "a-z",
    "space": r"\t-\r ",
    "blank": r"\t ",
    "punct": r"!-/:-@\[-`{-~",
    "print": " -~",
    "graph": "!-~",
    "cntrl": r"\x00-\x1f\x7f",
    "xdigit": "0-9a-fA-F",
    "word": "a-zA-Z0-9_",
    "ascii": r"\x00-\x7f",
}
_CLASS_ESCAPES = {"d": "digit", "s": "space", "w": "word"}
_CHARACTER_ESCAPES = {"a": 7, "b": 8, "e": 27, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "B": 92}
_COLLATING_NAMES = {
    "NUL": 0, "SOH": 1, "STX": 2, "ETX": 3, "EOT": 4, "ENQ": 5, "ACK": 6, "BEL": 7, "alert": 7, "BS": 8, "backspace": 8,
    "HT": 9, "tab": 9, "LF": 10, "newline": 10, "VT": 11, "vertical-tab": 11, "FF": 12, "form-feed": 12, "CR": 13,
    "carriage-return": 13, "space": 32, "exclamation-mark": 33, "quotation-mark": 34, "number-sign": 35, "dollar-sign": 36,
    "percent-sign": 37, "ampersand": 38, "apostrophe": 39, "left-parenthesis": 40, "right-parenthesis": 41, "asterisk": 42,
    "plus-sign": 43, "comma": 44, "hyphen": 45, "hyphen-minus": 45, "period": 46, "full-stop": 46, "slash": 47,
    "solidus": 47, "zero": 48, "one": 49, "two": 50, "three": 51, "four": 52, "five": 53, "six": 54, "seven": 55,
    "eight": 56, "nine": 57, "colon": 58, "semicolon": 59, "less-than-sign": 60, "equals-sign": 61,
    "greater-than-sign": 62, "question-mark": 63, "commercial-at": 64, "left-square-bracket": 91, "backslash": 92,
    "reverse-solidus": 92, "right-square-bracket": 93, "circumflex": 94, "circumflex-accent": 94, "underscore": 95,
    "low-line": 95, "grave-accent": 96, "left-brace": 123, "left-curly-bracket": 123, "vertical-line": 124,
    "right-brace": 125, "right-curly-bracket": 125, "tilde": 126, "DEL": 127,
}  # fmt: skip


def invalid(reason: str) -> SqlError:
    """2201B in PostgreSQL's words."""
    return SqlError("2201B", f"invalid regular expression: {reason}")


@dataclass(frozen=True, slots=True)
class Flags:
    """Matching options. `newline_any`: `.` and `[^` stop at newlines; `newline_anchors`: ^ and $ match at lines."""

    ignore_case: bool = False
    newline_any: bool = False
    newline_anchors: bool = False
    expanded: bool = False
    literal: bool = False


# ── the tree ────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class Node:
    """A parsed piece: Python source, what it can begin with, and what is known of its matches.

    Attributes:
        kind: "piece", "sequence" (of `parts`), "alternatives" (`parts`) or "group" (around the one in `parts`).
        first: characters (OTHER for all outside ASCII) that a match can begin with.
        nullable: it can match the empty string.
        width_max: most characters that it can match, None for any number.
        prefers: "long", "short" or "" (fixed), PostgreSQL's greediness.
        single: the character set where it matches exactly one character, else None.
        unbounded_of: what an unbounded repetition repeats.
        set_source: the inside of a bracket expression for `single`, "" where there is none.
    """

    source: str
    first: frozenset[int] = frozenset()
    nullable: bool = True
    width_max: int | None = 0
    prefers: str = ""
    single: frozenset[int] | None = None
    parts: list[Node] = field(default_factory=list)
    unbounded_of: Node | None = None
    set_source: str = ""
    kind: str = "piece"


def _add_widths(left: int | None, right: int | None) -> int | None:
    return None if left is None or right is None else left + right


_LITERAL_SPECIAL = frozenset("\\.^$*+?{}[]|()-&~# \t\n\r\v\f")


def _escape(character: str) -> str:
    return "\\" + character if character in _LITERAL_SPECIAL else character


def _escape_in_set(code: int) -> str:
    character = chr(code)
    return "\\" + character if character in "\\]^-[&~|" else character


class _Parser:
    def __init__(self, pattern: str, flags: Flags) -> None:
        self.text = pattern
        self.place = 0
        self.flags = flags
        self.groups_opened = 0
        self.groups_closed: set[int] = set()
        self.overlapping_branches = False
        self.saw_short = False
        self.saw_long = False
        self.looks_ahead = False  # the meaning of a span depends on what follows it

    # characters

    def peek(self, length: int = 1) -> str:
        return self.text[self.place : self.place + length]

    def at_end(self) -> bool:
        return self.place >= len(self.text)

    def skip_ignored(self) -> None:
        """Comments, and white space in expanded syntax."""
        while True:
            if self.flags.expanded and not self.at_end():
                if self.text[self.place] in " \t\n\r\v\f":
                    self.place += 1
                    continue
                if self.text[self.place] == "#":
                    end = self.text.find("\n", self.place)
                    self.place = len(self.text) if end < 0 else end + 1
                    continue
            if self.peek(3) == "(?#":
                end = self.text.find(")", self.place)
                self.place = len(self.text) if end < 0 else end + 1
                continue
            return

    # nodes

    def one_of(self, characters: frozenset[int], source: str) -> Node:
        if self.flags.ignore_case:
            characters = frozenset(
                folded
                for code in characters
                for folded in ((code,) if code >= 128 else (ord(chr(code).lower()), ord(chr(code).upper())))
            )
        return Node(source, characters, False, 1, single=characters)

    def literal(self, character: str) -> Node:
        code = ord(character)
        node = self.one_of(frozenset({min(code, OTHER)}), _escape(character))
        node.set_source = _escape_in_set(code)
        return node

    def from_class(self, name: str) -> Node:
        node = self.one_of(_CLASSES[name], f"[{_CLASS_SOURCE[name]}]")
        node.set_source = _CLASS_SOURCE[name]
        return node

    def complement_of_class(self, name: str) -> Node:
        # \D and \W do not match newlines in newline-sensitive matching
        removed = _CLASSES[name] | (NEWLINE if self.flags.newline_any else frozenset())
        newline = r"\n" if self.flags.newline_any and name != "space" else ""
        return self.one_of(EVERYTHING - removed, f"[^{_CLASS_SOURCE[name]}{newline}]")

    def anything(self) -> Node:
        if self.flags.newline_any:
            return self.one_of(EVERYTHING - NEWLINE, r"[^\n]")
        return self.one_of(EVERYTHING, r"[\s\S]")

    # grammar

    def alternatives(self, closing: bool) -> Node:
        branches = [self.branch(closing)]
        while self.peek() == "|":
            self.place += 1
            branches.append(self.branch(closing))
        if len(branches) == 1:
            return branches[0]
        if all(branch.set_source for branch in branches):
            characters = frozenset().union(*(branch.first for branch in branches))
            inside = "".join(branch.set_source for branch in branches)
            return Node(f"[{inside}]", characters, False, 1, prefers="long", single=characters, set_source=inside)
        seen: set[int] = set()
        for branch in branches:
            if branch.nullable or seen & branch.first:
                self.overlapping_branches = True
            seen |= branch.first
        self.saw_long = True
        widths = [branch.width_max for branch in branches]
        return Node(
            "|".join(branch.source for branch in branches),
            frozenset(seen),
            any(branch.nullable for branch in branches),
            None if None in widths else max(width for width in widths if width is not None),
            "long",
            parts=branches,
            kind="alternatives",
        )

    def branch(self, closing: bool) -> Node:
        parts: list[Node] = []
        self.skip_ignored()
        while not self.at_end() and self.peek() != "|":
            if self.peek() == ")":
                if closing:
                    break
                raise invalid("parentheses () not balanced")
            parts.append(self.quantified())
            self.skip_ignored()
        if len(parts) == 1:
            return parts[0]
        first: frozenset[int] = frozenset()
        nullable = True
        width: int | None = 0
        for part in parts:
            if nullable:
                first |= part.first
                nullable = part.nullable
            width = _add_widths(width, part.width_max)
        prefers = next((part.prefers for part in parts if part.prefers), "")
        return Node(
            "".join(part.source for part in parts), first, nullable, width, prefers, parts=parts, kind="sequence"
        )

    def quantified(self) -> Node:
        if self.peek() in ("*", "+", "?"):
            raise invalid("quantifier operand invalid")
        if self.peek() == "{" and self.peek(2)[1:].isdigit():
            raise invalid("quantifier operand invalid")
        atom, is_constraint = self.atom()
        self.skip_ignored()
        bounds = self.bounds()
        if bounds is None:
            return atom
        low, high, source = bounds
        if is_constraint:
            raise invalid("quantifier operand invalid")
        short = self.peek() == "?"
        if short:
            self.place += 1
        self.skip_ignored()
        if self.peek() in ("*", "+", "?") or (self.peek() == "{" and self.peek(2)[1:].isdigit()):
            raise invalid("quantifier operand invalid")
        fixed = low == high and source.startswith("{") and "," not in source
        if fixed:
            prefers = atom.prefers
        else:
            prefers = "short" if short else "long"
            if short:
                self.saw_short = True
            else:
                self.saw_long = True
        width = None if atom.width_max is None or (high is None and atom.width_max) else atom.width_max * (high or 0)
        if high == 0:
            return Node(f"(?:{atom.source}){{0}}", frozenset(), True, 0, prefers)
        node = Node(
            f"{atom.source}{source}{'?' if short and not fixed else ''}",
            atom.first,
            atom.nullable or low == 0,
            width,
            prefers,
        )
        if high is None:
            node.unbounded_of = atom
            if atom.single is None:
                _refuse_ambiguous_repetition(atom)
        return node

    def bounds(self) -> tuple[int, int | None, str] | None:
        character = self.peek()
        if character == "*":
            self.place += 1
            return 0, None, "*"
        if character == "+":
            self.place += 1
            return 1, None, "+"
        if character == "?":
            self.place += 1
            return 0, 1, "?"
        if character != "{" or not self.peek(2)[1:].isdigit():
            return None
        found = re.compile(r"\{(\d+)(,(\d*))?").match(self.text, self.place)
        assert found is not None
        self.place = found.end()
        if self.peek() != "}":
            raise invalid("braces {} not balanced" if self.at_end() else "invalid repetition count(s)")
        self.place += 1
        low = int(found[1])
        high = low if found[2] is None else int(found[3]) if found[3] else None
        if low > REPEAT_MAX or (high is not None and (high > REPEAT_MAX or high < low)):
            raise invalid("invalid repetition count(s)")
        return low, high, found[0] + "}"

    def atom(self) -> tuple[Node, bool]:
        """One atom, and whether it is a constraint (which no quantifier may follow)."""
        character = self.peek()
        if character == "(":
            return self.parenthesis()
        self.place += 1
        if character == "[":
            if self.text.startswith("[:<:]]", self.place):
                self.place += 6
                return self.constraint(r"(?<![a-zA-Z0-9_])(?=[a-zA-Z0-9_])")
            if self.text.startswith("[:>:]]", self.place):
                self.place += 6
                return self.constraint(r"(?<=[a-zA-Z0-9_])(?![a-zA-Z0-9_])")
            return self.bracket(), False
        if character == ".":
            return self.anything(), False
        if character == "^":
            return Node("(?m:^)" if self.flags.newline_anchors else r"\A"), True
        if character == "$":
            return self.constraint("(?m:$)" if self.flags.newline_anchors else r"\Z")
        if character == "\\":
            return self.escape()
        return self.literal(character), False

    def constraint(self, source: str) -> tuple[Node, bool]:
        self.looks_ahead = True
        return Node(source), True

    def parenthesis(self) -> tuple[Node, bool]:
        for opening in ("(?:", "(?=", "(?!", "(?<=", "(?<!"):
            if self.text.startswith(opening, self.place):
                self.place += len(opening)
                inner = self.closed(opening != "(?:")
                if opening == "(?:":
                    return self.wrapped("(?:", inner), False
                self.looks_ahead = True
                if opening.startswith("(?<"):
                    return Node(_lookbehind(opening, inner)), True
                return Node(f"{opening}{inner.source})"), True
        if self.peek(2) == "(?":
            raise invalid("quantifier operand invalid")
        self.place += 1
        self.groups_opened += 1
        number = self.groups_opened
        inner = self.closed(False)
        self.groups_closed.add(number)
        return self.wrapped("(", inner), False

    def closed(self, lookaround: bool) -> Node:
        before = self.saw_long, self.saw_short, self.overlapping_branches
        inner = self.alternatives(closing=True)
        if self.peek() != ")":
            raise invalid("parentheses () not balanced")
        self.place += 1
        if lookaround:  # what is inside does not decide which match is taken
            self.saw_long, self.saw_short, self.overlapping_branches = before
        return inner

    def wrapped(self, opening: str, inner: Node) -> Node:
        return Node(
            f"{opening}{inner.source})",
            inner.first,
            inner.nullable,
            inner.width_max,
            inner.prefers,
            inner.single,
            [inner],
            set_source=inner.set_source if opening == "(?:" else "",
            kind="group",
        )

    def escape(self) -> tuple[Node, bool]:
        if self.at_end():
            raise invalid("invalid escape \\ sequence")
        character = self.text[self.place]
        self.place += 1
        if not character.isascii() or not character.isalnum():
            return self.literal(character), False
        if character in _CLASS_ESCAPES:
            return self.from_class(_CLASS_ESCAPES[character]), False
        if character.lower() in _CLASS_ESCAPES:
            return self.complement_of_class(_CLASS_ESCAPES[character.lower()]), False
        if character == "A":
            return Node(r"\A"), True
        if character == "Z":
            return self.constraint(r"\Z")
        if character == "m":
            return self.constraint(r"(?<![a-zA-Z0-9_])(?=[a-zA-Z0-9_])")
        if character == "M":
            return self.constraint(r"(?<=[a-zA-Z0-9_])(?![a-zA-Z0-9_])")
        if character == "y":
            return self.constraint(r"\b")
        if character == "Y":
            return self.constraint(r"(?:(?<=[a-zA-Z0-9_])(?=[a-zA-Z0-9_])|(?<![a-zA-Z0-9_])(?![a-zA-Z0-9_]))")
        if character in "123456789":
            end = self.place
            while end < len(self.text) and self.text[end].isdigit() and self.text[end].isascii():
                end += 1
            number = int(self.text[self.place - 1 : end])
            if end == self.place or number <= self.groups_opened:
                self.place = end
                if number not in self.groups_closed:
                    raise invalid("invalid backreference number")
                return Node(f"(?:\\{number})", EVERYTHING, True, None), False
        self.place -= 1
        return self.literal(chr(self.character_escape())), False

    def character_escape(self) -> int:
        """The code of the character that the escape at `place` (after the backslash) means."""
        character = self.text[self.place]
        self.place += 1
        if character in _CHARACTER_ESCAPES:
            return _CHARACTER_ESCAPES[character]
        if character == "c":
            if self.at_end():
                raise invalid("invalid escape \\ sequence")
            self.place += 1
            return ord(self.text[self.place - 1]) & 0o37
        if character in "uUx":
            limit = {"u": 4, "U": 8, "x": 255}[character]
            found = re.compile(r"[0-9a-fA-F]+").match(self.text, self.place, self.place + limit)
            if found is None or (character != "x" and len(found[0]) != limit):
                raise invalid("invalid escape \\ sequence")
            self.place = found.end()
            code = int(found[0], 16)
            if code > 0x10FFFF:
                raise invalid("invalid escape \\ sequence")
            return code
        if character in "01234567":
            found = re.compile(r"[0-7]{1,3}").match(self.text, self.place - 1)
            assert found is not None
            self.place = found.end()
            return int(found[0], 8)
        raise invalid("invalid escape \\ sequence")

    # bracket expressions

    def bracket(self) -> Node:
        negated = self.peek() == "^"
        if negated:
            self.place += 1
        characters: set[int] = set()
        source = ""
        empty = True
        while True:
            if self.at_end():
                raise invalid("brackets [] not balanced")
            if self.peek() == "]" and not empty:
                self.place += 1
                break
            empty = False
            if self.peek(2) == "[:":
                name = self.bracketed_name(":")
                if name not in _CLASSES:
                    raise invalid("invalid character class")
                if self.flags.ignore_case and name in ("upper", "lower"):
                    name = "alpha"
                characters |= _CLASSES[name]
                source += _CLASS_SOURCE[name]
                continue
            if self.peek() == "\\" and self.peek(2)[1:] in ("d", "s", "w", "D", "S", "W"):
                letter = self.peek(2)[1:]
                self.place += 2
                name = _CLASS_ESCAPES[letter.lower()]
                if letter.islower():
                    characters |= _CLASSES[name]
                    source += _CLASS_SOURCE[name]
                else:
                    characters |= EVERYTHING - _CLASSES[name]
                    source += "\\" + letter
                continue
            low = self.bracket_element()
            high = low
            if self.peek() == "-" and self.peek(2) not in ("-]", "-"):
                self.place += 1
                high = self.bracket_element()
                if high < low:
                    raise invalid("invalid character range")
            characters |= {min(code, OTHER) for code in range(low, min(high, OTHER) + 1)} | (
                {OTHER} if high >= 128 else set()
            )
            source += _escape_in_set(low) + (f"-{_escape_in_set(high)}" if high != low else "")
        if not negated:
            node = self.one_of(frozenset(characters), f"[{source}]")
            node.set_source = source
            return node
        outside = EVERYTHING - (frozenset(characters) - {OTHER})
        if self.flags.newline_any:
            outside -= NEWLINE
            source += r"\n"
        return self.one_of(outside, f"[^{source}]")

    def bracketed_name(self, kind: str) -> str:
        end = self.text.find(kind + "]", self.place + 2)
        if end < 0:
            raise invalid("brackets [] not balanced")
        name = self.text[self.place + 2 : end]
        self.place = end + 2
        return name

    def bracket_element(self) -> int:
        if self.at_end():
            raise invalid("brackets [] not balanced")
        if self.peek(2) in ("[.", "[="):
            name = self.bracketed_name(self.peek(2)[1])
            if len(name) == 1:
                return ord(name)
            if name not in _COLLATING_NAMES:
                raise invalid("invalid collating element")
            return _COLLATING_NAMES[name]
        if self.peek() == "[" and self.peek(2) == "[:":
            raise invalid("invalid character range")
        character = self.text[self.place]
        self.place += 1
        if character != "\\":
            return ord(character)
        if self.at_end():
            raise invalid("invalid escape \\ sequence")
        character = self.text[self.place]
        if not character.isascii() or not character.isalnum():
            self.place += 1
            return ord(character)
        return self.character_escape()


def _lookbehind(opening: str, inner: Node) -> str:
    """Python wants one width in a look-behind; what has several is refused."""
    source = f"{opening}{inner.source})"
    try:
        re.compile(source, re.ASCII)
    except re.error as error:
        if "look-behind" in str(error):
            raise unsupported("a look-behind of variable width in a regular expression") from None
    return source


def _flatten(node: Node) -> list[Node]:
    """The sequence of pieces of a concatenation, groups without alternatives opened."""
    if node.kind == "sequence" or (node.kind == "group" and node.parts[0].kind != "alternatives"):
        return [piece for part in node.parts for piece in _flatten(part)]
    return [node]


def _branches(node: Node) -> list[Node]:
    while node.kind == "group":
        node = node.parts[0]
    return node.parts if node.kind == "alternatives" else [node]


def _refuse_ambiguous_repetition(body: Node) -> None:
    """0A000 where a repeated body holds a repetition that can take over from, or give to, what comes after it."""
    for branch in _branches(body):
        pieces = _flatten(branch)
        for place, piece in enumerate(pieces):
            if piece.unbounded_of is None:
                continue
            inner = piece.unbounded_of.first
            following: frozenset[int] = frozenset()
            nullable = True
            for later in pieces[place + 1 :]:
                following |= later.first
                nullable = later.nullable
                if not nullable:
                    break
            if nullable:
                following |= body.first
            if inner & following:
                raise unsupported("a regular expression with nested ambiguous repetition")


# ── compiled expressions ────────────────────────────────────────────────────────────────────────────────────────────


class Expression:
    """A compiled regular expression. `groups` is the number of capturing groups."""

    __slots__ = ("compiled", "groups", "mode", "width_max")

    def __init__(self, compiled: re.Pattern[str], mode: str, width_max: int | None) -> None:
        self.compiled = compiled
        self.groups = compiled.groups
        self.mode = mode  # "" (Python's match is PostgreSQL's), "long" or "short" (the span is to be settled)
        self.width_max = width_max

    def matches(self, text: str) -> bool:
        """Whether the expression matches anywhere."""
        return self.compiled.search(text) is not None

    def search(self, text: str, start: int = 0) -> re.Match[str] | None:
        """The leftmost match at or after `start`, with PostgreSQL's choice of length; the text before it is context."""
        found = self.compiled.search(text, start)
        if found is None or not self.mode:
            return found
        begin, end = found.span()
        fullmatch = self.compiled.fullmatch
        if self.mode == "long":
            limit = len(text) if self.width_max is None else min(len(text), begin + self.width_max)
            candidates = range(limit, end - 1, -1)
        else:
            candidates = range(begin, end + 1)
        for candidate in candidates:
            settled = fullmatch(text, begin, candidate)
            if settled is not None:
                return settled
        return found

    def find_all(self, text: str, start: int = 0) -> Iterator[re.Match[str]]:
        """All matches, left to right, without overlap; after an empty match the search goes on one character later."""
        length = len(text)
        while start <= length:
            found = self.search(text, start)
            if found is None:
                return
            yield found
            start = found.end() + 1 if found.end() == found.start() else found.end()


_DIRECTOR = re.compile(r"\(\?([a-zA-Z]+)\)")


def _embedded(pattern: str, flags: Flags) -> tuple[str, Flags]:
    """Strip ***: and *** =, and the embedded options at the beginning."""
    if pattern.startswith("***="):
        return pattern[4:], Flags(flags.ignore_case, literal=True)
    if pattern.startswith("***:"):
        pattern = pattern[4:]
    elif pattern.startswith("***"):
        raise invalid("quantifier operand invalid")
    found = _DIRECTOR.match(pattern)
    if found is None:
        return pattern, flags
    try:
        return pattern[found.end() :], apply_options(flags, found[1])
    except SqlError as error:
        if error.sqlstate == "22023":
            raise invalid("invalid embedded option") from None
        raise


def apply_options(flags: Flags, letters: str) -> Flags:
    """Flags changed by option letters (manual, table 9.24). 22023 for an unknown letter; "g" is the caller's."""
    ignore_case, newline_any, newline_anchors = flags.ignore_case, flags.newline_any, flags.newline_anchors
    expanded, literal = flags.expanded, flags.literal
    for place, letter in enumerate(letters):
        if letter == "i":
            ignore_case = True
        elif letter == "c":
            ignore_case = False
        elif letter in "mn":
            newline_any = newline_anchors = True
        elif letter == "p":
            newline_any, newline_anchors = True, False
        elif letter == "w":
            newline_any, newline_anchors = False, True
        elif letter == "s":
            newline_any = newline_anchors = False
        elif letter == "x":
            expanded = True
        elif letter == "t":
            expanded = False
        elif letter == "q":
            literal = True
        elif letter in "be":
            raise unsupported("a basic or extended (not advanced) regular expression")
        else:
            raise SqlError("22023", f'invalid regular expression option: "{letters[place]}"')
    return Flags(ignore_case, newline_any, newline_anchors, expanded, literal)


@lru_cache(maxsize=2048)
def compile_expression(pattern: str, flags: Flags = Flags()) -> Expression:
    """The compiled form of a pattern. 2201B for an invalid one, 0A000 for what is not supported."""
    if not flags.literal:
        pattern, flags = _embedded(pattern, flags)
    python_flags = re.ASCII | (re.IGNORECASE if flags.ignore_case else 0)
    if flags.literal:
        return Expression(re.compile(re.escape(pattern), python_flags), "", len(pattern))
    parser = _Parser(pattern, flags)
    try:
        tree = parser.alternatives(closing=False)
        compiled = re.compile(tree.source, python_flags)
    except RecursionError:
        raise invalid("regular expression is too complex") from None
    except (re.error, OverflowError):
        raise unsupported("this regular expression") from None
    mixed = parser.saw_long and parser.saw_short
    settle = (mixed or parser.overlapping_branches) and not parser.looks_ahead
    return Expression(compiled, (tree.prefers or "long") if settle else "", tree.width_max)
