"""The device authorization grant: messages, and how slowly to poll."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs

import attrs
import pytest

from harbor_oauth.errors import (
    AuthorizationResponseError,
    FlowTimeoutError,
    InsecureEndpointError,
    MalformedResponseError,
    TokenResponseError,
    TransportError,
)
from harbor_oauth.protocol.client_auth import ClientCredentials
from harbor_oauth.protocol.device import (
    DeviceAuthorization,
    Pace,
    Waiting,
    device_authorization_request,
    device_token_request,
    parse_device_authorization,
    waiting,
)
from harbor_oauth.protocol.http import HttpResponse
from harbor_oauth.secret import Secret

ENDPOINT = "https://server.example.com/device_authorization"
# RFC 8628 §3.2's example.
BODY: dict[str, Any] = {
    "device_code": "GmRhmhcxhwAzkoEqiMEg_DnyEysNkuNhszIySk9eS",
    "user_code": "WDJB-MJHT",
    "verification_uri": "https://example.com/device",
    "verification_uri_complete": "https://example.com/device?user_code=WDJB-MJHT",
    "expires_in": 1800,
    "interval": 5,
}


def answer(body: object, status: int = 200, **headers: str) -> HttpResponse:
    """Return an answer; bytes as they are, else as JSON."""
    octets = body if isinstance(body, bytes) else json.dumps(body).encode()
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpResponse(status, fields, octets, ENDPOINT)


def parse(**changes: object) -> DeviceAuthorization:
    """Judge the example with some members changed; None leaves one out."""
    body = {name: value for name, value in {**BODY, **changes}.items() if value is not None}
    return parse_device_authorization(answer(body), now=1000.0)


# --- requests -----------------------------------------------------------------


def test_authorization_request() -> None:
    """RFC 8628 §3.1, with a resource and a provider's own parameter."""
    request = device_authorization_request(
        ENDPOINT,
        ClientCredentials("1406020730"),
        scope="example_scope",
        resource="https://mcp.example.com/mcp",
        parameters={"audience": "x"},
    )
    assert (request.method, request.url) == ("POST", ENDPOINT)
    assert parse_qs((request.body or b"").decode()) == {
        "client_id": ["1406020730"],
        "scope": ["example_scope"],
        "resource": ["https://mcp.example.com/mcp"],
        "audience": ["x"],
    }


def test_least_authorization_request() -> None:
    """RFC 8628 §3.1's example without a scope: the server chooses."""
    request = device_authorization_request(ENDPOINT, ClientCredentials("1406020730"), scope=None)
    assert request.body == b"client_id=1406020730"


def test_token_request() -> None:
    """RFC 8628 §3.4's example."""
    request = device_token_request(
        "https://server.example.com/token",
        ClientCredentials("1406020730"),
        device_code=Secret(BODY["device_code"]),
    )
    assert request.body == (
        b"grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code"
        b"&device_code=GmRhmhcxhwAzkoEqiMEg_DnyEysNkuNhszIySk9eS"
        b"&client_id=1406020730"
    )
    assert BODY["device_code"] not in repr(request)


@pytest.mark.parametrize("name", ["grant_type", "device_code"])
def test_no_parameter_replaces_the_protocol_s(name: str) -> None:
    """A provider adds to a poll; it does not make it another grant."""
    with pytest.raises(ValueError, match=name):
        device_token_request(
            "https://server.example.com/token",
            ClientCredentials("id"),
            device_code=Secret("c"),
            parameters={name: "x"},
        )


@pytest.mark.parametrize("build", [device_authorization_request, device_token_request])
def test_insecure_endpoint(build: Any) -> None:
    """No code is asked for or redeemed over http."""
    more = {"scope": None} if build is device_authorization_request else {"device_code": Secret("")}
    with pytest.raises(InsecureEndpointError):
        build("http://server.example.com/x", ClientCredentials("id"), **more)


# --- the codes ----------------------------------------------------------------


