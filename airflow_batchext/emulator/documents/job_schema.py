"""Every member that a job or a task may have, on the data plane (the management plane has neither)."""

from __future__ import annotations

from airflow_batchext.emulator.documents.machine_schema import NODE_IDENTITY
from airflow_batchext.emulator.documents.pool_schema import (
    CONTAINER,
    ENVIRONMENT,
    METADATA,
    RESOURCE_FILES,
    USER_IDENTITY,
)
from airflow_batchext.emulator.documents.schema import (
    ANY,
    BOOLEAN,
    INTEGER,
    READ_ONLY,
    SECRET,
    SPAN,
    TEXT,
    Many,
    Member,
    Object,
    same,
)

TASK_CONSTRAINTS = Object(
    "TaskConstraints", {"maxWallClockTime": SPAN, "retentionTime": SPAN, "maxTaskRetryCount": INTEGER}
)
_JOB_CONSTRAINTS = Object("JobConstraints", {"maxWallClockTime": SPAN, "maxTaskRetryCount": INTEGER})
_PACKAGES = Many(
    Object(
        "ApplicationPackageReference", {"applicationId": TEXT, "version": TEXT}, required=("applicationId",)
    )
)
_TOKENS = Object("AuthenticationTokenSettings", {"access": Many(TEXT)})
_OUTPUT_FILES = Many(
    Object(
        "OutputFile",
        {
            "filePattern": TEXT,
            "destination": Object(
                "OutputFileDestination",
                {
                    "container": Object(
                        "OutputFileBlobContainerDestination",
                        {
                            "containerUrl": TEXT,
                            "path": TEXT,
                            "identityReference": NODE_IDENTITY,
                            "uploadHeaders": Many(Object("HttpHeader", {"name": TEXT, "value": TEXT})),
                        },
                        required=("containerUrl",),
                    )
                },
            ),
            "uploadOptions": Object(
                "OutputFileUploadOptions",
                {"uploadCondition": same("TaskSuccess", "TaskFailure", "TaskCompletion")},
                required=("uploadCondition",),
            ),
        },
        required=("filePattern", "destination", "uploadOptions"),
    )
)
_EXIT_OPTIONS = Object(
    "ExitOptions",
    {"jobAction": same("none", "disable", "terminate"), "dependencyAction": same("satisfy", "block")},
)
_EXIT_CONDITIONS = Object(
    "ExitConditions",
    {
        "exitCodes": Many(
            Object(
                "ExitCodeMapping",
                {"code": INTEGER, "exitOptions": _EXIT_OPTIONS},
                required=("code", "exitOptions"),
            )
        ),
        "exitCodeRanges": Many(
            Object(
                "ExitCodeRangeMapping",
                {"start": INTEGER, "end": INTEGER, "exitOptions": _EXIT_OPTIONS},
                required=("start", "end", "exitOptions"),
            )
        ),
        "preProcessingError": _EXIT_OPTIONS,
        "fileUploadError": _EXIT_OPTIONS,
        "default": _EXIT_OPTIONS,
    },
)
_BEFORE: dict[str, Member] = {
    "id": TEXT,
    "displayName": TEXT,
    "commandLine": TEXT,
    "containerSettings": CONTAINER,
    "resourceFiles": RESOURCE_FILES,
    "outputFiles": _OUTPUT_FILES,
    "environmentSettings": ENVIRONMENT,
}
TASK = Object(
    "CloudTask",
    {
        **_BEFORE,
        "affinityInfo": Object("AffinityInformation", {"affinityId": TEXT}, required=("affinityId",)),
        "userIdentity": USER_IDENTITY,
        "exitConditions": _EXIT_CONDITIONS,
        "multiInstanceSettings": Object(
            "MultiInstanceSettings",
            {
                "numberOfInstances": INTEGER,
                "coordinationCommandLine": TEXT,
                "commonResourceFiles": RESOURCE_FILES,
            },
            required=("coordinationCommandLine",),
        ),
        "dependsOn": Object(
            "TaskDependencies",
            {
                "taskIds": Many(TEXT),
                "taskIdRanges": Many(
                    Object("TaskIdRange", {"start": INTEGER, "end": INTEGER}, required=("start", "end"))
                ),
            },
        ),
        "applicationPackageReferences": _PACKAGES,
        "authenticationTokenSettings": _TOKENS,
        "constraints": TASK_CONSTRAINTS,
        "requiredSlots": INTEGER,
    },
    required=("id", "commandLine"),
)
TASK_UPDATE = Object("TaskUpdateParameter", {"constraints": TASK_CONSTRAINTS})
TASKS = Object("TaskAddCollectionParameter", {"value": Many(ANY)}, required=("value",))
JOB = Object(
    "CloudJob",
    {
        "id": TEXT,
        "displayName": TEXT,
        "priority": INTEGER,
        "maxParallelTasks": INTEGER,
        "usesTaskDependencies": BOOLEAN,
        "allowTaskPreemption": BOOLEAN,
        "constraints": _JOB_CONSTRAINTS,
        "jobManagerTask": Object(
            "JobManagerTask",
            {
                **_BEFORE,
                "constraints": TASK_CONSTRAINTS,
                "requiredSlots": INTEGER,
                "userIdentity": USER_IDENTITY,
                "applicationPackageReferences": _PACKAGES,
                "authenticationTokenSettings": _TOKENS,
                "runExclusive": BOOLEAN,
                "allowLowPriorityNode": BOOLEAN,
                "killJobOnCompletion": BOOLEAN,
            },
            required=("id", "commandLine"),
        ),
        "jobPreparationTask": Object(
            "JobPreparationTask",
            {
                **{name: member for name, member in _BEFORE.items() if name != "displayName"},
                "constraints": TASK_CONSTRAINTS,
                "userIdentity": USER_IDENTITY,
                "waitForSuccess": BOOLEAN,
                "rerunOnNodeRebootAfterSuccess": BOOLEAN,
            },
            required=("commandLine",),
        ),
        "jobReleaseTask": Object(
            "JobReleaseTask",
            {
                **{name: member for name, member in _BEFORE.items() if name != "displayName"},
                "maxWallClockTime": SPAN,
                "retentionTime": SPAN,
                "userIdentity": USER_IDENTITY,
            },
            required=("commandLine",),
        ),
        "commonEnvironmentSettings": ENVIRONMENT,
        "poolInfo": Object("PoolInformation", {"poolId": TEXT, "autoPoolSpecification": SECRET}),
        "metadata": METADATA,
        "networkConfiguration": ANY,
        "onAllTasksComplete": same("noaction", "terminatejob"),
        "onTaskFailure": same("noaction", "performexitoptionsjobaction"),
    },
    required=("id", "poolInfo"),
)
_CHANGEABLE = (
    *("priority", "maxParallelTasks", "allowTaskPreemption", "constraints", "poolInfo", "metadata"),
    *("networkConfiguration", "onAllTasksComplete", "onTaskFailure"),
)
JOB_PATCH = Object("JobPatchParameter", {name: JOB.members[name] for name in _CHANGEABLE})
_UNTOUCHED = ("url", "eTag", "lastModified", "creationTime", "state", "stateTransitionTime", "executionInfo")
JOB_UPDATE = Object(
    "JobUpdateParameter",
    {**dict.fromkeys((*JOB.members, *_UNTOUCHED), READ_ONLY), **JOB_PATCH.members},
    required=("poolInfo",),
)
"""Clients replace a job by sending back what they were given, changed."""
JOB_DISABLE = Object(
    "JobDisableParameter",
    {"disableTasks": same("requeue", "terminate", "wait")},
    required=("disableTasks",),
)
JOB_TERMINATE = Object("JobTerminateParameter", {"terminateReason": TEXT})
