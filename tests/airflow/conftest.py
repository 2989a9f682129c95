"""One real Airflow, and one emulator whose clock stands still, for all the tests in this folder.

They go with the last of these tests: an Airflow that has nothing to do takes time of the processors, too.
"""

from __future__ import annotations

import base64
import json
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from airflow_batchext.emulator import Emulator, Scenario
from tests.airflow.harness import Airflow, wait_until
from tests.collector import Collector
from tests.conftest import document, official_connection, own_connection
from tests.statsd import Statsd

#: Seconds between two looks, where a DAG says nothing else.
INTERVAL = 10

#: Looked for everywhere after the DAG "secrets" has run; CONTROL stands in a place that is no secret.
SECRET = f"SENTINEL{token_hex(8)}"
CONTROL = f"CONTROL{token_hex(8)}"

_REFUSAL = {"status": 400, "code": "InvalidPropertyValue"}

HERE = Path(__file__).parent
EXAMPLES = HERE.parent.parent / "dags"


def secret_document(secret: str) -> dict:
    extension = {
        "name": "monitor",
        "publisher": "Microsoft.EnterpriseCloud.Monitoring",
        "type": "OmsAgentForLinux",
        "protectedSettings": {"key": secret},
    }
    return {"name": "s-file", **document(1, [extension])}


class Secrets:
    """Every secret of the run: what is planted in connections and documents, and what the account gives."""

    def __init__(self, service: Emulator) -> None:
        info = service.info
        self.tokens: list[str] = []
        self.certificate = Path(info.client_certificate).read_text()
        key = load_pem_private_key(self.certificate.encode(), None)
        self.passphrase = f"passphrase-{SECRET}"
        locked = key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(self.passphrase.encode())
        )
        self.locked_certificate = (
            locked.decode() + self.certificate[self.certificate.index("-----BEGIN CERT") :]
        )
        with Emulator() as other:
            self.wrong_certificate = Path(other.info.client_certificate).read_text()
        self.wrong_secret = f"wrong+/&é-{SECRET}"
        self.wrong_key = base64.b64encode(f"wrong-{SECRET}".encode() * 3).decode()
        self.proxy_password = f"p@ss:w/rd-{SECRET}"
        self._account = {"client secret": info.client_secret, "account key": info.key}
        issue = service.tokens.issue

        def noting(*arguments: Any, **options: Any) -> str:
            token = issue(*arguments, **options)
            self.tokens.append(token)
            return token

        service.tokens.issue = noting  # type: ignore[method-assign]

    def all(self) -> dict[str, str]:
        """By name; of certificates the private keys, of tokens the signatures."""
        assert self.tokens
        tokens = {
            f"token {number}": token.rpartition(".")[2] for number, token in enumerate(self.tokens[:40])
        }
        return {
            "sentinel": SECRET,
            "key of the certificate": _private_key(self.certificate),
            "locked key": _private_key(self.locked_certificate),
            "key of the wrong certificate": _private_key(self.wrong_certificate),
            "passphrase": self.passphrase,
            "wrong secret": self.wrong_secret,
            "wrong key": self.wrong_key,
            "password of the proxy": self.proxy_password,
            **self._account,
            **tokens,
        }

    def connections(self, service: Emulator) -> dict[str, dict[str, Any]]:
        """One connection for each kind of secret, good and bad."""
        info = service.info
        url = {"account_url": info.batch_endpoint}
        http = {"account_url": info.http_endpoint}
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            nobody = f"127.0.0.1:{free.getsockname()[1]}"
        proxy = {"proxy": f"http://me@{nobody}", "proxy_password": self.proxy_password, "retries": 0}
        extras: dict[str, dict[str, Any]] = {
            "by_secret": {},
            "by_certificate": {"certificate_secret": self.certificate},
            "by_locked_certificate": {
                "certificate_secret": self.locked_certificate.replace("\n", ""),
                "certificate_password": self.passphrase,
            },
            "by_workload": {"auth": "workload_identity", "token_file": info.federated_token_file},
            "by_key": {"account_key_secret": info.key, **http},
            "by_listed_key": {"list_keys": True, **url},
            "wrong_key": {"account_key_secret": self.wrong_key, **http},
            "wrong_certificate": {"certificate_secret": self.wrong_certificate, **url},
            "behind_proxy": {**proxy, **url},
            "broken": {"certificate_secret": self.certificate[:400], **url},
        }
        wrong = own_connection(service, password=self.wrong_secret, extra=url)
        return {"wrong_secret": wrong} | {
            name: own_connection(service, extra=extra) for name, extra in extras.items()
        }


def _private_key(pem: str) -> str:
    start = pem.index("-----BEGIN")
    return pem[start : pem.index("-----END", start)]


