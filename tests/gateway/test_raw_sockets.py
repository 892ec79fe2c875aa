"""The gateway between a caller and a server that both speak raw bytes, as an attacker would."""

from __future__ import annotations

import logging
import re
import select
import socket
import socketserver
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import pytest

from harbor_oauth.client import Harbor
from harbor_oauth.fleet.config import add_server
from harbor_oauth.gateway.headers import SECURITY_FIELDS
from harbor_oauth.gateway.limits import MIB, Limits
from harbor_oauth.gateway.server import Options
from harbor_oauth.settings import ServerEntry
from tests.gateway.conftest import RunningGateway, running

OK = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{"id": "x"}'
PATIENCE = 20.0
"""Seconds after which a test gives up; nothing here waits for it."""


class RawServer(socketserver.ThreadingTCPServer):
    """A docked server that records every byte, and answers with bytes of the test's choice."""

    daemon_threads = False
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.received: list[bytes] = []
        self.answer: bytes | Callable[[socket.socket], None] = OK

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/mcp"

    def reset(self) -> None:
        self.received, self.answer = [], OK


class _Connection(socketserver.BaseRequestHandler):
    """One connection: one request, one answer, and the end."""

    server: RawServer
    request: socket.socket

    def handle(self) -> None:
        self.request.settimeout(PATIENCE)
        data = b""
        while b"\r\n\r\n" not in data:
            if not (piece := self.request.recv(65536)):
                return
            data += piece
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", data)
        whole = data.index(b"\r\n\r\n") + 4 + int(length[1] if length else 0)
        while len(data) < whole and (piece := self.request.recv(65536)):
            data += piece
        self.server.received.append(data)
        answer = self.server.answer
        if callable(answer):
            answer(self.request)
        else:
            try:
                self.request.sendall(answer)
            except ConnectionError:  # enough of it was seen
                return


@pytest.fixture(scope="module")
def raw_server() -> Iterator[RawServer]:
    with RawServer() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def server(raw_server: RawServer) -> RawServer:
    """The raw server, with nothing received yet."""
    raw_server.reset()
    return raw_server


@pytest.fixture(scope="module")
def raw_harbor(tmp_path_factory: pytest.TempPathFactory, raw_server: RawServer) -> Iterator[Harbor]:
    """A Harbor with the raw server docked as ``raw``, with a header in its entry."""
    home = tmp_path_factory.mktemp("raw")
    with closing(Harbor(home=home, environ={"HARBOR_VAULT": "memory"})) as harbor:
        entry = ServerEntry(name="raw", url=raw_server.url, headers={"X-Team": "ours"})
        add_server(harbor.settings, entry)
        harbor.reload_settings()
        yield harbor


@pytest.fixture(scope="module")
def raw(raw_harbor: Harbor) -> Iterator[RunningGateway]:
    """A gateway in front of it, which does not wait long for what never comes."""
    limits = Limits(header_seconds=2, body_seconds=1, idle_seconds=30)
    with running(raw_harbor, Options(port=0, limits=limits)) as gateway:
        yield gateway


# --- speaking -----------------------------------------------------------------------


def head(*lines: str, start: str = "POST /raw HTTP/1.1", host: str = "Host: @HOST@") -> bytes:
    """Return a request's head with a good key; `lines` are what is wrong with it."""
    usual = (start, host, "X-Harbor-Key: @KEY@", "Content-Type: application/json")
    return "\r\n".join([*(line for line in usual if line), *lines, "", ""]).encode("latin-1")


HIDDEN = head(start="GET /raw/hidden HTTP/1.1")
"""What a smuggler wants to be taken for a request of its own."""


def connect(gateway: RunningGateway) -> socket.socket:
    return socket.create_connection(("127.0.0.1", gateway.port), timeout=PATIENCE)


def fill(gateway: RunningGateway, data: bytes) -> bytes:
    host = f"127.0.0.1:{gateway.port}".encode()
    return data.replace(b"@HOST@", host).replace(b"@KEY@", gateway.key.encode())


