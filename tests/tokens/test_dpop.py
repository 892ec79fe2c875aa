"""A transport that proves possession of a key."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest

from harbor_oauth.errors import InsecureEndpointError, TokenResponseError, TransportError
from harbor_oauth.flows import exchange_code, refresh_access_token
from harbor_oauth.flows.tokens import TokenEndpoint
from harbor_oauth.protocol.client_auth import ClientCredentials
from harbor_oauth.protocol.http import HttpRequest, HttpResponse
from harbor_oauth.secret import Secret
from harbor_oauth.signing import SigningKey
from harbor_oauth.tokens.dpop import DPoPNonces, DPoPTransport

URL = "https://as.example.com/token"
KEY = SigningKey.generate()
GRANTED = {"access_token": "cnry-new", "token_type": "DPoP", "expires_in": 60}


def proof(request: HttpRequest) -> dict[str, Any]:
    """Return the claims of a request's one proof."""
    (value,) = (text for name, text in request.headers.items() if name.lower() == "dpop")
    claims = value.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
    return found


class Server:
    """An authorization server that wants a nonce it gave, and keeps its requests."""

    def __init__(self, *, always: bool = False, silent: bool = False, status: int = 400) -> None:
        self.always = always
        self.silent = silent
        self.status = status
        self.requests: list[HttpRequest] = []
        self.current = "nonce-0"

    def __call__(self, request: HttpRequest) -> HttpResponse:
        self.requests.append(request)
        fresh = proof(request).get("nonce") == self.current and not self.always
        if self.always:
            self.current = f"nonce-{len(self.requests)}"
        fields = {"content-type": "application/json"}
        if not self.silent:
            fields["dpop-nonce"] = self.current
        status, body = (200, GRANTED) if fresh else (self.status, {"error": "use_dpop_nonce"})
        return HttpResponse(status, fields, json.dumps(body).encode(), request.url)

    @property
    def nonces(self) -> list[str | None]:
        return [proof(request).get("nonce") for request in self.requests]


def counting() -> Callable[[int], bytes]:
    """Return a source of entropy that never gives the same twice."""
    numbers: Iterator[int] = iter(range(1_000_000))
    return lambda size: next(numbers).to_bytes(size, "big")


def transport_to(
    server: Callable[[HttpRequest], HttpResponse], nonces: DPoPNonces | None = None
) -> DPoPTransport:
    return DPoPTransport(
        server, KEY, nonces or DPoPNonces(), clock=lambda: 1000.5, entropy=counting()
    )


REQUEST = HttpRequest("POST", f"{URL}?a=b", {"Accept": "application/json"}, b"code=cnry")


def test_a_nonce_is_asked_for_once_and_remembered() -> None:
    """One repetition brings the nonce; the next request has it from the start."""
    server = Server()
    send = transport_to(server)
    assert send(REQUEST).status == 200
    assert send(REQUEST).status == 200
    assert server.nonces == [None, "nonce-0", "nonce-0"]


@pytest.mark.parametrize("status", [400, 401])
def test_a_server_that_always_wants_another_gets_two_requests(status: int) -> None:
    """There is no loop: the second refusal is the answer (RFC 9449 §8)."""
    server = Server(always=True, status=status)
    assert transport_to(server)(REQUEST).status == status
    assert server.nonces == [None, "nonce-1"]


def test_a_server_that_gives_no_nonce_gets_one_request() -> None:
    """Without a nonce a repetition would be the same request again."""
    server = Server(silent=True)
    assert transport_to(server)(REQUEST).status == 400
    assert len(server.requests) == 1


def test_the_newest_nonce_is_used() -> None:
    """A nonce that comes with a success replaces the last one (RFC 9449 §8.2)."""
    server = Server()
    send = transport_to(server)
    send(REQUEST)
    server.current = "nonce-later"
    send(REQUEST)
    send(REQUEST)
    assert server.nonces == [None, "nonce-0", "nonce-0", "nonce-later", "nonce-later"]


def test_a_repetition_is_the_same_request_with_another_proof() -> None:
    """Method, URL, body and other fields stay; `jti` and nonce do not (RFC 9449 §11.1)."""
    server = Server()
    transport_to(server)(REQUEST)
    first, second = server.requests
    for sent in (first, second):
        assert (sent.method, sent.url, sent.body) == ("POST", f"{URL}?a=b", b"code=cnry")
        assert sent.headers["Accept"] == "application/json"
        assert proof(sent)["htm"] == "POST"
        assert proof(sent)["htu"] == URL
        assert proof(sent)["iat"] == 1000
        assert "ath" not in proof(sent)
    assert proof(first)["jti"] != proof(second)["jti"]


def test_a_callers_proof_is_replaced() -> None:
    """A request with two proofs is refused by any server (RFC 9449 §4.3), so there is one."""
    server = Server()
    transport_to(server)(attrs.evolve(REQUEST, headers={"dpop": "cnry", "X-Own": "1"}))
    for sent in server.requests:
        assert "cnry" not in sent.headers.values()
        assert [name for name in sent.headers if name.lower() == "dpop"] == ["DPoP"]
        assert sent.headers["X-Own"] == "1"


