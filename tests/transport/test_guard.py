"""Which addresses a server may send us to by naming a URL."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest
from urllib3.util.connection import create_connection

from harbor_oauth.errors import HarborError, InsecureEndpointError, TransportError
from harbor_oauth.flows import discover, exchange_code
from harbor_oauth.flows.tokens import TokenEndpoint
from harbor_oauth.protocol.client_auth import ClientCredentials
from harbor_oauth.protocol.http import HttpRequest, naming
from harbor_oauth.providers import discovered_provider
from harbor_oauth.secret import Secret
from harbor_oauth.transport import RequestsTransport, connections
from harbor_oauth.transport.guard import Guard, Reach, reach
from tests.transport.peers import CANARY, HOST, MakePeer, Peer, says, serving, shown, tunnel

PUBLIC = "93.184.215.14"
PUBLIC6 = "2606:2800:21f:cb07:6820:80da:af6b:8b2c"
NAMING = "https://mcp.example.com/mcp"

G, P, LL, LO, N = Reach.GLOBAL, Reach.PRIVATE, Reach.LINK_LOCAL, Reach.LOOPBACK, Reach.NOWHERE


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        *((each, G) for each in (PUBLIC, PUBLIC6, "1.1.1.1", "2001:4860:4860::8888")),
        *((each, LO) for each in ("127.0.0.1", "127.255.255.254", "::1", "::ffff:127.0.0.1")),
        *((each, P) for each in ("10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1")),
        *((each, P) for each in ("100.64.0.1", "100.127.255.255", "fd00::1", "fc00::1")),
        *((each, P) for each in ("198.18.0.1", "198.19.255.255")),
        *((each, LL) for each in ("169.254.169.254", "169.254.0.1", "fe80::1", "fe80::1%eth0")),
        *((each, LL) for each in ("febf::1", "::ffff:169.254.169.254")),
        # The edges of what is private.
        *((each, G) for each in ("172.15.255.255", "172.32.0.1", "100.63.255.255", "100.128.0.1")),
        *((each, G) for each in ("11.0.0.1", "192.167.1.1", "169.253.1.1", "126.255.255.255")),
        # IPv6 addresses that stand for IPv4 ones: mapped, NAT64.
        *((each, P) for each in ("::ffff:10.0.0.1", "::ffff:a00:1", "64:ff9b::10.0.0.1")),
        *((each, LO) for each in ("64:ff9b::127.0.0.1", "64:ff9b::7f00:1")),
        *((each, LL) for each in ("64:ff9b::a9fe:a9fe", "64:ff9b::169.254.169.254")),
        *((each, G) for each in (f"::ffff:{PUBLIC}", f"64:ff9b::{PUBLIC}")),
        # Tunnels, translators and what was never given out.
        *((each, N) for each in ("64:ff9b:1::1", "64:ff9b:1:ffff::10.0.0.1", "2002:7f00:1::")),
        *((each, N) for each in ("2002:5db8:d70e::1", "2001::1", "2001:0:4136:e378::1")),
        *((each, N) for each in ("::", "::127.0.0.1", "::7f00:1", "::10.0.0.1", "fec0::1")),
        *((each, N) for each in ("5f00::1", "100::1", "2001:db8::1", "3fff::1", "4000::1")),
        *((each, N) for each in ("ff02::1", "ff0e::1", "224.0.0.1", "239.255.255.255")),
        *((each, N) for each in ("0.0.0.0", "0.1.2.3", "255.255.255.255", "240.0.0.1")),  # noqa: S104 - judged, not bound
        *((each, N) for each in ("192.0.2.1", "198.51.100.1", "203.0.113.1", "192.0.0.1")),
        ("192.88.99.1", N),
        # Metadata services that hide among other addresses.
        *((each, N) for each in ("100.100.100.200", "168.63.129.16", "fd00:ec2::254")),
        # No addresses.
        *((each, N) for each in ("", "localhost", "127.1", "0x7f000001", "2130706433", "1.2.3")),
        *((each, N) for each in ("127.0.0.01", "[::1]", "1.1.1.1/32", " 1.1.1.1", "1.1.1.1\n")),
    ],
)
def test_reach(address: str, expected: Reach) -> None:
    """Each address can be reached from there."""
    assert reach(address) is expected


# --- which server may name which --------------------------------------------------

ADDRESS = {G: PUBLIC, P: "10.0.0.7", LL: "169.254.1.2", LO: "127.0.0.1", N: "192.0.2.1"}
MAY_NAME = {G: {G}, P: {G, P}, LL: {G, LL}, LO: {G, P, LO}, N: {G}}


def allowed(*targets: str, naming: str = NAMING, at: Sequence[str] = (PUBLIC,)) -> bool:
    """Say whether a host with these addresses may be named by that server."""
    guard = Guard("https://as.example.com/token", naming, lambda _: at)
    try:
        guard.check_addresses(targets)
    except InsecureEndpointError:
        return False
    return True


@pytest.mark.parametrize("target", Reach)
@pytest.mark.parametrize("own", Reach)
def test_a_server_names_what_it_can_reach_itself(own: Reach, target: Reach) -> None:
    """By literal: this machine names itself and its networks, a network its own."""
    literal = f"https://{ADDRESS[own]}/mcp"
    assert allowed(ADDRESS[target], naming=literal, at=(ADDRESS[own],)) is (target in MAY_NAME[own])


@pytest.mark.parametrize("own", Reach)
def test_no_name_opens_the_link_local_network(own: Reach) -> None:
    """Anybody's zone can point at a cloud's metadata address, for the naming server too."""
    assert not allowed("169.254.169.254", at=(ADDRESS[own],))


def test_every_address_counts() -> None:
    """One private address among public ones is one too many, on either side."""
    assert not allowed(PUBLIC, "10.0.0.7")
    assert not allowed("10.0.0.7", PUBLIC6)
    assert allowed(PUBLIC, "10.0.0.7", at=("192.168.1.1",))
    assert not allowed("10.0.0.7", at=("192.168.1.1", PUBLIC))
    assert not allowed("127.0.0.1", at=("127.0.0.1", "192.168.1.1"))
    assert allowed("127.0.0.1", "::1", at=("::1", "127.0.0.1"))


def test_a_server_without_address_names_the_public_only() -> None:
    """Nor does one without a host, whose look-up would be this machine's."""
    assert allowed(PUBLIC, at=())
    assert not allowed("10.0.0.7", at=())
    assert not allowed("127.0.0.1", naming="", at=("127.0.0.1",))


