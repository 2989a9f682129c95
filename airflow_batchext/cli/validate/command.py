"""``batchext validate``: its options, and what it does with each file.

Exit status: 0 if nothing is wrong, 1 if there are errors (with --strict warnings too), 2 if it could not do
what it was asked: no such file, bad options, no access to the account.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_batchext.cli.validate.reading import Source
    from airflow_batchext.cli.validate.report import Checked
    from airflow_batchext.pool_spec import Finding, PoolDocument

_DESCRIPTION = (
    "Say what is wrong with pool documents, before anything is created: members that Azure does not know, "
    "wrong types, missing parts, extensions that cannot work, secrets in the open. A file is JSON or YAML: "
    "the body of the call that creates a pool, a list of such bodies, or several YAML documents; an ARM "
    "template, what az, terraform show -json or as_dict() prints, a .tf.json, an example of Microsoft's."
)
_EXAMPLES = """\
examples:
  batchext validate pools/*.yaml
  batchext validate pools/p1.json --set params.nodes=3      with templates in it
  batchext validate pools.yaml --pool gpu --strict          one pool; warnings count, too
  batchext validate - --json < pool.json                    for programs
  batchext validate pool.json --against azure_batchext_default
                                                            quota, images and pools of the account

exit status: 0 nothing wrong, 1 errors (with --strict also warnings), 2 it could not be done
"""
_NO_NAME = "unnamed"
_USAGE_ERROR = 2

#: Finds what the account cannot give to a pool, by its name and body.
AccountCheck = Callable[[str, Mapping[str, Any]], "list[Finding]"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command and its options."""
    parser.description = _DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EXAMPLES
    parser.add_argument("files", nargs="+", metavar="FILE", help="JSON or YAML file, or - for standard input")
    parser.add_argument("--pool", metavar="NAME", help="look at this pool only; of a single pool, its name")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")
    parser.add_argument("--strict", action="store_true", help="exit with 1 for warnings, too")
    parser.add_argument(
        "--set",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        dest="settings",
        help="render the files, as Airflow would, with this value (JSON or text); may be given several times",
    )
    parser.add_argument("--vars", metavar="FILE", help="render the files with the values of this file")
    parser.add_argument(
        "--against",
        metavar="CONN_ID",
        help="also ask the Batch account of this Airflow connection: quota, supported images, existing pools",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    from rich.console import Console

    from airflow_batchext.cli._pool import logs_aside
    from airflow_batchext.cli.validate.reading import UsageError, read_variables
    from airflow_batchext.cli.validate.report import count, print_json, print_lines

    checked: list[Checked] = []
    try:
        variables = read_variables(arguments.vars, arguments.settings)
        sources, unreadable = _read_all(arguments.files, variables)
        if arguments.against is None:
            checked = _check_all(sources, arguments.pool, None)
        else:
            with logs_aside():
                from airflow_batchext.cli.validate.against import asked

                with asked(arguments.against) as account_check:
                    checked = _check_all(sources, arguments.pool, account_check)
    except UsageError as error:
        sys.stderr.write(f"batchext validate: {error}\n")
        return _USAGE_ERROR
    console = Console(highlight=False, markup=False, emoji=False)
    if unreadable and not sources:
        return _USAGE_ERROR
    if arguments.json:
        print_json(console, checked)
    else:
        has_templates = variables is None and any("{{" in s.text or "{%" in s.text for s in sources)
        print_lines(console, checked, has_templates=has_templates)
    if unreadable:
        return _USAGE_ERROR
    return 1 if count(checked, "error") or (arguments.strict and count(checked, "warning")) else 0


def _read_all(paths: Sequence[str], variables: Mapping[str, Any] | None) -> tuple[list[Source], bool]:
    """What could be read, and whether something could not: the others are looked at all the same."""
    from airflow_batchext.cli.validate.reading import UsageError, read_source

    sources, unreadable = [], False
    for path in paths:
        try:
            sources.append(read_source(path, variables))
        except UsageError as error:
            sys.stderr.write(f"batchext validate: {error}\n")
            unreadable = True
    return sources, unreadable


def _check_all(
    sources: Sequence[Source], name: str | None, account_check: AccountCheck | None
) -> list[Checked]:
    from airflow_batchext.cli.validate.reading import UsageError
    from airflow_batchext.cli.validate.report import Checked
    from airflow_batchext.pool_spec import DocumentChoiceError, choose_pool

    checked = []
    for source in sources:
        if source.flaw is not None:
            checked.append(Checked(source.name, "", [source.flaw]))
            continue
        pools = list(source.pools)
        if name is not None:
            try:
                pools = [choose_pool(pools, name, source=source.name)]
            except DocumentChoiceError as error:
                raise UsageError(str(error)) from None
        for pool in pools:
            findings = source.located(_check(pool, name, account_check), pool)
            checked.append(Checked(source.name, name or pool.name or "(no name)", findings))
    return checked


def _check(pool: PoolDocument, name: str | None, account_check: AccountCheck | None) -> list[Finding]:
    """Check one pool. One without a name is one that gets it from the operator's ``pool_id``."""
    from airflow_batchext.pool_spec._finding import warning
    from airflow_batchext.pool_spec._sdk_schema import check_pool

    nameless = name is None and isinstance(pool.body, Mapping) and pool.body.get("name") is None
    findings = check_pool(pool.body, pool_id=_NO_NAME if nameless else name)
    told = {(finding.path, finding.problem) for finding in findings}
    within = _of_the_data_plane(pool.body, name)
    findings += [finding for finding in within if (finding.path, finding.problem) not in told]
    findings += [
        warning(path, f"this cannot be carried: {why}", "See to it yourself") for path, why in pool.lost
    ]
    if account_check is not None and isinstance(pool.body, Mapping):
        findings += account_check(name or pool.name, pool.body)
    return findings


def _of_the_data_plane(body: object, name: str | None) -> list[Finding]:
    from airflow_batchext.pool_spec._check_data_plane import check_data_plane
    from airflow_batchext.pool_spec._planes import is_data_plane
    from airflow_batchext.pool_spec._sdk_schema import check_pool, data_plane_schema, pool_schema

    management, data = pool_schema(), data_plane_schema()
    if not isinstance(body, Mapping) or not is_data_plane(body) or management is None or data is None:
        return []
    pool_id = name or str(body.get("id") or _NO_NAME)
    return check_data_plane(body, management, data, lambda found: check_pool(found, pool_id=pool_id))
