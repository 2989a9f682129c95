"""``batchext emulator``: the emulator as a process of its own, for anything that speaks HTTP.

The first line on its standard output is one JSON object that says how to reach it, written only once both
sockets accept connections; a program that starts it needs to wait for nothing else.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import textwrap
import threading

from airflow_batchext.emulator.scenario import Scenario, load_faults
from airflow_batchext.emulator.server import Emulator, is_loopback

_USAGE_ERROR = 2
_EXAMPLES = """\
examples:
  batchext emulator --time-scale 60            an hour of Azure in a minute
  batchext emulator --http-port 10000 --https-port 10001 --state batch.json
                                               the same account, ports and pools every day
  batchext emulator --scenario s.yaml          for example with this in s.yaml:
      extensions:
      - {pool: "gpu-*", extension: "*", outcome: fail, code: "7", message: no driver}
      faults:
      - {plane: data, path: "*/nodes", action: throttle, retry_after: 2, count: 3}

While it runs, with the "key" of its first line (and --time-scale 0 to let only you move the clock):
  curl -H "Authorization: Key $KEY" $HTTP_ENDPOINT/emulator/clock -d '{"advance": 300}'
  curl -H "Authorization: Key $KEY" $HTTP_ENDPOINT/emulator/faults -d '{"action": "drop", "count": 2}'
  curl -H "Authorization: Key $KEY" $HTTP_ENDPOINT/emulator/account/preempt_node -d '{"pool": "p", "node": 0}'
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command and its options."""
    parser.description = (
        "Serve an Azure Batch account on this machine: management plane, data plane and sign-in. "
        "The first line of output is a JSON object with the addresses, the CA file and the credentials, "
        "printed once connections are accepted. Ends on SIGTERM or Ctrl-C; nothing is kept but in the file "
        "of --state."
    )
    parser.description = textwrap.fill(parser.description, 100)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EXAMPLES
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on (default: %(default)s; any but loopback opens it to the network)",
    )
    parser.add_argument(
        "--https-port", type=_port, default=0, metavar="PORT", help="HTTPS port (default: any free one)"
    )
    parser.add_argument(
        "--http-port",
        type=_port,
        default=0,
        metavar="PORT",
        help="plain HTTP port, meant for clients with a shared key (default: any free one)",
    )
    parser.add_argument(
        "--time-scale",
        type=_scale,
        default=1.0,
        metavar="N",
        help="run the life of pools and nodes N times as fast as the wall (default: 1, as slow as Azure)",
    )
    parser.add_argument(
        "--scenario",
        metavar="FILE",
        help="JSON or YAML file that says what will fail or hang and how long things take",
    )
    parser.add_argument(
        "--faults",
        metavar="FILE",
        help="JSON or YAML file with a list of faults of requests, besides those of the scenario",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="N",
        help="the same seed and the same requests give the same node ids and the same faults (default: 0)",
    )
    parser.add_argument(
        "--state",
        metavar="FILE",
        help="keep pools, nodes, jobs, the clock and the credentials in this file, and go on from it",
    )
    parser.add_argument(
        "--run-tasks",
        metavar="DIR",
        help="really run the command lines of tasks, as processes of this machine, in folders below DIR: "
        "whoever can sign a request can then run commands as you (Linux, loopback only)",
    )


def run(args: argparse.Namespace) -> int:
    """Serve until told to stop. Returns the exit status."""
    try:
        scenario = Scenario.load(args.scenario) if args.scenario else Scenario()
        if args.faults:
            scenario.faults += load_faults(args.faults)
        emulator = Emulator(
            args.host,
            args.https_port,
            args.http_port,
            args.time_scale,
            scenario,
            seed=args.seed,
            state=args.state,
            run_tasks=args.run_tasks,
        )
    except ValueError as problem:
        return _refuse(str(problem))
    if not is_loopback(args.host):
        _say(f"warning: {args.host} is not a loopback address; others on the network can reach the emulator")
    if args.run_tasks:
        _say(f"warning: tasks are really run, as you, in {args.run_tasks}")
    told_to_stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda number, frame: told_to_stop.set())
    try:
        emulator.start()
    except OSError as problem:
        about = f"{problem.filename}: " if problem.filename else ""
        return _refuse(about + (problem.strerror or str(problem)))
    try:
        sys.stdout.write(json.dumps(emulator.info.as_dict()) + "\n")
        sys.stdout.flush()
        told_to_stop.wait()
    finally:
        emulator.stop()
    return 0


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{port} is not a port")
    return port


def _scale(text: str) -> float:
    scale = float(text)
    if not 0 <= scale < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a time scale")
    return scale


def _refuse(problem: str) -> int:
    _say(f"error: {problem}")
    return _USAGE_ERROR


def _say(text: str) -> None:
    sys.stderr.write(f"batchext emulator: {text}\n")
    sys.stderr.flush()
