"""Sign-ins that are confirmed at another device."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harbor_oauth.client import Harbor
from harbor_oauth.errors import (
    AuthorizationResponseError,
    ClientRequiredError,
    ConfigurationError,
    FlowCancelledError,
    FlowTimeoutError,
    HarborError,
    InsecureEndpointError,
    IssuerMismatchError,
    MalformedResponseError,
    TokenResponseError,
    TransportError,
    VaultUnavailableError,
)
from harbor_oauth.login import Asked, DeviceSession
from harbor_oauth.protocol.client_auth import ClientCredentials
from harbor_oauth.protocol.device import DEVICE_CODE
from harbor_oauth.protocol.http import HttpRequest, HttpResponse
from harbor_oauth.testing import AuthorizationServer, McpServer, answers
from harbor_oauth.transport import RequestsTransport
from harbor_oauth.vault import GrantKey

if TYPE_CHECKING:
    from tests.conftest import FakeClock

KEY = GrantKey("practice", "mcp", "default")
PENDING = answers.json({"error": "authorization_pending"}, 400)
SLOW_DOWN = answers.json({"error": "slow_down"}, 400)

Device = Callable[..., DeviceSession]


class Polls:
    """A transport that notes when the token endpoint was asked."""

    def __init__(self, clock: FakeClock) -> None:
        self.real = RequestsTransport(environ={})
        self.clock = clock
        self.at: list[float] = []
        self.failing: list[float | None] = []
        self.then: Callable[[], None] | None = None

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.url.endswith("/token"):
            self.at.append(self.clock())
            if self.failing:
                raise TransportError("no connection", retry_after=self.failing.pop(0))
        response = self.real(request)
        if request.url.endswith("/token") and self.then:
            self.then()
        return response


@pytest.fixture
def issuer(issuer: AuthorizationServer) -> AuthorizationServer:
    """One that offers the grant, and knows a client it registers."""
    issuer.device_grant = True
    issuer.add_client(client_id="device-client")
    issuer.script("register", answers.json({"client_id": "device-client"}, 201))
    return issuer


@pytest.fixture
def polls(clock: FakeClock) -> Polls:
    return Polls(clock)


@pytest.fixture
def harbor(make_harbor: Callable[..., Harbor], polls: Polls) -> Harbor:
    """One without a browser."""

    def browser(url: str) -> bool:
        pytest.fail("the device grant opened a browser")

    return make_harbor(transport=polls, browser=browser)


@pytest.fixture
def device(harbor: Harbor, clock: FakeClock) -> Device:
    """Make a sign-in that sleeps on the fake clock."""

    def make(of: Harbor = harbor, asked: Asked | None = None, **options: Any) -> DeviceSession:
        provider = of.provider("practice")
        return DeviceSession(
            of._login_parts(),
            provider,
            provider.resource(),
            KEY,
            asked,
            **{"sleep": clock.advance, **options},
        )

    return make


def count(issuer: AuthorizationServer, endpoint: str) -> int:
    return sum(request.endpoint == endpoint for request in issuer.requests)


def delays(polls: Polls, begun: float) -> list[float]:
    times = [begun, *polls.at]
    return [after - before for before, after in itertools.pairwise(times)]


# --- the whole way ------------------------------------------------------------


def test_a_confirmed_code_becomes_a_grant(
    harbor: Harbor, issuer: AuthorizationServer, device: Device, clock: FakeClock
) -> None:
    """It is stored like any other: usable, refreshable, resolvable, told in its history."""
    session = device().begin()
    assert session.verification_uri == f"{issuer.issuer}/device"
    assert session.verification_uri_complete is not None
    assert session.user_code in session.verification_uri_complete
    assert session.expires_at == clock() + issuer.device_code_lifetime
    issuer.approve_device(session.user_code)
    record = session.wait()
    assert (record.client_id, record.redirect_uri) == ("device-client", "")
    assert (record.issuer, record.token_endpoint) == (issuer.issuer, f"{issuer.issuer}/token")
    assert record.granted_scopes == record.requested_scopes == ("read", "write")
    token = harbor.token("practice")
    assert issuer.valid(token.reveal()) is not None
    issuer.expire_access_tokens()
    assert harbor.rejected("practice", token)
    assert issuer.valid(harbor.token("practice").reveal()) is not None
    assert harbor.vault.history(KEY)[0].event == "login"


def test_the_requests_of_a_sign_in(
    issuer: AuthorizationServer, device: Device, polls: Polls
) -> None:
    """The resource goes with both, the code with the poll, and the browser is never asked."""
    session = device(asked=Asked(scopes=("read",))).begin()
    issuer.approve_device(session.user_code)
    session.wait()
    (codes,) = [r.form for r in issuer.requests if r.endpoint == "device_authorization"]
    (poll,) = [r.form for r in issuer.requests if r.endpoint == "token"]
    assert (codes["client_id"], codes["scope"]) == ("device-client", "read")
    assert poll["grant_type"] == DEVICE_CODE
    assert codes["resource"] == poll["resource"] != ""
    assert count(issuer, "authorize") == 0


def test_no_challenge_methods_are_needed(issuer: AuthorizationServer, device: Device) -> None:
    """No code travels through a browser, so PKCE has nothing to protect."""
    issuer.metadata["code_challenge_methods_supported"] = None
    issuer.metadata["authorization_endpoint"] = None
    session = device().begin()
    issuer.approve_device(session.user_code)
    assert session.wait().state == "active"


def test_a_bound_token_is_polled_for_with_its_proof(
    issuer: AuthorizationServer, mcp: McpServer, device: Device
) -> None:
    """RFC 9449 §5: the key of the proof becomes the grant's, a nonce comes with the first poll."""
    issuer.dpop, issuer.dpop_nonce = "required", "nonce-1"
    mcp.require_dpop = True
    session = device().begin()
    issuer.approve_device(session.user_code)
    record = session.wait()
    assert (record.token_type, record.dpop_key is not None) == ("dpop", True)
    info = issuer.valid(record.access_token.reveal())
    assert info is not None
    assert info.jkt is not None


