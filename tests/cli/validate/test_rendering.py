"""A template that never ends, or fills the memory, is an error of the document and costs little."""

from __future__ import annotations

import json
import resource

import pytest

from airflow_batchext.cli.validate import rendering
from airflow_batchext.cli.validate.rendering import MOST_BYTES, RenderingError, render

NEST = 100_000  # what the sandbox lets range() have


def nested(depth: int, inside: str) -> str:
    return f"{{% for a in range({NEST}) %}}" * depth + inside + "{% endfor %}" * depth


ENDLESS = {
    "much text": nested(2, "x" * 50),
    "little text": nested(3, "{{ a }}"),
    "no text": nested(2, ""),
    "no text, deep": nested(5, "{% set b = a %}"),
    "text times a number": "{{ 'x' * 10 ** 11 }}",
    "list times a number": "{{ ([1] * 10 ** 11) | length }}",
    "doubled": "{% set n = namespace(t='x') %}" + nested(1, "{% set n.t = n.t ~ n.t %}"),
    "a large power": "{{ 10 ** (10 ** 9) }}",
    "a wide number": "{{ '%099999999999d' % 1 }}",
    "a wide text": "{{ 'x' | center(10 ** 11) }}",
    "a macro of itself": "{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}",
    "deep": "{{ " + "(" * 500 + "1" + ")" * 500 + " }}",
    "deep blocks": "{% if 1 %}" * 300 + "{% endif %}" * 300,
    "joined": "{{ range(100000) | map('string') | join('x' * 100000) }}",
}


@pytest.mark.parametrize("kind", ENDLESS)
def test_a_template_without_an_end_is_refused(kind, monkeypatch):
    monkeypatch.setattr(rendering, "_CPU_SECONDS", 1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(RenderingError, match=r"^the template cannot be rendered[: ]") as refused:
        render(ENDLESS[kind], {})
    assert "Traceback" not in str(refused.value)
    assert len(str(refused.value)) < 200
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KB


def test_the_command_tells_it(tmp_path, capsys):
    from airflow_batchext.cli.main import main

    file = tmp_path / "pool.json"
    file.write_text(ENDLESS["much text"])
    assert main(["validate", str(file), "--set", "x=1", "--json"]) == 1
    out, err = capsys.readouterr()
    assert "makes more than 1 MiB" in json.dumps(json.loads(out))
    assert err == ""


def test_what_is_within_bounds_is_rendered_as_it_is():
    text = "{% for a in range(n) %}{{ a }}é\n{% endfor %}{{ t.u }}\n"
    assert render(text, {"n": 3, "t": {"u": [1, None, True]}}) == "0é\n1é\n2é\n[1, None, True]\n"
    assert len(render("{{ 'x' * n }}", {"n": MOST_BYTES})) == MOST_BYTES


def test_nothing_is_imported_from_the_working_directory(tmp_path, monkeypatch):
    (tmp_path / "jinja2.py").write_text("raise SystemExit('imported')")
    monkeypatch.chdir(tmp_path)
    assert render("{{ 1 }}", {}) == "1"