def exchange(gateway: RunningGateway, data: bytes) -> bytes:
    """Send bytes, and return everything that comes until the gateway hangs up."""
    answer = b""
    with connect(gateway) as caller:
        try:
            caller.sendall(fill(gateway, data))
            while piece := caller.recv(65536):
                answer += piece
        except ConnectionError:  # it hung up with some of ours unread
            pass
    return answer


def status(answer: bytes) -> int:
    """Return an answer's status; 0 if the gateway hung up without one."""
    if not answer:
        return 0
    match = re.match(rb"HTTP/1\.[01] (\d{3}) ", answer)
    assert match, answer
    return int(match[1])


def fields(answer: bytes) -> dict[str, str]:
    """Return an answer's header fields, names in lower case; every line has to be one."""
    lines = answer.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]
    found = {}
    for line in lines:
        match = re.fullmatch(rb"([!#-'*+.^-z|~0-9A-Z-]+): ([\x20-\x7e]*)", line)
        assert match, line
        name = match[1].decode().lower()
        assert name not in found, name
        found[name] = match[2].decode()
    return found


GOOD = head("Connection: close", "Content-Length: 2") + b"{}"


def test_a_good_request_passes(raw: RunningGateway, server: RawServer) -> None:
    """So that the refusals below are for what is wrong with each, and nothing else."""
    answer = exchange(raw, GOOD)
    assert status(answer) == 200
    assert answer.endswith(b'{"id": "x"}')
    (received,) = server.received
    assert received.startswith(b"POST /mcp HTTP/1.1\r\n")
    assert received.endswith(b"\r\n\r\n{}")
    assert b"X-Team: ours" in received


def test_a_chunked_request_arrives_in_one_piece(raw: RunningGateway, server: RawServer) -> None:
    """How a body was framed ends here; its trailers do too (RFC 9110 §6.5.1)."""
    chunked = b"1\r\n{\r\n1;x=y\r\n}\r\n0\r\nAuthorization: canary\r\nX-Team: canary\r\n\r\n"
    request = head("Connection: close", "Transfer-Encoding: chunked") + chunked
    assert status(exchange(raw, request)) == 200
    (received,) = server.received
    assert received.endswith(b"\r\n\r\n{}")
    assert b"canary" not in received
    assert b"chunked" not in received


def test_pipelined_requests_are_answered_in_order(raw: RunningGateway, server: RawServer) -> None:
    """Two requests in one packet are two requests."""
    server.answer = OK.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
    first = head("Content-Length: 7", start="POST /raw/first HTTP/1.1") + b'{"a":1}'
    last = head("Connection: close", "Content-Length: 2", start="POST /raw/last HTTP/1.1") + b"{}"
    answer = exchange(raw, first + last)
    assert answer.count(b"HTTP/1.1 200 OK") == 2
    assert [received.split(b" ")[1] for received in server.received] == [
        b"/mcp/first",
        b"/mcp/last",
    ]


# --- requests that two readers could read in two ways -----------------------------------

