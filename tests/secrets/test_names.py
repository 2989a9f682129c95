"""Which members hold secrets: by name, in any spelling, and nearly so."""

from __future__ import annotations

from difflib import SequenceMatcher

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_batchext.secrets.names import SECRET_MEMBERS, is_secret_member

NAME = "protectedsettings"
ALIKE = 0.85


@pytest.mark.parametrize(
    "key",
    [
        "protectedSettingsFromKeyVault",
        "settings",
        "passwordless",
        "accountName",
        "environmentSettings",
        "",
        3,
    ],
)
def test_what_is_no_secret_member(key):
    assert not is_secret_member(key)


def test_secret_members_are_known_in_their_own_spelling():
    assert all(is_secret_member(member) for member in SECRET_MEMBERS)
    assert {"protectedSettings", "password", "sshPrivateKey", "accountKey", "sasKey"} <= SECRET_MEMBERS


@st.composite
def misspelt(draw: st.DrawFn) -> str:
    """``protectedSettings`` with up to eight letters put in, left out or exchanged."""
    letters = list(NAME)
    for _ in range(draw(st.integers(0, 8))):
        place = draw(st.integers(0, len(letters)))
        letters[place : place + draw(st.integers(0, 1))] = draw(st.text("protecdsingxyz9", max_size=1))
    return "".join(letters)


@settings(max_examples=500)
@given(st.one_of(misspelt(), st.permutations(NAME).map("".join), st.text("protecdsing", max_size=30)))
def test_the_quick_look_at_the_letters_decides_nothing_otherwise(name):
    """Names that are alike all have enough letters in common, so that only the others are passed over."""
    alike = SequenceMatcher(None, name, NAME).ratio() >= ALIKE
    assert is_secret_member(name) == (alike or name in {member.lower() for member in SECRET_MEMBERS})
