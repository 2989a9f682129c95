"""Faults that are planted in the rules, one at a time, to see that the explorer finds each of them."""
# ruff: noqa: E501

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple


class Fault(NamedTuple):
    """What is planted in which module instead of what stands there, and in which run that shows, at least."""

    module: str
    old: str
    new: str
    found_at: int = 0


FAULTS = [Fault(*fault) for fault in [
    # --- whose a verdict is
    ("rules.sharing", "if self.began > asked:", "if True:", 737987),
    ("rules.sharing", "(only_tells or self.verdict.outcome is Outcome.WAIT) and not is_due", "not is_due", 339835),
    ("rules.sharing", "if self.created and pool.created != self.created:", "if False:", 3258),
    ("rules.watch", "if self._follows and self.pool_created not in", "if False and self.pool_created not in", 378),
    # --- the one deadline
    ("rules.deadline", "return min(wanted, max(0.0, self.deadline.left - self._longest))", "return wanted", 737987),
    ("rules.deadline", "return self.clock() >= self.at", "return False", 737987),
    ("rules.deadline", "self.limit = deadline.or_late()", "self.limit = replace(deadline, at=deadline.at + 1e4)", 2),
    ("rules.deadline", "max(_SHORTEST_LOOK_SECONDS if was_whole else self._longest, seconds)", "max(self._longest, seconds)", 884522),
    ("rules.deadline", "return self.deadline.left <= self._longest", "return False", 2),
    # --- what is remembered, and for how long
    ("rules.memory", "return self.read_at < now - seconds", "return False", 126),
    ("rules.memory", "if before.boot != node.boot:", "if False:", 207),
    ("rules.memory", "seen.answer, seen.read_at, seen.problem = answer, began, None", "seen.answer, seen.read_at, seen.problem = answer, began + 1e6, None", 2658),
    ("rules.memory", "return seen.problem is None or not seen.is_older(self.rules.max_age, now)", "return True", 2461),
    ("rules.watch", "(verdict.outcome is Outcome.FAIL and not is_sure)", "False", 472362),
    # --- what has to hold at one instant
    ("rules.watch", "has_moved = pool_again.fingerprint != pool.fingerprint", "has_moved = False", 820233),
    ("rules.watch", "if has_moved or self._moments(nodes_again) != self._moments(nodes):", "if has_moved:", 737987),
    ("rules.watch", "            return nodes_unread(listed, pool)\n        nodes = [node for node in listed if not node.leaving]\n        self._memory.settle(nodes, now)", "            return nodes_unread(listed, pool)\n        nodes = list(listed)\n        self._memory.settle(nodes, now)", 1641),
    ("batch.data_plane", "return self.state in VOID_STATES or self.boots_again", "return self.state in VOID_STATES", 501021),
    ("rules.nodes", "if node.boots_again:\n        return False,", "if False:\n        return False,", 6),
    ("rules.gate", "return state in MACHINE_STATES and state in", "return state in", 3843),
    ("rules.gate", 'if pool.allocation_state != "steady":\n        yield', 'if False:\n        yield', 820233),
    # --- how many nodes are enough
    ("rules.gate", "if reports and not missing and ready < max(1, rules.min_nodes or 0):", "if False:", 768948),
    ("rules.gate", "return max(0, pool.targets[0] - dedicated) + max(0, pool.targets[1] - low_priority)", "return max(0, needed - dedicated - low_priority)", 4161),
    ("rules.gate", "if pool.unscaled and", "if False and", 27),
    ("rules.gate", "is_tolerated = len(failed) <= tolerance", "is_tolerated = True", 39),
    ("rules.nodes", "if broken and _seconds_in_state(node, now, first_seen) >= rules.node_grace:", "if broken:", 39),
    # --- repairs
    ("repair.gate", "            return (yield from self._open(verdict, clock))", "            return verdict", 242966),
    ("repair.gate", "if verdict.is_older(self.watch.rules.max_age):", "if False:", 132772),
    ("repair.controller", "        if isinstance(observed, Problem):\n            return None", "        if isinstance(observed, Problem):\n            return False", 242966),
    ("repair.planner", "ill[: max(0, len(ill) - self.tolerance)]", "ill", 4800),
]]  # fmt: skip

_PURE = (
    "airflow_batchext.rules",
    "airflow_batchext.repair",
    "airflow_batchext.batch",
    "benchmarks.simulation",
)
_EXPLORER = "tests.rules.explorer"


@contextmanager
def planted(fault: Fault) -> Iterator[Callable[..., list[tuple[int, str]]]]:
    """The explorer (``playing.explore``) over rules with this fault; they are put back in the end."""
    module, old, new, _ = fault
    full = f"airflow_batchext.{module}"
    kept = {name: sys.modules.pop(name) for name in list(sys.modules) if name.startswith((*_PURE, _EXPLORER))}
    try:
        spec = importlib.util.find_spec(full)
        assert spec is not None
        assert spec.origin is not None
        source = Path(spec.origin).read_text(encoding="utf-8")
        assert source.count(old) == 1, f"{module} has {old!r} {source.count(old)} times"
        made = importlib.util.module_from_spec(spec)
        sys.modules[full] = made
        exec(compile(source.replace(old, new), spec.origin, "exec"), made.__dict__)
        yield importlib.import_module(f"{_EXPLORER}.playing").explore
    finally:
        for name in list(sys.modules):
            if name.startswith((*_PURE, _EXPLORER)):
                del sys.modules[name]
        sys.modules.update(kept)
        for name, loaded in kept.items():  # packages know their modules by name, too
            parent, _, child = name.rpartition(".")
            if parent in sys.modules:
                setattr(sys.modules[parent], child, loaded)
