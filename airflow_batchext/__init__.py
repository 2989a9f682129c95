"""Azure Batch pools with VM extensions, for Apache Airflow.

Start at the operators (``operators.pool``, ``operators.extension``) and the gate
(``sensors.extension``). The rules of the gate are pure and live in ``readiness`` and ``watch``.
"""

__version__ = "0.1.0"