def test_the_naming_server_is_looked_up_only_when_it_matters() -> None:
    """A public address may be named by everybody."""

    def never(host: str) -> Sequence[str]:
        raise AssertionError(host)

    Guard("https://as.example.com/token", NAMING, never).check_addresses([PUBLIC])


# --- through the transport ----------------------------------------------------------


@attrs.define
class Names:
    """A resolver for tests: hosts to addresses; a callable gives them one by one."""

    known: dict[str, Any]
    asked: list[str] = attrs.field(factory=list)

    def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        if host not in self.known:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        found = self.known[host]
        return (next(found),) if isinstance(found, Iterator) else tuple(found)


Dialled = list[str]


@pytest.fixture
def dialled(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Dialled]:
    """Keep which addresses are connected to, and lead all but the dead to a peer."""
    addresses: Dialled = []

    def watch(peer: Peer | None = None, *, dead: Sequence[str] = ()) -> Dialled:
        def connect(address: tuple[str, int], *args: Any, **kwargs: Any) -> socket.socket:
            addresses.append(address[0])
            if peer is None or address[0] in dead:
                raise ConnectionRefusedError
            host, _, port = peer.netloc.partition(":")
            return create_connection((host, int(port)), *args, **kwargs)

        monkeypatch.setattr(connections, "create_connection", connect)
        return addresses

    return watch