def test_answer_of_the_rfc() -> None:
    """RFC 8628 §3.2's example; the device code is a secret."""
    codes = parse()
    assert codes == DeviceAuthorization(
        device_code=Secret(BODY["device_code"]),
        user_code="WDJB-MJHT",
        verification_uri="https://example.com/device",
        verification_uri_complete="https://example.com/device?user_code=WDJB-MJHT",
        expires_at=2800.0,
        expires_in=1800,
        interval=5,
    )
    assert BODY["device_code"] not in repr(codes)


def test_the_name_google_uses() -> None:
    """Its endpoint says `verification_url`, from before the RFC."""
    codes = parse(verification_uri=None, verification_url="https://www.google.com/device")
    assert codes.verification_uri == "https://www.google.com/device"


@pytest.mark.parametrize("name", ["verification_uri", "verification_uri_complete"])
@pytest.mark.parametrize(
    "uri",
    [
        "http://example.com/device",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "data:text/html,x",
        "https://example.com/\x1b[2Jdevice",
        "https://example.com/\u202edevice",
        "https://example.com@evil.example/device",
        "https:\\\\evil.example",
        "//example.com/device",
        "device",
        "-https://example.com",
    ],
)
def test_a_verification_uri_is_https(name: str, uri: str) -> None:
    """What a person is sent to, and what a terminal shows, is a plain https URL."""
    with pytest.raises(InsecureEndpointError, match="verification URI"):
        parse(**{name: uri})


def test_a_verification_uri_on_loopback() -> None:
    """A server on this machine has no certificate."""
    assert parse(verification_uri="http://127.0.0.1:8080/d").verification_uri.startswith("http:")


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("WDJB-MJHT", "WDJB-MJHT"),
        ("WDJB MJHT", "WDJB MJHT"),
        ("\x1b[31mWDJB\x1b[0m-MJHT", "WDJB-MJHT"),
        ("\x1b]0;title\x07WDJB-MJHT\r\n", "WDJB-MJHT"),
        ("WDJB\u202e-\u200bMJHT\x00", "WDJB-MJHT"),
    ],
)
def test_a_user_code_is_fit_to_show(sent: str, shown: str) -> None:
    """It is printed on a terminal: no sequence, no invisible character (RFC 8628 §6.1)."""
    assert parse(user_code=sent).user_code == shown


@pytest.mark.parametrize(
    ("interval", "expected"),
    [
        (None, 5),  # RFC 8628 §3.2
        (7, 7),
        (2.5, 2.5),
        ("10", 10),
        (0, 1),
        (-3, 1),
        (0.01, 1),
        ("often", 5),
        ([], 5),
        (True, 5),
        (1799, 1799),
    ],
)
def test_interval(interval: object, expected: float) -> None:
    """As told, five seconds where nothing is told, and never without a pause."""
    assert parse(interval=interval).interval == expected


@pytest.mark.parametrize(
    ("expires_in", "expected"),
    [("60", 1060), (1e300, 87400), (10**400, 87400), (-(10**400), None), (0.5, None)],
)
def test_expires_in(expires_in: object, expected: float | None) -> None:
    """A day at most, and longer than the interval."""
    if expected is None:
        with pytest.raises(MalformedResponseError):
            parse(expires_in=expires_in)
    else:
        assert parse(expires_in=expires_in).expires_at == expected


@pytest.mark.parametrize(
    "changes",
    [
        {"device_code": None},
        {"device_code": ""},
        {"device_code": 1},
        {"device_code": "caf\u00e9"},
        {"user_code": None},
        {"user_code": "\x1b[31m"},
        {"user_code": "A" * 65},
        {"user_code": 12345678},
        {"verification_uri": None},
        {"verification_uri": ["https://example.com"]},
        {"expires_in": None},
        {"expires_in": 0},
        {"expires_in": -5},
        {"expires_in": "soon"},
        {"interval": 1800},
        {"interval": 10**400},
    ],
)
def test_malformed_answer(changes: dict[str, object]) -> None:
    """What is not RFC 8628 §3.2's answer is refused before a person sees it."""
    with pytest.raises(MalformedResponseError) as caught:
        parse(**changes)
    assert caught.value.requirement == "RFC 8628 §3.2"


