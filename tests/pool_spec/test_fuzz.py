"""Whatever a file holds: it is read or refused, in bounded time and memory, and its secrets stay unseen."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
import time
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_batchext.cli.main import main
from airflow_batchext.pool_spec import (
    DocumentSyntaxError,
    Positions,
    parse_pools,
    request_body,
)
from airflow_batchext.pool_spec._sdk_schema import check_pool
from airflow_batchext.secrets.redact import redact
from tests.examples import examples
from tests.pool_spec.documents import ANYTHING, GOOD, SENTINEL, paths_of, with_change

#: Of the processor, not of the wall: what else the machine does is not counted.
LONGEST_SECONDS = 20
"""Of one example, on a busy machine; the slowest seen took an eighth of it."""
TEXTS = [json.dumps(GOOD), json.dumps(GOOD, indent=2), yaml.safe_dump(GOOD), yaml.safe_dump_all([GOOD, GOOD])]
NASTY = st.sampled_from(
    [
        "\0",
        "\ufeff",
        "\ud800",
        "\udfff",
        "\u2028",
        "\x85",
        "\x1b[2J",
        "{{",
        "}}",
        "{% raw %}",
        "&a ",
        "*a",
        "<<: ",
        "!!python/object/apply:os.system ",
        "!!binary ",
        "? ",
        "- ",
        "---\n",
        "...\n",
        "|\n",
        ">-\n",
        "%YAML 1.1\n",
        "#",
        "'",
        '"',
        "\\",
        "\t",
        "[",
        "]",
        "{",
        "}",
        ",",
        ":",
        ": ",
        "NaN",
        "-Infinity",
        "1e999",
        "0x1F",
        "0o17",
        "1_000",
        "2026-01-01",
        "~",
        "9" * 500,
        "1:30:00",
        "=",
        "\r",
    ]
)
SOURCES = st.sampled_from(["p.json", "p.yaml", "pool_document"])


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """A document's text with pieces cut out, doubled, and nasty ones put in."""
    text = draw(st.sampled_from(TEXTS))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(len(text), start + 40)))
        piece = draw(st.sampled_from(["", text[start:end] * 2]) | NASTY | st.text(max_size=4))
        text = text[:start] + piece + text[end:]
    return text


def read_and_check(text: str, source: str) -> None:
    """Do all that is done with a text; only a syntax error may come out."""
    started = time.thread_time()
    refusal, pools = None, []
    try:
        pools = parse_pools(text, source=source)
    except DocumentSyntaxError as error:
        refusal = error
    if refusal is not None:
        assert refusal.line >= 1
        assert refusal.column >= 1
        assert len(str(refusal)) < 400
    else:
        places = Positions(text)
        for pool in pools:
            for finding in check_pool(pool.body):
                assert len(str(finding).splitlines()) == 1
                line, column = places.place(finding.path, part=pool.part)
                assert line >= 1
                assert column >= 1
            if isinstance(pool.body, dict):
                json.dumps(request_body(pool.body))
                json.dumps(redact(pool.body))
    assert time.thread_time() - started < LONGEST_SECONDS


@given(st.text() | mutated(), SOURCES)
@settings(deadline=None, max_examples=examples(300))
def test_any_text_is_read_and_checked_or_refused(text, source):
    read_and_check(text, source)


