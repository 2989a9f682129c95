"""A picture (SVG) of what a command shows on a terminal, as the README has of the demo.

    .venv/bin/python -m tools.terminal_picture docs/demo.svg -- batchext demo
    .venv/bin/python -m tools.terminal_picture docs/demo-fail.svg -- batchext demo --fail secretext

The command runs on a terminal of its own; the picture is what is left on it at the end.
"""

from __future__ import annotations

import os
import pty
import re
import struct
import subprocess
import sys
from collections.abc import Sequence
from fcntl import ioctl
from io import StringIO
from pathlib import Path
from termios import TIOCSWINSZ

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

COLUMNS = 132
_UP_AND_CLEAR = re.compile(r"\x1b\[1A\x1b\[2K")
_NO_COLOUR = re.compile(r"\x1b\[[?0-9;]*[A-LN-Za-ln-z]")  # moves of the cursor, not colours (m)


def recorded(command: Sequence[str]) -> str:
    """What a command writes on a terminal of so many columns."""
    ours, its = pty.openpty()
    ioctl(its, TIOCSWINSZ, struct.pack("HHHH", 60, COLUMNS, 0, 0))
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": str(COLUMNS)}
    running = subprocess.Popen(command, stdin=its, stdout=its, stderr=its, env=environment)
    os.close(its)
    chunks = []
    while True:
        try:
            chunk = os.read(ours, 65536)
        except OSError:  # the terminal's other side is closed: the command has ended
            break
        if not chunk:
            break
        chunks.append(chunk)
    running.wait()
    os.close(ours)
    return b"".join(chunks).decode()


def left(written: str) -> str:
    """The lines that are left: a line that was cleared, to be drawn anew, is gone."""
    lines = [""]
    for part in re.split(f"({_UP_AND_CLEAR.pattern}|\r?\n|\r)", written):
        if _UP_AND_CLEAR.fullmatch(part or ""):
            lines.pop()
            lines[-1:] = [""]
        elif part in ("\n", "\r\n"):
            lines.append("")
        elif part == "\r":
            continue
        else:
            lines[-1] += _NO_COLOUR.sub("", part)
    return "\n".join(lines).rstrip()


def picture(text: str, title: str) -> str:
    """An SVG of coloured lines, in a window with that title."""
    console = Console(record=True, width=COLUMNS, file=StringIO(), force_terminal=True)
    console.print(Text.from_ansi(text))
    svg = console.export_svg(title=title, theme=MONOKAI, unique_id=re.sub(r"\W+", "-", title))
    # The font is one that the reader may have: nothing is loaded from elsewhere.
    return re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.DOTALL)


def main(arguments: Sequence[str]) -> int:
    """Run a command, and write its picture into a file."""
    file, dashes, *command = arguments
    if dashes != "--" or not command:
        print(__doc__, file=sys.stderr)
        return 2
    Path(file).write_text(picture(left(recorded(command)), " ".join(command)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
