"""A sign-in that does not come to its end changes nothing."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import pytest
from werkzeug import Request, Response

from harbor_oauth.client import Harbor
from harbor_oauth.errors import (
    FlowCancelledError,
    HarborError,
    ProtocolError,
    StateMismatchError,
    TokenResponseError,
    TransportError,
    VaultUnavailableError,
)
from harbor_oauth.protocol.http import HttpRequest, HttpResponse
from harbor_oauth.testing import AuthorizationServer, McpServer, answers
from harbor_oauth.transport import RequestsTransport


def contents(harbor: Harbor) -> dict[str, tuple[bytes, int] | None]:
    """Return every record of the vault, unsealed, with its generation."""
    return {name: harbor.vault.read(name) for name in harbor.vault.names()}


def open_port(url: str) -> int:
    return urlsplit(parse_qs(urlsplit(url).query)["redirect_uri"][0]).port or 0


def assert_closed(port: int) -> None:
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=20)


class Interrupting:
    """A transport that raises at the n-th request of a sign-in."""

    def __init__(self, at: int, error: BaseException) -> None:
        self.real = RequestsTransport(environ={})
        self.at = at
        self.error = error
        self.sent = 0

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if self.sent == self.at:
            raise self.error
        self.sent += 1
        return self.real(request)


@pytest.mark.parametrize(
    ("error", "forgotten"),
    [(KeyboardInterrupt(), False), (KeyboardInterrupt(), True), (TransportError("gone"), False)],
)
@pytest.mark.parametrize("at", range(6))
def test_an_interruption_at_any_request_leaves_the_old_grant(
    make_harbor: Callable[..., Harbor],
    issuer: AuthorizationServer,
    at: int,
    error: BaseException,
    forgotten: bool,
) -> None:
    """Discovery, registration, the look before the browser opens, the exchange: any may be last."""
    first = make_harbor()
    first.login("practice")
    before, before_token = contents(first), first.token("practice").reveal()
    if forgotten:
        issuer.forget_clients()
    again = make_harbor(transport=Interrupting(at, error))
    try:
        again.login("practice")
    except (KeyboardInterrupt, TransportError):
        assert contents(first) == before
        token = first.token("practice").reveal()
        assert issuer.valid(token) is not None
    else:
        assert again.token("practice").reveal() != before_token


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interruption_while_the_browser_opens_closes_the_port(
    make_harbor: Callable[..., Harbor], error: type[BaseException]
) -> None:
    """Ctrl-C at the browser frees the port at once and stores nothing."""
    port: list[int] = []

    def browser(url: str) -> bool:
        port.append(open_port(url))
        raise error

    harbor = make_harbor(browser=browser)
    with pytest.raises(error):
        harbor.login("practice")
    assert_closed(port[0])
    assert harbor.vault.names() == ()


def test_cancel_from_another_thread_ends_the_wait(make_harbor: Callable[..., Harbor]) -> None:
    """A window's Cancel button ends the sign-in; the port is closed, nothing is stored."""
    harbor = make_harbor()
    session = harbor.begin_login("practice")
    port = open_port(session.url)
    thread = threading.Thread(target=session.cancel)
    thread.start()
    with pytest.raises(FlowCancelledError):
        session.wait()
    thread.join()
    assert_closed(port)
    assert harbor.vault.names() == ()


def test_a_cancel_while_the_token_comes_stores_nothing(
    make_harbor: Callable[..., Harbor], issuer: AuthorizationServer
) -> None:
    """Whoever cancelled was told that nothing is stored."""
    harbor = make_harbor()
    session = harbor.begin_login("practice")

    def cancel(request: Request) -> Response | None:
        session.cancel()
        return answers.json({"access_token": "cnry-late", "token_type": "Bearer"})(request)

    issuer.script("token", cancel)
    threading.Thread(target=issuer.follow, args=(session.url,)).start()
    with pytest.raises(FlowCancelledError):
        session.wait()
    assert harbor.vault.names() == ()


