"""PostgreSQL's lexical rules: text → tokens.

sqlglot's compiled tokenizer cuts the text; this module turns its pieces into PostgreSQL's tokens. The dialect is a
subclass of sqlglot's Postgres dialect with the keyword table emptied and every punctuation character on its own, so that
a piece is one of: a run of word characters, a quoted string or identifier with its quotes, a dollar-quoted string, a run
of digits, one punctuation character. Comments (nested ones too) are gone. What sqlglot does beyond that (canonical
keywords, merged words, decoded escapes) would lose what was written. Then, by PostgreSQL's scan.l:

    pieces   select   E'a\\n'   1 . 5e3    <  @  >   ::   "Int4"
    tokens   select   STRING   DECIMAL    OP        ::   IDENT

- adjacent operator characters form the longest operator, minus a trailing + or - unless the operator has one of
  ~ ! @ # ^ & | ` ? %;
- numbers take their point and exponent, hexadecimal, octal, binary and underscored forms; `1a` is an error;
- prefixes b, x, n, e, u& belong to the string that follows directly, strings on consecutive lines are one;
- unquoted names are folded to lower case (ASCII only) and cut to 63 bytes.

A token's type is a string: the keyword itself for an unquoted keyword, IDENT, STRING, INTEGER, DECIMAL, BIT, PARAMETER,
OP, EOF, or the punctuation itself. Cost: about 0.6 µs a token, two thirds of it in sqlglot.
"""

from __future__ import annotations

import json
import re
from importlib import resources
from typing import NoReturn

from sqlglot import tokens as sqlglot_tokens
from sqlglot.dialects.postgres import Postgres
from sqlglot.errors import TokenError
from sqlglot.tokenizer_core import TokenType

from frontend.errors import SqlError


def _load_keywords() -> tuple[dict[str, str], frozenset[str]]:
    table = json.loads(resources.files("frontend.builtin").joinpath("keywords.json").read_text("utf-8"))
    categories = {word: category for word, category, _ in table["rows"]}
    return categories, frozenset(word for word, _, bare in table["rows"] if bare)


KEYWORDS, BARE_LABELS = _load_keywords()
"""Keyword → category: R reserved, T may name a type or function, U unreserved, C may name a column but no function or
type; and the keywords that may be a column label without AS."""

IDENTIFIER_BYTES_MAX = 63
DIGITS_MAX = 3000
"""Longest hexadecimal, octal or binary integer and parameter number; Python converts no longer ones."""
LOOKAHEAD_MAX = 4
"""How many EOF tokens end a text, so that the parser may look this far ahead unchecked."""
OPERATOR_CHARACTERS = frozenset("~!@#^&|`?+-*/%<>=")
_KEEPS_TRAILING_SIGN = frozenset("~!@#^&|`?%")
_PUNCTUATION = "!\"#%&'()*+,-./:;<=>?@[\\]^`{|}~\x7f"
_OWN_TYPE = frozenset(("+", "-", "*", "/", "%", "^", "<", ">", "=", "<=", ">=", "<>", "=>"))


class _Pieces(sqlglot_tokens.Tokenizer):
    """sqlglot's tokenizer without keywords; dollar signs are word characters."""

    KEYWORDS = {}
    SINGLE_TOKENS = dict.fromkeys(_PUNCTUATION, TokenType.UNKNOWN)
    VAR_SINGLE_TOKENS = set()
    BIT_STRINGS = []
    HEX_STRINGS = []
    UNICODE_STRINGS = []
    HEREDOC_STRINGS = []
    BYTE_STRINGS = [("e'", "'"), ("E'", "'")]
    BYTE_STRING_ESCAPES = ["'", "\\"]
    NUMERIC_ESCAPES = {}
    DROP_UNKNOWN_ESCAPES = False
    COMMANDS = set()
    HINT_START = ""
    NUMBERS_CAN_HAVE_DECIMALS = False


class _PiecesWithDollarQuotes(_Pieces):
    """The same, where `$tag$` begins a string; looking for a tag is slow when there are only parameters."""

    HEREDOC_STRINGS = ["$"]
    HEREDOC_TAG_IS_IDENTIFIER = True
    HEREDOC_STRING_ALTERNATIVE = TokenType.PARAMETER
    SINGLE_TOKENS = {**_Pieces.SINGLE_TOKENS, "$": TokenType.UNKNOWN}
    VAR_SINGLE_TOKENS = {"$"}


