"""What a self-test found, as plain JSON and as a page that can go into an issue as it is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from airflow_batchext import __version__
from airflow_batchext.cli.selftest.compare import Difference, compare, compare_times, only_one_saw
from airflow_batchext.cli.selftest.questions import QUESTIONS
from airflow_batchext.loose_json.documents import rewritten
from airflow_batchext.secrets.redact import redact

if TYPE_CHECKING:
    from airflow_batchext.cli.selftest.walk import Walk
    from airflow_batchext.connection import BatchConnection

#: Times of a walk that are settings of the emulator.
_SETTINGS = ("allocation", "creating", "starting", "rebooting", "reimaging", "deallocating", "deletion")
_ADDRESS = re.compile(r"\b(?:\d{1,3}\.){3}\d{1,3}\b")
_SHORTEST_NAME = 3


@dataclass(frozen=True)
class Settled:
    """What became of one question.

    :param answer: the setting as the account answers; None where that is not known.
    :param chosen: the setting of the emulator.
    :param seen: what was seen, in words, or why it was not.
    """

    setting: str
    answer: Any
    chosen: Any
    seen: str

    @property
    def is_news(self) -> bool:
        """Whether the account answers otherwise than the emulator."""
        return self.answer is not None and self.answer != self.chosen


def settle(azure: Walk, chosen: Mapping[str, Any]) -> list[Settled]:
    """What the walk through the account says to each question.

    :param chosen: ``answers`` of the emulator's scenario.
    """
    return [
        Settled(q.setting, q.read(azure), chosen[q.setting], q.seen(azure) or q.why_not) for q in QUESTIONS
    ]


def patch_of(settled: Sequence[Settled], differences: Sequence[Difference], azure: Walk) -> dict[str, Any]:
    """What a scenario needs so that the emulator answers as the account did."""
    slow = {d.what for d in differences if d.kind == "timing"}
    patch = {
        "answers": {each.setting: each.answer for each in settled if each.is_news},
        "timings": {name: round(azure.timings[name], 1) for name in _SETTINGS if name in slow},
    }
    return {name: settings for name, settings in patch.items() if settings}


def make_report(
    azure: Walk,
    emulator: Walk,
    chosen: Mapping[str, Any],
    *,
    connection: BatchConnection,
    taken_at: str,
    ended: str,
) -> dict[str, Any]:
    """The whole report; no secret is in it, nor the names of the account.

    :param chosen: ``answers`` of the emulator's scenario.
    :param ended: how the walk ended, if not by itself.
    """
    differences = compare(azure.exchanges, emulator.exchanges)
    differences += compare_times(azure.timings, emulator.timings)
    settled = settle(azure, chosen)
    here, there = only_one_saw(azure.exchanges, emulator.exchanges)
    report = {
        "version": __version__,
        "taken_at": taken_at,
        "ended": ended,
        "left_behind": azure.pool_id if azure.may_exist else None,
        "differences": [asdict(difference) for difference in differences],
        "questions": [{**asdict(each), "is_news": each.is_news} for each in settled],
        "patch": patch_of(settled, differences, azure),
        "timings": {"azure": azure.timings, "emulator": emulator.timings},
        "gate": azure.gate,
        "repair": azure.repair,
        "skipped": azure.skipped,
        "not_compared": {"only Azure": here, "only the emulator": there},
        "exchanges": [
            {
                "step": ask.step,
                "plane": ask.plane,
                "request": f"{ask.method} /{'/'.join(ask.segments)}",
                "request_headers": dict(ask.headers),
                "request_body": ask.body,
                "status": answered.status,
                "headers": dict(answered.headers),
                "body": answered.body,
            }
            for ask, answered in azure.exchanges
        ],
    }
    shown: dict[str, Any] = nameless(redact(report), connection)
    return shown


def nameless(report: Any, connection: BatchConnection) -> Any:
    """A copy without the names of the account, and the addresses of its nodes."""
    names = {
        connection.subscription_id: "SUBSCRIPTION",
        connection.tenant_id: "TENANT",
        connection.client_id: "CLIENT",
        connection.account_name: "ACCOUNT",
        connection.resource_group: "GROUP",
    }
    hidden = [
        (re.compile(rf"(?<![\w]){re.escape(name)}(?![\w])", re.IGNORECASE), word)
        for name, word in names.items()
        if len(name) >= _SHORTEST_NAME
    ]

    def text(value: str) -> str:
        for pattern, word in hidden:
            value = pattern.sub(word, value)
        return _ADDRESS.sub("ADDRESS", value)

    return rewritten(
        report,
        lambda value, place: text(value) if isinstance(value, str) else value,
        name=lambda name: text(name) if isinstance(name, str) else name,
    )


def page(report: Mapping[str, Any]) -> str:
    """The report as one HTML file: no scripts, nothing from elsewhere."""
    import yaml

    from airflow_batchext.diagnosis._page import template

    patch = yaml.safe_dump(report["patch"], sort_keys=False, allow_unicode=True) if report["patch"] else ""
    return template("airflow_batchext.cli.selftest", longest=4000).render(report=report, patch=patch)
