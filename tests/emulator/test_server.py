"""Starting, stopping, TLS, and what the house imports."""

from __future__ import annotations

import ast
import json
import logging
import socket
import ssl
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests
from azure.batch import BatchClient
from azure.core.credentials import AzureNamedKeyCredential

import airflow_batchext.emulator as house
from airflow_batchext.emulator import Emulator, Scenario
from airflow_batchext.emulator.documents.pool import read_management
from airflow_batchext.emulator.faults import Error
from airflow_batchext.emulator.server import is_loopback

from .pool_documents import management_pool, raw, raw_data

KEYS = [
    "batch_endpoint", "arm_endpoint", "authority", "http_endpoint", "ca_bundle", "account", "key",
    "subscription_id", "resource_group", "tenant_id", "client_id", "client_secret",
    "client_certificate", "federated_token_file", "identity_endpoint", "identity_header",
]  # fmt: skip


def test_what_the_emulator_says_of_itself(emulator: Emulator) -> None:
    described = emulator.info.as_dict()
    assert list(described) == KEYS
    assert json.loads(json.dumps(described)) == described
    assert described["batch_endpoint"] == described["arm_endpoint"] == described["authority"]
    assert described["authority"].startswith("https://127.0.0.1:")
    assert described["http_endpoint"].startswith("http://127.0.0.1:")


def serving_threads() -> int:
    return sum(thread.name == "batchext-emulator" for thread in threading.enumerate())


def test_it_can_be_started_again_and_leaves_nothing_behind() -> None:
    emulator = Emulator()
    with pytest.raises(RuntimeError, match="not running"):
        _ = emulator.info
    ports, before = [], serving_threads()
    for _ in range(2):
        with emulator:
            folder = Path(emulator.info.ca_bundle).parent
            ports.append(int(emulator.info.http_endpoint.rpartition(":")[2]))
            with pytest.raises(RuntimeError, match="running already"):
                emulator.start()
            assert oct(folder.stat().st_mode & 0o777) == "0o700"
            assert oct((folder / "server.key").stat().st_mode & 0o777) == "0o600"
        assert not folder.exists()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", ports[-1]), timeout=1)
    emulator.stop()
    assert serving_threads() == before


def test_it_stops_promptly_with_open_connections() -> None:
    with Emulator() as emulator:
        session = requests.Session()
        for url in (emulator.info.http_endpoint, emulator.info.batch_endpoint):
            assert session.get(f"{url}/pools", verify=emulator.info.ca_bundle, timeout=5).status_code == 401
        idle = socket.create_connection(("127.0.0.1", int(emulator.info.http_endpoint.rpartition(":")[2])))
        started = time.monotonic()
        emulator.stop()
        assert time.monotonic() - started < 60, "half of the time for which connections are kept"
        idle.close()


def test_a_port_in_use_is_said_and_nothing_stays_open() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        emulator = Emulator(http_port=port)
        with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1 port {port}"):
            emulator.start()
    with emulator:
        assert emulator.info.http_endpoint == f"http://127.0.0.1:{port}"


def test_the_certificate_holds_before_a_strict_judge(emulator: Emulator) -> None:
    context = ssl.create_default_context(cafile=emulator.info.ca_bundle)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    port = int(emulator.info.authority.rpartition(":")[2])
    for name in ("localhost", "127.0.0.1", "::1"):
        with (
            socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
            context.wrap_socket(plain, server_hostname=name) as secure,
        ):
            assert secure.version() in ("TLSv1.2", "TLSv1.3")
    with (
        socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        context.wrap_socket(plain, server_hostname="elsewhere.example")
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(emulator.info.authority, timeout=5, verify=True)


def test_it_listens_on_ipv6_too() -> None:
    with Emulator(host="::1") as emulator:
        info = emulator.info
        assert info.batch_endpoint.startswith("https://[::1]:")
        assert (
            requests.get(f"{info.batch_endpoint}/pools", verify=info.ca_bundle, timeout=5).status_code == 401
        )
        credential = AzureNamedKeyCredential(info.account, info.key)
        with BatchClient(info.http_endpoint, credential) as client:
            assert list(client.list_pools()) == []


def test_every_request_is_recorded(emulator: Emulator) -> None:
    raw_data(emulator, "GET", "/pools/nope?$select=id")
    (request,) = emulator.requests
    assert request.method == "GET"
    assert request.path.startswith("/pools/nope?$select=id&api-version=")
    assert request.status == 404


def test_a_fault_of_the_emulator_is_a_500_in_the_shape_of_the_plane(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(emulator.account, "pools", broken)
    data = raw_data(emulator, "GET", "/pools")
    assert (data.status_code, data.json()["code"]) == (500, "InternalError")
    info = emulator.info
    arm = raw(
        emulator,
        "GET",
        f"/subscriptions/{info.subscription_id}/resourceGroups/{info.resource_group}"
        f"/providers/Microsoft.Batch/batchAccounts/{info.account}/pools",
    )
    assert (arm.status_code, arm.json()["error"]["code"]) == (500, "InternalError")
    assert "ZeroDivisionError" in caplog.text
    assert [record.levelno for record in caplog.records] == [logging.ERROR, logging.ERROR]
    monkeypatch.undo()


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("10.0.0.1", False),
        ("example.org", False),
    ],
)
def test_what_is_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


