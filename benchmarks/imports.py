"""What our classes and our examples cost in the parsing of DAGs, after ``airflow.sdk``.

The DAG processor has Airflow loaded and forks for each file, so what the imports of a file add is what each
file with our classes costs. Beside it, where it is installed (``make test-clients`` does so), the official
operator. Each example is parsed in an interpreter of its own, too; what the examples import of the official
provider's operators is in their time, as it would be for anybody.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from statistics import median

from benchmarks.machine import markdown

ROUNDS = 11
EXAMPLES = sorted((Path(__file__).parent.parent / "dags").glob("*.py"))
#: As much as an example has, of Airflow's own tasks alone.
PLAIN = """
from datetime import datetime, timedelta, timezone
from airflow.sdk import DAG, BaseOperator, Param
with DAG("plain", schedule="@daily", start_date=datetime(2026, 1, 1, tzinfo=timezone.utc), catchup=False,
         params={"name": Param("a", type="string")}, default_args={"retry_delay": timedelta(minutes=2)}):
    one, two, three, four, five = (BaseOperator(task_id=f"t{number}") for number in range(5))
    one >> two >> three >> four >> five.as_teardown(setups=one)
"""
PARSED = "import runpy; runpy.run_path({path!r})"
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
    lines.append(("a DAG of five tasks of Airflow's own", *cost(sys.executable, PLAIN)))
    examples = [
        (f"example `{path.name}`", *cost(sys.executable, PARSED.format(path=str(path)))) for path in EXAMPLES
    ]
    lines += [*examples, ("all examples, file by file", *map(sum, list(zip(*examples, strict=True))[1:]))]
    rows = [(what, f"{cpu:.1f}", f"{wall:.1f}", modules) for what, cpu, wall, modules in lines]
    return markdown((f"median of {ROUNDS} fresh interpreters", "CPU, ms", "ms", "modules"), rows)