@pytest.mark.parametrize("status", [200, 400, 401])
def test_refusal(status: int) -> None:
    """With its code; some servers answer errors with 200."""
    with pytest.raises(AuthorizationResponseError) as caught:
        parse_device_authorization(answer({"error": "unauthorized_client"}, status), now=0.0)
    assert (caught.value.error, caught.value.status) == ("unauthorized_client", status)


@pytest.mark.parametrize(("status", "error"), [(503, TransportError), (307, InsecureEndpointError)])
def test_no_answer(status: int, error: type[Exception]) -> None:
    """A server that is down, or that sends us elsewhere."""
    with pytest.raises(error):
        parse_device_authorization(answer(BODY, status, location="https://evil.example"), now=0.0)


# --- polling --------------------------------------------------------------------


def refusal(code: str, description: str | None = None) -> TokenResponseError:
    return TokenResponseError("refused", error=code, error_description=description, status=400)


@pytest.mark.parametrize(
    ("code", "why"),
    [("authorization_pending", Waiting.PENDING), ("slow_down", Waiting.SLOW_DOWN)],
)
def test_codes_that_say_wait(code: str, why: Waiting) -> None:
    """RFC 8628 §3.5."""
    assert waiting(refusal(code)) is why


def test_denied() -> None:
    """The person said no, as at the end of a redirect."""
    with pytest.raises(AuthorizationResponseError) as caught:
        waiting(refusal("access_denied", "not today"))
    assert (caught.value.error, caught.value.error_description) == ("access_denied", "not today")


def test_expired() -> None:
    """Nobody came in time."""
    with pytest.raises(FlowTimeoutError):
        waiting(refusal("expired_token"))


@pytest.mark.parametrize("code", ["invalid_grant", "invalid_client", "SLOW_DOWN", "PENDING", "x"])
def test_any_other_code_ends_the_sign_in(code: str) -> None:
    """RFC 8628 §3.5: the client stops polling."""
    error = refusal(code)
    with pytest.raises(TokenResponseError) as caught:
        waiting(error)
    assert caught.value is error


def test_pace_as_told() -> None:
    """Pending changes nothing; each slow_down adds five seconds for good."""
    pace = Pace(5)
    delays = [pace.delay]
    for outcome in (Waiting.PENDING, Waiting.SLOW_DOWN, Waiting.PENDING, Waiting.SLOW_DOWN):
        pace = pace.answered(outcome)
        delays.append(pace.delay)
    assert delays == [5, 5, 10, 10, 15]


def test_pace_without_answers() -> None:
    """Twice as slow with each failure (RFC 8628 §3.5), and as told again after an answer."""
    pace = Pace(5).answered(Waiting.SLOW_DOWN)
    delays = []
    for _ in range(3):
        pace = pace.unanswered()
        delays.append(pace.delay)
    assert delays == [20, 40, 80]
    assert pace.answered(Waiting.PENDING).delay == 10
    assert pace.answered(Waiting.SLOW_DOWN).delay == 15


def test_a_short_interval_slows_down_as_much_as_it_would_when_told() -> None:
    """A 429 may be a server's way to say slow_down."""
    assert Pace(1).unanswered().delay == 6


@pytest.mark.parametrize(("retry_after", "delay"), [(3.0, 10), (60.0, 60), (None, 10)])
def test_retry_after_counts_when_it_is_longer(retry_after: float | None, delay: float) -> None:
    """Never faster than told (RFC 9110 §10.2.3)."""
    assert Pace(5).unanswered(retry_after).delay == delay


def test_a_pace_is_a_value() -> None:
    """Nothing changes it from outside."""
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        Pace(5).delay = 0  # type: ignore[misc]  # the point
