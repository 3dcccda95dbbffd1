"""Names of clusters: those that a user gives, and automatic ones that give way to them.

The page of a report has the same rules, in ``editing.js``.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence

from vrae.describe.words import NOISE, cluster_name
from vrae.exceptions import InvalidParameterError, shortened

__all__ = ["LONGEST_NAME", "all_names", "checked_names"]

# Characters of a name. A longer one does not fit into a chart.
LONGEST_NAME = 80

# Some emoji consist of several that a joiner connects, and some scripts need it inside a word.
_JOINERS = "\u200c\u200d"
_UNSEEN = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")  # categories of characters that no chart can draw


def checked_names(given: Mapping[int, str | None], own: Mapping[int, str]) -> dict[int, str]:
    """Return the user's ``own`` names with those that are ``given`` now; None takes a name away.

    Raise if a name cannot be shown, or if two clusters have the same.
    """
    names = {number: name for number, name in own.items() if number not in given}
    names |= {number: _checked_name(number, name) for number, name in given.items() if name is not None}
    holder: dict[str, int] = {}
    for number in sorted(names, key=lambda number: number in given):  # those that stay come first
        name = names[number]
        other = holder.setdefault(_key(name), number)
        if other == number:
            continue
        if other in given:
            raise InvalidParameterError(
                f"Every cluster needs its own name; clusters {other} and {number} would both be named {name!r}. "
                f"Upper and lower case count as the same."
            )
        raise InvalidParameterError(
            f"Cluster {other} is named {names[other]!r} already. Choose another name for cluster {number}, or swap "
            f"names in one rename: {{{number}: {names[other]!r}, {other}: ...}}."
        )
    return dict(sorted(names.items()))


def _checked_name(number: int, name: object) -> str:
    """Return a name with plain blanks, or raise if no table or chart can show it."""
    text = _plain_blanks(name) if isinstance(name, str) else ""
    if not text or len(text) > LONGEST_NAME or _key(text) == _key(cluster_name(NOISE)):
        raise InvalidParameterError(
            f"The name of cluster {number} must be a line of 1 to {LONGEST_NAME} characters, and not "
            f"{cluster_name(NOISE)!r}; found {shortened(name)}."
        )
    unseen = [char for char in text if char not in _JOINERS and unicodedata.category(char) in _UNSEEN]
    if unseen:
        raise InvalidParameterError(
            f"The name of cluster {number} contains U+{ord(unseen[0]):04X}, which cannot be shown; found "
            f"{shortened(name)}. Use a line of visible characters."
        )
    return text


def all_names(automatic: Sequence[str], own: Mapping[int, str]) -> dict[int, str]:
    """Return the names of all clusters: the user's, and automatic ones that differ from them."""
    taken = {_key(name) for name in own.values()}
    free = {number for number, name in enumerate(automatic) if number not in own and _key(name) not in taken}
    taken |= {_key(automatic[number]) for number in free}
    names: dict[int, str] = {}
    for number, name in enumerate(automatic):
        names[number] = own.get(number, name)
        if number not in own and number not in free:
            names[number] = next(other for other in _others(name, number) if _key(other) not in taken)
            taken.add(_key(names[number]))
    return names


def _others(name: str, number: int) -> Iterator[str]:
    """Yield names instead of one that the user gave to another cluster."""
    yield f"{name} ({number})"
    yield f"{name} (cluster {number})"
    more = 0
    while True:
        more += 1
        yield f"{name} (cluster {number}, {more})"


def _plain_blanks(text: str) -> str:
    plain = "".join(" " if unicodedata.category(char) == "Zs" else char for char in text)
    return plain.strip(f" {_JOINERS}")


def _key(name: str) -> str:
    """Return what equal names have in common, so that a reader can tell names apart."""
    seen = "".join(char for char in unicodedata.normalize("NFC", name) if char not in _JOINERS)
    return " ".join(seen.lower().split())
