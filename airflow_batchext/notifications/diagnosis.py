"""Tells why a pool is not ready when a task failed: the short diagnosis, through any other notifier.

Airflow runs ``on_failure_callback`` of a task on its worker; where the worker was lost, and for callbacks
of a DAG, in the DAG processor; the ``AsyncCallback`` of a deadline in the triggerer. The pool is read there,
at that moment, so it needs the connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, cast

from airflow.providers.common.compat.sdk import BaseNotifier

from airflow_batchext.parameters import (
    Check,
    check_count,
    check_text,
    optional,
    pool_id_of,
    refused,
    settle,
)
from airflow_batchext.templating import TemplatedTexts

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_batchext.notifications._diagnosis import Message


class AzureBatchDiagnosisNotifier(TemplatedTexts, BaseNotifier):
    """Sends the short diagnosis of a pool, or writes it to the log.

    The other notifier's templates find it in the context: ``{{ batch_diagnosis }}`` is the text in a few
    lines, ``{{ batch_diagnosis_html }}`` the same as HTML, ``{{ batch_causes }}`` the ids of the causes. ::

        on_failure_callback=AzureBatchDiagnosisNotifier(
            through=SlackNotifier(text="{{ dag.dag_id }} failed.\\n{{ batch_diagnosis }}"),
        )

    A diagnosis that fails does not keep the notification from being sent: it says why then. As the callback
    of a deadline it knows of no task, so it has to be told the pool. ::

        deadline=DeadlineAlert(..., callback=AsyncCallback(AzureBatchDiagnosisNotifier, {"pool_id": "p1"}))

    :param pool_id: the pool (templated); by default the ``pool_id`` of the task that failed, and as the
        callback of a DAG those of all tasks that did, up to five.
    :param azure_batchext_conn_id: Airflow connection to the Batch account (templated); by default that of
        the task that failed.
    :param through: a notifier, or several; None writes the text to the log.
    :param causes: how many causes to tell.
    """

    template_fields: Sequence[str] = ("pool_id", "azure_batchext_conn_id")
    checks: ClassVar[Mapping[str, Check]] = {
        "pool_id": optional(pool_id_of),
        "azure_batchext_conn_id": optional(check_text),
        "causes": check_count,
    }

    def __init__(
        self,
        *,
        pool_id: str | None = None,
        azure_batchext_conn_id: str | None = None,
        through: BaseNotifier | Sequence[BaseNotifier] | None = None,
        causes: int = 3,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pool_id = pool_id
        self.azure_batchext_conn_id = azure_batchext_conn_id
        self.through = through
        self.causes = causes
        settle(self, self.checks, templated=self.template_fields)
        several = through if isinstance(through, Sequence) else (() if through is None else (through,))
        if isinstance(through, (str, bytes)) or not all(isinstance(each, BaseNotifier) for each in several):
            raise refused("through", through, ", but it has to be a notifier, or a list of them.")

    def __call__(self, *args: Any) -> None:
        """Send it; rendering changes what is rendered, and the same notifier may serve many tasks."""
        super(AzureBatchDiagnosisNotifier, copy(self)).__call__(*args)

    def notify(self, context: Context) -> None:
        """Read, diagnose, and send."""
        from airflow_batchext.notifications._diagnosis import message

        for notifier, told in self._sent(context, message(self, context)):
            notifier(told)

    async def async_notify(self, context: Context) -> None:
        """``notify`` in an event loop, such as the triggerer's, which goes on meanwhile."""
        # The first import takes as long as many gates' looks.
        inside = await asyncio.to_thread(import_module, "airflow_batchext.notifications._diagnosis")
        for notifier, told in self._sent(context, await inside.amessage(self, context)):
            if type(notifier).async_notify is BaseNotifier.async_notify:
                await asyncio.to_thread(notifier, told)
            else:
                notifier.context = told
                await notifier

    def _sent(self, context: Context, told: Message) -> Iterator[tuple[BaseNotifier, Context]]:
        """Each notifier that it goes through, with what its templates find; without any it is logged."""
        from markupsafe import escape

        if self.through is None:
            self.log.error("%s", told.text)
            return
        extra = {
            "batch_diagnosis": told.text,
            "batch_diagnosis_html": f"<pre>{escape(told.text)}</pre>",
            "batch_causes": told.causes,
        }
        for notifier in self.through if isinstance(self.through, Sequence) else (self.through,):
            yield copy(notifier), cast("Context", {**context, **extra})
