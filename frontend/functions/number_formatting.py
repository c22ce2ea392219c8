"""to_char and to_number for numbers (PostgreSQL's manual, 9.8, tables 9.28 and 9.29).

    template ─▶ parse (cached) ─▶ Template: nodes, and what they say together (digits before and after the point, sign, …)
    number   ─▶ digits rounded to the template's scale, right-aligned to its places ─▶ walk the nodes, writing

A template's digit places and the number's digits are aligned at the point, so the walk keeps two positions: `place` counts
template places, `at` is the next digit of the number. Signs are written where the number begins unless the template places
them (S, MI, PL, SG, PR). The C locale's symbols apply: "." and ",", a space for the currency.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from math import isinf, isnan

from frontend.errors import SqlError
from frontend.functions.numeric_division import EXACT, SIGNIFICANT_DIGITS_MIN
from frontend.functions.registry import scalar

INTEGER_DIGITS_MAX = 15  # Roman numerals are written into this width


def _conflict(message: str, detail: str | None = None) -> SqlError:
    return SqlError("42601", message, detail=detail)


@dataclass
class Template:
    """A parsed template. Node: (kind, literal text), kind "" for literal text."""

    nodes: list[tuple[str, str]] = field(default_factory=list)
    before: int = 0  # digit places before the point
    after: int = 0
    shift: int = 0  # digits behind V
    zero_start: int = -1  # first place that shows zeros, counted from 0; -1 for none
    zero_end: int = 0
    has_point: bool = False
    fill_mode: bool = False
    blank: bool = False
    brackets: bool = False
    minus: bool = False
    plus: bool = False
    roman: bool = False
    shifted: bool = False
    scientific: bool = False
    sign_anchor: str = ""  # "", "before", "after": where S stands
    places_before_sign: int = 0


_KEYWORDS = ("EEEE", "FM", "MI", "PL", "PR", "RN", "SG", "SP", "TH", "B", "C", "D", "G", "L", "S", "V")
_TOKEN = re.compile(
    "(?P<key>"
    + "|".join(f"{word}|{word.lower()}" for word in _KEYWORDS)
    + r'|[,.09])|"(?P<quoted>(?:\\.|[^"\\])*)"?|\\(?P<escaped>")|(?P<other>.)',
    re.DOTALL,
)


@lru_cache(maxsize=512)
def parse_template(text: str) -> Template:
    """The template's meaning; 42601 where its patterns contradict each other."""
    template = Template()
    for token in _TOKEN.finditer(text):
        key = token["key"]
        if key is None:
            if token["quoted"] is not None:
                literal = re.sub(r"\\(.)", r"\1", token["quoted"], flags=re.DOTALL)
            else:
                literal = token["escaped"] or token["other"]
            template.nodes.extend(("", character) for character in literal)
            continue
        if template.scientific:
            raise _conflict('"EEEE" must be the last pattern used')
        _apply(template, key.upper())
        template.nodes.append((key if key in ("rn", "th") else key.upper(), ""))
    if template.sign_anchor == "before" and template.before == template.places_before_sign:
        template.sign_anchor = "after"
    return template


def _apply(template: Template, key: str) -> None:
    signed = template.plus or template.minus or template.brackets
    if key == "9":
        if template.brackets:
            raise _conflict('"9" must be ahead of "PR"')
        if template.shifted:
            template.shift += 1
        elif template.has_point:
            template.after += 1
        else:
            template.before += 1
    elif key == "0":
        if template.brackets:
            raise _conflict('"0" must be ahead of "PR"')
        if template.zero_start < 0 and not template.has_point:
            template.zero_start = template.before
        if template.has_point:
            template.after += 1
        else:
            template.before += 1
        template.zero_end = template.before + template.after
    elif key in ("D", "."):
        if template.has_point:
            raise _conflict("multiple decimal points")
        if template.shifted:
            raise _conflict('cannot use "V" and decimal point together')
        template.has_point = True
    elif key == "FM":
        template.fill_mode = True
    elif key == "B":
        template.blank = True
    elif key == "S":
        if template.sign_anchor:
            raise _conflict('cannot use "S" twice')
        if signed:
            raise _conflict('cannot use "S" and "PL"/"MI"/"SG"/"PR" together')
        template.sign_anchor = "after" if template.has_point else "before"
        template.places_before_sign = template.before
    elif key in ("MI", "PL", "SG"):
        if template.sign_anchor:
            raise _conflict(f'cannot use "S" and "{key}" together')
        template.minus |= key != "PL"
        template.plus |= key != "MI"
    elif key == "PR":
        if template.sign_anchor or template.plus or template.minus:
            raise _conflict('cannot use "PR" and "S"/"PL"/"MI"/"SG" together')
        template.brackets = True
    elif key == "RN":
        template.roman = True
    elif key == "V":
        if template.has_point:
            raise _conflict('cannot use "V" and decimal point together')
        template.shifted = True
    elif key == "EEEE":
        if (
            template.blank or template.fill_mode or template.sign_anchor or signed or template.roman or template.shifted
        ):  # fmt: skip
            raise _conflict(
                '"EEEE" is incompatible with other formats',
                '"EEEE" may only be used together with digit and decimal point patterns.',
            )
        template.scientific = True


