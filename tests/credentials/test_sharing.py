"""Tokens are shared in a process, renewed unseen in the middle of a wait, and follow a rotated secret."""

from __future__ import annotations

import asyncio
import base64
import os
import threading
import time

import pytest

from airflow_batchext.emulator import Scenario
from airflow_batchext.exceptions import AccessRefusedError
from airflow_batchext.hooks.node import AzureBatchNodeHook
from airflow_batchext.hooks.pool import AzureBatchPoolHook
from airflow_batchext.rules.gate import Rules
from airflow_batchext.triggers.extension import AzureBatchExtensionTrigger
from tests.conftest import document, own_connection
from tests.waiting import until

from .conftest import PLANES, sign_ins

GATES = 50


def gate(pool: str, conn_id: str = "azure_batchext_default", seconds: float = 0.0):
    return AzureBatchExtensionTrigger(
        pool_id=pool,
        azure_batchext_conn_id=conn_id,
        poll_interval=0.05,
        deadline=time.time() + seconds,
        started=time.time(),
        rules=Rules().to_json(),
    )


async def first_event(trigger):
    async for event in trigger.run():
        return event.payload
    return None


def test_fifty_triggers_sign_in_once_for_each_plane(azure):
    """Each has its own pool, so that nothing but the tokens is shared."""
    pools = [f"{azure.pool_id}-{number}" for number in range(GATES)]
    with AzureBatchPoolHook() as hook:
        for pool in pools:
            hook.create_pool(pool, document(1))
    azure.pass_time(300)
    from airflow_batchext.credentials import forget_tokens

    forget_tokens()
    azure.emulator.requests.clear()

    async def all_gates():
        return await asyncio.gather(*(first_event(gate(pool)) for pool in pools))

    assert [event["status"] for event in asyncio.run(all_gates())] == ["open"] * GATES
    assert sign_ins(azure) == 2
    asyncio.run(all_gates())
    assert sign_ins(azure) == 2, "another event loop of the process shares them too"


def test_threads_sign_in_once(azure):
    pool, failures = azure.create(ready=False), []
    from airflow_batchext.credentials import forget_tokens

    forget_tokens()
    azure.emulator.requests.clear()

    def read():
        try:
            with AzureBatchPoolHook() as hook:
                hook.get_pool(pool)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=read) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert sign_ins(azure) == 1


def statuses(azure) -> list[int]:
    return [request.status for request in azure.emulator.requests]


async def test_the_end_of_a_token_in_the_middle_of_a_wait_is_not_seen(azure):
    azure.create(ready=False)
    azure.emulator.scenario = Scenario.load({"answers": {"token_lifetime": 2}})
    from airflow_batchext.credentials import forget_tokens

    forget_tokens()
    azure.emulator.requests.clear()
    waiting = asyncio.create_task(first_event(gate(azure.pool_id, seconds=150)))
    await until(lambda: sign_ins(azure) >= 4)
    azure.pass_time(300)
    assert (await waiting)["status"] == "open"
    assert sign_ins(azure) >= 4, "two planes, and the data plane at least twice more"
    assert set(statuses(azure)) == {200}


@pytest.mark.parametrize("plane", PLANES)
def test_a_token_that_the_service_takes_for_expired_is_replaced(read, azure, plane):
    pool = azure.create()
    read(plane, "azure_batchext_default", pool)
    azure.emulator.requests.clear()
    azure.emulator.faults.add(action="expire", plane=plane, path=f"*/pools/{pool}*")
    read(plane, "azure_batchext_default", pool)
    assert 401 in statuses(azure)
    assert sign_ins(azure) == 1


@pytest.mark.parametrize("plane", PLANES)
def test_a_service_that_takes_no_token_is_asked_twice_and_no_more(read, azure, plane):
    pool = azure.create()
    azure.emulator.faults.add(action="expire", plane=plane, path=f"*/pools/{pool}*", count=100)
    azure.emulator.requests.clear()
    with pytest.raises(AccessRefusedError, match="401"):
        read(plane, "azure_batchext_default", pool)
    assert statuses(azure).count(401) == 2


