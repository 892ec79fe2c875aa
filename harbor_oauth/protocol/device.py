"""The device authorization grant: RFC 8628.

A person types a code at another device; this one polls the token endpoint, as
slowly as it is told. How slowly is decided here, and waited out elsewhere.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final

import attrs

from harbor_oauth.errors import AuthorizationResponseError, FlowTimeoutError, TokenResponseError
from harbor_oauth.protocol._answer import Members, read_authorization
from harbor_oauth.protocol._values import joined
from harbor_oauth.protocol.client_auth import ClientCredentials, authenticated_post
from harbor_oauth.protocol.http import HttpRequest, HttpResponse
from harbor_oauth.protocol.oauth_error import clean
from harbor_oauth.protocol.urls import require_endpoint
from harbor_oauth.secret import Secret

__all__ = [
    "DEVICE_CODE",
    "DeviceAuthorization",
    "Pace",
    "Waiting",
    "device_authorization_request",
    "device_token_request",
    "expired",
    "parse_device_authorization",
    "waiting",
]

DEVICE_CODE: Final = "urn:ietf:params:oauth:grant-type:device_code"
"""The grant type (RFC 8628 §3.4)."""

_WHAT: Final = "device authorization endpoint"
_LONGEST_USER_CODE: Final = 64
_DEFAULT_INTERVAL: Final = 5.0
# Servers that say less mean to be asked often, not without end.
_SHORTEST_INTERVAL: Final = 1.0
_SLOWER: Final = 5.0
# Nobody types a code for longer than a day.
_LONGEST_LIFE: Final = 86400.0


def device_authorization_request(
    endpoint: str,
    client: ClientCredentials,
    *,
    scope: str | None,
    resource: str | None = None,
    parameters: Mapping[str, str] | None = None,
    client_assertion: Secret | None = None,
) -> HttpRequest:
    """Build the request for a device code and a user code (RFC 8628 §3.1).

    Args:
        endpoint: The device authorization endpoint.
        client: Who asks.
        scope: The scopes as on the wire; None leaves them to the server.
        resource: The resource indicator (RFC 8707).
        parameters: Constant extra parameters of the provider.
        client_assertion: A new assertion, for a client that signs them.

    Raises:
        InsecureEndpointError: The endpoint is not https or loopback http.
        ValueError: An extra parameter would replace one of these, or the
            assertion does not fit the client.
    """
    own = {
        **({"scope": scope} if scope else {}),
        **({"resource": resource} if resource else {}),
    }
    body = joined(own, parameters or {})
    return authenticated_post(endpoint, _WHAT, client, body, client_assertion=client_assertion)


@attrs.frozen
class DeviceAuthorization:
    """What a person is shown, and what the device polls with (RFC 8628 §3.2).

    Attributes:
        device_code: What the device polls with.
        user_code: What the person types, fit to show.
        verification_uri: Where the person goes.
        verification_uri_complete: The same with the code in it, for a QR code.
            The code is shown beside it all the same, to be compared with what
            the page says (RFC 8628 §3.3.1).
        expires_at: When both codes end, seconds since the epoch (UTC).
        expires_in: How many seconds that is from the answer.
        interval: Seconds to leave between two polls.
    """

    device_code: Secret
    user_code: str
    verification_uri: str
    verification_uri_complete: str | None
    expires_at: float
    expires_in: float
    interval: float


def parse_device_authorization(response: HttpResponse, *, now: float) -> DeviceAuthorization:
    """Judge the answer of a device authorization endpoint.

    Args:
        response: The answer.
        now: Seconds since the epoch (UTC) when it came.

    Raises:
        InsecureEndpointError: The answer is a redirect, or a verification URI
            is not https or loopback http.
        AuthorizationResponseError: The server said no.
        TransportError: It cannot answer now: 408, 429 or 5xx.
        MalformedResponseError: The answer is not what RFC 8628 §3.2 says.
    """
    members = read_authorization(response, _WHAT, "RFC 8628 §3.2", now=now)
    # Google has used the second name since before the RFC.
    uri = members.text("verification_uri") or members.required("verification_url")
    complete = members.text("verification_uri_complete")
    life = _life(members)
    return DeviceAuthorization(
        device_code=members.secret("device_code") or members.refuse("has no device_code"),
        user_code=_user_code(members),
        verification_uri=require_endpoint(uri, "verification URI"),
        verification_uri_complete=(
            require_endpoint(complete, "verification URI with the code") if complete else None
        ),
        expires_at=now + life,
        expires_in=life,
        interval=_interval(members, life),
    )


def _user_code(members: Members) -> str:
    code = clean(members.required("user_code"), _LONGEST_USER_CODE + 1, mask=members.mask)
    if not code or len(code) > _LONGEST_USER_CODE:
        members.refuse("has a user_code that nobody could type")
    return code


def _life(members: Members) -> float:
    life = members.seconds("expires_in")
    if life is None or life <= 0:
        members.refuse("has no positive expires_in")
    return min(life, _LONGEST_LIFE)


def _interval(members: Members, life: float) -> float:
    interval = members.seconds("interval")
    if interval is None:
        interval = _DEFAULT_INTERVAL
    if interval >= life:
        members.refuse("has an interval in which its codes end")
    return max(interval, _SHORTEST_INTERVAL)


def device_token_request(
    token_endpoint: str,
    client: ClientCredentials,
    *,
    device_code: Secret,
    resource: str | None = None,
    parameters: Mapping[str, str] | None = None,
    encoding: str = "form",
    client_assertion: Secret | None = None,
) -> HttpRequest:
    """Build one poll of the token endpoint (RFC 8628 §3.4).

    Args:
        token_endpoint: Where to.
        client: The client that the device code was given to.
        device_code: The device code.
        resource: The resource indicator of the device authorization request.
        parameters: Constant extra parameters of the provider.
        encoding: ``form``, or ``json`` where the vendor demands it.
        client_assertion: A new assertion, for a client that signs them.

    Raises:
        InsecureEndpointError: The endpoint is not https or loopback http.
        ValueError: An extra parameter would replace one of these, or the
            assertion does not fit the client.
    """
    own = {
        "grant_type": DEVICE_CODE,
        "device_code": device_code.reveal(),
        **({"resource": resource} if resource else {}),
    }
    body = joined(own, parameters or {})
    return authenticated_post(
        token_endpoint,
        "token endpoint",
        client,
        body,
        encoding=encoding,
        client_assertion=client_assertion,
    )


class Waiting(enum.Enum):
    """Why a poll has no token yet (RFC 8628 §3.5)."""

    PENDING = "authorization_pending"
    SLOW_DOWN = "slow_down"


def waiting(error: TokenResponseError) -> Waiting:
    """Judge a token endpoint's refusal of a poll (RFC 8628 §3.5).

    Args:
        error: The refusal.

    Returns:
        Why to poll again.

    Raises:
        AuthorizationResponseError: The person said no.
        FlowTimeoutError: The codes have ended.
        TokenResponseError: It refused for another reason: `error` itself.
    """
    if error.error == "access_denied":
        raise AuthorizationResponseError(
            f"The authorization server refused the sign-in: {error.error}.",
            error=error.error,
            error_description=error.error_description,
            status=error.status,
        ) from None
    if error.error == "expired_token":
        raise expired() from None
    try:
        return Waiting(error.error)
    except ValueError:
        raise error from None


def expired() -> FlowTimeoutError:
    """Return the error for codes that ended before a person used them."""
    return FlowTimeoutError(
        "Nobody confirmed the code before it ended.", next_step="Sign in again for a new code."
    )


@attrs.frozen
class Pace:
    """How fast to poll: never faster than told (RFC 8628 §3.5).

    Attributes:
        interval: Seconds between polls that the server asks for.
        delay: Seconds to wait before the next one.
    """

    interval: float
    delay: float = attrs.field(
        default=attrs.Factory(lambda self: self.interval, takes_self=True), kw_only=True
    )

    def answered(self, outcome: Waiting) -> Pace:
        """Return the pace after an answer: slower for good if the server says so."""
        return Pace(self.interval + (_SLOWER if outcome is Waiting.SLOW_DOWN else 0))

    def unanswered(self, retry_after: float | None = None) -> Pace:
        """Return the pace after a failure: twice as slow with each, until an answer comes.

        Args:
            retry_after: Seconds the server asked for, where it answered that much.
        """
        slower = max(2 * self.delay, self.delay + _SLOWER, retry_after or 0)
        return Pace(self.interval, delay=slower)
