"""The data plane's operations on pools, and what it says of the account: node counts and images."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING

from airflow_batchext.emulator.account.nodes import option_of
from airflow_batchext.emulator.data.answers import (
    bodies_answer,
    check_expand,
    created,
    done,
    element_answer,
    entity_answer,
    items_answer,
    validators,
)
from airflow_batchext.emulator.data.bodies import counts_body, evaluation_body, pool_body
from airflow_batchext.emulator.data.images import IMAGES
from airflow_batchext.emulator.data.queries import check_conditions
from airflow_batchext.emulator.documents.codec import Reader, bad, missing
from airflow_batchext.emulator.documents.pool import (
    read_data,
    read_patch,
    read_properties,
    read_scale,
)
from airflow_batchext.emulator.documents.pool_schema import (
    DATA_AUTO_SCALE,
    DATA_EVALUATION,
    DATA_REMOVAL,
    DATA_RESIZE,
)
from airflow_batchext.emulator.wire.errors import refusal
from airflow_batchext.emulator.wire.http import Answer, Call, Json, Route

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_batchext.emulator.account.account import Account
    from airflow_batchext.emulator.account.pools import Pool
    from airflow_batchext.emulator.documents.schema import Object

_MOST_REMOVED = 100
_ENABLING_PAUSE = timedelta(seconds=30)


class PoolOperations:
    """Handlers of ``/pools``, ``/nodecounts``, ``/supportedimages`` and ``/poolusagemetrics``."""

    def __init__(self, account: Account) -> None:
        """Serve that account."""
        self._account = account

    def routes(self) -> Iterator[Route]:
        """Yield what is served."""
        pool = "/pools/{pool}"
        yield "POST", "/pools", self._create
        yield "GET", "/pools", self._list
        yield "GET", pool, self._get
        yield "HEAD", pool, self._head
        yield "PATCH", pool, self._patch
        yield "DELETE", pool, self._delete
        yield "POST", f"{pool}/updateproperties", self._update_properties
        yield "POST", f"{pool}/resize", self._resize
        yield "POST", f"{pool}/stopresize", self._stop_resize
        yield "POST", f"{pool}/enableautoscale", self._enable_autoscale
        yield "POST", f"{pool}/disableautoscale", self._disable_autoscale
        yield "POST", f"{pool}/evaluateautoscale", self._evaluate_autoscale
        yield "POST", f"{pool}/removenodes", self._remove_nodes
        yield "GET", "/nodecounts", self._node_counts
        yield "GET", "/supportedimages", self._images
        yield "GET", "/poolusagemetrics", self._usage

    # --- reading -------------------------------------------------------------------------------------------

    def _list(self, call: Call) -> Answer:
        check_expand(call)
        pools = sorted(self._account.pools(), key=lambda pool: pool.name)
        bodies = [self._body(call, pool) for pool in pools]
        return bodies_answer(call, "pools", bodies)

    def _get(self, call: Call) -> Answer:
        check_expand(call)
        pool = self._account.pool(call.params["pool"])
        check_conditions(call, pool, is_read=True)
        return element_answer(call, "pools", self._body(call, pool), validators(pool))

    def _head(self, call: Call) -> Answer:
        pool = self._account.pool(call.params["pool"])
        check_conditions(call, pool, is_read=True)
        return Answer(200, headers=validators(pool), chunked=True)

    def _node_counts(self, call: Call) -> Answer:
        version = call.query["api-version"]
        bodies = []
        for pool in sorted(self._account.pools(), key=lambda pool: pool.name):
            states: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
            for visible in self._account.nodes(pool.name):
                states[visible.node.is_dedicated][visible.now.state.value] += 1
            bodies.append(
                {
                    "poolId": pool.name,
                    "dedicated": counts_body(states[True], version),
                    "lowPriority": counts_body(states[False], version),
                }
            )
        return bodies_answer(call, "poolnodecounts", bodies, "poolId")

    def _images(self, call: Call) -> Answer:
        write = IMAGES.__getitem__
        return items_answer(call, "supportedimages", range(len(IMAGES)), "{:04d}".format, write, write)

    def _usage(self, call: Call) -> Answer:
        """Nothing was used, as the recordings have it."""
        return bodies_answer(call, "poolusagemetrics", [])

    # --- changing ------------------------------------------------------------------------------------------

    def _create(self, call: Call) -> Answer:
        name, definition = read_data(call.json())
        pool = self._account.create_pool(name, definition)
        return created(f"{call.base}/pools/{pool.name}", pool)

    def _patch(self, call: Call) -> Answer:
        pool = self._existing(call)
        is_empty = not any(self._account.counts(pool.name))
        definition = read_patch(call.json(), pool.definition, is_empty=is_empty)
        return done(call, 200, self._account.update_pool(pool.name, definition))

    def _update_properties(self, call: Call) -> Answer:
        pool = self._existing(call)
        definition = read_properties(call.json(), pool.definition)
        return done(call, 204, self._account.update_pool(pool.name, definition))

    def _delete(self, call: Call) -> Answer:
        self._account.delete_pool(self._existing(call).name)
        return Answer(202, chunked=True)

    def _resize(self, call: Call) -> Answer:
        # The body is checked before the pool is looked for, as recorded.
        document = _read(DATA_RESIZE, call)
        if not {"targetDedicatedNodes", "targetLowPriorityNodes"} & set(document):
            raise missing("targetDedicatedNodes and/or targetLowPriorityNodes", "data")
        pool = self._existing(call)
        if pool.definition.scale.formula is not None:
            raise refusal("OperationNotValidOnPool", Reason="The pool is scaled by a formula")
        self._refuse_while_resizing(pool)
        scale = read_scale(document, pool.definition.scale)
        resized = self._account.resize_pool(
            pool.name,
            scale.dedicated,
            scale.low_priority,
            timeout=scale.timeout,
            deallocation=scale.deallocation,
        )
        return done(call, 202, resized)

    def _stop_resize(self, call: Call) -> Answer:
        return done(call, 202, self._account.stop_resize(self._existing(call).name))

    def _remove_nodes(self, call: Call) -> Answer:
        pool = self._existing(call)
        document = _read(DATA_REMOVAL, call)
        nodes = list(dict.fromkeys(document["nodeList"]))
        if not 1 <= len(nodes) <= _MOST_REMOVED:
            raise bad("nodeList", len(nodes), f"From 1 to {_MOST_REMOVED} nodes can be removed", "data")
        read_scale(document, pool.definition.scale)
        self._refuse_while_resizing(pool)
        option = option_of(document.get("nodeDeallocationOption"))
        return done(call, 202, self._account.remove_nodes(pool.name, nodes, option))

    # --- autoscale -----------------------------------------------------------------------------------------

    def _enable_autoscale(self, call: Call) -> Answer:
        pool = self._existing(call)
        document = _read(DATA_AUTO_SCALE, call)
        scale = read_scale(document, pool.definition.scale)
        if scale.formula is None:
            raise missing("autoScaleFormula", "data")
        last = pool.autoscale_enabled
        if last is not None and self._account.clock.now() - last < _ENABLING_PAUSE:
            reason = "Requests for the same pool must be separated by at least 30 seconds"
            raise refusal("TooManyEnableAutoScaleRequests", Reason=reason)
        if self._account.scenario.answers.autoscale_while_resizing == "refused":
            self._refuse_while_resizing(pool)
        return done(call, 200, self._account.enable_autoscale(pool.name, scale.formula, scale.interval))

    def _disable_autoscale(self, call: Call) -> Answer:
        return done(call, 200, self._account.disable_autoscale(self._existing(call).name))

    def _evaluate_autoscale(self, call: Call) -> Answer:
        pool = self._existing(call)
        formula = _read(DATA_EVALUATION, call)["autoScaleFormula"]
        if pool.definition.scale.formula is None:
            raise refusal("OperationNotValidOnPool", Reason="Autoscale is not enabled on the pool")
        evaluation = self._account.evaluate_autoscale(pool.name, formula)
        headers = {"DataServiceId": f"{call.base}{call.raw_path}"}
        return entity_answer(call, "AutoScaleRun", evaluation_body(evaluation), headers)

    # --- helpers -------------------------------------------------------------------------------------------

    def _existing(self, call: Call) -> Pool:
        """The pool that is to be changed, if the conditional headers let it."""
        pool = self._account.pool(call.params["pool"])
        check_conditions(call, pool, is_read=False)
        if pool.deleted:
            raise refusal("PoolBeingDeleted")
        return pool

    def _refuse_while_resizing(self, pool: Pool) -> None:
        if pool.resize.is_running(self._account.clock.now()):
            raise refusal("PoolBeingResized")

    def _body(self, call: Call, pool: Pool) -> Json:
        account = self._account
        counts, now = account.counts(pool.name), account.clock.now()
        version = call.query["api-version"]
        return pool_body(pool, call.base, counts, now, version, account.scenario.answers)


def _read(schema: Object, call: Call) -> Json:
    document: Json = Reader("data").read(schema, call.json(), "")
    return document
