"""How often random tests try: a little with the other tests, more where VRAE_FUZZ says so.

``VRAE_FUZZ=20`` gives twenty times as many random cases, and ``VRAE_FUZZ=nightly`` as many as
``make fuzz`` tries in about an hour.
"""

from __future__ import annotations

import os
from typing import Any

from hypothesis import HealthCheck, settings

_LEVEL = os.environ.get("VRAE_FUZZ", "")
IS_QUICK = not _LEVEL  # as with the other tests
_COMMON: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    "print_blob": True,
}


def times(quick: int, nightly: int) -> int:
    """Return how often to try. With ``quick=0`` only VRAE_FUZZ tries, a tenth of its factor."""
    if _LEVEL in ("", "nightly"):
        return nightly if _LEVEL else quick
    return quick * int(_LEVEL) or int(_LEVEL) // 10


def cases(quick: int, nightly: int) -> settings:
    """Return the number of examples of a test. The quick ones are the same every time."""
    if _LEVEL:
        return settings(max_examples=times(quick, nightly), **_COMMON)
    return settings(max_examples=quick, derandomize=True, database=None, **_COMMON)