@given(st.binary(max_size=400) | mutated().map(lambda text: text.encode("utf-8", "surrogatepass")))
@settings(
    deadline=None, max_examples=examples(150), suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_validate_ends_well_on_any_file(tmp_path, capsys, content):
    file = tmp_path / "pool.yaml"
    file.write_bytes(content)
    for arguments in ([], ["--json"], ["--set", "params.a=1"]):
        assert main(["validate", str(file), *arguments]) in (0, 1)
        out, err = capsys.readouterr()
        assert err == ""
        assert "Traceback" not in out
        if "--json" in arguments:
            assert json.loads(out)["pools"]


@given(st.sampled_from(paths_of(GOOD)), ANYTHING)
@settings(deadline=None, max_examples=examples(400))
def test_a_wrong_value_at_any_place_of_a_document_is_told_or_taken(path, value):
    document = with_change(path, value)
    before = copy.deepcopy(document)
    findings = check_pool(document)
    assert document == before or document != document  # a NaN is not itself
    assert findings == check_pool(document)
    assert len(findings) <= 101


WRONG = [
    None,
    True,
    0,
    -1,
    1.5,
    "",
    "x",
    [],
    [None],
    {},
    {"x": 1},
    {None: 1},
    "\ud800",
    "9" * 30,
    10**400,
    b"x",
    object(),
]


@pytest.mark.parametrize("path", paths_of(GOOD))
def test_every_wrong_type_at_every_place_is_taken_or_told(path):
    for value in WRONG:
        for finding in check_pool(with_change(path, value)):
            assert finding.problem
            assert finding.fix


@given(st.data())
@settings(
    deadline=None, max_examples=examples(100), suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_secret_is_never_printed_whatever_is_wrong_around_it(tmp_path, capsys, data):
    document: Any = copy.deepcopy(GOOD)
    machine = document["properties"]["deploymentConfiguration"]["virtualMachineConfiguration"]
    kind = data.draw(
        st.sampled_from(["protectedSettings", "protectedSetting", "protected_settings", "Protectedsettings"])
    )
    machine["extensions"][0][kind] = data.draw(
        st.sampled_from(
            [SENTINEL, [SENTINEL], {"k": SENTINEL}, {SENTINEL: 1}, {"a": {"b": f"{{{{ {SENTINEL} }}}}"}}]
        )
    )
    text = data.draw(st.sampled_from([json.dumps, lambda d: json.dumps(d, indent=1), yaml.safe_dump]))(
        document
    )
    if data.draw(st.booleans()):
        at = data.draw(st.integers(0, len(text)))
        text = text[:at] + data.draw(NASTY) + text[at:]
    # Where the text itself was cut so that no secret member is around it any more, it is no secret.
    file = tmp_path / data.draw(st.sampled_from(["p.json", "p.yaml"]))
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    main(["validate", str(file)])
    out, err = capsys.readouterr()
    if re.search(rf"['\"]?{kind}['\"]?\s*:\s*[\[{{\"']?[^,}}]*{SENTINEL}", text, re.DOTALL):
        assert SENTINEL not in out + err


BOMBS = {
    "aliases": "a: &a [x,x,x,x,x,x,x,x,x]\n"
    + "".join(f"{chr(98 + i)}: &{chr(98 + i)} [{','.join([f'*{chr(97 + i)}'] * 9)}]\n" for i in range(20)),
    "merge keys": "a: &a {x: 1}\n" + "".join(f"b{i}: {{<<: *a}}\n" for i in range(10000)),
    "deep yaml": "[" * 100_000,
    "deep flow": "{a: " * 50_000,
    "deep block": "".join(" " * i + "a:\n" for i in range(1200)),
    "deep json": '{"a":' * 100_000 + "1" + "}" * 100_000,
    "deep list": "[" * 200_000 + "]" * 200_000,
    "wide json": json.dumps({str(i): i for i in range(70_000)}),
    "wide list": json.dumps([{} for _ in range(200_000)]),
    "wide extensions": json.dumps(
        {
            "properties": {
                "deploymentConfiguration": {
                    "virtualMachineConfiguration": {"extensions": [{"name": "x"} for _ in range(40_000)]}
                }
            }
        }
    ),
    "wide yaml": "".join(f"k{i}: v\n" for i in range(80_000)),
    "many documents": "---\na: 1\n" * 80_000,
    "huge key": json.dumps({"k" * 1_000_000: 1}),
    "huge text": json.dumps({"name": "x" * 1_000_000}),
    "huge number": '{"a": ' + "9" * 1_000_000 + "}",
    "huge exponent": '{"a": 1e' + "9" * 100_000 + "}",
    "huge yaml number": "a: " + "9" * 100_000,
    "sexagesimal": "a: " + "1:" * 500_000 + "1",
    "escapes": json.dumps({"name": "\0" * 150_000}),
    "unclosed": '{"a": "' + "\\" * 500_000,
    "templates": json.dumps({"name": "{{" * 200_000 + "}}" * 200_000}),
    "circle of waits": json.dumps(
        {
            "properties": {
                "deploymentConfiguration": {
                    "virtualMachineConfiguration": {
                        "extensions": [
                            {"name": f"e{i}", "provisionAfterExtensions": [f"e{j}" for j in range(100)]}
                            for i in range(100)
                        ]
                    }
                }
            }
        }
    ),
    "formula": json.dumps({"properties": {"scaleSettings": {"autoScale": {"formula": "$Target" * 140_000}}}}),
    "spaces": " " * 1_000_000,
    "newlines": "\n" * 1_000_000,
    "comments": "#\n" * 500_000,
    "quotes": "'" * 1_000_000,
    "signature": json.dumps({"properties": {"startTask": {"commandLine": "?sig=" * 200_000}}}),
    "equals": json.dumps({"properties": {"startTask": {"commandLine": "A" * 86 + "=" * 900_000}}}),
    "shell": json.dumps({"properties": {"startTask": {"commandLine": "a " * 400_000 + "&&"}}}),
    "slashes": json.dumps({"properties": {"networkConfiguration": {"subnetId": "/subscriptions/" * 60_000}}}),
}
BOUND_BYTES = 500 * 1024 * 1024
RUN = """
import gc, os, resource, sys
from airflow_batchext.cli.main import main
# What a check imports, every child has; none of it does a child look at, or take down.
main(["validate", sys.argv.pop(1)])
print(flush=True)
gc.collect()
gc.freeze()
for file in sys.argv[1:]:
    child = os.fork()
    if not child:
        resource.setrlimit(resource.RLIMIT_AS, ({limit}, {limit}))
        resource.setrlimit(resource.RLIMIT_CPU, ({seconds}, {seconds}))
        for number, end in ((1, "out"), (2, "err")):
            os.dup2(os.open(file + "." + end, os.O_CREAT | os.O_WRONLY), number)
        status = main(["validate", file, "--pool", "p"])
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture(scope="module")
def defused(tmp_path_factory):
    """What came of each bomb: exit status, output, errors. Each has a process, all are forked from one."""
    folder = tmp_path_factory.mktemp("bombs")
    files = {name: folder / f"{number}.yaml" for number, name in enumerate(BOMBS)}
    for name, file in files.items():
        file.write_text(BOMBS[name])
    harmless = folder / "harmless.json"
    harmless.write_text(TEXTS[0])
    code = RUN.format(limit=BOUND_BYTES, seconds=LONGEST_SECONDS)
    run = subprocess.run(
        [sys.executable, "-c", code, harmless, *files.values()], capture_output=True, text=True, check=True
    )
    statuses = map(int, run.stdout.splitlines()[-len(files) :])
    return {
        name: (status, *(file.with_name(f"{file.name}.{end}").read_text() for end in ("out", "err")))
        for (name, file), status in zip(files.items(), statuses, strict=True)
    }


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_defused_in_bounded_time_and_memory(name, defused):
    status, output, errors = defused[name]
    assert status in (1, 2), errors[-1000:]
    assert "Traceback" not in errors
    assert "MemoryError" not in errors
    assert 0 < len(output) + len(errors) < 300_000


def test_the_bound_on_memory_is_one():
    code = f"import resource as r; r.setrlimit(r.RLIMIT_AS, ({BOUND_BYTES},) * 2); b'x' * {BOUND_BYTES}"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "MemoryError" in run.stderr
