"""The command ``batchext validate``: what it prints, and how it ends."""

from __future__ import annotations

import copy
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from airflow_batchext.cli.main import main
from tests.pool_spec.documents import ABSENT, EXTENSION, GOOD, MACHINE, SENTINEL, with_change

ROOT = Path(__file__).parents[3]
WRONG = with_change("properties.vmsize", "x")
DOUBTFUL = with_change("properties.interNodeCommunication", "Enable")


@pytest.fixture
def file(tmp_path, monkeypatch):
    """Write a file beside which the command runs, and return its name."""
    monkeypatch.chdir(tmp_path)

    def write(content, name="pool.json"):
        if not isinstance(content, (str, bytes)):
            dump = json.dumps(content, indent=2) if name.endswith(".json") else yaml.safe_dump(content)
            content = dump
        (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
        return name

    return write


@pytest.fixture
def validate(capsys):
    """Run the command; return its status, output and errors."""

    def run(*arguments):
        status = main(["validate", *arguments])
        out, err = capsys.readouterr()
        return status, out, err

    return run


def test_a_good_document_is_one_line_and_status_0(file, validate):
    assert validate(file(GOOD)) == (0, "1 pool in 1 file: nothing wrong\n", "")


def test_an_error_is_told_with_its_line_its_fix_and_its_link(file, validate):
    status, out, err = validate(file(WRONG))
    line = [*json.dumps(WRONG, indent=2).splitlines()].index('    "vmsize": "x"') + 1
    assert (status, err) == (1, "")
    assert out == (
        f"pool.json:{line}:5: error: there is no member 'vmsize' in properties\n"
        "    at properties.vmsize\n"
        "    It is spelt vmSize.\n"
        "    https://learn.microsoft.com/rest/api/batchmanagement/pool/create\n"
        "1 pool in 1 file: 1 error, 0 warnings\n"
    )


def test_warnings_fail_only_where_they_are_to(file, validate):
    name = file(DOUBTFUL)
    assert validate(name)[0] == 0
    status, out, _ = validate(name, "--strict")
    assert status == 1
    assert ": warning: 'Enable' is no interNodeCommunication that azure-mgmt-batch" in out
    assert "Did you mean Enabled?\n" in out


def test_errors_come_before_warnings_and_each_in_the_order_of_the_text(file, validate):
    document = with_change("properties.vmsize", "x", with_change("name", "a b", DOUBTFUL))
    _, out, _ = validate(file(document))
    heads = [line.split(": ")[:2] for line in out.splitlines() if line.startswith("pool.json")]
    assert [severity for _, severity in heads] == ["error", "error", "warning"]
    lines = [int(place.split(":")[1]) for place, _ in heads]
    assert lines[0] == 2
    assert lines[0] < lines[1]


def test_json_is_one_object_with_everything(file, validate):
    status, out, _ = validate(file(WRONG), file(GOOD, "good.yaml"), "--json")
    answer = json.loads(out)
    assert status == 1
    assert (answer["errors"], answer["warnings"]) == (1, 0)
    assert [(pool["file"], pool["pool"]) for pool in answer["pools"]] == [
        ("pool.json", "pool1"),
        ("good.yaml", "pool1"),
    ]
    (finding,) = answer["pools"][0]["findings"]
    assert finding == {
        "severity": "error",
        "path": "properties.vmsize",
        "line": finding["line"],
        "column": 5,
        "problem": "there is no member 'vmsize' in properties",
        "mend": "It is spelt vmSize",
        "link": "https://learn.microsoft.com/rest/api/batchmanagement/pool/create",
    }
    assert answer["pools"][1]["findings"] == []


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("bad.json", '{\n  "name": SENTINEL\n}', "bad.json:2:11: error: not valid JSON"),
        ("bad.yaml", "a: [1", "bad.yaml:1:6: error: not valid YAML"),
        ("empty.yaml", "", "empty.yaml:1:1: error: is empty"),
        ("latin.json", b'{\n"a": "\xe4"}', "latin.json:2:7: error: is not text in UTF-8"),
        ("large.json", b" " * (1024 * 1024 + 1), "large.json:1:1: error: is larger than 1 MiB"),
        ("list.json", "[]", "list.json:1:1: error: is an empty list"),
    ],
)
def test_a_text_that_cannot_be_understood_is_an_error_at_its_place(file, validate, name, content, said):
    status, out, err = validate(file(content, name))
    assert (status, err) == (1, "")
    assert out.startswith(said)
    assert "SENTINEL" not in out
    assert out.endswith("0 pools in 1 file: 1 error, 0 warnings\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["missing.json"], "missing.json cannot be read: No such file or directory"),
        (["."], ". cannot be read: Is a directory"),
        (["a\0b"], "cannot be read: not a path"),
        (["pool.json", "--set", "novalue"], "--set wants NAME=VALUE"),
        (["pool.json", "--set", "a b=1"], "--set wants NAME=VALUE"),
        (["pool.json", "--set", "a=1", "--set", "a.b=1"], "a has a value already"),
        (["pool.json", "--vars", "missing.yaml"], "--vars missing.yaml cannot be read"),
        (["pool.json", "--vars", "bad.yaml"], "--vars bad.yaml, line 1, column 6: not valid YAML"),
        (["two.yaml", "--pool", "third"], "two.yaml holds no pool of the name 'third'; it has: pool1, other"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_status_2(file, validate, arguments, said):
    file(GOOD)
    file("a: [1", "bad.yaml")
    file(yaml.safe_dump_all([GOOD, {**GOOD, "name": "other"}]), "two.yaml")
    status, out, err = validate(*arguments)
    assert (status, out) == (2, "")
    assert said in err
    assert len(err.splitlines()) == 1


def test_every_pool_of_a_file_is_checked_and_one_can_be_chosen(file, validate):
    other = copy.deepcopy(WRONG) | {"name": "other"}
    name = file(yaml.safe_dump_all([GOOD, other]), "pools.yaml")
    status, out, _ = validate(name)
    assert status == 1
    assert "at properties.vmsize of pool other\n" in out
    assert out.endswith("2 pools in 1 file: 1 error, 0 warnings\n")
    place = int(out.split(":")[1])
    assert (Path(name).read_text().splitlines()[place - 1]).strip() == "vmsize: x"
    assert validate(name, "--pool", "POOL1")[0] == 0
    assert validate(name, "--pool", "other")[0] == 1


def test_a_finding_in_a_list_or_an_example_has_its_own_line(file, validate):
    wrapped = {"parameters": {"poolName": "p", "parameters": WRONG}}
    for document in ([GOOD, WRONG], wrapped):
        name = file(document)
        _, out, _ = validate(name)
        place = int(out.split(":")[1])
        assert Path(name).read_text().splitlines()[place - 1].strip() == '"vmsize": "x"'


def test_the_name_may_come_from_the_operator(file, validate):
    name = file(with_change("name", ABSENT))
    assert validate(name)[0] == 0
    assert validate(name, "--pool", "p1")[0] == 0
    status, out, _ = validate(name, "--pool", "p 1")
    assert status == 1
    assert "'p 1' is no name for a pool" in out


def test_templates_are_told_and_rendered_when_values_are_given(file, validate):
    path = "properties.scaleSettings.fixedScale.targetDedicatedNodes"
    name = file(with_change(path, "{{ params.nodes | default(2) }}"))
    status, out, _ = validate(name)
    assert status == 1
    assert "this looks like an unrendered template" in out
    assert "Give their values with --set NAME=VALUE or --vars FILE." in out
    assert validate(name, "--set", "params.nodes=3")[0] == 0
    assert validate(name, "--set", "ds=2026-01-01")[0] == 0
    assert validate(name, "--set", 'params={"nodes": 3}')[0] == 0
    assert validate(name, "--vars", file("params:\n  nodes: 3\n", "v.yaml"))[0] == 0
    status, out, _ = validate(name, "--set", "params.nodes=many")
    assert status == 1
    assert "targetDedicatedNodes is not a whole number" in out


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: {{ nobody }}\n", "cannot be rendered: 'nobody' is undefined"),
        ("name: a\n{% if %}\n", "pool.yaml:2:1: error: the template cannot be rendered"),
        ("{{ 1 / 0 }}", "cannot be rendered (ZeroDivisionError)"),
        ("{{ ''.__class__.__mro__ }}", "unsafe"),
    ],
)
def test_a_template_that_cannot_be_rendered_is_an_error(file, validate, text, said):
    status, out, _ = validate(file(text, "pool.yaml"), "--set", "x=1")
    assert status == 1
    assert said in out