CHUNKED = "Transfer-Encoding: chunked"
SMUGGLED: dict[str, bytes] = {
    # Where the body ends (RFC 9112 §6.3, §11.2)
    "both length and chunks": head("Content-Length: 5", CHUNKED) + b"0\r\n\r\n",
    "both chunks and length": head(CHUNKED, "Content-Length: 4") + b"0\r\n\r\n",
    "two lengths": head("Content-Length: 2", "Content-Length: 200") + b"{}",
    "two equal lengths": head("Content-Length: 2", "Content-Length: 2") + b"{}",
    "a list of lengths": head("Content-Length: 2, 2") + b"{}",
    "a signed length": head("Content-Length: +2") + b"{}",
    "a negative length": head("Content-Length: -2") + b"{}",
    "a length in hexadecimal": head("Content-Length: 0x2") + b"{}",
    "a length with an underscore": head("Content-Length: 0_2") + b"{}",
    "a length in two words": head("Content-Length: 0 2") + b"{}",
    "an empty length": head("Content-Length: ") + b"{}",
    "a length in other digits": head("Content-Length: \xb2") + b"{}",
    "a length that no machine has": head("Content-Length: " + "9" * 40) + b"{}",
    "an unknown coding": head("Transfer-Encoding: xchunked") + b"0\r\n\r\n",
    "the identity coding": head("Transfer-Encoding: identity"),
    "a compressed coding": head("Transfer-Encoding: gzip") + b"0\r\n\r\n",
    "chunks that are not last": head("Transfer-Encoding: chunked, identity") + b"0\r\n\r\n",
    "chunks twice": head("Transfer-Encoding: chunked, chunked") + b"0\r\n\r\n",
    "two codings": head(CHUNKED, "Transfer-Encoding: identity") + b"0\r\n\r\n",
    "a coding behind a control": head("Transfer-Encoding: \x0bchunked") + b"0\r\n\r\n",
    "a quoted coding": head('Transfer-Encoding: "chunked"') + b"0\r\n\r\n",
    "chunks in HTTP/1.0": head(CHUNKED, start="POST /raw HTTP/1.0") + b"0\r\n\r\n",
    # Chunks (RFC 9112 §7.1)
    "a chunk size that is none": head(CHUNKED) + b"zz\r\n{}\r\n0\r\n\r\n",
    "a signed chunk size": head(CHUNKED) + b"+2\r\n{}\r\n0\r\n\r\n",
    "a negative chunk size": head(CHUNKED) + b"-2\r\n{}\r\n0\r\n\r\n",
    "a prefixed chunk size": head(CHUNKED) + b"0x2\r\n{}\r\n0\r\n\r\n",
    "a chunk size with a space": head(CHUNKED) + b"2 \r\n{}\r\n0\r\n\r\n",
    "a chunk size with an underscore": head(CHUNKED) + b"0_2\r\n{}\r\n0\r\n\r\n",
    "an empty chunk size": head(CHUNKED) + b"\r\n{}\r\n0\r\n\r\n",
    "a chunk size that no machine has": head(CHUNKED) + b"f" * 40 + b"\r\n{}\r\n0\r\n\r\n",
    "a chunk longer than its size": head(CHUNKED) + b"2\r\n{}}\r\n0\r\n\r\n",
    "a chunk without its end": head(CHUNKED) + b"2\r\n{}0\r\n\r\n",
    "a chunk size that ends in LF": head(CHUNKED) + b"2\n{}\r\n0\r\n\r\n",
    "a chunk that ends in LF": head(CHUNKED) + b"2\r\n{}\n0\r\n\r\n",
    "an extension with LF": head(CHUNKED) + b"2;x\n\r\n{}\r\n0\r\n\r\n",
    # Lines (RFC 9112 §2.2, §5.1, §5.2)
    "a folded header": head("X-Folded: a", "\tb", "Content-Length: 2") + b"{}",
    "a folded length": head("Content-Length:", " 2") + b"{}",
    "a folded first header": head(" Content-Length: 2", host="") + b"{}",
    "lines that end in LF": head("Content-Length: 2").replace(b"\r\n", b"\n") + b"{}",
    "one line that ends in LF": head("X: y\nContent-Length: 2") + b"{}",
    "a head that ends in LF": head("Content-Length: 2")[:-2] + b"\n{}",
    "lines that end in CR": head("X: y\rContent-Length: 2") + b"{}",
    "a bare CR": head("X: a\rb", "Content-Length: 2") + b"{}",
    "a space before the colon": head("Content-Length : 2") + b"{}",
    "a tab before the colon": head("Content-Length\t: 2") + b"{}",
    "a space in a name": head("Content Length: 2", "Content-Length: 2") + b"{}",
    "no colon": head("Content-Length 2", "Content-Length: 2") + b"{}",
    "no name": head(": x", "Content-Length: 2") + b"{}",
    "a name that is no token": head("X(y): z", "Content-Length: 2") + b"{}",
    "a name outside ASCII": head("X\xe9: z", "Content-Length: 2") + b"{}",
    "NUL in a value": head("X: a\x00b", "Content-Length: 2") + b"{}",
    "NUL in a name": head("X\x00: a", "Content-Length: 2") + b"{}",
    "NUL in the target": head("Content-Length: 2", start="POST /raw\x00 HTTP/1.1") + b"{}",
    "a control in a value": head("X: a\x01b", "Content-Length: 2") + b"{}",
    # The request line (RFC 9112 §3)
    "a tab": head("Content-Length: 2", start="POST\t/raw\tHTTP/1.1") + b"{}",
    "a space in the target": head("Content-Length: 2", start="POST /raw /x HTTP/1.1") + b"{}",
    "no version": head("Content-Length: 2", start="POST /raw") + b"{}",
    "another version": head("Content-Length: 2", start="POST /raw HTTP/2.0") + b"{}",
    "a version of other digits": head("Content-Length: 2", start="POST /raw HTTP/1.\xb9") + b"{}",
    "a version in lower case": head("Content-Length: 2", start="POST /raw http/1.1") + b"{}",
    "a method that is none": head("Content-Length: 2", start="PO\x00ST /raw HTTP/1.1") + b"{}",
    "a preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a handshake of TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 64,
    # Sizes
    "too many headers": head(*(f"X-{n}: y" for n in range(100)), "Content-Length: 2") + b"{}",
    "a header too long": head("X: " + "y" * 33_000, "Content-Length: 2") + b"{}",
    "a target too long": head("Content-Length: 2", start=f"POST /raw/{'x' * 33_000} HTTP/1.1")
    + b"{}",
    "headers too large together": head(
        "Connection: close", *(f"X-{n}: {'y' * 8000}" for n in range(9))
    ),
}