for _tokenizer in (_Pieces, _PiecesWithDollarQuotes):
    _tokenizer._COMMENTS = {"--": None, "/*": "*/"}  # sqlglot adds Jinja's {# #} to every dialect


class Boreal(Postgres):
    """The dialect: sqlglot's PostgreSQL, with the tokenizer above."""

    IDENTIFIERS_CAN_START_WITH_DIGIT = True
    NUMBERS_CAN_BE_UNDERSCORE_SEPARATED = True
    UNESCAPED_SEQUENCES: dict[str, str] = {}

    class Tokenizer(_Pieces):
        """The name by which sqlglot's Dialect finds it."""


_PIECES = _Pieces(dialect=Boreal)
_PIECES_WITH_DOLLAR_QUOTES = _PiecesWithDollarQuotes(dialect=Boreal)

_NUMBER = re.compile(
    r"0[xX](?:_?[0-9A-Fa-f])+|0[oO](?:_?[0-7])+|0[bB](?:_?[01])+"
    r"|(?:\d(?:_?\d)*(?:\.(?!\.)(?:\d(?:_?\d)*)?)?|\.\d(?:_?\d)*)(?:[eE][+-]?\d(?:_?\d)*)?",
    re.ASCII,
)
_WORD_CHARACTERS = re.compile(r"[\w$\x80-\U0010ffff]*")
_DOLLAR_QUOTE = re.compile(r"\$(?:[^\W\d][\w]*)?\$")
_NO_DOLLAR_QUOTE = re.compile(r"(?<![\w$])\$(?![A-Za-z_$])")
# what sqlglot must not see: characters that only Python takes for white space, digits or control
_MASKED = re.compile(r"[^\x00-\x7f]|[\x00-\x08\x0b\x0e-\x1f]")
_CONTINUATION = re.compile(r"[ \t\f]*(?:--[^\n\r]*)?[\n\r](?:[ \t\n\r\f]|--[^\n\r]*[\n\r])*")
_ESCAPE = re.compile(r"''|\\(?:([0-7]{1,3})|x([0-9A-Fa-f]{1,2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))", re.DOTALL)
_STRING_PREFIX = re.compile(r"(?<![\w$\x80-\U0010ffff])(?:[bBxXeE]|[uU]&)\Z")
_CONTROL_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_UPPER_TO_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


class Tokens:
    """The tokens of a text as parallel lists, ended by some of type EOF; `starts` and `ends` are 0-based offsets."""

    __slots__ = ("ends", "failure", "starts", "text", "types", "values")

    def __init__(self, text: str) -> None:
        self.text = text
        self.types: list[str] = []
        self.values: list[str] = []
        self.starts: list[int] = []
        self.ends: list[int] = []
        self.failure: SqlError | None = None

    def add(self, kind: str, value: str, start: int, end: int) -> None:
        self.types.append(kind)
        self.values.append(value)
        self.starts.append(start)
        self.ends.append(end)


def error_at(message: str, near: str, start: int, *, sqlstate: str = "42601", hint: str | None = None) -> SqlError:
    """PostgreSQL's scanner error: `message at or near "near"` at the 0-based offset."""
    where = f'at or near "{near}"' if near else "at end of input"
    return SqlError(sqlstate, f"{message} {where}", position=start + 1, hint=hint)


def fold(name: str) -> str:
    """An unquoted name as PostgreSQL stores it."""
    return truncate(name.lower() if name.isascii() else name.translate(_UPPER_TO_LOWER))


def truncate(name: str) -> str:
    """A name cut to 63 bytes of UTF-8 at a character boundary."""
    if len(name) * 4 <= IDENTIFIER_BYTES_MAX or len(encoded := name.encode()) <= IDENTIFIER_BYTES_MAX:
        return name
    return encoded[:IDENTIFIER_BYTES_MAX].decode(errors="ignore")


