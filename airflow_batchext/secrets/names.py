"""Which members of a pool document hold secrets, told by their names.

It stands by itself as operators need it when a DAG is parsed, which is hot. Pure: data in, data out.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Final

SECRET_MEMBERS: Final = frozenset(
    {
        "protectedSettings",  # of extensions
        "password",  # of userAccounts, containerRegistries, cifsMountConfiguration
        "sshPrivateKey",  # of userAccounts[].linuxUserConfiguration
        "accountKey",  # of azureBlobFileSystemConfiguration, azureFileShareConfiguration
        "sasKey",  # of azureBlobFileSystemConfiguration
        # Protected settings of listed extensions that are written into `settings` by mistake.
        "storageAccountKey",
        "storageAccountSasToken",
        "workspaceKey",
    }
)
"""Members whose values, and everything below them, nobody may see.

Values of ``environmentSettings`` are not among them: Azure shows those to every reader of the pool.
"""


def squash(key: str) -> str:
    """Return what is left of a name when its spelling does not matter: ``protected_settings`` and such."""
    return re.sub(r"[^a-z0-9]", "", key.casefold())


_SQUASHED = frozenset(map(squash, SECRET_MEMBERS))
_PROTECTED = squash("protectedSettings")
_LETTERS = Counter(_PROTECTED)
_ALIKE = 0.85


def is_secret_member(key: object) -> bool:
    """Say whether a member of this name holds a secret.

    Spelling does not matter (``protected_settings``), and a misspelt ``protectedSettings`` is one too:
    what was meant to be protected must not be shown because of a typing error.
    """
    name = squash(key) if isinstance(key, str) else ""
    return name in _SQUASHED or _is_misspelt(name)


def _is_misspelt(name: str) -> bool:
    """Say whether it is nearly ``protectedSettings``.

    ``protectedSettingsFromKeyVault`` is not: that only says where a secret lies.
    """
    # What has too few letters in common cannot be alike; for most names that spares the import.
    common = (Counter(name) & _LETTERS).total()
    if 2 * common < _ALIKE * (len(name) + len(_PROTECTED)):
        return False
    from difflib import SequenceMatcher

    return SequenceMatcher(None, name, _PROTECTED).ratio() >= _ALIKE
