"""What the fault programs found once, held fast by a test of a moment each."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest

from harbor_oauth.client import Harbor
from harbor_oauth.protocol.http import HttpRequest, HttpResponse
from harbor_oauth.testing import AuthorizationServer
from harbor_oauth.transport import RequestsTransport


@pytest.mark.parametrize("life", [0, -5])
def test_a_life_of_nothing_is_unknown_and_no_reason_to_ask_at_every_call(
    harbor: Harbor, issuer: AuthorizationServer, life: int
) -> None:
    """`expires_in: 0` is not taken at its word; the token is used until it is refused."""
    harbor.login("practice")
    issuer.amend("token", expires_in=life)
    assert harbor.rejected("practice", harbor.token("practice"))
    assert len({harbor.token("practice").reveal() for _ in range(5)}) == 1
    assert issuer.count("token", grant_type="refresh_token") == 1


def test_a_logout_revokes_the_pair_that_a_refresh_stored_meanwhile(
    make_harbor: Callable[..., Harbor], issuer: AuthorizationServer
) -> None:
    """What is forgotten is what was revoked, not what came after it."""
    refreshing, send = make_harbor(), RequestsTransport(environ={})
    refreshing.login("practice")
    newest: list[str] = []

    def refresh_first(request: HttpRequest) -> HttpResponse:
        if request.url.endswith("/revoke") and not newest:
            refreshing.rejected("practice", refreshing.token("practice"))
            token = refreshing.vault.get("oauth:practice:refresh_token")
            assert token is not None
            newest.append(token.reveal())
        return send(request)

    make_harbor(transport=refresh_first).logout("practice")
    assert newest[0] in [r.form["token"] for r in issuer.requests if r.endpoint == "revoke"]
    assert refreshing.status() == ()


def test_a_pair_that_was_won_is_not_lost_to_another_s_refusal(
    make_harbor: Callable[..., Harbor], issuer: AuthorizationServer
) -> None:
    """Where two refreshed at once, the loser's `dead` gives way to the winner's tokens."""
    loser, send = make_harbor(), RequestsTransport(environ={})
    loser.login("practice")
    key = loser.vault.grants()[0]

    def lose_first(request: HttpRequest) -> HttpResponse:
        answer = send(request)
        found = loser.vault.grant(key)
        assert found is not None
        dead = attrs.evolve(found[0], state="dead", dead_cause="it lost")
        loser.vault.store_grant(key, dead, generation=found[1])
        return answer

    winner = make_harbor(transport=lose_first)
    assert winner.rejected("practice", winner.token("practice"))
    assert issuer.valid(winner.token("practice").reveal())
    assert loser.status()[0].state == "active"