def tokenize(text: str) -> Tokens:
    """Cut `text` into PostgreSQL's tokens.

    Text that is no token (quotes and comments without end, bad numbers and escapes) becomes one token of type ERROR, after
    which there are no more, and `failure` says what is wrong: PostgreSQL reads no further than its parser needs, so an
    error of syntax before it is reported first.
    """
    masked = text
    if not text.isascii() or _MASKED.search(text):
        masked = _MASKED.sub(lambda match: "_" if match[0] > "\x7f" else "\x7f", text)
    tokenizer: sqlglot_tokens.Tokenizer = _PIECES
    if "$" in text and _DOLLAR_QUOTE.search(text):
        tokenizer = _PIECES_WITH_DOLLAR_QUOTES
        masked = _NO_DOLLAR_QUOTE.sub("_", masked)  # sqlglot would look for a tag behind a parameter's dollar sign
    failure = None
    try:
        spans = [(piece.start, piece.end + 1) for piece in tokenizer.tokenize(masked)]
    except TokenError:
        spans = [(piece.start, piece.end + 1) for piece in tokenizer.tokens]
        failure = _unterminated(text, spans[-1][1] if spans else 0)
    else:
        # sqlglot takes a comment without end for one that ends with the text; that can only be after the last piece
        last = spans[-1][1] if spans else 0
        if text.find("/*", last) >= 0:
            failure = _unterminated_comment(text, last)
    if failure is not None:
        spans = [span for span in spans if span[0] + 1 < (failure.position or 0)]
    return _assemble(text, spans, failure)


def _skip_blank(text: str, offset: int) -> int:
    """The offset after white space and comments; raises for a comment without end."""
    size = len(text)
    while offset < size:
        if text[offset] in " \t\n\r\f":
            offset += 1
        elif text.startswith("--", offset):
            while offset < size and text[offset] not in "\n\r":
                offset += 1
        elif text.startswith("/*", offset):
            start, depth, offset = offset, 1, offset + 2
            while depth:
                if offset >= size:
                    raise error_at("unterminated /* comment", text[start:], start)
                if text.startswith("/*", offset):
                    depth, offset = depth + 1, offset + 2
                elif text.startswith("*/", offset):
                    depth, offset = depth - 1, offset + 2
                else:
                    offset += 1
        else:
            break
    return offset


def _unterminated_comment(text: str, offset: int) -> SqlError | None:
    try:
        _skip_blank(text, offset)
    except SqlError as error:
        return error
    return None


def _unterminated(text: str, offset: int) -> SqlError:
    """Name what begins after `offset` and does not end."""
    comment = _unterminated_comment(text, offset)
    if comment is not None:
        return comment
    start = _skip_blank(text, offset)
    if text[start : start + 2] in ("n'", "N'"):
        start += 1  # NCHAR is a token of its own
    quote = text[start : start + 1]
    prefix = _STRING_PREFIX.search(text, 0, start)
    if prefix is not None and (quote == "'" or (quote == '"' and prefix[0][-1] == "&")):
        start = prefix.start()  # the prefix was a whole piece of its own
    near = text[start:]
    if quote == '"':
        kind = "zero-length delimited identifier" if near.startswith('""') else "unterminated quoted identifier"
    elif quote == "$":
        kind = "unterminated dollar-quoted string"
    else:
        kind = {"b": "unterminated bit string literal", "x": "unterminated hexadecimal string literal"}.get(
            near[:1].lower(), "unterminated quoted string"
        )
    return error_at(kind, near, start)


def _assemble(text: str, spans: list[tuple[int, int]], failure: SqlError | None) -> Tokens:
    result = Tokens(text)
    try:
        _add_tokens(text, spans, result)
    except SqlError as error:
        failure = error
    if failure is not None:
        start = (failure.position or len(text)) - 1
        result.failure = failure
        result.add("ERROR", "", start, len(text))
    for _ in range(LOOKAHEAD_MAX):
        result.add("EOF", "", len(text), len(text))
    return result