# --- who asks -------------------------------------------------------------------


def test_a_registration_is_for_this_grant(
    harbor: Harbor, issuer: AuthorizationServer, device: Device
) -> None:
    """RFC 7591 §2.1: no redirect URI, no response type; kept, and used again."""
    for _ in range(2):
        session = device().begin()
        issuer.approve_device(session.user_code)
        session.wait()
    (registration,) = [r.json for r in issuer.requests if r.endpoint == "register"]
    assert registration == {
        "redirect_uris": [],
        "client_name": "Harbor",
        "token_endpoint_auth_method": "none",
        "grant_types": [DEVICE_CODE, "refresh_token"],
        "response_types": [],
        "application_type": "native",
    }


def test_the_browser_s_registration_is_another(
    make_harbor: Callable[..., Harbor], issuer: AuthorizationServer, device: Device
) -> None:
    """Neither sign-in uses or replaces the other's."""
    session = device().begin()
    issuer.approve_device(session.user_code)
    session.wait()
    harbor = make_harbor()
    for _ in range(2):
        harbor.login("practice")
    assert count(issuer, "register") == 2
    assert harbor.vault.registration(issuer.issuer, "practice", "mcp") is not None
    session = device().begin()
    issuer.approve_device(session.user_code)
    assert session.wait().client_id == "device-client"
    assert count(issuer, "register") == 2


@pytest.mark.parametrize("source", ["argument", "own papers"])
def test_a_known_client_comes_first(
    make_harbor: Callable[..., Harbor], issuer: AuthorizationServer, device: Device, source: str
) -> None:
    """As with a browser: what is given is not registered over."""
    issuer.add_client(client_id="mine")
    given = {"practice": ClientCredentials("mine")} if source == "argument" else {}
    harbor = make_harbor(clients=given)
    if source == "own papers":
        harbor.vault.set("oauth:practice:client_id", "mine")
    session = device(harbor).begin()
    issuer.approve_device(session.user_code)
    assert session.wait().client_id == "mine"
    assert count(issuer, "register") == 0


