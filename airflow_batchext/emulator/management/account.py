"""What the management plane knows beside pools: cloud, subscription, resource group and account."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from airflow_batchext.emulator.account.account import new_key
from airflow_batchext.emulator.management.bodies import (
    account_body,
    account_id,
    cloud_body,
    group_body,
    subscription_body,
)
from airflow_batchext.emulator.management.sizes import SIZES
from airflow_batchext.emulator.wire.errors import not_modelled, refusal
from airflow_batchext.emulator.wire.http import Answer, Call, Json, Route, http_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_batchext.emulator.account.account import Account
    from airflow_batchext.emulator.login.tokens import Tokens

SUBSCRIPTION = "/subscriptions/{subscription}"
GROUP = f"{SUBSCRIPTION}/resourceGroups/{{group}}"
ACCOUNTS = "/providers/Microsoft.Batch/batchAccounts"
ACCOUNT = f"{GROUP}{ACCOUNTS}/{{account}}"
_KEYS = {"primary": "Primary", "secondary": "Secondary"}


class AccountOperations:
    """The operations on everything that is not a pool."""

    def __init__(self, account: Account, tokens: Tokens, host: Callable[[], str]) -> None:
        """``host`` says the host and port under which everything is served over HTTPS."""
        self._account = account
        self._since = account.clock.now()
        self._tokens = tokens
        self._host = host

    def routes(self) -> Iterator[Route]:
        """Which calls are answered here."""
        yield "GET", "/metadata/endpoints", self._cloud
        yield "GET", "/subscriptions", self._list_subscriptions
        yield "GET", SUBSCRIPTION, self._get_subscription
        yield "GET", f"{SUBSCRIPTION}/resourceGroups", self._list_groups
        yield "GET", GROUP, self._get_group
        yield "HEAD", GROUP, self._head_group
        location = f"{SUBSCRIPTION}/providers/Microsoft.Batch/locations/{{location}}"
        yield "GET", f"{location}/quotas", self._quotas
        yield "GET", f"{location}/virtualMachineSkus", self._list_sizes
        yield "GET", f"{SUBSCRIPTION}{ACCOUNTS}", self._list_accounts
        yield "GET", f"{GROUP}{ACCOUNTS}", self._list_accounts
        yield "GET", ACCOUNT, self._get_account
        yield "POST", f"{ACCOUNT}/listKeys", self._list_keys
        yield "POST", f"{ACCOUNT}/regenerateKeys", self._regenerate_keys

    def _cloud(self, call: Call) -> Answer:
        # For clients that know no more than the address of the management plane.
        version = call.query.get("api-version", "")
        cloud = cloud_body(f"https://{self._host()}", self._tokens.identities.tenant_id, version)
        if not "2018" <= version < "2022":
            return Answer(200, cloud)
        content = {"Content-Type": "application/json; charset=utf-8"}
        return Answer(200, headers=content, text=json.dumps([cloud]))

    def _list_subscriptions(self, call: Call) -> Answer:
        one = subscription_body(self._account, self._tokens.identities.tenant_id)
        return Answer(200, {"value": [one], "count": {"type": "Total", "value": 1}})

    def _get_subscription(self, call: Call) -> Answer:
        return Answer(200, subscription_body(self._account, self._tokens.identities.tenant_id))

    def _list_groups(self, call: Call) -> Answer:
        return Answer(200, {"value": [group_body(self._account)]})

    def _get_group(self, call: Call) -> Answer:
        return Answer(200, group_body(self._account))

    def _head_group(self, call: Call) -> Answer:
        return Answer(204)

    def _quotas(self, call: Call) -> Answer:
        return Answer(200, {"accountQuota": self._account.scenario.account.account_quota})

    def _list_sizes(self, call: Call) -> Answer:
        for option in ("maxresults", "$filter"):
            if option in call.query:
                raise not_modelled(f"{option} of the sizes of virtual machines")
        return Answer(200, {"value": list(SIZES)})

    def _list_accounts(self, call: Call) -> Answer:
        return Answer(200, {"value": [self._body()]})

    def _get_account(self, call: Call) -> Answer:
        # Nothing of the account changes here, but for its keys, which it does not show.
        headers = {"ETag": 'W/"0x8D0000000000000"', "Last-Modified": http_time(self._since)}
        return Answer(200, self._body(), headers)

    def _list_keys(self, call: Call) -> Answer:
        self._check_keys_are_allowed()
        return self._keys()

    def _regenerate_keys(self, call: Call) -> Answer:
        self._check_keys_are_allowed()
        body = call.json()
        for name in body:
            if name != "keyName":
                message = f"Could not find member '{name}' on object of type 'RegenerateKeysParameters'."
                raise refusal("InvalidRequestBody", message=message)
        if "keyName" not in body:
            raise refusal("MissingRequiredProperty", PropertyName="keyName", PropertyPath="keyName")
        kind = str(body["keyName"]).lower()
        if kind not in _KEYS:
            reason = f"One of {', '.join(_KEYS.values())} is expected"
            raise refusal("InvalidPropertyValue", PropertyName="keyName", Reason=reason)
        self._account.keys[kind] = new_key()
        return self._keys()

    def _keys(self) -> Answer:
        return Answer(200, {"accountName": self._account.name, **self._account.keys})

    def _check_keys_are_allowed(self) -> None:
        if not self._account.scenario.account.shared_key:
            reason = "The account does not allow authentication with a shared key"
            raise refusal(self._account.scenario.answers.keys_not_allowed, Reason=reason)

    def _body(self) -> Json:
        return account_body(self._account, account_id(self._account), self._host())
