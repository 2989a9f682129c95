"""The console script ``batchext``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from airflow_batchext import __version__


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``batchext``.

    :return: the exit status: 0 success, 1 the thing that was run failed, 2 it could not be run.
    """
    # Imported here, not above: Airflow reads the package's entry points without wanting any of this.
    from airflow_batchext.demo import command as demo
    from airflow_batchext.demo import up
    from airflow_batchext.emulator import command as emulator
    from airflow_batchext.validate import command as validate

    parser = argparse.ArgumentParser(
        prog="batchext", description="Azure Batch pools with VM extensions, for Apache Airflow."
    )
    parser.add_argument("--version", action="version", version=f"batchext {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, module, summary in (
        ("demo", demo, "run the example DAG through Airflow on the emulator, and watch it"),
        ("up", up, "run Airflow with its web page on the emulator, with the examples, until stopped"),
        ("emulator", emulator, "serve an emulated Azure Batch account until stopped"),
        ("validate", validate, "say what is wrong with pool documents, before anything is created"),
    ):
        subparser = commands.add_parser(name, help=summary)
        module.add_arguments(subparser)
        subparser.set_defaults(run=module.run)
    arguments = parser.parse_args(argv)
    status: int = arguments.run(arguments)
    return status


if __name__ == "__main__":
    sys.exit(main())
