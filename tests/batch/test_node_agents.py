"""Which agent belongs to which image: names that were recorded, and names of the same kinds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_batchext.batch.node_agents import (
    is_linux,
    is_malformed,
    likely_agent,
    system_of_agent,
    system_of_image,
)
from airflow_batchext.emulator.data.images import IMAGES

IMAGE_OF = {
    "canonical/0001-com-ubuntu-server-jammy/22_04-lts-gen2": "batch.node.ubuntu 22.04",
    "canonical/ubuntuserver/16.04.0-lts": "batch.node.ubuntu 16.04",
    "microsoft-dsvm/ubuntu-2004/2004-gen2": "batch.node.ubuntu 20.04",
    "microsoft-azure-batch/centos-container/7-8": "batch.node.centos 7",
    "openlogic/centos-hpc/8_1": "batch.node.centos 8",
    "almalinux/almalinux-hpc/8_10-hpc-gen2": "batch.node.el 8",
    "almalinux/almalinux-x86_64/10-gen2": "batch.node.el 10",
    "resf/rockylinux-x86_64/9-base": "batch.node.el 9",
    "debian/debian-12/12-gen2": "batch.node.debian 12",
    "credativ/debian/9": "batch.node.debian 9",
    "microsoftcblmariner/cbl-mariner/cbl-mariner-2-gen2": "batch.node.mariner 2.0",
    "microsoft-dsvm/dsvm-win-2022/winserver-2022": "batch.node.windows amd64",
    "MicrosoftWindowsServer/WindowsServer/2019-datacenter-core": "batch.node.windows amd64",
}


@pytest.mark.parametrize("name", IMAGE_OF)
def test_an_image_tells_its_agent(name):
    image = dict(zip(("publisher", "offer", "sku"), name.split("/"), strict=True))
    system = system_of_image(image)
    assert system is not None
    assert system.agent == IMAGE_OF[name]
    assert is_linux(image) is (system.name != "windows")


@pytest.mark.parametrize("entry", IMAGES, ids=lambda entry: "-".join(entry["imageReference"].values()))
def test_what_the_service_lists_is_told_as_it_lists_it(entry):
    system = system_of_image(entry["imageReference"])
    assert system is not None
    assert system.agent == entry["nodeAgentSKUId"]


@pytest.mark.parametrize(
    "image", [{}, {"publisher": "somebody", "offer": "something", "sku": "24"}, {"id": "x"}]
)
def test_of_an_image_that_is_not_known_nothing_is_said(image):
    assert system_of_image(image) is None
    assert is_linux(image) is None


VERSIONS = {
    "ubuntu": st.integers(14, 40).map(lambda year: f"{year}.04"),
    "debian": st.integers(8, 20).map(str),
    "el": st.integers(8, 12).map(str),
    "centos": st.integers(7, 8).map(str),
    "windows": st.just("amd64"),
}


@given(st.sampled_from(sorted(VERSIONS)).flatmap(lambda name: VERSIONS[name].map(lambda v: (name, v))))
def test_every_right_id_is_read_and_none_is_called_wrong(of):
    name, version = of
    agent = f"batch.node.{name} {version}"
    assert not is_malformed(agent)
    assert system_of_agent(agent.upper()).name == name


@given(
    st.sampled_from(sorted(VERSIONS)).flatmap(lambda name: VERSIONS[name].map(lambda v: (name, v))),
    st.sampled_from(["", "-", "_", ".", "  "]),
)
def test_a_wrong_sign_before_the_version_is_told_with_the_right_id(of, sign):
    name, version = of
    agent = f"batch.node.{name}{sign}{version}"
    assert is_malformed(agent)
    assert likely_agent(agent) == f"batch.node.{name} {version}"


@pytest.mark.parametrize("agent", ["batch.node.", "batch.node.x", "batch.node. 3"])
def test_where_nobody_can_tell_what_was_meant_nothing_is_proposed(agent):
    assert is_malformed(agent)
    assert likely_agent(agent) == ""


def test_an_agent_of_a_system_that_comes_is_not_called_wrong():
    assert not is_malformed("batch.node.novel 3.0-arm64")
    assert system_of_agent("batch.node.novel 3.0-arm64") is not None
