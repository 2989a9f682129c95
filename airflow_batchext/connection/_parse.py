"""Reads an Airflow connection, whatever its type, into checked fields. No text here ever quotes a secret."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import unquote, urlsplit, urlunsplit

from airflow_batchext.batch.clouds import CLOUDS, PUBLIC, Cloud
from airflow_batchext.connection._endpoints import origin_of
from airflow_batchext.connection._fields import (
    BatchConnection,
    SignInKind,
    account_endpoint_url,
)
from airflow_batchext.exceptions import ConnectionFieldsError

if TYPE_CHECKING:
    from airflow.sdk import Connection

OFFICIAL_CONN_TYPE = "azure_batch"
AZURE_CONN_TYPE = "azure"

EXCLUDABLE = (
    "environment",
    "workload_identity",
    "managed_identity",
    "shared_token_cache",
    "visual_studio_code",
    "cli",
    "powershell",
    "developer_cli",
)
"""What ``DefaultAzureCredential`` can be told to leave out, by its own names."""

# How Airflow's Azure provider spells what we call otherwise.
_OTHER_NAMES = {"tenant_id": "tenantId", "subscription_id": "subscriptionId"}
# Airflow's API hides a field of the extra by its name, and these earlier ones say nothing to it.
_CLEAR_NAMES = {"account_key_secret": "account_key", "certificate_secret": "certificate"}
_PEM_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----", re.DOTALL)
_PEM_LINE = 64


def parse_connection(connection: Connection) -> BatchConnection:
    """Read an Airflow connection of type ``azure_batchext``, ``azure_batch`` or ``azure``.

    :raises ConnectionFieldsError: if a field cannot be used; the text never quotes a secret.
    """
    extra = _Extra(connection.conn_id, connection.conn_type, connection.extra)
    login, password = connection.login or "", connection.password or ""
    account_name, account_key = extra.text("account_name"), extra.text("account_key_secret")
    if connection.conn_type == OFFICIAL_CONN_TYPE:
        account_name, account_key = login or account_name, password or account_key
        login, password = extra.text("client_id"), extra.text("client_secret")
    elif connection.conn_type == AZURE_CONN_TYPE and not login and (extra.given("key_path", "key_json")):
        extra.refuse("key_path and key_json are not read; give the client id and secret, or auth.")
    proxy, proxy_password = _proxy(extra)
    cloud = _cloud(extra)
    fields = BatchConnection(
        conn_id=connection.conn_id,
        shown_secrets=extra.shown_secrets(),
        client_id=login,
        client_secret=password,
        tenant_id=extra.text("tenant_id"),
        certificate=_certificate(extra),
        certificate_password=extra.text("certificate_password", strip=False),
        token_file=extra.text("token_file"),
        managed_identity_client_id=extra.text("managed_identity_client_id"),
        workload_identity_tenant_id=extra.text("workload_identity_tenant_id"),
        exclude=_exclusions(extra),
        subscription_id=extra.text("subscription_id"),
        resource_group=extra.text("resource_group"),
        account_name=account_name,
        account_url=extra.url("account_url", with_path=False),
        account_key=account_key,
        list_keys=extra.flag("list_keys"),
        cloud=cloud,
        is_own_authority=bool(extra.url("authority")),
        is_own_cloud=extra.given("arm_url", "authority", "batch_suffix"),
        ca_bundle=extra.text("ca_bundle"),
        proxy=proxy,
        proxy_password=proxy_password,
        retries=None if not extra.given("retries") else int(extra.number("retries", 0, 0, 100)),
    )
    fields = replace(
        fields,
        auth=_auth(extra, fields),
        connect_timeout=extra.number("connect_timeout", fields.connect_timeout, 0.1, 600),
        read_timeout=extra.number("read_timeout", fields.read_timeout, 0.1, 600),
    )
    if fields.list_keys and account_key:
        extra.refuse("list_keys asks for the key, and account_key_secret gives one: set one of them.")
    if fields.list_keys and fields.auth is SignInKind.ACCOUNT_KEY:
        extra.refuse("list_keys has to sign in first: give an auth other than 'account_key'.")
    return fields


class _Extra:
    """The extra fields of one connection."""

    def __init__(self, conn_id: str, conn_type: str | None, text: str | None) -> None:
        self._conn_id = conn_id
        self._prefix = f"extra__{conn_type}__"
        try:
            fields = json.loads(text or "{}")
        except ValueError:
            # The decoder's own error carries the whole text, which holds secrets.
            fields = None
        if not isinstance(fields, dict):
            raise ConnectionFieldsError(f"Connection {conn_id!r}: its extra is not a JSON object.") from None
        self._fields: Mapping[str, object] = fields

    def refuse(self, problem: str) -> NoReturn:
        """Raise, naming the connection."""
        raise ConnectionFieldsError(f"Connection {self._conn_id!r}: {problem}") from None

    def given(self, *names: str) -> bool:
        """Whether one of the fields has a value."""
        return any(self._value(name) not in (None, "") for name in names)

    def text(self, name: str, *, strip: bool = True) -> str:
        """A field as text, "" if it is not given."""
        value = self._value(name)
        if value is None:
            return ""
        if not isinstance(value, str):
            self.refuse(f"extra field {name!r} must be text.")
        return value.strip() if strip else value

    def flag(self, name: str) -> bool:
        """A field that is yes or no."""
        value = self._value(name)
        spelt = str(value).strip().lower() if value is not None else ""
        if spelt not in ("", "true", "false"):
            self.refuse(f"extra field {name!r} must be true or false.")
        return spelt == "true"

    def number(self, name: str, default: float, least: float, most: float) -> float:
        """A field that is a number within bounds, as a number or spelt as text."""
        if not self.given(name):
            return default
        try:
            number = float(str(self._value(name)))
        except ValueError:
            number = float("nan")
        if not least <= number <= most:
            self.refuse(f"extra field {name!r} must be a number from {least:g} to {most:g}.")
        return number

    def url(self, name: str, *, with_path: bool = True) -> str:
        """A field that is an https URL, or http to this machine, with its scheme and no trailing slash."""
        value = self.text(name)
        if not value:
            return ""
        url = account_endpoint_url(value)
        try:
            origin = origin_of(url)
        except ValueError as error:
            self.refuse(f"{name} is not an https URL: it is {error}.")
        if origin.scheme == "http" and not origin.is_loopback:
            self.refuse(
                f"{name} is plain http, which is allowed to this machine's loopback address alone. Use https."
            )
        _, _, path = url.partition("://")[2].partition("/")
        if "?" in url or "#" in url or (path and not with_path):
            self.refuse(f"{name} has more than scheme, host and port.")
        return url

    def shown_secrets(self) -> tuple[tuple[str, str], ...]:
        """Fields of earlier names that hold a secret, which Airflow shows, each with its name of today."""
        return tuple(
            (earlier, name)
            for name, earlier in _CLEAR_NAMES.items()
            for value in (self._fields.get(earlier) or self._fields.get(f"{self._prefix}{earlier}"),)
            # The path of a certificate is no secret.
            if value and (name != "certificate_secret" or "-----BEGIN" in str(value))
        )

    def _value(self, name: str) -> object:
        # Older forms of Airflow stored fields under a long name.
        for key in (name, _OTHER_NAMES.get(name, name), _CLEAR_NAMES.get(name, name)):
            for spelt in (key, f"{self._prefix}{key}"):
                if self._fields.get(spelt) not in (None, ""):
                    return self._fields[spelt]
        return None


def _auth(extra: _Extra, fields: BatchConnection) -> SignInKind:
    """How to sign in: as the connection says, else as its fields suggest."""
    named = extra.text("auth")
    if named:
        try:
            return SignInKind(named.lower())
        except ValueError:
            kinds = ", ".join(kind.value for kind in SignInKind)
            extra.refuse(f"auth is none of {kinds} (or empty: by what is given).")
    if fields.certificate:
        return SignInKind.CERTIFICATE
    if fields.token_file:
        return SignInKind.WORKLOAD_IDENTITY
    if fields.client_id or fields.client_secret:
        return SignInKind.CLIENT_SECRET
    return SignInKind.DEFAULT


def _cloud(extra: _Extra) -> Cloud:
    name = (extra.text("cloud") or PUBLIC.name).lower()
    if name not in CLOUDS:
        extra.refuse(
            f"cloud is none of {', '.join(CLOUDS)}. A cloud of your own has no name: give arm_url, "
            "authority, arm_scope, batch_scope and batch_suffix."
        )
    cloud, arm_url = CLOUDS[name], extra.url("arm_url")
    return replace(
        cloud,
        arm_url=arm_url or cloud.arm_url,
        # Unless it is given, the scope stays the cloud's: it names an audience, not a place.
        arm_scope=_scope(extra, "arm_scope") or cloud.arm_scope,
        batch_scope=_scope(extra, "batch_scope") or cloud.batch_scope,
        authority=extra.url("authority") or cloud.authority,
        # Elsewhere, hosts are not called as in the cloud whose name it has.
        batch_suffix=extra.text("batch_suffix") or ("" if arm_url else cloud.batch_suffix),
    )


def _scope(extra: _Extra, name: str) -> str:
    """A scope, from a scope or from the resource that it is of."""
    scope = extra.text(name)
    return scope if not scope or scope.endswith("/.default") else f"{scope}/.default"


def _exclusions(extra: _Extra) -> tuple[str, ...]:
    names = tuple(name.strip().lower() for name in extra.text("exclude").split(",") if name.strip())
    if not set(names) <= set(EXCLUDABLE):
        extra.refuse(f"exclude is a list, separated by commas, of {', '.join(EXCLUDABLE)}.")
    return names


def _certificate(extra: _Extra) -> str:
    """A path, or PEM text whose lines are lines again: a form's password field swallows them."""
    given = extra.text("certificate_secret")
    if "-----BEGIN" not in given:
        return given
    text = given.replace("\\n", "\n")
    if "\n" in text:
        return text
    blocks = []
    for kind, body in _PEM_BLOCK.findall(text):
        data = "".join(body.split())
        lines = [data[start : start + _PEM_LINE] for start in range(0, len(data), _PEM_LINE)]
        blocks.append("\n".join((f"-----BEGIN {kind}-----", *lines, f"-----END {kind}-----", "")))
    return "".join(blocks) or text


def _proxy(extra: _Extra) -> tuple[str, str]:
    """The proxy's URL, and its password by itself."""
    given = extra.text("proxy")
    password = extra.text("proxy_password", strip=False)
    if not given:
        return "", password
    try:
        parts = urlsplit(given if "://" in given else f"http://{given}")
        origin_of(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}")
        usable = parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        extra.refuse("proxy is not a URL such as http://user@proxy.example:8080.")
    password = password or unquote(parts.password or "")
    login, at, place = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{login.partition(':')[0]}{at}{place}")), password
