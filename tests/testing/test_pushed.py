"""Pushed authorization requests at the double (RFC 9126)."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from harbor_oauth.testing import AuthorizationServer

PREFIX = "urn:ietf:params:oauth:request_uri:"


@pytest.fixture
def pusher(clock: Any, new_user: Any) -> Any:
    """A user at a server that offers pushed requests."""
    with AuthorizationServer(par=True, clock=clock) as server:
        yield new_user(server)


def request_of(user: Any, **changes: Any) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(user.url(**changes)).query))


def push(user: Any, **changes: Any) -> Any:
    return user.post("par", **request_of(user, **changes))


def go(user: Any, **front: str) -> Any:
    front = {"client_id": user.client.client_id} | front
    return user.ask(f"{user.server.metadata['authorization_endpoint']}?{urlencode(front)}")


def test_a_pushed_request_is_the_whole_request(pusher: Any) -> None:
    """§2.2 and §4: 201, and what was pushed comes back with the code."""
    answer = push(pusher, scope="read", resource="https://api.example/mcp")
    assert answer.status == 201
    assert set(answer.json) == {"request_uri", "expires_in"}
    assert answer.json["request_uri"].startswith(PREFIX)
    back = go(pusher, request_uri=answer.json["request_uri"]).sent_back
    assert (back["state"], back["iss"]) == ("state-1", pusher.server.issuer)
    tokens = pusher.redeem(back["code"]).json
    assert tokens["scope"] == "read"
    assert pusher.server.valid(tokens["access_token"]).resource == ("https://api.example/mcp",)


def test_a_request_uri_works_once_and_not_for_long(pusher: Any, clock: Any) -> None:
    """§7.3 and `expires_in`."""
    first, second = (push(pusher).json["request_uri"] for _ in range(2))
    assert go(pusher, request_uri=first).status == 302
    assert go(pusher, request_uri=first).status == 400
    clock.now += 59.9
    third = push(pusher).json["request_uri"]
    clock.now += 0.1
    assert go(pusher, request_uri=second).status == 400
    assert go(pusher, request_uri=third).status == 302


def test_the_page_does_not_spend_it_and_the_button_does(pusher: Any) -> None:
    """A person may reload the page before they decide."""
    pusher.server.interactive = True
    request_uri = push(pusher).json["request_uri"]
    assert [go(pusher, request_uri=request_uri).status for _ in range(2)] == [200, 200]
    front = urlencode({"client_id": pusher.client.client_id, "request_uri": request_uri})
    url = f"{pusher.server.base}/authorize?{front}"
    assert "code" in pusher.ask(url, form={"decision": "allow"}).sent_back
    assert pusher.ask(url, form={"decision": "allow"}).status == 400


@pytest.mark.parametrize(
    "front",
    [
        {"state": "x"},
        {"scope": "read"},
        {"client_id": "other"},
        {"request_uri": PREFIX + "made-up"},
    ],
)
def test_the_front_channel_holds_nothing_else(pusher: Any, front: Any) -> None:
    """Strict: a parameter that travels twice is a defect of the client."""
    pusher.server.add_client(client_id="other")
    request_uri = push(pusher).json["request_uri"]
    assert go(pusher, **({"request_uri": request_uri} | front)).status == 400
    assert go(pusher, request_uri=request_uri).status == 302


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"redirect_uri": "https://evil.example/"}, "invalid_request"),
        ({"code_challenge": None}, "invalid_request"),
        ({"scope": "admin"}, "invalid_scope"),
        ({"request_uri": PREFIX + "x"}, "invalid_request"),
        ({"client_id": "nobody"}, "invalid_client"),
    ],
)
def test_a_bad_request_is_refused_when_it_is_pushed(pusher: Any, changes: Any, error: str) -> None:
    """§2.3: as JSON, before a browser is opened."""
    refused = push(pusher, **changes)
    assert refused.status in {400, 401}
    assert refused.json["error"] == error


def test_the_client_proves_itself(pusher: Any) -> None:
    """§2: as at the token endpoint."""
    client = pusher.server.add_client(token_endpoint_auth_method="client_secret_post")
    ours = {"client_id": client.client_id, "redirect_uri": "http://127.0.0.1/callback"}
    assert push(pusher, **ours).json["error"] == "invalid_client"
    assert push(pusher, **ours, client_secret=client.client_secret).status == 201


def test_it_is_off_offered_or_required(user: Any) -> None:
    """The metadata follows the switches while the server runs (§5)."""
    endpoint, required = (
        "pushed_authorization_request_endpoint",
        "require_pushed_authorization_requests",
    )

    def document() -> Any:
        return user.ask(f"{user.server.origin}/.well-known/oauth-authorization-server").json

    assert not {endpoint, required} & set(document())
    assert push(user).status == 404
    user.server.par = True
    assert document()[endpoint] == f"{user.server.issuer}/par"
    assert required not in document()
    assert "code" in user.authorize().sent_back
    user.server.require_par = True
    assert document()[required] is True
    assert user.authorize().sent_back["error"] == "invalid_request"
    assert "code" in go(user, request_uri=push(user).json["request_uri"]).sent_back
    user.server.metadata["issuer"] = "https://edited.example"
    user.server.par = user.server.require_par = False
    assert not {endpoint, required} & set(document())
    assert document()["issuer"] == "https://edited.example"


def test_answers_are_scripted_and_amended(pusher: Any) -> None:
    """As at every endpoint."""
    pusher.server.amend("par", expires_in=None, request_uri="urn:x")
    assert push(pusher).json == {"request_uri": "urn:x"}
    assert pusher.server.count("par", response_type="code") == 1
