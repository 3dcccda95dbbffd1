"""Read numbers that are written as text, with decimal commas and separators of thousands.

8,100 may be eight thousand one hundred, or a little more than eight. The other values of a column
tell, or the user does. Nothing is guessed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from vrae.exceptions import InvalidParameterError

__all__ = [
    "ANY_FORMAT",
    "MISSING",
    "NumberFormat",
    "ParsedNumbers",
    "joined",
    "marks_of",
    "parse_numbers",
    "parse_together",
    "sign_in",
    "unlike_numbers",
    "unlike_plain",
]

MISSING = pa.array(
    ["", "nan", "-nan", "na", "n/a", "#n/a", "<na>", "nat", "null", "none", "?", "#nv", "k.a.", "k. a.", "n.a."],
    pa.large_string(),
)

# What separates thousands beside a comma or a point: blanks of several widths, and apostrophes.
_BLANKS, _APOSTROPHES = " \u00a0\u2009\u202f", "'\u2019"
_EXPONENT = r"(?:e[+-]?\d+)?"
_NUMBER = rf"^[+-]?((\d+\.?\d*|\.\d+){_EXPONENT}|inf(inity)?)$"

_CURRENCIES = "[$\u20ac\u00a3\u00a5\u20b9\u20bd\u20a9]|chf|eur|usd|gbp"
_UNITS = (
    "kg|mg|[kcm]m|km/h|m/s|m[l23]|m\u00b2|m\u00b3|hl|[kmg]?wh|[kmg]w|k?hz|[hkm]pa|bar|\u00b0 ?[cf]|pcs|stk|st\u00fcck"
    "| (?:g|t|m|l|w|a|v|s|h)"
)


@dataclass(frozen=True)
class NumberFormat:
    """How numbers are written. None is found from the values of each column.

    In a file with ``commas``, values of other columns have decimal commas. Then a point may
    separate thousands.
    """

    decimal: str | None = None
    thousands: str | None = None
    commas: bool = False

    def __post_init__(self) -> None:
        if self.decimal not in (None, ".", ","):
            raise InvalidParameterError(f'decimal={self.decimal!r} is not a decimal mark. Pass "." or ",".')
        if self.thousands not in (None, ".", ",", " ", "'"):
            raise InvalidParameterError(
                f'thousands={self.thousands!r} does not separate thousands. Pass ",", ".", " " or "\'".'
            )
        if self.thousands is not None and self.thousands == self.decimal:
            raise InvalidParameterError(f"decimal and thousands are both {self.decimal!r}. They must differ.")

    @property
    def is_plain(self) -> bool:
        """Whether a number such as 8.100 is what it is in English and in Python."""
        return self == ANY_FORMAT or (self.decimal == "." and self.thousands is None)


ANY_FORMAT = NumberFormat()


class ParsedNumbers(NamedTuple):
    """Numbers (float64), or the rows that are none (``row``, ``text``) and the reason if known."""

    numbers: pa.ChunkedArray
    wrong: pa.Table | None = None
    reason: str = ""
    format: NumberFormat = ANY_FORMAT


# -------------------------------------------------------------------- what values show


class Marks(NamedTuple):
    """What the values of a column show about its marks."""

    comma: bool  # a value has a decimal comma: 1,5 or 1.234,56 or 1.234.567
    point: bool  # a value has a decimal point: 1.5 or 1,234.56 or 1,234,567
    unclear_comma: bool  # a value such as 8,100
    unclear_point: bool  # a value such as 8.100


def _decimal_shown(mark: str, other: str) -> str:
    """Return the pattern of values in which ``mark`` can only be the decimal mark."""
    m, o, s = re.escape(mark), re.escape(other), f"[{_BLANKS}{_APOSTROPHES}]"
    whole = rf"\d*{m}\d{{1,2}}|\d*{m}\d{{4,}}|0\d*{m}\d+|\d{{4,}}{m}\d+|{m}\d+"
    grouped = rf"\d{{1,3}}({o}\d{{3}})+{m}\d+|\d{{1,3}}({s}\d{{3}})+{m}\d+|\d{{1,3}}({o}\d{{3}}){{2,}}"
    return rf"^[+-]?({whole}|{grouped}|\d+{m}\d+e[+-]?\d+){_EXPONENT}$"


_COMMA, _POINT = _decimal_shown(",", "."), _decimal_shown(".", ",")
_UNCLEAR_COMMA, _UNCLEAR_POINT = (rf"^[+-]?[1-9]\d{{0,2}}{mark}\d{{3}}$" for mark in (",", r"\."))


def marks_of(text: Any) -> Marks:
    """Find what text in lower case, without blanks around it, shows about its marks."""
    found = (_matches(text, pattern) for pattern in (_COMMA, _POINT, _UNCLEAR_COMMA, _UNCLEAR_POINT))
    return Marks(*(bool(pc.any(mask, min_count=0).as_py()) for mask in found))


def _matches(text: Any, pattern: str) -> Any:
    return pc.fill_null(pc.match_substring_regex(text, pattern), False)


# -------------------------------------------------------------------- parsing


def parse_numbers(text: pa.ChunkedArray, style: NumberFormat) -> ParsedNumbers:
    """Parse text as numbers, in the format that all of its values have in common."""
    if not len(text):  # pyarrow before 26 crashes in indices_nonzero without a chunk
        return ParsedNumbers(pc.cast(text, pa.float64()))
    lower, missing = _prepared(text)
    decimal, reason = _decimal_mark(marks_of(lower), style)
    found = NumberFormat(decimal, style.thousands)
    right = _matches(lower, _number_pattern(decimal, _separators(found)))
    if reason:
        right = pc.and_(right, pc.invert(_matches(lower, _unclear(marks_of(lower), style))))
    wrong = pc.indices_nonzero(pc.and_(pc.invert(missing), pc.invert(right)))
    if len(wrong):
        return ParsedNumbers(text, pa.table({"row": wrong, "text": text.take(wrong)}), reason)
    present = pc.if_else(missing, pa.scalar(None, lower.type), lower)
    return ParsedNumbers(pc.cast(_plain_numbers(present, found), pa.float64()), format=found)


def parse_together(columns: Sequence[pa.ChunkedArray], style: NumberFormat) -> npt.NDArray[np.float64] | None:
    """Parse columns of text, all of equal length, at once: (n_columns, n_rows).

    Returns None if a column needs a look of its own: it is not plain numbers, or what others show
    about their marks would change how it is read.
    """
    text = pa.chunked_array([joined(columns)])
    if style.decimal is None and style.thousands not in (".", ","):
        marks = marks_of(_prepared(text)[0])
        if marks.unclear_comma or (marks.unclear_point and (style.commas or marks.comma)):
            return None
    parsed = parse_numbers(text, style)
    return None if parsed.wrong is not None else np.asarray(parsed.numbers).reshape(len(columns), -1)


def joined(columns: Sequence[pa.ChunkedArray]) -> pa.Array:
    """Return the values of several columns, one column after the other."""
    return pa.concat_arrays([chunk for column in columns for chunk in column.chunks])


def _prepared(text: pa.ChunkedArray) -> tuple[Any, Any]:
    """Return the text in lower case without blanks around it, and which values are missing."""
    lower = pc.utf8_lower(pc.utf8_trim_whitespace(text))
    return lower, pc.or_kleene(pc.is_in(lower, MISSING), pc.is_null(lower))


def _decimal_mark(marks: Marks, style: NumberFormat) -> tuple[str, str]:
    """Return the decimal mark of a column, and why it is not sure."""
    if style.decimal is not None:
        return style.decimal, ""
    if style.thousands in (".", ","):
        return "," if style.thousands == "." else ".", ""
    if marks.comma and marks.point:
        return ".", "Some values have a decimal comma, others a decimal point. Write all of them alike."
    if marks.comma or marks.point:
        return "," if marks.comma else ".", ""
    if marks.unclear_comma:
        return ".", 'The comma may separate thousands or decimals. Pass thousands="," or decimal="," to say which.'
    if marks.unclear_point and style.commas:
        return ".", 'The point may separate thousands or decimals. Pass thousands="." or decimal="." to say which.'
    return ".", ""


def _unclear(marks: Marks, style: NumberFormat) -> str:
    """Return the pattern of the values for which a column is refused."""
    if marks.comma and marks.point:
        return _COMMA
    return _UNCLEAR_COMMA if marks.unclear_comma else _UNCLEAR_POINT


def _separators(style: NumberFormat) -> tuple[str, ...]:
    """Return the sets of characters that may separate thousands, one set in a number."""
    if style.thousands is None:
        return ("," if style.decimal == "." else ".", _BLANKS, _APOSTROPHES)
    return (next((group for group in (_BLANKS, _APOSTROPHES) if style.thousands in group), style.thousands),)


@cache
def _number_pattern(decimal: str, separators: tuple[str, ...]) -> str:
    grouped = "|".join(rf"[1-9]\d{{0,2}}([{re.escape(group)}]\d{{3}})+" for group in separators)
    mark = re.escape(decimal)
    return rf"^[+-]?(((\d+|{grouped})({mark}\d*)?|{mark}\d+){_EXPONENT}|inf(inity)?)$"


def _plain_numbers(text: Any, style: NumberFormat) -> Any:
    for group in _separators(style):
        text = pc.replace_substring_regex(text, f"[{re.escape(group)}]", "")
    return text if style.decimal == "." else pc.replace_substring(text, ",", ".")


# -------------------------------------------------------------------- what looks like a number


@cache
def _like_a_number(units: bool) -> str:
    """Return the pattern of all that is meant as a number, whether it can be read or not."""
    number = r"([+-]?\d+([.,]\d*)?|[+-]?[.,]\d+|[+-]?\d{1,3}([.,%s]\d{3})+([.,]\d+)?)" % (_BLANKS + _APOSTROPHES)
    after = f"%|\u2030|{_CURRENCIES}" + (f"|{_UNITS}" if units else "")
    sign = rf"[+-]?({_CURRENCIES}) ?{number}|{number} ?({after})"
    return rf"^({number}{_EXPONENT}|[+-]?inf(inity)?|{sign})$"


def unlike_numbers(text: pa.ChunkedArray, units: bool = True) -> npt.NDArray[np.bool_]:
    """Return which values are not meant as numbers. 12 %, $8 and (with ``units``) 5 kg are."""
    lower, missing = _prepared(text)
    return np.asarray(pc.invert(pc.or_(missing, _matches(lower, _like_a_number(units)))))


def unlike_plain(text: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    """Return which values are not numbers as they are written in English, such as 8100 or 8.1."""
    lower, missing = _prepared(text)
    return np.asarray(pc.invert(pc.or_(missing, _matches(lower, _NUMBER))))


def sign_in(text: str) -> str:
    """Return the currency, percent sign or unit in a text that is a number otherwise, or ""."""
    word = re.fullmatch(r"[+-]?\d[\d.,]*\s*([^\W\d_]+(?:/[^\W\d_]+)?)", text.strip())
    if word:
        return word[1]
    if not re.match(_like_a_number(True), text.strip().lower()):
        return ""
    return re.sub(rf"[\d.,+{_BLANKS}{_APOSTROPHES}-]", "", text.strip())