@pytest.mark.parametrize("code", ["invalid_client", "unauthorized_client"])
def test_a_forgotten_registration_is_made_once_more(
    issuer: AuthorizationServer, device: Device, code: str
) -> None:
    """Before a person sees a code; a second refusal is told."""
    session = device().begin()
    issuer.approve_device(session.user_code)
    session.wait()
    issuer.add_client(client_id="anew")
    issuer.script("register", answers.json({"client_id": "anew"}, 201))
    issuer.script("device_authorization", answers.json({"error": code}, 400))
    session = device().begin()
    issuer.approve_device(session.user_code)
    assert session.wait().client_id == "anew"
    assert count(issuer, "register") == 2


def test_a_client_just_registered_is_not_registered_again(
    issuer: AuthorizationServer, device: Device
) -> None:
    """A server that refuses its own client is told of, once."""
    issuer.script("device_authorization", answers.json({"error": "unauthorized_client"}, 400))
    with pytest.raises(AuthorizationResponseError):
        device().begin()
    assert count(issuer, "register") == 1


# --- a server that offers none -----------------------------------------------


def test_a_server_without_the_grant(
    harbor: Harbor, issuer: AuthorizationServer, device: Device
) -> None:
    """The error says what to do; nothing is registered for it."""
    issuer.metadata["device_authorization_endpoint"] = None
    with pytest.raises(ConfigurationError, match="browser") as caught:
        device().begin()
    assert not isinstance(caught.value, ClientRequiredError)
    assert count(issuer, "register") == 0


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (answers.json({"error": "invalid_scope"}, 400), AuthorizationResponseError),
        (answers.status(503), TransportError),
        (answers.html(), MalformedResponseError),
        (answers.redirect(307, "http://127.0.0.1:9/"), InsecureEndpointError),
    ],
)
def test_no_codes(
    harbor: Harbor,
    issuer: AuthorizationServer,
    device: Device,
    answer: object,
    error: type[HarborError],
) -> None:
    """Whatever the endpoint answers instead, nothing is stored."""
    issuer.script("device_authorization", answer)  # type: ignore[arg-type]  # parametrised
    with pytest.raises(error):
        device().begin()
    assert harbor.vault.names() == ()


@pytest.mark.parametrize(
    "uri", ["javascript:alert(1)", "file:///etc/passwd", "http://evil.example"]
)
def test_a_hostile_verification_uri_is_never_shown(
    issuer: AuthorizationServer, device: Device, uri: str
) -> None:
    """RFC 8628 §3.3.1: a person goes where the session says."""
    issuer.amend("device_authorization", verification_uri=uri)
    with pytest.raises(InsecureEndpointError):
        device().begin()


# --- polling --------------------------------------------------------------------


def test_never_faster_than_told(
    issuer: AuthorizationServer, device: Device, polls: Polls, clock: FakeClock
) -> None:
    """The interval before the first poll too; slow_down adds five seconds for good."""
    session = device().begin()
    begun = clock()
    issuer.script("token", PENDING, SLOW_DOWN, PENDING, SLOW_DOWN)
    issuer.approve_device(session.user_code)
    session.wait()
    assert delays(polls, begun) == [5, 5, 10, 10, 15]


def test_the_double_never_says_slow_down(
    issuer: AuthorizationServer, device: Device, polls: Polls
) -> None:
    """It does to whoever polls faster than it said, by its own clock."""
    issuer.device_interval = 7
    session = device().begin()
    with pytest.raises(FlowTimeoutError):
        session.wait(50)
    assert len(polls.at) == 7
    assert all(after - before == 7 for before, after in itertools.pairwise(polls.at))
    issuer.approve_device(session.user_code)
    assert session.wait().state == "active"