def data_plane(service: Emulator) -> dict[str, str]:
    return {"account_url": service.info.http_endpoint, "account_key_secret": service.info.key}


@pytest.fixture(scope="package")
def service() -> Iterator[Emulator]:
    with Emulator(time_scale=0) as emulator:
        yield emulator


@pytest.fixture(scope="package")
def planted(service: Emulator) -> Secrets:
    return Secrets(service)


@pytest.fixture(scope="package")
def statsd() -> Iterator[Statsd]:
    """What Airflow's processes have sent of metrics."""
    server = Statsd()
    yield server
    server.close()


@pytest.fixture(scope="package")
def collector() -> Iterator[Collector]:
    """What Airflow's processes have sent of traces."""
    server = Collector()
    yield server
    server.close()


@pytest.fixture(scope="package")
def airflow(
    service: Emulator,
    planted: Secrets,
    statsd: Statsd,
    collector: Collector,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Airflow]:
    home = tmp_path_factory.mktemp("airflow-home")
    dags = home / "dags"
    shutil.copytree(HERE / "dags", dags)
    shutil.copytree(EXAMPLES, dags, dirs_exist_ok=True)
    # The secrets of dags/secrets.py: see test_secrets.
    (dags / "secret_pool.json").write_text(json.dumps(secret_document(f"file-{SECRET}")))
    connections = {
        "vault": {"conn_type": "generic", "password": f"connection-{SECRET}"},
        "azure_batchext_default": own_connection(service),
        "official": official_connection(service),
        "azure_batch_default": official_connection(service),
        **planted.connections(service),
        # As an account in the public cloud has it: the data plane is the emulator's, the portal Azure's.
        "portal": own_connection(service, extra={"arm_url": "", **data_plane(service)}),
        "workeronly": own_connection(service),
        "azure_batch_west": own_connection(service),
        "azure_batch_north": own_connection(service),
    }
    running = Airflow(home, dags, connections)
    running.withheld["triggerer"] = {"AIRFLOW_CONN_WORKERONLY"}
    running.environment |= {
        # Shorter waits meet a race of Airflow 3.3.2: see dags/gate_scenarios.py.
        "AIRFLOW__BATCHEXT__POLL_INTERVAL": f"{INTERVAL}",
        "AIRFLOW_VAR_FROM_VARIABLE": f"variable-{SECRET}",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "DEBUG",
        "TEST_REFERENCE": f"reference-{SECRET}",
        "TEST_SECRET": SECRET,
        "TEST_LOGS": f"https://logs.example/c?sv=1&sig=logs-{SECRET}",
        "AIRFLOW_VAR_REPORT_FOLDER": str(home / "reports"),
        "TEST_CONTROL": CONTROL,
        **statsd.environment,
        "AIRFLOW__TRACES__OTEL_ON": "True",
        "OTEL_TRACES_EXPORTER": "otlp_proto_http",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_BSP_SCHEDULE_DELAY": "1000",
    }
    try:
        yield running.start()
    finally:
        running.stop()


@pytest.fixture(scope="package")
def secret_runs(airflow: Airflow, service: Emulator) -> dict[str, str]:
    """The runs of the DAGs that handle secrets, at the same time; the ids of those runs."""
    service.scenario = Scenario()
    # A refusal that echoes what was sent.
    message = f"bad value 'leak-{SECRET}'"
    parts = ("tuple", "list", "uris", "files", "cifs", "options", "sas", "fuse")
    echoed = f"bad values: {', '.join(f'{part}-{SECRET}' for part in parts)}"
    refused = {"refused": message, "s-refused": "bad value", "signed": echoed}
    for path, said in ((f"*/pools/{name}", said) for name, said in refused.items()):
        service.faults.add(action="error", method="PUT", path=path, message=said, count=10, **_REFUSAL)
    # Whoever starts a run chooses among the worker's secrets.
    reference = {"$secret": {"connection": "vault"}}
    hidden, shown = secret_document(SECRET), secret_document(SECRET)
    machine = hidden["properties"]["deploymentConfiguration"]["virtualMachineConfiguration"]
    machine["extensions"][0]["protectedSettings"] = {"key": reference}
    del shown["properties"]["deploymentConfiguration"]["virtualMachineConfiguration"]["extensions"]
    shown["properties"]["displayName"] = reference
    conf = {"create_of_conf": hidden, "create_of_conf_shown": shown}
    runs = {"leaks": airflow.trigger("leaks", conf), "secrets": airflow.trigger("secrets")}

    def ended() -> bool:
        service.clock.advance(20)
        states = [airflow.get(f"dags/{dag}/dagRuns/{run}")["state"] for dag, run in runs.items()]
        return set(states) <= {"success", "failed"}

    wait_until("the runs to end", ended, 400)
    service.faults.clear()
    return runs
