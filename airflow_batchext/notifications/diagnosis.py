"""Tells why a pool is not ready when a task failed: the short diagnosis, through any other notifier.

Airflow runs ``on_failure_callback`` of a task on its worker; where the worker was lost, and for callbacks
of a DAG, in the DAG processor. The pool is read there, at that moment, so it needs the same connection.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import AirflowException, BaseNotifier

from airflow_batchext.defaults import DEFAULT_CONN_ID
from airflow_batchext.exceptions import BatchextError
from airflow_batchext.parameters import (
    Check,
    check_count,
    check_pool_id,
    check_text,
    optional,
    pool_id_of,
    refused,
    settle,
)

if TYPE_CHECKING:
    from airflow.sdk import Context


class AzureBatchDiagnosisNotifier(BaseNotifier):
    """Sends the short diagnosis of a pool, or writes it to the log.

    The other notifier's templates find it in the context: ``{{ batch_diagnosis }}`` is the text in a few
    lines, ``{{ batch_diagnosis_html }}`` the same as HTML, ``{{ batch_causes }}`` the ids of the causes. ::

        on_failure_callback=AzureBatchDiagnosisNotifier(
            through=SlackNotifier(text="{{ dag.dag_id }} failed.\\n{{ batch_diagnosis }}"),
        )

    A diagnosis that fails does not keep the notification from being sent: it says why then.

    :param pool_id: the pool; by default the ``pool_id`` of the task that failed (templated).
    :param azure_batchext_conn_id: Airflow connection to the Batch account (templated).
    :param through: a notifier, or several; None writes the text to the log.
    :param causes: how many causes to tell.
    """

    template_fields: Sequence[str] = ("pool_id", "azure_batchext_conn_id")
    checks: ClassVar[Mapping[str, Check]] = {
        "pool_id": optional(pool_id_of),
        "azure_batchext_conn_id": check_text,
        "causes": check_count,
    }

    def __init__(
        self,
        *,
        pool_id: str | None = None,
        azure_batchext_conn_id: str = DEFAULT_CONN_ID,
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

    def notify(self, context: Context) -> None:
        """Read, diagnose, and send."""
        from markupsafe import escape

        text, found = self._told(context)
        if self.through is None:
            self.log.error("%s", text)
            return
        extra = {
            "batch_diagnosis": text,
            "batch_diagnosis_html": f"<pre>{escape(text)}</pre>",
            "batch_causes": list(found),
        }
        several = self.through if isinstance(self.through, Sequence) else (self.through,)
        for notifier in several:
            notifier({**context, **extra})

    def _told(self, context: Context) -> tuple[str, tuple[str, ...]]:
        from airflow_batchext.batch.data_plane import one_line
        from airflow_batchext.diagnosis import diagnose
        from airflow_batchext.hooks.health import read_health
        from airflow_batchext.hooks.node import AzureBatchNodeHook

        task: Any = context.get("task")
        lines = []
        failure = context.get("exception")
        if isinstance(failure, BatchextError):  # of others we do not know what stands in them
            lines = [f"{getattr(task, 'task_id', 'a task')}: {one_line(str(failure), 800)}"]
        found: tuple[str, ...] = ()
        try:
            pool_id = check_pool_id(self.pool_id or getattr(task, "pool_id", None))
            with AzureBatchNodeHook(self.azure_batchext_conn_id) as hook:
                diagnosis = diagnose(read_health(hook, pool_id))
            lines.append(diagnosis.short(self.causes))
            found = diagnosis.causes
        except AirflowException as error:  # ours, and Airflow's own for a connection that is not there
            lines.append(f"The pool could not be diagnosed: {one_line(str(error))}")
        except Exception as error:  # the message has to go out; what stands in the error is not known
            lines.append(f"The pool could not be diagnosed ({type(error).__name__}).")
        return "\n".join(lines), found
