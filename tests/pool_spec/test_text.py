"""What is read from a text, what is refused and where, and that no error quotes the text."""

from __future__ import annotations

import json
import pickle

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from airflow_batchext.pool_spec import DocumentSyntaxError, parse_document
from tests.pool_spec.documents import GOOD, SENTINEL


def test_json_and_yaml_give_the_same_document():
    as_json = parse_document(json.dumps(GOOD, indent=2), source="pool.json")
    as_yaml = parse_document(yaml.safe_dump(GOOD), source="pool.yaml")
    assert as_json == as_yaml == GOOD


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('\ufeff{"a": 1}', {"a": 1}),
        ('{"a": "b\\nc", "d": [1, -2.5e3, true, null]}', {"a": "b\nc", "d": [1, -2500.0, True, None]}),
        ('{a: 1, "b": [x,],}', {"a": 1, "b": ["x"]}),
        ("{}", {}),
        ("a: 2024-01-01", {"a": "2024-01-01"}),
        ("a: =\n<<: {b: 1}", {"a": "=", "<<": {"b": 1}}),
        ("a: !!str 1.0", {"a": "1.0"}),
        ("a:\nb: ~\nc: 1.0", {"a": None, "b": None, "c": 1.0}),
        ('{"a": [{"k": 1}, {"k": 2}], "k": {"k": 3}}', {"a": [{"k": 1}, {"k": 2}], "k": {"k": 3}}),
    ],
)
def test_texts_that_are_read(text, expected):
    assert parse_document(text, source="pool") == expected


@pytest.mark.parametrize(
    ("text", "source", "line", "column", "word"),
    [
        ("", "p.yaml", 1, 1, "empty"),
        ("# nothing\n", "p.yaml", 1, 1, "empty"),
        ("[1]", "p.json", 1, 1, "a list"),
        ("just words", "p.yaml", 1, 1, "a string"),
        ("null", "p.json", 1, 1, "empty"),
        ('{"a": 1,}', "p.json", 1, 0, "not valid JSON"),
        ("a: 1", "P.JSON", 1, 1, "not valid JSON"),
        ('{\n  "a": 1\n  "b": 2\n}', "p.json", 3, 3, "delimiter"),
        ("{a: [1}", "p.yaml", 1, 2, "not valid JSON"),
        ("a: [1", "p.yaml", 1, 6, "not valid YAML"),
        ("a:\n\tb: 1", "p.yaml", 2, 1, "not valid YAML"),
        ("a: \x01", "p.yaml", 1, 4, "character"),
        ('a: "\\U00110000"', "p.yaml", 1, 7, "not valid YAML"),
        ("a: 1\n---\nb: 2", "p.yaml", 2, 1, "more than one"),
        ('{"a": 1,\n "b": {"c": 1}, "a": 2}', "p.json", 2, 17, "the key 'a' is given twice"),
        ("x:\n  a: 1\n  b: 2\n  a: 3", "p.yaml", 4, 3, "the key 'a' is given twice"),
        ("a: &x 1\nb: *x", "p.yaml", 1, 4, "anchors"),
        ("b: *x", "p.yaml", 1, 4, "aliases"),
        ("a: !!python/object:os.system x", "p.yaml", 1, 4, "tags"),
        ("a: !!binary eHg=", "p.yaml", 1, 4, "tags"),
        ("1: a", "p.yaml", 1, 1, "key"),
        ("a: {{ ds }}", "p.yaml", 1, 5, "template"),
        ("? [a]\n: 1", "p.yaml", 1, 3, "key"),
        ("a: .inf", "p.yaml", 1, 4, "number"),
        ("a: 0b_", "p.yaml", 1, 4, "number"),
        ('{"a": NaN}', "p.json", 1, 7, "number"),
        ('{"a": -Infinity}', "p.yaml", 1, 7, "number"),
        ('{"a": 1e999}', "p.json", 1, 7, "number"),
        ('{"a": ' + "1" * 5000 + "}", "p.json", 1, 7, "number"),
        ('{"a": ' * 65 + "1" + "}" * 65, "p.json", 1, 385, "64 levels"),
        ("[" * 200_000, "p.json", 1, 65, "64 levels"),
        ("[" * 200_000, "p.yaml", 1, 65, "64 levels"),
        ("- " * 500, "p.yaml", 1, 129, "64 levels"),
        ("\n".join(f"k{index}: v" for index in range(15_000)), "p.yaml", 10_000, 0, "20000"),
        ("a: " + "x" * 1024 * 1024, "p.yaml", 1, 1, "1 MiB"),
    ],
)
def test_texts_that_are_refused(text, source, line, column, word):
    with pytest.raises(DocumentSyntaxError) as caught:
        parse_document(text, source=source)
    error = caught.value
    assert word in error.problem
    assert (error.source, error.line) == (source, line)
    assert column in (0, error.column)
    assert str(error) == f"{source}, line {line}, column {error.column}: {error.problem}"
    assert error.__context__ is None
    assert error.__cause__ is None


def test_a_bomb_of_aliases_is_refused_before_it_grows():
    lines = ["a0: &a0 [x, x]"] + [f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 60)]
    with pytest.raises(DocumentSyntaxError, match="anchors and aliases"):
        parse_document("\n".join(lines), source="bomb.yaml")


def test_a_syntax_error_survives_a_process_boundary():
    error = DocumentSyntaxError("p.json", "not valid JSON", 3, 4)
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.line) == (DocumentSyntaxError, str(error), 3)


@pytest.mark.parametrize("source", ["p.json", "p.yaml"])
@pytest.mark.parametrize(
    "text",
    [
        f'{{"protectedSettings": {{"a": "{SENTINEL}" "b"}}}}',
        f'{{"protectedSettings": {{"a": "{SENTINEL}\\q"}}}}',
        f'{{"protectedSettings": {{"{SENTINEL}": 1, "{SENTINEL}": 2}}}}',
        f'{{"protectedSettings": [{{"{SENTINEL}": 1, "{SENTINEL}": 2}}]}}',
        f"protectedSettings:\n  a: {SENTINEL}: x",
        f"protectedSettings:\n  a: *{SENTINEL}",
        f"protectedSettings:\n  a: !{SENTINEL} x",
        f"protectedSettings:\n  a: !!{SENTINEL} x",
        f"protected_settings:\n  {SENTINEL}: 1\n  {SENTINEL}: 2",
        f"protectedSettings:\n  a: '{SENTINEL}",
        f"protectedSettings:\n  a: @{SENTINEL}",
        f"%{SENTINEL}\nprotectedSettings: [",
        f"password: {SENTINEL}\n\tx",
        SENTINEL,
    ],
)
def test_a_syntax_error_never_quotes_the_text(text, source):
    with pytest.raises(DocumentSyntaxError) as caught:
        parse_document(text, source=source)
    shown = f"{caught.value} {caught.value!r} {caught.value.args}"
    assert SENTINEL not in shown
    assert caught.value.__context__ is None


def test_a_key_given_twice_is_named_after_a_secret_has_ended():
    text = '{"list": [{"password": "x"}, {"k": 1, "k": 2}]}'
    with pytest.raises(DocumentSyntaxError, match="the key 'k' is given twice"):
        parse_document(text, source="p.json")


@given(st.text(max_size=80) | st.text(alphabet='{}[]:,"\\&*!-?|> \n\tab1.', max_size=40))
def test_any_text_is_read_or_refused(text):
    for source in ("p.json", "p.yaml"):
        try:
            document = parse_document(text, source=source)
        except DocumentSyntaxError:
            continue
        json.dumps(document, allow_nan=False)
