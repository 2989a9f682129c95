"""What the demo shows: a table of nodes and extensions that fills, and how the DAG run ended.

On a terminal the table is redrawn in place; elsewhere a line is printed for each change. It asks the
emulated service itself, with the Azure SDK, as anybody would: nothing is taken from inside the emulator.
"""

from __future__ import annotations

import shlex
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from airflow_batchext.batch.data_plane import (
    Phase,
    find_extension,
    one_line,
    read_extension,
    read_node,
    read_pool,
)
from airflow_batchext.batch.node_names import short_id
from airflow_batchext.cli.demo.airflow_home import dags_folder, shown
from airflow_batchext.cli.table import MARKS, STYLES

if TYPE_CHECKING:
    from typing import Self

    from azure.batch import BatchClient

    from airflow_batchext.emulator.server import Info

_TASK_STYLES = {"success": "green", "failed": "bold red"}
_REAL_ACCOUNT = """
To run it on a real account, copy {dags} into your DAGs folder, put your vault, certificate and
identity into pools/keyvault_ubuntu.json there, and add a connection (more: batchext docs connection):
  [bold]airflow connections add azure_batchext_default --conn-type azure_batchext \\
    --conn-login CLIENT_ID --conn-password CLIENT_SECRET --conn-extra '{
    "tenant_id": "…", "subscription_id": "…", "resource_group": "…", "account_name": "…"}'[/]"""


class Screen:
    """The demo's output.

    :param info: where the emulator is and how to sign in to it.
    """

    def __init__(self, info: Info) -> None:
        self.console = Console(highlight=False)
        self._info = info
        self._client: BatchClient | None = None
        self._live: Live | None = None
        self._started = time.monotonic()
        self._shown: dict[tuple[str, str], str] = {}

    def __enter__(self) -> Self:
        from azure.batch import BatchClient
        from azure.core.credentials import AzureNamedKeyCredential

        key = AzureNamedKeyCredential(self._info.account, self._info.key)
        self._client = BatchClient(self._info.http_endpoint, key, retry_total=0)
        return self

    def __exit__(self, *error: object) -> None:
        self._stop_live()
        if self._client is not None:
            self._client.close()

    def say(self, text: str) -> None:
        """Print a line below whatever is there."""
        self._stop_live()
        self.console.print(escape(text), soft_wrap=True)

    def begin(self, document: str, nodes: int) -> None:
        """Say what is about to happen."""
        self.console.print("[bold]batchext demo[/]: the DAG batch_pool_gate, run by Airflow on the emulator")
        self.say(f"  pool document   {shown(dags_folder() / document)}, {nodes} nodes")
        self.say(f"  emulator        {self._info.batch_endpoint}")
        self.console.print()
        if self.console.is_terminal:
            self._live = Live(
                Text("Airflow is starting …", style="dim"), console=self.console, refresh_per_second=8
            )
            self._live.start()

    def refresh(self, pool_id: str) -> None:
        """Ask the service how the pool is, and show it."""
        from azure.core.exceptions import AzureError

        with suppress(AzureError):  # not created yet, or gone already: what was seen stays
            self._show(pool_id)

    def _show(self, pool_id: str) -> None:
        if self._client is None:
            return
        pool = read_pool(self._client.get_pool(pool_id).as_dict())
        nodes = [read_node(node.as_dict()) for node in self._client.list_nodes(pool_id)]
        names = [*pool.extension_names, "batchNodeExtension"]
        table = Table(
            "node", "state", *names, title=f"pool {pool.id}: {pool.allocation_state}", title_justify="left"
        )
        self._change((pool.id, ""), f"pool {pool.id}: {pool.state}, {pool.allocation_state}", "")
        ids = [node.id for node in nodes]
        for node in nodes:
            listed = [
                read_extension(item.as_dict()) for item in self._client.list_node_extensions(pool_id, node.id)
            ]
            cells = []
            for name in names:
                extension = find_extension(listed, name)
                phase = extension.phase if extension else Phase.PENDING
                code = extension.code if extension else "not listed"
                word = code.partition("/")[2] or code  # a fresh node's has one part: Creating
                cells.append(Text(f"{MARKS[phase]} {one_line(word, 40)}", style=STYLES[phase]))
                self._change((node.id, name), f"node {short_id(node.id, ids)}: {name} {word}", STYLES[phase])
            table.add_row(short_id(node.id, ids), node.state, *cells)
        if not nodes:
            waiting = "deleted" if pool.state == "deleting" else "being allocated"
            table.add_row("[dim]…[/]", f"[dim]nodes are {waiting}[/]", *("" for _ in names))
        if self._live and pool.state == "active":
            self._live.update(table)

    def _change(self, key: tuple[str, str], line: str, style: str) -> None:
        if self._shown.get(key) != line:
            self._shown[key] = line
            if self._live is None:
                self.console.print(Text(f"{time.monotonic() - self._started:5.1f} s  {line}", style=style))

    def end(self, result: dict[str, Any], log: Path) -> None:
        """Say how the DAG run ended, and why.

        :param log: Airflow's, which tells the reasons that Airflow did not hand on.
        """
        self._stop_live()
        self.console.print()
        for task in result["tasks"]:
            mark = Text(f"  {task['state']:16}", style=_TASK_STYLES.get(task["state"], "yellow"))
            self.console.print(mark + Text(task["task_id"], style="default"))
        self.console.print()
        if result["state"] == "success":
            gate = result["gate"]
            self.console.print(
                f"[bold green]The gate opened[/] after {gate['seconds']:.0f} s, with "
                f"{escape(', '.join(gate['extensions']))} on {len(gate['nodes'])} nodes. "
                "The downstream task got:",
                soft_wrap=True,
            )
            for line in result["downstream"] or ():
                self.say(f"  {one_line(str(line), 200)}")
        else:
            self.console.print("[bold red]The gate closed[/]; the downstream task did not run. The reason:")
            for task_id, reason in result["reasons"].items():
                # Before 3.3, Airflow's dag.test does not hand the exception to callbacks.
                lines = [one_line(line, 1500) for line in reason.splitlines()] or [f"see {log}"]
                # A terminal's lines end at words; a file gets the line whole.
                if self.console.is_terminal:
                    self.console.print(Padding(Text(f"{task_id}: " + "\n".join(lines)), (0, 0, 0, 2)))
                else:
                    self.say(f"  {task_id}: " + "\n  ".join(lines))
        self.console.print(
            _REAL_ACCOUNT.replace("{dags}", escape(shlex.quote(shown(dags_folder())))), soft_wrap=True
        )

    def _stop_live(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
