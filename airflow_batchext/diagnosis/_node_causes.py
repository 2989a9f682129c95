"""Known causes that show at a node: its state, its errors, its start task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from airflow_batchext.batch.data_plane import (
    AGENTLESS_STATES,
    BATCH_OWN_EXTENSION,
    VOID_STATES,
    Phase,
    epoch_seconds,
    one_line,
)
from airflow_batchext.diagnosis._cause import (
    STUCK_SECONDS,
    Hit,
    Matcher,
    fault_text,
    hit,
    node_error,
    said_of,
    short_of_nodes,
    states,
    staying,
)
from airflow_batchext.diagnosis._provider import reported

if TYPE_CHECKING:
    from airflow_batchext.health import NodeHealth, PoolHealth


_AGENT_ERROR: Final = "batchagentinstallationfailure"


def _start_task_failed(health: PoolHealth, *, in_download: bool = False) -> Iterator[Hit]:
    """Looks for a start task that failed.

    :param in_download: as one of its files could not be fetched, or in any other way.
    """
    for node in staying(health):
        # While a node joins or is down it shows the start task of the boot before.
        task = None if node.state in VOID_STATES | AGENTLESS_STATES else node.start_task
        failure = task.failure if task else None
        if (failure is not None and failure.code.lower().startswith("blob")) is not in_download:
            continue
        if node.state == "starttaskfailed" or (task is not None and task.result == "failure"):
            code = f" with exit code {task.exit_code}" if task and task.exit_code is not None else ""
            why = f": {one_line(fault_text(failure), 300)}" if failure else ""
            yield Hit(f"node {node.id} ({node.state}): its start task failed{code}{why}", node.id)


def _start_task_runs(health: PoolHealth) -> Iterator[Hit]:
    for node in staying(health):
        if node.state == "waitingforstarttask" and _for(health, node) >= STUCK_SECONDS:
            started = node.start_task.started if node.start_task else ""
            since = started or node.state_since
            yield Hit(f"node {node.id} waits for its start task, which runs since {since}", node.id)


def _joining_for_long(health: PoolHealth) -> Iterator[Hit]:
    for node in staying(health):
        if node.state in ("creating", "starting") and _for(health, node) >= 2 * STUCK_SECONDS:
            yield Hit(f"node {node.id} is {node.state} since {node.state_since}", node.id)


def _no_agent(health: PoolHealth) -> Iterator[Hit]:
    """A node without Batch's agent, told once: Batch's own extension failed, or the node says so itself."""
    for node in staying(health):
        own = [] if node.state in VOID_STATES else node.extensions
        said = [
            said_of(extension)
            for extension in own
            if extension.phase is Phase.FAILED and extension.name.lower() == BATCH_OWN_EXTENSION.lower()
        ]
        said += [fault_text(error) for error in node.errors if error.code.lower() == _AGENT_ERROR]
        if said:
            yield Hit(f"node {node.id} ({node.state or 'no state'}): {one_line('; '.join(said))}", node.id)
    for node, extension in reported(health) if short_of_nodes(health) else ():
        if extension.name.lower() == BATCH_OWN_EXTENSION.lower():
            yield hit(node, extension)


def _custom_image(health: PoolHealth) -> Iterator[Hit]:
    """Batch takes the agent that the document names, whatever system a custom image has."""
    if health.image.get("id") or health.image.get("virtualMachineImageId"):
        for found in _no_agent(health):
            yield replace(found, said=f"{found.said}; the pool's image is a custom one")


def _for(health: PoolHealth, node: NodeHealth) -> float:
    since = epoch_seconds(node.state_since)
    return 0.0 if since is None else health.taken_at - since


NODE_MATCHERS: Final[Mapping[str, Matcher]] = {
    "start-task-failed": _start_task_failed,
    "start-task-files": partial(_start_task_failed, in_download=True),
    "start-task-runs": _start_task_runs,
    "disk-full": node_error("DiskFull"),
    "application-package": node_error("ApplicationPackageError"),
    "container-image": node_error(saying="container ?image|docker|registry"),
    "batch-agent": _no_agent,
    "agent-custom-image": _custom_image,
    "mount-failed": node_error("MountConfigurationError", saying=r"configuring (the )?specified mount"),
    "application-package-identity": node_error(
        saying=r"^ApplicationPackageError\b.{0,600}(identity|authoriz|authentic|forbidden|\b403\b)"
    ),
    "node-unreachable": states("unusable", but_for_errors=True),
    "contact-lost": states("unknown"),
    "joining-for-long": _joining_for_long,
    "preempted": states("preempted"),
    "deallocated": states("deallocated", "deallocating"),
}