# ── writing ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def ordinal_suffix(digits: str) -> str:
    """st, nd, rd or th for a number's digits."""
    if len(digits) > 1 and digits[-2] == "1":
        return "th"
    return {"1": "st", "2": "nd", "3": "rd"}.get(digits[-1], "th")


class _Writer:
    """Writes one number's digits into the template's places."""

    def __init__(self, template: Template, negative: bool, digits: str, blank_places: int) -> None:
        self.template = template
        self.negative = negative
        self.digits = digits
        self.blank_places = blank_places  # places before the number's first digit
        self.place = 0
        self.at = 0
        self.in_number = False
        self.out: list[str] = []
        self.brackets = template.brackets and (negative or not template.fill_mode)
        if template.plus or template.minus:
            self.sign_written = template.minus
        else:
            self.sign_written = not negative and template.fill_mode and not template.sign_anchor
        if template.plus and not template.minus:
            self.sign_written = False
        self.last_relevant = self._last_relevant()
        self.place_count = template.before + template.after - 1
        if not self.sign_written and blank_places == 0:
            self.place_count += 1

    def _last_relevant(self) -> int | None:
        """With FM, the index of the last digit that is shown (that of the point where no decimals are)."""
        template = self.template
        if not (template.fill_mode and template.has_point):
            return None
        point = self.digits.find(".")
        if point < 0:
            return None
        last = len(self.digits.rstrip("0")) - 1
        if template.zero_end > self.blank_places:
            last = max(last, min(len(self.digits) - 1, template.zero_end - self.blank_places))
        return last

    def _ends_at_point(self) -> bool:
        return self.last_relevant is not None and self.digits[self.last_relevant] == "."

    def _hides_leading_zero(self) -> bool:
        """The single 0 before the point is a blank unless the template asks for it."""
        return self.template.zero_start < 0 and self.at == 0 and self.digits[:1] == "0" and self.template.after != 0

    def _write_sign(self) -> None:
        template = self.template
        begins = self.place >= self.blank_places or template.zero_start == self.place
        if self.sign_written or not begins:
            return
        if self._hides_leading_zero() and not self._ends_at_point():
            return
        if template.sign_anchor:
            if template.sign_anchor == "before":
                self.out.append("-" if self.negative else "+")
                self.sign_written = True
        elif self.brackets:
            self.out.append("<" if self.negative else " ")
            self.sign_written = True
        else:
            if self.negative:
                self.out.append("-")
            elif not template.fill_mode:
                self.out.append(" ")
            self.sign_written = True

    def digit(self, key: str) -> None:
        """One digit place or the point."""
        template = self.template
        self.in_number = False
        self._write_sign()
        zeros = template.zero_start >= 0 and template.zero_start <= self.place
        if self.place < self.blank_places and not zeros:
            if not template.fill_mode:
                self.out.append(" ")
        elif self.place < self.blank_places:
            self.out.append("0")
            self.in_number = True
        else:
            self._number_character(key)
        end = self.place_count + (1 if self.blank_places else 0) + template.has_point
        if self.last_relevant is not None and self.last_relevant == self.at:
            end = self.place
        if self.place + 1 == end:
            if self.sign_written and self.brackets:
                self.out.append(">" if self.negative else " ")
            elif template.sign_anchor == "after":
                self.out.append("-" if self.negative else "+")
        self.place += 1

    def _number_character(self, key: str) -> None:
        character = self.digits[self.at : self.at + 1]
        if character == ".":
            if not self._ends_at_point() or self.template.fill_mode:
                self.out.append(".")
        elif self.last_relevant is not None and self.at > self.last_relevant and key != "0":
            pass
        elif self._hides_leading_zero():
            if not self.template.fill_mode:
                self.out.append(" ")
            elif self._ends_at_point():
                self.out.append("0")
        else:
            self.out.append(character)
            self.in_number = True
        if character:
            self.at += 1

    def write(self) -> str:
        template = self.template
        for key, literal in template.nodes:
            if key == "":
                self.out.append(literal)
            elif key in "90.D":
                self.digit(key)
            elif key in ",G":
                if self.in_number:
                    self.out.append(",")
                elif not template.fill_mode:
                    self.out.append(" ")
            elif key == "L":
                self.out.append(" ")
            elif key in ("th", "TH"):
                if not (template.roman or self.digits[:1] == "#" or self.negative or template.has_point):
                    suffix = ordinal_suffix(self.digits)
                    self.out.append(suffix.upper() if key == "TH" else suffix)
            elif key == "MI":
                if self.negative or not template.fill_mode:
                    self.out.append("-" if self.negative else " ")
            elif key == "PL":
                if not self.negative or not template.fill_mode:
                    self.out.append(" " if self.negative else "+")
            elif key == "SG":
                self.out.append("-" if self.negative else "+")
        return "".join(self.out)


