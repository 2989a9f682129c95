"""Breaks the pure rules of the gate and of its page on purpose, one at a time, and sees that a test notices.

Each mutant is a small change of one of the pure modules, made in a copy of the checkout; the tests of the pure
rules then have to fail. ``python -m benchmarks.mutants`` prints those that survive, and exits with 1 if any does.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent.parent
TESTS = (
    "tests/batch/test_data_plane.py",
    "tests/rules/test_gate.py",
    "tests/rules/test_watch.py",
    "tests/rules/test_adversary.py",
    "tests/rules/test_watch_histories.py",
    "tests/rules/test_events.py",
    "tests/rules/test_work_pool.py",
)
#: And of what is shown, for mutants in these rooms and modules.
TESTS_OF_THE_PAGE = (
    "tests/rules/test_cells.py",
    "tests/live/test_story.py",
    "tests/live/test_pacing.py",
    "tests/live/test_picture.py",
)
PAGE = ("live/", "rules/cells")

MUTANTS = [
    # --- what an extension says
    ("batch/data_plane", 'if word == "succeeded":', 'if word.startswith("succeeded"):'),
    ("batch/data_plane", '("failed", "canceled", "cancelled")', '("failed",)'),
    ("batch/data_plane", 'word.split("/", 1)[0]', "word"),
    ("batch/data_plane", "(Phase.FAILED, Phase.PENDING, Phase.SUCCEEDED) if phase in phases", "(Phase.SUCCEEDED, Phase.FAILED, Phase.PENDING) if phase in phases"),
    ("batch/data_plane", "if provisioning and decisive is not Phase.PENDING and", "if False and"),
    ("batch/data_plane", "        decisive = _phase_of_code(provisioning)\n", "        pass\n"),
    ("batch/data_plane", "word = code.lower()", "word = code"),
    ("batch/data_plane", "order = (Phase.FAILED, Phase.PENDING, Phase.SUCCEEDED)", "order = (Phase.SUCCEEDED, Phase.PENDING, Phase.FAILED)"),
    ("batch/data_plane", "e for e in extensions if e.instance_name.lower() == wanted", "e for e in extensions if False"),
    ("batch/data_plane", "wanted = name.lower()", "wanted = name"),
    # --- what says that a node will never run a task
    ("batch/data_plane", '"batchagentinstallationfailure", ', ""),
    ("batch/data_plane", "return self.code.lower() in FATAL_NODE_CODES", "return self.code in FATAL_NODE_CODES"),
    ("rules/nodes", "if own is not None and own.phase is Phase.FAILED else []", "if False else []"),
    ("rules/nodes", "for error in node.errors if error.fatal", "for error in node.errors if False"),
    ("rules/nodes", "if not node.state or node.state in VOID_STATES:\n        return ()", "if node.state in VOID_STATES:\n        return ()"),
    ("rules/nodes", "if not node.state or node.state in VOID_STATES:\n        return ()", "if not node.state:\n        return ()"),
    ("rules/nodes", "own.phase is Phase.FAILED or state in AGENTLESS_STATES", "state in AGENTLESS_STATES"),
    ("rules/nodes", "own.phase is Phase.FAILED or state in AGENTLESS_STATES", "own.phase is Phase.FAILED"),
    ("rules/nodes", "own.phase is Phase.FAILED or state in AGENTLESS_STATES", "True"),
    ("rules/nodes", "if BATCH_OWN_EXTENSION.lower() in map(str.lower, expected):\n        return None", "if False:\n        return None"),
    ("rules/nodes", "if others:\n            return False", "if False:\n            return False"),
    ("rules/nodes", "if own is not None and own.phase is not Phase.SUCCEEDED:\n            return False", "if False:\n            return False"),
    ("rules/nodes", "if node.state in AGENTLESS_STATES:", "if True:"),
    ("rules/nodes", "return True, f\"{where} will never", "return False, f\"{where} will never"),
    ("rules/nodes", "(node.state in BROKEN_STATES or not troubles)", "True"),
    # --- what a node and a pool are
    ("batch/data_plane", 'self.state_since if self.state in JOINING_STATES else ""', '""'),
    ("batch/data_plane", "return (self.id, self.last_boot_time,", 'return (self.id, "",'),
    ("batch/data_plane", 'state, running = as_name(item.get("state")).lower()', 'state, running = as_name(item.get("state"))'),
    ("batch/data_plane", "target=total(*targets),", "target=total(targets[0]),"),
    ("batch/data_plane", "return (self.state, self.created, self.unscaled, *resize)", "return (self.state, self.created)"),
    ("batch/resize_codes", '"accountcorequotareached": f"', '"no such code": f"'),
    ("batch/data_plane", 'CARRYING_STATES = frozenset({"creating",', 'CARRYING_STATES = frozenset({"unusable", "creating",'),
    ("batch/data_plane", 'VOID_STATES = frozenset({"preempted",', "VOID_STATES = frozenset({"),
    # --- the rules
    ("rules/gate", 'if pool.state == "deleting":', "if False:"),
    ("rules/gate", "if known_created and pool.created and pool.created != known_created:", "if False:"),
    ("rules/gate", 'if rules.on_failure == "fail" and _fails_for_good', "if _fails_for_good"),
    ("rules/gate", 'if pool.state != "active":', "if False:"),
    ("rules/gate", 'if pool.allocation_state != "steady":', "if False:"),
    ("rules/gate", "elif absent := _absent(pool, rules, dedicated, low_priority):", "elif (absent := 0):"),
    ("rules/gate", "if needed is None:\n        yield", "if False:\n        yield"),
    ("rules/gate", "if count == 0 and needed == 0 and not rules.allow_empty:", "if False:"),
    ("rules/nodes", "if not rules.allows(node.state) and", "if False and"),
    ("rules/nodes", ">= rules.node_grace:", ">= 0:"),
    ("rules/nodes", "first_seen if since is None or since > now else since", "since or first_seen"),
    ("rules/nodes", "if node.is_void:\n            continue", "if False:\n            continue"),
    ("rules/nodes", "if extension is None:\n            missing", "if extension is None:\n            continue\n            missing"),
    ("rules/nodes", "if extension.phase is Phase.FAILED and node.state:", "if False:"),
    ("rules/nodes", "if extension.phase is Phase.SUCCEEDED:", "if extension.phase is not Phase.FAILED:"),
    ("rules/gate", "is_tolerated = len(failed) <= tolerance", "is_tolerated = len(failed) <= tolerance + 1"),
    ("rules/gate", "is_tolerated = len(failed) <= tolerance", "is_tolerated = True"),
    ("rules/gate", "if refused or is_closed:", "if is_closed:"),
    ("rules/gate", "return _absent(pool, rules, dedicated, low_priority) > 0", "return True"),
    ("rules/gate", "if any(error.fatal for error in pool.resize_errors):", "if False:"),
    ("rules/gate", "if pool.autoscale:", "if False:"),
    ("rules/gate", "rules.resize_grace <= 0 or ", ""),
    ("rules/gate", "now - since >= rules.resize_grace", "True"),
    ("rules/gate", "return pool.target if self.min_nodes is None else self.min_nodes", "return pool.target"),
    # --- what is read, and what is remembered
    ("rules/watch", "has_moved = pool_again.fingerprint != pool.fingerprint", "has_moved = False"),
    ("rules/watch", "if has_moved or self._moments(nodes_again) != self._moments(nodes):", "if has_moved:"),
    ("rules/watch", "nodes = [node for node in listed if not node.leaving]", "nodes = list(listed)"),
    ("rules/memory", "if before.boot != node.boot:", "if False:"),
    ("rules/memory", "if before.state != node.state and before.state not in CARRYING_STATES:", "if False:"),
    ("rules/watch", "or self._memory.upgrades_itself(node.id, pool.upgrades_itself, expected)", ""),
    ("rules/watch", "self.pool_created = self.pool_created or pool.created or None", "pass"),
    ("rules/unread", "if problem.kind is ProblemKind.MISSING:", "if False:"),
    ("rules/unread", "outcome = Outcome.FAIL if refused else Outcome.WAIT", "outcome = Outcome.WAIT"),
    ("rules/watch", "for problem in problems if problem and problem.kind is ProblemKind.REFUSED]", "for problem in problems if False]"),
    ("rules/watch", "return oldest_first[: max(turn, len(due))]", "return []"),
    ("rules/watch", "batches = [known[:_WITNESSES]]", "batches = []"),
    ("rules/watch", "if self._is_blocked(pool, nodes, expected):", "if False:"),
    ("rules/watch", "if not matters:\n            return", "if True:\n            return"),
    ("rules/watch", "if whole and len(nodes) <= _FIRST_BATCH:", "if False:"),
    ("rules/watch", "oldest_first[:_FIRST_BATCH] if matters or len(pending) <= _FIRST_BATCH else []", "oldest_first[:1]"),
    # --- glances
    ("rules/watch", "if self._waiting and not whole and", "if self._waiting and"),
    ("rules/watch", "return lately and self._glances < _MOST_GLANCES", "return lately"),
    ("rules/watch", "return lately and self._glances < _MOST_GLANCES", "return self._glances < _MOST_GLANCES"),
    ("rules/watch", "waits = verdict.outcome is Outcome.WAIT and not verdict.unread", "waits = verdict.outcome is Outcome.WAIT"),
    ("rules/watch", "self._glances, self._last_whole = 0, now", "self._last_whole = now"),
    ("rules/watch", "return last if replace(pool, id=last.pool.id) == last.pool else None", "return last"),
    ("rules/watch", "if any(node.phase is Phase.FAILED for node in seen):", "if False:"),
    ("rules/watch", "if any(self._memory[i].phase is Phase.PENDING for i in self._witnesses(batch, last.nodes)):", "if True:"),
    ("rules/unread", "if not problem.may_pass:\n        return None", "if False:\n        return None"),
    ("rules/unread", "return replace(last, retry_after=problem.retry_after, unread=True)", "return replace(last, unread=True)"),
    # --- whose a verdict is
    ("rules/sharing", "if self.verdict.cut or self.began < since:", "if self.began < since:"),
    ("rules/sharing", "if self.verdict.cut or self.began < since:", "if self.verdict.cut:"),
    ("rules/sharing", "if self.began > asked:", "if True:"),
    ("rules/sharing", "return self.is_whole or not is_last", "return True"),
    ("rules/sharing", "(only_tells or self.verdict.outcome is Outcome.WAIT) and not is_due", "not is_due"),
    ("rules/sharing", "Outcome.WAIT) and not is_due and not is_last", "Outcome.WAIT) and not is_last"),
    ("rules/sharing", "Outcome.WAIT) and not is_due and not is_last", "Outcome.WAIT) and not is_due"),
    ("rules/sharing", "if verdict.is_missing and", "if False and"),
    ("rules/sharing", "verdict.is_missing and not self.created and", "verdict.is_missing and"),
    ("rules/sharing", "and not is_last and now <", "and now <"),
    ("rules/sharing", "if self.created and pool.created != self.created:", "if False:"),
    ("rules/sharing", "self.created = pool.created\n", "pass\n"),
    # --- the one deadline
    ("rules/deadline", "return self.clock() >= self.at", "return False"),
    ("rules/deadline", "return max(0.0, self.at - self.clock())", "return self.at - self.clock()"),
    ("rules/deadline", "max(self.at, self.clock() + seconds)", "self.at + seconds"),
    ("rules/deadline", "self.limit = deadline.or_late()", "self.limit = deadline"),
    ("rules/deadline", "self._longest = _SHORTEST_LOOK_SECONDS", "self._longest = 0.0"),
    ("rules/deadline", "if was_whole else self._longest, seconds)", "if was_whole else seconds, seconds)"),
    ("rules/deadline", "return self.deadline.left <= self._longest", "return self.deadline.has_passed"),
    ("rules/deadline", "max(0.0, self.deadline.left - self._longest)", "self.deadline.left"),
    # --- how old what is remembered may be
    ("rules/memory", "if seen.phase is not Phase.SUCCEEDED or not answer.says_nothing:", "if True:"),
    ("rules/memory", "if seen.phase is not Phase.SUCCEEDED or not answer.says_nothing:", "if seen.phase is not Phase.SUCCEEDED:"),
    ("rules/memory", "seen.answer, seen.phase = None, Phase.PENDING\n            else", "seen.answer, seen.phase = (), Phase.SUCCEEDED\n            else"),
    ("rules/memory", "return seen.problem is None or not seen.is_older(self.rules.max_age, now)", "return True"),
    ("rules/memory", "return seen.problem is None or not seen.is_older(self.rules.max_age, now)", "return seen.problem is None"),
    ("rules/memory", "is_doubtful=seen.read_at < seen.doubtful_until,", "is_doubtful=False,"),
    ("rules/memory", "may_be_old = is_new and seen.phase is not Phase.SUCCEEDED", "may_be_old = is_new"),
    ("rules/memory", "may_be_old = is_new and seen.phase is not Phase.SUCCEEDED", "may_be_old = seen.phase is not Phase.SUCCEEDED"),
    ("rules/memory", "read_at=None if node.is_void else seen.read_at", "read_at=None"),
    ("rules/memory", "read_at=None if node.is_void else seen.read_at", "read_at=seen.read_at"),
    ("rules/memory", "if (before.state, before.state_since) != (node.state, node.state_since):", "if before.state != node.state:"),
    ("rules/memory", "or bool((found := find_extension(answer, name)) and found.upgrades_itself)", ""),
    ("rules/memory", "name.lower() in names or bool(", "bool("),
    ("rules/watch", "self._memory[node.id].is_older(self.rules.max_age, now)\n                or", ""),
    ("rules/watch", "if not self._to_renew(pool, nodes, expected, within=0.0):", "if True:"),
    ("rules/watch", "soon = min(_RENEWAL_SECONDS, self.rules.max_age / 10)", "soon = self.rules.max_age"),
    ("rules/watch", "(verdict.outcome is Outcome.FAIL and not is_sure)", "False"),
    ("rules/watch", "if self._follows and self.pool_created not in", "if False and self.pool_created not in"),
    ("rules/watch", "self._memory.clear()\n", "pass\n"),
    ("rules/watch", "self._is_cut = self._is_cut or answer.kind is ProblemKind.LATE", "pass"),
    ("rules/watch", "self._latest = max(self._latest, self._clock())", "self._latest = self._clock()"),
    ("rules/watch", "            and not ((report := reports.get(i)) and report.failed)\n", ""),
    ("rules/watch", "not verdict.unread and not self._spared", "not verdict.unread"),
    ("rules/gate", "return max(0.0, self.ended - min([self.began, *read]))", "return self.ended - self.began"),
    ("rules/gate", "return max(0.0, self.ended - min([self.began, *read]))", "return max(0.0, self.ended - min(read or [self.began]))"),
    ("rules/gate", "return self.age > max(max_age, self.ended - self.began)", "return self.age > max_age"),
    ("repair/gate", "if verdict.is_older(self.watch.rules.max_age):", "if False:"),
    # --- how many nodes are enough
    ("rules/gate", "if reports and not missing and ready < max(1, rules.min_nodes or 0):", "if False:"),
    ("rules/gate", "ready < max(1, rules.min_nodes or 0):", "ready < 1:"),
    ("rules/gate", "return min(self.max_failed_nodes, count - enough)", "return self.max_failed_nodes"),
    ("rules/gate", "if has_all and count >= enough:", "if count >= enough:"),
    ("rules/gate", "return state in MACHINE_STATES and state in", "return state in"),
    ("rules/gate", "return max(0, pool.targets[0] - dedicated) + max(0, pool.targets[1] - low_priority)", "return max(0, needed - dedicated - low_priority)"),
    ("rules/gate", "if pool.unscaled and (rules.min_nodes is None or not count):", "if False:"),
    ("rules/gate", "if pool.unscaled and (rules.min_nodes is None or not count):", "if pool.unscaled:"),
    ("rules/gate", "if rules.min_nodes is None and before is not None and", "if False and"),
    ("rules/gate", "if rules.min_nodes is None and before is not None and", "if before is not None and"),
    ("rules/nodes", "if node.boots_again:\n        return False,", "if False:\n        return False,"),
    ("rules/nodes", "elif extension.phase is Phase.FAILED and node.state:", "elif extension.phase is Phase.FAILED:"),
    ("rules/nodes", "if extension.phase is Phase.FAILED and is_doubtful:", "if False:"),
    # --- pauses
    ("rules/pace", "if 0 < self._moved_looks <= _MOST_HURRIED:", "if 0 < self._moved_looks:"),
    ("rules/watch", "reasons=(moved,), moved=True)", "reasons=(moved,))"),
    ("rules/memory", "return self.read_at < now - seconds", "return False"),
    ("rules/pace", "return max(interval, min(interval * factor, _LONGEST_PAUSE), verdict.retry_after or 0.0)", "return interval"),
    # --- what is news of a pool
    ("rules/events", "if verdict.unread or verdict.moved:", "if verdict.moved:"),
    ("rules/events", "return (told, []) if verdict.nodes else (Told(), [])", "return Told(), []"),
    ("rules/events", "return (told, []) if verdict.nodes else (Told(), [])", "return told, []"),
    ("rules/events", "before = told if told and told.created == created else Told(created)", "before = told or Told(created)"),
    ("rules/events", "if not report.unread}", "}"),
    ("rules/events", "if report.failed and marks[i] not in before.failed]", "if report.failed]"),
    ("rules/events", "if not report.ready and marks[i] in before.up]", "if not report.ready]"),
    ("rules/events", "ready = verdict.outcome is Outcome.OPEN if shows else before.ready", "ready = verdict.outcome is Outcome.OPEN"),
    ("rules/events", "if report.ready} | (before.up & unread)", "if report.ready}"),
    ("rules/events", "if report.ready} | (before.up & unread)", "if report.ready} | before.up"),
    ("rules/events", "if report.failed} | (before.failed & unread)", "if report.failed}"),
    ("rules/events", "if ready and not before.ready:", "if ready:"),
    ("rules/events", "list(self.nodes)[:MOST_NODES]", "list(self.nodes)"),
    ("rules/nodes", "missing, unread = state.missing, state.ready", "missing, unread = state.missing, False"),
    # --- where no task of a job will ever start
    ("rules/work_pool", "if not preparation.has_failed or node.state not in _UP:", "if not preparation.has_failed:"),
    ("rules/work_pool", "return ended is None or booted is None or booted <= ended", "return True"),
    ("rules/work_pool", 'and pool.allocation_state == "steady"', ""),
    ("rules/work_pool", "is_final=is_final and not pool.autoscale", "is_final=is_final"),
    ("rules/work_pool", "is_final = bool(present) and", "is_final ="),
    ("rules/work_pool", "present = [node for node in nodes if not node.leaving]", "present = list(nodes)"),
    ("rules/work_pool", "pool.target is None or current < pool.target", "True"),
    ("rules/work_pool", "if not one.is_over and one.node_id in here", "if one.node_id in here"),
    # --- how a node looks in a picture
    ("rules/cells", 'return "void" if state in VOID_STATES else "unread" if is_unread else "pending"', 'return "unread" if is_unread else "pending"'),
    ("rules/cells", 'return "void" if state in VOID_STATES else "unread" if is_unread else "pending"', 'return "void" if state in VOID_STATES else "pending"'),
    ("rules/cells", 'return "void" if state in VOID_STATES else "unread" if is_unread else "pending"', 'return "unread" if is_unread else "void" if state in VOID_STATES else "pending"'),
    ("rules/cells", "if phase is Phase.PENDING:", "if phase is not Phase.FAILED:"),
    ("rules/cells", '    if state in VOID_STATES:\n        return "void"\n', ""),
    ("rules/cells", '    if is_unread:\n        return "unread"\n', ""),
    ("rules/cells", 'return "pending" if is_expected else "void"', 'return "pending"'),
    ("rules/cells", 'return "pending" if is_expected else "void"', 'return "void"'),
    ("rules/cells", '("failed", "pending", "unread", "void", "ready")', '("pending", "failed", "unread", "void", "ready")'),
    ("live/picture", "self.counts = (verdict.ready, failed) if self.knows_nodes else None", "self.counts = (verdict.ready, failed)"),
    ("live/picture", "bool(verdict.nodes) or verdict.needed is not None", "bool(verdict.nodes)"),
    ("live/picture", "bool(verdict.nodes) or verdict.needed is not None", "True"),
    ("live/picture", "failed = sum(bool(node.failed)", "failed = sum(bool(node.missing)"),
    ("live/picture", "        if self._picture is None:\n", "        if True:\n"),
    ("live/picture", "    if known is None:\n        known = _looks", "    if True:\n        known = _looks"),
    ("live/picture", "key=lambda node_id: KINDS.index(kinds[node_id])", "key=lambda node_id: -KINDS.index(kinds[node_id])"),
    ("live/picture", "shift = looked - verdict.ended", "shift = 0.0"),
    ("live/picture", "if kinds[node_id] != \"ready\"][:MOST_NODES]", "][:MOST_NODES]"),
    ("live/picture", "round(max(0.0, verdict.ended - at))", "round(max(0.0, looked - at))"),
    # --- what a wait tells over its looks, and when
    ("live/story", "(points[-1].ready, points[-1].failed) != counts", "points[-1].ready != counts[0]"),
    ("live/story", "thinned([*points, Point(float(round(at)), *counts)], MOST_POINTS)", "[*points, Point(float(round(at)), *counts)]"),
    ("live/story", "            self._now = replace(self._now, points=points)\n            self._has_changed = True\n", "            self._now = replace(self._now, points=points)\n"),
    ("live/story", "        if draw is not None:\n", "        if True:\n"),
    ("live/story", "        if extensions:\n", "        if True:\n"),
    ("live/story", "if progress is not None:", "if True:"),
    ("live/story", "self._has_changed |= work != self._now.work", "pass"),
    ("live/story", "if portal else ()", ""),
    ("live/story", "changed, self._has_changed = self._has_changed, False", "changed = self._has_changed"),
    ("live/story", '() if outcome == "done" else now.reasons or (reason,)', "now.reasons or (reason,)"),
    ("live/story", '() if outcome == "done" else now.reasons or (reason,)', '() if outcome == "done" else now.reasons'),
    ("live/story", "summary=reason or now.summary", "summary=reason"),
    ("live/story", "            next_look=None,\n            stale_at=None,\n", ""),
    ("live/story", "if late > 0 and picture.ages:", "if False:"),
    ("live/story", "age if age is None else age + late", "(age or 0) + late"),
    ("live/story", "self._now, self._latest = replace(self._now, **self._latest), {}", "return replace(self._now, **self._latest)"),
    ("live/story", "if text and (not history or history[-1].text != text):", "if not history or history[-1].text != text:"),
    ("live/story", "if text and (not history or history[-1].text != text):", "if text:"),
    ("live/story", "(*history, Change(round(at, 3), text))[-MOST_CHANGES:]", "(*history, Change(round(at, 3), text))"),
    ("live/story", "(*history, Change(round(at, 3), text))[-MOST_CHANGES:])\n            self._has_changed = True", "(*history, Change(round(at, 3), text))[-MOST_CHANGES:])"),
    ("live/story", "if earlier is None or earlier.pool != now.pool:", "if earlier is None:"),
    ("live/story", 'now.outcome == "waiting" and (now.looked', "(now.looked"),
    ("live/story", "if now.started is None or is_same:", "if now.started is None:"),
    ("live/story", "elif earlier.kind != now.kind or abs(", "elif abs("),
    ("live/story", "    if is_older:\n        return earlier\n", ""),
    ("live/story", "    earlier = _until(at, earlier)\n", ""),
    ("live/story", "_after(_until(at, earlier), now)", "_after(earlier, now)"),
    ("live/story", "looked=None if (told.looked or 0.0) > latest else told.looked", "looked=told.looked"),
    ("live/story", "if change.at <= latest)", ")"),
    ("live/story", "if point.at <= latest)", ")"),
    ("live/story", "at + _CLOCKS_DIFFER_SECONDS", "at"),
    ("live/story", "started=min(begun, default=None)", "started=earlier.started"),
    ("live/story", "_after(_until(at, earlier), now), started", "now, started"),
    ("live/story", "if change not in earlier.history]", "]"),
    ("live/story", "if point not in earlier.points]", "]"),
    ("live/story", "changes[0].text == earlier.history[-1].text", "False"),
    ("live/story", "if points and earlier.points and replace(", "if False and replace("),
    ("live/story", "deadline=earlier.deadline if now.deadline is None else now.deadline", "deadline=now.deadline"),
    ("live/story", "looked=earlier.looked if now.looked is None else now.looked", "looked=now.looked"),
    ("live/story", "picture=now.picture if now.picture.fields else earlier.picture", "picture=now.picture"),
    ("live/story", 'now.reasons or earlier.reasons if now.outcome != "done" else ()', "now.reasons"),
    ("live/story", 'now.reasons or earlier.reasons if now.outcome != "done" else ()', "now.reasons or earlier.reasons"),
    ("live/story", "extensions=now.extensions or earlier.extensions", "extensions=now.extensions"),
    ("live/story", "(*earlier.history, *changes)[-MOST_CHANGES:]", "(*earlier.history, *changes)"),
    ("live/story", "thinned([*earlier.points, *points], MOST_POINTS)", "[*earlier.points, *points]"),
    ("live/story", "repair=now.repair or earlier.repair", "repair=now.repair"),
    ("live/story", "work=now.work or earlier.work", "work=now.work"),
    ("live/story", "account=now.account or earlier.account", "account=now.account"),
    ("live/story", "links=now.links or earlier.links", "links=now.links"),
    ("live/pace", "self._has_changed = self._has_changed or changed", "self._has_changed = changed"),
    ("live/pace", "return max(now, self._next_change)", "return now"),
    ("live/pace", "return now if now >= self._next_sign else None", "return None"),
    ("live/pace", "return now if now >= self._next_sign else None", "return now"),
    ("live/pace", "        self._has_changed = False\n        self._next_change", "        self._next_change"),
    ("live/pace", "now + SHORTEST_SECONDS, now + LONGEST_SECONDS", "now + SHORTEST_SECONDS, now + SHORTEST_SECONDS"),
    ("live/pace", "        self._has_changed = True\n", ""),
    ("live/pace", "now + AFTER_FAILURE_SECONDS", "now"),
    ("live/pace", "now + max(LONGEST_SECONDS, pause) + pause + _GRACE_SECONDS", "now + pause + _GRACE_SECONDS"),
    ("live/pace", "now + max(LONGEST_SECONDS, pause) + pause + _GRACE_SECONDS", "now + LONGEST_SECONDS + _GRACE_SECONDS"),
]  # fmt: skip


def tests_of(module: str) -> tuple[str, ...]:
    """Who has to notice what is changed in a module."""
    return TESTS_OF_THE_PAGE if module.startswith(PAGE) else TESTS


def main() -> int:
    """Try every mutant, or those of the modules that are named."""
    chosen = [mutant for mutant in MUTANTS if mutant[0] in sys.argv[1:] or not sys.argv[1:]]
    survivors = 0
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        ignored = shutil.ignore_patterns(".venv*", ".git", ".hypothesis", "node_modules", "*cache*")
        shutil.copytree(HERE, copy, ignore=ignored)
        for number, (module, old, new) in enumerate(chosen, 1):
            path = copy / "airflow_batchext" / f"{module}.py"
            original = path.read_text()
            if original.count(old) < 1:
                print(f"{number}: {module}: {old!r} is not there any more", flush=True)
                survivors += 1
                continue
            path.write_text(original.replace(old, new, 1))
            tests = subprocess.run(
                [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests_of(module)],
                cwd=copy,
                env={**os.environ, "BATCHEXT_HISTORIES": "1000", "PYTHONPATH": str(copy)},
                capture_output=True,
                text=True,
                check=False,
            )
            path.write_text(original)
            if tests.returncode == 0:
                print(f"{number}: {module}: {old!r} -> {new!r} SURVIVED", flush=True)
                survivors += 1
    print(f"{len(chosen)} mutants, {survivors} survived")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