@pytest.mark.parametrize("data", SMUGGLED.values(), ids=SMUGGLED)
def test_an_ambiguous_request_is_refused_whole(
    raw: RunningGateway,
    server: RawServer,
    data: bytes,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nothing of it reaches the server, nor what was hidden behind it, nor its secrets the log."""
    with caplog.at_level(logging.DEBUG):
        answer = exchange(raw, data + HIDDEN * 2)
    assert status(answer) in {0, 400, 408, 413, 415, 431}
    assert answer.count(b"HTTP/1.1 ") <= 1
    assert server.received == []
    assert raw.key.encode() not in answer
    assert raw.key not in caplog.text


@pytest.mark.parametrize("data", [SMUGGLED["a bare CR"], SMUGGLED["two lengths"], HIDDEN[:4] * 9])
def test_a_refusal_is_inert_and_says_nothing_of_the_gateway(
    raw: RunningGateway, server: RawServer, data: bytes
) -> None:
    """Even the parser's own: our fields, no version, none of the caller's bytes."""
    answer = exchange(raw, data.replace(b"X: a", b"X: canary") + b"\r\n\r\n")
    found = fields(answer)
    for name, value in SECURITY_FIELDS.items():
        assert found[name.lower()] == value
    assert "aiohttp" not in str(found)
    assert "Python" not in str(found)
    assert b"canary" not in answer


# --- targets, hosts, origins, keys ------------------------------------------------------

TARGETS = [
    "http://@HOST@/raw",
    "http://evil.example/raw",
    "https://evil.example:443/raw",
    "//evil.example/raw",
    "evil.example:443",
    "*",
    "/raw/..",
    "/raw/../other",
    "/raw/%2e%2e/other",
    "/raw/..;/other",
    "/raw//evil.example",
    "/raw/a%2fb",
    "/raw/a%5cb",
    "/raw/a\\b",
    "/raw/%00",
    "/raw/%0d%0aX:%20y",
    "/raw@evil.example/",
    "/raw:443/",
    "/@evil.example/raw",
    "/RAW",
    "/raw#x",
    "/raw/%",
    "/raw/\xe9",
]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_no_target_leads_elsewhere(
    raw: RunningGateway, server: RawServer, target: str, method: str
) -> None:
    """Only a docked server's name does, and only to its own URL."""
    data = head("Connection: close", "Content-Length: 2", start=f"{method} {target} HTTP/1.1")
    assert status(exchange(raw, data + b"{}")) in {400, 404}
    assert server.received == []


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("", 400),
        ("Host: ", 421),
        ("Host: evil.example", 421),
        ("Host: evil.example\r\nHost: @HOST@", 400),
        ("Host: @HOST@\r\nHost: @HOST@", 400),
        ("Host: @HOST@\r\nhost: evil.example", 400),
        ("Host: @HOST@.evil.example", 421),
        ("Host: @HOST@@evil.example", 421),
        ("Host: evil.example@@HOST@", 421),
        ("Host: 127.0.0.1", 421),
        ("Host: 127.0.0.1:1", 421),
        ("Host: localhost.evil.example", 421),
        ("Host: @HOST@, evil.example", 421),
        ("Host: evil.example\r\nX-Forwarded-Host: @HOST@", 421),
        ("Host: evil.example\r\nForwarded: host=@HOST@", 421),
        ("Host: @HOST@\r\nOrigin: null", 403),
        ("Host: @HOST@\r\nOrigin: http://@HOST@", 403),
        ("Host: @HOST@\r\nOrigin: http://localhost:5173", 403),
        ("Host: @HOST@\r\nOrigin: http://@HOST@.evil.example", 403),
        ("Host: @HOST@\r\nOrigin: https://evil.example", 403),
        ("Host: @HOST@\r\nOrigin: ", 403),
        ("Host: @HOST@\r\nSec-Fetch-Site: cross-site", 403),
        ("Host: @HOST@\r\nSec-Fetch-Site: same-site", 403),
    ],
)
@pytest.mark.parametrize("target", ["/raw", "/health", "/ready", "/.well-known/x", "/"])
def test_no_page_and_no_other_name_is_answered(
    raw: RunningGateway, server: RawServer, host: str, expected: int, target: str
) -> None:
    """Not even with a good key, not even about its health; never with a CORS header."""
    data = head(
        "Connection: close", "Content-Length: 2", start=f"POST {target} HTTP/1.1", host=host
    )
    answer = exchange(raw, data + b"{}")
    # The parser refuses some of these hosts before we see them.
    assert status(answer) in {expected, 400}
    assert b"access-control" not in answer.lower()
    assert server.received == []


