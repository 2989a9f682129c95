"""Why a gate or a repair has failed, in a few lines, for the text of its error: known causes, what helps."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_batchext.diagnosis import diagnose
from airflow_batchext.hooks.health import aread_health, read_health
from airflow_batchext.rules.deadline import NEVER
from airflow_batchext.rules.told import ALSO, LIKELIEST, THE_REST, diagnose_command
from airflow_batchext.transport import LAST_LOOK_SECONDS, over_within, within

if TYPE_CHECKING:
    from airflow_batchext.health import PoolHealth
    from airflow_batchext.hooks.node import AzureBatchNodeHook
    from airflow_batchext.rules.deadline import Deadline
    from airflow_batchext.rules.gate import Rules, Verdict


#: A gate reads so few nodes once more, not all of a large pool: of those that are not ready, and of others.
_MOST_NODES = 20
_MOST_TOLD = 3
# An error is not held back for longer.
_LONGEST_SECONDS = 120.0


def causes(
    hook: AzureBatchNodeHook,
    pool_id: str,
    rules: Rules | None = None,
    deadline: Deadline = NEVER,
    *,
    verdict: Verdict | None = None,
) -> str:
    """The known causes of what the pool shows now, the likeliest first, and the command that tells the rest.

    :param rules: of the gate by which its nodes are judged.
    :param deadline: of the gate. Where the pool could be read, this has two seconds all the same.
    :param verdict: what the gate has seen.
    """
    limit = _limit(deadline, verdict)
    with within(limit.left):
        health = read_health(hook, pool_id, rules=rules, only=_some(verdict), deadline=limit)
    return _told(health) + the_rest(hook, pool_id, rules)


async def acauses(
    hook: AzureBatchNodeHook,
    pool_id: str,
    rules: Rules | None = None,
    deadline: Deadline = NEVER,
    *,
    verdict: Verdict | None = None,
) -> str:
    """``causes`` on the hook's async client."""
    told = ""
    with suppress(TimeoutError):
        async with over_within(_limit(deadline, verdict).left):
            health = await aread_health(hook, pool_id, rules=rules, only=_some(verdict))
            told = await asyncio.to_thread(_told, health)
    return told + the_rest(hook, pool_id, rules)


def _limit(deadline: Deadline, verdict: Verdict | None) -> Deadline:
    answers = verdict is not None and not verdict.unread
    limit = deadline.at_least(LAST_LOOK_SECONDS) if answers else deadline
    return replace(limit, at=min(limit.at, limit.clock() + _LONGEST_SECONDS))


def _some(verdict: Verdict | None) -> list[str] | None:
    """Nodes that say enough: an extension that has succeeded somewhere rules out causes in the document."""
    if verdict is None or not verdict.nodes:
        return None
    ready = [node_id for node_id, node in verdict.nodes.items() if node.ready]
    others = [node_id for node_id, node in verdict.nodes.items() if not node.ready]
    return others[:_MOST_NODES] + ready[:_MOST_NODES]


def _told(health: PoolHealth) -> str:
    found = diagnose(health).found_causes[:_MOST_TOLD]
    return "".join(
        f"{ALSO if number else LIKELIEST}{each.cause.title} ({each.where}). {each.cause.remedy}."
        for number, each in enumerate(found)
    )


def the_rest(hook: AzureBatchNodeHook, pool_id: str, rules: Rules | None) -> str:
    """Where all is told that is known of the pool."""
    names = rules.extension_names if rules else None
    return f"{THE_REST}{diagnose_command(pool_id, hook.azure_batchext_conn_id, names)}"
