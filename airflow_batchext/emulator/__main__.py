"""``python -m`` this package: the emulator as a process of its own, without the rest of the command line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from airflow_batchext.emulator import command


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until stopped; return the exit status."""
    parser = argparse.ArgumentParser(prog="batchext emulator")
    command.add_arguments(parser)
    return command.run(parser.parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
