"""The data plane's operations on nodes, and what it shows of their extensions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_batchext.emulator.account.lifecycle import BUSY, WITHOUT_MACHINE, NodeState, start_task_at
from airflow_batchext.emulator.account.nodes import OPTIONS, option_of
from airflow_batchext.emulator.data.answers import (
    done,
    element_answer,
    entity_answer,
    items_answer,
    refuse_parameters,
)
from airflow_batchext.emulator.data.bodies import (
    LOGIN_PORT,
    PUBLIC_ADDRESS,
    PUBLIC_IPV6_ADDRESS,
    NodeWriter,
    has_ipv6,
    start_task_info,
)
from airflow_batchext.emulator.data.extension_bodies import extension_body
from airflow_batchext.emulator.documents.codec import bad, missing
from airflow_batchext.emulator.scenario import SYSTEM_EXTENSION
from airflow_batchext.emulator.wire.errors import refusal
from airflow_batchext.emulator.wire.http import Answer, Call, Json, Route, ticks, wire_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from airflow_batchext.emulator.account.account import Account
    from airflow_batchext.emulator.account.nodes import Option
    from airflow_batchext.emulator.account.pools import Pool, VisibleNode

_REFUSED = {
    NodeState.CREATING: "NodeBeingCreated",
    NodeState.STARTING: "NodeBeingStarted",
    NodeState.REBOOTING: "NodeBeingRebooted",
    NodeState.REIMAGING: "NodeBeingReimaged",
    NodeState.UNUSABLE: "NodeStateUnusable",
}
_NOT_REIMAGED = "Operation reimage can be invoked only on pools created with cloudServiceConfiguration"
_LOG_FILES = 4
_OWN_CAME_LAST = "2024-07-01"
"""The version of the recording in which it did, on the first node."""


class NodeOperations:
    """Handlers of ``/pools/…/nodes``."""

    def __init__(self, account: Account) -> None:
        """Serve that account."""
        self._account = account

    def routes(self) -> Iterator[Route]:
        """Yield what is served."""
        node = "/pools/{pool}/nodes/{node}"
        yield "GET", "/pools/{pool}/nodes", self._list
        yield "GET", node, self._get
        yield "POST", f"{node}/reboot", self._reboot
        yield "POST", f"{node}/reimage", self._reimage
        yield "POST", f"{node}/deallocate", self._deallocate
        yield "POST", f"{node}/start", self._start
        yield "POST", f"{node}/disablescheduling", self._disable_scheduling
        yield "POST", f"{node}/enablescheduling", self._enable_scheduling
        yield "POST", f"{node}/uploadbatchservicelogs", self._upload_logs
        yield "GET", f"{node}/remoteloginsettings", self._login
        yield "GET", f"{node}/extensions", self._list_extensions
        yield "GET", f"{node}/extensions/{{extension}}", self._get_extension

    # --- reading -------------------------------------------------------------------------------------------

    def _list(self, call: Call) -> Answer:
        pool = self._account.pool(call.params["pool"])
        view, writer = self._account.view(pool.name), self._writer(call, pool)
        return items_answer(
            call,
            "nodes",
            view.nodes,
            lambda node: node.id,
            lambda node: writer.write(view.visible(node)),
            lambda node: self._filterable(view.visible(node)),
            view.is_visible,
            lambda node: writer.text(view.visible(node)),
        )

    def _get(self, call: Call) -> Answer:
        pool, visible = self._node(call)
        return element_answer(call, "nodes", self._writer(call, pool).write(visible))

    def _login(self, call: Call) -> Answer:
        pool, visible = self._node(call)
        port = LOGIN_PORT + visible.node.index
        body = {"remoteLoginIPAddress": PUBLIC_ADDRESS, "remoteLoginPort": port}
        if has_ipv6(pool):
            body |= {"ipv6RemoteLoginIPAddress": PUBLIC_IPV6_ADDRESS, "ipv6RemoteLoginPort": port}
        return entity_answer(call, "ComputeNodeRemoteLoginSettings", body)

    # --- handling ------------------------------------------------------------------------------------------

    def _reboot(self, call: Call) -> Answer:
        return self._take_down(call, "nodeRebootOption", self._account.reboot_node)

    def _reimage(self, call: Call) -> Answer:
        if self._account.scenario.answers.reimage == "refused":
            _option(call, "nodeReimageOption")
            self._node(call)
            raise refusal("OperationNotValidOnNode", Reason=_NOT_REIMAGED)
        return self._take_down(call, "nodeReimageOption", self._account.reimage_node)

    def _deallocate(self, call: Call) -> Answer:
        return self._take_down(call, "nodeDeallocateOption", self._account.deallocate_node)

    def _take_down(self, call: Call, name: str, act: Callable[[str, str, Option], None]) -> Answer:
        """Do that to a node; the option of that name says what becomes of its tasks."""
        option = _option(call, name)
        act(*self._busy(call), option)
        return done(call, 202)

    def _start(self, call: Call) -> Answer:
        pool, visible = self._node(call)
        self._account.start_node(pool.name, visible.node.id)
        return done(call, 202)

    def _disable_scheduling(self, call: Call) -> Answer:
        option = _option(call, "nodeDisableSchedulingOption", OPTIONS[:3])
        return self._schedule(call, option, enabled=False)

    def _enable_scheduling(self, call: Call) -> Answer:
        return self._schedule(call, "requeue", enabled=True)

    def _schedule(self, call: Call, option: Option, *, enabled: bool) -> Answer:
        pool, visible = self._node(call)
        is_enabled = visible.node.work.disabled is None and visible.now.state is not NodeState.OFFLINE
        if is_enabled is enabled:
            raise refusal("NodeAlreadyInTargetSchedulingState")
        self._account.set_scheduling(pool.name, visible.node.id, enabled=enabled, option=option)
        return done(call, 200)

    def _upload_logs(self, call: Call) -> Answer:
        document = call.json()
        for name in ("containerUrl", "startTime"):
            if not isinstance(document.get(name), str):
                raise missing(name, "data")
        pool, visible = self._node(call)
        if visible.now.state in WITHOUT_MACHINE:
            raise refusal("OperationInvalidForCurrentState", Reason=f"The node is {visible.now.state.value}")
        account = f"{self._account.name}-{ticks(pool.created):016X}"
        folder = f"{account}/{pool.name.lower()}/{visible.node.id}/{call.request_id}"
        body = {"virtualDirectoryName": folder, "numberOfFilesUploaded": _LOG_FILES}
        return entity_answer(call, "UploadBatchServiceLogsResult", body)

    # --- extensions ----------------------------------------------------------------------------------------

    def _list_extensions(self, call: Call) -> Answer:
        refuse_parameters(call, "$filter")
        visible, bodies = self._extensions(call)
        names = list(bodies)
        # The real order is not fixed, so clients must not lean on it: Batch's own was seen first, and last.
        if (visible.node.index % 2 == 1) is (call.query["api-version"][:10] < _OWN_CAME_LAST):
            names = [name for name in names if name != SYSTEM_EXTENSION] + [SYSTEM_EXTENSION]
        place = {name: f"{number:06d}" for number, name in enumerate(names)}
        return items_answer(call, "extensions", names, lambda name: place[name], lambda name: bodies[name]())

    def _get_extension(self, call: Call) -> Answer:
        _, bodies = self._extensions(call)
        wanted = call.params["extension"].casefold()
        name = next((name for name in bodies if name.casefold() == wanted), None)
        if name is None:
            raise refusal(self._account.scenario.answers.missing_extension)
        return element_answer(call, "extensions", bodies[name]())

    def _extensions(self, call: Call) -> tuple[VisibleNode, dict[str, Callable[[], Json]]]:
        pool, visible = self._node(call)
        answers = self._account.scenario.answers
        if visible.now.state in WITHOUT_MACHINE and answers.extensions_without_machine == "refused":
            raise refusal("OperationInvalidForCurrentState", Reason=f"The node is {visible.now.state.value}")
        now = self._account.extensions_of(pool, visible)

        def writer(name: str) -> Callable[[], Json]:
            return lambda: extension_body(pool, name, now[name], answers, call.query["api-version"])

        return visible, {name: writer(name) for name in now}

    # --- helpers -------------------------------------------------------------------------------------------

    def _node(self, call: Call) -> tuple[Pool, VisibleNode]:
        pool = self._account.pool(call.params["pool"])
        return pool, self._account.node(pool.name, call.params["node"])

    def _busy(self, call: Call) -> tuple[str, str]:
        """The pool and the id of a node that may be taken down, for it is idle or running."""
        pool, visible = self._node(call)
        if visible.now.state not in BUSY:
            raise refusal(_REFUSED.get(visible.now.state, "OperationInvalidForCurrentState"))
        return pool.name, visible.node.id

    def _writer(self, call: Call, pool: Pool) -> NodeWriter:
        return NodeWriter(pool, call.base, call.query["api-version"], self._account.clock.now())

    def _filterable(self, visible: VisibleNode) -> Json:
        now = visible.now
        found: Json = {
            "state": now.state.value,
            "stateTransitionTime": wire_time(now.since),
            "lastBootTime": now.last_boot and wire_time(now.last_boot),
            "allocationTime": wire_time(now.allocated),
        }
        task = start_task_at(now, self._account.clock.now())
        if task is not None:
            found["startTaskInfo"] = start_task_info(task)
        return found


def _option(call: Call, name: str, options: Sequence[str] = OPTIONS) -> Option:
    """What is to become of the tasks of a node. The body may be left out."""
    given = call.json().get(name, "requeue") if call.body else "requeue"
    if given not in options:
        raise bad(name, str(given)[:100], f"One of {', '.join(options)} is expected", "data")
    return option_of(given)
