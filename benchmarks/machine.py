"""What the figures were measured on, and with."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.request import Request, urlopen


def machine() -> str:
    """Name the machine that the figures belong to."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    cores = len(os.sched_getaffinity(0))
    python = platform.python_version()
    return f"{model or platform.machine()}, {cores} cores, {platform.system()}, Python {python}"


def memory_of(process: int) -> float:
    """The resident memory of a process in megabytes."""
    status = Path(f"/proc/{process}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024


def markdown(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; its first column is text, the others are numbers."""
    lines = [list(head), ["---", *["---:"] * (len(head) - 1)], *([str(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


@contextmanager
def emulator_process(scenario: object = None, *, time_scale: float = 0) -> Iterator[SimpleNamespace]:
    """``batchext emulator`` as a process: what it says of itself, and its process id as ``pid``."""
    program = Path(sys.executable).with_name("batchext")
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(scenario or {}, file)
        file.flush()
        command = [str(program), "emulator", "--time-scale", str(time_scale), "--scenario", file.name]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            try:
                yield SimpleNamespace(pid=process.pid, **json.loads(process.stdout.readline()))
            finally:
                process.terminate()


def control(info: SimpleNamespace, path: str, body: object) -> Any:
    """Ask something of an emulator that is not Azure's."""
    request = Request(
        f"{info.http_endpoint}/emulator{path}",
        data=json.dumps(body).encode(),
        headers={"Authorization": f"Key {info.key}", "Content-Type": "application/json"},
    )
    with urlopen(request, timeout=60) as answer:
        return json.loads(answer.read() or b"null")
