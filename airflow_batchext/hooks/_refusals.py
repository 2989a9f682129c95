"""Why Azure refuses, and what to do: one sentence for each reason that its answers tell apart.

Pure: text in, text out.

Sources: https://learn.microsoft.com/entra/identity-platform/reference-error-codes for the numbers of the
sign-in; the account's own answers for the rest.
"""

from __future__ import annotations

import re

from airflow_batchext.documentation import see

_NUMBER = re.compile(r"AADSTS(\d+)")
# Ids and times of the single refusal, so that the same one reads the same twice.
_SIGN_IN_TRAILER = re.compile(r"\s*Trace ID: \S+ Correlation ID: \S+ Timestamp: [\d :ZT.-]+")
_LACKING = re.compile(r"perform action '(?P<action>[^']+)' over scope '(?P<scope>[^']+)'")
_LINKED = re.compile(
    r"perform action\(s\) '(?P<action>[^']+)' on the linked scope\(s\) '(?P<scope>[^']+)'", re.IGNORECASE
)
_ROLES = {
    "microsoft.managedidentity/userassignedidentities/assign/action": "Managed Identity Operator",
    "microsoft.network/virtualnetworks/subnets/join/action": "Network Contributor",
}
_BY_REFUSAL = {
    "RequestDisallowedByPolicy": (
        "A policy of the organisation forbids what the document asks for: the message says which and why. "
        "Change that part of the document, or ask those who keep the policies of the subscription."
    ),
    "FeatureDisabled": (
        "The subscription does not have a feature that the document asks for: have it registered, or do "
        "without it."
    ),
}
_NO_KEYS = re.compile(r"not allow.{0,60}shared ?key|shared ?key.{0,60}not allow", re.IGNORECASE | re.DOTALL)

_FEDERATION = (
    "Microsoft Entra does not trust the federated token: issuer, subject and audience of the application's "
    "federated credential have to be those of the token in token_file."
)
_BY_NUMBER = {
    7000215: (
        "The client secret is wrong: the connection's password has to be the secret's value, not its id, and "
        "of this application."
    ),
    7000222: (
        "The client secret has expired: make a new one for the application, and put it into the connection."
    ),
    7000112: "The application is disabled in its tenant: have it enabled.",
    700016: "The tenant does not know the application: check the client id, tenant_id and cloud.",
    700213: _FEDERATION,
    700212: _FEDERATION,
    700211: _FEDERATION,
    70021: _FEDERATION,
    700024: (
        "The federated token (or the certificate's signature) is not within its time: look whether "
        "token_file is still renewed, and whether this machine's clock is right."
    ),
    700027: (
        "The certificate is not registered for the application, or it has expired there: upload the new one "
        "to the application, and put it into the connection."
    ),
    90002: "There is no such tenant in this cloud: check tenant_id and cloud.",
    900023: "tenant_id is not the id or the domain of a tenant: check it.",
    500011: (
        "The tenant does not know the service that the token is for: check cloud (or arm_scope and "
        "batch_scope), and that the tenant has a subscription with Azure Batch."
    ),
    53003: "A conditional access policy of the tenant keeps the identity out: ask its administrators.",
}
_SIGN_IN = "Check the connection's auth, client id, secret or certificate, tenant_id and cloud."
_NO_IDENTITY = (
    "No identity was found where the connection's auth looks for one: check that this machine has it (the "
    "managed identity, the environment variables, the file with the token, 'az login'), or name another auth."
)
_BY_CODE = {
    "AuthorizationFailure": (
        "The account may let only its private network in (publicNetworkAccess is disabled): the management "
        "plane answers from everywhere then, the data plane does not. Run this where the account's private "
        "endpoint can be reached."
    ),
    "AccountIsDisabled": "The Batch account is disabled: look at its page in the portal.",
    "SharedKeyNotAllowed": (
        "The Batch account takes no shared keys (allowedAuthenticationModes): remove account_key_secret or "
        "list_keys from the connection and sign in at Microsoft Entra."
    ),
}
_BY_CONFLICT = {
    "PoolQuotaReached": (
        "The account has as many pools as its quota allows: delete one, or ask for more (Azure portal, Batch "
        "account, Quotas)."
    ),
}
_BY_STATUS = {
    401: "Check the credential in the connection, and that it is of the account's tenant and cloud.",
    403: (
        "Check that the identity has a role on the Batch account that allows this, that the account "
        "allows this kind of sign-in, and that its network rules let this machine in."
    ),
}


def sign_in_refusal(text: str) -> str:
    """What the sign-in service said, and what to do about it."""
    said = _SIGN_IN_TRAILER.sub("", text).rstrip(" .)")
    numbers = [int(number) for number in _NUMBER.findall(text)]
    advice = next((_BY_NUMBER[number] for number in numbers if number in _BY_NUMBER), None)
    if advice is None and "authority configuration" in text:
        advice = _BY_NUMBER[90002]
    if advice is None:
        advice = _SIGN_IN if numbers else _NO_IDENTITY
    return f"{said}. {advice}"


def advice(status: int, code: str, text: str, needs: str = "") -> str:
    """What to do about a refusal of one of the planes; "" if there is nothing to say.

    :param status: HTTP status.
    :param code: the service's error code.
    :param text: the service's words, details included.
    :param needs: the Azure action that the request needs, where the service may not name it.
    """
    if status not in _BY_STATUS:
        return _BY_CONFLICT.get(code, "")
    if code in _BY_REFUSAL:
        return _BY_REFUSAL[code]
    linked = _LINKED.search(text)
    if linked is not None:
        action, scope = linked["action"], linked["scope"]
        role = _ROLES.get(action.lower())
        usual = f" (the role {role}, or one with this action)" if role else " (a role with this action)"
        return f"The identity that deploys lacks {action} on {scope}: give it that there{usual}."
    lacking = _LACKING.search(text)
    if lacking is not None:
        return (
            f"The identity lacks {lacking['action']} on {lacking['scope']}: give it a role with this action "
            f"there, or above ({see('permissions')}). A new role takes some minutes to be known."
        )
    if _NO_KEYS.search(text):
        return _BY_CODE["SharedKeyNotAllowed"]
    if code == "AuthorizationFailure" and needs:
        return f"{_BY_CODE[code]} Or the identity lacks {needs} on the account ({see('permissions')})."
    if code in _BY_CODE:
        return _BY_CODE[code]
    if status == 403 and code == "AuthenticationFailed":
        return "The account's key is wrong, or of another account: check account_key_secret and account_name."
    if status == 403 and needs:
        return f"{_BY_STATUS[status]} The action that this needs is {needs} ({see('permissions')})."
    return _BY_STATUS[status]
