"""How often random tests try: a little with the other tests, more where VRAE_FUZZ says so.

``VRAE_FUZZ=20`` gives twenty times as many random cases, ``VRAE_FUZZ=nightly`` as many as
``make fuzz`` tries, and ``VRAE_FUZZ=nightly/10`` a tenth of these.
"""

from __future__ import annotations

import faulthandler
import os
from contextlib import suppress
from typing import Any

from hypothesis import HealthCheck, settings

_LEVEL, _, _PART = os.environ.get("VRAE_FUZZ", "").partition("/")
IS_QUICK = not _LEVEL  # as with the other tests
_COMMON: dict[str, Any] = {
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    "print_blob": True,
}

# What no night of random tests needs. A hang or a jump in memory is a failure. Files are read under
# tighter limits, in a process of their own (`reading_worker.py`).
_SECONDS = 4 * 3600
_ADDRESS_SPACE = 48 << 30  # bytes


def _limit() -> None:
    faulthandler.dump_traceback_later(_SECONDS, exit=True)
    with suppress(ImportError, ValueError, OSError):  # systems without such limits, or with lower ones
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, resource.getrlimit(resource.RLIMIT_AS)[1]))


if not IS_QUICK:
    _limit()


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
