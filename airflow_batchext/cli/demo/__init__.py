"""``batchext demo`` and ``batchext up``: real Airflow on the emulator, to look at.

``command`` is the demo: it starts the emulator and a child process; ``airflow_run`` is that child, in which
Airflow runs the DAG; ``screen`` shows what the emulated service says meanwhile. ``up`` runs a whole Airflow
with its web page, by way of ``standalone`` and its child ``components``. What the Airflow of both is told is
in ``airflow_home``.
"""
