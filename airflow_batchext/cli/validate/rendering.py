"""Renders the template of a document as Airflow would: in a sandbox, in a process of its own, within bounds.

It may come from anybody: a loop in a loop has no end, a text times a number fills the memory, and neither can
be stopped from within the process that does it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

_CANNOT = "the template cannot be rendered"
MOST_BYTES = 1024 * 1024
_CPU_SECONDS = 10
_MEMORY = 512 * 1024 * 1024
#: Only a machine that does much else takes so long for the seconds above.
_PATIENCE_SECONDS = 300


class RenderingError(Exception):
    """A template cannot be rendered; the text says why.

    :param line: where in the template.
    """

    def __init__(self, problem: str, line: int = 1) -> None:
        super().__init__(problem)
        self.line = line


def render(text: str, variables: Mapping[str, Any]) -> str:
    """The text that a template makes of the variables.

    :raises RenderingError: if it makes none.
    """
    try:
        asked = json.dumps({"text": text, "variables": variables, "seconds": _CPU_SECONDS}, default=str)
    except (ValueError, RecursionError):
        raise RenderingError(f"{_CANNOT}: its variables nest too deep") from None
    # -P: the working directory is whoever's, and no place to import from.
    command = [sys.executable, "-P", "-m", __name__]
    try:
        done = subprocess.run(  # noqa: S603 - this very module
            command, input=asked.encode(), capture_output=True, timeout=_PATIENCE_SECONDS, check=False
        )
        answer = json.loads(done.stdout)
    except (subprocess.TimeoutExpired, ValueError):
        raise RenderingError(
            f"{_CANNOT}: it takes more than {_CPU_SECONDS} seconds of the processor, or too much memory"
        ) from None
    if "problem" in answer:
        raise RenderingError(f"{_CANNOT}{answer['problem']}", answer["line"])
    return str(answer["text"])


def _answer(asked: Mapping[str, Any]) -> dict[str, Any]:
    from jinja2 import StrictUndefined, TemplateError
    from jinja2.sandbox import SandboxedEnvironment

    environment = SandboxedEnvironment(
        undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False
    )
    parts, size = [], 0
    try:
        for part in environment.from_string(asked["text"]).generate(asked["variables"]):
            parts.append(part)
            size += len(part)
            if size > MOST_BYTES:
                return _problem(": it makes more than 1 MiB of text")
    except TemplateError as error:
        return _problem(f": {error.message or type(error).__name__}", getattr(error, "lineno", None) or 1)
    except MemoryError:
        parts.clear()
        return _problem(": it takes too much memory")
    except Exception as error:  # whatever its expressions raise
        return _problem(f" ({type(error).__name__})")
    return {"text": "".join(parts)}


def _problem(text: str, line: int = 1) -> dict[str, Any]:
    return {"problem": text, "line": line}


def _main() -> None:
    asked = json.load(sys.stdin)
    with suppress(ImportError, ValueError, OSError):  # not on every system
        import resource

        resource.setrlimit(resource.RLIMIT_CPU, (asked["seconds"], asked["seconds"]))
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    json.dump(_answer(asked), sys.stdout)


if __name__ == "__main__":
    _main()