def _add_tokens(text: str, spans: list[tuple[int, int]], result: Tokens) -> None:
    types, values, starts, ends = result.types, result.values, result.starts, result.ends
    count = len(spans)
    index = 0
    while index < count:
        start, end = spans[index]
        first = text[start]
        index += 1
        if first.isalpha() or first == "_" or first > "\x7f":
            if text[end - 1] == "'" or (index < count and spans[index][0] == end and text[end] in "'\"&"):
                taken = _prefixed(text, spans, index - 1, result)
                if taken:
                    index = taken
                    continue
            word = text[start:end]
            word = word.lower() if word.isascii() else word.translate(_UPPER_TO_LOWER)
            if word in KEYWORDS:
                types.append(word)
                values.append(word)
            else:
                types.append("IDENT")
                values.append(word if len(word) < 16 else truncate(word))
            starts.append(start)
            ends.append(end)
        elif first in OPERATOR_CHARACTERS:
            last = index
            while last < count and spans[last][0] == end and text[end] in OPERATOR_CHARACTERS:
                end += 1
                last += 1
            name = text[start:end]
            if len(name) > 1 and name[-1] in "+-" and _KEEPS_TRAILING_SIGN.isdisjoint(name):
                while len(name) > 1 and name[-1] in "+-":
                    name = name[:-1]
            end = start + len(name)
            index += len(name) - 1
            if name == "!=":
                name = "<>"
            types.append(name if name in _OWN_TYPE else "OP")
            values.append(name)
            starts.append(start)
            ends.append(end)
        elif first.isdigit() or (first == "." and end < len(text) and text[end].isdigit() and text[end].isascii()):
            index = _number(text, spans, index - 1, result)
        elif first == "'":
            index, value = _continued(text, spans, index - 1, escapes=False)
            result.add("STRING", value, start, spans[index - 1][1])
        elif first == '"':
            index = _quoted_identifier(text, spans, index - 1, result)
        elif first == "$":
            index = _dollar(text, spans, index - 1, result)
        else:
            if end < len(text) and ((first == ":" and text[end] in ":=") or (first == "." and text[end] == ".")):
                end += 1
                index += 1
            result.add(text[start:end], text[start:end], start, end)


def _number(text: str, spans: list[tuple[int, int]], index: int, result: Tokens) -> int:
    start = spans[index][0]
    match = _NUMBER.match(text, start)
    if match is None:  # a digit outside ASCII is no digit to PostgreSQL; it is masked as a word, so this is unreachable
        raise error_at("syntax error", text[start : spans[index][1]], start)
    end = match.end()
    rest = _WORD_CHARACTERS.match(text, end)
    if rest is not None and rest.end() > end:
        _trailing_junk(text, start, end)
    index = _span_after(spans, index, end)
    written = match[0].replace("_", "")
    if written[:1] == "0" and written[1:2] in ("x", "X", "o", "O", "b", "B"):
        if len(written) > DIGITS_MAX:
            raise SqlError("54000", "numeric literal is too long", position=start + 1)
        result.add("INTEGER", str(int(written, 0)), start, end)
    elif written.isdigit():
        result.add("INTEGER", written, start, end)
    else:
        result.add("DECIMAL", written, start, end)
    return index


def _trailing_junk(text: str, start: int, end: int) -> NoReturn:
    """123abc: the scanner names the number with the word that follows it."""
    rest = _WORD_CHARACTERS.match(text, end)
    stop = end if rest is None else rest.end()
    word = text[end:stop].lower()
    if text[start:end] == "0" and word in ("x", "o", "b", "x_", "o_", "b_"):
        kind = {"x": "hexadecimal", "o": "octal", "b": "binary"}[word[0]]
        raise error_at(f"invalid {kind} integer", text[start:stop], start)
    if word == "e" and text[stop : stop + 1] in ("+", "-"):
        stop += 1  # an exponent that lacks its digits
    raise error_at("trailing junk after numeric literal", text[start:stop], start)


def _span_after(spans: list[tuple[int, int]], index: int, end: int) -> int:
    while index < len(spans) and spans[index][0] < end:
        index += 1
    return index


