"""What Airflow reads of the package is what Airflow's own schema asks for, and names real classes."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import airflow
import jsonschema
import pytest
import yaml
from airflow.providers_manager import ProvidersManager

from airflow_batchext.batch.clouds import CLOUDS
from airflow_batchext.connection import SignInKind, parse_connection
from airflow_batchext.provider_info import get_provider_info

AIRFLOW = Path(airflow.__file__).parent


def test_provider_info_satisfies_airflows_schemas():
    info = get_provider_info()
    jsonschema.validate(info, json.loads((AIRFLOW / "provider_info.schema.json").read_text()))
    fields = json.loads((AIRFLOW / "provider.yaml.schema.json").read_text())["properties"]["connection-types"]
    jsonschema.validate(yaml.safe_load(yaml.safe_dump(info["connection-types"])), fields)


def test_the_entry_point_gives_it_to_airflow():
    (entry,) = [e for e in entry_points(group="apache_airflow_provider") if e.dist.name == "airflow-batchext"]
    assert entry.load()() == get_provider_info()
    assert "airflow-batchext" in ProvidersManager().providers


def test_every_module_and_class_it_names_exists():
    info = get_provider_info()
    for kind in ("hooks", "operators", "sensors", "triggers"):
        for entry in info[kind]:
            for module in entry["python-modules"]:
                importlib.import_module(module)
    for path in (*info["extra-links"], *info["notifications"]):
        module, _, name = path.rpartition(".")
        assert hasattr(importlib.import_module(module), name)
    for connection_type in info["connection-types"]:
        module, _, name = connection_type["hook-class-name"].rpartition(".")
        hook = getattr(importlib.import_module(module), name)
        assert hook.conn_type == connection_type["connection-type"]
        assert hook.hook_name == connection_type["hook-name"]


def test_every_field_of_the_form_is_labelled_and_explained():
    (connection_type,) = get_provider_info()["connection-types"]
    fields = connection_type["conn-fields"]
    for field in fields.values():
        assert field["label"]
        assert field["description"]

    assert {name for name, field in fields.items() if field["schema"].get("format") == "password"} == {
        "account_key_secret", "certificate_secret", "certificate_password", "proxy_password"
    }  # fmt: skip


def test_every_field_of_the_form_is_read_and_no_other():
    (connection_type,) = get_provider_info()["connection-types"]
    fields = connection_type["conn-fields"]
    asked: set[str] = set()

    class Extra(dict):
        def get(self, key, default=None):
            asked.add(key)
            return default

    class Given:
        conn_id, conn_type, login, password, extra = "c", "azure_batchext", "id", "secret", "{}"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("airflow_batchext.connection._parse.json.loads", lambda text: Extra())
        parse_connection(Given)
    ours = {name for name in asked if not name.startswith("extra__") and name == name.lower()}
    earlier = {"account_key", "certificate"}
    assert ours == set(fields) | earlier


def test_the_choices_of_the_form_are_those_that_are_understood():
    (connection_type,) = get_provider_info()["connection-types"]
    fields = connection_type["conn-fields"]
    assert fields["auth"]["schema"]["enum"] == [kind.value for kind in SignInKind]
    assert fields["cloud"]["schema"]["enum"] == list(CLOUDS)


def test_reading_it_imports_nothing_heavy():
    code = (
        "import sys; from airflow_batchext.provider_info import get_provider_info; get_provider_info(); "
        "print([m for m in sys.modules if m.split('.')[0] in ('airflow', 'azure', 'pydantic', 'yaml')])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert found.strip() == "[]"


def test_airflows_command_line_shows_the_provider():
    shown = subprocess.run(
        [Path(sys.executable).with_name("airflow"), "providers", "get", "airflow-batchext", "-o", "json"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert '"airflow-batchext"' in shown


def test_the_form_has_its_fields_in_sections_one_after_the_other():
    (connection_type,) = get_provider_info()["connection-types"]
    sections = [field["schema"]["section"] for field in connection_type["conn-fields"].values()]
    assert list(dict.fromkeys(sections)) == ["Account", "Sign-in", "Cloud", "Network"]
    assert sections == sorted(sections, key=list(dict.fromkeys(sections)).index)


def test_airflows_page_of_providers_shows_what_the_metadata_says():
    """Its link is the address of the documentation, where a release names one; no other is made up."""
    from airflow_batchext import documentation

    data = ProvidersManager().providers["airflow-batchext"].data
    assert data.get("documentation-url") in (None, documentation.address() or None)
    assert "Azure Batch" in data["description"]
    assert data["integrations"][0]["external-doc-url"].startswith("https://learn.microsoft.com/")
