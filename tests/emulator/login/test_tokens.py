"""A token whose signature was checked once is judged anew each time by all that may have changed since."""

from __future__ import annotations

import time

import jwt
import pytest

from airflow_batchext.emulator.login.tokens import _REMEMBERED, BATCH, MANAGEMENT, TokenError, Tokens


@pytest.fixture
def tokens() -> Tokens:
    return Tokens(lambda: 3600)


def refusal(tokens: Tokens, token: str, resource: str = BATCH) -> str:
    with pytest.raises(TokenError) as caught:
        tokens.verify(token, resource)
    return caught.value.kind


def test_one_that_was_accepted_expires(tokens: Tokens) -> None:
    token = tokens.issue(BATCH, lifetime=2)
    assert tokens.verify(token, BATCH)["aud"] == BATCH
    end = jwt.decode(token, options={"verify_signature": False})["exp"]
    while time.time() < end:
        time.sleep(0.1)
    assert refusal(tokens, token) == "expired"


def test_one_that_was_accepted_is_for_its_audience_alone(tokens: Tokens) -> None:
    token = tokens.issue(BATCH)
    tokens.verify(token, BATCH)
    assert refusal(tokens, token, MANAGEMENT) == "audience"


@pytest.mark.parametrize("place", [0, 1, 2])
def test_what_is_made_of_one_that_was_accepted_is_not(tokens: Tokens, place: int) -> None:
    token = tokens.issue(BATCH)
    tokens.verify(token, BATCH)
    parts = token.split(".")
    middle = len(parts[place]) // 2
    before, letter, after = parts[place][:middle], parts[place][middle], parts[place][middle + 1 :]
    parts[place] = f"{before}{'A' if letter != 'A' else 'B'}{after}"
    assert refusal(tokens, ".".join(parts)) == "invalid"


def test_those_of_another_tenant_are_refused_though_one_process_signs_both(tokens: Tokens) -> None:
    other = Tokens(lambda: 3600)
    assert other.verify(other.issue(BATCH), BATCH)
    assert refusal(tokens, other.issue(BATCH)) == "invalid"


def test_many_are_not_kept_for_ever(tokens: Tokens) -> None:
    for _ in range(_REMEMBERED + 5):
        tokens.verify(tokens.issue(BATCH), BATCH)
    assert len(tokens._verified) <= _REMEMBERED
