"""Read files in a process of its own, under limits: a hang, a crash or a jump in memory is found.

Run as a script, it reads one request per line, and answers each with a line.
"""

from __future__ import annotations

import json
import re
import select
import subprocess
import sys
import traceback
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

SECONDS = 20  # for a file of a few kilobytes, on a busy machine
MEGABYTES = 300  # more than before
ADDRESS_SPACE = 16 << 30  # bytes


class Worker:
    """A process that reads files. After a crash or a hang, the next file is read by a new one."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def read(self, path: Path, options: dict[str, Any], in_parts: bool) -> str:
        """Return "read" or "refused". Fail if the file is neither read nor refused in words."""
        if self._process is None:
            command = [sys.executable, str(Path(__file__).resolve())]
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            self._answer(120)  # imports
        assert self._process.stdin is not None
        request = {"path": str(path), "options": options, "in_parts": in_parts}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = self._answer(SECONDS)
        if answer is None:
            code = self._process.poll()
            self.close()
            pytest.fail(f"The reader {'hangs' if code is None else f'ended with {code}'}: {request}")
        if answer["problem"]:
            pytest.fail(f"{answer['problem']}\n{request}")
        if answer["megabytes"] > MEGABYTES:
            pytest.fail(f"Took {answer['megabytes']:.0f} MiB: {request}")
        return str(answer["result"])

    def _answer(self, seconds: float) -> dict[str, Any] | None:
        assert self._process is not None
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], seconds)
        line = self._process.stdout.readline() if ready else ""
        return json.loads(line) if line else None

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
        self._process = None


def _peak() -> float:
    """Return the largest size of this process in MiB since `_reset`; 0 if it is not known."""
    with suppress(OSError):
        return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024  # type: ignore[index]
    return 0.0


def _reset() -> None:
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _check(panel: Any) -> None:
    import numpy as np

    assert panel.values.shape == (panel.offsets[-1], panel.n_channels)
    assert panel.values.dtype in (np.float32, np.float64)
    assert len(panel.ids) == len(panel) == len(panel.offsets) - 1
    assert (np.diff(panel.offsets) > 0).all()
    assert panel.times is None or len(panel.times) == len(panel.values)
    assert all(len(column) == len(panel) for column in panel.static.values())
    assert panel.ids.dtype.kind in "biufUMO"
    assert len(panel.summary()) == 3


def _read(path: str, options: dict[str, Any], in_parts: bool) -> dict[str, Any]:
    from vrae import read_panel
    from vrae.data.stream import stream_panels
    from vrae.exceptions import VRAEError

    _reset()
    before, problem, result = _peak(), "", "read"
    try:
        panels = stream_panels(path, **options) if in_parts else [read_panel(path, **options)]
        for panel in panels:
            _check(panel)
    except VRAEError as error:
        result = "refused"
        if not 20 < len(str(error)) < 3000:
            problem = f"The message has {len(str(error))} characters: {error!s:.300}"
    except BaseException:  # also what Arrow, pandas and others raise
        problem = traceback.format_exc()
    return {"problem": problem, "result": result, "megabytes": _peak() - before}


def _main() -> None:
    import openpyxl  # noqa: F401
    import pandas as pd  # noqa: F401

    from vrae.data import files, frames, stream, tables  # noqa: F401

    stream._WHOLE_VALUES = 0  # so that small files are read in parts too
    warnings.simplefilter("ignore")
    with suppress(ImportError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    print("{}", flush=True)
    for line in sys.stdin:
        print(json.dumps(_read(**json.loads(line))), flush=True)


if __name__ == "__main__":
    _main()
