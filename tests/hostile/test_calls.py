"""Every call of both hooks, sync and async, and the sign-in meet a hostile service: they end in time.

The answers are far more than can be tried with each call; each call meets its share, another one in each run
of the seeds, so that together they meet all kinds.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from airflow_batchext.credentials import forget_tokens
from airflow_batchext.hooks import _node_requests as changes
from airflow_batchext.hooks.job import AzureBatchJobHook
from airflow_batchext.hooks.node import AzureBatchNodeHook
from airflow_batchext.hooks.pool import AzureBatchPoolHook
from airflow_batchext.transport import within
from tests.hostile.meeting import DEADLINE, AsyncToken, Token, check, peak, select, share
from tests.hostile.service import Answer, Trap

BODY = {"properties": {"vmSize": "x"}}
MANAGEMENT: dict[str, tuple[Any, ...]] = {
    "create_pool": ("p", BODY),
    "get_pool": ("p",),
    "delete_pool": ("p",),
    "update_pool": ("p", BODY),
    "stop_resize": ("p",),
    "list_pools": (),
    "get_account": (),
    "account_url": (),
    "account_key": (),
    "list_sizes": ("westeurope",),
}
DATA: dict[str, tuple[Any, ...]] = {
    "get_pool": ("p",),
    "list_nodes": ("p",),
    "list_node_extensions": ("p", "n"),
    "get_node_extension": ("p", "n", "e"),
    "list_supported_images": (),
    "change": (changes.resize_pool("p", 1, 0, etag="0x1"),),
}
JOBS: dict[str, tuple[Any, ...]] = {
    "get_job": ("j",),
    "list_jobs": ("j-",),
    "list_open_jobs": ("p",),
    "get_task_counts": ("j",),
    "create_job": ("j", {}),
    "end_job_with_its_tasks": ("j",),
    "terminate_job": ("j", "why"),
    "create_task": ("j", "t", {}),
    "get_task": ("j", "t"),
    "list_tasks": ("j", "t-"),
    "terminate_task": ("j", "t"),
    "delete_task": ("j", "t"),
    "list_task_files": ("j", "t"),
}
CALLS = [
    *((AzureBatchPoolHook, name, arguments) for name, arguments in MANAGEMENT.items()),
    *((AzureBatchNodeHook, name, arguments) for name, arguments in DATA.items()),
    *((AzureBatchJobHook, name, arguments) for name, arguments in JOBS.items()),
]


def meet(
    kind: type[Any],
    name: str,
    arguments: tuple[Any, ...],
    conn_id: str,
    *,
    asynchronous: bool,
    **options: Any,
) -> None:
    """Make the call; only our own errors come of it."""
    if not asynchronous:
        with within(DEADLINE), kind(conn_id, **options) as hook:
            getattr(hook, name)(*arguments)
        return

    async def run() -> None:
        async with kind(conn_id, **options) as hook:
            with within(DEADLINE):
                await getattr(hook, f"a{name}")(*arguments)

    asyncio.run(run())


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize(("kind", "name", "arguments"), CALLS, ids=lambda it: getattr(it, "__name__", None))
def test_every_call_ends_in_time_with_our_own_errors(
    hostile, trap, family, conn_id, kind, name, arguments, asynchronous
):
    options, before = dict[str, Any](), peak()
    if kind is AzureBatchPoolHook:
        options["credential"] = AsyncToken() if asynchronous else Token()
    for answer in share(family, kind.__name__, name, asynchronous):
        check(
            hostile,
            trap,
            answer,
            lambda: meet(kind, name, arguments, conn_id, asynchronous=asynchronous, **options),
        )
    assert peak() - before < 250, "of which the server, in the same process, has its part"


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_no_link_and_no_redirect_is_followed_to_another_host(hostile, trap, family, conn_id, asynchronous):
    """With a token, and with a signature."""
    away = [a for a in select(family, "nextLink", " to ") if trap.url[8:] in f"{a.body!r}{a.headers}"]
    assert len(away) > 15
    token = AsyncToken() if asynchronous else Token()
    for answer in away:
        for kind, name, options in (
            (AzureBatchNodeHook, "list_nodes", {}),
            (AzureBatchNodeHook, "change", {}),
            (AzureBatchPoolHook, "create_pool", {"credential": token}),
            (AzureBatchPoolHook, "list_pools", {"credential": token}),
        ):
            if asynchronous and not hasattr(kind, f"a{name}"):
                continue
            arguments = {**MANAGEMENT, **DATA}[name] if name != "list_pools" else ()
            text = check(
                hostile,
                trap,
                answer,
                lambda: meet(kind, name, arguments, conn_id, asynchronous=asynchronous, **options),  # noqa: B023
            )
            if " to " in answer.name:
                assert "leads elsewhere, which is never followed" in text


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_pages_that_never_end_do(hostile, trap, family, conn_id, asynchronous):
    own = Answer(
        "self", body=json.dumps({"value": [{"id": "n"}], "odata.nextLink": f"{hostile.http}/p?x=1"}).encode()
    )
    before = len(hostile.asked)
    text = check(
        hostile,
        trap,
        own,
        lambda: meet(AzureBatchNodeHook, "list_nodes", ("p",), conn_id, asynchronous=asynchronous),
    )
    assert "its pages repeat" in text
    assert len(hostile.asked) - before <= 3


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("word", ["drips", "drips its head", "says nothing", "stops in the middle"])
def test_what_is_slow_ends_at_the_deadline(hostile, trap, family, conn_id, word, asynchronous):
    (answer,) = [answer for answer in family if answer.name == word]
    call = lambda: meet(AzureBatchNodeHook, "get_pool", ("p",), conn_id, asynchronous=asynchronous)  # noqa: E731
    assert "Could not read pool p" in check(hostile, trap, answer, call)


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("status", [429, 503])
def test_nobody_sleeps_for_longer_than_there_is_time(hostile, trap, family, conn_id, status, asynchronous):
    waits = [answer for answer in family if "etry-" in answer.name and answer.status == status]
    assert len(waits) > 8
    call = lambda: meet(AzureBatchNodeHook, "get_pool", ("p",), conn_id, asynchronous=asynchronous)  # noqa: E731
    told = [check(hostile, trap, answer, call) for answer in waits]
    assert [text for text in told if f"{status}" in text]
    # On a loaded machine the time is over before there is an answer.
    assert not [text for text in told if f"{status}" not in text and "no time left" not in text]


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_a_bomb_is_not_unpacked(hostile, trap, family, conn_id, asynchronous):
    for answer in select(family, "bomb", "200 large", "200 many", "absurd length"):
        before = peak()
        call = lambda: meet(AzureBatchNodeHook, "get_pool", ("p",), conn_id, asynchronous=asynchronous)  # noqa: E731
        assert "Could not read pool p" in check(hostile, trap, answer, call), answer.name
        assert peak() - before < 150, answer.name


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_the_sign_in_meets_it_too(hostile, trap, family, conn_id, asynchronous, monkeypatch):
    monkeypatch.setenv(
        "AIRFLOW_CONN_HOSTILE", json.dumps(hostile.connection(account_key_secret="", retries=0))
    )
    endpoints = json.dumps(
        dict.fromkeys(("token_endpoint", "authorization_endpoint", "issuer", "jwks_uri"), f"{trap.url}/token")
    )
    led_away = Answer("token_endpoint", body=endpoints.encode())
    for answer in [
        led_away,
        *share(family, "sign-in", asynchronous),
        *select(family, "307 to https", "200 deep"),
    ]:
        forget_tokens()
        call = lambda: meet(AzureBatchPoolHook, "get_pool", ("p",), conn_id, asynchronous=asynchronous)  # noqa: E731
        check(hostile, trap, answer, call)


def test_the_listener_hears_what_reaches_it():
    """The control of all the tests above."""
    import httpx

    other = Trap()
    with pytest.raises(httpx.HTTPError):
        httpx.get(other.url.replace("https", "http"), headers={"Authorization": "Bearer SENTINEL"}, timeout=5)
    assert b"SENTINEL" in other.heard[0]
    other.close()
