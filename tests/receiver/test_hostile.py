"""What is not the awaited callback is refused and has no effect."""

from __future__ import annotations

import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from harbor_oauth.receiver import LoopbackReceiver

Receiver = LoopbackReceiver[str]
Ask = Callable[[Receiver, bytes], bytes]
Get = Callable[..., bytes]

AWAITED = "/callback?code=good-code&state=good-state"

# HOST is the advertised authority, PORT its port, NEXT the port after it.
HEADS = [
    # Host (RFC 9112 §3.2)
    ("no Host", 400, f"GET {AWAITED} HTTP/1.1\r\n\r\n"),
    ("no Host, HTTP/1.0", 400, f"GET {AWAITED} HTTP/1.0\r\n\r\n"),
    ("two equal Hosts", 400, f"GET {AWAITED} HTTP/1.1\r\nHost: HOST\r\nHost: HOST\r\n\r\n"),
    ("two Hosts", 400, f"GET {AWAITED} HTTP/1.1\r\nHost: HOST\r\nhost: evil.example\r\n\r\n"),
    ("empty Host", 421, f"GET {AWAITED} HTTP/1.1\r\nHost:\r\n\r\n"),
    ("foreign Host", 421, f"GET {AWAITED} HTTP/1.1\r\nHost: evil.example\r\n\r\n"),
    ("foreign Host, port", 421, f"GET {AWAITED} HTTP/1.1\r\nHost: evil.example:PORT\r\n\r\n"),
    ("other loopback name", 421, f"GET {AWAITED} HTTP/1.1\r\nHost: localhost:PORT\r\n\r\n"),
    ("next port", 421, f"GET {AWAITED} HTTP/1.1\r\nHost: 127.0.0.1:NEXT\r\n\r\n"),
    ("no port", 421, f"GET {AWAITED} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"),
    ("trailing dot", 421, f"GET {AWAITED} HTTP/1.1\r\nHost: 127.0.0.1.:PORT\r\n\r\n"),
    ("user in Host", 421, f"GET {AWAITED} HTTP/1.1\r\nHost: a@HOST\r\n\r\n"),
    ("a list of Hosts", 421, f"GET {AWAITED} HTTP/1.1\r\nHost: HOST, HOST\r\n\r\n"),
    # request line
    ("absolute-form", 400, f"GET http://HOST{AWAITED} HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    ("authority-form", 400, "CONNECT HOST HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    ("asterisk-form", 400, "OPTIONS * HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    ("HTTP/0.9", 400, f"GET {AWAITED}\r\n"),
    ("HTTP/2.0", 400, f"GET {AWAITED} HTTP/2.0\r\nHost: HOST\r\n\r\n"),
    ("lower-case version", 400, f"GET {AWAITED} http/1.1\r\nHost: HOST\r\n\r\n"),
    ("two spaces", 400, f"GET  {AWAITED} HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    ("tab for space", 400, f"GET\t{AWAITED} HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    ("space in target", 400, f"GET {AWAITED}&a=b c HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    ("fragment", 400, f"GET {AWAITED}#x HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    ("not ASCII", 400, f"GET {AWAITED}&a=\xe9 HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    ("empty line first", 400, f"\r\nGET {AWAITED} HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    ("TLS", 400, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
    # fields
    ("bare LF", 400, f"GET {AWAITED} HTTP/1.1\nHost: HOST\n\n"),
    ("one bare LF", 400, f"GET {AWAITED} HTTP/1.1\r\nHost: HOST\nA: b\r\n\r\n"),
    ("bare CR", 400, f"GET {AWAITED} HTTP/1.1\r\nHost: HOST\rA: b\r\n\r\n"),
    ("folded line", 400, f"GET {AWAITED} HTTP/1.1\r\nHost: HOST\r\nA: b\r\n c\r\n\r\n"),
    ("space before colon", 400, f"GET {AWAITED} HTTP/1.1\r\nHost : HOST\r\n\r\n"),
    ("NUL", 400, f"GET {AWAITED} HTTP/1.1\r\nHost: HOST\r\nA: \0\r\n\r\n"),
    ("NUL in target", 400, f"GET {AWAITED}\0 HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    ("no colon", 400, f"GET {AWAITED} HTTP/1.1\r\nHost: HOST\r\nA\r\n\r\n"),
    ("no name", 400, f"GET {AWAITED} HTTP/1.1\r\nHost: HOST\r\n: a\r\n\r\n"),
    ("a body", 400, f"GET {AWAITED} HTTP/1.1\r\nHost: HOST\r\nContent-Length: 1\r\n\r\nx"),
    (
        "a chunked body",
        400,
        f"GET {AWAITED} HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    # size
    ("1 MiB request line", 431, f"GET {AWAITED}&a={'a' * 2**20} HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    ("1 MiB field", 431, f"GET {AWAITED} HTTP/1.1\r\nHost: HOST\r\nA: {'a' * 2**20}\r\n\r\n"),
    (
        "10000 fields",
        431,
        f"GET {AWAITED} HTTP/1.1\r\nHost: HOST\r\n" + "A: b\r\n" * 10000 + "\r\n",
    ),
    ("64 KiB and one", 431, f"GET {AWAITED} HTTP/1.1\r\nHost: HOST\r\nA: {'a' * 65536}\r\n\r\n"),
    # method and path
    ("HEAD", 405, f"HEAD {AWAITED} HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    ("OPTIONS", 405, f"OPTIONS {AWAITED} HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    ("POST", 405, f"POST {AWAITED} HTTP/1.1\r\nHost: HOST\r\nContent-Length: 0\r\n\r\n"),
    ("PUT", 405, f"PUT {AWAITED} HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    ("lower-case get", 405, f"get {AWAITED} HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    ("favicon", 404, "GET /favicon.ico HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    ("root", 404, "GET / HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    ("done too early", 404, "GET /done HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    ("trailing slash", 404, f"GET {AWAITED.replace('?', '/?')} HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    ("double slash", 404, f"GET /{AWAITED} HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    ("encoded path", 404, f"GET {AWAITED.replace('/c', '/%63')} HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    ("dot segment", 404, f"GET /x/..{AWAITED} HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    ("upper case", 404, f"GET {AWAITED.replace('/c', '/C')} HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    # made by a page, not by a person (Fetch Metadata)
    *(
        (field, 403, f"GET {AWAITED} HTTP/1.1\r\nHost: HOST\r\n{field}\r\n\r\n")
        for field in (
            "Origin: https://evil.example",
            "Origin: null",
            "Origin: http://HOST",
            "Origin:",
            "Sec-Fetch-Mode: cors",
            "Sec-Fetch-Mode: no-cors",
            "Sec-Fetch-Mode:",
            "Sec-Fetch-Mode: navigate\r\nSec-Fetch-Mode: no-cors",
            "Sec-Fetch-Dest: image",
            "Sec-Fetch-Dest: script",
            "Sec-Fetch-Dest: empty",
            "Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: iframe",
        )
    ),
    # asked ahead of the person
    *(
        (field, 204, f"GET {AWAITED} HTTP/1.1\r\nHost: HOST\r\n{field}\r\n\r\n")
        for field in (
            "Sec-Purpose: prefetch",
            "Sec-Purpose: prefetch;prerender",
            "Purpose: prefetch",
            "X-Moz: prefetch",
        )
    ),
]


@pytest.mark.parametrize(("status", "head"), [row[1:] for row in HEADS], ids=[r[0] for r in HEADS])
def test_refused_heads_settle_nothing(
    receiver: Receiver, ask: Ask, get: Get, judge: Any, status: int, head: str
) -> None:
    """The fixed status comes back, the judge is not asked, the true callback still settles."""
    authority = receiver.redirect_uri.split("/")[2]
    port = int(authority.rpartition(":")[2])
    head = head.replace("HOST", authority).replace("PORT", str(port)).replace("NEXT", str(port + 1))
    answer = ask(receiver, head.encode("latin-1"))
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert judge.asked == []
    assert get(receiver, AWAITED).startswith(b"HTTP/1.1 303 ")
    assert receiver.wait() == "good-code"


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?",
        "?code=good-code",
        "?code=good-code&state=bad",
        "?error=access_denied&state=bad",
        "?code=good-code&state=good-state&state=good-state",
        "?code=good-code&state=good-state&code=other",
        "?redirect=https://evil.example&next=//evil.example",
    ],
)
def test_refused_callbacks_settle_nothing(receiver: Receiver, get: Get, query: str) -> None:
    """What the judge refuses gets one fixed page, and the true callback still settles."""
    answer = get(receiver, f"/callback{query}")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"Location" not in answer
    assert get(receiver, AWAITED).startswith(b"HTTP/1.1 303 ")
    assert receiver.wait() == "good-code"


def test_nothing_is_accepted_before_a_judge_is_there(ask: Ask, get: Get) -> None:
    """Between start and expect no callback counts."""
    with LoopbackReceiver[str]() as receiver:
        assert get(receiver, AWAITED).startswith(b"HTTP/1.1 400 ")
        receiver.expect(lambda _: "late")
        assert get(receiver, AWAITED).startswith(b"HTTP/1.1 303 ")
        assert receiver.wait() == "late"


def test_head_is_answered_without_a_body(receiver: Receiver, ask: Ask) -> None:
    """The answer to HEAD ends with its fields (RFC 9110 §9.3.2)."""
    authority = receiver.redirect_uri.split("/")[2]
    answer = ask(receiver, f"HEAD /callback HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode())
    assert answer.endswith(b"\r\n\r\n")
    assert b"Allow: GET\r\n" in answer


PAYLOADS = [
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "'-alert(1)-'",
    "javascript:alert(1)",
    "${alert(1)}",
    "{{7*7}}",
    "%0d%0aSet-Cookie:a=b",
    "%0d%0a%0d%0a<html>",
    "%3Cscript%3Ealert(1)%3C/script%3E",
    "%253Cscript%253E",
    "%1b]0;owned%07",
    "%1b[31mred",
    "%e2%80%ae%67%6e%70",
    "<!--",
    "]]>",
    "<a href=//evil.example>sign in again</a>",
    "<meta http-equiv=refresh content=0;url=//evil.example>",
    "<base href=//evil.example>",
    "<form action=//evil.example>",
    "<style>@import'//evil.example'</style>",
    "&lt;script&gt;",
    "&#60;script&#62;",
    "\\u003cscript\\u003e",
    "+ADw-script+AD4-",
    "//evil.example",
    "%00<script>",
    "<iframe srcdoc=x>",
    "canary-3f9c1d",
]


@pytest.mark.parametrize("payload", PAYLOADS)
def test_nothing_of_a_query_is_reflected(receiver: Receiver, get: Get, payload: str) -> None:
    """A callback's answer is byte for byte the same whatever it carries."""
    plain = get(receiver, "/callback?state=x")
    target = payload.replace(" ", "+").replace("#", "%23")
    for name in ("code", "state", "iss", "error", "error_description", "error_uri"):
        assert get(receiver, f"/callback?{name}={target}") == plain
    assert get(receiver, f"/{target}") == get(receiver, "/nothing")


def test_half_sent_heads_do_not_hold_the_callback_up(
    receiver: Receiver, connect: Callable[[Receiver], socket.socket], get: Get
) -> None:
    """With 200 peers that never finish, the true callback is answered."""
    for _ in range(200):
        connect(receiver).sendall(b"GET /callback HTTP/1.1\r\nHo")
    assert get(receiver, AWAITED).startswith(b"HTTP/1.1 303 ")
    assert receiver.wait() == "good-code"


def test_silent_connections_do_not_hold_the_callback_up(
    receiver: Receiver, connect: Callable[[Receiver], socket.socket], get: Get
) -> None:
    """Browsers open connections ahead of need and send nothing on them."""
    for _ in range(20):
        connect(receiver)
    assert get(receiver, AWAITED).startswith(b"HTTP/1.1 303 ")


def test_sixteen_connections_are_open_at_most(
    receiver: Receiver, connect: Callable[[Receiver], socket.socket], get: Get
) -> None:
    """Each one more pushes the oldest out, and only that."""
    oldest, second, *_ = [connect(receiver) for _ in range(16)]
    get(receiver, "/")
    assert oldest.recv(1) == b""
    second.sendall(b"GET / HTTP/1.1\r\n\r\n")
    assert second.recv(12) == b"HTTP/1.1 400"


def test_parallel_callbacks_settle_once(receiver: Receiver, judge: Any, get: Get) -> None:
    """Of twenty true callbacks at once, one is redirected and the judge is asked once."""
    together = Barrier(20)

    def callback(_: int) -> bytes:
        together.wait()
        try:
            return get(receiver, AWAITED)
        except ConnectionResetError:  # pushed out by a newer one
            return b""

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(callback, range(20)))
    assert sum(answer.startswith(b"HTTP/1.1 303 ") for answer in answers) == 1
    assert len(judge.asked) == 1
    assert receiver.wait() == "good-code"


def test_an_unfinished_head_has_five_seconds(
    receiver: Receiver, connect: Callable[[Receiver], socket.socket], get: Get, clock: Any
) -> None:
    """It may be finished before, and is closed without an answer after."""
    slow, slower = connect(receiver), connect(receiver)
    for connection in (slow, slower):
        connection.sendall(b"GET /callback HTTP/1.1\r\n")
    get(receiver, "/")  # both are accepted once this is answered
    clock.now += 4.9
    get(receiver, "/")
    slow.sendall(b"Host: evil.example\r\n\r\n")
    assert slow.recv(12) == b"HTTP/1.1 421"
    clock.now += 0.1
    assert slower.recv(12) == b""


def test_nothing_is_logged(
    receiver: Receiver,
    get: Get,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Neither a refused nor the true callback appears in a log or on a terminal."""
    caplog.set_level(0)
    get(receiver, "/callback?code=canary&state=canary")
    get(receiver, AWAITED)
    receiver.wait()
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")
