r"""LIKE, SIMILAR TO and the regular expression functions (PostgreSQL's manual, 9.7).

LIKE is compiled to a plain Python test where it can be (equality, startswith, endswith, in) and otherwise to a list of
literal pieces between the `%` that are sought one after the other, which needs no backtracking. Compiled patterns are kept
in bounded caches, so a pattern that varies by row is not a leak. `precompile` in the registry gives the plan compiler the
matcher of a constant pattern: `text LIKE 'abc%'` becomes one `str.startswith` a row (0.1 µs instead of 0.3 µs).

Under the C collation only ASCII letters have case, here as in `upper` and `lower`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache

from frontend.errors import SqlError
from frontend.functions.letters import lower_ascii
from frontend.functions.registry import scalar, set_returning
from frontend.functions.regular_expressions import Expression, Flags, apply_options, compile_expression

Matcher = Callable[[str], bool]

_IGNORE_CASE = Flags(ignore_case=True)


# ── LIKE ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _pieces(pattern: str) -> tuple[list[list[str | None]], bool]:
    """The pattern cut at `%`: each piece a list of characters, None for `_`; and whether it ends within an escape."""
    pieces: list[list[str | None]] = [[]]
    characters = iter(pattern)
    for character in characters:
        if character == "\\":
            escaped = next(characters, None)
            if escaped is None:
                return pieces, True
            pieces[-1].append(escaped)
        elif character == "%":
            pieces.append([])
        elif character == "_":
            pieces[-1].append(None)
        else:
            pieces[-1].append(character)
    return pieces, False


def _finder(piece: list[str | None]) -> Callable[[str, int, int], int]:
    """find(text, start, end) of one piece, -1 where it is not there."""
    if None not in piece:
        literal = "".join(character for character in piece if character is not None)
        return lambda text, start, end: text.find(literal, start, end)
    compiled = re.compile("".join("." if character is None else re.escape(character) for character in piece), re.DOTALL)

    def find(text: str, start: int, end: int) -> int:
        found = compiled.search(text, start, end)
        return -1 if found is None else found.start()

    return find


def _wildcard_matcher(pieces: list[list[str | None]]) -> Matcher:
    """A matcher for at least two pieces: the first at the beginning, the last at the end, the others in between."""
    head, *middle, tail = [(_finder(piece), len(piece)) for piece in pieces]
    middle = [(find, length) for find, length in middle if length]
    shortest = head[1] + tail[1]

    def match(text: str) -> bool:
        length = len(text)
        if length < shortest:
            return False
        find, start = head
        if find(text, 0, start) != 0:
            return False
        end = length - tail[1]
        if tail[0](text, end, length) != end:
            return False
        for find, size in middle:
            place = find(text, start, end)
            if place < 0:
                return False
            start = place + size
        return True

    return match


def _literal(piece: list[str | None]) -> str | None:
    return None if None in piece else "".join(character for character in piece if character is not None)


@lru_cache(maxsize=4096)
def like_matcher(pattern: str) -> Matcher:
    """The test that `text LIKE pattern` makes, the escape character being a backslash.

    A pattern that ends within an escape raises 22025 when a text matches up to there, as in PostgreSQL.
    """
    pieces, broken = _pieces(pattern)
    if broken:
        pieces[-1].append(None)  # noticed only where the text goes on
        reaches = _wildcard_matcher([*pieces, []])

        def refuse(text: str) -> bool:
            if reaches(text):
                raise SqlError("22025", "LIKE pattern must not end with escape character")
            return False

        return refuse
    literals = [_literal(piece) for piece in pieces]
    match literals:
        case [str(whole)]:
            return whole.__eq__
        case [str(head), ""]:
            return lambda text: text.startswith(head)
        case ["", str(tail)]:
            return lambda text: text.endswith(tail)
        case ["", str(inside), ""]:
            return lambda text: inside in text
        case [_]:
            length, find = len(pieces[0]), _finder(pieces[0])
            return lambda text: len(text) == length and find(text, 0, length) == 0
    return _wildcard_matcher(pieces)


@lru_cache(maxsize=1024)
def ilike_matcher(pattern: str) -> Matcher:
    """The test that `text ILIKE pattern` makes."""
    match = like_matcher(lower_ascii(pattern))
    return lambda text: match(lower_ascii(text))


def _negated(matcher: Callable[[str], Matcher]) -> Callable[[str], Matcher]:
    def negate(pattern: str) -> Matcher:
        match = matcher(pattern)
        return lambda text: not match(text)

    return negate


@scalar(
    "like(text,text)", "like(name,text)", "textlike(text,text)", "namelike(name,text)", "bpcharlike(bpchar,text)",
    precompile=like_matcher,
)  # fmt: skip
def like(text: str, pattern: str) -> bool:
    return like_matcher(pattern)(text)


@scalar(
    "notlike(text,text)", "notlike(name,text)", "textnlike(text,text)", "namenlike(name,text)",
    "bpcharnlike(bpchar,text)", precompile=_negated(like_matcher),
)  # fmt: skip
def not_like(text: str, pattern: str) -> bool:
    return not like_matcher(pattern)(text)


@scalar("texticlike(text,text)", "nameiclike(name,text)", "bpchariclike(bpchar,text)", precompile=ilike_matcher)
def ilike(text: str, pattern: str) -> bool:
    return ilike_matcher(pattern)(text)


@scalar(
    "texticnlike(text,text)", "nameicnlike(name,text)", "bpcharicnlike(bpchar,text)", precompile=_negated(ilike_matcher)
)
def not_ilike(text: str, pattern: str) -> bool:
    return not ilike_matcher(pattern)(text)


@scalar("like(bytea,bytea)", "bytealike(bytea,bytea)")
def bytea_like(data: bytes, pattern: bytes) -> bool:
    return like_matcher(pattern.decode("latin-1"))(data.decode("latin-1"))


@scalar("notlike(bytea,bytea)", "byteanlike(bytea,bytea)")
def bytea_not_like(data: bytes, pattern: bytes) -> bool:
    return not bytea_like(data, pattern)


def _invalid_escape() -> SqlError:
    return SqlError("22025", "invalid escape string", hint="Escape string must be empty or one character.")


@scalar("like_escape(text,text)")
def like_escape(pattern: str, escape: str) -> str:
    """The pattern rewritten for a backslash as the escape character."""
    if len(escape) > 1:
        raise _invalid_escape()
    if not escape:
        return pattern.replace("\\", "\\\\")
    if escape == "\\":
        return pattern
    result = []
    after_escape = False
    for character in pattern:
        if character == escape and not after_escape:
            result.append("\\")
            after_escape = True
        elif character == "\\":
            result.append("\\" if after_escape else "\\\\")
            after_escape = False
        else:
            result.append(character)
            after_escape = False
    return "".join(result)


@scalar("like_escape(bytea,bytea)")
def bytea_like_escape(pattern: bytes, escape: bytes) -> bytes:
    return like_escape(pattern.decode("latin-1"), escape.decode("latin-1")).encode("latin-1")


# ── SIMILAR TO ──────────────────────────────────────────────────────────────────────────────────────────────────────

_SEPARATORS = ("){1,1}?(", "){1,1}(?:")


def _similar_expression(pattern: str, escape: str) -> str:
    """The ARE that a SIMILAR TO pattern stands for."""
    if len(escape) > 1:
        raise _invalid_escape()
    result = ["^(?:"]
    after_escape = in_class = False
    separators = 0
    for character in pattern:
        if after_escape:
            after_escape = False
            if character == '"' and not in_class:
                if separators == 2:
                    raise SqlError(
                        "2200C",
                        "SQL regular expression may not contain more than two escape-double-quote separators",
                    )
                result.append(_SEPARATORS[separators])
                separators += 1
            else:
                result.append("\\" + character)
        elif character == escape:
            after_escape = True
        elif in_class:
            result.append("\\\\" if character == "\\" else character)
            in_class = character != "]"
        elif character == "[":
            result.append(character)
            in_class = True
        elif character in "\\.^$":
            result.append("\\" + character)
        else:
            result.append({"%": ".*", "_": ".", "(": "(?:"}.get(character, character))
    result.append(")$")
    return "".join(result)


@scalar("similar_to_escape(text,text)")
def similar_to_escape(pattern: str, escape: str) -> str:
    return _similar_expression(pattern, escape)


@scalar("similar_to_escape(text)")
def similar_to_escape_default(pattern: str) -> str:
    return _similar_expression(pattern, "\\")


@scalar("similar_escape(text,text)")
def similar_escape(pattern: str | None, escape: str | None) -> str | None:
    return None if pattern is None else _similar_expression(pattern, "\\" if escape is None else escape)


_QUANTIFIER = re.compile(r"\\.|\[\^?\]?[^\]]*\]|(?<!\()(?:[*+?]|\{\d+(?:,\d*)?\})", re.DOTALL)


@scalar("substring(text,text,text)")
def substring_similar(text: str, pattern: str, escape: str) -> str | None:
    """SUBSTRING(text SIMILAR pattern ESCAPE escape): what stands between the separators, the part before it shortest."""
    expression = _similar_expression(pattern, escape)
    head, separator, rest = expression.partition(_SEPARATORS[0])
    if separator:
        head = _QUANTIFIER.sub(lambda found: found[0] if found[0][0] in "\\[" else found[0] + "?", head)
        expression = head + ")(" + rest.replace(_SEPARATORS[1], ")(?:")
    return regexp_substring(text, expression)


# ── regular expressions ─────────────────────────────────────────────────────────────────────────────────────────────


def _match_maker(flags: Flags) -> Callable[[str], Matcher]:
    return lambda pattern: compile_expression(pattern, flags).matches


@scalar(
    "textregexeq(text,text)", "nameregexeq(name,text)", "bpcharregexeq(bpchar,text)", precompile=_match_maker(Flags())
)
def regex_matches(text: str, pattern: str) -> bool:
    return compile_expression(pattern).matches(text)


@scalar(
    "textregexne(text,text)", "nameregexne(name,text)", "bpcharregexne(bpchar,text)",
    precompile=_negated(_match_maker(Flags())),
)  # fmt: skip
def regex_differs(text: str, pattern: str) -> bool:
    return not compile_expression(pattern).matches(text)


@scalar(
    "texticregexeq(text,text)", "nameicregexeq(name,text)", "bpcharicregexeq(bpchar,text)",
    precompile=_match_maker(_IGNORE_CASE),
)  # fmt: skip
def regex_matches_ignoring_case(text: str, pattern: str) -> bool:
    return compile_expression(pattern, _IGNORE_CASE).matches(text)


@scalar(
    "texticregexne(text,text)", "nameicregexne(name,text)", "bpcharicregexne(bpchar,text)",
    precompile=_negated(_match_maker(_IGNORE_CASE)),
)  # fmt: skip
def regex_differs_ignoring_case(text: str, pattern: str) -> bool:
    return not compile_expression(pattern, _IGNORE_CASE).matches(text)


def _options(letters: str, function: str, hint: str | None = None) -> Flags:
    """The flags of a function that does not take "g"."""
    flags = apply_options(Flags(), letters.replace("g", ""))
    if "g" in letters:
        raise SqlError("22023", f'{function}() does not support the "global" option', hint=hint)
    return flags


def _positive(name: str, value: int) -> int:
    if value <= 0:
        raise _bad_parameter(name, value)
    return value


def _bad_parameter(name: str, value: int) -> SqlError:
    return SqlError("22023", f'invalid value for parameter "{name}": {value}')


@scalar("substring(text,text)")
def regexp_substring(text: str, pattern: str) -> str | None:
    """The match, or its first group where the pattern has one."""
    found = compile_expression(pattern).search(text)
    if found is None:
        return None
    whole = found[1] if found.re.groups else found[0]
    return None if whole is None else str(whole)


_REPLACEMENT = re.compile(r"\\([1-9&\\])")


def _replacer(replacement: str) -> Callable[[re.Match[str]], str]:
    if "\\" not in replacement:
        return lambda found: replacement
    pieces = _REPLACEMENT.split(replacement)

    def expand(found: re.Match[str]) -> str:
        result = [pieces[0]]
        for place in range(1, len(pieces), 2):
            reference = pieces[place]
            if reference == "\\":
                result.append("\\")
            elif reference == "&":
                result.append(found[0])
            elif int(reference) <= found.re.groups:
                result.append(found[int(reference)] or "")
            result.append(pieces[place + 1])
        return "".join(result)

    return expand


def _replace(text: str, expression: Expression, replacement: str, start: int, occurrence: int) -> str:
    """Replace the n-th match from `start`, all of them where `occurrence` is 0."""
    expand = _replacer(replacement)
    result = []
    copied = 0
    for number, found in enumerate(expression.find_all(text, start - 1), 1):
        if occurrence in (0, number):
            result += [text[copied : found.start()], expand(found)]
            copied = found.end()
            if occurrence:
                break
    if not result:
        return text
    result.append(text[copied:])
    return "".join(result)


@scalar("regexp_replace(text,text,text)")
def regexp_replace(text: str, pattern: str, replacement: str) -> str:
    return _replace(text, compile_expression(pattern), replacement, 1, 1)


@scalar("regexp_replace(text,text,text,text)")
def regexp_replace_flags(text: str, pattern: str, replacement: str, flags: str) -> str:
    if flags[:1].isdigit():
        raise SqlError(
            "22023",
            f'invalid regular expression option: "{flags[0]}"',
            hint="If you meant to use regexp_replace() with a start parameter, cast the fourth argument to integer "
            "explicitly.",
        )
    options = apply_options(Flags(), flags.replace("g", ""))
    return _replace(text, compile_expression(pattern, options), replacement, 1, 0 if "g" in flags else 1)


@scalar(
    "regexp_replace(text,text,text,int4,int4,text)",
    "regexp_replace(text,text,text,int4,int4)",
)
def regexp_replace_extended(
    text: str, pattern: str, replacement: str, start: int, occurrence: int, flags: str = ""
) -> str:
    _positive("start", start)
    if occurrence < 0:
        raise _bad_parameter("n", occurrence)
    options = apply_options(Flags(), flags.replace("g", ""))
    return _replace(text, compile_expression(pattern, options), replacement, start, occurrence)


@scalar("regexp_replace(text,text,text,int4)")
def regexp_replace_from(text: str, pattern: str, replacement: str, start: int) -> str:
    return regexp_replace_extended(text, pattern, replacement, start, 1)


def _captures(found: re.Match[str]) -> list[str | None]:
    return list(found.groups()) if found.re.groups else [found[0]]


@scalar("regexp_match(text,text)", "regexp_match(text,text,text)")
def regexp_match(text: str, pattern: str, flags: str = "") -> list[str | None] | None:
    options = _options(flags, "regexp_match", "Use the regexp_matches function instead.")
    found = compile_expression(pattern, options).search(text)
    return None if found is None else _captures(found)


@set_returning("regexp_matches(text,text)", "regexp_matches(text,text,text)")
def regexp_matches(text: str, pattern: str, flags: str = "") -> Iterable[list[str | None]]:
    expression = compile_expression(pattern, apply_options(Flags(), flags.replace("g", "")))
    for found in expression.find_all(text):
        yield _captures(found)
        if "g" not in flags:
            return


def _split(text: str, pattern: str, flags: Flags) -> list[str]:
    """The text between matches; empty matches at the ends and right after a match do not split."""
    pieces = []
    copied = previous_end = 0
    for found in compile_expression(pattern, flags).find_all(text):
        if found.start() < len(text) and found.end() > previous_end:
            pieces.append(text[copied : found.start()])
            copied = found.end()
        previous_end = found.end()
    pieces.append(text[copied:])
    return pieces


@scalar("regexp_split_to_array(text,text)", "regexp_split_to_array(text,text,text)")
def regexp_split_to_array(text: str, pattern: str, flags: str = "") -> list[str]:
    return _split(text, pattern, _options(flags, "regexp_split_to_array"))


@set_returning("regexp_split_to_table(text,text)", "regexp_split_to_table(text,text,text)")
def regexp_split_to_table(text: str, pattern: str, flags: str = "") -> Iterable[str]:
    return _split(text, pattern, _options(flags, "regexp_split_to_table"))


@scalar("regexp_count(text,text)", "regexp_count(text,text,int4)", "regexp_count(text,text,int4,text)")
def regexp_count(text: str, pattern: str, start: int = 1, flags: str = "") -> int:
    _positive("start", start)
    expression = compile_expression(pattern, _options(flags, "regexp_count"))
    return sum(1 for _ in expression.find_all(text, start - 1))


def _existing_group(expression: Expression, group: int) -> int:
    """The group to look at, -1 where it does not exist; without groups the whole match counts as the first."""
    if group <= expression.groups:
        return group
    return 0 if group == 1 else -1


def _nth(expression: Expression, text: str, start: int, occurrence: int) -> re.Match[str] | None:
    for number, found in enumerate(expression.find_all(text, start - 1), 1):
        if number == occurrence:
            return found
    return None


@scalar(
    "regexp_instr(text,text)",
    "regexp_instr(text,text,int4)",
    "regexp_instr(text,text,int4,int4)",
    "regexp_instr(text,text,int4,int4,int4)",
    "regexp_instr(text,text,int4,int4,int4,text)",
    "regexp_instr(text,text,int4,int4,int4,text,int4)",
)
def regexp_instr(
    text: str,
    pattern: str,
    start: int = 1,
    occurrence: int = 1,
    end_option: int = 0,
    flags: str = "",
    group: int = 0,
) -> int:
    """Position of the n-th match (or of a group in it), or of the character after it; 0 where there is none."""
    _positive("start", start)
    _positive("n", occurrence)
    if end_option not in (0, 1):
        raise _bad_parameter("endoption", end_option)
    if group < 0:
        raise _bad_parameter("subexpr", group)
    expression = compile_expression(pattern, _options(flags, "regexp_instr"))
    group = _existing_group(expression, group)
    if group < 0:
        return 0
    found = _nth(expression, text, start, occurrence)
    if found is None:
        return 0
    return found.span(group)[end_option] + 1


@scalar(
    "regexp_substr(text,text)",
    "regexp_substr(text,text,int4)",
    "regexp_substr(text,text,int4,int4)",
    "regexp_substr(text,text,int4,int4,text)",
    "regexp_substr(text,text,int4,int4,text,int4)",
)
def regexp_substr(
    text: str, pattern: str, start: int = 1, occurrence: int = 1, flags: str = "", group: int = 0
) -> str | None:
    """The n-th match, or a group in it."""
    _positive("start", start)
    _positive("n", occurrence)
    if group < 0:
        raise _bad_parameter("subexpr", group)
    expression = compile_expression(pattern, _options(flags, "regexp_substr"))
    group = _existing_group(expression, group)
    if group < 0:
        return None
    found = _nth(expression, text, start, occurrence)
    return None if found is None else found[group]


@scalar("regexp_like(text,text)", "regexp_like(text,text,text)")
def regexp_like(text: str, pattern: str, flags: str = "") -> bool:
    return compile_expression(pattern, _options(flags, "regexp_like")).matches(text)
