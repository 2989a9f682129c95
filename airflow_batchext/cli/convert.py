"""``batchext convert``: writes a pool document in another form, and says what could not be carried.

Exit status: 0 all was carried, 1 something could not be, or the document could not be understood, 2 it could
not be done: no such file, bad options.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_batchext.loose_json.documents import rewritten

if TYPE_CHECKING:
    from airflow_batchext.pool_spec import PoolDocument

_FORMS = ("arm", "yaml", "data-plane", "template", "builder")
_TEMPLATE = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"
_API_VERSION = "2025-06-01"
_USAGE_ERROR = 2

Lost = list[tuple[str, str]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command and its options."""
    parser.description = (
        "Write a pool document in another form: the body of ARM's call (JSON or YAML), that of the data "
        "plane's (az batch pool create --json-file), an ARM template, or Python for a DAG file. It takes all "
        "forms that validate takes. What the other form has no place for is said on the standard error."
    )
    parser.add_argument("file", metavar="FILE", help="JSON or YAML file, or - for standard input")
    parser.add_argument("--to", choices=_FORMS, default="arm", help="the form to write (default: arm)")
    parser.add_argument("--pool", metavar="NAME", help="of several pools, this one")
    parser.add_argument("-o", "--output", metavar="FILE", help="where to write it; by default it is printed")


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    from airflow_batchext.cli.validate.reading import UsageError, read_source
    from airflow_batchext.pool_spec import DocumentChoiceError, choose_pool

    try:
        source = read_source(arguments.file, None)
    except UsageError as error:
        return _say(str(error), _USAGE_ERROR)
    if source.flaw is not None:
        where = f"{source.name}:{source.flaw.line}:{source.flaw.column}"
        return _say(f"{where}: {source.flaw.problem}", 1)
    try:
        pools = list(source.pools)
        if arguments.pool is not None:
            pools = [choose_pool(pools, arguments.pool, source=source.name)]
        text, lost = converted(pools, arguments.to)
    except (DocumentChoiceError, ValueError) as error:
        return _say(str(error), 1)
    return write(text, lost, arguments.output)


def write(text: str, lost: Lost, output: str | None) -> int:
    """Write a document, and say what is not in it."""
    if output is None:
        sys.stdout.write(text)
    else:
        try:
            Path(output).write_text(text, encoding="utf-8")
        except OSError as error:
            return _say(f"{output} cannot be written: {error.strerror}", _USAGE_ERROR)
    for path, why in lost:
        _say(f"not carried: {path}: {why}", 1)
    return 1 if lost else 0


def converted(pools: Sequence[PoolDocument], form: str) -> tuple[str, Lost]:
    """The text of pools in a form, and what could not be carried.

    :raises ValueError: if one of them is no pool.
    """
    from airflow_batchext.pool_spec._planes import (
        is_data_plane,
        to_data_plane,
        to_management_plane,
        without_read_only,
    )
    from airflow_batchext.pool_spec._respell import respell
    from airflow_batchext.pool_spec._sdk_schema import data_plane_schema, pool_schema

    management, data = pool_schema(), data_plane_schema()
    if management is None or data is None:
        raise ValueError("the installed SDKs are built in a way that is not known here")
    bodies: list[dict[str, Any]] = []
    lost: Lost = []
    for pool in pools:
        body = _pool(pool)
        lost += pool.lost
        if is_data_plane(body) == (form == "data-plane"):
            bodies.append(body if form == "data-plane" else without_read_only(body, management))
            continue
        found = (
            to_data_plane(respell(body, management).document, management, data)
            if form == "data-plane"
            else to_management_plane(body, management, data)
        )
        bodies.append(found.body)
        lost += found.lost
    if form != "builder":
        return _text(bodies, form), lost
    from airflow_batchext.cli.builder_code import builder_code

    text, unsaid = builder_code([respell(body, management).document for body in bodies])
    return text, lost + unsaid


def _pool(pool: PoolDocument) -> dict[str, Any]:
    from airflow_batchext.pool_spec._planes import is_data_plane
    from airflow_batchext.pool_spec._recognise import not_a_pool

    if not isinstance(pool.body, Mapping):
        raise ValueError("this is no pool")  # noqa: TRY004 - it is what was read, not how it was called
    other = not_a_pool(pool.body)
    if other is not None:
        raise ValueError(f"{other.problem}. {other.fix}")
    if not is_data_plane(pool.body) and not isinstance(pool.body.get("properties"), Mapping):
        raise ValueError("properties is missing, so this is no pool as yet: batchext validate says more")
    return dict(pool.body)


def _text(bodies: list[dict[str, Any]], form: str) -> str:
    if form == "template":
        return json_text(_template(bodies))
    if form == "yaml":
        return yaml_text(bodies)
    return json_text(bodies[0] if len(bodies) == 1 else bodies)


def json_text(value: object) -> str:
    """A value as JSON for people, in UTF-8."""
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    return text if _is_plain(text) else json.dumps(value, indent=2) + "\n"


def yaml_text(bodies: list[dict[str, Any]]) -> str:
    """Values as YAML for people, in UTF-8, each a document."""
    import yaml

    text: str = yaml.safe_dump_all(bodies, sort_keys=False, allow_unicode=True, width=110)
    return text if _is_plain(text) else yaml.safe_dump_all(bodies, sort_keys=False, width=110)


def _is_plain(text: str) -> bool:
    """Whether nothing in it has to be escaped: half of a character, or what a terminal obeys."""
    return all(line.isprintable() for line in text.split("\n"))


def _template(bodies: list[dict[str, Any]]) -> dict[str, Any]:
    resources = [
        {
            "type": "Microsoft.Batch/batchAccounts/pools",
            "apiVersion": _API_VERSION,
            "name": f"[format('{{0}}/{{1}}', parameters('batchAccountName'), '{_quoted(body)}')]",
            **rewritten(
                {key: item for key, item in body.items() if key not in ("name", "type")},
                lambda value, _: _literal(value),
                name=_literal,
            ),
        }
        for body in bodies
    ]
    return {
        "$schema": _TEMPLATE,
        "contentVersion": "1.0.0.0",
        "parameters": {"batchAccountName": {"type": "string"}},
        "resources": resources,
    }


def _quoted(body: Mapping[str, Any]) -> str:
    return str(body.get("name", "pool")).replace("'", "''")


def _literal(value: Any) -> Any:
    """A text so that a template does not take it for an expression."""
    return f"[{value}" if isinstance(value, str) and value.startswith("[") and value.endswith("]") else value


def _say(text: str, status: int) -> int:
    from airflow_batchext.cli.validate.report import clean

    sys.stderr.write(f"batchext convert: {clean(text)}\n")
    return status
