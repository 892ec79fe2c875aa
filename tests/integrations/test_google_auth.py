"""`integrations.google_auth.Credentials`: the tokens of what takes google-auth's."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from google.auth.transport.requests import AuthorizedSession, Request

from harbor_oauth.client import Harbor
from harbor_oauth.errors import LoginRequiredError, WrongResourceError
from harbor_oauth.integrations.google_auth import Credentials
from harbor_oauth.testing import AuthorizationServer, McpServer, RecordedRequest, answers

if TYPE_CHECKING:
    from tests.conftest import FakeClock


def never(*_: object, **__: object) -> None:
    raise AssertionError("google-auth's own way to send requests was used")


def post(harbor: Harbor, url: str, **options: Any) -> int:
    """Send one POST through google-auth's session and return the answer's status."""
    credentials = Credentials("practice", harbor=harbor)
    with AuthorizedSession(credentials, auth_request=never) as session:
        answer = session.post(url, timeout=10, **options)
        return int(answer.status_code)


def test_a_refresh_gives_a_token_and_its_end(
    signed_in: Harbor, clock: FakeClock, refreshes: Callable[[], int]
) -> None:
    """The first one costs nothing; the end is a naive datetime in UTC, as google-auth has it."""
    credentials = Credentials("practice", harbor=signed_in)
    assert not credentials.valid
    credentials.refresh(never)
    assert credentials.token == signed_in.token("practice").reveal()
    assert credentials.expiry == datetime.fromtimestamp(clock.now + 3600, UTC).replace(tzinfo=None)
    assert credentials.valid
    assert refreshes() == 0


def test_a_second_refresh_gives_another_token(
    signed_in: Harbor, refreshes: Callable[[], int]
) -> None:
    """google-auth asks for one after a 401: the held token is reported as refused."""
    credentials = Credentials("practice", harbor=signed_in)
    credentials.refresh(never)
    first = credentials.token
    credentials.refresh(never)
    assert credentials.token != first
    assert refreshes() == 1


def test_a_refresh_after_another_s_costs_nothing(
    signed_in: Harbor, clock: FakeClock, refreshes: Callable[[], int]
) -> None:
    """What somebody else refreshed meanwhile is taken as it is."""
    credentials = Credentials("practice", harbor=signed_in)
    credentials.refresh(never)
    clock.advance(3600)
    newer = signed_in.token("practice").reveal()
    credentials.refresh(never)
    assert credentials.token == newer
    assert refreshes() == 1


def test_a_call_carries_the_token(signed_in: Harbor, mcp: McpServer, call: dict[str, Any]) -> None:
    """The server lets google-auth's session in."""
    assert post(signed_in, mcp.url, **call) == 200


def test_a_401_costs_one_refresh(
    signed_in: Harbor,
    issuer: AuthorizationServer,
    mcp: McpServer,
    call: dict[str, Any],
    refreshes: Callable[[], int],
    carried: Callable[[], list[RecordedRequest]],
) -> None:
    """google-auth's session sends the request again with the new token."""
    issuer.expire_access_tokens()
    assert post(signed_in, mcp.url, **call) == 200
    assert (len(carried()), refreshes()) == (2, 1)


def test_a_server_that_always_refuses_costs_one_refresh(
    signed_in: Harbor,
    mcp: McpServer,
    call: dict[str, Any],
    refreshes: Callable[[], int],
    carried: Callable[[], list[RecordedRequest]],
) -> None:
    """google-auth tries three times by itself; Harbor refreshes once for it."""
    mcp.always_401 = True
    assert post(signed_in, mcp.url, **call) == 401
    assert (len(carried()), refreshes()) == (3, 1)


def test_fields_are_replaced_and_in_lower_case(signed_in: Harbor, mcp: McpServer) -> None:
    """A caller's own Authorization and DPoP go; gRPC takes lower case names only."""
    headers = {"AUTHORIZATION": "Bearer stale", "DPoP": "stale", "Other": "stays"}
    Credentials("practice", harbor=signed_in).before_request(never, "POST", mcp.url, headers)
    expected = signed_in.token("practice").authorization
    assert headers == {"Other": "stays", "authorization": expected}


def test_another_origin_is_refused_before_anything_is_sent(
    signed_in: Harbor, issuer: AuthorizationServer
) -> None:
    """Not a byte goes there."""
    before = len(issuer.requests)
    with pytest.raises(WrongResourceError):
        post(signed_in, f"{issuer.issuer}/steal")
    assert len(issuer.requests) == before


def test_a_redirect_to_another_host_leaves_the_token_behind(
    signed_in: Harbor, issuer: AuthorizationServer, mcp: McpServer, call: dict[str, Any]
) -> None:
    """The session follows it, without the token."""
    mcp.script("mcp", answers.redirect(307, f"{issuer.issuer}/steal"))
    post(signed_in, mcp.url, **call)
    stolen = [each for each in issuer.requests if each.path == "/steal"]
    assert stolen
    assert not [each for each in stolen if "authorization" in each.headers]


def test_without_a_grant_nothing_is_sent(harbor: Harbor, mcp: McpServer) -> None:
    """Nobody has signed in: Harbor's error, unchanged."""
    with pytest.raises(LoginRequiredError):
        post(harbor, mcp.url)
    with pytest.raises(LoginRequiredError):
        Credentials("practice", harbor=harbor).refresh(Request())
    assert mcp.count("mcp") == 0


def test_a_bound_token_is_proved(
    bound: Harbor, issuer: AuthorizationServer, mcp: McpServer, call: dict[str, Any]
) -> None:
    """Each attempt has a proof of its own (RFC 9449 §7.1)."""
    assert post(bound, mcp.url, **call) == 200
    issuer.expire_access_tokens()
    assert post(bound, mcp.url, **call) == 200
