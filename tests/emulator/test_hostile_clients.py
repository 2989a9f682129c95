"""Who asks the emulator badly is refused: no token by another name, and nothing blocks or breaks it."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_batchext.emulator.account.clock import Clock
from airflow_batchext.emulator.wire.errors import RefusedError
from airflow_batchext.emulator.wire.http import read_json
from airflow_batchext.emulator.wire.odata import read_filter
from tests.emulator.pool_documents import account_path, data_pool, raw, raw_data
from tests.emulator.serving.test_control import control

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_batchext.emulator import Emulator

RESOURCE = "https://management.azure.com/"
JSON = {"Content-Type": "application/json; odata=minimalmetadata"}


def ask(emulator: Emulator, method: str, path: str, **options: Any) -> requests.Response:
    return requests.request(method, f"{emulator.info.http_endpoint}{path}", timeout=30, **options)


# --- the name that the machine is called by ---------------------------------------------------------------

OWN_NAMES = ["127.0.0.1", "127.0.0.1:80", "169.254.169.254", "[::1]:8080", "[fd00:ec2::254]", "localhost:1"]
OTHER_NAMES = [
    *("evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "a@127.0.0.1", "127.0.0.1@evil.example"),
    *(
        "evil.example:80",
        "localhost ",
        "127.0.0.1,evil.example",
        "[::1].evil.example",
        "0x7f.1",
        "2130706433",
    ),
    *("", "metadata", "l\u03bfcalhost", "127.0.0.1/evil.example", "127.0.0.1:99999999"),
]
WAYS = [
    ("GET", f"/metadata/identity/oauth2/token?api-version=2018-02-01&resource={RESOURCE}"),
    ("GET", f"/METADATA/identity/oauth2/token?api-version=2018-02-01&resource={RESOURCE}"),
    ("GET", f"/msi/token?api-version=2019-08-01&resource={RESOURCE}"),
    ("POST", "/msi/token"),
]


@pytest.mark.parametrize(("method", "path"), WAYS)
def test_a_token_of_the_machine_is_for_who_calls_it_by_its_own_name(
    emulator: Emulator, method: str, path: str
) -> None:
    def status(host: str) -> int:
        headers = {"Metadata": "true", "X-IDENTITY-HEADER": emulator.info.identity_header}
        headers["Host"] = host.encode().decode("latin-1")
        form = {"resource": RESOURCE} if method == "POST" else None
        answer = ask(emulator, method, path, headers=headers, data=form)
        assert ("access_token" in answer.text) == (answer.status_code == 200)
        return answer.status_code

    assert {host: status(host) for host in OWN_NAMES} == dict.fromkeys(OWN_NAMES, 200)
    assert {host for host in OTHER_NAMES if status(host) not in (400, 403)} == set()


# --- bodies ------------------------------------------------------------------------------------------------


def test_a_large_body_of_anybody_costs_nothing(emulator: Emulator) -> None:
    """Against what reading it costs: it is refused in a part of that."""
    headers = {"Metadata": "true", "Content-Type": "application/x-www-form-urlencoded"}
    form = b"a=1&" * 1_200_000
    began = time.process_time()
    parse_qsl(form[: len(form) // 4].decode())
    to_read = time.process_time() - began
    for path in ("/msi/token", "/t/oauth2/v2.0/token", "/t/oauth2/token", "/pools", "/emulator/clock"):
        began = time.process_time()  # of the client and the emulator, which are one process
        assert ask(emulator, "POST", path, headers=headers, data=form).status_code == 413
        assert time.process_time() - began < to_read


def deep() -> Iterator[str]:
    for depth in (65, 950, 20_000):
        for opening, closing in (("[", "]"), ('{"a":', "}"), ('{"properties":[', "]}")):
            yield opening * depth + "1" + closing * depth
            yield opening * depth


@pytest.mark.parametrize("body", [*deep(), '{"a": NaN}', '{"a": -Infinity}', "[1e", b"\xff\xfe", "9" * 5000])
def test_a_body_that_no_service_reads_is_refused_everywhere(emulator: Emulator, body: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of json, or our own
        json.dumps(read_json(body if isinstance(body, bytes) else body.encode()))[:0] or _refuse(body)
    pool = f"{account_path(emulator)}/pools/p"
    answers = [
        raw(emulator, "PUT", pool, data=body, headers={"Content-Type": "application/json"}),
        raw_data(emulator, "POST", "/pools", data=body, headers=JSON),
        control(emulator, "POST", "/clock", data=body),
        control(emulator, "POST", "/faults", data=body),
        control(emulator, "PUT", "/scenario", data=body),
    ]
    assert [answer.status_code for answer in answers] == [400] * len(answers)


def _refuse(body: object) -> None:
    raise ValueError(body)


@given(st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3)))
def test_what_is_not_deep_is_read_as_it_is(value: object) -> None:
    assert read_json(json.dumps(value).encode()) == value


def test_the_depth_that_is_read() -> None:
    assert read_json(b"[" * 64 + b"]" * 64)
    with pytest.raises(ValueError, match="too deep"):
        read_json(b"[" * 65 + b"]" * 65)


# --- filters -----------------------------------------------------------------------------------------------


def test_a_wide_filter_is_read() -> None:
    wide = " and ".join(["(id eq 'a' or not id eq 'a')"] * 500)
    assert read_filter(wide, {"id": "text"})({"id": "b"})


@pytest.mark.parametrize("depth", [65, 400, 5_000])
@pytest.mark.parametrize(
    ("opening", "closing"), [("(", ")"), ("not ", ""), ("not (", ")"), ("(id eq 'a' and ", ")")]
)
def test_a_deep_filter_is_refused(depth: int, opening: str, closing: str) -> None:
    for text in (f"{opening * depth}id eq 'a'{closing * depth}", opening * depth):
        with pytest.raises(RefusedError, match=r"deep|early"):
            read_filter(text, {"id": "text"})


@given(st.integers(1, 40), st.sampled_from(["not ", "("]))
def test_a_filter_that_is_not_deep_is_read(depth: int, opening: str) -> None:
    test = read_filter(
        opening * depth + "id eq 'a'" + (")" * depth if opening == "(" else ""), {"id": "text"}
    )
    assert test({"id": "a"}) is (opening == "(" or depth % 2 == 0)


# --- times and numbers -------------------------------------------------------------------------------------

HUGE = ["P999999999D", "P9999999999Y", f"PT{'9' * 90}H", "P99999Y", "PT1E9S", "-PT5M", "", "P", 5, None]
_SAMPLE = "$PendingTasks.GetSample"
FORMULAS = [
    *(f"{_SAMPLE}({what})" for what in ("TimeInterval_Year * 9000", "TimeInterval_Year * 1e12", "0 - 1e300")),
    *(f"{_SAMPLE}({what})" for what in ("1e308 * 10", "time() - TimeInterval_Year * 2000, time()")),
    *("floor(1e308 * 10)", "round(1e308 * 10 - 1e308 * 10)", "ceil(0 - 1e308 * 10)", "1e308 * 10"),
    *("-" * 4000 + "1", "!" * 4000 + "1", "1+" * 3000 + "1", "std(1e308, 0 - 1e308)"),
    *("time() + TimeInterval_Year * 8000", "TimeInterval_Year * 1e300", f"val({_SAMPLE}(1), 1e300)"),
]


def test_no_duration_and_no_number_breaks_it(emulator: Emulator) -> None:
    """Of a pool, of a resize and of a formula, which is refused or told as an error of its evaluation."""
    scaled = data_pool("scaled", enableAutoScale=True, autoScaleFormula="$TargetDedicated=1;")
    scaled.pop("targetDedicatedNodes")
    assert raw_data(emulator, "POST", "/pools", json=scaled, headers=JSON).status_code == 201
    emulator.clock.advance(120)
    sent: list[tuple[str, dict[str, Any]]] = [
        *(("/pools", data_pool("p", 0, resizeTimeout=huge)) for huge in HUGE),
        *(("/pools/scaled/resize", {"targetDedicatedNodes": 1, "resizeTimeout": huge}) for huge in HUGE),
        *(
            ("/pools/scaled/evaluateautoscale", {"autoScaleFormula": f"{name}={formula};"})
            for formula in FORMULAS
            for name in ("a", "$TargetDedicated")
        ),
    ]
    statuses = {
        (path, str(body)[-80:]): raw_data(emulator, "POST", path, json=body, headers=JSON).status_code
        for path, body in sent
    }
    assert {what: status for what, status in statuses.items() if status >= 500} == {}
    assert raw_data(emulator, "GET", "/pools").status_code == 200


@pytest.mark.parametrize("seconds", ["1e300", "3e11", "Infinity", "NaN", "-1", "9" * 400])
def test_no_jump_breaks_the_clock(emulator: Emulator, seconds: str) -> None:
    before = emulator.clock.now()
    assert control(emulator, "POST", "/clock", data=f'{{"advance": {seconds}}}').status_code == 400
    assert emulator.clock.now() == before


@settings(max_examples=30)
@given(st.floats(min_value=0, max_value=1e300), st.lists(st.floats(min_value=0), max_size=3))
def test_a_clock_never_comes_to_its_end(scale: float, jumps: list[float]) -> None:
    clock = Clock(scale)
    for jump in jumps:
        before = clock.now()
        try:
            assert clock.advance(jump) >= before
        except ValueError:
            assert jump > 1e9
    assert clock.now().year <= 9000