def test_the_shipped_documents_are_right(validate):
    files = sorted(map(str, (ROOT / "dags" / "pools").iterdir()))
    assert files
    assert validate(*files, "--set", "params.nodes=2", "--strict")[0] == 0


def test_standard_input_is_read(monkeypatch, validate):
    class Input:
        buffer = io.BytesIO(json.dumps(WRONG).encode())

    monkeypatch.setattr("sys.stdin", Input)
    status, out, _ = validate("-")
    assert status == 1
    assert out.startswith("stdin:1:")


SECRETS = [
    f"{EXTENSION}.protectedSettings",
    f"{EXTENSION}.protectedSetting",
    f"{EXTENSION}.settings.storageAccountKey",
    f"{MACHINE}.extensions[2].protected_settings",
]


@pytest.mark.parametrize("place", SECRETS)
@pytest.mark.parametrize(
    "value", [SENTINEL, {"a": SENTINEL}, [SENTINEL], {SENTINEL: 1}, {"a": "{{ " + SENTINEL + " }}"}]
)
@pytest.mark.parametrize("how", [[], ["--json"]])
def test_no_secret_is_ever_printed(file, validate, place, value, how):
    _, out, err = validate(file(with_change(place, value)), *how)
    assert SENTINEL not in out + err


def test_names_from_a_document_reach_the_terminal_without_control_characters(file, validate):
    document = with_change("name", "\x1b[31m", with_change("properties.\x1b]0;x\x07", 1))
    _, out, _ = validate(file(document))
    assert "\x1b" not in out
    assert "\x07" not in out
    _, out, _ = validate(file(yaml.safe_dump_all([document, WRONG]), "\x1b[1m.yaml"))
    assert "\x1b" not in out


