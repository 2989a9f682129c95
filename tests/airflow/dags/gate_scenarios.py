"""Every scenario's gate in every mode, all at once; the test makes the pools and plays the histories."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import DAG

from airflow_batchext.sensors.extension import AzureBatchExtensionSensor

# Airflow 3.3.2 may fail a task that is rescheduled (or deferred) for less time than the scheduler takes to
# hear of the run that ended: "… finished with state success, but the task instance's state is queued".
MODES = {
    "poke": {"mode": "poke", "poke_interval": 1, "deferrable": False},
    "reschedule": {"mode": "reschedule", "poke_interval": 20, "deferrable": False},
    "deferrable": {"poke_interval": 1, "deferrable": True},
    "triggerer": {"poke_interval": 1, "start_from_trigger": True},
}
TIMEOUTS = {"hangs": 90, "empty": 60}
SCENARIOS = (
    "all_succeed",
    "one_fails",
    "hangs",
    "resize_error",
    "deleted",
    "preempted",
    "recreated",
    "empty",
)

with DAG("gate_scenarios", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)):
    for scenario in SCENARIOS:
        for mode, how in MODES.items():
            AzureBatchExtensionSensor(
                task_id=f"{scenario}-{mode}",
                pool_id=scenario,
                azure_batchext_conn_id="official",  # the data plane alone is enough
                timeout=TIMEOUTS.get(scenario, 600),
                **how,
            )
