"""Waiting for a pool to be gone, in the triggerer."""

from __future__ import annotations

import asyncio
import time

from airflow_batchext.hooks.pool import AzureBatchPoolHook
from airflow_batchext.triggers.pool import AzureBatchPoolDeletedTrigger
from tests.conftest import document, own_connection


def trigger(azure, created, seconds=30.0, conn_id="azure_batchext_default"):
    return AzureBatchPoolDeletedTrigger(
        pool_id=azure.pool_id,
        azure_batchext_conn_id=conn_id,
        poll_interval=0.05,
        deadline=time.time() + seconds,
        pool_created=created,
    )


async def payload(trigger):
    (event,) = [event.payload async for event in trigger.run()]
    return event


def created(azure):
    with AzureBatchPoolHook() as hook:
        return hook.get_pool(azure.pool_id)["properties"]["creationTime"]


async def test_waits_until_the_pool_is_gone(azure):
    azure.create()
    when = created(azure)
    azure.emulator.account.delete_pool(azure.pool_id)
    waiting = asyncio.create_task(payload(trigger(azure, when)))
    await asyncio.sleep(0.4)
    assert not waiting.done()
    azure.pass_time(3600)
    assert await asyncio.wait_for(waiting, 20) == {"gone": True, "text": ""}


async def test_a_new_pool_of_the_same_name_is_not_the_one_that_went(azure):
    azure.create()
    when = created(azure)
    azure.emulator.account.delete_pool(azure.pool_id, at_once=True)
    azure.pass_time(60)
    with AzureBatchPoolHook() as hook:
        hook.create_pool(azure.pool_id, document(1))
    assert (await payload(trigger(azure, when)))["gone"] is True


async def test_gives_up_and_says_what_it_saw(azure):
    azure.create()
    event = await payload(trigger(azure, created(azure), seconds=0.3))
    assert event == {"gone": False, "text": "provisioningState is Succeeded"}


async def test_refused_sign_in_ends_it(azure):
    azure.connect("wrong", own_connection(azure.emulator, password="nope"))
    event = await payload(trigger(azure, "x", conn_id="wrong"))
    assert event["gone"] is False
    assert "AADSTS7000215" in event["text"]


async def test_an_outage_is_waited_through(azure):
    azure.connect("down", own_connection(azure.emulator, extra={"arm_url": "https://127.0.0.1:9"}))
    event = await payload(trigger(azure, "x", seconds=0.2, conn_id="down"))
    assert event["gone"] is False
    assert "Could not read pool" in event["text"]
