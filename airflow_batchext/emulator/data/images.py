"""The images that the emulated account says it supports: a selection of those in recorded traffic."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_batchext.emulator.wire.http import Json

_GENERATION_2 = ("Generation2VMImage",)
_CONTAINERS = ("DockerCompatible", "NvidiaTeslaDriverInstalled", "NvidiaGridDriverInstalled")


def _image(
    publisher: str, offer: str, sku: str, agent: str, *capabilities: str, is_verified: bool = True
) -> Json:
    image: Json = {
        "imageReference": {"publisher": publisher, "offer": offer, "sku": sku, "version": "latest"},
        "verificationType": "verified" if is_verified else "unverified",
        "nodeAgentSKUId": f"batch.node.{agent}",
    }
    if capabilities:
        image["capabilities"] = list(capabilities)
    return {**image, "osType": "windows" if agent.startswith("windows") else "linux"}


IMAGES: tuple[Json, ...] = (
    _image("almalinux", "almalinux", "9-gen1", "el 9"),
    _image("almalinux", "almalinux", "9-gen2", "el 9", *_GENERATION_2, is_verified=False),
    _image("canonical", "0001-com-ubuntu-server-focal", "20_04-lts", "ubuntu 20.04"),
    _image("canonical", "0001-com-ubuntu-server-focal", "20_04-lts-gen2", "ubuntu 20.04", *_GENERATION_2),
    _image("canonical", "0001-com-ubuntu-server-jammy", "22_04-lts", "ubuntu 22.04"),
    _image("canonical", "0001-com-ubuntu-server-jammy", "22_04-lts-gen2", "ubuntu 22.04", *_GENERATION_2),
    _image("canonical", "ubuntu-24_04-lts", "server", "ubuntu 24.04", *_GENERATION_2),
    _image("canonical", "ubuntuserver", "18.04-lts", "ubuntu 18.04"),
    _image("microsoft-azure-batch", "ubuntu-server-container", "20-04-lts", "ubuntu 20.04", *_CONTAINERS),
    _image(
        *("microsoft-dsvm", "ubuntu-hpc", "2204", "ubuntu 22.04", "DockerCompatible", "SupportsRDMAOnly"),
        *(*_GENERATION_2, "IntelMPIRuntimeInstalled"),
    ),
    _image("microsoftwindowsserver", "windowsserver", "2016-datacenter-smalldisk", "windows amd64"),
    _image("microsoftwindowsserver", "windowsserver", "2019-datacenter", "windows amd64"),
    _image("microsoftwindowsserver", "windowsserver", "2022-datacenter", "windows amd64"),
)