def test_a_network_that_fails_is_asked_ever_more_slowly(
    issuer: AuthorizationServer, device: Device, polls: Polls, clock: FakeClock
) -> None:
    """RFC 8628 §3.5; Retry-After counts when it is longer; an answer restores the pace."""
    session = device().begin()
    begun = clock()
    polls.failing = [None, None, 100.0]
    issuer.script("token", PENDING)
    issuer.approve_device(session.user_code)
    session.wait()
    assert delays(polls, begun) == [5, 10, 20, 100, 5]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_that_is_down_ends_nothing(
    issuer: AuthorizationServer, device: Device, status: int
) -> None:
    """The person may be typing just then."""
    session = device().begin()
    issuer.script("token", answers.status(status))
    issuer.approve_device(session.user_code)
    assert session.wait().state == "active"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (answers.json({"error": "access_denied"}, 400), AuthorizationResponseError),
        (answers.json({"error": "expired_token"}, 400), FlowTimeoutError),
        (answers.json({"error": "invalid_grant"}, 400), TokenResponseError),
        (answers.html(), MalformedResponseError),
        (answers.redirect(302, "http://127.0.0.1:9/"), InsecureEndpointError),
    ],
)
def test_a_final_answer_ends_the_polling(
    harbor: Harbor,
    issuer: AuthorizationServer,
    device: Device,
    polls: Polls,
    answer: object,
    error: type[HarborError],
) -> None:
    """RFC 8628 §3.5: no further poll, also when asked to wait again; nothing is stored."""
    session = device().begin()
    issuer.script("token", answer)  # type: ignore[arg-type]  # parametrised
    with pytest.raises(error):
        session.wait()
    with pytest.raises(ConfigurationError, match="over"):
        session.wait()
    assert len(polls.at) == 1
    assert harbor.vault.names() == ()


def test_a_person_who_says_no(issuer: AuthorizationServer, device: Device) -> None:
    """As the double answers it."""
    session = device().begin()
    issuer.deny_device(session.user_code)
    with pytest.raises(AuthorizationResponseError) as caught:
        session.wait()
    assert caught.value.error == "access_denied"


def test_codes_end(
    issuer: AuthorizationServer, device: Device, polls: Polls, clock: FakeClock
) -> None:
    """Nothing is asked after their end, and the wait is over then, not later."""
    issuer.device_code_lifetime = 12
    session = device().begin()
    begun = clock()
    with pytest.raises(FlowTimeoutError, match="before it ended"):
        session.wait(1000)
    assert clock() - begun == 12
    assert delays(polls, begun) == [5, 5]


def test_a_wait_that_was_too_short_may_be_repeated(
    issuer: AuthorizationServer, device: Device, polls: Polls, clock: FakeClock
) -> None:
    """The codes are still good, and the pace is kept from one wait to the next."""
    session = device().begin()
    begun = clock()
    for _ in range(4):
        with pytest.raises(FlowTimeoutError, match="within 3 seconds"):
            session.wait(3)
    with pytest.raises(FlowTimeoutError):
        session.wait(0)
    assert delays(polls, begun) == [5, 5]
    issuer.approve_device(session.user_code)
    assert session.wait().state == "active"


def test_no_clock_that_jumps_shortens_the_wait(
    make_harbor: Callable[..., Harbor], issuer: AuthorizationServer, device: Device
) -> None:
    """The pace and the end are counted on the monotonic clock."""
    steady = [0.0]

    def sleep(seconds: float) -> None:
        steady[0] += seconds

    jumps = iter([1e9] + [2e9] * 1000)
    harbor = make_harbor(clock=lambda: next(jumps), monotonic=lambda: steady[0])
    parts = harbor._login_parts()
    provider = harbor.provider("practice")
    session = DeviceSession(parts, provider, provider.resource(), KEY, sleep=sleep)
    issuer.script("token", PENDING)
    session.begin()
    issuer.approve_device(session.user_code)
    session.wait()
    assert steady[0] == 10


# --- cancelling -----------------------------------------------------------------


def test_cancel_ends_a_wait_within_a_second(
    harbor: Harbor, issuer: AuthorizationServer, device: Device, polls: Polls, clock: FakeClock
) -> None:
    """From another thread, in the middle of a long pause; nothing more is asked."""
    issuer.device_interval = 300
    asleep, cancelled = threading.Event(), threading.Event()

    def sleep(seconds: float) -> None:
        asleep.set()
        cancelled.wait(20)
        clock.advance(seconds)

    session = device(sleep=sleep).begin()
    begun = clock()

    def cancel() -> None:
        asleep.wait(20)
        session.cancel()
        cancelled.set()

    thread = threading.Thread(target=cancel)
    thread.start()
    with pytest.raises(FlowCancelledError):
        session.wait()
    thread.join()
    assert clock() - begun <= 1
    assert polls.at == []
    assert harbor.vault.names() == ()


