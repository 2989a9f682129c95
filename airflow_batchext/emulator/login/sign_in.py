"""Where tokens are got: by an application (``token_endpoint``) and by a machine (``managed_identity``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_batchext.emulator.login.managed_identity import ManagedIdentity
from airflow_batchext.emulator.login.token_endpoint import TokenEndpoint
from airflow_batchext.emulator.wire.errors import RefusedError, refusal
from airflow_batchext.emulator.wire.http import Answer, Call, Router

if TYPE_CHECKING:
    from airflow_batchext.emulator.login.tokens import Tokens


class SignIn:
    """The calls by which clients get their tokens."""

    def __init__(self, tokens: Tokens, host: str) -> None:
        """Hand out those tokens; ``host`` is what the emulator listens at."""
        self._router = Router(TokenEndpoint(tokens).routes(), ManagedIdentity(tokens, host).routes())

    def answer(self, call: Call) -> Answer:
        """Answer a call, refusals included."""
        answering = self._router.find(call)
        try:
            if answering is None:
                raise refusal("NotImplemented", message=f"The emulator has no {call.method} {call.path}")
            return answering()
        except RefusedError as problem:
            return Answer(problem.status, {"error": "server_error", "error_description": problem.message})
