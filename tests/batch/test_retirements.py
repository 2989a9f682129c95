"""What Azure has retired: the table is in order, and says neither too much nor too little."""

from __future__ import annotations

from datetime import date

import pytest

from airflow_batchext.batch import retirements
from airflow_batchext.batch.retirements import AGENTS, EXTENSIONS, IMAGES, SIZES, retirement_of
from airflow_batchext.emulator.management.sizes import SIZES as OFFERED

EVERYTHING = (*AGENTS, *IMAGES, *SIZES, *EXTENSIONS)


@pytest.mark.parametrize("entry", EVERYTHING, ids=lambda entry: entry.pattern[:40])
def test_each_end_has_a_source_and_a_way_on(entry):
    assert entry.source.startswith("https://")
    assert entry.instead
    assert entry.title
    # What is said to be refused ended before this table was written.
    assert not entry.is_refused or entry.ends < date(2026, 6, 1)


@pytest.mark.parametrize(
    ("name", "is_refused"),
    [
        ("batch.node.ubuntu 18.04", True),
        ("batch.node.ubuntu 20.04", True),
        ("batch.node.ubuntu 22.04", False),
        ("batch.node.ubuntu 24.04", None),
        ("batch.node.centos 7", True),
        ("batch.node.debian 9", True),
        ("batch.node.debian 11", None),
        ("batch.node.el 8", None),
        ("batch.node.windows amd64", None),
    ],
)
def test_agents(name, is_refused):
    found = retirement_of(name, AGENTS)
    assert (None if found is None else found.is_refused) is is_refused


@pytest.mark.parametrize(
    ("name", "is_refused"),
    [
        ("STANDARD_A1", True),
        ("Standard_A1_v2", None),
        ("basic_a0", True),
        ("Standard_NC6", True),
        ("Standard_NC24r", True),
        ("Standard_NC6s_v3", True),
        ("Standard_NC4as_T4_v3", None),
        ("Standard_NV12", True),
        ("Standard_NV12s_v3", None),
        ("Standard_ND40rs_v2", None),
        ("STANDARD_DS2_V2", False),
        ("Standard_D2_v2", False),
        ("Standard_D2_v3", None),
        ("Standard_D2s_v5", None),
        ("Standard_HB60rs", False),
        ("Standard_HB120rs_v2", None),
        ("Standard_L8s", False),
        ("Standard_L8s_v3", None),
    ],
)
def test_sizes(name, is_refused):
    found = retirement_of(name, SIZES)
    assert (None if found is None else found.is_refused) is is_refused


def test_nothing_that_the_emulated_location_offers_is_refused():
    for size in OFFERED:
        found = retirement_of(size["name"], SIZES)
        assert found is None or not found.is_refused


def test_an_end_is_told_when_it_is_near_and_not_before():
    jammy = retirement_of("batch.node.ubuntu 22.04", AGENTS)
    assert not jammy.is_near(jammy.ends - retirements.NEAR - date.resolution)
    assert jammy.is_near(jammy.ends - retirements.NEAR)
    assert jammy.is_near(jammy.ends)
    assert retirement_of("batch.node.ubuntu 18.04", AGENTS).is_near(date(2000, 1, 1))
