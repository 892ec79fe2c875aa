"""How long a token should still live when it is asked for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from harbor_oauth.client import Harbor
from harbor_oauth.testing import AuthorizationServer

if TYPE_CHECKING:
    from tests.conftest import FakeClock


def test_a_token_that_ends_too_soon_is_renewed_first(
    harbor: Harbor, issuer: AuthorizationServer, clock: FakeClock
) -> None:
    """A stream that begins now would outlive it; a short request would not."""
    harbor.login("practice")
    first = harbor.token("practice")
    assert harbor.token_now("practice", life=300) == first
    clock.advance(3400)  # of 3600
    assert harbor.token_now("practice") == first
    assert harbor.token_now("practice", life=300) is None
    renewed = asyncio.run(harbor.token_async("practice", life=300))
    assert renewed != first
    assert renewed.generation == first.generation + 1
    assert harbor.token_now("practice", life=300) == renewed
    assert issuer.count("token") == 2


def test_half_a_life_is_the_most_that_is_asked_for(
    harbor: Harbor, issuer: AuthorizationServer, clock: FakeClock
) -> None:
    """A token that lives for two minutes is not renewed for each stream."""
    issuer.access_token_lifetime = 120
    harbor.login("practice")
    for _ in range(3):
        first = asyncio.run(harbor.token_async("practice", life=300))
    assert issuer.count("token") == 1
    clock.advance(61)
    assert asyncio.run(harbor.token_async("practice", life=300)) != first
    assert issuer.count("token") == 2


def test_a_short_token_that_is_refused_early_is_renewed_each_time(
    harbor: Harbor, issuer: AuthorizationServer, clock: FakeClock
) -> None:
    """A server that counts whole seconds ends a token of two seconds after one."""
    issuer.access_token_lifetime = 2
    harbor.login("practice")
    for _ in range(3):
        token = harbor.token("practice")
        clock.advance(1.1)
        assert harbor.rejected("practice", token)
    assert issuer.count("token") == 4


def test_a_token_without_an_end_is_never_too_short(
    harbor: Harbor, issuer: AuthorizationServer
) -> None:
    """What is not known is not asked anew."""
    issuer.access_token_lifetime = None
    harbor.login("practice")
    token = harbor.token("practice")
    assert harbor.token_now("practice", life=1e9) == token
