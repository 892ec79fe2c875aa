"""Sign-ins of every kind against the doubles: pushed, at another device, bound to a key, moved."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harbor_oauth.client import Harbor
from harbor_oauth.errors import ConfigurationError, IssuerMismatchError
from harbor_oauth.login.device import DeviceSession
from harbor_oauth.protocol.client_auth import ClientCredentials
from harbor_oauth.protocol.http import HttpRequest
from harbor_oauth.providers import discovered_provider
from harbor_oauth.testing import AuthorizationServer, McpServer

ACCEPT = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
LIST = b'{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}'


def test_a_server_that_wants_pushed_requests_sees_no_other(
    make_harbor: Callable[..., Harbor], issuer: AuthorizationServer
) -> None:
    """The browser carries two parameters (RFC 9126 §4), neither of them a secret of the flow."""
    issuer.require_par = True
    seen: list[str] = []

    def browser(url: str) -> bool:
        seen.append(url)
        return issuer.browser(url)

    harbor = make_harbor(browser=browser)
    assert harbor.login("practice").state == "active"
    query = seen[0].partition("?")[2]
    assert sorted(part.partition("=")[0] for part in query.split("&")) == [
        "client_id",
        "request_uri",
    ]
    assert issuer.count("par") == 1


def test_a_forgotten_client_is_registered_again_before_the_browser_opens(
    make_harbor: Callable[..., Harbor], issuer: AuthorizationServer
) -> None:
    """The pushed request says so, and no look at the front channel is needed."""
    issuer.require_par = True
    harbor = make_harbor()
    harbor.login("practice")
    issuer.forget_clients()
    assert harbor.login("practice").state == "active"
    assert (issuer.count("register"), issuer.count("authorize")) == (2, 2)


def test_another_device_confirms(harbor: Harbor, issuer: AuthorizationServer) -> None:
    """A code to type, and no browser here."""
    issuer.device_grant = True

    def confirm(session: DeviceSession) -> None:
        assert session.verification_uri.startswith(issuer.origin)
        issuer.approve_device(session.user_code)

    assert harbor.device_login("practice", confirm).state == "active"
    assert harbor.token("practice").reveal()
    assert issuer.count("authorize") == 0


def test_tokens_are_bound_where_the_server_asks(
    harbor: Harbor, issuer: AuthorizationServer, mcp: McpServer
) -> None:
    """Each request has its own proof; a refresh keeps the key; both servers' nonces are met."""
    issuer.dpop, mcp.require_dpop, mcp.clock = "required", True, issuer.clock
    issuer.dpop_nonce, mcp.dpop_nonce = "as-1", "rs-1"
    harbor.login("practice")
    request = HttpRequest("POST", mcp.url, ACCEPT, LIST)
    assert harbor.request("practice", request).status == 200
    assert harbor.token("practice").is_bound
    issuer.expire_access_tokens()
    assert harbor.request("practice", request).status == 200
    assert harbor.session("practice").post(mcp.url, data=LIST, headers=ACCEPT).status_code == 200
    proofs = [sent.headers["dpop"] for sent in mcp.requests if "dpop" in sent.headers]
    assert len(proofs) == len(set(proofs)) >= 4
    assert not any(
        sent.headers.get("authorization", "").startswith("Bearer ") for sent in mcp.requests
    )


def test_a_bound_grant_works_in_another_process(
    make_harbor: Callable[..., Harbor], issuer: AuthorizationServer, mcp: McpServer
) -> None:
    """Its key is a part of the record."""
    issuer.dpop, mcp.require_dpop, mcp.clock = "required", True, issuer.clock
    make_harbor().login("practice")
    issuer.expire_access_tokens()
    other = make_harbor()
    assert other.request("practice", HttpRequest("POST", mcp.url, ACCEPT, LIST)).status == 200


@pytest.fixture
def moved(issuer: AuthorizationServer, mcp: McpServer) -> Callable[[], AuthorizationServer]:
    """Let the resource name another authorization server from now on."""

    def move() -> AuthorizationServer:
        other = AuthorizationServer()
        other.start()
        mcp.authorization_servers = (other,)
        return other

    return move


def test_a_client_does_not_follow_to_another_issuer(
    make_harbor: Callable[..., Harbor],
    issuer: AuthorizationServer,
    mcp: McpServer,
    moved: Callable[[], AuthorizationServer],
) -> None:
    """A client that the program gives was registered at one server; the other never sees it."""
    known = issuer.add_client()
    harbor = make_harbor(
        clients={"it": ClientCredentials(known.client_id)},
        providers={"it": discovered_provider("it", mcp.url)},
    )
    harbor.login("it")
    other = moved()
    try:
        with pytest.raises(IssuerMismatchError, match="authorization server binding"):
            harbor.login("it")
        assert known.client_id not in str([request.query for request in other.requests])
        assert other.count("token") == other.count("authorize") == 0
    finally:
        other.close()


def test_a_code_goes_to_no_other_host_than_before(
    make_harbor: Callable[..., Harbor], issuer: AuthorizationServer, mcp: McpServer
) -> None:
    """The metadata changed between two sign-ins; undocking first is the person's consent."""
    providers = {"it": discovered_provider("it", mcp.url)}
    harbor = make_harbor(providers=providers)
    harbor.login("it")
    issuer.metadata["token_endpoint"] = "https://elsewhere.example/token"
    fresh = make_harbor(providers=providers)
    with pytest.raises(IssuerMismatchError, match="undock") as caught:
        fresh.login("it")
    assert "elsewhere.example" in str(caught.value)
    assert issuer.count("token") == 1


def test_metadata_swapped_while_the_browser_is_away_changes_nothing(
    make_harbor: Callable[..., Harbor], issuer: AuthorizationServer, mcp: McpServer
) -> None:
    """The code goes where it was to go when the browser opened (RFC 9207 §2.4)."""

    def browser(url: str) -> bool:
        issuer.metadata["token_endpoint"] = f"{mcp.origin}/stolen"
        issuer.metadata["issuer"] = mcp.origin
        return issuer.browser(url)

    harbor = make_harbor(browser=browser)
    assert harbor.login("practice").state == "active"
    assert issuer.count("token") == 1
    assert "stolen" not in str([request.path for request in mcp.requests])


def test_nobody_signs_in_to_a_declared_grant(make_harbor: Callable[..., Harbor]) -> None:
    """It needs no person, and must not become one's."""
    from harbor_oauth import ClientCredentialsGrant, Secret

    client = ClientCredentials("bot", Secret("s3cret"), "client_secret_basic")
    grant = ClientCredentialsGrant(url="https://mcp.example.com/mcp", client=client)
    harbor = make_harbor(unattended={"bot": grant})
    for name in ("bot", "bot/mcp", "bot/mcp@default"):
        with pytest.raises(ConfigurationError, match="without a person"):
            harbor.login(name)
