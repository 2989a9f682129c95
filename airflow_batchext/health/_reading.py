"""Makes a snapshot of what the data plane sent: bodies in, judged by the rules of the gate."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from airflow_batchext.batch.data_plane import (
    VOID_STATES,
    Node,
    Phase,
    Pool,
    find_extension,
    one_line,
    read_extension,
    read_node,
    read_pool,
)
from airflow_batchext.batch.resize_errors import read_resize_error
from airflow_batchext.health._snapshot import (
    Count,
    ExtensionAsked,
    ExtensionHealth,
    Fault,
    NodeHealth,
    PoolHealth,
    StartTaskHealth,
    Status,
    Totals,
    earliest,
)
from airflow_batchext.loose_json.documents import rewritten
from airflow_batchext.loose_json.values import (
    as_mapping,
    as_name,
    as_number,
    as_sequence,
    as_text,
    as_word,
    below,
    read_json,
)
from airflow_batchext.rules.gate import (
    NodeReport,
    Outcome,
    Rules,
    Verdict,
    hopeless,
    judge,
)
from airflow_batchext.rules.nodes import node_report, unread_report
from airflow_batchext.rules.reads import Problem, ProblemKind
from airflow_batchext.rules.unread import nodes_unread, pool_unread
from airflow_batchext.secrets.redact import redact, redact_text

Body = Mapping[str, Any]

_LONGEST_MESSAGE: Final = 16_384
_MOST: Final = 200  # statuses of one extension, errors of one node: more is nobody's honest answer


def pool_health(
    pool_id: str,
    pool: Body | Problem,
    nodes: Sequence[Body] | Problem = (),
    extensions: Mapping[str, Sequence[Body] | Problem] | None = None,
    *,
    now: float,
    rules: Rules | None = None,
) -> PoolHealth:
    """The snapshot of a pool from the bodies of the data plane, or from why they could not be read.

    :param pool_id: the pool's id, as it was asked for.
    :param pool: the pool (``Pools_GetPool``).
    :param nodes: its node list, over all pages (``Nodes_ListNodes``).
    :param extensions: by node id, what ``Nodes_ListNodeExtensions`` returned. Nodes that are not in it were
        not read; nodes without a machine need not be.
    :param now: the service's time, in seconds since the epoch.
    :param rules: of the gate by which the nodes are judged; by default those of a gate without parameters.
    """
    rules = rules or Rules()
    pool, nodes = _encodable(pool), _encodable(nodes)
    answers = {_encodable(node_id): _encodable(answer) for node_id, answer in (extensions or {}).items()}
    if isinstance(pool, Problem):
        return PoolHealth(pool_id, now, **_unread(pool), **_judged(pool_unread(pool, pool_id)))
    read = replace(read_pool(pool), id=pool_id)
    asked = rules.expected(read)
    shown = replace(_pool(pool_id, pool, now), expected=asked)
    if isinstance(nodes, Problem):
        return replace(shown, **_unread(nodes), **_judged(nodes_unread(nodes, read)))
    healths, reports, refused = [], {}, []
    for body in nodes:
        node = read_node(body)
        answer = answers.get(node.id)
        health, report = _node(body, node, answer, asked, rules, now)
        healths.append(health)
        if not node.leaving:
            reports[node.id] = report
        if isinstance(answer, Problem) and _is_refused(answer):
            refused.append(answer.text)
    verdict = _verdict(read, rules, reports, refused, now)
    judged = replace(shown, nodes=tuple(healths), refused=bool(refused), **_judged(verdict))
    return replace(judged, totals=_totals(judged, rules.needed(read)))


def _encodable(value: Any) -> Any:
    """A value in which every text can be written as UTF-8; JSON may hold halves of characters."""
    if isinstance(value, Problem):
        return replace(value, text=_encodable(value.text))
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return rewritten(value, lambda item, _: _repaired(item), name=_repaired)
    return value


def _repaired(value: Any) -> Any:
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def _verdict(
    pool: Pool, rules: Rules, reports: Mapping[str, NodeReport], refused: Sequence[str], now: float
) -> Verdict:
    """What the gate would make of it."""
    reason = hopeless(pool, rules, now, None)
    judged = judge(pool, rules, reports, refused=refused[:1])
    return replace(judged, outcome=Outcome.FAIL, reasons=(reason,)) if reason else judged


def _judged(verdict: Verdict) -> dict[str, Any]:
    return {
        "outcome": verdict.outcome.value,
        "summary": redact_text(verdict.summary),
        "reasons": tuple(map(redact_text, verdict.reasons)),
    }


def _unread(problem: Problem) -> dict[str, Any]:
    return {"unread": redact_text(problem.text), "refused": _is_refused(problem)}


def _is_refused(problem: Problem) -> bool:
    return problem.kind is ProblemKind.REFUSED


def _totals(health: PoolHealth, wanted: int | None) -> Totals:
    def count(phase: Phase) -> Count:
        nodes = health.nodes_in(phase)
        return Count(len(nodes), earliest(node.state_since for node in nodes))

    return Totals(
        wanted,
        ready=count(Phase.SUCCEEDED),
        pending=count(Phase.PENDING),
        failed=count(Phase.FAILED),
        unread=sum(bool(node.unread) for node in health.nodes if not node.leaving),
    )


def _pool(pool_id: str, body: Body, now: float) -> PoolHealth:
    """What the pool's body says, not judged yet."""
    machine = as_mapping(body.get("virtualMachineConfiguration"))
    network = as_mapping(body.get("networkConfiguration"))
    secure_boot = below(machine, "securityProfile", "uefiSettings", "secureBootEnabled")
    return PoolHealth(
        pool_id,
        now,
        outcome="wait",
        summary="",
        state=as_word(body.get("state")),
        state_since=as_name(body.get("stateTransitionTime")),
        created=as_name(body.get("creationTime")),
        allocation_state=as_word(body.get("allocationState")),
        allocation_since=as_name(body.get("allocationStateTransitionTime")),
        target_dedicated=as_number(body.get("targetDedicatedNodes")),
        target_low_priority=as_number(body.get("targetLowPriorityNodes")),
        current_dedicated=as_number(body.get("currentDedicatedNodes")),
        current_low_priority=as_number(body.get("currentLowPriorityNodes")),
        resize_timeout=as_name(body.get("resizeTimeout")),
        vm_size=as_name(body.get("vmSize")),
        image={
            name: value
            for name in ("publisher", "offer", "sku", "version", "virtualMachineImageId", "id")
            if (value := as_name(below(machine, "imageReference", name)))
        },
        node_agent=as_name(machine.get("nodeAgentSKUId") or machine.get("nodeAgentSkuId")),
        secure_boot=secure_boot if isinstance(secure_boot, bool) else None,
        subnet=as_name(network.get("subnetId")),
        public_addresses=as_word(below(network, "publicIPAddressConfiguration", "provision")),
        identities=_identities(body.get("identity")),
        autoscale=body.get("enableAutoScale") is True,
        autoscale_error=_fault(below(body, "autoScaleRun", "error")),
        resize_errors=tuple(
            replace(fault, unfolded=redact_text(read_resize_error(as_mapping(error)).text))
            for error in _items(body.get("resizeErrors"))
            if (fault := _fault(error))
        ),
        extensions=tuple(map(_asked, _items(machine.get("extensions")))),
    )


