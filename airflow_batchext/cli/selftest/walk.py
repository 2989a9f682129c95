"""The walk through an account: which requests are sent, in which order, and what is waited for.

Pure: a generator that yields what it wants, is sent what came of it, and keeps what it saw. The same walk
goes through the user's account and through the emulator.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from airflow_batchext.loose_json.values import as_mapping, as_sequence, as_text, below

EXTENSION = "monitor"
_NO_NAME = "batchext-nothing-of-this-name"
_FORMULA = "$TargetDedicatedNodes = 0;"
#: How long each thing may take before the walk goes on without it, in seconds of the service.
LONGEST = {
    "come": 1500.0,
    "reboot": 600.0,
    "reimage": 1200.0,
    "deallocate": 600.0,
    "shrink": 600.0,
    "go": 900.0,
}
_BROKEN = ("unusable", "starttaskfailed")


@dataclass(frozen=True, slots=True)
class Send:
    """A request; ``step`` says in which situation, so that answers to the same can be compared."""

    step: str
    plane: str
    method: str
    segments: tuple[str, ...] = ()
    body: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of a request; ``at`` is the service's time. Without an answer the status is 0."""

    status: int
    headers: Mapping[str, str]
    body: Any
    at: float

    @property
    def is_good(self) -> bool:
        """Whether it was done."""
        return 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait for one interval."""


@dataclass(frozen=True, slots=True)
class LookAsGate:
    """One look of the gate; answered by its outcome and its words."""


@dataclass(frozen=True, slots=True)
class DryRun:
    """What a repair would do now; answered in words."""


@dataclass(frozen=True, slots=True)
class TokenLife:
    """For how many seconds a token is good that was just given; None where it is not known."""


@dataclass(frozen=True, slots=True)
class Say:
    """Tell the user how far it is."""

    text: str


Wanted = Send | Wait | LookAsGate | DryRun | TokenLife | Say
Steps = Generator[Wanted, Any, Any]


class Walk:
    """One walk.

    :param pool_id: the pool that is created, and deleted in the end.
    :param body: the request's body that creates it.
    """

    def __init__(self, pool_id: str, body: Mapping[str, Any]) -> None:
        self.pool_id, self.body = pool_id, body
        self.exchanges: list[tuple[Send, Answered]] = []
        #: Seconds, by name; those of ``timings`` of a scenario have the same name there.
        self.timings: dict[str, float] = {}
        #: What was left out, and why.
        self.skipped: list[str] = []
        self.gate: list[str] = []
        self.repair = ""
        self.token_seconds: float | None = None
        self.may_exist = False
        self._moments: dict[str, float] = {}

    def all(self) -> Steps:
        """Everything but the deletion, which ``go`` does, however this ends."""
        yield Say("signing in, on both planes")
        account = yield from self._ask("the account", "management", "GET")
        self.token_seconds = yield TokenLife()
        yield from self._questions_without_a_pool(account)
        yield Say(f"creating pool {self.pool_id}")
        created = yield from self._create()
        if not created.is_good:
            self.skipped.append(f"all that needs a pool: it could not be created ({told(created)})")
            return
        node = yield from self._come(created.at)
        if node:
            yield from self._ask_of_node(node)
            yield from self._restart(node)
        yield Say("resizing to no node, by target and by formula")
        yield from self._shrink()

    def go(self) -> Steps:
        """Delete the pool, and see it gone."""
        if not self.may_exist:
            return
        yield Say(f"deleting pool {self.pool_id}")
        asked = seen = yield from self._delete()
        since = asked.at
        while seen.status != 404 and seen.at - since < LONGEST["go"]:
            yield Wait()
            if asked.is_good or error_code(asked.body) == "PoolBeingDeleted":
                seen = yield from self._ask("the pool while it is deleted", "data", "GET", *self._pool)
            else:  # throttled, lost, or refused for a while: nothing goes by itself
                asked = seen = yield from self._delete()
        self.may_exist = seen.status != 404
        if not self.may_exist:
            self.timings["deletion"] = seen.at - asked.at

    def _delete(self) -> Generator[Wanted, Any, Answered]:
        return (yield from self._ask("deleting the pool", "management", "DELETE", *self._pool))

    # --- the parts -----------------------------------------------------------------------------------------

    @property
    def _pool(self) -> tuple[str, str]:
        return "pools", self.pool_id

    def _questions_without_a_pool(self, account: Answered) -> Steps:
        missing = ("pools", _NO_NAME)
        yield from self._ask("a pool that is missing", "management", "GET", *missing)
        yield from self._ask("a pool that is missing", "data", "GET", *missing)
        yield from self._ask("whether a missing pool exists", "data", "HEAD", *missing)
        step = "a resize without a target of a missing pool"
        yield from self._ask(step, "data", "POST", *missing, "resize", body={})
        modes = below(account.body, "properties", "allowedAuthenticationModes")
        if isinstance(modes, list) and "SharedKey" not in modes:
            # Only where the account has no keys to tell: they are nobody's business.
            yield from self._ask("keys that are not allowed", "management", "POST", "listKeys")

    def _create(self) -> Generator[Wanted, Any, Answered]:
        once = {"If-None-Match": "*"}
        self.may_exist = True
        created = yield from self._ask(
            "creating the pool", "management", "PUT", *self._pool, body=self.body, headers=once
        )
        if 400 <= created.status < 500:
            self.may_exist = False
            return created
        yield from self._ask(
            "creating it once more", "management", "PUT", *self._pool, body=self.body, headers=once
        )
        yield from self._ask("the pool, just created", "management", "GET", *self._pool)
        return created

    def _come(self, since: float) -> Generator[Wanted, Any, str]:
        """Wait for the node, and for the gate; return the node's id, or "" if none came."""
        yield Say("waiting for the node and its extensions, as a gate does")
        node_id, at, state, outcome = "", since, "", "wait"
        while at - since < LONGEST["come"]:
            pool = yield from self._pool_now()
            at = pool.at
            nodes = yield from self._ask("the node list", "data", "GET", *self._pool, "nodes")
            listed = [as_mapping(item) for item in as_sequence(below(nodes.body, "value"))]
            if listed:
                node_id = as_text(listed[0].get("id"))
                state = yield from self._node_now(node_id, "first")
            if outcome == "wait":
                outcome, said = yield LookAsGate()
                if [said] != self.gate[-1:]:
                    self.gate.append(said)
                if outcome != "wait":
                    self.timings["the gate's wait"] = at - since
            is_steady = below(pool.body, "allocationState") == "steady"
            if is_steady and (not node_id or (state in ("idle", *_BROKEN) and outcome != "wait")):
                break
            yield Wait()
        self._time("allocation", "pool", "first creating")
        self._time("creating", "first creating", "first starting")
        self._time("starting", "first starting", "first idle")
        if not node_id:
            self.skipped.append("all that needs a node: none came")
        elif state != "idle":
            self.skipped.append(f"reboot, reimage and repair: the node is {state}, and not idle")
            return ""
        return node_id

    def _ask_of_node(self, node: str) -> Steps:
        where = (*self._pool, "nodes", node, "extensions")
        yield from self._ask("one extension", "data", "GET", *where, EXTENSION)
        yield from self._ask("an extension that the node does not have", "data", "GET", *where, _NO_NAME)
        yield from self._ask("the pool, on the other plane", "management", "GET", *self._pool)
        yield from self._ask("whether the pool exists", "data", "HEAD", *self._pool)
        self.repair = yield DryRun()

    def _restart(self, node: str) -> Steps:
        for what, option in (("reboot", "nodeRebootOption"), ("reimage", "nodeReimageOption")):
            yield Say(f"{what}, and waiting until the node is back")
            if not (yield from self._order(node, what, option, "idle")):
                return
        yield Say("deallocating the node, to see what is said of a node without a machine")
        yield from self._order(node, "deallocate", "nodeDeallocateOption", "deallocated")

    def _order(self, node: str, what: str, option: str, until: str) -> Generator[Wanted, Any, bool]:
        """Have something done to the node, and wait for it; return whether what follows can be done."""
        where, body = (*self._pool, "nodes", node, what), {option: "requeue"}
        asked = yield from self._ask(what, "data", "POST", *where, body=body)
        if not asked.is_good:
            self.skipped.append(f"the end of {what}: it was refused ({told(asked)})")
            return True
        state, at, was_away = "", asked.at, False
        while at - asked.at < LONGEST[what]:
            state = yield from self._node_now(node, what)
            at = self.exchanges[-1][1].at
            # Between two looks it may have been away and come back.
            was_away = was_away or state != "idle" or self._moments.get(f"{what} idle", 0.0) > asked.at
            if state in (until, *_BROKEN) and was_away:
                break
            yield Wait()
        meanwhile = {"reboot": "rebooting", "reimage": "reimaging", "deallocate": "deallocating"}[what]
        after = "deallocated" if until == "deallocated" else "starting"
        self._time(meanwhile, f"{what} {meanwhile}", f"{what} {after}")
        if state != until:
            self.skipped.append(f"what follows {what}: the node is {state or 'not to be seen'} after it")
        return state == until

    def _shrink(self) -> Steps:
        target = {"targetDedicatedNodes": 0, "targetLowPriorityNodes": 0, "nodeDeallocationOption": "requeue"}
        asked = yield from self._ask(
            "a resize to no node", "data", "POST", *self._pool, "resize", body=target
        )
        if not asked.is_good:
            self.skipped.append(
                f"all that needs a pool without nodes: the resize was refused ({told(asked)})"
            )
            return
        formula = {"autoScaleFormula": _FORMULA, "autoScaleEvaluationInterval": "PT5M"}
        scaled = yield from self._ask(
            "autoscale while it is resized", "data", "POST", *self._pool, "enableautoscale", body=formula
        )
        yield from self._pool_now()
        if scaled.is_good:
            yield from self._ask("autoscale ends", "data", "POST", *self._pool, "disableautoscale")
        at, is_empty = asked.at, False
        while not is_empty and at - asked.at < LONGEST["shrink"]:
            yield Wait()
            pool = yield from self._pool_now()
            at = pool.at
            counts = [below(pool.body, f"current{kind}Nodes") for kind in ("Dedicated", "LowPriority")]
            is_empty = below(pool.body, "allocationState") == "steady" and counts == [0, 0]
        if not is_empty:
            self.skipped.append("what may be changed on a pool without nodes: it still has some")
            return
        machine = self.body["properties"]["deploymentConfiguration"]
        bare = {k: v for k, v in machine["virtualMachineConfiguration"].items() if k != "extensions"}
        without_any = {"deploymentConfiguration": {"virtualMachineConfiguration": bare}}
        for what, properties in (
            ("another size of a pool without nodes", {"vmSize": "STANDARD_D4S_V3"}),
            ("no extensions of a pool without nodes", without_any),
        ):
            yield from self._ask(what, "management", "PATCH", *self._pool, body={"properties": properties})

    # --- asking --------------------------------------------------------------------------------------------

    def _ask(
        self,
        step: str,
        plane: str,
        method: str,
        *segments: str,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Generator[Wanted, Any, Answered]:
        ask = Send(step, plane, method, segments, body, headers or {})
        answered: Answered = yield ask
        self.exchanges.append((ask, answered))
        return answered

    def _pool_now(self) -> Generator[Wanted, Any, Answered]:
        pool = yield from self._ask("the pool", "data", "GET", *self._pool)
        self._name_last("the pool", below(pool.body, "allocationState"))
        self._note("pool", below(pool.body, "creationTime"))
        return pool

    def _node_now(self, node: str, phase: str) -> Generator[Wanted, Any, str]:
        """Read the node and its extensions; return its state."""
        read = yield from self._ask("a node", "data", "GET", *self._pool, "nodes", node)
        state = as_text(below(read.body, "state")).lower()
        self._name_last("a node", state)
        self._note(f"{phase} {state}", below(read.body, "stateTransitionTime"))
        yield from self._ask("extensions of a node", "data", "GET", *self._pool, "nodes", node, "extensions")
        self._name_last("extensions of a node", state)
        return state

    def _name_last(self, what: str, state: Any) -> None:
        """Answers are compared with those in the same state."""
        ask, answered = self.exchanges[-1]
        named = f"{what}, {state}" if isinstance(state, str) and state else what
        self.exchanges[-1] = replace(ask, step=named), answered

    def _note(self, moment: str, time: Any) -> None:
        try:
            self._moments.setdefault(moment, datetime.fromisoformat(as_text(time)).timestamp())
        except (ValueError, OverflowError):
            return

    def _time(self, name: str, start: str, end: str) -> None:
        if start in self._moments and end in self._moments:
            self.timings[name] = self._moments[end] - self._moments[start]


def told(answered: Answered) -> str:
    """An answer in a few words: its status and its code."""
    code = error_code(answered.body)
    return " ".join(filter(None, [f"HTTP {answered.status}" if answered.status else "no answer", code]))


def error_code(body: Any) -> str:
    """The code of a refusal, of either plane; "" where there is none."""
    return as_text(below(body, "error", "code") or below(body, "code"))


def steps_of(walk: Sequence[tuple[Send, Answered]], step: str, plane: str) -> list[Answered]:
    """All answers in that situation on that plane."""
    return [answered for ask, answered in walk if (ask.step, ask.plane) == (step, plane)]
