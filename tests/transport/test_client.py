"""The HTTP transport, against raw servers on loopback."""

from __future__ import annotations

import gzip
import logging
import socket
import struct
import threading
import zlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import attrs
import pytest
import requests
import truststore

from harbor_oauth.errors import (
    ConfigurationError,
    HarborError,
    InsecureEndpointError,
    MalformedResponseError,
    TransportError,
)
from harbor_oauth.flows.tokens import TokenEndpoint, refresh_access_token
from harbor_oauth.protocol.client_auth import ClientCredentials
from harbor_oauth.protocol.http import HttpRequest
from harbor_oauth.secret import Secret
from harbor_oauth.transport import RequestsTransport, system_trust_adapter
from tests.transport.peers import (
    CANARY,
    HOST,
    OK,
    MakePeer,
    Script,
    certificate,
    says,
    serving,
    shown,
    tunnel,
)


def drips(head: bytes, octet: bytes) -> Script:
    """Answer a head, then one octet after the other, never silent for long."""

    def script(connection: socket.socket, stop: threading.Event) -> None:
        connection.sendall(head)
        for _ in range(400):
            if stop.wait(0.02):
                return
            connection.sendall(octet)

    return script


def resets(connection: socket.socket, _: threading.Event) -> None:
    """End the connection with a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def secretive(url: str, **changes: Any) -> HttpRequest:
    """Return a request with the canary wherever a secret can be."""
    request = HttpRequest(
        "POST",
        f"{url}?key={CANARY}",
        {"Authorization": f"Bearer {CANARY}", "Content-Type": "text/plain"},
        f"refresh_token={CANARY}".encode(),
        timeout=5,
    )
    return attrs.evolve(request, **changes)


def send(request: HttpRequest, environ: Mapping[str, str] | None = None) -> Any:
    return RequestsTransport(environ=environ)(request)


# --- what is sent, what comes back ------------------------------------------


def test_a_request_arrives_as_it_is(peer: MakePeer) -> None:
    """Method, headers and body are the caller's; nothing else tells who asks."""
    server = peer()
    request = HttpRequest("POST", f"{server.url}?a=b%20c", {"X-Key": "v  w"}, b"body")
    answer = send(request)
    assert (answer.status, answer.body, answer.url) == (200, b"ok", request.url)
    head, _, body = server.received[0].partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"POST /token?a=b%20c HTTP/1.1"
    assert body == b"body"
    names = {line.partition(b":")[0].lower() for line in lines[1:]}
    assert b"X-Key: v  w" in lines
    assert names <= {b"host", b"user-agent", b"accept-encoding", b"x-key", b"content-length"}


def test_a_caller_may_name_another_user_agent(peer: MakePeer) -> None:
    """In any case of letters, and only one is sent."""
    server = peer()
    send(HttpRequest("GET", server.url, {"user-agent": "mine"}))
    assert server.received[0].lower().count(b"user-agent") == 1
    assert b"user-agent: mine" in server.received[0]


def test_repeated_fields_are_joined(peer: MakePeer) -> None:
    """RFC 9110 §5.3, with names in lower case."""
    fields = b"WWW-Authenticate: Basic\r\nWWW-Authenticate: Bearer\r\n"
    server = peer(says(b"HTTP/1.1 401 No\r\n" + fields + b"Content-Length: 0\r\n\r\n"))
    answer = send(HttpRequest("GET", server.url))
    assert answer.headers["www-authenticate"] == "Basic, Bearer"


def test_cookies_are_not_kept(peer: MakePeer) -> None:
    """Two requests of one transport have nothing to do with each other."""
    server = peer(says(OK.replace(b"\r\n\r\n", b"\r\nSet-Cookie: a=b; Path=/\r\n\r\n")))
    transport = RequestsTransport()
    transport(HttpRequest("GET", server.url))
    transport(HttpRequest("GET", server.url))
    assert b"cookie" not in server.received[1].lower()


def test_every_thread_may_call(peer: MakePeer) -> None:
    """One transport, eight threads, forty answers."""
    server = peer()
    transport = RequestsTransport()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: transport(HttpRequest("GET", server.url)), range(40)))
    assert [answer.body for answer in answers] == [b"ok"] * 40
    assert len(server.received) == 40


