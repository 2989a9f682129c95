"""What a test or a user who is not in the same process can do to a running emulator, over HTTP.

This is no part of Azure: it lies under ``/emulator``, is asked with the key of the account (``Authorization:
Key …``), meets no faults, and does what the Python objects do: advance the clock, give and take back faults,
replace the scenario, and let something happen to a pool or a node.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from airflow_batchext.emulator.faults import read_fault
from airflow_batchext.emulator.scenario import Scenario
from airflow_batchext.emulator.wire.errors import RefusedError
from airflow_batchext.emulator.wire.http import Answer, Call, Json, Route, Router, read_json, wire_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_batchext.emulator.account.account import Account
    from airflow_batchext.emulator.faults import Faults

HAPPENINGS = (
    "preempt_node",
    "reboot_node",
    "mark_node",
    "remove_node",
    "set_extension",
    "resize_pool",
    "recreate_pool",
    "delete_pool",
)
"""The methods of the account that can be called, with their arguments by name."""


class Control:
    """Answers the calls to ``/emulator``."""

    def __init__(self, account: Account, faults: Faults, put: Callable[[Scenario], None]) -> None:
        """``put`` puts another scenario in place of the one that is."""
        self._account = account
        self._faults = faults
        self._put = put
        self._router = Router(self.routes())

    def routes(self) -> Iterator[Route]:
        """Which calls are answered here."""
        yield "GET", "/emulator", self._describe
        yield "POST", "/emulator/clock", self._advance
        yield "GET", "/emulator/faults", self._list_faults
        yield "POST", "/emulator/faults", self._add_faults
        yield "DELETE", "/emulator/faults", self._clear_faults
        yield "PUT", "/emulator/scenario", self._put_scenario
        yield "POST", "/emulator/account/{happening}", self._happen

    def answer(self, call: Call) -> Answer:
        """Answer a call, refusals included."""
        scheme, _, key = call.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "key" or not hmac.compare_digest(
            key.strip().encode(), self._account.keys["primary"].encode()
        ):
            return _refused(401, "send the primary key of the account: 'Authorization: Key …'")
        answering = self._router.find(call)
        if answering is None:
            return _refused(404, f"there is no {call.method} {call.path}")
        try:
            return answering()
        except RefusedError as problem:
            return _refused(problem.status, str(problem))
        except (ValueError, TypeError, OverflowError) as problem:
            return _refused(400, " ".join(str(problem).split()))

    def _describe(self, call: Call) -> Answer:
        clock = self._account.clock
        answer = {
            "time": wire_time(clock.now()),
            "timeScale": clock.scale,
            "pools": [pool.name for pool in self._account.pools()],
        }
        return Answer(200, answer)

    def _advance(self, call: Call) -> Answer:
        """Jump ahead: ``{"advance": 300}``."""
        body = _body(call)
        if set(body) != {"advance"} or not isinstance(body["advance"], (int, float)):
            raise ValueError('{"advance": SECONDS} is expected')
        return Answer(200, {"time": wire_time(self._account.clock.advance(body["advance"]))})

    def _list_faults(self, call: Call) -> Answer:
        fired = [
            {
                "fault": fired.fault.model_dump(exclude_defaults=True)
                | {"action": getattr(fired.fault, "action", "")},
                "plane": fired.plane,
                "method": fired.method,
                "path": fired.path,
                "at": wire_time(fired.at),
            }
            for fired in list(self._faults.fired)
        ]
        return Answer(200, {"fired": fired})

    def _add_faults(self, call: Call) -> Answer:
        """Take one fault or a list of them, all or none."""
        given = read_json(call.body)
        faults = [read_fault(item) for item in (given if isinstance(given, list) else [given])]
        self._faults.add(*faults)
        return Answer(201, {"added": len(faults)})

    def _clear_faults(self, call: Call) -> Answer:
        self._faults.clear()
        return Answer(204)

    def _put_scenario(self, call: Call) -> Answer:
        self._put(Scenario.load(_body(call)))
        return Answer(204)

    def _happen(self, call: Call) -> Answer:
        """Call a method of the account: ``preempt_node`` with ``{"pool": "p", "node": 0}``."""
        name = call.params["happening"]
        if name not in HAPPENINGS:
            return _refused(404, f"there is no '{name[:50]}', only {', '.join(HAPPENINGS)}")
        getattr(self._account, name)(**_body(call))
        return Answer(204)


def _body(call: Call) -> Json:
    body = read_json(call.body or b"{}")
    if not isinstance(body, dict):
        raise TypeError("a JSON object is expected")
    return body


def _refused(status: int, message: str) -> Answer:
    return Answer(status, {"error": message})
