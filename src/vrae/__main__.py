"""The whole process of the command line, also as ``python -m vrae``."""

import gc
import os
import signal
import stat
import sys
from contextlib import suppress
from typing import Any

__all__ = ["run"]

_PROCESS = os.getpid()
# Sent by a scheduler or a container, which then waits for a while, and by a terminal that closes.
_STOP = ("SIGTERM", "SIGHUP")


def _stop(number: int, frame: Any) -> None:
    """Stop as after Ctrl-C."""
    if os.getpid() == _PROCESS:
        if signal.Signals(number).name == "SIGHUP":
            signal.signal(number, signal.SIG_IGN)  # the shell sends it too, and a second Ctrl-C saves nothing
            _leave_closed_terminal()
        stop = signal.getsignal(signal.SIGINT)
        if callable(stop):
            stop(signal.SIGINT, frame)
    else:  # a forked process
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)


def _leave_closed_terminal() -> None:
    """Send what is still said nowhere, since writing to a closed terminal is an error."""
    for descriptor in (1, 2):
        with suppress(OSError):  # the process was started without it
            if stat.S_ISCHR(os.fstat(descriptor).st_mode) and not os.isatty(descriptor):
                os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)


def run() -> None:
    """Run the command line. Ctrl-C before and after it ends the process without a traceback."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN and hasattr(signal, "pthread_sigmask"):
        # In the background of a script, Ctrl-C is not for this process, but SIGTERM is.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else nobody would stop it
        for number in (getattr(signal, name) for name in _STOP if hasattr(signal, name)):
            if signal.getsignal(number) is signal.SIG_DFL:  # not ignored by who started it, such as nohup
                signal.signal(number, _stop)
    # Python would search the growing number of modules for garbage again and again, for a second.
    # The phase after "Starting" turns this on again.
    gc.disable()
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
