"""The notifier: the short diagnosis goes through any other notifier's templates, or into the log."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from airflow.providers.common.compat.sdk import BaseNotifier

from airflow_batchext.exceptions import GateFailedError
from airflow_batchext.notifications.diagnosis import AzureBatchDiagnosisNotifier
from tests.diagnosis.faults import FAULTS, HEALTH, Fault, produce, says

SECRET = "S3NTINEL"


class Sent(BaseNotifier):
    """Keeps what it would send."""

    template_fields = ("text",)

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text
        self.sent: list[str] = []

    def notify(self, context) -> None:
        self.sent.append(self.text)


def context(azure, **more):
    return {"task": SimpleNamespace(task_id="gate", pool_id=azure.pool_id), **more}


def test_the_diagnosis_is_in_the_templates_of_the_other_notifier(azure):
    produce(azure, FAULTS["key-vault-no-role"])
    other = Sent("{{ task.task_id }} failed\n{{ batch_diagnosis }}\n{{ batch_causes[0] }}")
    AzureBatchDiagnosisNotifier(through=other)(context(azure, exception=GateFailedError("the gate closed")))
    (text,) = other.sent
    assert text.startswith("gate failed\ngate: the gate closed\nPool ")
    assert "- The identity may not read the vault's secrets (secretext on 3 nodes)." in text
    assert text.endswith("key-vault-no-role")


def test_several_notifiers_get_it_and_html_is_escaped(azure):
    produce(azure, Fault([HEALTH], says("health", f"<b>bold</b> https://a/b?sig={SECRET}")))
    plain, html = Sent("{{ batch_diagnosis }}"), Sent("{{ batch_diagnosis_html }}")
    AzureBatchDiagnosisNotifier(through=[plain, html], pool_id="{{ task.pool_id }}")(context(azure))
    assert "<b>bold</b>" in plain.sent[0]
    assert "&lt;b&gt;bold" in html.sent[0]
    assert SECRET not in plain.sent[0] + html.sent[0]


def test_without_another_notifier_it_is_in_the_log(azure, capsys):
    produce(azure, FAULTS["disk-full"])
    AzureBatchDiagnosisNotifier()(context(azure))
    assert "A node's disk is full" in capsys.readouterr().out


@pytest.mark.parametrize("given", [{"azure_batchext_conn_id": "nobody"}, {"pool_id": "{{ 'no pool' }}"}])
def test_a_diagnosis_that_fails_does_not_keep_the_message_back(azure, given):
    other = Sent("{{ batch_diagnosis }}")
    AzureBatchDiagnosisNotifier(through=other, **given)(context(azure))
    assert "could not be diagnosed" in other.sent[0]


def test_what_other_errors_say_is_not_sent_on(azure):
    azure.create(nodes=1)
    other = Sent("{{ batch_diagnosis }}")
    AzureBatchDiagnosisNotifier(through=other)(context(azure, exception=RuntimeError(SECRET)))
    assert SECRET not in other.sent[0]
    assert "Nothing is wrong" in other.sent[0]
