"""What differs from one version of Airflow to the next, for the tests."""

from __future__ import annotations

import pytest
from airflow import __version__
from packaging.version import Version

try:
    from airflow.sdk.exceptions import AirflowRescheduleException
except ImportError:  # Airflow 3.1
    from airflow.exceptions import AirflowRescheduleException
try:
    from airflow.triggers.callback import CallbackTrigger
except ImportError:  # Airflow 3.1
    from airflow.triggers.deadline import DeadlineCallbackTrigger as CallbackTrigger
try:
    from airflow.serialization.serialized_objects import DagSerialization
except ImportError:  # Airflow 3.1
    from airflow.serialization.serialized_objects import SerializedDAG as DagSerialization
try:
    from airflow.serialization.decoders import smart_decode_trigger_kwargs
except ImportError:  # Airflow 3.1
    from airflow.serialization.serialized_objects import smart_decode_trigger_kwargs

__all__ = [
    "AirflowRescheduleException",
    "CallbackTrigger",
    "DagSerialization",
    "airflow_is",
    "needs_airflow",
    "smart_decode_trigger_kwargs",
]


def airflow_is(version: str) -> bool:
    """Whether this Airflow is that one or a later one."""
    return Version(__version__) >= Version(version)


def needs_airflow(version: str, why: str) -> pytest.MarkDecorator:
    """Leave a test out in older Airflows, saying what they lack; docs/deployment.md lists it."""
    return pytest.mark.skipif(not airflow_is(version), reason=f"Airflow {version}: {why}")
