"""How the data plane writes the extensions of a node.

Where the recordings are silent (``settings``, failures) the shapes are those of Microsoft's how-to, or a
choice that the scenario's ``answers`` can turn.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from airflow_batchext.emulator.account.pools import Pool, waits_for_certificates
from airflow_batchext.emulator.scenario import SYSTEM_EXTENSION, Answers

if TYPE_CHECKING:
    from airflow_batchext.emulator.account.extensions import ExtensionNow
    from airflow_batchext.emulator.wire.http import Json

_SYSTEM = {
    "name": SYSTEM_EXTENSION,
    "publisher": "Microsoft.Azure.Extensions",
    "type": "CustomScript",
    "typeHandlerVersion": "2.0",
    "autoUpgradeMinorVersion": True,
}
_SYSTEM_LOG = "\n".join(
    f"+ [{second // 60:02d}:{second % 60:02d}] bootstrap.sh: step {second} of the node agent's set-up is done"
    for second in range(60)
)
_WORDS = {
    None: ("transitioning", 0, "Transitioning", "Creating"),
    "hang": ("transitioning", 0, "Transitioning", "Creating"),
    "succeed": ("succeeded", 0, "Provisioning succeeded", "Succeeded"),
    "fail": ("failed", 2, "Provisioning failed", "Failed"),
}
_UPDATING = ("updating", 0, "Updating", "Updating")
_LEVELS = ("Info", "Warning", "Error")


_TELLS_OF_UPGRADES = "2024-07-01"
"""Since this version a node says of each extension whether it is upgraded automatically."""


def extension_body(pool: Pool, name: str, now: ExtensionNow, answers: Answers, version: str) -> Json:
    """Write one extension of a node. Protected settings are not known any more and so cannot be told."""
    wanted = next((item for item in pool.definition.extensions if item["name"] == name), {})
    usual = {"enableAutomaticUpgrade": False} if version[:10] >= _TELLS_OF_UPGRADES else {}
    described = _SYSTEM | usual if name == SYSTEM_EXTENSION else _described(usual | wanted, answers)
    if now.is_untold:
        return {"provisioningState": "Creating", "instanceView": {}, "vmExtension": described}
    word, level, display, provisioning = _UPDATING if now.is_updating else _WORDS[now.outcome]
    code = f"ProvisioningState/{word}"
    if now.outcome == "fail" and now.code:
        code = now.code if now.code.casefold().startswith("provisioningstate/") else f"{code}/{now.code}"
    status = {
        "code": code,
        "level": level if answers.level == "number" else _LEVELS[level],
        "displayStatus": display,
        "message": _message(name, wanted, now),
    }
    return {
        "provisioningState": provisioning,
        "instanceView": {"name": name, "statuses": [status]},
        "vmExtension": described,
    }


def settings_text(settings: object) -> str:
    """Write settings as a node gives them: indented JSON in a string, with Windows line ends."""
    if isinstance(settings, str):
        return settings
    return json.dumps(settings, indent=2, ensure_ascii=False).replace("\n", "\r\n")


def _described(wanted: Json, answers: Answers) -> Json:
    order = ("name", "publisher", "type", "typeHandlerVersion", "autoUpgradeMinorVersion")
    described = {key: wanted[key] for key in (*order, "enableAutomaticUpgrade") if key in wanted}
    if "settings" in wanted:
        settings = wanted["settings"]
        described["settings"] = settings_text(settings) if answers.node_settings == "string" else settings
    if "provisionAfterExtensions" in wanted:
        described["provisionAfterExtensions"] = wanted["provisionAfterExtensions"]
    return described


def _message(name: str, wanted: Json, now: ExtensionNow) -> str:
    if now.message is not None:
        return now.message
    if now.is_updating:
        return "Upgrading the plugin"
    if now.waits_for:
        return f"Waiting for {', '.join(now.waits_for)}"
    if name == SYSTEM_EXTENSION:
        if now.outcome == "succeed":
            return f"Enable succeeded: \n[stdout]\n{_SYSTEM_LOG}\n\n[stderr]\n"
        return "Enable failed" if now.outcome == "fail" else "Enable in progress"
    if now.outcome == "fail":
        return f"Enabling the extension '{name}' failed: the handler reported an error"
    syncs = waits_for_certificates(wanted)
    if now.outcome == "succeed":
        started = f"Successfully started Key Vault extension service. {now.since:%Y-%m-%dT%H:%M:%SZ}"
        return started if syncs else "Plugin enabled"
    return "Waiting for the first download of all certificates" if syncs else "Enabling the plugin"
