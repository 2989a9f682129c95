"""The data plane, through the real SDK, sync and async, with either connection type."""

from __future__ import annotations

import asyncio
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from airflow_batchext.exceptions import (
    AccessRefusedError,
    BatchextError,
    NotFoundError,
    UnavailableError,
)
from airflow_batchext.hooks.node import AzureBatchNodeHook
from tests.conftest import official_connection, own_connection

pytestmark = pytest.mark.usefixtures("signed_in")

CONNECTIONS = ["azure_batchext_default", "official"]


@pytest.fixture(params=CONNECTIONS)
def conn_id(request):
    return request.param


@pytest.fixture(params=["sync", "async"])
def read(request):
    """``read(conn_id, method, …)`` on a sync hook, or on the async twin."""

    def sync(conn_id, name, *args, **kwargs):
        with AzureBatchNodeHook(conn_id, retries=0) as hook:
            return getattr(hook, name)(*args, **kwargs)

    def asynchronous(conn_id, name, *args, **kwargs):
        async def run():
            async with AzureBatchNodeHook(conn_id, retries=0) as hook:
                return await getattr(hook, f"a{name}")(*args, **kwargs)

        return asyncio.run(run())

    return sync if request.param == "sync" else asynchronous


def test_pool_nodes_and_extensions_are_plain_json(read, conn_id, azure):
    azure.create(nodes=3)
    pool = read(conn_id, "get_pool", azure.pool_id)
    assert pool["state"] == "active"
    assert pool["virtualMachineConfiguration"]["extensions"][0]["name"] == "secretext"
    nodes = read(conn_id, "list_nodes", azure.pool_id)
    assert len(nodes) == 3
    node_id = nodes[0]["id"]
    listed = read(conn_id, "list_node_extensions", azure.pool_id, node_id)
    assert {item["vmExtension"]["name"] for item in listed} == {"secretext", "batchNodeExtension"}
    one = read(conn_id, "get_node_extension", azure.pool_id, node_id, "secretext")
    assert one["instanceView"]["statuses"][0]["code"] == "ProvisioningState/succeeded"
    assert one["instanceView"]["statuses"][0]["level"] == 0
    settings = one["vmExtension"]["settings"]
    assert isinstance(settings, str), "as the service sends them: reading them must not raise"
    assert json.loads(settings)["secretsManagementSettings"]["requireInitialSync"] is True
    json.dumps([pool, nodes, listed, one])


def test_only_what_is_selected_is_asked_for(read, azure):
    azure.create()
    assert set(read("official", "get_pool", azure.pool_id, select=["id", "state"])) <= {
        "id", "state", "odata.metadata"
    }  # fmt: skip
    assert [set(n) for n in read("official", "list_nodes", azure.pool_id, select=["id"])] == [{"id"}] * 2


def test_what_is_not_there(read, conn_id, azure):
    with pytest.raises(NotFoundError) as caught:
        read(conn_id, "get_pool", "nopool")
    assert caught.value.code == "PoolNotFound"
    azure.create()
    (node, _) = read(conn_id, "list_nodes", azure.pool_id)
    with pytest.raises(NotFoundError, match="read extension other of node"):
        read(conn_id, "get_node_extension", azure.pool_id, node["id"], "other")
    with pytest.raises(NotFoundError):
        read(conn_id, "list_node_extensions", azure.pool_id, "tvmps_none_d")


def test_the_url_is_looked_up_only_where_it_is_not_given(read, azure):
    azure.create()
    azure.emulator.requests.clear()
    read("azure_batchext_default", "get_pool", azure.pool_id)
    assert len(azure.reads("/providers/Microsoft.Batch/batchAccounts/")) == 1
    azure.emulator.requests.clear()
    url = azure.emulator.info.batch_endpoint
    azure.connect("with_url", own_connection(azure.emulator, extra={"account_url": url}))
    read("with_url", "get_pool", azure.pool_id)
    assert azure.reads("/providers/") == []


@pytest.mark.parametrize("endpoint", ["batch_endpoint", "http_endpoint"])
def test_a_key_in_our_own_connection_signs_in_by_shared_key(read, azure, endpoint):
    azure.create()
    azure.emulator.requests.clear()
    extra = {
        "account_key_secret": azure.emulator.info.key,
        "account_url": getattr(azure.emulator.info, endpoint),
    }
    azure.connect("keyed", own_connection(azure.emulator, login="", password="", extra=extra))
    assert read("keyed", "get_pool", azure.pool_id)["id"] == azure.pool_id
    assert azure.reads("oauth2") == []


def test_a_wrong_key_is_refused(read, azure):
    connection = {**official_connection(azure.emulator), "password": "d3JvbmctU0VOVElORUw="}
    azure.connect("wrong", connection)
    with pytest.raises(AccessRefusedError, match="403 AuthenticationFailed") as caught:
        read("wrong", "get_pool", "p")
    assert "d3Jvbm" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"<html>gateway</html>"),
        (200, b""),
        (200, b'{"id": "p", "state"'),
        (200, b"null"),
        (200, b"[1]"),
        (500, b"<html>oops</html>"),
        (503, b'{"code": "ServerBusy", "message": {"lang": "en-US", "value": "Busy."}}'),
        (429, b'{"code": "TooManyRequests", "message": {"lang": "en-US", "value": "Too many."}}'),
    ],
)
def test_nonsense_and_overload_may_pass(read, azure, status, body):
    class Server(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Retry-After", "7")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        azure.connect("odd", {**official_connection(azure.emulator), "extra": {"account_url": url}})
        for call in (("get_pool", "p"), ("list_nodes", "p"), ("list_node_extensions", "p", "n")):
            with pytest.raises(UnavailableError) as caught:
                read("odd", *call)
            if status != 200:
                assert caught.value.status == status
                assert caught.value.retry_after == 7
        server.shutdown()


async def test_before_airflow_3_3_2_secrets_are_masked_on_the_loop_that_owns_airflows_channel(monkeypatch):
    import airflow.sdk.log
    from asgiref.sync import async_to_sync

    from airflow_batchext.hooks import _base

    loops = []

    async def tell_supervisor():
        loops.append(asyncio.get_running_loop())

    # As Airflow's own mask_secret does it there, in a triggerer.
    monkeypatch.setattr(_base, "mask_secret", lambda secret: async_to_sync(tell_supervisor)())
    monkeypatch.delattr(airflow.sdk.log, "amask_secret", raising=False)
    await asyncio.gather(*(_base.amask(["one", "two"]) for _ in range(3)))
    assert loops == [asyncio.get_running_loop()] * 6


@pytest.mark.parametrize(("status", "body"), [(404, ""), (409, "<html>"), (500, "{"), (403, "nothing")])
def test_a_refusal_that_is_no_json_leaves_no_traceback_in_the_log(azure, read, caplog, status, body):
    azure.emulator.faults.add(action="garble", status=status, body=body, path="/pools/*", count=4)
    with pytest.raises(BatchextError), caplog.at_level("DEBUG"):
        read("official", "get_pool", azure.pool_id)
    assert [record for record in caplog.records if record.exc_info] == []