def test_a_nonce_stays_with_its_origin() -> None:
    """Another origin, port included, never sees it."""
    nonces = DPoPNonces()
    server = Server()
    transport_to(server, nonces)(REQUEST)
    assert nonces.get("https://AS.example.com:443/other") == "nonce-0"
    assert nonces.get("https://as.example.com:444/token") is None
    assert nonces.get("https://rs.example.com/token") is None
    other = Server()
    other.current = "other"
    transport_to(other, nonces)(attrs.evolve(REQUEST, url="https://other.example.com/token"))
    assert other.nonces == [None, "other"]


def test_a_request_that_is_good_once_is_not_repeated() -> None:
    """Whoever built it builds it anew; the nonce is there by then."""
    server = Server()
    send = transport_to(server)
    once = attrs.evolve(REQUEST, single_use=True)
    assert send(once).status == 400
    assert send(once).status == 200
    assert server.nonces == [None, "nonce-0"]


def test_a_failed_repetition_is_an_error() -> None:
    """What the transport raises comes through as it is."""
    server = Server()
    send = transport_to(server)

    def down(request: HttpRequest) -> HttpResponse:
        if server.requests:
            raise TransportError("as.example.com did not answer in time.")
        return server(request)

    with pytest.raises(TransportError):
        attrs.evolve(send, transport=down)(REQUEST)
    assert len(server.requests) == 1


def test_no_proof_without_an_origin() -> None:
    """Nothing is sent to what is no plain URL."""
    server = Server()
    with pytest.raises(InsecureEndpointError):
        transport_to(server)(HttpRequest("POST", "https://u:p@as.example.com/token"))
    assert server.requests == []


def test_repr_shows_no_key_and_no_nonce() -> None:
    """It shows the public key at most."""
    shown = repr(transport_to(Server()))
    assert "nonces" not in shown
    assert "_private" not in shown


def test_the_oldest_nonce_makes_room() -> None:
    """Memory is bounded; one that was renewed is not the oldest."""
    nonces = DPoPNonces(limit=2)
    nonces.keep("https://a.example/", "a")
    nonces.keep("https://b.example/", "b")
    nonces.keep("https://a.example/x", "a2")
    nonces.keep("https://c.example/", "c")
    assert nonces.get("https://a.example/") == "a2"
    assert nonces.get("https://b.example/") is None
    assert nonces.get("https://c.example/") == "c"


@pytest.mark.parametrize("value", [None, "", "a b", 'a"b', "a\r\nX: y"])
def test_what_is_no_nonce_changes_nothing(value: str | None) -> None:
    """A field that could break a header leaves the last nonce in place."""
    nonces = DPoPNonces()
    nonces.keep(URL, "good")
    nonces.keep(URL, value)
    assert nonces.get(URL) == "good"


def test_nonces_from_many_threads() -> None:
    """Threads that keep at once neither fail nor go beyond the limit."""
    nonces = DPoPNonces(limit=8)
    failures: list[BaseException] = []
    start = threading.Barrier(4)

    def work(number: int) -> None:
        try:
            start.wait(10)
            for turn in range(300):
                nonces.keep(f"https://h{number}-{turn}.example/", "n")
        except BaseException as error:  # noqa: BLE001 - whatever it is, the test reports it
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failures == []
    assert len(nonces._newest) == 8


CLIENT = ClientCredentials(
    "id", None, "private_key_jwt", private_key=KEY.to_pem(), issuer="https://as.example.com"
)


def endpoint(**changes: Any) -> TokenEndpoint:
    return attrs.evolve(
        TokenEndpoint(
            URL, ClientCredentials("id"), allowed_token_types=frozenset({"bearer", "dpop"})
        ),
        **changes,
    )


def test_an_exchange_and_a_refresh_through_it() -> None:
    """Both come through a server that wants a nonce; the token's type is `dpop`."""
    server = Server()
    send = transport_to(server)
    exchanged = exchange_code(
        send,
        endpoint(),
        code=Secret("cnry-code"),
        code_verifier=Secret("cnry-verifier"),
        redirect_uri="http://127.0.0.1:4711/callback",
        requested_scopes=("read",),
        clock=lambda: 1000.0,
    )
    refreshed = refresh_access_token(
        send,
        endpoint(),
        refresh_token=Secret("cnry-refresh"),
        granted_scopes=("read",),
        clock=lambda: 1000.0,
    )
    assert (exchanged.token_type, refreshed.token_type) == ("dpop", "dpop")
    assert len(server.requests) == 3


@pytest.mark.parametrize(("always", "requests"), [(False, 2), (True, 2)])
def test_a_client_assertion_is_made_anew_for_the_repetition(always: bool, requests: int) -> None:
    """A server may take an assertion once (RFC 7523 §3): the repetition has another one."""
    server = Server(always=always)
    made = iter(("assertion-1", "assertion-2", "assertion-3"))
    asking = endpoint(client=CLIENT, client_assertion=lambda: Secret(next(made)))

    def refresh() -> None:
        refresh_access_token(
            transport_to(server),
            asking,
            refresh_token=Secret("cnry-refresh"),
            granted_scopes=(),
            clock=lambda: 1000.0,
        )

    if always:
        with pytest.raises(TokenResponseError, match="use_dpop_nonce"):
            refresh()
    else:
        refresh()
    bodies = [request.body or b"" for request in server.requests]
    assert len(bodies) == requests
    assert b"client_assertion=assertion-1&" in bodies[0] + b"&"
    assert b"client_assertion=assertion-2&" in bodies[1] + b"&"
