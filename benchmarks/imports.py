"""What importing our operators and sensors adds to the parsing of a DAG, after ``airflow.sdk``.

The DAG processor has Airflow loaded and forks for each file, so this is what each file with our classes
costs. Beside it, where it is installed (``make test-clients`` does so), the official operator.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from statistics import median

from benchmarks.machine import markdown

ROUNDS = 11
CLIENTS = Path(__file__).parent.parent / ".venv-clients" / "airflow" / "bin" / "python"
OURS = (
    "from airflow_batchext.operators.pool import AzureBatchCreatePoolOperator;"
    "from airflow_batchext.sensors.extension import AzureBatchExtensionSensor"
)
OFFICIAL = "from airflow.providers.microsoft.azure.operators.batch import AzureBatchOperator"
PROGRAM = """
import time, sys
from airflow.sdk import DAG, BaseOperator, BaseSensorOperator
from airflow.providers.common.compat.sdk import conf
conf.getboolean("operators", "default_deferrable")
before = time.process_time(), time.perf_counter(), len(sys.modules)
{imports}
after = time.process_time(), time.perf_counter(), len(sys.modules)
print(*(b - a for a, b in zip(before, after)))
"""


def cost(python: str, imports: str) -> tuple[float, float, int]:
    """Milliseconds of CPU and of the clock (medians of fresh interpreters), and modules that imports add."""
    program = PROGRAM.format(imports=imports)
    # The first round compiles; where byte code is not kept, every round would.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    found = []
    for _ in range(1 + ROUNDS):
        command = [python, "-c", program]
        ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
        cpu, wall, modules = ended.stdout.splitlines()[-1].split()
        found.append((float(cpu) * 1000, float(wall) * 1000, int(modules)))
    del found[0]
    return median(cpu for cpu, _, _ in found), median(wall for _, wall, _ in found), found[0][2]


def report() -> str:
    """Measure and tell."""
    lines = [("our operators and the sensor", *cost(sys.executable, OURS))]
    if CLIENTS.exists():
        lines.append(("the official `AzureBatchOperator`", *cost(str(CLIENTS), OFFICIAL)))
    rows = [(what, f"{cpu:.1f}", f"{wall:.1f}", modules) for what, cpu, wall, modules in lines]
    return markdown((f"median of {ROUNDS} fresh interpreters", "CPU, ms", "ms", "modules"), rows)