def _continued(text: str, spans: list[tuple[int, int]], index: int, *, escapes: bool) -> tuple[int, str]:
    """The value of the quoted string at a piece (which may carry a one-letter prefix) and its continuation lines."""
    parts = []
    start, end = spans[index]
    while True:
        body = text[text.index("'", start) + 1 : end - 1]
        parts.append(_unescape(body, start) if escapes else body.replace("''", "'") if "''" in body else body)
        index += 1
        if index >= len(spans) or text[spans[index][0]] != "'":
            break
        gap = _CONTINUATION.match(text, end)
        if gap is None or gap.end() != spans[index][0]:
            break
        start, end = spans[index]
    return index, "".join(parts)


def _prefixed(text: str, spans: list[tuple[int, int]], index: int, result: Tokens) -> int | None:
    """A string with a prefix letter, or U&'…' or U&"…": the index after it; None when the piece is just a word."""
    start, end = spans[index]
    prefix = text[start].lower()
    if text[end - 1] == "'":  # e'…' and n'…' come as one piece
        after, value = _continued(text, spans, index, escapes=prefix == "e")
        if prefix == "n":
            result.add("nchar", "nchar", start, start + 1)
            start += 1
        result.add("STRING", value, start, spans[after - 1][1])
        return after
    if end - start != 1:
        return None
    if prefix in "bx" and text[end] == "'":
        after, value = _continued(text, spans, index + 1, escapes=False)
        if "'" in value:  # a doubled quote, which ends one string and begins another
            second = text.index("''", end) + 1
            raise error_at("syntax error", text[second : spans[after - 1][1]], second)
        result.add("BIT", prefix + value, start, spans[after - 1][1])
        return after
    quoted = index + 2
    if (
        prefix != "u"
        or text[end] != "&"
        or quoted >= len(spans)
        or spans[quoted][0] != end + 1
        or text[end + 1] not in "'\""
    ):
        return None
    if text[end + 1] == "'":
        after, value = _continued(text, spans, quoted, escapes=False)
        kind = "STRING"
    else:
        after, value = quoted + 1, text[spans[quoted][0] + 1 : spans[quoted][1] - 1].replace('""', '"')
        kind = "IDENT"
    stop = spans[after - 1][1]
    escape = "\\"
    if after < len(spans) and text[spans[after][0] : spans[after][1]].lower() == "uescape":
        following = text[spans[after + 1][0] : spans[after + 1][1]] if after + 1 < len(spans) else ""
        if following[:1] != "'":
            where = spans[after + 1][0] if following else len(text)
            raise error_at("UESCAPE must be followed by a simple string literal", following, where)
        if len(following) != 3 or following[1] in "0123456789abcdefABCDEF+'\" \t\n\r\f":
            raise error_at("invalid Unicode escape character", following, spans[after + 1][0])
        escape = following[1]
        stop = spans[after + 1][1]
        after += 2
    value = _unicode_unescape(value, escape, spans[quoted][0] + 1)
    result.add(kind, truncate(value) if kind == "IDENT" else value, start, stop)
    return after


def _quoted_identifier(text: str, spans: list[tuple[int, int]], index: int, result: Tokens) -> int:
    start, end = spans[index]
    name = text[start + 1 : end - 1]
    if not name:
        raise error_at("zero-length delimited identifier", '""', start)
    result.add("IDENT", truncate(name.replace('""', '"')), start, end)
    return index + 1


def _dollar(text: str, spans: list[tuple[int, int]], index: int, result: Tokens) -> int:
    """A parameter or a dollar-quoted string."""
    start, end = spans[index]
    opening = _DOLLAR_QUOTE.match(text, start)
    if opening is not None and opening.end() <= end:
        width = len(opening[0])
        result.add("STRING", text[start + width : end - width], start, end)
        return index + 1
    stop = start + 1
    while stop < len(text) and text[stop] in "0123456789":
        stop += 1
    if stop == start + 1:
        raise error_at("syntax error", "$", start)
    rest = _WORD_CHARACTERS.match(text, stop)
    if rest is not None and rest.end() > stop:
        raise error_at("trailing junk after parameter", text[start : rest.end()], start)
    if stop - start > DIGITS_MAX:
        raise error_at("parameter number too large", text[start:stop], start)
    result.add("PARAMETER", str(int(text[start + 1 : stop])), start, stop)
    return _span_after(spans, index, stop)


