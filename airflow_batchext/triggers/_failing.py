"""What a worker makes of it that the triggerer could not wait: the reason, in a sentence.

What Airflow hands over is ``{"error": …, "traceback": [lines]}``, and nothing of what the trigger knew.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from airflow_batchext.batch.data_plane import one_line
from airflow_batchext.exceptions import NoConnectionError
from airflow_batchext.secrets.redact import redact_text

_LOADING = ("ImportError", "ModuleNotFoundError")


def timed_out(failure: Mapping[str, Any]) -> bool:
    """Whether it was Airflow's own limit that ended the wait."""
    return bool(failure.get("error") == "Trigger timeout")


def reason(failure: Mapping[str, Any], log: Any) -> str:
    """Why it could not wait; what nobody expects goes into the log as well, with all its lines.

    :param failure: what Airflow resumes the task with.
    """
    if timed_out(failure):
        return (
            "no triggerer has told anything of it by then, and Airflow's own limit has ended the wait. "
            "Check that a triggerer runs, and keeps up"
        )
    told = redact_text("\n".join(map(str, failure.get("traceback") or ())))
    kind, _, text = _last_error(told).partition(": ")
    kind = kind.rpartition(".")[2]
    if kind in _LOADING or (kind == "AttributeError" and "airflow_batchext" in text):
        return (
            f"the triggerer cannot load what waits for this task ({one_line(text)}). Install this provider "
            "there too, in the version that the workers have, and start the triggerer anew"
        )
    if not kind:
        error = failure.get("error") or "Trigger failure"
        said = "" if error == "Trigger failure" else f": {one_line(str(error))}"
        return f"the triggerer has given up without a word{said}. Its own log may say more"
    log.error("Trigger failed:\n%s", told)
    return f"what waited in the triggerer has crashed: {kind}{f': {one_line(text)}' if text else ''}"


def _last_error(traceback: str) -> str:
    """The line that names the exception: the last one that follows an indented one."""
    lines = [line for line in traceback.splitlines() if line.strip()]
    named = [line for before, line in pairwise(["", *lines]) if line[0] != " " and before[:1] in (" ", "")]
    return named[-1] if named else ""


def connection_text(error: Exception, conn_id: str) -> str:
    """What a trigger says of an error of the connection, or of a refusal: that it was there."""
    if isinstance(error, NoConnectionError):
        return (
            f"the triggerer does not have the connection {conn_id!r}. Give it to the triggerer as to the "
            "workers (Airflow's database, a secrets backend, or the environment of both), or wait on a "
            "worker, without deferrable"
        )
    return str(error)