@pytest.mark.parametrize("target", ["/raw", "*", "/health"])
def test_a_preflight_is_refused(raw: RunningGateway, server: RawServer, target: str) -> None:
    """So no page gets as far as to send what it asks about."""
    asks = ("Access-Control-Request-Method: POST", "Access-Control-Request-Private-Network: true")
    answer = exchange(raw, head("Connection: close", *asks, start=f"OPTIONS {target} HTTP/1.1"))
    assert status(answer) == 403
    assert b"access-control" not in answer.lower()
    assert server.received == []


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ("X-Harbor-Key: @KEY@", 400),
        ("x-harbor-key: other", 400),
        ("X-Harbor-Key: ", 400),
        ("Authorization: Bearer @KEY@", 400),
        ("Authorization: Basic eDp5", 400),
        ("authorization: ", 400),
        ("X_Harbor_Key: other", 200),
    ],
)
def test_a_second_credential_is_refused(
    raw: RunningGateway, server: RawServer, extra: str, expected: int
) -> None:
    """Which of two counts is nothing to guess about."""
    answer = exchange(raw, head(extra, "Connection: close", "Content-Length: 2") + b"{}")
    assert status(answer) == expected
    assert len(server.received) == (expected == 200)


def test_nothing_of_the_caller_but_its_request_reaches_the_server(
    raw: RunningGateway, server: RawServer
) -> None:
    """What the entry adds is there once, however the caller tries to be first, last or instead."""
    hostile = [
        "Connection: close, X-Team, Authorization",
        "Cookie: canary",
        "DPoP: canary",
        "X-Api-Key: canary",
        "X-Team: canary",
        "x-team: canary",
        "X_Team: canary",
        "X-Forwarded-For: canary",
        "Forwarded: for=canary",
        "Referer: http://canary/",
        "Proxy-Authorization: canary",
        "Upgrade: canary",
        "TE: canary",
        "Via: canary",
    ]
    assert status(exchange(raw, head(*hostile, "Content-Length: 2") + b"{}")) == 200
    (received,) = server.received
    assert b"canary" not in received
    assert raw.key.encode() not in received
    assert re.findall(rb"(?i)\r\nx.team: (.*?)\r\n", received) == [b"ours"]
    assert b"Host: 127.0.0.1:%d\r\n" % server.server_address[1] in received


# --- servers that answer with more than an answer ----------------------------------------


def answered(*lines: str, start: str = "HTTP/1.1 200 OK", body: str = '{"id": "x"}') -> bytes:
    usual = ("Content-Type: application/json", f"Content-Length: {len(body)}")
    return "\r\n".join([start, *usual, *lines, "", body]).encode("latin-1")


