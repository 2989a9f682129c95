"""The console script ``batchext``."""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Sequence
from typing import NoReturn

from airflow_batchext import __version__


class _Parser(argparse.ArgumentParser):
    """Leaves with the status that a command has for what it cannot do."""

    usage_status = 2

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the arguments, and leave."""
        self.print_usage(sys.stderr)
        self.exit(self.usage_status, f"{self.prog}: error: {message}\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``batchext``.

    :return: the exit status: 0 success, 1 the thing that was run failed, 2 it could not be run; of ``status``
        and ``diagnose``, 2 says that the pool is not ready yet; of them and of ``orphans``, 3 says that it
        could not be told.
    """
    # Imported here, not above: Airflow reads the package's entry points without wanting any of this.
    from airflow_batchext.cli import convert, diagnose, docs, export, orphans, status
    from airflow_batchext.cli.demo import command as demo
    from airflow_batchext.cli.demo import up
    from airflow_batchext.cli.selftest import command as selftest
    from airflow_batchext.cli.validate import command as validate
    from airflow_batchext.emulator import command as emulator

    argv = sys.argv[1:] if argv is None else argv
    asked_for = next((word for word in argv if not word.startswith("-")), None)
    parser = _Parser(prog="batchext", description="Azure Batch pools with VM extensions, for Apache Airflow.")
    parser.add_argument("--version", action="version", version=f"batchext {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for name, module, summary in (
        ("demo", demo, "run the example DAG through Airflow on the emulator, and watch it"),
        ("up", up, "run Airflow with its web page on the emulator, with the examples, until stopped"),
        ("emulator", emulator, "serve an emulated Azure Batch account until stopped"),
        ("validate", validate, "say what is wrong with pool documents, before anything is created"),
        ("convert", convert, "write a pool document in another form"),
        ("export", export, "write the document of a pool that exists"),
        ("status", status, "show how a pool, its nodes and their extensions are"),
        ("diagnose", diagnose, "say why a pool is not ready, and write a report"),
        ("orphans", orphans, "show the pools that ended runs have left, and delete them"),
        ("docs", docs, "list the pages of the documentation, or show one"),
        ("selftest", selftest, "let a real account judge the emulator, and write a report"),
    ):
        subparser = commands.add_parser(name, help=summary)
        if name != asked_for:  # to describe its arguments, too, takes as long as to read a document
            continue
        subparser.usage_status = getattr(module, "COULD_NOT", 2)
        module.add_arguments(subparser)
        if "\n" not in (said := subparser.description or ""):  # argparse leaves it as it is beside examples
            subparser.description = textwrap.fill(said, 100)
        subparser.set_defaults(run=module.run)
    arguments = parser.parse_args(argv)
    if "run" not in arguments:
        parser.print_help(sys.stderr)
        return parser.usage_status
    ended: int = arguments.run(arguments)
    return ended


if __name__ == "__main__":
    sys.exit(main())