_ROMAN = (
    (1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"), (50, "L"), (40, "XL"), (10, "X"),
    (9, "IX"), (5, "V"), (4, "IV"), (1, "I"),
)  # fmt: skip


def roman_numeral(number: int) -> str:
    """1 to 3999."""
    result = ""
    for value, letters in _ROMAN:
        result += letters * (number // value)
        number %= value
    return result


def _write_roman(template: Template, number: int | None) -> str:
    text = "#" * INTEGER_DIGITS_MAX if number is None or not 1 <= number <= 3999 else roman_numeral(number)
    result = []
    for key, literal in template.nodes:
        if key == "":
            result.append(literal)
        elif key in ("RN", "rn"):
            shown = text.lower() if key == "rn" else text
            result.append(shown if template.fill_mode else shown.rjust(INTEGER_DIGITS_MAX))
        elif key in ",G" and not template.fill_mode:
            result.append(" ")
    return "".join(result)


def _write_digits(template: Template, negative: bool, digits: str) -> str:
    """`digits` are plain, with the template's decimals; too many before the point become #."""
    whole = digits.partition(".")[0]
    places = template.before + template.shift
    if len(whole) > places:
        digits = "#" * places + ("." + "#" * template.after if template.has_point and template.after else "")
        if template.has_point and not template.after:
            digits += "."
        whole = "#" * places
    widened = template
    if template.shift:
        widened = Template(**{**template.__dict__, "before": places})
    return _Writer(widened, negative, digits, places - len(whole)).write()


def _write_scientific(text: str) -> str:
    """Python's 1.5e+01 as PostgreSQL shows it: a blank for the sign of positive numbers."""
    return text if text.startswith("-") else " " + text


def _not_a_number_scientific(template: Template) -> str:
    """NaN and infinity under EEEE: # in the shape of the number."""
    return " #." + "#" * (template.after + 4)


def _plain_digits(value: Decimal, decimals: int) -> str:
    rounded = EXACT.quantize(value, Decimal((0, (1,), -decimals)))
    return f"{abs(rounded):f}"


def _format_decimal(value: Decimal, template: Template) -> str:
    if template.roman:
        if not value.is_finite():
            return _write_roman(template, None)
        return _write_roman(template, int(EXACT.to_integral_value(value)))
    if template.scientific:
        if not value.is_finite():
            return _not_a_number_scientific(template)
        return _write_scientific(_exponent_form(value, template.after))
    if not value.is_finite():
        return _write_special(
            template, "NaN" if value.is_nan() else "Infinity", value.is_signed() and value.is_infinite()
        )
    if template.shift:
        value = EXACT.scaleb(value, template.shift)
    digits = _plain_digits(value, template.after)
    return _write_digits(template, value < 0 and any(digit in digits for digit in "123456789"), digits)


def _exponent_form(value: Decimal, decimals: int) -> str:
    if not value:
        return f"{'0.' + '0' * decimals if decimals else '0'}e+00"
    exponent = value.adjusted()
    mantissa = EXACT.quantize(EXACT.scaleb(value, -exponent), Decimal((0, (1,), -decimals)))
    # 999.99 with three decimals is 10.000e+02: PostgreSQL does not move the point again after rounding
    return f"{mantissa:f}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"


def _write_special(template: Template, word: str, negative: bool) -> str:
    """NaN and Infinity stand in the digit places like the digits of a number."""
    places = template.before + template.shift
    if len(word) > places:
        word = "#" * places + ("." + "#" * template.after if template.has_point else "")
        return _Writer(template, negative, word, 0).write()
    return _Writer(template, negative, word, places - len(word)).write()


@scalar("to_char(numeric,text)")
def numeric_to_char(value: Decimal, text: str) -> str | None:
    return _format_decimal(value, parse_template(text)) if text else ""


@scalar("to_char(int4,text)")
def integer_to_char(value: int, text: str) -> str | None:
    if text and parse_template(text).scientific:  # through double precision, whose rounding shows
        return _format_float(float(value), text, 15)
    return bigint_to_char(value, text)


@scalar("to_char(int8,text)")
def bigint_to_char(value: int, text: str) -> str | None:
    return _format_decimal(Decimal(value), parse_template(text)) if text else ""


def _format_float(value: float, text: str, digits_max: int) -> str:
    if not text:
        return ""
    template = parse_template(text)
    if template.roman:
        return _write_roman(template, None if isnan(value) or isinf(value) else round(value))
    if template.scientific:
        if isnan(value) or isinf(value):
            return _not_a_number_scientific(template)
        return _write_scientific(f"{value:.{template.after}e}")
    if isnan(value) or isinf(value):
        return _write_special(template, "NaN" if isnan(value) else "Infinity", value < 0)
    if template.shift:
        value *= 10.0**template.shift
    whole_digits = len(f"{abs(value):.0f}")
    decimals = template.after
    if whole_digits >= digits_max:
        decimals = 0
    elif whole_digits + decimals > digits_max:
        decimals = digits_max - whole_digits
    shown = f"{abs(value):.{decimals}f}"
    return _write_digits(template, value < 0 and f"{value:.{decimals}f}"[0] == "-", shown)


@scalar("to_char(float8,text)")
def double_to_char(value: float, text: str) -> str:
    return _format_float(value, text, 15)


@scalar("to_char(float4,text)")
def real_to_char(value: float, text: str) -> str:
    return _format_float(value, text, 6)


# ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Reader:
    """Reads a number's digits out of text along a template; what does not fit is skipped, as PostgreSQL does."""

    def __init__(self, template: Template, text: str) -> None:
        self.template = template
        self.text = text
        self.at = 0
        self.sign = ""
        self.whole = ""
        self.decimals = ""
        self.in_decimals = False

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def place(self, key: str) -> None:
        template = self.template
        if self.peek() == " ":
            self.at += 1
        if self.at >= len(self.text):
            return
        nothing_read = not self.whole and not self.decimals
        if not self.sign and key in "09" and nothing_read and template.sign_anchor != "after":
            if self.peek() == "-" or (template.brackets and self.peek() == "<"):
                self.sign = "-"
                self.at += 1
            elif self.peek() == "+":
                self.sign = "+"
                self.at += 1
        if self.at >= len(self.text):
            return
        is_read = False
        character = self.peek()
        if character.isdigit() and character.isascii():
            if self.in_decimals and len(self.decimals) == template.after:
                return
            if self.in_decimals:
                self.decimals += character
            else:
                self.whole += character
            is_read = True
        elif template.has_point and not self.in_decimals and character == ".":
            self.in_decimals = True
            is_read = True
        if self.sign or not (self.whole or self.decimals):
            return
        if template.sign_anchor and is_read:
            following = self.text[self.at + 1 : self.at + 2]
            if following and following in "+-":
                self.sign = following
                self.at += 1
        elif not is_read and not template.sign_anchor and character in "+-":
            self.sign = character

    def skip_other(self, count: int) -> None:
        """Step over up to `count` characters that cannot belong to a number."""
        while count and self.at < len(self.text) and self.peek() not in "0123456789.,+-":
            self.at += 1
            count -= 1

    def read(self) -> str:
        for key, _ in self.template.nodes:
            if self.at >= len(self.text):
                break
            if key and key in "90.D":
                self.place(key)
            elif key and key in ",G":
                if self.peek() != "," or (self.template.fill_mode and not self.whole):
                    continue
            elif key == "L":
                self.skip_other(1)
                continue
            elif key in ("TH", "th"):
                if self.template.roman or self.template.has_point:
                    continue
                self.skip_other(2)
                continue
            elif key in ("MI", "PL", "SG"):
                wanted = {"MI": "-", "PL": "+", "SG": "+-"}[key]
                if self.peek() in wanted:
                    self.sign = self.peek()
                else:
                    self.skip_other(1)
                    continue
            elif key == "":
                self.skip_other(1)
                continue
            else:
                continue
            self.at += 1
        sign = "-" if self.sign == "-" else ""
        return f"{sign}{self.whole}{'.' + self.decimals if self.in_decimals else ''}"


@scalar("to_number(text,text)")
def to_number(text: str, template_text: str) -> Decimal | None:
    if not template_text:
        return None
    template = parse_template(template_text)
    if template.scientific:
        raise SqlError("0A000", '"EEEE" not supported for input')
    if template.roman:
        raise SqlError("0A000", '"RN" not supported for input')
    digits = _Reader(template, text).read()
    if not any(character.isdigit() for character in digits):
        raise SqlError(
            "22P02", f'invalid input syntax for type numeric: "{digits if len(digits) > 1 else digits or " "}"'
        )
    value = EXACT.create_decimal(digits)
    if template.shift:
        value = EXACT.scaleb(value, -template.shift)
        value = EXACT.quantize(value, Decimal((0, (1,), -(SIGNIFICANT_DIGITS_MIN + template.shift))))
    return value