# --- redirects and the environment -------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_handed_back_unfollowed(peer: MakePeer, status: int) -> None:
    """No host but the one that was asked hears of the request."""
    evil = peer()
    head = f"HTTP/1.1 {status} Moved\r\nLocation: {evil.url}\r\nContent-Length: 4\r\n\r\nbody"
    server = peer(says(head.encode()))
    answer = send(secretive(server.url))
    assert (answer.status, answer.headers["location"]) == (status, evil.url)
    assert answer.body == b"body"
    assert evil.received == []


def test_a_redirect_has_a_size_limit_too(peer: MakePeer) -> None:
    """A requests session would read its whole body first."""
    head = b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 4096\r\n\r\n"
    server = peer(says(head + bytes(4096)))
    with pytest.raises(MalformedResponseError):
        send(HttpRequest("GET", server.url, limit=1024))


def test_netrc_is_never_read(
    peer: MakePeer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither `~/.netrc` nor `NETRC` (requests CVE-2024-47081)."""
    netrc = tmp_path / ".netrc"
    netrc.write_text(f"machine 127.0.0.1 login me password {CANARY}\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(netrc))
    server = peer()
    assert requests.get(server.url, timeout=5).ok  # noqa: TID251 - shows that the file is found
    send(HttpRequest("GET", server.url))
    assert b"authorization" in server.received[0].lower()
    assert b"authorization" not in server.received[1].lower()


def test_loopback_needs_no_proxy(peer: MakePeer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the environment says, what is on this machine stays on it."""
    proxy, server = peer(), peer()
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://{proxy.netloc}")
    assert send(secretive(server.url)).status == 200
    assert proxy.received == []
    assert len(server.received) == 1


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_a_proxy_is_used_and_learns_the_host_only(
    peer: MakePeer, pem: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The secrets go through the tunnel, checked against the system's trust."""
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    inside: list[bytes] = []
    proxy = peer(tunnel(pem, inside))
    environ = {name: f"http://user:pass@{proxy.netloc}"}
    assert send(secretive(f"https://{HOST}/token"), environ).body == b"ok"
    assert proxy.received[0].startswith(f"CONNECT {HOST}:443 ".encode())
    assert b"Proxy-Authorization: Basic" in proxy.received[0]
    assert CANARY.encode() not in proxy.received[0]
    assert f"refresh_token={CANARY}".encode() in inside[0]
    assert b"proxy-authorization" not in inside[0].lower()


def test_a_proxy_cannot_stand_in_for_the_server(peer: MakePeer, pem: Path) -> None:
    """The certificate inside the tunnel is judged like any other."""
    inside: list[bytes] = []
    proxy = peer(tunnel(pem, inside))
    with pytest.raises(TransportError, match="certificate"):
        send(secretive(f"https://{HOST}/token"), {"HTTPS_PROXY": f"http://{proxy.netloc}"})
    assert len(proxy.received) == 1
    assert inside == []


# --- TLS ----------------------------------------------------------------------


def test_the_systems_trust_is_trusted(
    peer: MakePeer, pem: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenSSL's own variable belongs to the system's way; the tests below lean on it."""
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    server = peer(tls=serving(pem))
    assert send(secretive(server.url)).body == b"ok"


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PYTHONHTTPSVERIFY"])
def test_no_variable_of_python_relaxes_tls(
    peer: MakePeer, pem: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """A self-signed certificate fails, and the server gets no request."""
    monkeypatch.setenv(variable, "0" if variable == "PYTHONHTTPSVERIFY" else str(pem))
    server = peer(tls=serving(pem))
    with pytest.raises(TransportError, match="certificate"):
        send(secretive(server.url))
    assert server.received == []


def test_a_bundle_that_comes_with_requests_is_not_trusted(
    peer: MakePeer, pem: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an administrator has taken out of the system's trust stays out."""
    monkeypatch.setattr("requests.adapters.DEFAULT_CA_BUNDLE_PATH", str(pem))
    server = peer(tls=serving(pem))
    with pytest.raises(TransportError, match="certificate"):
        send(secretive(server.url))


@pytest.mark.parametrize(("host", "days"), [("other.example.com", 1), ("127.0.0.1", -1)])
def test_a_certificate_must_fit_the_host_and_the_day(
    peer: MakePeer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, days: int
) -> None:
    """Trusted by the system, and still of another host or expired."""
    pem = certificate(tmp_path, host, days=days)
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    server = peer(tls=serving(pem))
    with pytest.raises(TransportError, match="certificate"):
        send(secretive(server.url))
    assert server.received == []


@pytest.mark.parametrize("verify", [False, True, "bundle"])
def test_the_adapter_verifies_whatever_it_is_told(
    peer: MakePeer, pem: Path, verify: bool | str
) -> None:
    """`verify=` of a requests session has no say, proxied or not."""
    server = peer(tls=serving(pem))
    proxy = peer(tunnel(pem, []))
    with requests.Session() as session:
        session.mount("https://", system_trust_adapter())
        chosen: bool | str = str(pem) if verify == "bundle" else verify
        with pytest.raises(requests.exceptions.SSLError):
            session.get(server.url, verify=chosen, timeout=5)
        with pytest.raises(requests.exceptions.SSLError):
            session.get(
                f"https://{HOST}/",
                verify=chosen,
                timeout=5,
                proxies={"https": f"http://{proxy.netloc}"},
            )
    assert server.received == []


@pytest.mark.parametrize("verify", [False, True])
def test_the_adapter_works_in_a_session(
    peer: MakePeer, pem: Path, monkeypatch: pytest.MonkeyPatch, verify: bool
) -> None:
    """As in `GrantSession`, which mounts it."""
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    server = peer(tls=serving(pem))
    with requests.Session() as session:
        session.mount("https://", system_trust_adapter())
        assert session.get(server.url, verify=verify, timeout=5).content == b"ok"


def test_every_connection_asks_the_operating_system() -> None:
    """On macOS and Windows OpenSSL's own default is another list; a tunnel counts too."""
    with closing(system_trust_adapter()) as adapter:
        direct = adapter.poolmanager.connection_pool_kw["ssl_context"]
        tunnelled = adapter.proxy_manager_for("https://proxy.example.com")
        assert isinstance(direct, truststore.SSLContext)
        assert isinstance(tunnelled.connection_pool_kw["ssl_context"], truststore.SSLContext)
        assert isinstance(tunnelled.proxy_config.ssl_context, truststore.SSLContext)


def test_a_proxy_that_speaks_tls_is_judged_too(peer: MakePeer, pem: Path) -> None:
    """Its certificate decides before it hears which host is wanted."""
    proxy = peer(tls=serving(pem))
    with pytest.raises(TransportError):
        send(secretive(f"https://{HOST}/token"), {"HTTPS_PROXY": f"https://{proxy.netloc}"})
    assert proxy.received == []


# --- limits -------------------------------------------------------------------


def framed(body: bytes, *fields: str) -> bytes:
    """Return an answer with a length."""
    lines = ["HTTP/1.1 200 OK", f"Content-Length: {len(body)}", *fields, "", ""]
    return "\r\n".join(lines).encode() + body


@pytest.mark.parametrize(
    "answer",
    [
        framed(bytes(1025)),
        b"HTTP/1.1 200 OK\r\n\r\n" + bytes(1025),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"400\r\n" + bytes(1024) + b"\r\n1\r\nx\r\n0\r\n\r\n",
        framed(gzip.compress(bytes(1 << 20)), "Content-Encoding: gzip"),
        framed(zlib.compress(bytes(1 << 20)), "Content-Encoding: deflate"),
        framed(gzip.compress(gzip.compress(bytes(1 << 20))), "Content-Encoding: gzip, gzip"),
    ],
    ids=["length", "close", "chunked", "gzip", "deflate", "gzip twice"],
)
def test_an_answer_over_the_limit_is_refused(peer: MakePeer, answer: bytes) -> None:
    """The limit counts decoded octets, however they come."""
    server = peer(says(answer))
    with pytest.raises(MalformedResponseError, match="more than 1024 bytes") as caught:
        send(secretive(server.url, limit=1024))
    assert CANARY not in shown(caught.value)


def test_an_answer_at_the_limit_is_read(peer: MakePeer) -> None:
    """Decoded, and to the last octet."""
    server = peer(says(framed(gzip.compress(b"x" * 1024), "Content-Encoding: gzip")))
    assert send(HttpRequest("GET", server.url, limit=1024)).body == b"x" * 1024


def test_the_limit_stops_an_endless_answer(peer: MakePeer) -> None:
    """It is not read to its end first: there is none."""

    def pour(connection: socket.socket, stop: threading.Event) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while not stop.is_set():
            connection.sendall(bytes(4096))

    server = peer(pour)
    with pytest.raises(MalformedResponseError):
        send(HttpRequest("GET", server.url, limit=64 * 1024, timeout=30))


@pytest.mark.parametrize(
    ("head", "octet"),
    [
        (b"", b"H"),
        (b"HTTP/1.1 200 OK\r\nX-Field: ", b"x"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8b\x08\x08\0\0\0\0\0\0", b"x"),
    ],
    ids=["status", "header", "body", "gzip"],
)
def test_dripping_does_not_outlast_the_deadline(peer: MakePeer, head: bytes, octet: bytes) -> None:
    """An octet now and then keeps a socket's own timeout away for ever."""
    server = peer(drips(head, octet))
    with pytest.raises(TransportError, match="did not answer in time") as caught:
        send(secretive(server.url, timeout=0.2))
    assert CANARY not in shown(caught.value)


def test_silence_ends_at_the_deadline(peer: MakePeer) -> None:
    """So does a peer that takes the request and says nothing."""
    server = peer(drips(b"", b""))
    with pytest.raises(TransportError, match="did not answer in time"):
        send(secretive(server.url, timeout=0.2))


def test_the_deadline_is_of_the_whole_exchange(peer: MakePeer) -> None:
    """By the given clock; reading stops although the socket is quick."""
    times = iter([0.0, 1.0])
    server = peer(says(OK))
    transport = RequestsTransport(clock=lambda: next(times))
    with pytest.raises(TransportError, match="did not answer in time"):
        transport(HttpRequest("GET", server.url, timeout=0.5))


# --- failures -----------------------------------------------------------------


def test_nobody_listens(refused: str) -> None:
    """A refused connection can be tried again; the sign-in is intact."""
    with pytest.raises(TransportError, match="could not be reached") as caught:
        send(secretive(refused))
    assert caught.value.retryable
    assert CANARY not in shown(caught.value)


@pytest.mark.parametrize(
    "script",
    [
        resets,
        says(b""),
        says(b"garbage\r\n\r\n"),
        says(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort"),
        says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
        says(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nnot gzip"),
    ],
    ids=["reset", "closed", "garbage", "short", "chunk", "gzip"],
)
def test_a_broken_answer_is_a_transport_error(peer: MakePeer, script: Script) -> None:
    """The text names the host and repeats nothing that was sent."""
    server = peer(script)
    with pytest.raises(TransportError) as caught:
        send(secretive(server.url))
    assert server.netloc in str(caught.value)
    assert "the stored sign-in is intact" in str(caught.value).lower()
    assert CANARY not in shown(caught.value)


def test_tls_errors_repeat_nothing(peer: MakePeer, pem: Path) -> None:
    """Nor does a server that speaks no TLS where it should."""
    secured, plain = peer(tls=serving(pem)), peer()
    for url in (secured.url, plain.url.replace("http:", "https:")):
        with pytest.raises(TransportError, match="TLS") as caught:
            send(secretive(url))
        assert CANARY not in shown(caught.value)


@pytest.mark.parametrize("proxy", ["refusing", "absent", "nonsense"])
def test_proxy_errors_repeat_nothing(peer: MakePeer, refused: str, proxy: str) -> None:
    """Neither the request nor the proxy's own password."""
    host = {
        "refusing": peer(says(b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n")).netloc,
        "absent": refused.removeprefix("http://").partition("/")[0],
        "nonsense": "[",
    }[proxy]
    with pytest.raises(TransportError) as caught:
        send(secretive(f"https://{HOST}/"), {"HTTPS_PROXY": f"http://me:{CANARY}@{host}"})
    assert CANARY not in shown(caught.value)


@pytest.mark.parametrize(
    "value",
    ["{}\n", "{}\r\nX: y", "\n{}", "{}\0", "{}\x7f", "{}é", "{}\u2026", "{}\ud800", " {}"],
)
def test_an_impossible_header_value_is_not_repeated(peer: MakePeer, value: str) -> None:
    """HTTP clients put it into their error; here it never gets that far."""
    server = peer()
    request = HttpRequest("GET", server.url, {"X-Api-Key": value.format(CANARY)})
    with pytest.raises(ConfigurationError, match="X-Api-Key") as caught:
        send(request)
    assert CANARY not in shown(caught.value)
    assert server.received == []


@pytest.mark.parametrize("name", ["", "X Key", "X:Key", "X-Key\r\nY", "X-K\u0435y"])
def test_an_impossible_header_name_is_refused(peer: MakePeer, name: str) -> None:
    """It may be a value in the wrong place, so it is not repeated either."""
    server = peer()
    with pytest.raises(ConfigurationError) as caught:
        send(HttpRequest("GET", server.url, {f"{name}{CANARY} ": "value"}))
    assert CANARY not in shown(caught.value)
    assert server.received == []


@pytest.mark.parametrize(
    "url",
    [
        "http://idp.example.com/token",
        "http://localhost.example.com/token",
        "http://127.0.0.1.example.com/token",
        "http://127.1/token",
        "http://0x7f000001/token",
        "http://[::ffff:127.0.0.1]/token",
        f"https://user:{CANARY}@idp.example.com/",
        "ftp://idp.example.com/",
        "file:///etc/passwd",
        "//idp.example.com/",
    ],
)
def test_an_insecure_url_is_refused(peer: MakePeer, url: str) -> None:
    """Nothing is sent, not even to a proxy."""
    proxy = peer()
    environ = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), f"http://{proxy.netloc}")
    with pytest.raises(InsecureEndpointError) as caught:
        send(HttpRequest("GET", url), environ)
    assert CANARY not in shown(caught.value)
    assert proxy.received == []


# --- logs ---------------------------------------------------------------------


def test_debug_logs_hold_no_secret(peer: MakePeer, caplog: pytest.LogCaptureFixture) -> None:
    """Root logging at DEBUG, a token request, a failing one, a key in a query."""
    caplog.set_level(logging.DEBUG)
    body = f'{{"access_token": "{CANARY}", "token_type": "Bearer"}}'.encode()
    server = peer(says(framed(body)))
    endpoint = TokenEndpoint(
        server.url, ClientCredentials("id", Secret(f"{CANARY}-secret"), "client_secret_basic")
    )
    answer = refresh_access_token(
        RequestsTransport(),
        endpoint,
        refresh_token=Secret(f"{CANARY}-refresh"),
        granted_scopes=(),
        clock=lambda: 0.0,
    )
    assert answer.access_token.reveal() == CANARY
    assert f"refresh_token={CANARY}-refresh".encode() in server.received[0]
    send(secretive(server.url))
    broken = peer(says(b"HTTP/1.1 200 OK\r\nno field\r\n\r\n"))
    with suppress(HarborError):
        send(secretive(broken.url))
    assert CANARY not in caplog.text
    assert CANARY not in "".join(repr(record.__dict__) for record in caplog.records)


def test_other_requests_are_logged_as_ever(
    peer: MakePeer, caplog: pytest.LogCaptureFixture
) -> None:
    """The filter is for this transport's own requests, not for the caller's."""
    caplog.set_level(logging.DEBUG)
    server = peer()
    send(HttpRequest("GET", server.url))
    assert caplog.records == []
    with requests.Session() as session:
        session.get(server.url, timeout=5)
    assert "/token" in caplog.text
