"""Which members hold secrets: by name, in any spelling, and nearly so."""

from __future__ import annotations

import re
from difflib import SequenceMatcher

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_batchext.secrets import names
from airflow_batchext.secrets._plain import plain
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


WHOLE = names._HINT.pattern.replace("(?:", "(").replace(r"(?<![\w-])", "")
PIECES = [
    *re.findall(r"[\w:=~.-]+", WHOLE),
    *("%3D", "%3d", "-", "p", "a-p", " -p", "-P", "\u017f", "\u212a", "\u0131", "\u0130", "\xe9"),
]


@settings(max_examples=500)
@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=4).map("".join), st.booleans())
def test_words_are_found_as_by_the_pattern(text, is_upper):
    text = text.upper() if is_upper else text
    assert names.may_hold_secret(text) == (names._HINT.search(plain(text)) is not None)


@pytest.mark.parametrize("hint", names._HINTS)
def test_each_word_is_one_of_the_patterns(hint):
    assert names._HINT.search(hint)
    assert names.may_hold_secret(f"x {hint.upper()} x")


def test_the_pattern_has_no_word_but_these():
    """Each way through the pattern has one of the words in it, or is a short option."""
    ways = [way for way in re.split(r"\|(?![^(]*\))", names._HINT.pattern) if not way.startswith("(?<!")]
    for way in ways:
        forms = [way.replace("\\", "")]
        if group := re.search(r"\(\?:(.*?)\)|\[(\w+)\]", way):
            parts = group[1].split("|") if group[1] else list(group[2])
            forms = [way.replace(group[0], part) for part in parts]
        for form in forms:
            assert any(hint in form.lower() for hint in names._HINTS), form
