"""The whole process of the command line, also as ``python -m vrae``."""

import os
import signal
import sys

__all__ = ["run"]


def run() -> None:
    """Run the command line. Ctrl-C before and after it ends the process without a traceback."""
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
