"""Checks of a node, for ``node_check`` of ``AzureBatchTaskOperator``: is its certificate there, its driver?

Azure Batch runs the check on each node before the first task of the job there, also on nodes that come later,
and gives those none on which it fails.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

from airflow_batchext.parameters import check_count, check_flag, check_seconds, check_text, refused, wrong

#: Where ``pool_builder.KeyVaultExtension``, and the how-to, have certificates put on Linux.
CERTIFICATE_STORE = "/var/lib/waagent/Microsoft.Azure.KeyVault"
DEFAULT_WAIT_SECONDS = 10 * 60
_PAUSE_SECONDS = 5
#: So much longer than it waits a check may take, in seconds.
_SPARE_SECONDS = 60
_SECRET = re.compile(
    r"https://([A-Za-z0-9-]+)\.[A-Za-z0-9.-]+/(?:secrets|certificates)/([A-Za-z0-9-]+)(?:/\w*)?/?"
)
_FOLDER = re.compile(r"(?:/[A-Za-z0-9._-]+)+/?")


def certificate_check(
    *certificates: str,
    store: str = CERTIFICATE_STORE,
    wait: float | timedelta = DEFAULT_WAIT_SECONDS,
    as_admin: bool = True,
) -> dict[str, Any]:
    """Whether the Key Vault extension for Linux has put certificates onto the node.

    They are there as ``STORE/VAULT.NAME``, a link to the newest version. On Windows they are in a store of
    the system, not in files: write a command line of your own there.

    :param certificates: URLs, as the extension is given them (``observedCertificates``):
        ``https://VAULT.vault.azure.net/secrets/NAME``.
    :param store: the extension's ``certificateStoreLocation``; where it is given none it takes
        ``/var/lib/waagent/Microsoft.Azure.KeyVault.Store``.
    :param wait: seconds (or a timedelta) for which it waits for them: a node may be idle before they are
        there, and where the check has failed it gets no task until it is reimaged.
    :param as_admin: look as administrator: the extension lets nobody else into the folder.
    :returns: members of a preparation task, in the spelling of the REST API.
    :raises ParameterError: if a URL is none of a certificate, or the store no folder of Linux.
    """
    if not certificates:
        raise wrong("certificate_check needs the URL of a certificate's secret, or several.")
    folder = check_text("store", store).rstrip("/")
    if not _FOLDER.fullmatch(folder):
        raise refused(
            "store",
            store,
            ", but it has to be a folder of Linux, as in /var/lib/certs. On Windows certificates are in a "
            "store of the system, not in files: give node_check a command line of your own there.",
        )
    files = [f"{folder}/{_file_name(url)}" for url in certificates]
    test = " && ".join(f"test -s {file}" for file in files)
    failure = f"not there, or empty: {' '.join(files)}"
    return _check(test, failure, wait, as_admin=check_flag("as_admin", as_admin))


def gpu_check(count: int = 1, *, wait: float | timedelta = DEFAULT_WAIT_SECONDS) -> dict[str, Any]:
    """Whether the node's NVIDIA driver works and shows its GPUs (``nvidia-smi -L``), on Linux.

    :param count: how many GPUs it has to show, at least.
    :param wait: seconds (or a timedelta) for which it waits for them, as drivers are installed while the node
        may be idle already.
    :returns: members of a preparation task, in the spelling of the REST API.
    :raises ParameterError: if the count is none.
    """
    least = check_count("count", count, 1)
    return _check(f'test "$(nvidia-smi -L | grep -c ^GPU)" -ge {least}', f"fewer than {least} GPUs", wait)


def _file_name(url: str) -> str:
    """The file in which the extension puts the certificate of that URL."""
    found = _SECRET.fullmatch(check_text("certificates", url))
    if found is None:
        raise refused(
            "certificates", url, ", but it has to be as in https://VAULT.vault.azure.net/secrets/NAME."
        )
    return f"{found[1]}.{found[2]}"


def _check(test: str, failure: str, wait: float | timedelta, *, as_admin: bool = False) -> dict[str, Any]:
    """A preparation task that makes a test again and again, until it holds or the time is up."""
    seconds = check_seconds("wait", wait)
    rounds = int(seconds // _PAUSE_SECONDS)
    give_up = f'test $n -lt {rounds} || {{ echo "{failure}" >&2; exit 1; }}'
    loop = f"n=0; until {test}; do {give_up}; n=$((n+1)); sleep {_PAUSE_SECONDS}; done"
    made: dict[str, Any] = {
        "commandLine": f"/bin/sh -c '{loop}'",
        "constraints": {"maxWallClockTime": f"PT{round(seconds) + _SPARE_SECONDS}S"},
    }
    if as_admin:
        made["userIdentity"] = {"autoUser": {"scope": "pool", "elevationLevel": "admin"}}
    return made