COOKIE = "Set-Cookie: canary=1"
SPLIT: dict[str, bytes] = {
    "a reason with CR": answered(start=f"HTTP/1.1 200 OK\r{COOKIE}"),
    "a reason with LF": answered(start=f"HTTP/1.1 200 OK\n{COOKIE}"),
    "a reason of its own": answered(start="HTTP/1.1 200 canary"),
    "a reason outside ASCII": answered(start="HTTP/1.1 200 canary\xe9"),
    "a value with CR": answered(f"Mcp-Session-Id: a\r{COOKIE}"),
    "a value with LF": answered(f"Mcp-Session-Id: a\n{COOKIE}"),
    "a value with CR CR LF": answered(f"Mcp-Session-Id: a\r\r\n{COOKIE}"),
    "a value with NUL": answered("Mcp-Session-Id: a\x00canary"),
    "a folded value": answered("Retry-After: 1", " Set-Cookie: folded=1"),
    "a value outside ASCII": answered("Mcp-Session-Id: canary\xe9", "Retry-After: canary\x85"),
    "a type with a comma": answered("X: y").replace(b"json", b"json, text/html;canary"),
    "two types": answered("Content-Type: text/html;canary"),
    "two sessions": answered("Mcp-Session-Id: a", "Mcp-Session-Id: canary"),
    "two lengths": answered("Content-Length: 200") + b"canary" * 100,
    "length and chunks": answered("Transfer-Encoding: chunked", body="0\r\n\r\ncanary"),
    "a negative length": answered().replace(b"Length: 11", b"Length: -11"),
    "an unknown coding": answered("Transfer-Encoding: canary"),
    "a second answer": OK + b"HTTP/1.1 200 OK\r\nSet-Cookie: canary=1\r\n\r\n",
    "a trailer": (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        b'b\r\n{"id": "x"}\r\n0\r\nSet-Cookie: canary=1\r\n\r\n'
    ),
    "an upgrade": answered("Upgrade: canary", start="HTTP/1.1 101 Switching Protocols"),
    "hints first": b"HTTP/1.1 103 Early Hints\r\nLink: canary\r\n\r\n" + OK,
    "a thousand continues": b"HTTP/1.1 100 Continue\r\nX: canary\r\n\r\n" * 1000 + OK,
    "a body where none may be": answered(start="HTTP/1.1 204 No Content", body="canary"),
    "not modified": answered(start="HTTP/1.1 304 canary", body="canary"),
    "status 999": answered(start="HTTP/1.1 999 canary"),
    "status 600": answered(start="HTTP/1.1 600 canary"),
    "status 099": answered(start="HTTP/1.1 099 canary"),
    "status 20": answered(start="HTTP/1.1 20 canary"),
    "status 2000": answered(start="HTTP/1.1 2000 canary"),
    "a status in words": answered(start="HTTP/1.1 canary"),
    "an unauthorized one": answered("WWW-Authenticate: Bearer canary", start="HTTP/1.1 401 x"),
    "a proxy's challenge": answered("Proxy-Authenticate: canary", start="HTTP/1.1 407 x"),
    "a redirect": answered("Location: http://canary/", start="HTTP/1.1 307 x"),
    "ten thousand headers": answered(*(f"X-{number}: canary" for number in range(10_000))),
    "a header of a megabyte": answered("Mcp-Session-Id: " + "canary" * 200_000),
    "a status line of a megabyte": answered(start="HTTP/1.1 200 " + "canary" * 200_000),
    "no answer": b"",
    "half a head": b"HTTP/1.1 200 OK\r\nX: canary",
    "half a body": answered(body='{"id": "x"}').replace(b"Length: 11", b"Length: 1100"),
    "half a chunk": answered("X: y").replace(b"Content-Length: 11", b"Transfer-Encoding: chunked")
    + b"\r\n",
    "HTTP/0.9": b"<html>canary</html>",
    "another protocol": b"SSH-2.0-canary\r\n",
    "HTTP/2": b"\x00\x00\x12\x04\x00\x00\x00\x00\x00canary",
}