def test_no_sleep_is_longer_than_a_second(
    issuer: AuthorizationServer, device: Device, clock: FakeClock
) -> None:
    """Else a cancel could not be heard."""
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock.advance(seconds)

    session = device(sleep=sleep).begin()
    issuer.approve_device(session.user_code)
    session.wait()
    assert sum(slept) == 5
    assert max(slept) <= 1


def test_a_cancel_while_the_tokens_come_stores_nothing(
    harbor: Harbor, issuer: AuthorizationServer, device: Device, polls: Polls
) -> None:
    """Whoever cancelled was told that nothing is stored."""
    session = device().begin()
    issuer.approve_device(session.user_code)
    polls.then = session.cancel
    with pytest.raises(FlowCancelledError):
        session.wait()
    assert harbor.vault.names() == ()


def test_leaving_the_block_cancels(issuer: AuthorizationServer, device: Device) -> None:
    """Like a window that is closed."""
    with device().begin() as session:
        pass
    with pytest.raises(FlowCancelledError):
        session.wait()


def test_a_session_begins_first(device: Device) -> None:
    """There is no code before that, and nothing to cancel."""
    session = device()
    session.cancel()
    with pytest.raises(RuntimeError, match="begin"):
        _ = session.user_code
    with pytest.raises(RuntimeError, match="begin"):
        session.wait()


# --- what was there before -------------------------------------------------------


def test_a_denied_sign_in_leaves_the_old_grant(
    harbor: Harbor, issuer: AuthorizationServer, device: Device
) -> None:
    """As with a browser: only the last step changes the vault."""
    session = device().begin()
    issuer.approve_device(session.user_code)
    session.wait()
    before = {name: harbor.vault.read(name) for name in harbor.vault.names()}
    session = device().begin()
    issuer.deny_device(session.user_code)
    with pytest.raises(AuthorizationResponseError):
        session.wait()
    assert {name: harbor.vault.read(name) for name in harbor.vault.names()} == before


def test_a_code_is_shown_to_nobody_else(device: Device, issuer: AuthorizationServer) -> None:
    """The device code is in no text of the session."""
    session = device().begin()
    code = session._require_begun().codes.device_code.reveal()
    assert code
    assert code not in f"{session!r} {session._require_begun()!r}"


def test_a_damaged_grant_can_be_replaced(
    harbor: Harbor, issuer: AuthorizationServer, device: Device
) -> None:
    """Signing in is what mends it."""
    name = f"grant:{KEY}"
    harbor.vault.write(name, b"{", generation=0)
    session = device().begin()
    issuer.approve_device(session.user_code)
    session.wait()
    assert issuer.valid(harbor.token("practice").reveal()) is not None


def test_a_vault_that_cannot_keep_it_is_found_out_before_a_person_is_asked(
    make_harbor: Callable[..., Harbor],
    issuer: AuthorizationServer,
    device: Device,
    tmp_path: Path,
) -> None:
    """Nobody types a code for a grant that would be lost."""
    (tmp_path / "home").mkdir(mode=0o700)
    (tmp_path / "home" / "vault.db").mkdir()
    with pytest.raises(VaultUnavailableError):
        device(make_harbor()).begin()
    assert issuer.requests == []


def test_codes_are_not_redeemed_at_another_host_than_the_last(
    harbor: Harbor, issuer: AuthorizationServer, device: Device
) -> None:
    """RFC 9700 §4.4: what holds for a browser's code holds for a device's."""
    session = device().begin()
    issuer.approve_device(session.user_code)
    session.wait()
    harbor._metadata.forget(issuer.issuer)
    issuer.metadata["token_endpoint"] = "https://elsewhere.example/token"
    with pytest.raises(IssuerMismatchError, match="elsewhere"):
        device().begin()


def test_metadata_that_leads_nowhere_is_read_again(
    issuer: AuthorizationServer, device: Device
) -> None:
    """An endpoint that answers with a page may have moved since."""
    issuer.script("device_authorization", answers.html())
    with pytest.raises(MalformedResponseError):
        device().begin()
    read = count(issuer, "metadata")
    issuer.script("register", answers.json({"client_id": "device-client"}, 201))
    device().begin()
    assert count(issuer, "metadata") == read + 1
    device().begin()
    assert count(issuer, "metadata") == read + 1
