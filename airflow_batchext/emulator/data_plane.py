"""The data plane: pools, nodes and node extensions, for shared key and for Entra tokens.

It sees the same account as the management plane and spells it in its own way. Whatever is not modelled here
is refused with 501 and said so.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow_batchext.emulator import shared_key, sign_in
from airflow_batchext.emulator.data_bodies import extension_body, node_body, pool_body
from airflow_batchext.emulator.data_queries import check_conditions, page, read_filter, select
from airflow_batchext.emulator.errors import RefusedError, data_body, not_modelled, refusal
from airflow_batchext.emulator.lifecycle import WITHOUT_MACHINE, NodeState
from airflow_batchext.emulator.pool_document import read_data
from airflow_batchext.emulator.scenario import SYSTEM_EXTENSION
from airflow_batchext.emulator.sign_in import SignIn, TokenError
from airflow_batchext.emulator.wire import Answer, Call, Json, Router, http_time, utc_now, wire_time

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_batchext.emulator.account import Account
    from airflow_batchext.emulator.pools import Pool, VisibleNode

_VERSION = re.compile(r"^\d{4}-\d{2}-\d{2}(\.\d+\.\d+)?$")
_REBOOT_OPTIONS = ("requeue", "terminate", "taskcompletion", "retaineddata")
_REFUSE_REBOOT = {
    NodeState.CREATING: "NodeBeingCreated",
    NodeState.STARTING: "NodeBeingStarted",
    NodeState.REBOOTING: "NodeBeingRebooted",
    NodeState.REIMAGING: "NodeBeingReimaged",
    NodeState.UNUSABLE: "NodeStateUnusable",
}


class DataPlane:
    """Answers the calls to ``/pools/…``."""

    def __init__(self, account: Account, tokens: SignIn) -> None:
        """Serve that account."""
        self._account = account
        self._tokens = tokens
        self._router = Router()
        node = "/pools/{pool}/nodes/{node}"
        for method, template, handler in (
            ("POST", "/pools", self._create_pool),
            ("GET", "/pools", self._list_pools),
            ("GET", "/pools/{pool}", self._get_pool),
            ("HEAD", "/pools/{pool}", self._head_pool),
            ("DELETE", "/pools/{pool}", self._delete_pool),
            ("GET", "/pools/{pool}/nodes", self._list_nodes),
            ("GET", node, self._get_node),
            ("POST", f"{node}/reboot", self._reboot_node),
            ("GET", f"{node}/extensions", self._list_extensions),
            ("GET", f"{node}/extensions/{{extension}}", self._get_extension),
        ):
            self._router.add(method, template, handler)

    def answer(self, call: Call) -> Answer:
        """Answer a call, refusals included."""
        try:
            self._authenticate(call)
            self._check_version(call)
            found = self._router.find(call.method, call.raw_path)
            if found is None:
                raise not_modelled(f"{call.method} {call.path} of the data plane")
            handler, params = found
            with self._account.lock:
                answer = handler(replace(call, params=params))
        except RefusedError as problem:
            body = data_body(problem, call.base, call.request_id, wire_time(utc_now()))
            answer = Answer(problem.status, None if problem.status == 304 else body, problem.headers)
        headers = {"DataServiceVersion": "3.0", "request-id": call.request_id}
        wants_id = call.headers.get("return-client-request-id", "").lower() == "true"
        if wants_id and "client-request-id" in call.headers:
            headers["client-request-id"] = call.headers["client-request-id"]
        if answer.body is not None:
            headers["Content-Type"] = "application/json; odata=minimalmetadata"
        return replace(answer, headers={**headers, **answer.headers})

    # --- who asks, and in which version ---------------------------------------------------------------------

    def _authenticate(self, call: Call) -> None:
        scheme, _, credentials = call.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "sharedkey":
            account = self._account
            status = account.scenario.answers.refused_shared_key
            shared_key.verify(call, credentials.strip(), account.name, account.keys.values(), status)
            return
        if scheme.lower() != "bearer" or not credentials:
            raise self._challenge(call, "The Authorization header is missing or is of an unknown scheme")
        try:
            self._tokens.verify(credentials.strip(), sign_in.BATCH)
        except TokenError as problem:
            raise self._challenge(call, str(problem)) from None

    def _challenge(self, call: Call, detail: str) -> RefusedError:
        problem = refusal("AuthenticationFailed", status=401, AuthenticationErrorDetail=detail)
        authority = f"{call.base}/{self._tokens.tenant_id}"
        challenge = f'Bearer authorization_uri="{authority}", resource_id="{sign_in.BATCH}/"'
        return replace(problem, headers={"WWW-Authenticate": challenge})

    def _check_version(self, call: Call) -> None:
        version = call.query.get("api-version", "")
        if not version:
            raise refusal("MissingRequiredQueryParameter", QueryParameterName="api-version")
        if not _VERSION.match(version):
            raise refusal("UnsupportedRequestVersion", Reason=f"The version '{version[:50]}' is not known")

    # --- pools ---------------------------------------------------------------------------------------------

    def _create_pool(self, call: Call) -> Answer:
        name, definition = read_data(call.json())
        pool = self._account.create_pool(name, definition)
        url = f"{call.base}/pools/{pool.name}"
        return Answer(201, headers={"DataServiceId": url, "Location": url, **_validators(pool)}, chunked=True)

    def _list_pools(self, call: Call) -> Answer:
        _refuse_parameters(call, "$filter", "$expand")
        pools = sorted(self._account.pools(), key=lambda pool: pool.name)
        return self._list(call, "pools", pools, lambda pool: pool.name, lambda pool: self._pool(call, pool))

    def _get_pool(self, call: Call) -> Answer:
        _refuse_parameters(call, "$expand")
        pool = self._account.pool(call.params["pool"])
        check_conditions(call, pool.etag, pool.modified, is_read=True)
        return self._element(call, "pools", self._pool(call, pool), _validators(pool))

    def _head_pool(self, call: Call) -> Answer:
        pool = self._account.pool(call.params["pool"])
        check_conditions(call, pool.etag, pool.modified, is_read=True)
        return Answer(200, headers=_validators(pool), chunked=True)

    def _delete_pool(self, call: Call) -> Answer:
        pool = self._account.pool(call.params["pool"])
        check_conditions(call, pool.etag, pool.modified, is_read=False)
        self._account.delete_pool(pool.name)
        return Answer(202, chunked=True)

    # --- nodes ---------------------------------------------------------------------------------------------

    def _list_nodes(self, call: Call) -> Answer:
        pool = self._account.pool(call.params["pool"])
        keep = read_filter(call.query.get("$filter"))
        nodes = [node for node in self._account.nodes(pool.name) if keep(node.now.state.value)]
        nodes.sort(key=lambda visible: visible.node.id)
        version = call.query["api-version"]
        return self._list(
            call,
            "nodes",
            nodes,
            lambda visible: visible.node.id,
            lambda visible: node_body(pool, visible, call.base, version),
        )

    def _get_node(self, call: Call) -> Answer:
        pool, visible = self._node(call)
        return self._element(call, "nodes", node_body(pool, visible, call.base, call.query["api-version"]))

    def _reboot_node(self, call: Call) -> Answer:
        if call.body:
            option = call.json().get("nodeRebootOption", "requeue")
            if option not in _REBOOT_OPTIONS:
                raise refusal(
                    "InvalidPropertyValue",
                    PropertyName="nodeRebootOption",
                    PropertyValue=str(option)[:100],
                    Reason=f"One of {', '.join(_REBOOT_OPTIONS)} is expected",
                )
        pool, visible = self._node(call)
        state = visible.now.state
        if state not in (NodeState.IDLE, NodeState.RUNNING):
            raise refusal(_REFUSE_REBOOT.get(state, "OperationInvalidForCurrentState"))
        self._account.reboot_node(pool.name, visible.node.id)
        return Answer(202, headers={"DataServiceId": f"{call.base}{call.raw_path}"}, chunked=True)

    # --- extensions ----------------------------------------------------------------------------------------

    def _list_extensions(self, call: Call) -> Answer:
        _refuse_parameters(call, "$filter")
        visible, bodies = self._extensions(call)
        names = list(bodies)
        if visible.node.index % 2:
            # The real order is not fixed, so clients must not lean on it.
            names = [name for name in names if name != SYSTEM_EXTENSION] + [SYSTEM_EXTENSION]
        place = {name: f"{number:06d}" for number, name in enumerate(names)}
        return self._list(call, "extensions", names, lambda name: place[name], lambda name: bodies[name]())

    def _get_extension(self, call: Call) -> Answer:
        _, bodies = self._extensions(call)
        wanted = call.params["extension"].casefold()
        name = next((name for name in bodies if name.casefold() == wanted), None)
        if name is None:
            raise refusal(self._account.scenario.answers.missing_extension)
        return self._element(call, "extensions", bodies[name]())

    def _extensions(self, call: Call) -> tuple[VisibleNode, dict[str, Callable[[], Json]]]:
        pool, visible = self._node(call)
        answers = self._account.scenario.answers
        if visible.now.state in WITHOUT_MACHINE and answers.extensions_without_machine == "refused":
            raise refusal("OperationInvalidForCurrentState", Reason=f"The node is {visible.now.state.value}")
        now = self._account.extensions_of(pool, visible)

        def writer(name: str) -> Callable[[], Json]:
            return lambda: extension_body(pool, name, now[name], answers)

        return visible, {name: writer(name) for name in now}

    # --- helpers -------------------------------------------------------------------------------------------

    def _node(self, call: Call) -> tuple[Pool, VisibleNode]:
        pool = self._account.pool(call.params["pool"])
        return pool, self._account.node(pool.name, call.params["node"])

    def _pool(self, call: Call, pool: Pool) -> Json:
        account = self._account
        counts, now = account.counts(pool.name), account.clock.now()
        version = call.query["api-version"]
        return pool_body(pool, call.base, counts, now, version, account.scenario.answers)

    def _list(
        self,
        call: Call,
        kind: str,
        items: list[Any],
        key: Callable[[Any], str],
        write: Callable[[Any], Json],
    ) -> Answer:
        here, token = page(call, items, key)
        body: Json = {
            "odata.metadata": f"{call.base}/$metadata#{kind}",
            "value": [select(call, kind, write(item)) for item in here],
        }
        if token is not None:
            query = {**call.query, "$skiptoken": token}
            pairs = "&".join(f"{name}={quote(value, safe=':$,')}" for name, value in query.items())
            body["odata.nextLink"] = f"{call.base}{call.raw_path}?{pairs}"
        return Answer(200, body, chunked=True)

    def _element(self, call: Call, kind: str, body: Json, headers: dict[str, str] | None = None) -> Answer:
        metadata = {"odata.metadata": f"{call.base}/$metadata#{kind}/@Element"}
        return Answer(200, {**metadata, **select(call, kind, body)}, headers or {}, chunked=True)


def _validators(pool: Pool) -> dict[str, str]:
    return {"ETag": pool.etag, "Last-Modified": http_time(pool.modified)}


def _refuse_parameters(call: Call, *names: str) -> None:
    for name in names:
        if name in call.query:
            raise not_modelled(f"'{name}' on {call.method} {call.path}")