def test_markup_in_a_document_is_text(file, validate):
    document = copy.deepcopy(GOOD)
    document["properties"]["[red]x"] = 1
    _, out, _ = validate(file(document))
    assert "there is no member '[red]x' in properties" in out


def test_long_lines_are_not_broken(file, validate):
    _, out, _ = validate(file(with_change(f"{MACHINE}.imageReference.id", "x")))
    assert max(map(len, out.splitlines())) > 90


def test_neither_airflow_nor_the_sdks_client_is_loaded_for_a_file(tmp_path):
    (tmp_path / "p.json").write_text(json.dumps(GOOD))
    code = (
        "import sys; from airflow_batchext.cli.main import main\n"
        f"assert main(['validate', {str(tmp_path / 'p.json')!r}]) == 0\n"
        "print(sorted({m.split('.')[0] for m in sys.modules} & {'airflow', 'aiohttp', 'msal'}))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "[]"


def test_what_is_wrong_in_a_body_of_the_data_plane_is_told_once(file, validate):
    body = {"id": "$pool", "vmSize": "${size}", "virtualMachineConfiguration": {}, "maxTasksPerNode": "<n>"}
    status, out, _ = validate("--json", file(body))
    assert status == 1
    (pool,) = json.loads(out)["pools"]
    told = [(finding["path"], finding["problem"]) for finding in pool["findings"]]
    assert len(told) == len(set(told))
    assert {"id", "vmSize", "maxTasksPerNode"} <= {path for path, _ in told}