def _identities(value: object) -> dict[str, str]:
    """Client id by resource id: a list on the data plane, an object with the ids as keys on the other."""
    found = below(value, "userAssignedIdentities")
    if isinstance(found, Mapping):
        return {str(name): as_name(below(ids, "clientId")) for name, ids in found.items()}
    return {as_name(below(item, "resourceId")): as_name(below(item, "clientId")) for item in _items(found)}


def _asked(value: object) -> ExtensionAsked:
    item = as_mapping(value)
    settings = item.get("settings")
    return ExtensionAsked(
        name=as_name(item.get("name")),
        publisher=as_name(item.get("publisher")),
        type=as_name(item.get("type")),
        version=as_name(item.get("typeHandlerVersion")),
        settings=shown_settings(settings),
        settings_as_text=isinstance(settings, str),
        after=tuple(filter(None, map(as_name, _items(item.get("provisionAfterExtensions"))))),
        upgrades_itself=item.get("enableAutomaticUpgrade") is True,
    )


def shown_settings(settings: object) -> Any:
    """Settings of an extension, fit for showing: parsed where they are text, and redacted."""
    return redact(read_json(settings, settings))


def _node(
    body: Body,
    node: Node,
    answer: Sequence[Body] | Problem | None,
    asked: Sequence[str],
    rules: Rules,
    now: float,
) -> tuple[NodeHealth, NodeReport]:
    bodies: Sequence[Body] = ()
    unread = ""
    if isinstance(answer, Sequence):
        bodies = answer
        report = node_report(node, rules, asked, [read_extension(item) for item in bodies], now, now)
    else:
        why = answer.text if answer else ""
        report = unread_report(node, rules, asked, now, now, why)
        if node.state not in VOID_STATES and not node.leaving:
            unread = redact_text(why) or "nobody has read them"
    dedicated = body.get("isDedicated")
    return (
        NodeHealth(
            id=node.id,
            state=node.state,
            state_since=node.state_since,
            allocated=as_name(body.get("allocationTime")),
            last_boot=node.last_boot_time,
            dedicated=dedicated if isinstance(dedicated, bool) else None,
            scheduling=as_word(body.get("schedulingState")),
            running_tasks=as_number(body.get("runningTasksCount")),
            errors=tuple(filter(None, map(_fault, _items(body.get("errors"))))),
            start_task=_start_task(body.get("startTaskInfo")),
            extensions=_extensions(bodies, asked),
            unread=unread,
            failed=() if node.leaving else tuple(map(redact_text, report.failed)),
            missing=() if node.leaving else tuple(map(redact_text, report.missing)),
        ),
        report,
    )