def test_what_cannot_be_read_as_a_url_is_no_answer(make_harbor: Callable[..., Harbor]) -> None:
    """A slip of the hand is told as any other, and the sign-in goes on."""
    with make_harbor().begin_login("practice") as session, pytest.raises(ProtocolError):
        session.submit("http://[abc")


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (answers.json({"error": "invalid_grant"}, 400), TokenResponseError),
        (answers.status(503), TransportError),
        (answers.html(), HarborError),
        (answers.redirect(302, "http://127.0.0.1:9/"), HarborError),
        (answers.oversized(300_000), HarborError),
    ],
)
def test_a_refused_code_leaves_the_old_grant(
    harbor: Harbor, issuer: AuthorizationServer, answer: object, error: type[HarborError]
) -> None:
    """Whatever the token endpoint answers, the grant of before still works."""
    harbor.login("practice")
    before = contents(harbor)
    issuer.script("token", answer)  # type: ignore[arg-type]  # parametrised
    with pytest.raises(error):
        harbor.login("practice")
    assert contents(harbor) == before
    assert issuer.valid(harbor.token("practice").reveal()) is not None


def test_an_unusable_vault_is_found_out_before_the_browser_opens(
    make_harbor: Callable[..., Harbor], issuer: AuthorizationServer, tmp_path: object
) -> None:
    """Nobody consents to something that could not be kept."""
    opened: list[str] = []
    home = tmp_path / "home"  # type: ignore[operator]  # a Path
    home.mkdir(mode=0o700)
    (home / "vault.db").mkdir()

    def browser(url: str) -> bool:
        opened.append(url)
        return True

    harbor = make_harbor(browser=browser)
    with pytest.raises(VaultUnavailableError):
        harbor.login("practice")
    assert opened == []
    assert issuer.requests == []


def test_a_forgotten_registration_is_made_once_more(
    harbor: Harbor, issuer: AuthorizationServer
) -> None:
    """The server no longer knows the client: one new registration, no dead end."""
    harbor.login("practice")
    issuer.forget_clients()
    harbor.login("practice")
    assert issuer.count("register") == 2
    assert issuer.valid(harbor.token("practice").reveal()) is not None


def test_ten_logins_register_once(harbor: Harbor, issuer: AuthorizationServer) -> None:
    """A working registration is kept, and so is its port."""
    for _ in range(10):
        harbor.login("practice")
    assert issuer.count("register") == 1
    ports = {
        urlsplit(request.query["redirect_uri"]).port
        for request in issuer.requests
        if request.endpoint == "authorize"
    }
    assert len(ports) == 1


def test_a_taken_port_costs_one_new_registration(
    harbor: Harbor, issuer: AuthorizationServer
) -> None:
    """The registered port belongs to another program now."""
    harbor.login("practice")
    record = harbor.vault.grant(harbor.vault.grants()[0])
    assert record is not None
    port = urlsplit(record[0].redirect_uri).port or 0
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        harbor.login("practice")
    assert issuer.count("register") == 2


def test_a_pasted_answer_signs_in(make_harbor: Callable[..., Harbor]) -> None:
    """The URL the browser ended at, pasted, is judged as a callback would be."""
    from tests.login.test_hostile_callbacks import issuer_redirect

    harbor = make_harbor()
    with harbor.begin_login("practice") as session:
        with pytest.raises(StateMismatchError):
            session.submit(f"{session.redirect_uri}?code=x&state=wrong")
        session.submit(issuer_redirect(session.url))
        assert session.wait().state == "active"


def test_two_sign_ins_at_once_keep_apart(
    make_harbor: Callable[..., Harbor], mcp: McpServer, issuer: AuthorizationServer
) -> None:
    """Answered in reverse order, each is redeemed with its own verifier, for its own account."""
    harbor = make_harbor()
    with harbor.begin_login("practice@one") as one, harbor.begin_login("practice@two") as two:
        assert one.redirect_uri != two.redirect_uri
        issuer.browser(two.url)
        issuer.browser(one.url)
        assert two.wait().account_label == "two"
        assert one.wait().account_label == "one"
    assert sorted(status.grant for status in harbor.status()) == ["practice@one", "practice@two"]


def test_a_wait_that_begins_after_the_cancel_says_so(harbor: Harbor) -> None:
    """The other thread was quicker."""
    session = harbor.begin_login("practice")
    session.cancel()
    with pytest.raises(FlowCancelledError):
        session.wait()
