"""The files of ``deploy/``: what they name exists, they fit together, and what can be run of them runs."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from airflow.configuration import conf

from airflow_batchext.defaults import DEFAULT_CONN_ID
from airflow_batchext.provider_info import get_provider_info

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
PINNED = re.search(r"^apache-airflow==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)[1]
COMPOSE = yaml.safe_load((DEPLOY / "docker-compose.override.yaml").read_text())
VALUES = yaml.safe_load((DEPLOY / "helm-values.yaml").read_text())
CONNECTION = f"AIRFLOW_CONN_{DEFAULT_CONN_ID.upper()}"

#: The services of Airflow's own docker-compose.yaml (apache/airflow, airflow-core/docs/howto/docker-compose)
#: that run our code, as of Airflow 3.3.
AIRFLOW_SERVICES = {
    "airflow-apiserver",
    "airflow-dag-processor",
    "airflow-init",
    "airflow-scheduler",
    "airflow-triggerer",
    "airflow-worker",
}
#: Paths of values.yaml of Airflow's chart 1.22.0 that may be set; below those with a star, anything.
CHART = {
    "airflowVersion",
    "config.*",
    "defaultAirflowTag",
    "executor",
    "images.airflow.repository",
    "images.airflow.tag",
    "secret",
    "triggerer.labels.*",
    "triggerer.replicas",
    "triggerer.resources.*",
    "triggerer.serviceAccount.annotations.*",
    "workers.celery.labels.*",
    "workers.celery.replicas",
    "workers.celery.serviceAccount.annotations.*",
}


def paths(values: Any, above: str = "") -> Iterator[str]:
    if not isinstance(values, dict):
        yield above
        return
    for name, value in values.items():
        here = f"{above}.{name}" if above else name
        yield from [f"{above}.*"] if f"{above}.*" in CHART else paths(value, here)


def options(environment: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name in environment:
        if found := re.fullmatch(r"AIRFLOW__([A-Z]+)__([A-Z_]+)", name):
            yield found[1].lower(), found[2].lower()


def test_one_version_of_airflow_stands_everywhere():
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    assert f"ARG AIRFLOW_VERSION={PINNED}\n" in dockerfile
    assert {VALUES["airflowVersion"], VALUES["defaultAirflowTag"], VALUES["images"]["airflow"]["tag"]} == {
        PINNED
    }
    for file in filter(Path.is_file, DEPLOY.rglob("*")):
        assert set(re.findall(r"airflow-batchext:(\d+\.\d+\.\d+)", file.read_text())) <= {PINNED}, file


def test_the_wheel_that_the_dockerfile_copies_is_the_one_that_is_built():
    named = re.search(r"^COPY dist/(\S+) ", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)[1]
    assert Path("airflow_batchext-0.1.0-py3-none-any.whl").match(named)


def test_compose_changes_the_services_that_airflow_has_and_adds_one():
    assert set(COMPOSE["services"]) == AIRFLOW_SERVICES | {"batch-emulator"}
    assert COMPOSE["services"]["batch-emulator"]["profiles"] == ["emulator"], "not unless it is asked for"
    for name in AIRFLOW_SERVICES:
        environment = COMPOSE["services"][name]["environment"]
        assert CONNECTION in environment
        for section, option in options(environment):
            assert conf.has_option(section, option), f"[{section}] {option}"


def test_helm_values_set_only_what_the_chart_and_airflow_know():
    assert set(paths(VALUES)) <= CHART
    ours = get_provider_info()["config"]
    for section, chosen in VALUES["config"].items():
        for option in chosen:
            known = (
                option in ours[section]["options"] if section in ours else conf.has_option(section, option)
            )
            assert known, f"[{section}] {option}"
    assert [item["envName"] for item in VALUES["secret"]] == [CONNECTION]
    for component in (VALUES["triggerer"], VALUES["workers"]["celery"]):
        assert component["labels"] == {"azure.workload.identity/use": "true"}
        assert "azure.workload.identity/client-id" in component["serviceAccount"]["annotations"]


def test_docker_compose_takes_it(tmp_path: Path):
    """With a stand-in for Airflow's file that has its services. It needs no engine, only the command."""
    program = shutil.which("docker-compose")
    if program is None:
        pytest.skip("docker-compose is not installed")
    common = {
        "image": "${AIRFLOW_IMAGE_NAME:-apache/airflow}",
        "environment": {"A": "b"},
        "volumes": ["./dags:/d"],
    }
    theirs = {"services": dict.fromkeys(AIRFLOW_SERVICES, common)}
    (tmp_path / "docker-compose.yaml").write_text(yaml.safe_dump(theirs))
    shutil.copy(DEPLOY / "docker-compose.override.yaml", tmp_path)
    secret = '{"password": "pa$$word"}'
    (tmp_path / ".env").write_text(
        f"AIRFLOW_IMAGE_NAME=ours:1\nCOMPOSE_PROFILES=emulator\n{CONNECTION}='{secret}'\n"
    )
    done = subprocess.run(
        [program, "config", "--format", "json"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    services = json.loads(done.stdout)["services"]
    for name in AIRFLOW_SERVICES:
        assert services[name]["image"] == "ours:1"
        assert services[name]["environment"]["A"] == "b"
        assert json.loads(services[name]["environment"][CONNECTION].replace("$$", "$")) == json.loads(secret)
        assert {v["target"] for v in services[name]["volumes"]} == {"/d", "/opt/airflow/batch-emulator"}
    build = services["airflow-init"]["build"]
    assert Path(build["context"], build["dockerfile"]) == tmp_path / "airflow-batchext/deploy/Dockerfile"


_LOOK = """
from airflow_batchext.hooks.node import AzureBatchNodeHook
from airflow_batchext.hooks.pool import AzureBatchPoolHook
from airflow_batchext.exceptions import NotFoundError
for hook, look in ((AzureBatchPoolHook, "get_pool"), (AzureBatchNodeHook, "list_nodes")):
    with hook() as opened:
        try:
            list(getattr(opened, look)("nope"))
        except NotFoundError as error:
            print(error)
"""


def test_the_emulators_service_hands_airflow_its_connection(tmp_path: Path):
    """As compose runs it, but for the container: its command, and Airflow's backend as it is set there."""
    service = COMPOSE["services"]["batch-emulator"]
    script = service["entrypoint"][1].removeprefix("/")
    assert f"./airflow-batchext/deploy/{script}:/{script}:ro" in service["volumes"]
    _, folder, scale = service["command"]
    any_ports = ("0", "0")  # the container's own may be taken here
    running = subprocess.Popen([sys.executable, DEPLOY / script, "localhost", tmp_path, scale, *any_ports])
    try:
        while not (tmp_path / "connections.json").exists():
            assert running.poll() is None
            time.sleep(0.1)
        settings = COMPOSE["services"]["airflow-worker"]["environment"]
        backend = re.search(
            r"BATCHEXT_SECRETS_BACKEND=(\S+)", (DEPLOY / "docker-compose.override.yaml").read_text()
        )
        environment = {k: v for k, v in os.environ.items() if not k.startswith("AIRFLOW_CONN")} | {
            "AIRFLOW__SECRETS__BACKEND": backend[1],
            "AIRFLOW__SECRETS__BACKEND_KWARGS": settings["AIRFLOW__SECRETS__BACKEND_KWARGS"].replace(
                folder, str(tmp_path)
            ),
        }
        done = subprocess.run(
            [sys.executable, "-c", _LOOK], env=environment, capture_output=True, text=True, check=True
        )
        assert done.stdout.count("nope") >= 2, done.stdout + done.stderr
        assert oct((tmp_path / "connections.json").stat().st_mode)[-3:] == "600"
    finally:
        running.send_signal(signal.SIGTERM)
    assert running.wait(60) == 0
    assert (tmp_path / "azure-batch.json").exists(), "the account is there again at the next start"