def _unescape(body: str, start: int) -> str:
    """The value of an E'' string's body. Bytes written in octal or hexadecimal are UTF-8."""
    if "\\" not in body:
        return body.replace("''", "'")
    parts: list[bytes] = []
    last = 0
    surrogate = 0
    for match in _ESCAPE.finditer(body):
        if surrogate and (match.start() != last or not (match[3] or match[4])):
            raise error_at("invalid Unicode surrogate pair", body[last : last + 1] or "'", start + 2 + last)
        parts.append(body[last : match.start()].encode())
        last = match.end()
        octal, hexadecimal, short, long, other = match.groups()
        if octal:
            parts.append(bytes([int(octal, 8) & 0xFF]))
        elif hexadecimal:
            parts.append(bytes([int(hexadecimal, 16)]))
        elif short or long:
            code = int(short or long, 16)
            if surrogate:
                if not 0xDC00 <= code <= 0xDFFF:
                    raise error_at("invalid Unicode surrogate pair", match[0], start + 2 + match.start())
                code, surrogate = 0x10000 + ((surrogate - 0xD800) << 10) + code - 0xDC00, 0
            elif 0xD800 <= code <= 0xDBFF:
                surrogate = code
                continue
            elif 0xDC00 <= code <= 0xDFFF:
                raise error_at("invalid Unicode surrogate pair", match[0], start + 2 + match.start())
            if code == 0 or code > 0x10FFFF:
                raise error_at("invalid Unicode escape value", match[0], start + 2 + match.start())
            parts.append(chr(code).encode())
        elif other is None:
            parts.append(b"'")
        elif other in "uU":
            raise SqlError(
                "22025",
                "invalid Unicode escape",
                hint="Unicode escapes must be \\uXXXX or \\UXXXXXXXX.",
                position=start + 3 + match.start(),
            )
        else:
            parts.append(_CONTROL_ESCAPES.get(other, other).encode())
    if surrogate:
        raise error_at("invalid Unicode surrogate pair", "'", start + 2 + len(body))
    parts.append(body[last:].encode())
    whole = b"".join(parts)
    try:
        value = whole.decode()
    except UnicodeDecodeError as error:
        wrong = " ".join(f"0x{byte:02x}" for byte in whole[error.start : max(error.end, error.start + 1)])
        raise SqlError("22021", f'invalid byte sequence for encoding "UTF8": {wrong}') from error
    if "\0" in value:
        raise SqlError("22021", 'invalid byte sequence for encoding "UTF8": 0x00')
    return value


def _unicode_unescape(body: str, escape: str, start: int) -> str:
    """The value of a U& string or identifier."""
    if escape not in body:
        return body
    form = re.compile(re.escape(escape) + r"(?:([0-9A-Fa-f]{4})|\+([0-9A-Fa-f]{6})|(" + re.escape(escape) + r")|)")
    parts: list[str] = []
    last = 0
    surrogate = 0
    for match in form.finditer(body):
        short, long, itself = match.groups()
        where = start + match.start() + 1
        if surrogate and (match.start() != last or itself):
            raise SqlError("42601", "invalid Unicode surrogate pair", position=where)
        parts.append(body[last : match.start()])
        last = match.end()
        if itself:
            parts.append(escape)
            continue
        if not (short or long):
            raise SqlError(
                "42601",
                "invalid Unicode escape",
                hint="Unicode escapes must be \\XXXX or \\+XXXXXX.",
                position=where,
            )
        code = int(short or long, 16)
        if surrogate:
            if not 0xDC00 <= code <= 0xDFFF:
                raise SqlError("42601", "invalid Unicode surrogate pair", position=where)
            code, surrogate = 0x10000 + ((surrogate - 0xD800) << 10) + code - 0xDC00, 0
        elif 0xD800 <= code <= 0xDBFF:
            surrogate = code
            continue
        elif 0xDC00 <= code <= 0xDFFF:
            raise SqlError("42601", "invalid Unicode surrogate pair", position=where)
        if code == 0 or code > 0x10FFFF:
            raise SqlError("42601", "invalid Unicode escape value", position=where)
        parts.append(chr(code))
    if surrogate:
        raise SqlError("42601", "invalid Unicode surrogate pair", position=start + len(body) + 1)
    parts.append(body[last:])
    return "".join(parts)
