"""A history is data, drawn from a seed: the pool, what happens to it, which requests fail, and the gate."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from random import Random
from typing import Any

from tests.conftest import document
from tests.sensors.histories.themes import THEMES, lay

Json = dict[str, Any]

_NAMES = ("secretext", "Monitor", "gpu-driver")
_PASSING = ("AllocationFailed", "AllocationTimedout")
_FATAL = ("AccountCoreQuotaReached", "UnsupportedVMSize", "FailedIdentityOperation")
#: Edits after which an answer says the same as before.
HARMLESS = ("upper", "lower", "swapped")


@dataclass(frozen=True)
class Happening:
    """Something that is done to the pool: a method of the emulated account, seconds after the creation.

    ``mend`` takes away what makes resizes fail, and resizes the pool.
    """

    at: float
    what: str
    words: Json


@dataclass(frozen=True)
class History:
    """All that will be, in the same words for each mode of the gate. Times are in simulated seconds."""

    seed: int
    document: Json
    scenario: Json
    happenings: tuple[Happening, ...]
    faults: tuple[Json, ...]
    """Given when the gate is set."""
    gate: Json
    """Parameters of the sensor."""
    starts: float
    """When the gate is set, after the creation of the pool."""
    answer_seconds: float
    """How long each answer is under way."""
    ambush: tuple[int, Happening] | None
    """What happens as soon as all is well: after the so-and-so-many-th answer of the next look."""
    skew: float
    """How far the worker's clock is ahead of the service's."""
    deaths: tuple[tuple[str, int], ...]
    """When the triggerer dies: at the so-and-so-many-th ``pause`` or ``answer`` of its life."""
    dead_seconds: float
    conn_id: str
    at_once: int
    """Reads at the same time."""

    @property
    def is_created_anew(self) -> bool:
        """Whether another pool of the same name takes the place of the pool."""
        ambush = [self.ambush[1]] if self.ambush else []
        fates = any("recreated_after" in rule for rule in self.scenario["pools"])
        return fates or any(item.what == "recreate_pool" for item in (*self.happenings, *ambush))


def draw(seed: int) -> History:
    """Draw a history. The same seed gives the same one."""
    random = Random(seed)
    count = random.choice([0, 1, 1, 2, 2, 3, 3, 4, 5, 6])
    if random.random() < 0.06:
        count = random.randint(17, 26)
    names = list(_NAMES[: random.choice([0, 1, 1, 1, 1, 2, 2, 3])])
    pool = _pool(random, count, names)
    scenario = _scenario(random, count, names, pool)
    gate = _gate(random, count, names)
    starts = random.choice([0.0, 0.0, 30.0, 150.0, 400.0])
    happenings = _happenings(random, count, names)
    if random.random() < 0.5:
        laid = lay(random, random.choice(THEMES))
        pool, scenario, gate, starts = (laid[name] for name in ("pool", "scenario", "gate", "starts"))
        happenings = [Happening(*happening) for happening in laid["happenings"]]
    faults = _faults(random) if random.random() < 0.45 else []
    conn_id = "official"
    if random.random() < 0.12:
        conn_id = "azure_batchext_default"
        faults += _sign_in_faults(random) if random.random() < 0.5 else []
    answer_seconds = random.choice([0.0, 0.0, 0.0, 0.2, 1.7])
    ambush = _ambush(random) if random.random() < 0.25 else None
    if any("upgrade_after" in rule for rule in scenario["extensions"]):
        # What upgrades itself while others are read was well at no one moment, but nobody can see that.
        answer_seconds, ambush = 0.0, None
    # Whatever counts requests needs them in an order.
    in_order = answer_seconds or ambush or any("until" not in fault for fault in faults)
    return History(
        seed=seed,
        document=pool,
        scenario=scenario,
        happenings=tuple(sorted(happenings, key=lambda item: item.at)),
        faults=tuple(faults),
        gate=gate,
        starts=starts,
        answer_seconds=answer_seconds,
        ambush=ambush,
        skew=random.choice([0.0, 0.0, 0.0, -40.0, 900.0]),
        deaths=tuple(_deaths(random)),
        dead_seconds=random.choice([0.0, 5.0, 90.0]),
        conn_id=conn_id,
        at_once=1 if in_order else 8,
    )


def _pool(random: Random, count: int, names: list[str]) -> Json:
    extensions: list[Json] = [
        {"name": name, "type": "T", "publisher": "P", "typeHandlerVersion": "1.0", "settings": {}}
        for name in names
    ]
    if len(names) > 1 and random.random() < 0.2:
        extensions[1]["provisionAfterExtensions"] = [names[0]]
    if names and random.random() < 0.1:
        extensions[0]["enableAutomaticUpgrade"] = True
    pool = document(count, extensions)
    properties = pool["properties"]
    if random.random() < 0.2:
        low = random.randint(0, count)
        properties["scaleSettings"] = {
            "fixedScale": {"targetDedicatedNodes": count - low, "targetLowPriorityNodes": low}
        }
    elif random.random() < 0.15:
        formula = f"$TargetDedicatedNodes = {count};"
        properties["scaleSettings"] = {"autoScale": {"formula": formula, "evaluationInterval": "PT5M"}}
    if random.random() < 0.15:
        properties["startTask"] = {"commandLine": "/bin/true", "waitForSuccess": True, "maxTaskRetryCount": 0}
    return pool


def _scenario(random: Random, count: int, names: list[str], pool: Json) -> Json:
    allocation = random.choice([0.0, 60.0, 124.0])
    timings = {"allocation": allocation, "extension": random.choice([0.0, 0.0, 30.0, 200.0])}
    rules_wanted = random.choice([0, 0, 1, 1, 2, 3]) if count else 0
    rules = [_fate(random, count, names) for _ in range(rules_wanted)]
    machine = pool["properties"]["deploymentConfiguration"]["virtualMachineConfiguration"]
    if any(extension.get("enableAutomaticUpgrade") for extension in machine["extensions"]):
        upgrade = {"upgrade_after": 700 * random.random(), "upgrade_seconds": random.choice([20, 200])}
        rules.append({"extension": names[0], "after": 60 * random.random(), **upgrade})
    scenario: Json = {"timings": timings, "extensions": rules, "pools": [], "start_tasks": []}
    is_autoscale = "autoScale" in pool["properties"]["scaleSettings"]
    if random.random() < (0.4 if is_autoscale else 0.16):
        rule: Json = {"resize_error": random.choice([*_PASSING, *_FATAL])}
        if count and random.random() < 0.5:
            rule["nodes_allocated"] = random.randint(0, count)
        scenario["pools"].append(rule)
    elif random.random() < 0.12:
        fate = random.choice(["deleted_after", "recreated_after", "steady_after"])
        scenario["pools"].append({fate: 900 * random.random()})
    if "startTask" in pool["properties"] and random.random() < 0.6:
        task = {"node": random.randrange(max(count, 1)), "exit_code": random.choice([1, None])}
        scenario["start_tasks"].append({**task, "boots": random.choice(["all", "first"])})
    return scenario


def _fate(random: Random, count: int, names: list[str]) -> Json:
    rule: Json = {
        "node": random.randrange(count),
        "extension": random.choice([*names, *names, "*", "batchNodeExtension"]),
    }
    rule["after"] = random.choice([20.0, 100.0, 600.0]) * random.random()
    rule["boots"] = random.choice(["all", "all", "first", "later"])
    rule["outcome"] = random.choice(["succeed", "succeed", "fail", "fail", "hang"])
    if rule["outcome"] == "fail":
        rule["code"] = random.choice(
            [None, "1", "VMExtensionProvisioningError", "ProvisioningState/canceled"]
        )
        rule["message"] = random.choice([None, "no managed identity", "a\nb \x1b[31m {{ macros }}"])
    return rule


def _happenings(random: Random, count: int, names: list[str]) -> list[Happening]:
    happenings = []
    for _ in range(random.choice([0, 0, 0, 1, 1, 2, 3])):
        at, node = random.uniform(100, 900), random.randrange(max(count, 1))
        what = random.choice(
            [
                "reboot_node",
                "reimage_node",
                "preempt_node",
                "preempt_node",
                "mark_node",
                "mark_node",
                "deallocate_node",
                "remove_node",
                "resize_pool",
                "resize_pool",
                "stop_resize",
                "delete_pool",
                "recreate_pool",
                "set_extension",
                "set_scheduling",
                "mend",
            ]
        )
        words: Json = {"node": node}
        if what == "preempt_node":
            words["back_after"] = random.choice([None, 30.0, 200.0])
        elif what == "mark_node":
            words["state"] = random.choice(["unusable", "unusable", "starttaskfailed", "unknown", "starting"])
            if words["state"] == "starting":
                words["code"] = random.choice(["BatchAgentInstallationFailure", "DiskFull", "Odd"])
            if random.random() < 0.4:
                happenings.append(
                    Happening(at + random.choice([20, 400]), what, {"node": node, "state": "idle"})
                )
        elif what == "deallocate_node":
            happenings.append(Happening(at + 200, "start_node", {"node": node}))
        elif what == "resize_pool":
            words = {"dedicated": random.randint(0, count + 1)}
        elif what == "mend":
            words = {"dedicated": count}
        elif what in ("stop_resize", "delete_pool", "recreate_pool"):
            words = {}
        elif what == "set_extension":
            if not names:
                continue
            words |= {"extension": random.choice(names), "outcome": "succeed"}
        elif what == "set_scheduling":
            words["enabled"] = False
            happenings.append(Happening(at + 100, what, {"node": node, "enabled": True}))
        happenings.append(Happening(at, what, words))
    return happenings


def _ambush(random: Random) -> tuple[int, Happening]:
    what, words = random.choice(
        [
            ("reboot_node", {"node": 0}),
            ("preempt_node", {"node": 0, "back_after": 30.0}),
            ("mark_node", {"node": 0, "state": "unusable"}),
            ("resize_pool", {"dedicated": 7}),
            ("delete_pool", {}),
            ("recreate_pool", {}),
        ]
    )
    return random.randint(1, 7), Happening(0.0, what, words)


def _gate(random: Random, count: int, names: list[str]) -> Json:
    timeout = random.choice([60.0, 300.0, 1200.0, 2000.0, 2000.0, 2600.0, 2600.0])
    gate: Json = {"timeout": timeout, "poke_interval": max(10.0, round(timeout / random.randint(15, 45)))}
    for name, share, values in (
        ("allow_empty", 0.25, [True]),
        ("min_nodes", 0.2, [0, 1, max(count - 1, 0), count + 1]),
        ("node_states", 0.15, [["idle", "running"], ["Idle", "running", "offline"]]),
        ("on_failure", 0.25, ["wait"]),
        ("max_failed_nodes", 0.2, [1, 2]),
        ("node_grace", 0.4, [0.0, 60.0, 300.0]),
        ("resize_grace", 0.3, [120.0, 600.0]),
        ("extension_names", 0.12, [["batchNodeExtension"], [n.upper() for n in names[:1]] or ["none"]]),
        (random.choice(["soft_fail", "never_fail"]), 0.1, [True]),
    ):
        if random.random() < share:
            gate[name] = copy.deepcopy(random.choice(values))
    return gate


def _faults(random: Random) -> list[Json]:
    faults = []
    for _ in range(random.choice([1, 1, 2, 3])):
        fault: Json = random.choice(
            [
                {"action": "throttle", "retry_after": random.choice([None, 5, 90, 400])},
                {"action": "throttle", "retry_after": 60, "as_date": True},
                {"action": "error", "status": random.choice([500, 502, 503, 408])},
                {"action": "error", "status": 503, "retry_after": 45},
                {"action": "error", "status": random.choice([404, 409]), "path": "*/extensions"},
                {"action": "error", "status": 404, "code": "NodeNotFound", "path": "*/nodes/*"},
                {"action": "drop"},
                {"action": "truncate"},
                {"action": "garble", "status": random.choice([200, 502])},
                {"action": "garble", "body": "[]", "content_type": "application/json"},
                {"action": "edit", "at": "value/*/state", "to": "nothing"},
                {"action": "edit", "at": "value/*/lastBootTime", "to": "nothing"},
                {"action": "edit", "at": "allocationState", "to": "nothing"},
                {"action": "edit", "at": "**/statuses", "to": "nothing", "path": "*/extensions"},
                {"action": "edit", "at": "value", "value": "nonsense"},
                {"action": "edit", "at": "value/*/vmExtension", "value": None, "path": "*/extensions"},
                {"action": "edit", "at": "**/code", "to": random.choice(HARMLESS)},
                {"action": "edit", "at": "**/state", "to": random.choice(HARMLESS)},
                {"action": "edit", "at": "allocationState", "to": random.choice(HARMLESS)},
            ]
        )
        fault = {"plane": "data", **fault}
        fault.setdefault("path", random.choice(["*", "*", "*/nodes", "*/extensions", "*/pools/*"]))
        if random.random() < 0.5:
            start = random.uniform(0, 600)
            fault |= {"start": start, "until": start + random.choice([40.0, 200.0])}
        else:
            fault |= {"skip": random.randint(0, random.choice([0, 5, 60])), "count": random.randint(1, 4)}
        faults.append(fault)
    return faults


def _sign_in_faults(random: Random) -> list[Json]:
    plane = random.choice(["sign-in", "management"])
    kinds: list[Json] = [
        {"action": "throttle", "retry_after": 5},
        {"action": "error", "status": random.choice([500, 503])},
        {"action": "drop"},
        {"action": "garble", "status": 502},
    ]
    return [{"plane": plane, "count": random.randint(1, 8), **random.choice(kinds)}]


def _deaths(random: Random) -> list[tuple[str, int]]:
    if random.random() < 0.6:
        return []
    return [
        (random.choice(["pause", "pause", "answer"]), random.randint(1, 12))
        for _ in range(random.choice([1, 1, 2]))
    ]
