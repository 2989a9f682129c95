"""Refusals, with the codes and words of the real service, in the shape of each plane.

A handler raises a RefusedError; the plane that it belongs to writes it. The codes and messages are those that
Microsoft publishes for Batch; those of Azure Resource Manager's front door are marked and have no request id
in their message.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_BY_STATUS = {
    400: {
        "MissingRequiredProperty": "A required property was not specified in the request body.",
        "UnsupportedProperty": "One of the properties specified in the request body is not supported.",
        "InvalidPropertyValue": (
            "The value provided for one of the properties in the request body is invalid."
        ),
        "InvalidRequestBody": "The specified Request Body is not syntactically valid.",
        "MissingRequiredQueryParameter": (
            "A query parameter that's mandatory for this request is not specified."
        ),
        "InvalidQueryParameterValue": (
            "Value for one of the query parameters specified in the request URI is invalid."
        ),
        "OutOfRangeQueryParameterValue": (
            "A query parameter specified in the request URI is outside the permissible range."
        ),
        "InvalidUri": "The requested URI does not represent any resource on the server.",
        "UnsupportedRequestVersion": "The specified request version is not supported.",
        "InvalidHeaderValue": "The value for one of the HTTP headers is not in the correct format.",
        "InvalidAutoScalingSettings": "The specified auto-scaling settings are not valid.",
        "AutoScalingFormulaSyntaxError": "The specified auto-scaling formula has a syntax error.",
        "AutoScalingFormulaTooLong": "The specified auto-scaling formula exceeds lengths limit.",
        "TaskDependenciesNotSpecifiedOnJob": (
            "A task was specified as depending on other tasks, but the job did not specify that it "
            "would use task dependencies."
        ),
        "PropertyCannotBeUpdated": "A property that cannot be updated was specified as part of the request.",
    },
    403: {
        "AuthenticationFailed": (
            "Server failed to authenticate the request. Make sure the value of Authorization header is "
            "formed correctly including the signature."
        ),
        "InsufficientAccountPermissions": (
            "The account being accessed does not have sufficient permissions to execute this operation."
        ),
        "AuthorizationFailure": "This request is not authorized to perform this operation.",
    },
    404: {
        "PoolNotFound": "The specified pool does not exist.",
        "NodeNotFound": "The specified node does not exist.",
        "JobNotFound": "The specified job does not exist.",
        "TaskNotFound": "The specified task does not exist.",
        "ResourceNotFound": "The specified resource does not exist.",
        "FileNotFound": "The specified file does not exist.",
    },
    409: {
        "InvalidRestAPIForAccountSetting": (
            "There is a conflict between the REST API being used and the account."
        ),
        "PoolExists": "The specified pool already exists.",
        "PoolQuotaReached": "Pool quota for the account has been reached.",
        "ActiveJobAndScheduleQuotaReached": (
            "Active job and job schedule quota for the account has been reached."
        ),
        "PoolBeingDeleted": "The specified pool has been marked for deletion and is being reclaimed.",
        "PoolBeingResized": "The specified pool is being resized",
        "NodeBeingCreated": "The specified node is being created",
        "NodeBeingStarted": "The specified node is being started",
        "NodeBeingRebooted": "The specified node is being rebooted",
        "NodeBeingReimaged": "The specified node is being reimaged",
        "NodeStateUnusable": "The state of the specified node is unusable",
        "NodeAlreadyInTargetSchedulingState": "The specified node is already in the target scheduling state.",
        "OperationNotValidOnNode": "The specified operation is not valid on the node.",
        "OperationNotValidOnPool": "The specified operation is not valid on the pool.",
        "JobExists": "The specified job already exists.",
        "JobBeingTerminated": "The specified job is being terminated.",
        "JobBeingDeleted": "The specified job has been marked for deletion and is being garbage collected.",
        "JobCompleted": "The specified job is already in a completed state.",
        "JobPreparationTaskOrReleaseTaskNotSpecified": (
            "The specified job does not have either job preparation task or job release task."
        ),
        "NodeNotReady": ("Node is not able to perform the requested operations in its current state."),
        "TaskFilesUnavailable": (
            "The task files are unavailable because the task has not been scheduled, or is not running."
        ),
        "TaskFilesCleanedup": "The task files have been cleaned up from the node.",
        "TaskExists": "The specified task already exists.",
        "TaskIdSameAsJobPreparationTask": (
            "The id of the task is the same as that of the job preparation task."
        ),
        "TaskIdSameAsJobReleaseTask": "The id of the task is the same as that of the job release task.",
        "TaskCompleted": "The specified task is already in a completed state.",
        "TaskNotCompleted": (
            "The specified task is not in a completed state, and the requested operation can be "
            "performed only on completed tasks."
        ),
        "TaskSucceeded": (
            "The specified task has already completed successfully, and the requested operation cannot "
            "be performed on successful tasks."
        ),
        "OperationInvalidForCurrentState": (
            "The specified operation is not valid for the current state of the resource."
        ),
    },
    412: {
        "ConditionNotMet": "The condition specified using HTTP conditional header(s) is not met.",
    },
    413: {
        "RequestBodyTooLarge": "The request body is too large and exceeds the maximum permissible limit.",
    },
    416: {
        "InvalidRange": "The range specified is invalid for the current size of the resource.",
    },
    429: {
        "TooManyRequests": "Request failed as server encountered too many requests. Please try again.",
    },
    500: {
        "InternalError": "The server encountered an internal error. Please retry the request.",
    },
    501: {
        "NotImplemented": "This operation is not modelled by the emulator.",
    },
    503: {
        "ServerBusy": "The server is currently unable to receive requests. Please retry your request.",
        "TooManyEnableAutoScaleRequests": "Too many Enable Pool AutoScale requests are issued on the pool.",
    },
}
_BATCH = {code: (status, text) for status, texts in _BY_STATUS.items() for code, text in texts.items()}

_ERROR_TYPE = "Microsoft.Azure.Batch.Protocol.Entities.Container.errors"


@dataclass(eq=False)
class RefusedError(Exception):
    """A request that the service refuses. ``values`` are the details, which each plane spells its own way."""

    status: int
    code: str
    message: str
    values: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    front_door: bool = False
    """Refused by Azure Resource Manager before Batch was asked."""

    def __str__(self) -> str:
        """Everything that the client will be told."""
        details = "".join(f" {key}: {value}." for key, value in self.values.items())
        return f"{self.status} {self.code}: {self.message}{details}"


def refusal(
    code: str,
    /,
    *,
    status: int | None = None,
    message: str | None = None,
    values: Mapping[str, str] | None = None,
    **more_values: str,
) -> RefusedError:
    """The refusal of that code, with the status and the words that Microsoft gives it."""
    usual_status, usual_message = _BATCH[code]
    return RefusedError(
        status or usual_status, code, message or usual_message, {**(values or {}), **more_values}
    )


def bad_parameter(name: str, value: str, reason: str) -> RefusedError:
    """The refusal of a parameter of the query."""
    values = {"QueryParameterName": name, "QueryParameterValue": value[:200], "Reason": reason}
    return refusal("InvalidQueryParameterValue", values=values)


def front_door(
    status: int, code: str, message: str, headers: Mapping[str, str] | None = None
) -> RefusedError:
    """A refusal of Azure Resource Manager itself."""
    return RefusedError(status, code, message, headers=headers or {}, front_door=True)


def not_authorized(client: str, object_id: str, action: str, scope: str) -> RefusedError:
    """The front door's 403 for an identity without the action that a request needs."""
    message = (
        f"The client '{client}' with object id '{object_id}' does not have authorization to perform action "
        f"'{action}' over scope '{scope}' or the scope is invalid. If access was recently granted, please "
        "refresh your credentials."
    )
    return front_door(403, "AuthorizationFailed", message)


