"""In each cloud the right hosts are asked for the right tokens; a proxy, timeouts and retries are obeyed."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from azure.core.credentials import AccessToken

from airflow_batchext.batch.clouds import CLOUDS
from airflow_batchext.connection import BatchConnection
from airflow_batchext.emulator import Scenario
from airflow_batchext.exceptions import AccessRefusedError, UnavailableError
from airflow_batchext.hooks.node import AzureBatchNodeHook
from airflow_batchext.hooks.pool import AzureBatchPoolHook
from tests.conftest import own_connection

PASSWORD = "p@ss:word/SENTINEL"


class Proxy(ThreadingHTTPServer):
    """A proxy that notes where its clients want to go, and does not let them."""

    def __init__(self) -> None:
        self.wanted: list[str] = []
        self.logins: list[str] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://me@127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Proxy

    def do_CONNECT(self) -> None:
        self.server.wanted.append(self.path)
        login = self.headers.get("Proxy-Authorization", "").removeprefix("Basic ")
        self.server.logins.append(base64.b64decode(login).decode())
        self.send_error(403)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with Proxy() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


class Scopes:
    """A credential that notes what it is asked for; sync or async."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def get_token(self, *scopes: str, **_: object) -> AccessToken:
        self.asked += scopes
        return AccessToken("t", 4_000_000_000)


def in_cloud(azure, cloud: str, proxy: Proxy, **extra: object) -> str:
    given = {
        "tenant_id": "t",
        "subscription_id": "s",
        "resource_group": "g",
        "account_name": "acct",
        "account_url": f"https://acct.region{CLOUDS[cloud].batch_suffix}",
        "cloud": cloud,
        "proxy": proxy.url,
        "proxy_password": PASSWORD,
        **extra,
    }
    connection = {"conn_type": "azure_batchext", "login": "app", "password": "x", "extra": given}
    return azure.connect("in_cloud", connection)


def call(kind, conn_id, asynchronous, **options):
    if not asynchronous:
        with kind(conn_id, retries=0, **options) as hook:
            return hook.get_pool("p")

    async def run():
        async with kind(conn_id, retries=0, **options) as hook:
            return await hook.aget_pool("p")

    return asyncio.run(run())


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("cloud", CLOUDS)
def test_each_plane_is_asked_at_its_host_with_a_token_of_its_scope(azure, proxy, cloud, asynchronous):
    conn_id, where = in_cloud(azure, cloud, proxy), CLOUDS[cloud]
    for kind, host, scope in (
        (AzureBatchPoolHook, where.arm_url.removeprefix("https://"), where.arm_scope),
        (AzureBatchNodeHook, f"acct.region{where.batch_suffix}", where.batch_scope),
    ):
        scopes = Scopes()
        with pytest.raises(UnavailableError) as caught:
            call(kind, conn_id, asynchronous, credential=scopes)
        assert scopes.asked == [scope]
        assert proxy.wanted.pop() == f"{host}:443"
        assert proxy.logins.pop() == f"me:{PASSWORD}"
        assert "SENTINEL" not in str(caught.value)


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("cloud", CLOUDS)
def test_tokens_are_asked_for_at_the_clouds_authority(azure, proxy, cloud, asynchronous):
    with pytest.raises(UnavailableError) as caught:
        call(AzureBatchPoolHook, in_cloud(azure, cloud, proxy), asynchronous)
    assert proxy.wanted[-1] == f"{CLOUDS[cloud].authority.removeprefix('https://')}:443"
    assert "SENTINEL" not in str(caught.value)
    assert "p%40ss" not in str(caught.value)


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_tokens_of_one_cloud_are_not_asked_for_in_another(azure, asynchronous):
    azure.emulator.scenario = Scenario.load({"sign_in": {"cloud": "usgovernment"}})
    azure.connect("gov", own_connection(azure.emulator, extra={"cloud": "usgovernment"}))
    azure.connect("public", own_connection(azure.emulator))
    from airflow_batchext.credentials import forget_tokens

    forget_tokens()
    for kind in (AzureBatchPoolHook, AzureBatchNodeHook):
        with pytest.raises(Exception, match="404"):
            call(kind, "gov", asynchronous)
        with pytest.raises(AccessRefusedError, match=r"AADSTS500011.*check cloud"):
            call(kind, "public", asynchronous)


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_a_certificate_of_nobody_is_not_trusted(azure, asynchronous):
    azure.connect("untrusting", own_connection(azure.emulator, extra={"ca_bundle": ""}))
    with pytest.raises(UnavailableError, match=r"(?i)certificate"):
        call(AzureBatchPoolHook, "untrusting", asynchronous)


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_the_connections_timeouts_and_retries_are_obeyed(azure, asynchronous):
    extra = {"read_timeout": 0.3, "retries": "1", "account_key_secret": azure.emulator.info.key}
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(8)
        extra["account_url"] = f"http://127.0.0.1:{silent.getsockname()[1]}"
        azure.connect("slow", own_connection(azure.emulator, extra=extra))
        began = time.monotonic()
        with pytest.raises(UnavailableError):
            call(AzureBatchNodeHook, "slow", asynchronous)
        assert time.monotonic() - began < BatchConnection.read_timeout, "which is what others wait for once"
    azure.emulator.requests.clear()
    azure.emulator.faults.add(action="error", plane="data", status=503, count=100)
    extra["account_url"] = azure.emulator.info.http_endpoint
    azure.connect("slow", own_connection(azure.emulator, extra=extra))

    async def run():
        async with AzureBatchNodeHook("slow") as hook:
            await hook.aget_pool("p")

    with pytest.raises(UnavailableError, match="503"):
        asyncio.run(run()) if asynchronous else AzureBatchNodeHook("slow").get_pool("p")
    assert len(azure.reads("/pools/p")) == 2


def test_every_request_names_the_package_and_its_version(azure):
    from airflow_batchext import __version__

    seen: list[str] = []

    class Server(BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append(self.headers["User-Agent"])
            body = json.dumps({"id": "p"}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        extra = {"account_key_secret": azure.emulator.info.key, "account_url": url}
        azure.connect("seen", own_connection(azure.emulator, extra=extra))
        for asynchronous in (False, True):
            assert call(AzureBatchNodeHook, "seen", asynchronous) == {"id": "p"}
        server.shutdown()
    assert all(agent.startswith(f"airflow-batchext/{__version__}") for agent in seen)
    assert len(seen) == 2


@pytest.mark.parametrize(
    "host", ["login.microsoftonline.us", "https://login.microsoftonline.us/", "\\odd", " "]
)
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_what_the_machine_says_of_the_authority_makes_no_credential_fail(
    azure, monkeypatch, host, asynchronous
):
    from airflow_batchext.credentials import make_credential

    monkeypatch.setenv("AZURE_AUTHORITY_HOST", host)
    azure.connect(
        "there", own_connection(azure.emulator, login=None, password=None, extra={"auth": "managed_identity"})
    )
    assert make_credential(AzureBatchPoolHook("there").connection, asynchronous=asynchronous)
