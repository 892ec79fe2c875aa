"""Wrong callbacks never end, answer or spoil a sign-in."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import pytest

from harbor_oauth.client import Harbor
from harbor_oauth.errors import AuthorizationResponseError, FlowTimeoutError, IssuerMismatchError
from harbor_oauth.testing import AuthorizationServer


def send(port: int, data: bytes) -> bytes:
    """Send raw bytes to the receiver and read what it says."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: connection.recv(65536), b""))
        except (ConnectionResetError, BrokenPipeError):
            return b""


def get(port: int, target: str, *headers: str, method: str = "GET", host: str = "") -> bytes:
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host or f'127.0.0.1:{port}'}", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def wrong_callbacks(port: int, state: str) -> list[bytes]:
    """Return fifty requests, none of which answers the sign-in."""
    right = f"code=stolen&state={state}"
    spoiled = [
        *("", "state=", f"state={state}", "code=x", "code=x&state=", "code=&state=&iss="),
        *(f"code=x&state={guess}" for guess in ("wrong", state[:-1], state + "x", " " + state)),
        *(
            f"code=x&state={state.swapcase()}",
            "error=access_denied",
            "error=access_denied&state=no",
        ),
        *(
            "error=server_error&state=wrong&error_description=%3Cscript%3E",
            f"code=a&code=b&state={state}",
        ),
        *(f"code=x&state={state}&state={state}", f"code=x&error=access_denied&state={state}"),
        *("iss=https%3A%2F%2Fevil.example&code=x&state=no", f"state={state}&code="),
        *("redirect=https://evil.example", "a=1&" * 100, "code=x&state=" + "s" * 9000),
        *("%00", "code=x%00&state=y", "state[]=a&code=b", "code=x;state=y"),
    ]
    requests = [get(port, f"/callback?{query}") for query in spoiled]
    requests += [
        get(port, f"/callback?{right}", method=method)
        for method in ("POST", "PUT", "HEAD", "OPTIONS", "DELETE", "get", "CONNECT")
    ]
    requests += [
        get(port, f"/callback?{right}", host=host)
        for host in ("evil.example", f"localhost:{port}", "127.0.0.1", f"127.0.0.1:{port + 1}")
    ]
    requests += [
        get(port, f"/callback?{right}", header)
        for header in (
            "Origin: https://evil.example",
            "Origin: null",
            "Sec-Fetch-Mode: cors",
            "Sec-Fetch-Dest: image",
            "Sec-Purpose: prefetch",
            f"Host: 127.0.0.1:{port}",
        )
    ]
    requests += [
        get(port, "/favicon.ico"),
        get(port, f"/callback/?{right}"),
        get(port, f"/other?{right}"),
        get(port, f"http://127.0.0.1:{port}/callback?{right}"),
        get(port, "/callback?code=" + "x" * 1024 * 1024),
        f"GET /callback?{right}\r\n\r\n".encode(),
        b"\x16\x03\x01 not http at all",
    ]
    return requests


def test_fifty_wrong_callbacks_then_the_right_one(
    make_harbor: Callable[..., Harbor], issuer: AuthorizationServer
) -> None:
    """The sign-in succeeds, with exactly one token request, made with the right code."""
    sent: list[bytes] = []

    def browser(url: str) -> bool:
        query = parse_qs(urlsplit(url).query)
        port = urlsplit(query["redirect_uri"][0]).port
        assert port
        for data in wrong_callbacks(port, query["state"][0]):
            answer = send(port, data)
            assert b"stolen" not in answer
            assert b"<script>" not in answer
            assert not answer.startswith((b"HTTP/1.1 2", b"HTTP/1.1 3")) or b" 204 " in answer[:15]
            sent.append(data)
        return issuer.browser(url)

    harbor = make_harbor(browser=browser)
    assert harbor.login("practice").state == "active"
    assert len(sent) >= 50
    assert issuer.count("token") == 1
    assert "stolen" not in str([request.form for request in issuer.requests])


@pytest.mark.parametrize("iss", ["https://evil.example", None])
def test_another_issuer_s_answer_ends_the_login_at_once(
    harbor: Harbor, issuer: AuthorizationServer, iss: str | None
) -> None:
    """It has the state, so it is this sign-in's, mixed up: no code is sent anywhere."""
    issuer.amend("authorize", iss=iss, error_description="canary")
    with pytest.raises(IssuerMismatchError, match="RFC 9207") as caught:
        harbor.login("practice")
    assert "canary" not in str(caught.value)
    assert issuer.count("token") == 0
    assert harbor.status() == ()


def test_a_denied_login_ends_at_once_with_the_server_s_reason(
    harbor: Harbor, issuer: AuthorizationServer
) -> None:
    """No code is redeemed, the reason is shown, nothing is stored."""
    issuer.deny = True
    with pytest.raises(AuthorizationResponseError) as caught:
        harbor.login("practice")
    assert caught.value.error == "access_denied"
    assert issuer.count("token") == 0
    assert harbor.status() == ()


def test_nobody_answers_for_five_minutes(make_harbor: Callable[..., Harbor], clock: object) -> None:
    """The wait ends with a clear timeout, and the port is closed."""
    port: list[int] = []

    def browser(url: str) -> bool:
        port.append(urlsplit(parse_qs(urlsplit(url).query)["redirect_uri"][0]).port or 0)
        clock.advance(300)  # type: ignore[attr-defined]  # the fake clock
        return True

    with pytest.raises(FlowTimeoutError, match="300 seconds"):
        make_harbor(browser=browser).login("practice")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port[0]), timeout=20)


def test_a_second_callback_with_the_same_code_redeems_nothing(
    make_harbor: Callable[..., Harbor], issuer: AuthorizationServer
) -> None:
    """Twenty copies of the right callback at once cause one token request."""

    def browser(url: str) -> bool:
        location = issuer_redirect(url)
        parts = urlsplit(location)
        target = f"{parts.path}?{parts.query}"
        port = parts.port or 0
        threads = [
            threading.Thread(target=knock, args=(port, get(port, target))) for _ in range(20)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return True

    assert make_harbor(browser=browser).login("practice").state == "active"
    assert issuer.count("token") == 1


def knock(port: int, data: bytes) -> None:
    """Send a request to a port that may close meanwhile."""
    try:
        send(port, data)
    except OSError:
        return


def issuer_redirect(url: str) -> str:
    """Ask the authorization endpoint and return where it sends the browser."""
    import http.client

    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)
    try:
        connection.request("GET", f"{parts.path}?{parts.query}")
        answer = connection.getresponse()
        answer.read()
        return answer.headers["Location"]
    finally:
        connection.close()
