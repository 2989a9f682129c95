"""The picture of a pool, out of what a gate knows: nothing is read for it.

Pure: no I/O, no clock, no Airflow. What a cell is, is said in one place for this picture and for the report's
(``rules.cells``). A look reads only a few nodes, so each node's extensions are as old as their own reading.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from airflow_batchext.batch.data_plane import VOID_STATES, Phase, epoch_seconds, find_extension
from airflow_batchext.live.bounds import MOST_NODES
from airflow_batchext.live.form import LETTERS, Counts, ExtensionSaid, Field, NodeSaid, Picture
from airflow_batchext.rules.cells import KINDS, Kind, extension_kind, node_kind

if TYPE_CHECKING:
    from airflow_batchext.batch.data_plane import Extension
    from airflow_batchext.rules.gate import NodeReport, Verdict
    from airflow_batchext.rules.memory import Seen
    from airflow_batchext.rules.watch import Watch


class LookSaid:
    """What one look has come to, for all gates that share it: made once, its picture when it is needed.

    :param verdict: what it came to.
    :param watch: that of the look.
    :param at: when it ended, by the clock of the machine that waits.
    """

    def __init__(self, verdict: Verdict, watch: Watch, at: float) -> None:
        self.at = at
        self.summary, self.reasons, self.extensions = verdict.summary, verdict.reasons, verdict.expected
        # Who could not read the nodes, or needed not to, says nothing of them.
        self.knows_nodes = bool(verdict.nodes) or verdict.needed is not None
        failed = sum(bool(node.failed) for node in verdict.nodes.values())
        self.counts = (verdict.ready, failed) if self.knows_nodes else None
        self._verdict, self._watch = verdict, watch
        self._picture: Picture | None = None

    def picture(self) -> Picture:
        """Its picture."""
        if self._picture is None:
            self._picture = draw(self._verdict, self._watch.seen(), self.at)
        return self._picture


# Gates that share a watch are told the same look, at different moments: it was made when the first one was.
# By the id of the verdict, which lives as long as what is made of it.
_looks: WeakValueDictionary[int, LookSaid] = WeakValueDictionary()


def look_of(verdict: Verdict, watch: Watch, now: float) -> LookSaid:
    """What a look has come to; the same for all who keep what the first of them was given.

    :param watch: that of the look.
    :param now: by the clock of the machine that waits.
    """
    known = _looks.get(id(verdict))
    if known is None:
        known = _looks[id(verdict)] = LookSaid(verdict, watch, now)
    return known


def draw(verdict: Verdict, seen: Mapping[str, Seen], looked: float) -> Picture:
    """The picture of what a look has come to.

    :param seen: what is remembered of the nodes.
    :param looked: when the look ended, by the clock of the machine that waits.
    """
    reports = verdict.nodes
    if not reports:
        return Picture(Counts(verdict.needed))
    answers = {node_id: _answer(report, seen.get(node_id)) for node_id, report in reports.items()}
    kinds = {node_id: _kind(report, answers[node_id]) for node_id, report in reports.items()}
    order = sorted(reports, key=lambda node_id: KINDS.index(kinds[node_id]))
    names = _names(verdict.expected, answers.values())
    cells = {
        name: [
            _extension(reports[node_id], answers[node_id], name, is_expected=is_expected) for node_id in order
        ]
        for name, is_expected in names.items()
    }
    read = {
        node_id: None
        if answers[node_id] is None or reports[node_id].state in VOID_STATES
        else seen[node_id].read_at
        for node_id in order
    }
    shift = looked - verdict.ended
    not_ready = [node_id for node_id in order if kinds[node_id] != "ready"][:MOST_NODES]
    return Picture(
        counts=_counts(verdict, kinds.values()),
        fields=(
            Field("", _letters(kinds[node_id] for node_id in order)),
            *(Field(name, _letters(column)) for name, column in cells.items()),
        ),
        ages=tuple(None if at is None else round(max(0.0, verdict.ended - at)) for at in read.values()),
        nodes=tuple(
            NodeSaid(
                node_id,
                kinds[node_id],
                reports[node_id].state,
                _moved(_since(seen.get(node_id)), shift),
                _moved(read[node_id], shift),
                reports[node_id].is_dedicated,
                (*reports[node_id].failed, *reports[node_id].missing),
                tuple(_said(name, column[place], answers[node_id]) for name, column in cells.items()),
            )
            for place, node_id in enumerate(not_ready)
        ),
    )


def _answer(report: NodeReport, seen: Seen | None) -> Sequence[Extension] | None:
    """What a node's extensions said; None where that is not known (any more)."""
    if seen is None or (seen.problem is not None and not report.ready):
        return None
    return seen.answer


def _kind(report: NodeReport, answer: Sequence[Extension] | None) -> Kind:
    phase = Phase.FAILED if report.failed else Phase.PENDING if report.missing else Phase.SUCCEEDED
    return node_kind(phase, report.state, is_unread=answer is None)


def _names(expected: Sequence[str], answers: Iterable[Sequence[Extension] | None]) -> dict[str, bool]:
    """The extensions that have a field: those that the gate waits for, and others that nodes list."""
    known = {name.lower() for name in expected}
    others = {e.name.lower(): e.name for answer in answers for e in answer or () if e.name}
    return dict.fromkeys(expected, True) | {
        name: False for lowered, name in others.items() if lowered not in known
    }


def _extension(
    report: NodeReport, answer: Sequence[Extension] | None, name: str, *, is_expected: bool
) -> Kind:
    found = None if answer is None else find_extension(answer, name)
    return extension_kind(
        report.state, found.phase if found else None, is_unread=answer is None, is_expected=is_expected
    )


def _letters(kinds: Iterable[Kind]) -> str:
    return "".join(LETTERS[kind] for kind in kinds)


def _counts(verdict: Verdict, kinds: Iterable[Kind]) -> Counts:
    found = list(kinds)
    ready, failed, unread = found.count("ready"), found.count("failed"), found.count("unread")
    return Counts(verdict.needed, ready, len(found) - ready - failed, failed, unread)


def _since(seen: Seen | None) -> float | None:
    return None if seen is None else epoch_seconds(seen.node.state_since) or seen.state_from


def _moved(at: float | None, shift: float) -> float | None:
    """A time of the service's clock by that of the machine that waits."""
    return None if at is None else at + shift


def _said(name: str, kind: Kind, answer: Sequence[Extension] | None) -> ExtensionSaid:
    found = find_extension(answer or (), name)
    return ExtensionSaid(name, kind, found.code, found.message) if found else ExtensionSaid(name, kind)