def throttled(kind: str, subscription: str, seconds: int) -> RefusedError:
    """The front door's 429 for too many requests of a kind (read, write, delete)."""
    message = (
        f"Number of '{kind}' requests for subscription '{subscription}' exceeded. Please try again after "
        f"'{seconds}' seconds after additional tokens are available."
    )
    headers = {"Retry-After": str(seconds), f"x-ms-ratelimit-remaining-subscription-{kind}s": "0"}
    return front_door(429, "SubscriptionRequestsThrottled", message, headers)


def failure(status: int, code: str | None, message: str | None) -> RefusedError:
    """An error that has nothing to do with what was asked, as services and gateways give it."""
    usual = {429: "TooManyRequests", 500: "InternalError", 502: "InvalidGatewayHost", 503: "ServerBusy"}
    code = code or usual.get(status) or "".join(HTTPStatus(status).phrase.title().split())
    if message is None and code == "InvalidGatewayHost":
        message = "Host name resolution failed for 'Microsoft.Batch'; cannot fulfill the request."
    _, usual_message = _BATCH.get(code, (status, HTTPStatus(status).phrase))
    return RefusedError(status, code, usual_message if message is None else message)


def not_modelled(what: str) -> RefusedError:
    """Refuse what the emulator cannot do, rather than pretend that it was done."""
    return refusal("NotImplemented", message=f"The emulator does not model this: {what}")


def management_body(problem: RefusedError, request_id: str, time: str) -> dict[str, Any]:
    """Write a refusal as the management plane does."""
    if problem.front_door:
        return {"error": {"code": problem.code, "message": problem.message}}
    error: dict[str, Any] = {
        "code": problem.code,
        "message": f"{problem.message}\nRequestId:{request_id}\nTime:{time}",
        "target": "BatchAccount",
    }
    if problem.values:
        error["details"] = [{"code": key, "message": value} for key, value in problem.values.items()]
    return {"error": error}


def data_body(problem: RefusedError, base: str, request_id: str, time: str) -> dict[str, Any]:
    """Write a refusal as the data plane does."""
    body: dict[str, Any] = {
        "odata.metadata": f"{base}/$metadata#{_ERROR_TYPE}/@Element",
        "code": problem.code,
        "message": {"lang": "en-US", "value": f"{problem.message}\nRequestId:{request_id}\nTime:{time}"},
    }
    if problem.values:
        body["values"] = [{"key": key, "value": value} for key, value in problem.values.items()]
    return body