def test_the_house_stands_on_its_own() -> None:
    """It imports nothing from the rest of the package, and neither azure nor airflow."""
    allowed = {"starlette", "uvicorn", "pydantic", "jwt", "cryptography", "yaml", "typing_extensions"}
    for module in Path(house.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(module.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, module
                names = [node.module or ""]
            for name in names:
                top = name.partition(".")[0]
                is_own = name.startswith("airflow_batchext.emulator")
                assert is_own or top in allowed or top in sys.stdlib_module_names, f"{module}: {name}"
    loads = (
        "import sys, airflow_batchext.emulator; print([m for m in ('airflow', 'azure') if m in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", loads], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_a_reset_leaves_nothing_and_clients_go_on() -> None:
    with Emulator(time_scale=0, scenario=Scenario(faults=[Error(status=500)])) as emulator:
        before, client = emulator.info, emulator.tokens.identities.client_secret
        emulator.account.create_pool("p", read_management(management_pool(1)))
        emulator.clock.advance(1e6)
        emulator.faults.add(Error(status=503, count=100))
        emulator.tokens.rotate_secret()
        emulator.account.keys["primary"] = "another"
        assert requests.get(f"{before.http_endpoint}/pools", timeout=60).status_code in (500, 503)
        assert emulator.faults.fired

        emulator.reset()
        assert emulator.info == before
        assert emulator.tokens.identities.client_secret == client
        assert list(emulator.account.pools()) == []
        assert list(emulator.requests) == []
        assert not emulator.faults.fired
        assert emulator.scenario == Scenario()
        assert abs((emulator.clock.now() - datetime.now(UTC)).total_seconds()) < 1e5
        key = AzureNamedKeyCredential(before.account, before.key)
        with BatchClient(before.http_endpoint, key, retry_total=0) as batch:
            assert list(batch.list_pools()) == []
        assert [request.status for request in emulator.requests] == [200]


def test_what_was_asked_before_a_reset_is_not_told_after_it() -> None:
    """Of a client that has gone, and whose request nobody has read yet."""
    with Emulator() as emulator:
        server, _, port = emulator.info.http_endpoint.removeprefix("http://").partition(":")
        for number in range(50):
            with socket.create_connection((server, int(port))) as client:
                client.sendall(
                    b"POST /t/oauth2/v2.0/token HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi"
                )
                emulator.reset()
            requests.get(f"{emulator.info.http_endpoint}/{number}/discovery", timeout=60)
            assert [request.method for request in emulator.requests] == ["GET"]


def test_what_is_kept_in_a_file_is_not_reset(tmp_path: Path) -> None:
    emulator = Emulator(state=tmp_path / "state.json")
    with pytest.raises(RuntimeError, match="keeps its state in a file"):
        emulator.reset()


@pytest.mark.parametrize(
    "wrong",
    [
        {"host": 5},
        {"host": None},
        *({port: value} for port in ("http_port", "https_port") for value in (-1, 65536, "80", 8.5, True)),
        *({"time_scale": value} for value in (-1, float("nan"), float("inf"), "fast", None, True)),
        *({"scenario": value} for value in ({"extensions": []}, 5, "busy.yaml")),
        *({"seed": value} for value in ("x", 1.5, None)),
        *({"state": value} for value in (5, ["a"])),
    ],
    ids=str,
)
def test_an_argument_that_cannot_be_used_is_told_before_anything_starts(wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=name.replace("_", "[_ ]")):
        Emulator(**wrong)
