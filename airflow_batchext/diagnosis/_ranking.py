"""Which of the known causes a snapshot shows, the likeliest first, and what none of them explains."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import yaml

from airflow_batchext.batch.data_plane import Phase, one_line
from airflow_batchext.batch.node_names import shortened
from airflow_batchext.diagnosis._cause import Cause, Hit
from airflow_batchext.diagnosis._extension_causes import EXTENSION_MATCHERS
from airflow_batchext.diagnosis._node_causes import NODE_MATCHERS
from airflow_batchext.diagnosis._pool_causes import POOL_MATCHERS

if TYPE_CHECKING:
    from airflow_batchext.health import PoolHealth

_MATCHERS = {**POOL_MATCHERS, **NODE_MATCHERS, **EXTENSION_MATCHERS}
_TABLE = "causes.yaml"
_MOST_SAID = 20


@cache
def known_causes() -> tuple[Cause, ...]:
    """Every known cause, as ``causes.yaml`` has them."""
    text = files(__package__).joinpath(_TABLE).read_text("utf-8")
    table: dict[str, Any] = yaml.safe_load(text)
    return tuple(
        Cause(**{**row, "id": name, "evidence": tuple(row["evidence"]), "matcher": _MATCHERS[name]})
        for name, row in table.items()
    )


@dataclass(frozen=True, slots=True)
class FoundCause:
    """A known cause and the places where it shows.

    :param cause: the cause.
    :param hits: each place, at least one.
    """

    cause: Cause
    hits: tuple[Hit, ...]

    @property
    def nodes(self) -> tuple[str, ...]:
        """The nodes where it shows, each once; none where it is the pool."""
        return tuple(dict.fromkeys(hit.node for hit in self.hits if hit.node))

    @property
    def extensions(self) -> tuple[str, ...]:
        """The extensions where it shows, each once."""
        return tuple(dict.fromkeys(hit.extension for hit in self.hits if hit.extension))

    @property
    def where(self) -> str:
        """Where it shows, in a few words."""
        if not self.nodes:
            named = ", ".join(map(one_line, self.extensions[:3]))
            return f"{named} in the pool" if named else "the pool"
        count = "1 node" if len(self.nodes) == 1 else f"{len(self.nodes)} nodes"
        return f"{', '.join(map(one_line, self.extensions[:3]))} on {count}" if self.extensions else count


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What a snapshot comes to.

    :param health: the snapshot.
    :param found_causes: known causes, the likeliest first.
    :param unexplained: what is not ready and has none of them, in the gate's words.
    """

    health: PoolHealth
    found_causes: tuple[FoundCause, ...]
    unexplained: tuple[str, ...]

    @property
    def healthy(self) -> bool:
        """Whether the gate would open, and no known cause of trouble shows."""
        return self.health.outcome == "open" and not self.found_causes

    @property
    def causes(self) -> tuple[str, ...]:
        """The ids of the causes that were found, the likeliest first."""
        return tuple(found.cause.id for found in self.found_causes)

    @property
    def verdict(self) -> str:
        """What it comes to, in one sentence."""
        if self.found_causes:
            first, more = self.found_causes[0], len(self.found_causes) - 1
            also = f", and {more} more" if more else ""
            return f"{first.cause.title} ({first.where}){also}."
        if self.healthy:
            return "Nothing is wrong: every extension on every node has succeeded."
        if self.health.outcome == "wait" and not self.health.nodes_in(Phase.FAILED):
            return "Nothing that is known to be a fault; the pool is not ready yet."
        return "No known cause explains this; the facts are below."

    def short(self, most: int = 3) -> str:
        """The diagnosis in a few lines, for a message or a log; ids of nodes are short.

        :param most: how many causes to tell.
        """
        lines = [
            f"Pool {self.health.id}: {one_line(self.health.summary)}",
            *(f"- {f.cause.title} ({f.where}). {f.cause.remedy}." for f in self.found_causes[:most]),
        ]
        if len(self.found_causes) > most:
            lines.append(f"- and {len(self.found_causes) - most} more causes")
        if not self.found_causes:
            lines.append(f"- {self.verdict}")
            lines += [f"  {one_line(fact, 300)}" for fact in self.unexplained[:most]]
        return shortened("\n".join(lines), (node.id for node in self.health.nodes))