NAMES = {"content-type", "content-length", "content-encoding", "retry-after", "date", "server"}
NAMES |= {"mcp-session-id", "mcp-protocol-version", "connection", "transfer-encoding"}
NAMES |= {name.lower() for name in SECURITY_FIELDS}


@pytest.mark.parametrize("data", SPLIT.values(), ids=SPLIT)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_server_cannot_write_a_head_of_ours(
    raw: RunningGateway, server: RawServer, data: bytes, method: str
) -> None:
    """One answer, with our fields and those that may pass; nothing that could rule the origin."""
    server.answer = data
    body = b'{"jsonrpc": "2.0", "id": 7, "method": "tools/list"}'
    request = head(
        "Connection: close", f"Content-Length: {len(body)}", start=f"{method} /raw HTTP/1.1"
    )
    answer = exchange(raw, request + body)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert status(answer) in {200, 204, 502}
    assert b"canary" not in answer
    found = fields(answer)
    assert set(found) <= NAMES
    for name, value in SECURITY_FIELDS.items():
        assert found[name.lower()] == value
    # A lost GET may be sent again (RFC 9110 §9.2.2); anything else is not.
    assert len(server.received) in ({1, 2} if method == "GET" else {1})


# --- how much is held --------------------------------------------------------------------


def bomb(mebibytes: int) -> bytes:
    """Return zeros, compressed a thousandfold."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join([packer.compress(bytes(MIB)) for _ in range(mebibytes)]) + packer.flush()


def test_bombs_are_handed_on_unopened(raw: RunningGateway, server: RawServer) -> None:
    """What is compressed stays so in both directions: whoever wants it opened opens it."""
    packed = bomb(64)
    coding = "Content-Encoding: gzip"
    server.answer = (
        answered(coding, body="").replace(b"Length: 0", b"Length: %d" % len(packed)) + packed
    )
    length = f"Content-Length: {len(packed)}"
    answer = exchange(raw, head("Connection: close", coding, length) + packed)
    assert status(answer) == 200
    assert fields(answer)["content-encoding"] == "gzip"
    assert answer.partition(b"\r\n\r\n")[2] == packed
    (received,) = server.received
    assert received.partition(b"\r\n\r\n")[2] == packed


def memory() -> int:
    """Return the bytes of memory that this process, so the gateway, has; 0 where nobody says."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * 4096 if statm.exists() else 0


class Flood:
    """An answer that goes on for as long as it is read."""

    def __init__(self, size: int, patience: float, *, chunked: bool) -> None:
        self.size = size
        self.sent = 0
        self.stalled = threading.Event()
        self.left = threading.Event()
        self._patience = patience
        self._chunked = chunked

    def __call__(self, connection: socket.socket) -> None:
        kind = (
            "Content-Type: text/event-stream\r\nTransfer-Encoding: chunked"
            if self._chunked
            else f"Content-Type: application/json\r\nContent-Length: {self.size}"
        )
        connection.settimeout(self._patience)
        piece = bytes(64 * 1024)
        before, after = (b"10000\r\n", b"\r\n") if self._chunked else (b"", b"")
        try:
            self._send(connection, f"HTTP/1.1 200 OK\r\n{kind}\r\n\r\n".encode())
            while self.sent < self.size:
                self._send(connection, before + piece + after)
                self.sent += len(piece)
            if self._chunked:
                self._send(connection, b"0\r\n\r\n")
        except ConnectionError:
            self.left.set()

    def _send(self, connection: socket.socket, data: bytes) -> None:
        unsent = memoryview(data)
        while unsent:
            try:
                unsent = unsent[connection.send(unsent) :]
            except TimeoutError:
                self.stalled.set()


def stalls(gateway: RunningGateway, flood: Flood) -> int:
    """Let a reader stall until the server has to, then read the rest; return how much came."""
    before = memory()
    with socket.socket() as caller:
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        caller.settimeout(PATIENCE)
        caller.connect(("127.0.0.1", gateway.port))
        request = head("Connection: close", start="GET /raw HTTP/1.1")
        caller.sendall(fill(gateway, request))
        assert caller.recv(12) == b"HTTP/1.1 200"
        assert flood.stalled.wait(60), "the server was never slowed down"
        assert flood.sent < 64 * MIB
        assert memory() - before < 64 * MIB
        assert (
            status(exchange(gateway, head("Connection: close", start="GET /health HTTP/1.1")))
            == 200
        )
        total, buffer = 0, bytearray(MIB)
        while count := caller.recv_into(buffer):
            total += count
    assert memory() - before < 64 * MIB
    return total