def test_an_outage_of_the_sign_in_is_not_seen_while_the_token_holds(read, azure):
    pool = azure.create()
    azure.emulator.scenario = Scenario.load({"answers": {"token_lifetime": 20}})
    from airflow_batchext.credentials import _tokens, forget_tokens

    forget_tokens()
    read("management", "azure_batchext_default", pool)
    for held in _tokens._held.values():
        held.renew_at = 0.0
    azure.emulator.faults.add(action="error", plane="sign-in", status=503, count=100)
    azure.emulator.requests.clear()
    for _ in range(3):
        assert read("management", "azure_batchext_default", pool)["name"] == pool
    assert statuses(azure).count(503) == 1, "the sign-in is let alone for a while"


@pytest.mark.parametrize("when", ["before", "while it waits"])
async def test_a_rotated_secret_is_picked_up_by_gates_that_wait(azure, when):
    """The tokens end, the old secret is refused, the connection has the new one by then."""
    azure.create(ready=False)
    from airflow_batchext.credentials import forget_tokens

    forget_tokens()
    azure.emulator.scenario = Scenario.load({"answers": {"token_lifetime": 1}})
    old = azure.emulator.info.client_secret
    url = {"account_url": azure.emulator.info.batch_endpoint}
    azure.connect("rotating", own_connection(azure.emulator, password=old, extra=url))
    waiting = [asyncio.create_task(first_event(gate(azure.pool_id, "rotating", 150 + n))) for n in range(5)]
    if when == "while it waits":
        await asyncio.sleep(1)
    new = azure.emulator.tokens.rotate_secret()
    azure.connect("rotating", own_connection(azure.emulator, password=new, extra=url))
    azure.connect("azure_batchext_default", own_connection(azure.emulator))
    await asyncio.sleep(2.5)
    azure.pass_time(300)
    assert {event["status"] for event in await asyncio.gather(*waiting)} == {"open"}
    refused = [r for r in azure.emulator.requests if r.status == 401 and "/oauth2/" in r.path]
    assert len(refused) <= 2, "what was refused once is not tried again by each of them"


def test_a_secret_that_was_rotated_and_not_told_is_refused(read, azure):
    pool = azure.create()
    from airflow_batchext.credentials import forget_tokens

    forget_tokens()
    azure.emulator.tokens.rotate_secret()
    with pytest.raises(AccessRefusedError, match="AADSTS7000215"):
        read("management", "azure_batchext_default", pool)
    azure.connect("azure_batchext_default", own_connection(azure.emulator))
    assert read("management", "azure_batchext_default", pool)["name"] == pool


def test_a_rotated_key_is_picked_up_by_a_hook_that_lives_on(azure):
    info = azure.emulator.info

    def connection():
        extra = {"account_key_secret": azure.emulator.info.key, "account_url": info.http_endpoint}
        return own_connection(azure.emulator, extra=extra)

    azure.connect("keyed", connection())
    pool = azure.create()
    with AzureBatchNodeHook("keyed") as hook:
        hook.get_pool(pool)
        azure.emulator.account.keys["primary"] = base64.b64encode(os.urandom(64)).decode()
        with pytest.raises(AccessRefusedError, match="account's key is wrong"):
            hook.get_pool(pool)
        azure.connect("keyed", connection())
        assert hook.get_pool(pool)["id"] == pool

    async def lives_on():
        async with AzureBatchNodeHook("keyed") as hook:
            await hook.aget_pool(pool)
            azure.emulator.account.keys["primary"] = base64.b64encode(os.urandom(64)).decode()
            azure.connect("keyed", connection())
            return await hook.aget_pool(pool)

    assert asyncio.run(lives_on())["id"] == pool