def diagnose(health: PoolHealth) -> Diagnosis:
    """Find the known causes of what a snapshot shows.

    It never guesses: what no known cause explains is listed as it was seen.

    :param health: how a pool was, as ``read_health`` reads it.
    """
    hits_of = {cause: _not_refuted(cause, health) for cause in known_causes()}
    particular = [hit for cause, hits in hits_of.items() if not cause.general for hit in hits]
    explained = {(hit.node, hit.extension) for hit in particular}
    nodes = {hit.node for hit in particular if hit.node}
    found_causes = []
    for cause, hits in hits_of.items():
        if cause.general:
            hits = tuple(
                hit for hit in hits if (hit.node, hit.extension) not in explained and not _covered(hit, nodes)
            )
        if hits:
            found_causes.append(FoundCause(cause, hits))
    # What is general about a node gives way to what is general about an extension on it.
    on_extensions = {hit.node for found in found_causes for hit in found.hits if hit.extension}
    found_causes = [
        FoundCause(f.cause, kept)
        for f in found_causes
        if (kept := tuple(h for h in f.hits if not (f.cause.general and _covered(h, on_extensions))))
    ]
    found_causes.sort(key=lambda found: (-found.cause.weight, -len(found.hits), found.cause.id))
    return Diagnosis(health, tuple(found_causes), tuple(_unexplained(health, found_causes)))


def _not_refuted(cause: Cause, health: PoolHealth) -> tuple[Hit, ...]:
    """The places where a cause shows, but for those that evidence rules out.

    What lies in the pool's document is the same for all its nodes: an extension that has succeeded on one of
    them did so with these settings, this identity, this image.
    """
    hits = dict.fromkeys(cause.matcher(health))
    if not cause.document or not hits:
        return tuple(hits)
    succeeded = {
        extension.name.lower()
        for node in health.nodes
        if not node.leaving
        for extension in node.extensions
        if extension.phase is Phase.SUCCEEDED
    }
    asked = {name.lower() for name in health.expected}
    return tuple(
        hit
        for hit in hits
        if (hit.extension.lower() not in succeeded if hit.extension else not asked & succeeded)
    )


def _covered(hit: Hit, nodes: set[str]) -> bool:
    """Whether a sign of a whole node is explained by something particular on it."""
    return not hit.extension and hit.node in nodes


def _unexplained(health: PoolHealth, found_causes: Sequence[FoundCause]) -> Iterator[str]:
    """What is not ready and stands at no place where a known cause shows.

    What a node's state says is explained by any cause on it; what one of its extensions says, only by one
    that shows at this extension.
    """
    of_nodes = {sentence for node in health.nodes for sentence in (*node.failed, *node.missing)}
    places = {(hit.node, hit.extension.lower()) for found in found_causes for hit in found.hits}
    nodes = {node for node, _ in places}
    if "" not in nodes:
        yield from (reason for reason in health.reasons if reason not in of_nodes)
    for node in health.nodes:
        for sentence in (*node.failed, *node.missing):
            extension = next((name for name in health.expected if _is_about(sentence, name)), None)
            if extension is not None:
                explained = (node.id, extension.lower()) in places
            else:
                explained = node.id in nodes or (bool(node.unread) and health.refused)
            if not explained:
                yield sentence


def _is_about(sentence: str, extension: str) -> bool:
    return f": extension {extension} reports " in sentence or f" extension {extension} yet" in sentence


def to_json(diagnosis: Diagnosis) -> dict[str, Any]:
    """A diagnosis as plain JSON, without the snapshot.

    :param diagnosis: of a pool, as ``diagnose`` makes it.
    """
    return {
        "pool_id": diagnosis.health.id,
        "outcome": diagnosis.health.outcome,
        "summary": diagnosis.health.summary,
        "verdict": diagnosis.verdict,
        "causes": [
            {
                "id": found.cause.id,
                "title": found.cause.title,
                "remedy": found.cause.remedy,
                "link": found.cause.link,
                "evidence": list(found.cause.evidence),
                "certainty": found.cause.certainty,
                "where": found.where,
                "nodes": list(found.nodes),
                "extensions": list(found.extensions),
                "seen": [hit.said for hit in found.hits[:_MOST_SAID]],
            }
            for found in diagnosis.found_causes
        ],
        "unexplained": list(diagnosis.unexplained),
    }
