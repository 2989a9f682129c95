"""A finding is one line that says all."""

from __future__ import annotations

from airflow_batchext.pool_spec import Finding, check_document
from tests.pool_spec.documents import with_change


def test_a_finding_is_one_line():
    finding = Finding("error", "a.b", "it is wrong", "Fix it", "https://learn.microsoft.com/x")
    assert str(finding) == "error at a.b: it is wrong. Fix it. See https://learn.microsoft.com/x"
    assert (
        str(Finding("warning", "", "odd", "Did you mean c?"))
        == "warning at the document: odd. Did you mean c?"
    )
    document = with_change("name", "a\nb\u2028c" + "d" * 500)
    assert all(len(str(finding).splitlines()) == 1 for finding in check_document(document))
    assert len(str(check_document(document)[0])) < 400
