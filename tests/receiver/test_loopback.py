"""The receiver's life: bound before, settled once, closed after."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import pytest

from harbor_oauth.errors import (
    AuthorizationResponseError,
    FlowCancelledError,
    FlowTimeoutError,
    IssuerMismatchError,
    ReceiverBindError,
    StateMismatchError,
)
from harbor_oauth.receiver import LoopbackReceiver

Receiver = LoopbackReceiver[str]
Get = Callable[..., bytes]
Refused = Callable[[Receiver], bool]

AWAITED = "code=good-code&state=good-state"


def deny(query: str) -> str:
    """Judge as for an `error` with the right state."""
    raise AuthorizationResponseError("The person said no.", error="access_denied")


def test_the_answer_is_what_the_judge_made_of_it(receiver: Receiver, get: Get, judge: Any) -> None:
    """The judge gets the raw query, and `wait` its value."""
    answer = get(receiver, f"/callback?{AWAITED}", "Sec-Fetch-Mode: navigate")
    assert answer.startswith(b"HTTP/1.1 303 See Other\r\nLocation: /done\r\n")
    assert answer.endswith(b"\r\n\r\n")
    assert receiver.wait() == "good-code"
    assert judge.asked == [AWAITED]


def test_the_page_is_served_once_then_the_port_closes(
    receiver: Receiver, get: Get, refused: Refused
) -> None:
    """The clean page follows the redirect; nothing is accepted after it."""
    get(receiver, f"/callback?{AWAITED}")
    assert get(receiver, f"/callback?{AWAITED}").startswith(b"HTTP/1.1 404 ")
    assert get(receiver, "/failed").startswith(b"HTTP/1.1 404 ")
    page = get(receiver, "/done", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document")
    assert page.startswith(b"HTTP/1.1 200 ")
    assert b"Sign-in received" in page
    assert refused(receiver)


def test_a_refusal_ends_the_wait_with_its_own_page(
    receiver: Receiver, get: Get, refused: Refused
) -> None:
    """An error with the right state is an answer."""
    receiver.expect(deny)
    answer = get(receiver, "/callback?error=access_denied&state=good-state")
    assert b"\r\nLocation: /failed\r\n" in answer
    with pytest.raises(AuthorizationResponseError) as caught:
        receiver.wait()
    assert caught.value.error == "access_denied"
    assert b"Sign-in was not completed" in get(receiver, "/failed")
    assert refused(receiver)


def test_a_judge_that_breaks_is_reported_at_once(receiver: Receiver, get: Get) -> None:
    """A defect is raised where the sign-in is awaited, not after five minutes."""
    receiver.expect(lambda query: str(1 // len(query[:0])))
    get(receiver, "/callback?a=b")
    with pytest.raises(ZeroDivisionError):
        receiver.wait()


def test_errors_do_not_carry_the_query(receiver: Receiver, get: Get) -> None:
    """No frame that held the query is kept by the error that `wait` raises."""
    receiver.expect(deny)
    get(receiver, "/callback?error=access_denied&state=canary-state")
    with pytest.raises(AuthorizationResponseError) as caught:
        receiver.wait()
    held = [entry.frame.f_locals for entry in caught.traceback[1:]]
    assert "canary-state" not in repr(held)


def test_the_port_waits_two_seconds_for_the_browser(
    receiver: Receiver, get: Get, clock: Any, refused: Refused
) -> None:
    """A browser that never fetches the page does not keep the port open."""
    get(receiver, f"/callback?{AWAITED}")
    clock.now += 1.9
    assert get(receiver, "/other").startswith(b"HTTP/1.1 404 ")
    clock.now += 0.1
    assert refused(receiver)


def test_leaving_the_block_leaves_the_page_to_the_browser(
    clock: Any, get: Get, judge: Any, refused: Refused
) -> None:
    """Who got the answer can go on at once; the browser still gets its page."""
    with Receiver(clock=clock) as receiver:
        receiver.expect(judge)
        get(receiver, f"/callback?{AWAITED}")
        assert receiver.wait() == "good-code"
    assert get(receiver, "/done").startswith(b"HTTP/1.1 200 ")
    assert refused(receiver)


def test_leaving_the_block_without_an_answer_closes_the_port(refused: Refused) -> None:
    """An error or Ctrl-C on the way frees the port at once."""
    with pytest.raises(KeyboardInterrupt), Receiver() as receiver:
        raise KeyboardInterrupt
    assert refused(receiver)


def test_five_minutes_without_an_answer_are_a_timeout(refused: Refused) -> None:
    """Not a moment before, and the port is closed."""
    seconds = iter([0.0, 299.9, 300.0])
    receiver = Receiver(clock=lambda: next(seconds, 301.0))
    receiver.start()
    receiver.expect(lambda query: query)
    with pytest.raises(FlowTimeoutError, match="within 300 seconds"):
        receiver.wait()
    assert next(seconds, None) is None
    assert refused(receiver)


def test_a_timeout_names_the_last_refusal(receiver: Receiver, get: Get, clock: Any) -> None:
    """Who was refused for a reason learns it, without the values."""

    def judge(query: str) -> str:
        raise StateMismatchError("Not this sign-in's.", requirement="RFC 6749 §10.12")

    receiver.expect(judge)
    get(receiver, "/callback?code=canary")
    with pytest.raises(FlowTimeoutError, match="Not this sign-in's") as caught:
        receiver.wait(0)
    assert "canary" not in str(caught.value)


def test_another_issuers_answer_ends_the_wait_at_once(receiver: Receiver, get: Get) -> None:
    """It is judged after the state, so no stranger sent it; the person sees that it failed."""

    def judge(query: str) -> str:
        raise IssuerMismatchError("Another server answered.", requirement="RFC 9207 §2.4")

    receiver.expect(judge)
    assert get(receiver, "/callback?code=canary").startswith(b"HTTP/1.1 303 ")
    with pytest.raises(IssuerMismatchError) as caught:
        receiver.wait()
    assert "canary" not in str(caught.value)


def test_cancel_ends_a_wait_on_another_thread(receiver: Receiver, refused: Refused) -> None:
    """The waiting thread gets the error and the port is closed."""
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(receiver.wait)
        receiver.cancel()
        with pytest.raises(FlowCancelledError):
            waiting.result()
    assert refused(receiver)


def test_cancel_drops_connections(
    receiver: Receiver, connect: Callable[[Receiver], socket.socket], get: Get
) -> None:
    """A half-sent request does not outlive the sign-in."""
    connection = connect(receiver)
    connection.sendall(b"GET ")
    get(receiver, "/")
    receiver.cancel()
    assert connection.recv(1) == b""


def test_cancel_forgets_the_judge(receiver: Receiver, judge: Any) -> None:
    """State and verifier live no longer than the sign-in."""
    before = sys.getrefcount(judge)
    receiver.cancel()
    assert sys.getrefcount(judge) == before - 1
    receiver.submit(AWAITED)
    assert judge.asked == []


def test_cancel_after_the_answer_keeps_it(receiver: Receiver, get: Get, refused: Refused) -> None:
    """The answer that came first counts; the page is not waited for."""
    get(receiver, f"/callback?{AWAITED}")
    receiver.cancel()
    receiver.close()
    assert receiver.wait() == "good-code"
    assert refused(receiver)


def test_a_submitted_answer_is_judged_alike(receiver: Receiver, refused: Refused) -> None:
    """A pasted answer with a wrong state is refused, the right one settles."""
    with pytest.raises(StateMismatchError):
        receiver.submit("code=good-code&state=bad")
    receiver.submit(AWAITED)
    assert receiver.wait() == "good-code"
    assert refused(receiver)


def test_a_second_answer_is_not_judged(receiver: Receiver, get: Get, judge: Any) -> None:
    """A paste after the callback changes nothing, and the browser keeps its page."""
    get(receiver, f"/callback?{AWAITED}")
    receiver.submit("code=other&state=bad")
    assert judge.asked == [AWAITED]
    assert receiver.wait() == "good-code"
    assert get(receiver, "/done").startswith(b"HTTP/1.1 200 ")


def test_a_receiver_serves_a_paste_without_a_port(judge: Any) -> None:
    """Where the redirect cannot reach this machine, nothing is bound."""
    receiver = Receiver()
    receiver.expect(judge)
    receiver.submit(AWAITED)
    assert receiver.wait() == "good-code"
    receiver.close()


@pytest.mark.parametrize(
    ("host", "start"),
    [
        ("127.0.0.1", "http://127.0.0.1:"),
        ("::1", "http://[::1]:"),
        ("localhost", "http://localhost:"),
    ],
)
def test_the_advertised_host_is_the_bound_one(
    host: Any, start: str, get: Get, judge: Any, refused: Refused
) -> None:
    """The redirect URI names it, the Host field has to, and a browser reaches it."""
    with Receiver(host=host) as receiver:
        receiver.expect(judge)
        assert receiver.redirect_uri.startswith(start)
        assert receiver.redirect_uri.endswith("/callback")
        assert get(receiver, f"/callback?{AWAITED}").startswith(b"HTTP/1.1 303 ")
        assert receiver.wait() == "good-code"
        get(receiver, "/done")
    assert refused(receiver)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_localhost_serves_both_families(address: str, judge: Any) -> None:
    """Whichever address the browser picks for the name, it reaches the receiver."""
    with Receiver(host="localhost") as receiver:
        receiver.expect(judge)
        authority = receiver.redirect_uri.split("/")[2]
        port = int(authority.rpartition(":")[2])
        with socket.create_connection((address, port), timeout=20) as connection:
            head = f"GET /callback?{AWAITED} HTTP/1.1\r\nHost: {authority}\r\n\r\n"
            connection.sendall(head.encode())
            assert connection.recv(12) == b"HTTP/1.1 303"
        assert receiver.wait() == "good-code"
        receiver.cancel()


def test_a_fixed_port_that_is_taken_gives_way_to_the_next() -> None:
    """Ports are tried in order."""
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        socket.create_server(("127.0.0.1", 0)) as free,
    ):
        ports = (taken.getsockname()[1], free.getsockname()[1])
        free.close()
        with Receiver(ports=ports) as receiver:
            assert receiver.redirect_uri == f"http://127.0.0.1:{ports[1]}/callback"


def test_localhost_leaves_a_port_that_is_taken_in_one_family() -> None:
    """A server on [::1] would receive the code of a sign-in at localhost."""
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as taken:
        port = taken.getsockname()[1]
        with Receiver(host="localhost", ports=(port, 0)) as receiver:
            assert receiver.redirect_uri != f"http://localhost:{port}/callback"


def test_no_free_port_names_the_ports_and_the_next_step() -> None:
    """The person learns what to free."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        receiver = Receiver(ports=(port, port))
        with pytest.raises(ReceiverBindError, match=rf"{port} .*, {port} ") as caught:
            receiver.start()
    assert caught.value.next_step
    with pytest.raises(RuntimeError):
        _ = receiver.redirect_uri


