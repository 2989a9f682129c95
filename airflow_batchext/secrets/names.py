"""The one list of names that tell a secret: members that hold one for sure, and names that sound like it.

It stands by itself as operators need it when a DAG is parsed, which is hot. Pure: data in, data out.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache
from typing import Final

from airflow_batchext.secrets._plain import plain

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
# How names end whose values are secrets as a rule, squashed; "publicKey" and the like are none.
_ENDINGS: Final = (
    *("password", "passwd", "passphrase", "secret", "token", "signature", "authorization", "cookie"),
    *("accountkey", "accesskey", "apikey", "sharedkey", "secretkey", "workspacekey", "privatekey"),
    *("primarykey", "secondarykey", "masterkey", "storagekey", "encryptionkey", "signingkey"),
    *("subscriptionkey", "functionkey", "functionskey", "assertion", "tokens", "passwords"),
    *("sastoken", "sasurl", "sasuri", "saskey", "connectionstring", "connstr", "storepass", "keypass"),
    *("dbpass", "userpass", "adminpass", "rootpass", "sqlpass", "pgpass", "smtppass", "proxypass", "ftppass"),
)
# Too short for an ending: "texas" is no signature.
_LAST_WORDS: Final = frozenset({"pwd", "sas", "sig"})
_LONGEST_NAME, _LONGEST = 100, 1_000
_WORDS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_HINT: Final = re.compile(
    "secret|passw|passphrase|pwd|token|signature|sig|sas|authorization|cookie|key|conn"
    "|prot|setting|://|eyJ|bearer|basic|negotiate|code(?:=|%3D)|Q~|gh[pousr]_|github_|glpat-|xox|assertion|=="
    r"|AKIA|ASIA|AIza|k_(?:live|test)_|npm_|pypi-|SG\.|(?<![\w-])-[puaw]|-user|curl|pass",
    re.IGNORECASE,
)
#: The same for a text of ASCII in lower case, in which words are found fifty times as fast as by a pattern.
_HINTS: Final = (
    *("secret", "pwd", "token", "sig", "sas", "authorization", "cookie", "key", "conn", "prot", "setting"),
    *("://", "eyj", "bearer", "basic", "negotiate", "code=", "code%3d", "q~", "ghp_", "gho_", "ghu_", "ghs_"),
    *("ghr_", "github_", "glpat-", "xox", "assertion", "==", "akia", "asia", "aiza", "k_live_", "k_test_"),
    *("npm_", "pypi-", "sg.", "-user", "curl", "pass"),
)
_SHORT_OPTION: Final = re.compile(r"(?<![\w-])-[puaw]")


def squash(key: str) -> str:
    """What is left of a name when its spelling does not matter: ``protected_settings`` and such."""
    return re.sub(r"[^a-z0-9]", "", key.casefold())


_SQUASHED = frozenset(map(squash, SECRET_MEMBERS))
_PROTECTED = squash("protectedSettings")
_LETTERS = Counter(_PROTECTED)
_ALIKE = 0.85


def is_secret_member(key: object) -> bool:
    """Whether a member of this name holds a secret.

    Spelling does not matter (``protected_settings``), and a misspelt ``protectedSettings`` is one too:
    what was meant to be protected must not be shown because of a typing error.
    """
    return isinstance(key, str) and _is_secret_member(_read(key)[:_LONGEST_NAME])


def sounds_secret(key: object) -> bool:
    """Whether a name (of a member, a variable, an option) tells that its value is probably a secret.

    ``DB_PASSWORD``, ``azureClientSecret``, ``X-Amz-Signature``; whatever is a secret member sounds so too.
    """
    return isinstance(key, str) and (is_secret_member(key) or _sounds_secret(_read(key)[-_LONGEST_NAME:]))


def may_hold_secret(text: str) -> bool:
    """Whether it is worth looking for secrets in a text: a quick look that passes over most texts."""
    text = plain(text)
    if not text.isascii():  # where letters have forms that are their like without being their lower case
        return _HINT.search(text) is not None
    text = text.lower()
    return any(hint in text for hint in _HINTS) or ("-" in text and _SHORT_OPTION.search(text) is not None)


_plain_name = lru_cache(maxsize=1024)(plain)


def _read(name: str) -> str:
    """A name as it is read; of one that is endless, enough of both ends."""
    if len(name) <= _LONGEST_NAME:
        return _plain_name(name)
    return plain(name if len(name) <= 2 * _LONGEST else name[:_LONGEST] + name[-_LONGEST:])


@lru_cache(maxsize=1024)
def _is_secret_member(name: str) -> bool:
    name = squash(name)
    return name in _SQUASHED or _is_misspelt(name)


@lru_cache(maxsize=1024)
def _sounds_secret(name: str) -> bool:
    if squash(name).endswith(_ENDINGS):
        return True
    words = _WORDS.findall(name)
    return bool(words) and words[-1].lower() in _LAST_WORDS


def _is_misspelt(name: str) -> bool:
    """Whether it is nearly ``protectedSettings``.

    ``protectedSettingsFromKeyVault`` is not: that only says where a secret lies.
    """
    # What has too few letters in common cannot be alike; for most names that spares the import.
    common = (Counter(name) & _LETTERS).total()
    if 2 * common < _ALIKE * (len(name) + len(_PROTECTED)):
        return False
    from difflib import SequenceMatcher

    return SequenceMatcher(None, name, _PROTECTED).ratio() >= _ALIKE
