"""The reader of formulas agrees with the emulator's, and what it says of one is at its place."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airflow_batchext.emulator.account.autoscale_syntax import FormulaSyntaxError, parse
from airflow_batchext.pool_spec._check_formula import FUNCTIONS, INTERVALS, METHODS, READ_ONLY, check_formula
from airflow_batchext.pool_spec._formula import FormulaError, read_formula
from tests.examples import examples

NAMES = st.sampled_from(["$x", "limit", "$TargetDedicatedNodes", "$PendingTasks", "TimeInterval_Minute"])
NUMBERS = st.integers(0, 99).map(str) | st.sampled_from(["1.5", "2e3", "180"])
TEXTS = st.just('"2026-01-01T00:00:00Z"')
SIGNS = st.sampled_from(["+", "-", "*", "/", "<", "<=", ">", ">=", "==", "!=", "&&", "||"])


def _wider(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    arguments = st.lists(inner, max_size=3).map(", ".join)
    return st.one_of(
        st.tuples(inner, SIGNS, inner).map(" ".join),
        inner.map("({})".format),
        inner.map("-{}".format),
        inner.map("!{}".format),
        st.tuples(inner, inner, inner).map(lambda p: "{} ? {} : {}".format(*p)),
        st.tuples(st.sampled_from(sorted(FUNCTIONS)), arguments).map(lambda p: "{}({})".format(*p)),
        st.tuples(NAMES, st.sampled_from(sorted(METHODS)), arguments).map(lambda p: "{}.{}({})".format(*p)),
        st.just("time().weekday"),
    )


EXPRESSIONS = st.recursive(NAMES | NUMBERS | TEXTS, _wider, max_leaves=8)
STATEMENTS = st.tuples(st.sampled_from(["$TargetDedicatedNodes", "$x", "limit"]), EXPRESSIONS).map(" = ".join)
BLANKS = st.sampled_from(["", "\n", "  ", " // why\n", " /* why */ "])
FORMULAS = st.lists(st.tuples(STATEMENTS, BLANKS).map("".join), min_size=1, max_size=4).map(";".join)
SCRAPS = st.sampled_from([";", "(", ")", ",", "?", ":", "=", "$", "'", '"', "&", "{", "x y", ".", "/*", "  "])


@st.composite
def broken(draw: st.DrawFn) -> str:
    text = draw(FORMULAS)
    start = draw(st.integers(0, len(text)))
    end = draw(st.integers(start, min(len(text), start + 6)))
    return text[:start] + draw(SCRAPS | st.just("")) + text[end:]


@given(FORMULAS | broken() | st.text(max_size=20))
@example("\x1f")
@example("$x = \u0663")  # a digit, but none of ours
@settings(deadline=None, max_examples=examples(600))
def test_both_readers_take_the_same_formulas(formula):
    taken = {}
    for name, read, refusal in (("ours", read_formula, FormulaError), ("theirs", parse, FormulaSyntaxError)):
        try:
            read(formula)
            taken[name] = True
        except refusal:
            taken[name] = False
    assert taken["ours"] is taken["theirs"]


@given(FORMULAS)
@settings(deadline=None, max_examples=200)
def test_a_formula_of_the_language_breaks_off_nowhere(formula):
    for finding in check_formula(f"{formula};", "formula"):
        assert "breaks off" not in finding.problem


@given(FORMULAS, st.integers(0, 3))
@settings(deadline=None, max_examples=100)
def test_the_place_is_that_of_what_has_no_meaning(formula, lines):
    text = "\n" * lines + f"limit = 1;\n{formula};\n  ?"
    with pytest.raises(FormulaError) as caught:
        read_formula(text)
    assert (caught.value.place.line, caught.value.place.column) == (text.count("\n") + 1, 3)


# From Microsoft's page of autoscale, restated.
RIGHT = [
    "$TargetDedicatedNodes=1",
    """most = 25; $TargetDedicatedNodes = min(most, $PreemptedNodeCount.GetSample(180 * TimeInterval_Second));
    $TargetLowPriorityNodes = min(most, most - $TargetDedicatedNodes); $NodeDeallocationOption = requeue;""",
    """$all = (min($CPUPercent.GetSample(TimeInterval_Minute * 10)) > 0.7) ?
    ($CurrentDedicatedNodes * 1.1) : $CurrentDedicatedNodes; $TargetDedicatedNodes = min(400, $all)""",
    """now = time(); day = now.weekday >= 1 && now.weekday <= 5 && now.hour >= 8;
    $TargetDedicatedNodes = day ? 20 : 10;""",
    """v = $ActiveTasks.GetSample(TimeInterval_Minute, TimeInterval_Minute * 5, 50);
    $TargetDedicated = max(0, val(v, 0), percentile(v, 90), avg(v, 7));""",
]


@pytest.mark.parametrize("formula", RIGHT)
def test_what_microsoft_shows_has_no_findings(formula):
    assert list(check_formula(formula, "formula")) == []


@pytest.mark.parametrize("name", sorted(READ_ONLY))
def test_every_variable_of_the_service_can_be_read_and_not_set(name):
    assert list(check_formula(f"$TargetDedicatedNodes = avg({name}.GetSample(1))", "f")) == []
    (finding,) = check_formula(f"{name} = 1; $TargetDedicatedNodes = 1", "f")
    assert "cannot be assigned" in finding.problem


@pytest.mark.parametrize("name", sorted(INTERVALS))
def test_every_interval_can_be_read(name):
    assert list(check_formula(f"$TargetDedicatedNodes = len($ActiveTasks.GetSample({name}))", "f")) == []


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_a_misspelt_function_is_refused_with_what_was_meant(name):
    least, _ = FUNCTIONS[name]
    arguments = ", ".join(["1"] * least)
    assert list(check_formula(f"$TargetDedicatedNodes = 1 + {name}({arguments})", "f")) == []
    (finding,) = check_formula(f"$TargetDedicatedNodes = {name}zz({arguments})", "f")
    assert finding.severity == "error"
    assert name in finding.problem


def test_too_many_statements_are_told():
    (finding,) = check_formula("x = 1;" * 100 + "$TargetDedicatedNodes = x;", "f")
    assert "101 statements" in finding.problem
