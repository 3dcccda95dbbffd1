"""Descriptions of plain values: their types, ranges, lengths and keys.

A description is a function ``check(place, value)``. It raises an InvalidParameterError that names
the place of the first wrong value, such as ``model.history[3].loss``, what was found there and what
is allowed. Together they describe a whole file, or the options of an estimator.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from vrae.config import check_choice, check_flag, check_int, check_real
from vrae.exceptions import InvalidParameterError, did_you_mean, shortened

__all__ = [
    "Check",
    "choice",
    "either",
    "flag",
    "list_of",
    "mapping",
    "maybe",
    "plain",
    "real",
    "record",
    "refuse",
    "scalars",
    "text",
    "whole",
]

Check = Callable[[str, Any], object]

# The largest whole number that every reader of JSON keeps.
_LARGEST = (1 << 53) - 1


def refuse(place: str, allowed: str, found: Any) -> InvalidParameterError:
    """Return the error for a wrong value: what is allowed at its place, and what was found."""
    return InvalidParameterError(f"{place} must be {allowed}; found {shortened(found)}.")


def whole(low: int = 0, high: int = _LARGEST, *, auto: bool = False) -> Check:
    """Describe a whole number. ``auto`` allows "auto", too."""

    def checked(place: str, value: Any) -> None:
        if not auto or not isinstance(value, str) or value != "auto":
            check_int(place, value, low=low, high=high, auto=auto)

    return checked


def real(**bounds: float) -> Check:
    """Describe a finite number; see `vrae.config.check_real` for the bounds."""
    return lambda place, value: check_real(place, value, **bounds)


def flag(place: str, value: Any) -> object:
    """Describe true or false."""
    return check_flag(place, value)


def choice(*values: str) -> Check:
    """Describe one of several texts."""
    return lambda place, value: check_choice(place, value, values)


def text(longest: int = 10_000, pattern: str = "", what: str = "") -> Check:
    """Describe text that matches a pattern. ``what`` says in words what the pattern means."""

    def check(place: str, value: Any) -> None:
        fits = isinstance(value, str) and len(value) <= longest and "\0" not in value
        if not fits or (pattern and not re.fullmatch(pattern, value)):
            raise refuse(place, what or f"text of at most {longest:,} characters", value)

    return check


def maybe(check: Check) -> Check:
    """Describe what another description does, or null."""
    return lambda place, value: None if value is None else check(place, value)


def either(word: str, check: Check) -> Check:
    """Describe a word such as "auto", or what another description does."""

    def checked(place: str, value: Any) -> None:
        if isinstance(value, str):
            check_choice(place, value, (word,))
        else:
            check(place, value)

    return checked


def list_of(check: Check, least: int = 0, most: int = _LARGEST) -> Check:
    """Describe a list by its elements and by how many it has."""
    number = f"{least:,}" if least == most else f"{least:,} to {most:,}" if most < _LARGEST else f"{least:,} or more"

    def checked(place: str, value: Any) -> None:
        is_list = isinstance(value, (list, tuple))
        if not is_list or not least <= len(value) <= most:
            found = f"{len(value):,}" if is_list else shortened(value)
            raise InvalidParameterError(f"{place} must be a list of {number} entries; found {found}.")
        for index, entry in enumerate(value):
            check(f"{place}[{index}]", entry)

    return checked


def record(needed: Mapping[str, Check], later: Mapping[str, Check] | None = None, others: Check | None = None) -> Check:
    """Describe an object by its keys.

    ``later`` are keys that it may lack, since older versions do. Other keys are refused, unless
    ``others`` describes their values.
    """
    known = {**needed, **(later or {})}

    def checked(place: str, value: Any) -> None:
        if not isinstance(value, dict):
            raise refuse(place or "The file", "an object with keys", value)
        start = f"{place}." if place else ""
        for name in needed:
            if name not in value:
                raise InvalidParameterError(f"{start}{name} is missing.")
        for name, entry in value.items():
            check = known.get(name, others)
            if check is None:
                where = f"{place} has an" if place else "There is an"
                raise InvalidParameterError(
                    f"{where} unknown key {shortened(name)}.{did_you_mean(name[:80], list(known))}"
                )
            check(f"{start}{name}"[:200], entry)

    return checked


def mapping(name: Check, value: Check) -> Check:
    """Describe an object with any keys that have one form, such as the names of columns."""

    def checked(place: str, found: Any) -> None:
        if not isinstance(found, dict):
            raise refuse(place, "an object with keys", found)
        for key, entry in found.items():
            name(f"a key of {place}", key)
            value(f"{place}.{key}", entry)

    return checked


def scalars(kinds: Sequence[type]) -> Check:
    """Describe a list of values of these types, of any length: it is checked in one go."""
    names = {bool: "true or false", int: "whole numbers", float: "numbers", str: "text"}

    def checked(place: str, value: Any) -> None:
        if not isinstance(value, list) or not set(map(type, value)) <= set(kinds):
            raise refuse(place, f"a list of {' or '.join(names[kind] for kind in kinds)}", value)

    return checked


def plain(depth: int = 8) -> Check:
    """Describe any JSON value without infinite numbers, nested up to a depth."""

    def checked(place: str, value: Any) -> None:
        if isinstance(value, (dict, list)):
            if depth == 0:
                raise refuse(place, "nested less deeply", value)
            entries = value.items() if isinstance(value, dict) else enumerate(value)
            for key, entry in entries:
                plain(depth - 1)(f"{place}.{key}"[:200], entry)
        elif isinstance(value, float):
            check_real(place, value)

    return checked
