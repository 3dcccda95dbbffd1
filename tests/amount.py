"""How often random tests try: a little with the other tests, more where VRAE_FUZZ says so.

``VRAE_FUZZ=20`` gives twenty times as many random cases, ``VRAE_FUZZ=nightly`` as many as
``make fuzz`` tries, and ``VRAE_FUZZ=nightly/10`` a tenth of these.
"""

from __future__ import annotations

import os
from typing import Any

from hypothesis import HealthCheck, settings

_LEVEL, _, _PART = os.environ.get("VRAE_FUZZ", "").partition("/")
IS_QUICK = not _LEVEL  # as with the other tests
_COMMON: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    "print_blob": True,
}


def times(quick: int, nightly: int) -> int:
    """Return how often to try. With ``quick=0`` only VRAE_FUZZ tries, a tenth of its factor."""
    if _LEVEL == "nightly":
        return max(1, nightly // int(_PART or 1))
    if not _LEVEL:
        return quick
    return quick * int(_LEVEL) or int(_LEVEL) // 10


def cases(quick: int, nightly: int) -> settings:
    """Return the number of examples of a test. The quick ones are the same every time."""
    if _LEVEL:
        return settings(max_examples=times(quick, nightly), **_COMMON)
    return settings(max_examples=quick, derandomize=True, database=None, **_COMMON)
