"""Autoscale formulas, as a pure function: the documented subset, its errors, and what is not modelled."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_batchext.emulator.account.autoscale import Evaluation, NotModelledError, Outlook, evaluate
from airflow_batchext.emulator.account.autoscale_syntax import FormulaSyntaxError, parse

CREATED = datetime(2026, 1, 5, 7, 0, tzinfo=UTC)  # a Monday


def outlook(minutes: float = 60, targets: tuple[int, int] = (4, 0), slots: int = 2) -> Outlook:
    """Look at a pool with ten pending tasks for half an hour, and none after that."""

    def sample(variable: str, at: datetime) -> float:
        if variable == "$PendingTasks":
            return 10.0 if at - CREATED <= timedelta(minutes=30) else 0.0
        return 3.0

    return Outlook(CREATED + timedelta(minutes=minutes), CREATED, targets, slots, sample)


def value_of(expression: str, minutes: float = 60) -> str:
    found = evaluate(f"x = {expression};", outlook(minutes))
    assert found.error is None, found.error
    return dict(found.variables)["x"]


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1 + 2 * 3 - 4 / 2", "5"),
        ("(1 + 2) * 3", "9"),
        ("-2 + 5", "3"),
        ("7 / 2", "3.5"),
        ("1 < 2", "1"),
        ("2 <= 1 || 3 >= 3 && 1 != 2", "1"),
        ("!(1 == 1)", "0"),
        ("1 > 2 ? 10 : 20", "20"),
        ("1 ? 2 ? 3 : 4 : 5", "3"),
        ("min(3, 1, 2)", "1"),
        ("max(1, $RunningTasks.GetSample(1))", "3"),
        ("avg(1, 2, 3, 6)", "3"),
        ("sum(1, 2)", "3"),
        ("ceil(1.2) + floor(1.8) + round(1.5) + abs(-1)", "6"),
        ("$TargetDedicatedNodes", "4"),
        ("$TaskSlotsPerNode", "2"),
        ("$CurrentDedicatedNodes.GetSample(1) + 1", "[4]"),
        ("$PendingTasks.GetSamplePercent(TimeInterval_Minute * 5)", "100"),
        ("$PendingTasks.GetSample(TimeInterval_Minute * 2)", "[0,0,0,0]"),
        ("len($PendingTasks)", "120"),
        ("avg($PendingTasks.GetSample(TimeInterval_Hour))", "5"),
        ("max($PendingTasks.GetSample(time() - TimeInterval_Hour, time() - 31 * TimeInterval_Minute))", "10"),
        ("val($PendingTasks.GetSample(3), 0)", "0"),
        ("std(2, 4, 4, 4, 5, 5, 7, 9) > 2", "1"),
        ("TimeInterval_Week / TimeInterval_Day", "7"),
        ("TimeInterval_Minute < TimeInterval_Hour", "1"),
        ("$RunningTasks.GetSamplePeriod() == 30 * TimeInterval_Second", "1"),
        ("$RunningTasks.Count()", "120"),
        ("time().hour", "8"),
        ('time("2026-01-01T09:30:00.000000Z").hour', "9"),
        ('time("2026-01-01T08:00:00Z").minute', "0"),
        ('time("2026-03-04 05:06:07").second', "7"),
        ('time("2026-03-04T05:06:07.1234567+02:00").day', "4"),
        ('(time() - time("1990-01-01")) > TimeInterval_Week ? 1 : 2', "1"),
        ("time().weekday", "1"),
        ('time("") - TimeInterval_Day', "2026-01-04T08:00:00.000Z"),
        ("true && false", "0"),
        ("taskcompletion", "taskcompletion"),
    ],
)
def test_what_expressions_come_to(expression: str, value: str) -> None:
    assert value_of(expression) == value


def test_the_targets_and_what_becomes_of_tasks() -> None:
    formula = """
        // during working hours ten nodes, else two
        $now = time();
        $isWorkHours = $now.hour >= 8 && $now.hour < 18; /* in UTC */
        $TargetDedicated = $isWorkHours ? 10 : 2;
        $TargetLowPriorityNodes = 2.9;
        $NodeDeallocationOption = taskcompletion;
    """
    found = evaluate(formula, outlook())
    assert (found.dedicated, found.low_priority, found.option) == (10, 2, "taskcompletion")
    assert found.results == (
        "$TargetDedicatedNodes=10;$TargetLowPriorityNodes=2;$NodeDeallocationOption=taskcompletion;"
        "$now=2026-01-05T08:00:00.000Z;$isWorkHours=1"
    )
    assert evaluate(formula, outlook(12 * 60)).dedicated == 2


def test_what_is_not_assigned_stays() -> None:
    assert evaluate("", outlook(targets=(3, 1))).results == (
        "$TargetDedicatedNodes=3;$TargetLowPriorityNodes=1;$NodeDeallocationOption=requeue"
    )
    assert evaluate("$TargetDedicatedNodes = 0 - 5", outlook()).dedicated == 0


def test_a_pool_that_is_new_has_few_samples() -> None:
    assert value_of("$PendingTasks.GetSamplePercent(180 * TimeInterval_Second)", 1) == str(100 * 2 / 6)
    assert evaluate("x = avg($PendingTasks.GetSample(1));", outlook(0)).error is not None
    short = evaluate("x = $PendingTasks.GetSample(180 * TimeInterval_Second, 70);", outlook(1))
    assert short.error is not None
    assert "Insufficient sample data" in short.error


@pytest.mark.parametrize(
    ("formula", "error"),
    [
        ("$something_useless", "Line 1, Col 1: Undefined symbol: $something_useless"),
        ("\n  x = y;", "Line 2, Col 7: Undefined symbol: y"),
        ("x = 1 / 0;", "Line 1, Col 7: Division by zero"),
        ("x = time() + time();", "Line 1, Col 12: Invalid operands of +"),
        ("x = val($ActiveTasks.GetSample(1), 5);", "Line 1, Col 5: Index out of range"),
        ("$PendingTasks = 1;", "Line 1, Col 1: Cannot assign to the read-only variable: $PendingTasks"),
        ("$NodeDeallocationOption = 3;", "Invalid value of $NodeDeallocationOption: 3"),
        ("$TargetDedicatedNodes = time();", "Invalid value of $TargetDedicatedNodes: "),
        ("x = avg();", "Line 1, Col 5: avg of an empty vector"),
        ("x = (1).GetSample(1);", "Line 1, Col 9: There is no GetSample of that"),
        ("x = $ActiveTasks.GetSample();", "Line 1, Col 18: Time intervals or timestamps are expected"),
        ("x = $ActiveTasks.GetSample(2) + $ActiveTasks.GetSample(3);", "Vectors of different lengths"),
        ("x = time().week;", "There is no week of that"),
        ("x = -time();", "A number is expected"),
        ("x = max(time());", "Invalid argument of max"),
    ],
)
def test_an_error_keeps_the_targets(formula: str, error: str) -> None:
    found = evaluate(formula, outlook())
    assert found.error is not None
    assert error in found.error
    assert (found.dedicated, found.low_priority) == (4, 0)


@pytest.mark.parametrize(
    ("formula", "error"),
    [
        ("x = ;", "Line 1, Col 5: Unexpected: ;"),
        ("x = (1;", "Line 1, Col 7: Unexpected: ;, ')' is expected"),
        ("x = 1 y = 2", "Line 1, Col 7: Unexpected: y, ';' is expected"),
        ("x = 1 ? 2;", "':' is expected"),
        ("x = #;", "Line 1, Col 5: Unexpected character: #"),
        ("x = time().3;", "Unexpected: 3"),
        ("x = 1 +", "Unexpected: the end of the formula"),
        ("x = " + "(" * 200 + "1" + ")" * 200, "nested too deeply"),
    ],
)
def test_what_cannot_be_read(formula: str, error: str) -> None:
    with pytest.raises(FormulaSyntaxError) as caught:
        evaluate(formula, outlook())
    assert error in str(caught.value)


@pytest.mark.parametrize(
    ("formula", "names"),
    [
        ("x = rand();", "the function rand()"),
        ("x = avg($CPUPercent.GetSample(1));", "the variable $CPUPercent"),
        ("x = $MemoryBytes;", "the variable $MemoryBytes"),
        ("x = $ActiveTasks.GetSampleTimes(1);", "the method GetSampleTimes()"),
        ('x = time("next Monday");', "a date that is not written as ISO 8601"),
    ],
)
def test_what_is_not_modelled_is_named(formula: str, names: str) -> None:
    with pytest.raises(
        NotModelledError, match=names.replace("$", r"\$").replace("(", r"\(").replace(")", r"\)")
    ):
        evaluate(formula, outlook())


@given(st.text(alphabet='$xy=+-*/()?:;,.&|!<> 12\n"maxGetSample', max_size=40))
def test_whatever_is_given_is_evaluated_or_refused(formula: str) -> None:
    try:
        found = evaluate(formula, outlook())
    except (FormulaSyntaxError, NotModelledError):
        return
    assert isinstance(found, Evaluation)
    assert found.dedicated >= 0
    assert evaluate(formula, outlook()) == found


def test_statements_know_their_places() -> None:
    first, second = parse("a = 1;\n b = 2")
    assert (str(first.place), str(second.place)) == ("Line 1, Col 1", "Line 2, Col 2")
