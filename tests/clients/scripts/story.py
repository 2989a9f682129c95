"""What every story needs: where the emulator is, patience, refusals as data, and a way to tell."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

INFO: dict[str, str] = json.load(sys.stdin)
PAUSE = 0.1
PATIENCE = 40.0

EXTENSION = {
    "name": "secretext",
    "publisher": "Microsoft.Azure.KeyVault",
    "type": "KeyVaultForLinux",
    "typeHandlerVersion": "1.0",
    "autoUpgradeMinorVersion": True,
    "settings": {"secretsManagementSettings": {"pollingIntervalInS": "300", "nested": {"deep": [1, True]}}},
    "protectedSettings": {"key": "SENTINEL"},
}
IMAGE = {"publisher": "canonical", "offer": "ubuntuserver", "sku": "18.04-lts"}


def until(what: str, check: Callable[[], Any]) -> Any:
    """Ask until the answer is true; return it."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        answer = check()
        if answer:
            return answer
        time.sleep(PAUSE)
    raise SystemExit(f"waited {PATIENCE} s in vain until {what}")


def refusal(call: Callable[[], Any]) -> list[Any]:
    """The class, status and code of what the service refuses, as the client shows them."""
    try:
        call()
    except Exception as problem:
        response = getattr(problem, "response", None)
        return [type(problem).__name__, getattr(response, "status_code", None), _code(problem)]
    return ["accepted", None, None]


def _code(problem: Exception) -> str | None:
    for name in ("error", "model"):
        code = getattr(getattr(problem, name, None), "code", None)
        if code:
            return str(code)
    return None


def tell(**seen: Any) -> None:
    """Print what was seen, as the last line of the output."""
    sys.stdout.write(json.dumps(seen) + "\n")
