"""No endpoint's redirect is followed: what was sent stays with whom it was sent to."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

import attrs
import pytest

from harbor_oauth import flows
from harbor_oauth.errors import InsecureEndpointError
from harbor_oauth.flows.account import look_up_account
from harbor_oauth.flows.device import authorize_device, poll_device_token
from harbor_oauth.flows.discovery import discover
from harbor_oauth.flows.pushed import push_authorization_request
from harbor_oauth.flows.registration import delete_registration, register_client
from harbor_oauth.flows.revocation import revoke
from harbor_oauth.flows.tokens import TokenEndpoint, ask_as, exchange_code, refresh_access_token
from harbor_oauth.flows.unattended import exchange_for_id_jag, obtain_as_client, redeem_assertion
from harbor_oauth.protocol.authorization import AuthorizationRequest
from harbor_oauth.protocol.challenge import Challenge
from harbor_oauth.protocol.client_auth import ClientCredentials
from harbor_oauth.protocol.http import HttpRequest, Transport
from harbor_oauth.protocol.metadata import ServerMetadata
from harbor_oauth.protocol.pkce import PKCE
from harbor_oauth.providers import AccountLookup, Resource, Revocation, discovered_provider
from harbor_oauth.secret import Secret
from harbor_oauth.transport import RequestsTransport
from tests.transport.peers import CANARY, Peer, says, shown

REDIRECTS: Final = (301, 302, 303, 307, 308)
REDIRECT_URI: Final = "http://127.0.0.1:4711/callback"
CLIENT: Final = ClientCredentials("id", Secret(f"{CANARY}-secret"), "client_secret_post")

# A flow, and how it is made to ask one URL.
Ask: TypeAlias = Callable[[Transport, str], object]


def secret(name: str) -> Secret:
    return Secret(f"{CANARY}-{name}")


def clock() -> float:
    return 1_000.0


def resource(url: str) -> Resource:
    return discovered_provider("server", url).resource("mcp")


def metadata(**endpoints: str) -> ServerMetadata:
    return ServerMetadata(issuer="https://as.example.com", **endpoints)  # type: ignore[arg-type]  # endpoints only


def authorization_request(url: str) -> AuthorizationRequest:
    return AuthorizationRequest(
        authorization_endpoint="https://as.example.com/authorize",
        client_id="id",
        redirect_uri=REDIRECT_URI,
        scope=None,
        state=secret("state"),
        pkce=PKCE.from_entropy(bytes(32)),
        issuer="https://as.example.com",
        iss_required=False,
    )


ENDPOINTS: Final[dict[str, tuple[Callable[..., object], Ask]]] = {
    "probe": (discover, lambda send, url: discover(send, resource(url))),
    "protected resource metadata": (
        discover,
        lambda send, url: discover(
            send,
            resource("http://127.0.0.1:9/mcp"),
            challenge=Challenge("bearer", parameters={"resource_metadata": url}),
        ),
    ),
    "authorization server metadata": (
        discover,
        lambda send, url: discover(send, attrs.evolve(resource(url), issuer=url, discover=False)),
    ),
    "registration": (
        register_client,
        lambda send, url: register_client(send, url, redirect_uri=REDIRECT_URI, client_name="a"),
    ),
    "client configuration": (
        delete_registration,
        lambda send, url: delete_registration(send, url, secret("manage")),
    ),
    "pushed authorization": (
        push_authorization_request,
        lambda send, url: push_authorization_request(
            send,
            metadata(pushed_authorization_request_endpoint=url),
            CLIENT,
            authorization_request(url),
            clock=clock,
        ),
    ),
    "device authorization": (
        authorize_device,
        lambda send, url: authorize_device(
            send,
            url,
            TokenEndpoint("https://as.example.com/token", CLIENT),
            scopes=(),
            clock=clock,
        ),
    ),
    "token by device code": (
        poll_device_token,
        lambda send, url: poll_device_token(
            send,
            TokenEndpoint(url, CLIENT),
            device_code=secret("device"),
            requested_scopes=(),
            clock=clock,
        ),
    ),
    "token by code": (
        exchange_code,
        lambda send, url: exchange_code(
            send,
            TokenEndpoint(url, CLIENT),
            code=secret("code"),
            code_verifier=secret("verifier"),
            redirect_uri=REDIRECT_URI,
            requested_scopes=(),
            clock=clock,
        ),
    ),
    "refresh": (
        refresh_access_token,
        lambda send, url: refresh_access_token(
            send,
            TokenEndpoint(url, CLIENT),
            refresh_token=secret("refresh"),
            granted_scopes=(),
            clock=clock,
        ),
    ),
    "client credentials": (
        obtain_as_client,
        lambda send, url: obtain_as_client(
            send, TokenEndpoint(url, CLIENT), scopes=(), clock=clock
        ),
    ),
    "assertion": (
        redeem_assertion,
        lambda send, url: redeem_assertion(
            send,
            TokenEndpoint(url, CLIENT),
            assertion=secret("assertion"),
            scopes=(),
            clock=clock,
        ),
    ),
    "token exchange": (
        exchange_for_id_jag,
        lambda send, url: exchange_for_id_jag(
            send,
            TokenEndpoint(url, CLIENT),
            subject_token=secret("subject"),
            subject_token_type="urn:ietf:params:oauth:token-type:id_token",
            audience="https://as.example.com",
            scopes=(),
            clock=clock,
        ),
    ),
    "revocation": (
        revoke,
        lambda send, url: revoke(
            send,
            Revocation(),
            endpoint=url,
            client=CLIENT,
            refresh_token=secret("refresh"),
            access_token=secret("access"),
        ),
    ),
}


@pytest.fixture
def evil() -> Iterator[Peer]:
    """The server that redirects lead to."""
    server = Peer(says(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"))
    yield server
    server.close()


@pytest.fixture
def moving(evil: Peer) -> Iterator[Callable[[int], Peer]]:
    """Make a server that redirects every request to the other, with a body of its own."""
    servers: list[Peer] = []

    def make(status: int) -> Peer:
        location = f"{evil.url}?{CANARY}-location"
        body = f'{{"error": "{CANARY}-body"}}'
        head = f"HTTP/1.1 {status} Moved\r\nLocation: {location}\r\nContent-Type: application/json"
        answer = f"{head}\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        servers.append(Peer(says(answer.encode())))
        return servers[-1]

    yield make
    for server in servers:
        server.close()


@pytest.mark.parametrize("status", REDIRECTS)
@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_a_redirect_is_not_followed(
    evil: Peer, moving: Callable[[int], Peer], endpoint: str, status: int
) -> None:
    """Nobody else hears of the request; the error names the endpoint and repeats nothing."""
    server = moving(status)
    with pytest.raises(InsecureEndpointError) as caught:
        ENDPOINTS[endpoint][1](RequestsTransport(environ={}), server.url)
    assert evil.received == []
    assert len(server.received) == 1
    assert caught.value.requirement == "RFC 9700 §4.12"
    assert f"http://{server.netloc}/" in str(caught.value)
    assert evil.netloc not in shown(caught.value)
    assert CANARY not in shown(caught.value)


@pytest.mark.parametrize("status", REDIRECTS)
def test_a_failed_account_look_up_is_silent_and_stays(
    evil: Peer, moving: Callable[[int], Peer], status: int
) -> None:
    """It carries the fresh access token, and never fails a sign-in."""
    server = moving(status)

    def request(token: Secret) -> HttpRequest:
        return HttpRequest("GET", server.url, {"Authorization": f"Bearer {token.reveal()}"})

    lookup = AccountLookup(request, lambda answer: None)
    assert look_up_account(RequestsTransport(environ={}), lookup, secret("access")) is None
    assert len(server.received) == 1
    assert evil.received == []


def test_every_flow_is_in_the_table() -> None:
    """A flow that takes a transport sends something; a new one is tested here too."""
    found = {
        function
        for module in pkgutil.iter_modules(flows.__path__, f"{flows.__name__}.")
        for name in importlib.import_module(module.name).__all__
        if inspect.isfunction(function := getattr(importlib.import_module(module.name), name))
        and "transport" in inspect.signature(function).parameters
    }
    judged_by_the_caller = {ask_as}
    silent = {look_up_account}
    tested = {flow for flow, _ in ENDPOINTS.values()}
    assert found == tested | silent | judged_by_the_caller
