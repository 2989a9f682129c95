"""The codes of the errors with which a resize ends: what helps, and which go away by themselves. Plain facts.

Source: https://learn.microsoft.com/azure/batch/batch-pool-node-error-checking
"""

from __future__ import annotations

from collections.abc import Mapping

_MORE_QUOTA = (
    "Ask for more (Azure portal, Batch account, Quotas), free cores, or take fewer or smaller nodes."
)
ADVICE: Mapping[str, str] = {
    "accountcorequotareached": f"The account's quota of dedicated cores is used up. {_MORE_QUOTA}",
    "accountlowprioritycorequotareached": (
        f"The account's quota of low-priority cores is used up. {_MORE_QUOTA}"
    ),
    "accountspotcorequotareached": f"The account's quota of Spot cores is used up. {_MORE_QUOTA}",
    "accountvmseriescorequotareached": (
        f"The account's quota of cores for this family of machines is used up. {_MORE_QUOTA}"
    ),
    "allocationtimedout": (
        "Azure did not find enough machines within the resize timeout. Try again later, give a longer "
        "resizeTimeout, or take another vmSize or region."
    ),
    "allocationfailed": "Azure Compute refused the machines; the details say why.",
    "communicationenabledpoolreachedmaxvmcount": (
        "A pool with interNodeCommunication can have no more nodes. Take fewer, or do without it."
    ),
    "dependentresourcenotfound": (
        "Something that the pool refers to (subnet, image, identity, disk encryption set) is not there."
    ),
    "diskencryptionfailure": "Check the key of the disk encryption and the identity's access to it.",
    "failedidentityoperation": (
        "Check that the pool's managed identity exists, and that Batch may assign it "
        "(Managed Identity Operator)."
    ),
    "incompatiblevmsize": (
        "The image does not go with this vmSize (generation, disks). Take another of either."
    ),
    "missingpublisherpropertyinmarketplaceplan": "The image's marketplace plan has to be accepted first.",
    "removenodesfailed": "Nodes could not be removed. Try again later.",
    "resizestopped": "Somebody stopped the resize.",
    "unsupportedvmsize": "This vmSize cannot be had in this region. Take another.",
}

#: Errors that may go away, though on a pool of fixed size nobody tries again by itself.
_PASSING = frozenset({"allocationfailed", "allocationtimedout", "removenodesfailed", "resizestopped"})
#: Errors after which nothing will bring the nodes as things are: quotas, identities, sizes.
FATAL_RESIZE_CODES = frozenset(ADVICE) - _PASSING
