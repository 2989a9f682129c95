"""An Azure Batch account on this machine, faithful enough that the real SDKs work with it unmodified.

It is a house of its own: it imports nothing from the rest of the package, so that a misreading of Azure in
the operators cannot agree with itself here.

    with Emulator(time_scale=60) as emulator:
        client = BatchClient(emulator.info.http_endpoint, AzureNamedKeyCredential(...))
"""

from __future__ import annotations

from airflow_batchext.emulator.account.clock import Clock
from airflow_batchext.emulator.scenario import (
    AccountSettings,
    Answers,
    ExtensionScenario,
    PoolScenario,
    PreparationScenario,
    Scenario,
    SignInSettings,
    StartTaskScenario,
    TaskScenario,
    Timings,
)
from airflow_batchext.emulator.server import Emulator

__all__ = [
    "AccountSettings",
    "Answers",
    "Clock",
    "Emulator",
    "ExtensionScenario",
    "PoolScenario",
    "PreparationScenario",
    "Scenario",
    "SignInSettings",
    "StartTaskScenario",
    "TaskScenario",
    "Timings",
]

# They say where users import them from.
for _name in __all__:
    globals()[_name].__module__ = __name__
