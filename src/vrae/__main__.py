"""The whole process of the command line, also as ``python -m vrae``."""

import os
import signal
import sys
from typing import Any

__all__ = ["run"]

_PROCESS = os.getpid()


def _stop(number: int, frame: Any) -> None:
    """Stop as after Ctrl-C: a scheduler or a container asks for it, and waits for a while."""
    if os.getpid() == _PROCESS:
        signal.raise_signal(signal.SIGINT)
    else:  # a forked process
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)


def run() -> None:
    """Run the command line. Ctrl-C before and after it ends the process without a traceback."""
    is_usual = signal.getsignal(signal.SIGTERM) is signal.SIG_DFL  # not ignored by who started it
    if is_usual and signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else nobody would stop it
        signal.signal(signal.SIGTERM, _stop)
    # Before NumPy is imported: on small matrices its threads wait longer than they work.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        from vrae.cli import main

        main()
    except KeyboardInterrupt:  # while its modules are imported
        print("Stopped. Nothing was written.", file=sys.stderr)
        sys.exit(130)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # nothing is left to stop


if __name__ == "__main__":
    run()
