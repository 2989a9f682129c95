"""What seldom comes together by chance, and is what a rule of the gate is for: laid over a history."""

from __future__ import annotations

from random import Random
from typing import Any

from tests.conftest import document

Json = dict[str, Any]

#: A node is visible this long after the creation, and idle half a minute later.
_ALLOCATION = 60.0
THEMES = (
    "boots again",
    "upgrades",
    "leaves",
    "created anew",
    "not in its state",
    "allocated late",
    "has no agent",
)


def lay(random: Random, theme: str) -> Json:
    """Pool, scenario, gate and so on, as far as the theme decides them."""
    count = random.randint(2, 5)
    names = ["secretext", "Monitor"]
    extensions = [
        {"name": name, "type": "T", "publisher": "P", "typeHandlerVersion": "1.0"} for name in names
    ]
    timings = {"allocation": _ALLOCATION}
    late = random.uniform(250, 700)
    # The last node keeps the gate closed until then, while the others have long been read and remembered.
    rules: list[Json] = [{"node": count - 1, "extension": "Monitor", "after": late}]
    happenings: list[tuple[float, str, Json]] = []
    pools: list[Json] = []
    gate: Json = {"timeout": 2000.0, "poke_interval": random.choice([15.0, 30.0, 60.0])}
    starts = 0.0
    if theme == "boots again":
        timings |= {"rebooting": 4.0, "reimaging": 4.0, "creating": 3.0, "starting": 6.0}  # between two looks
        again = random.choice([{"outcome": "hang"}, {"after": 3 * late}, {"outcome": "fail", "code": "1"}])
        rules.append({"node": 0, "boots": "later", "extension": "secretext", **again})
        what = random.choice(["reboot_node", "reimage_node", "preempt_node"])
        words: Json = {"node": 0, "back_after": 2.0} if what == "preempt_node" else {"node": 0}
        happenings.append((_ALLOCATION + random.uniform(0.5, 0.9) * late, what, words))
    elif theme == "upgrades":
        extensions[0]["enableAutomaticUpgrade"] = True
        after = late - random.uniform(20, 150)
        rules.append({"node": 0, "extension": "secretext", "upgrade_after": after, "upgrade_seconds": 400.0})
    elif theme == "leaves":
        timings["leaving"] = 200.0
        rules.insert(0, {"node": 0, "outcome": "fail"})
        starts = 300.0
        happenings.append((starts - random.uniform(1, 60), "remove_node", {"node": 0}))
    elif theme == "created anew":
        starts = random.choice([0.0, 100.0])
        happenings.append((starts + random.uniform(0.1, 1.5) * gate["poke_interval"], "recreate_pool", {}))
    elif theme == "not in its state":
        gate["node_states"] = random.choice([["idle"], ["idle", "running"], ["offline", "idle"]])
        words = {"node": 0, "enabled": False}
        happenings.append((late - random.uniform(0, 60), "set_scheduling", words))
        happenings.append((late + 400, "set_scheduling", {**words, "enabled": True}))
    elif theme == "has no agent":
        gate["node_grace"] = random.choice([0.0, 60.0, 300.0, 3000.0])
        if random.random() < 0.3:
            extensions = []
        if random.random() < 0.6:
            rules.insert(0, {"node": 0, "extension": "batchNodeExtension", "outcome": "fail", "code": "1"})
            timings["starting"] = random.choice([17.4, 3000.0])
        if random.random() < 0.5:
            code = random.choice(["BatchAgentInstallationFailure", "MountConfigurationError"])
            words = {"node": 0, "state": random.choice(["starting", "idle"]), "code": code}
            happenings.append((_ALLOCATION + random.uniform(5, 0.8 * late), "mark_node", words))
    else:
        gate["resize_grace"] = random.choice([300.0, 600.0])
        pools.append({"resize_error": random.choice(["AllocationFailed", "AllocationTimedout"])})
        happenings.append((_ALLOCATION + random.uniform(100, 800), "mend", {"dedicated": count}))
    return {
        "pool": document(count, extensions),
        "scenario": {"timings": timings, "extensions": rules, "pools": pools, "start_tasks": []},
        "gate": gate,
        "happenings": happenings,
        "starts": starts,
    }