@pytest.fixture
def secured(peer: MakePeer, pem: Path, monkeypatch: pytest.MonkeyPatch) -> Peer:
    """A TLS server whose certificate, for HOST and 127.0.0.1, the system trusts."""
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    return peer(tls=serving(pem))


def transport(names: Names, **environ: str) -> RequestsTransport:
    return RequestsTransport(environ=environ, resolve=names)


def named(url: str, by: str = NAMING) -> HttpRequest:
    return HttpRequest("GET", url, timeout=5, named_by=by)


HOSTILE_HOSTS = [
    *("169.254.169.254", "127.0.0.1", "127.0.0.1:6379", "10.0.0.1", "192.168.0.1", "172.16.0.1"),
    *("100.64.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", "localhost", "localhost:22"),  # noqa: S104 - as above
    *("[::1]", "[::1]:6379", "[::]", "[fe80::1]", "[fd00::1]", "[ff02::1]", "[fec0::1]"),
    *("[::ffff:10.0.0.1]", "[::ffff:127.0.0.1]", "[::ffff:a9fe:a9fe]", "[::127.0.0.1]"),
    *("[64:ff9b::10.0.0.1]", "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]", "[2001:0:1::1]"),
    # One address, in every spelling that some resolver takes.
    *("2130706433", "0x7f000001", "017700000001", "0x7f.1", "127.1", "127.0.1", "0177.0.0.1"),
    *("0177.0.0.01", "127.0.0.0x1", "0X7F.0.0.1", "0x7F000001", "127.0.0.1.", "2130706433."),
    *("00000127.0.0.1", "0", "0x", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376"),
    # A public one is no better spelled so: what checks it and what dials it may differ.
    *("1572394766", "0x5db8d70e", "93.12113678"),
    # Names.
    *("inside.example.com", "both.example.com", "metadata.example.com", "loop.example.com."),
]
NAMES = {
    "mcp.example.com": [PUBLIC],
    "localhost": ["127.0.0.1", "::1"],
    "inside.example.com": ["10.0.0.1"],
    "both.example.com": [PUBLIC, "10.0.0.1"],
    "metadata.example.com": ["169.254.169.254"],
    "loop.example.com.": ["127.0.0.1"],
    HOST: [PUBLIC6, PUBLIC],
}


@pytest.mark.parametrize("scheme", ["https", "http"])
@pytest.mark.parametrize("host", HOSTILE_HOSTS)
def test_no_spelling_leads_inside(
    dialled: Callable[..., Dialled], peer: MakePeer, host: str, scheme: str
) -> None:
    """Nothing is connected to, not even the proxy that would; the error names hosts only."""
    addresses = dialled()
    proxy = peer()
    request = named(f"{scheme}://{host}/latest/meta-data?key={CANARY}")
    for environ in ({}, {"HTTPS_PROXY": f"http://{proxy.netloc}"}):
        with pytest.raises(InsecureEndpointError) as caught:
            transport(Names(NAMES), **environ)(request)
        assert CANARY not in shown(caught.value)
        assert "meta-data" not in shown(caught.value)
        if scheme == "https":
            assert caught.value.requirement == "RFC 9728 §7.7"
            assert "mcp.example.com names" in str(caught.value)
    assert addresses == []
    assert proxy.received == []


def test_a_public_name_is_reached_by_its_name(
    dialled: Callable[..., Dialled], secured: Peer
) -> None:
    """The judged address takes the connection; Host and certificate are the name's."""
    addresses = dialled(secured)
    names = Names(NAMES)
    answer = transport(names)(named(f"https://{HOST}/token"))
    assert (answer.status, answer.body) == (200, b"ok")
    assert addresses == [PUBLIC6]
    assert names.asked == [HOST]
    assert f"\r\nHost: {HOST}\r\n".encode() in secured.received[0]


def test_a_certificate_of_another_name_is_refused(
    dialled: Callable[..., Dialled], secured: Peer
) -> None:
    """That an address was judged proves nothing about who is there."""
    dialled(secured)
    names = Names({**NAMES, "other.example.com": [PUBLIC]})
    with pytest.raises(TransportError, match="certificate"):
        transport(names)(named("https://other.example.com/token"))
    assert secured.received == []


def test_the_next_address_is_tried(dialled: Callable[..., Dialled], secured: Peer) -> None:
    """In the resolver's order, each of them judged before."""
    addresses = dialled(secured, dead=[PUBLIC6])
    assert transport(Names(NAMES))(named(f"https://{HOST}/token")).status == 200
    assert addresses == [PUBLIC6, PUBLIC]


def test_a_name_that_rebinds_is_asked_once(dialled: Callable[..., Dialled], secured: Peer) -> None:
    """Public when judged, private the next time: the next time never comes."""
    addresses = dialled(secured)
    names = Names({**NAMES, HOST: iter([PUBLIC, "127.0.0.1", "10.0.0.1"])})
    sender = transport(names)
    assert sender(named(f"https://{HOST}/token")).status == 200
    assert (names.asked, addresses) == ([HOST], [PUBLIC])
    with pytest.raises(InsecureEndpointError):
        sender(named(f"https://{HOST}/token"))
    assert addresses == [PUBLIC]


def test_a_naming_server_is_where_it_answered_from(
    dialled: Callable[..., Dialled], secured: Peer
) -> None:
    """Its name points into a private network now; its own requests went elsewhere."""
    addresses = dialled(secured)
    names = Names({HOST: iter([PUBLIC, "10.0.0.1"]), "inside.example.com": ["10.0.0.2"]})
    sender = transport(names)
    assert sender(HttpRequest("POST", f"https://{HOST}/mcp")).status == 200
    with pytest.raises(InsecureEndpointError):
        sender(named("https://inside.example.com/x", by=f"https://{HOST}/mcp"))
    assert addresses == [PUBLIC]
    fresh = transport(Names({HOST: ["10.0.0.1"], "inside.example.com": ["10.0.0.2"]}))
    with pytest.raises(TransportError, match="certificate"):  # judged well, and dialled
        fresh(named("https://inside.example.com/x", by=f"https://{HOST}/mcp"))
    assert addresses == [PUBLIC, "10.0.0.2"]


def test_only_a_proven_answer_says_where_a_server_is(
    dialled: Callable[..., Dialled], secured: Peer
) -> None:
    """A connection that failed its certificate is nobody's whereabouts."""
    dialled(secured)
    names = Names({"other.example.com": iter(["10.0.0.1", PUBLIC]), "inside": ["10.0.0.2"]})
    sender = transport(names)
    with pytest.raises(TransportError, match="certificate"):
        sender(HttpRequest("GET", "https://other.example.com/mcp"))
    with pytest.raises(InsecureEndpointError):
        sender(named("https://inside/x", by="https://other.example.com/mcp"))


def test_the_memory_of_hosts_is_bounded(peer: MakePeer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long-lived process asks many hosts; forgetting one costs a look-up."""
    monkeypatch.setattr("harbor_oauth.transport.client._MOST_HOSTS", 1)
    sender = transport(Names({"localhost": ["127.0.0.1"]}))
    server = peer()
    sender(HttpRequest("GET", server.url))
    sender(HttpRequest("GET", server.url.replace("127.0.0.1", "localhost")))
    assert sender._reached == {"localhost": "127.0.0.1"}


def test_what_nobody_named_may_be_anywhere(dialled: Callable[..., Dialled], secured: Peer) -> None:
    """A URL from the set-up is the user's own choice."""
    addresses = dialled(secured)
    names = Names({HOST: ["10.0.0.1"]})
    assert transport(names)(HttpRequest("GET", f"https://{HOST}/mcp")).status == 200
    assert addresses == ["10.0.0.1"]


def test_the_origin_itself_is_not_judged(dialled: Callable[..., Dialled], secured: Peer) -> None:
    """It may have a public and a private address; the user named it, nobody else."""
    addresses = dialled(secured)
    names = Names({HOST: [PUBLIC, "fd00::1"]})
    sender = transport(names)
    assert sender(HttpRequest("POST", f"https://{HOST}/mcp")).status == 200
    assert sender(named(f"https://{HOST}:443/x", by=f"https://{HOST}/mcp")).status == 200
    for other in (f"https://{HOST}:6379/x", f"https://x.{HOST}/x"):
        names.known[f"x.{HOST}"] = names.known[HOST]
        with pytest.raises(InsecureEndpointError):
            sender(named(other, by=f"https://{HOST}/mcp"))
    assert addresses == [PUBLIC, PUBLIC]


# --- this machine -------------------------------------------------------------------


@pytest.mark.parametrize(
    "naming", ["http://127.0.0.1:1/mcp", "http://localhost:1/", "http://[::1]/"]
)
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_this_machine_may_name_itself(peer: MakePeer, naming: str, host: str) -> None:
    """Development servers and test doubles live there, with the system's own resolver."""
    server = peer()
    url = server.url.replace("127.0.0.1", host)
    assert RequestsTransport(environ={})(named(url, by=naming)).status == 200


def test_a_name_for_this_machine_does_not_open_its_plain_ports(peer: MakePeer) -> None:
    """A name may have been pointed here to reach what has no certificate."""
    server = peer()
    names = Names({"mcp.example.com": ["127.0.0.1"]})
    with pytest.raises(InsecureEndpointError, match="on this machine"):
        transport(names)(named(server.url))
    assert server.received == []
    assert names.asked == []


def test_a_name_for_this_machine_may_name_what_proves_its_own(secured: Peer) -> None:
    """As with names in a hosts file and a development certificate."""
    names = Names({"mcp.example.com": ["127.0.0.1"], HOST: ["127.0.0.1"]})
    url = secured.url.replace("127.0.0.1", HOST)
    assert transport(names)(named(url)).status == 200


# --- proxies ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("known", "passes"),
    [({}, True), ({HOST: [PUBLIC]}, True), ({HOST: ["10.0.0.1"]}, False)],
    ids=["unknown here", "public", "private"],
)
def test_a_proxy_decides_what_cannot_be_judged_here(
    peer: MakePeer,
    pem: Path,
    monkeypatch: pytest.MonkeyPatch,
    known: dict[str, list[str]],
    passes: bool,
) -> None:
    """A name that resolves here is judged here; where none does, the proxy is asked."""
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    inside: list[bytes] = []
    proxy = peer(tunnel(pem, inside))
    sender = transport(Names(known), HTTPS_PROXY=f"http://{proxy.netloc}")
    if passes:
        assert sender(named(f"https://{HOST}/token")).status == 200
    else:
        with pytest.raises(InsecureEndpointError):
            sender(named(f"https://{HOST}/token"))
    assert len(proxy.received) == len(inside) == int(passes)


# --- the resolver -------------------------------------------------------------------


def test_the_system_resolver_gives_addresses() -> None:
    """Each once, as the system orders them, and an error for what it does not know."""
    found = connections.resolve("localhost", 443)
    assert {reach(address) for address in found} == {LO}
    assert len(found) == len(set(found))
    with pytest.raises(OSError, match=r".+"):
        connections.resolve("\x00", 443)


@pytest.mark.parametrize("known", [{}, {HOST: []}], ids=["unknown", "empty"])
def test_a_name_without_address_was_never_asked(known: dict[str, list[str]]) -> None:
    """The peer cannot have acted on the request, so it can be sent again."""
    for request in (named(f"https://{HOST}/"), HttpRequest("GET", f"https://{HOST}/")):
        with pytest.raises(TransportError, match="could not be reached") as caught:
            transport(Names(known))(request)
        assert not caught.value.ambiguous


# --- discovery ----------------------------------------------------------------------


RESOURCE_METADATA = b"/.well-known/oauth-protected-resource/mcp"
SERVER_METADATA = b"/.well-known/oauth-authorization-server"
DOCUMENTS: dict[str, Callable[[str], dict[bytes, dict[str, object]]]] = {
    "challenge": lambda _: {},
    "authorization server": lambda url: {
        RESOURCE_METADATA: {"resource": f"https://{HOST}/mcp", "authorization_servers": [url]}
    },
    "token endpoint": lambda url: {
        SERVER_METADATA: {
            "issuer": f"https://{HOST}",
            "authorization_endpoint": f"https://{HOST}/authorize",
            "token_endpoint": url,
            "response_types_supported": ["code"],
            "code_challenge_methods_supported": ["S256"],
        }
    },
}


def publish(server: Peer, documents: dict[bytes, dict[str, object]], challenge: str) -> None:
    """Make a peer want a token and offer a few documents, and 404 for the rest."""

    def script(connection: socket.socket, _: threading.Event) -> None:
        method, path, _version = server.received[-1].split(b" ", 2)
        if path in documents:
            head, body = "200 OK", json.dumps(documents[path]).encode()
        else:
            head, body = "401 No" if method == b"POST" else "404 No", b""
            head += f"\r\nWWW-Authenticate: {challenge}"
        lines = f"HTTP/1.1 {head}\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(lines.encode() + body)

    server.script = script


def sign_in(sender: RequestsTransport, token_endpoint: str) -> None:
    """Discover the server at HOST and redeem a code at that endpoint of it."""
    resource = discovered_provider("server", f"https://{HOST}/mcp").resource("mcp")
    found = discover(sender, resource)
    assert found is not None
    assert found.metadata.token_endpoint == token_endpoint
    exchange_code(
        naming(sender, found.named_by),
        TokenEndpoint(token_endpoint, ClientCredentials("id")),
        code=Secret(f"{CANARY}-code"),
        code_verifier=Secret(f"{CANARY}-verifier"),
        redirect_uri="http://127.0.0.1:4711/callback",
        requested_scopes=(),
        clock=lambda: 0.0,
    )


@pytest.mark.parametrize(
    "hostile",
    [
        "http://169.254.169.254/latest/meta-data",
        "https://169.254.169.254/latest/meta-data",
        "http://127.0.0.1:6379/",
        "https://127.0.0.1:6379/",
        "https://localhost/",
        "http://[::ffff:10.0.0.1]/",
        "https://[::ffff:10.0.0.1]/",
        "http://2130706433/",
        "https://2130706433/",
        "https://inside.example.com/",
    ],
)
@pytest.mark.parametrize("place", DOCUMENTS)
def test_a_public_server_leads_nobody_inside(
    dialled: Callable[..., Dialled], secured: Peer, hostile: str, place: str
) -> None:
    """Whatever document names it: discovery and the code exchange connect elsewhere only."""
    addresses = dialled(secured)
    publish(
        secured,
        DOCUMENTS[place](hostile),
        f'Bearer resource_metadata="{hostile}"' if place == "challenge" else "Bearer",
    )
    with pytest.raises(HarborError) as caught:
        sign_in(transport(Names(NAMES)), hostile)
    assert CANARY not in shown(caught.value)
    assert set(addresses) <= {PUBLIC, PUBLIC6}
    assert len(secured.received) >= 1
    assert not any(CANARY.encode() in request for request in secured.received)


def test_what_an_internal_service_says_is_not_repeated(peer: MakePeer) -> None:
    """A server on this machine may name another; the error tells nothing of its answer."""
    inside = peer(says(b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n" + CANARY.encode()))
    server = peer()
    publish(server, {}, f'Bearer resource_metadata="{inside.url}"')
    resource = discovered_provider("server", server.url).resource("mcp")
    with pytest.raises(HarborError) as caught:
        discover(RequestsTransport(environ={}), resource)
    assert len(inside.received) == 1
    assert CANARY not in shown(caught.value)
    assert not any(CANARY.encode() in request for request in server.received)
