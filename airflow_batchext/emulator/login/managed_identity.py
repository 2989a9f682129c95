"""Where a machine with an identity gets its tokens, in the four shapes that Azure has for it.

App Service, Azure Machine Learning and Cloud Shell tell their programs an address in the environment (here
``/msi/token``); a virtual machine asks at ``/metadata/identity/oauth2/token``. All of them speak plain HTTP,
and most want no secret. So a page in a browser, whose host's name was turned to this machine meanwhile, could
ask for a token: who asks has to have called the machine by an address or by its own name (header ``Host``).
"""

from __future__ import annotations

import hmac
import re
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from airflow_batchext.emulator.wire.http import Answer, Call, Handler, Route

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_batchext.emulator.login.tokens import Tokens

_HEADERS = {"2019-08-01": "x-identity-header", "2017-09-01": "secret"}
"""By version of the protocol, the header in which a program of App Service or Azure ML proves who it is."""
_HOST = re.compile(r"(?:\[(?P<address>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._-]+))(?::[0-9]{1,5})?")
_OTHER_NAMES = ("object_id", "principal_id", "mi_res_id", "msi_res_id")


class ManagedIdentity:
    """The identity of the machine on which the client seems to run."""

    def __init__(self, tokens: Tokens, host: str) -> None:
        """Hand out those tokens; ``host`` is what the emulator listens at."""
        self._tokens, self._host = tokens, host

    def routes(self) -> Iterator[Route]:
        """Which calls are answered here."""
        yield "GET", "/msi/token", self._called_rightly(self._app_service)
        yield "POST", "/msi/token", self._called_rightly(self._cloud_shell)
        yield "GET", "/metadata/identity/oauth2/token", self._called_rightly(self._virtual_machine)

    def _called_rightly(self, handler: Handler) -> Handler:
        def answer(call: Call) -> Answer:
            found = _HOST.fullmatch(call.host)
            name = (found["address"] or found["name"]).lower() if found else ""
            if name not in ("localhost", self._host.lower()) and not _is_address(name):
                return _refused(403, "invalid_request", "The header Host is not that of this machine.")
            return handler(call)

        return answer

    def _app_service(self, call: Call) -> Answer:
        version = call.query.get("api-version", "")
        if version not in _HEADERS:
            return _refused(400, "invalid_request", f"The api-version '{version[:50]}' is not supported.")
        header = call.headers.get(_HEADERS[version], "")
        if not hmac.compare_digest(header.encode(), self._tokens.identities.identity_header.encode()):
            return _refused(401, "unauthorized", "The identity header is missing or wrong.")
        return self._grant(call.query)

    def _cloud_shell(self, call: Call) -> Answer:
        if call.headers.get("metadata", "").lower() != "true":
            return _refused(400, "bad_request_102", "Required metadata header not specified")
        form = dict(parse_qsl(call.body.decode("utf-8", "replace")))
        return self._grant(form)

    def _virtual_machine(self, call: Call) -> Answer:
        if call.headers.get("metadata", "").lower() != "true":
            return _refused(400, "bad_request_102", "Required metadata header not specified")
        if not call.query.get("api-version"):
            return _refused(400, "bad_request_101", "Required query variable 'api-version' is missing")
        return self._grant(call.query)

    def _grant(self, asked: Mapping[str, str]) -> Answer:
        tokens, resource = self._tokens, asked.get("resource", "")
        if not resource:
            return _refused(400, "invalid_request", "Required query variable 'resource' is missing")
        client = asked.get("client_id") or asked.get("clientid") or tokens.identities.machine_id
        # DefaultAzureCredential names the application of the environment, whichever kind it is.
        is_known = client.casefold() in (tokens.identities.machine_id, tokens.identities.client_id)
        if not is_known or any(name in asked for name in _OTHER_NAMES):
            return _refused(400, "invalid_request", "Identity not found")
        if not tokens.knows(resource):
            message = (
                f"AADSTS500011: The resource principal named {resource[:200]} was not found in the tenant."
            )
            return _refused(400, "invalid_resource", message)
        return Answer(200, {**tokens.granted(resource, client), "client_id": client})


def _refused(status: int, error: str, description: str) -> Answer:
    return Answer(status, {"error": error, "error_description": description})


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