@pytest.mark.parametrize("chunked", [True, False])
def test_a_reader_that_stalls_slows_the_server_down(
    raw: RunningGateway, server: RawServer, chunked: bool
) -> None:
    """What it does not read is not held here, and none of it is lost."""
    server.answer = flood = Flood(96 * MIB, 0.5, chunked=chunked)
    assert stalls(raw, flood) >= 96 * MIB


@pytest.mark.faults
def test_a_reader_that_stalls_for_ten_seconds(raw: RunningGateway, server: RawServer) -> None:
    """A gibibyte waits at the server for as long as its reader does."""
    server.answer = flood = Flood(1024 * MIB, 10, chunked=False)
    assert stalls(raw, flood) >= 1024 * MIB


@pytest.mark.parametrize("chunked", [True, False])
def test_a_caller_that_leaves_ends_the_servers_work(
    raw: RunningGateway, server: RawServer, chunked: bool
) -> None:
    """In the middle of an answer the connection to the server is closed."""
    server.answer = flood = Flood(4096 * MIB, PATIENCE, chunked=chunked)
    with connect(raw) as caller:
        caller.sendall(fill(raw, head(start="GET /raw HTTP/1.1")))
        assert caller.recv(12) == b"HTTP/1.1 200"
    assert flood.left.wait(PATIENCE)


def test_a_caller_that_leaves_a_silent_stream_ends_it(
    raw: RunningGateway, server: RawServer
) -> None:
    """A stream without events is closed as well, at once and not with the next event."""
    ended = threading.Event()

    def one_event(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
        if connection.recv(1) == b"":
            ended.set()

    server.answer = one_event
    with connect(raw) as caller:
        caller.sendall(fill(raw, head(start="GET /raw HTTP/1.1")))
        seen = b""
        while b"data: 1" not in seen:
            piece = caller.recv(4096)
            assert piece, seen
            seen += piece
    assert ended.wait(PATIENCE)


@pytest.fixture
def many_sockets() -> Iterator[None]:
    """Allow for both ends of five hundred connections."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 4096 <= hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (4096, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_sockets")
def test_five_hundred_half_open_connections_delay_nobody(
    raw: RunningGateway, server: RawServer
) -> None:
    """A healthy caller is served among them, and they are closed without an answer in time."""
    halves = [b"", b"POST /ra", head()[:-2], head("X: y")[:-7]]
    with ExitStack() as stack:
        callers = [stack.enter_context(connect(raw)) for _ in range(500)]
        for number, caller in enumerate(callers):
            caller.sendall(fill(raw, halves[number % len(halves)]))
        assert status(exchange(raw, GOOD)) == 200
        open_still, _, _ = select.select(callers, [], [], 0)
        assert open_still == []
        for caller in callers:
            with suppress(ConnectionResetError):
                assert caller.recv(1) == b""
    assert len(server.received) == 1


def test_a_body_that_does_not_come_is_given_up(raw: RunningGateway, server: RawServer) -> None:
    """A caller that has a key cannot hold a place for ever either."""
    with connect(raw) as caller:
        caller.sendall(fill(raw, head("Content-Length: 100") + b'{"id"'))
        assert caller.recv(13) == b"HTTP/1.1 408 "
    assert server.received == []


def test_a_server_that_says_nothing_is_given_up(raw_harbor: Harbor, server: RawServer) -> None:
    """The caller gets an error, not silence; the connection is closed."""
    ended = threading.Event()

    def silence(connection: socket.socket) -> None:
        if connection.recv(1) == b"":
            ended.set()

    server.answer = silence
    limits = Limits(first_byte_seconds=0.5)
    with running(raw_harbor, Options(port=0, limits=limits)) as gateway:
        asked = head("Connection: close", start="GET /raw HTTP/1.1")
        assert status(exchange(gateway, asked)) == 502
    assert ended.wait(PATIENCE)