def test_a_fixed_port_can_be_used_for_the_next_sign_in(get: Get, judge: Any) -> None:
    """Closed connections of the last one do not keep it."""
    port = 0
    for _ in range(3):
        with Receiver(ports=(port,)) as receiver:
            receiver.expect(judge)
            port = int(receiver.redirect_uri.split(":")[2].split("/")[0])
            get(receiver, f"/callback?{AWAITED}")
            get(receiver, "/done")
            receiver.cancel()


def test_a_receiver_starts_once(receiver: Receiver) -> None:
    """A second start would advertise another port."""
    with pytest.raises(RuntimeError, match="once"):
        receiver.start()


def test_the_process_ends_while_the_page_is_still_waiting() -> None:
    """The result page never holds an exit up, nor leaves a warning behind."""
    program = (
        "import socket\n"
        "from harbor_oauth.receiver import LoopbackReceiver\n"
        "with LoopbackReceiver(clock=lambda: 0.0) as receiver:\n"
        "    receiver.expect(lambda query: query)\n"
        "    authority = receiver.redirect_uri.split('/')[2]\n"
        "    host, port = authority.split(':')\n"
        "    with socket.create_connection((host, int(port))) as browser:\n"
        "        browser.sendall(f'GET /callback?a HTTP/1.1\\r\\nHost: {authority}\\r\\n\\r\\n'"
        ".encode())\n"
        "        print(receiver.wait(), browser.recv(12).decode())\n"
    )
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert (ended.stdout, ended.stderr) == ("a HTTP/1.1 303\n", "")


def test_the_next_sign_in_takes_the_port_of_the_last(get: Get) -> None:
    """A result page that nobody fetched yet does not cost a new registration."""
    first = Receiver()
    first.start()
    first.expect(lambda query: query)
    get(first, "/callback?code=good-code")
    first.close()
    port = urlsplit(first.redirect_uri).port
    assert port
    with Receiver(ports=(port,)) as second:
        assert second.redirect_uri == first.redirect_uri


def test_a_sign_in_that_is_waited_for_keeps_its_port() -> None:
    """Another one on the same port is told so."""
    with Receiver() as first:
        port = urlsplit(first.redirect_uri).port
        assert port
        with pytest.raises(ReceiverBindError):
            Receiver(ports=(port,)).start()
