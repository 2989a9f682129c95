"""A gate that fails, whoever is told of it, and the report that is written then."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import DAG, BaseNotifier

from airflow_batchext.notifications.diagnosis import AzureBatchDiagnosisNotifier
from airflow_batchext.operators.diagnose import AzureBatchDiagnosePoolOperator
from airflow_batchext.secret_references import from_environment
from airflow_batchext.sensors.extension import AzureBatchExtensionSensor


class LogNotifier(BaseNotifier):
    """As any notifier: its text is a template."""

    template_fields = ("text",)

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text

    def notify(self, context) -> None:
        self.log.warning("sent: %s", self.text)


TELL = AzureBatchDiagnosisNotifier(through=LogNotifier("{{ ti.task_id }}: {{ batch_diagnosis }}"))

with DAG("diagnosis_scenarios", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)):
    gates = [
        AzureBatchExtensionSensor(
            task_id=f"gate_{name}", pool_id="dg-fails", on_failure_callback=TELL, **options
        )
        for name, options in (("poke", {}), ("deferred", {"deferrable": True}))
    ]
    gates >> AzureBatchDiagnosePoolOperator(
        task_id="why",
        pool_id="dg-fails",
        trigger_rule="one_failed",
        output_uri="file://{{ var.value.report_folder }}/{{ dag.dag_id }}",
        report_url="https://reports.example/{{ dag.dag_id }}",
        logs_container=from_environment("TEST_LOGS"),
    )