def _start_task(value: object) -> StartTaskHealth | None:
    info = as_mapping(value)
    if not info:
        return None
    return StartTaskHealth(
        state=as_word(info.get("state")),
        result=as_word(info.get("result")),
        exit_code=as_number(info.get("exitCode")),
        retries=as_number(info.get("retryCount")),
        started=as_name(info.get("startTime")),
        ended=as_name(info.get("endTime")),
        failure=_fault(info.get("failureInfo")),
    )


def _extensions(bodies: Sequence[Body], asked: Sequence[str]) -> tuple[ExtensionHealth, ...]:
    read = [read_extension(body) for body in bodies]
    expected = {id(found) for name in asked if (found := find_extension(read, name)) is not None}
    healths = []
    for body, extension in zip(bodies, read, strict=True):
        item, view = as_mapping(below(body, "vmExtension")), as_mapping(below(body, "instanceView"))
        statuses = tuple(map(_status, _items(view.get("statuses"))))
        # The planes of Azure spell this member in two ways.
        substatuses = tuple(map(_status, _items(view.get("subStatuses") or view.get("substatuses"))))
        deciding = (status for status in statuses if status.code == extension.code)
        healths.append(
            ExtensionHealth(
                name=extension.name or extension.instance_name,
                phase=extension.phase,
                code=extension.code,
                message=_message(extension.message),
                publisher=as_name(item.get("publisher")),
                type=as_name(item.get("type")),
                version=as_name(item.get("typeHandlerVersion")),
                expected=id(extension) in expected,
                time=next((status.time for status in deciding), ""),
                statuses=statuses,
                substatuses=substatuses,
                settings=shown_settings(item.get("settings")),
            )
        )
    return tuple(healths)


def _status(value: object) -> Status:
    status = as_mapping(value)
    level = status.get("level")
    return Status(
        code=as_name(status.get("code")),
        level=str(level) if isinstance(level, (str, int)) else "",
        display=_message(as_text(status.get("displayStatus"))),
        message=_message(as_text(status.get("message"))),
        time=as_name(status.get("time")),
    )


def _fault(value: object) -> Fault | None:
    error = as_mapping(value)
    if not error:
        return None
    pairs = [*_items(error.get("values")), *_items(error.get("errorDetails")), *_items(error.get("details"))]
    return Fault(
        code=as_name(error.get("code")),
        message=_message(as_text(error.get("message"))),
        details=tuple(
            (one_line(as_name(pair.get("name"))), _message(as_text(pair.get("value"))))
            for pair in map(as_mapping, pairs)
        ),
    )


def _message(text: str) -> str:
    """A text of others, redacted and bounded; its lines stay."""
    shown = redact_text(text)
    if len(shown) <= _LONGEST_MESSAGE:
        return shown
    return f"{shown[:_LONGEST_MESSAGE]}… ({len(text):,} characters in all)"


def _items(value: object) -> Sequence[Any]:
    return as_sequence(value)[:_MOST]
