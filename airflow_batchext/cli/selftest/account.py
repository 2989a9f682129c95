"""Answers a walk with an account, the user's or the emulator's."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from email.utils import parsedate_to_datetime
from typing import Any

from airflow_batchext.cli.selftest.walk import (
    EXTENSION,
    Answered,
    DryRun,
    LookAsGate,
    Say,
    Send,
    TokenLife,
    Wait,
    Wanted,
)
from airflow_batchext.exceptions import BatchextError
from airflow_batchext.hooks._drivers.gate import drive, look
from airflow_batchext.hooks.exchange import exchange
from airflow_batchext.hooks.node import AzureBatchNodeHook
from airflow_batchext.repair.controller import Repair
from airflow_batchext.repair.policy import RepairPolicy
from airflow_batchext.rules.gate import Rules
from airflow_batchext.rules.watch import Watch
from airflow_batchext.transport import AnswerError, flows


class Account:
    """One account, through the hooks and the rules that everything else here uses.

    :param conn_id: the Airflow connection.
    :param pause: waits for one interval.
    :param say: tells the user how far the walk is.
    """

    def __init__(
        self, conn_id: str, pool_id: str, *, pause: Callable[[], object], say: Callable[[str], None]
    ) -> None:
        self.data = AzureBatchNodeHook(conn_id, retries=0)
        self.management = self.data.management()
        self._pool_id, self._pause, self._say = pool_id, pause, say
        self._watch = Watch(pool_id, Rules(extension_names=(EXTENSION,)))

    def go(self, steps: Generator[Wanted, Any, Any]) -> None:
        """Answer all steps."""
        flows.drive(steps, self._answer)

    def close(self) -> None:
        """Close the connections."""
        self.data.close()
        self.management.close()

    def _answer(self, wanted: Wanted) -> Any:
        match wanted:
            case Send():
                return self._ask(wanted)
            case Wait():
                return self._pause()
            case LookAsGate():
                verdict = look(self.data, self._watch)
                return verdict.outcome.value, verdict.summary
            case DryRun():
                repair = Repair(self._pool_id, RepairPolicy(), owner="batchext selftest", dry_run=True)
                progress = drive(self.data, self._pool_id, repair.look(self.data.service_time))
                return f"{progress.stage.value} {progress.text}".strip()
            case TokenLife():
                return self._token_life()
            case Say(text):
                return self._say(text)

    def _ask(self, ask: Send) -> Answered:
        hook = self.data if ask.plane == "data" else self.management
        call = exchange(ask.plane, ask.method, *ask.segments, body=ask.body, headers=ask.headers)
        try:
            answer = hook.run(call)
        except BatchextError as error:
            return Answered(0, {}, str(error), hook.service_time())
        try:
            at = parsedate_to_datetime(answer.headers.get("Date", "")).timestamp()
        except (TypeError, ValueError):
            at = hook.service_time()
        return Answered(answer.status, answer.headers, answer.body, at)

    def _token_life(self) -> float | None:
        from azure.core.exceptions import AzureError

        connection = self.management.connection
        try:
            token = self.management._credential(connection).get_token_info(connection.cloud.arm_scope)
        except (AzureError, AnswerError, BatchextError):  # how it failed is in the answers of both planes
            return None
        life: float = token.expires_on - time.time()
        return life
