"""What the members of an answer are, where we look into them: anything else is an answer not understood.

A member that is missing or null is well; one that is not listed here is nobody's business. Pure.

Source: the schemas of the two REST APIs, version 2025-06-01.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

Shape = type | Mapping[str, Any] | list[Any]

_PAIRS: Final = [{"name": str, "value": str}]
_RESIZE_ERRORS: Final = [{"code": str, "message": str}]

#: ``Pool`` of the management plane.
MANAGED_POOL: Final[Shape] = {
    "id": str,
    "name": str,
    "etag": str,
    "identity": {"type": str, "userAssignedIdentities": dict},
    "tags": dict,
    "properties": {
        "provisioningState": str,
        "allocationState": str,
        "creationTime": str,
        "vmSize": str,
        "currentDedicatedNodes": int,
        "currentLowPriorityNodes": int,
        "metadata": _PAIRS,
        "scaleSettings": {
            "fixedScale": {"targetDedicatedNodes": int, "targetLowPriorityNodes": int, "resizeTimeout": str},
            "autoScale": {"formula": str, "evaluationInterval": str},
        },
        "deploymentConfiguration": {
            "virtualMachineConfiguration": {
                "imageReference": dict,
                "extensions": [{"name": str, "type": str, "publisher": str}],
            },
        },
        "networkConfiguration": dict,
        "startTask": dict,
        "resizeOperationStatus": {"errors": _RESIZE_ERRORS},
        "autoScaleRun": {"error": {"code": str, "message": str}},
    },
}
#: ``BatchAccount``.
ACCOUNT: Final[Shape] = {"id": str, "location": str, "properties": {"accountEndpoint": str}}
#: ``BatchPool`` of the data plane; whatever else is looked into is read in ``batch.data_plane``.
POOL: Final[Shape] = {"id": str, "eTag": str, "metadata": _PAIRS, "virtualMachineConfiguration": dict}
#: ``UploadBatchServiceLogsResult``.
UPLOADED: Final[Shape] = {"virtualDirectoryName": str, "numberOfFilesUploaded": int}


def check_shape(value: Any, shape: Shape) -> None:
    """Check that a value is shaped so.

    :raises TypeError: if it is not.
    """
    waiting: list[tuple[Any, Any]] = [(value, shape)]
    while waiting:
        found, wanted = waiting.pop()
        if found is None:
            continue
        if isinstance(wanted, type):
            if not isinstance(found, wanted) or (wanted is int and isinstance(found, bool)):
                raise TypeError("a member is of another kind")
        elif isinstance(wanted, list):
            if not isinstance(found, list):
                raise TypeError("a member is no list")
            waiting += [(item, wanted[0]) for item in found]
            if any(item is None for item in found):
                raise TypeError("an entry of a list is null")
        else:
            if not isinstance(found, dict):
                raise TypeError("a member is no object")
            waiting += [(found.get(name), below) for name, below in wanted.items()]
