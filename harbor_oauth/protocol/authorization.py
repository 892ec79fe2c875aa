"""Authorization request and response: RFC 6749 §4.1.1-4.1.2, RFC 9207, RFC 8707."""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import parse_qsl

import attrs

from harbor_oauth.errors import (
    AuthorizationResponseError,
    IssuerMismatchError,
    MalformedResponseError,
    StateMismatchError,
)
from harbor_oauth.protocol._values import frozen_mapping, joined
from harbor_oauth.protocol.limits import LARGEST_HEAD, LONGEST_CODE
from harbor_oauth.protocol.masking import Mask
from harbor_oauth.protocol.oauth_error import clean
from harbor_oauth.protocol.pkce import PKCE
from harbor_oauth.protocol.urls import require_endpoint, with_query
from harbor_oauth.secret import Secret

__all__ = ["AuthorizationRequest", "new_state", "parse_authorization_response"]

# Ours to set; the last two would let a request object replace all others (RFC 9101 §5).
_RESERVED: Final = frozenset(
    {
        *("response_type", "client_id", "redirect_uri", "state", "scope", "resource"),
        *("code_challenge", "code_challenge_method", "request", "request_uri"),
    }
)
_RESPONSE_PARAMETERS: Final = frozenset(
    {"code", "state", "iss", "error", "error_description", "error_uri"}
)
_STATE_BYTES: Final = 32
_VSCHARS: Final = re.compile(r"[\x20-\x7e]+")


def new_state(entropy: Callable[[int], bytes]) -> Secret:
    """Make a `state` value of 256 bits (RFC 6749 §10.12).

    Args:
        entropy: A source of random bytes, such as `os.urandom`.
    """
    encoded = base64.urlsafe_b64encode(entropy(_STATE_BYTES))
    return Secret(encoded.rstrip(b"=").decode("ascii"))


@attrs.frozen
class AuthorizationRequest:
    """One authorization request, complete: the response is judged by it alone.

    Attributes:
        authorization_endpoint: Where the person's browser goes.
        client_id: The client identifier.
        redirect_uri: Where the response comes back to.
        scope: The scopes as on the wire; None leaves them to the server.
        state: The value that binds the response to this request.
        pkce: The verifier of this request.
        issuer: The authorization server's issuer identifier, as its metadata
            spells it.
        iss_required: Whether the metadata promises `iss` in the response
            (`authorization_response_iss_parameter_supported`).
        resource: The resource indicator (RFC 8707 §2.1).
        parameters: Constant extra parameters of the provider.

    Raises:
        InsecureEndpointError: The endpoint is not https or loopback http.
        MalformedResponseError: The endpoint's own query holds a parameter of
            this request (RFC 6749 §3.1).
        ValueError: An extra parameter has a name the protocol reserves.
    """

    authorization_endpoint: str
    client_id: str
    redirect_uri: str
    scope: str | None
    state: Secret
    pkce: PKCE
    issuer: str
    iss_required: bool
    resource: str | None = None
    parameters: Mapping[str, str] = attrs.field(factory=dict, converter=frozen_mapping, hash=False)

    def __attrs_post_init__(self) -> None:
        require_endpoint(self.authorization_endpoint, "authorization endpoint")
        if clash := sorted(_RESERVED & self.parameters.keys()):
            raise ValueError(f"extra parameters must not be named {', '.join(clash)}")
        query = self.authorization_endpoint.partition("?")[2]
        own = {name for name, _ in parse_qsl(query, keep_blank_values=True)}
        if own & (_RESERVED | self.parameters.keys()):
            raise MalformedResponseError(
                "The authorization endpoint's own query sets a parameter of the request.",
                requirement="RFC 6749 §3.1",
            )

    def parameters_sent(self) -> dict[str, str]:
        """Return all parameters of the request, the provider's and the state among them."""
        parameters = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "state": self.state.reveal(),
            "code_challenge": self.pkce.code_challenge,
            "code_challenge_method": self.pkce.code_challenge_method,
        }
        if self.scope:
            parameters["scope"] = self.scope
        if self.resource:
            parameters["resource"] = self.resource
        return joined(parameters, self.parameters)

    def url(self) -> str:
        """Return the URL for the browser; it holds the state."""
        return with_query(self.authorization_endpoint, self.parameters_sent())


def parse_authorization_response(query: str, request: AuthorizationRequest) -> Secret:
    """Judge an authorization response and return its code.

    `state` comes before everything the response says, then `iss`: what a
    stranger sent is neither shown nor acted on. Unknown parameters are ignored
    (RFC 6749 §4.1.2).

    Args:
        query: The query of the redirect, without its question mark.
        request: The request it answers.

    Returns:
        The authorization code.

    Raises:
        MalformedResponseError: A value is oversized, repeated or missing, or
            `code` came together with `error`.
        StateMismatchError: The response is not for this request.
        IssuerMismatchError: It is not from this authorization server.
        AuthorizationResponseError: The server or the person said no.
    """
    response = _parameters(query)
    _check_state(response.get("state"), request.state)
    code, error = response.get("code"), response.get("error")
    if code and error:
        raise _malformed("The authorization response has both a code and an error.")
    if not error and not (code and _VSCHARS.fullmatch(code)):
        raise _malformed("The authorization response has no usable code.")
    # Last of what is judged: it ends the sign-in, and what is no answer must not.
    _check_issuer(response.get("iss"), request)
    if error:
        sent = Mask((request.state, request.pkce.code_verifier, request.pkce.code_challenge))
        raise _refusal(error, response.get("error_description"), sent)
    return Secret(code or "")


def _malformed(message: str) -> MalformedResponseError:
    return MalformedResponseError(message, requirement="RFC 6749 §4.1.2")


def _parameters(query: str) -> dict[str, str]:
    if len(query) > LARGEST_HEAD:
        raise _malformed(f"The authorization response has more than {LARGEST_HEAD} characters.")
    parameters: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if len(value) > LONGEST_CODE:
            raise _malformed(
                "The authorization response has a parameter of more than "
                f"{LONGEST_CODE} characters."
            )
        if name in parameters and name in _RESPONSE_PARAMETERS:
            raise MalformedResponseError(
                f"The authorization response repeats {name}.", requirement="RFC 6749 §3.1"
            )
        parameters[name] = value
    return parameters


def _check_state(state: str | None, expected: Secret) -> None:
    sent, received = expected.reveal().encode(), (state or "").encode("utf-8", "surrogatepass")
    if not hmac.compare_digest(sent, received):
        raise StateMismatchError(
            "The authorization response does not belong to this sign-in.",
            requirement="RFC 6749 §10.12",
        )


def _check_issuer(iss: str | None, request: AuthorizationRequest) -> None:
    # RFC 9207 §2.4: by code points, and also where the metadata promised nothing.
    if iss is None and not request.iss_required:
        return
    if iss != request.issuer:
        fault = "does not name its issuer" if iss is None else "comes from another issuer"
        raise IssuerMismatchError(
            f"The authorization response {fault}; {request.issuer} was asked.",
            requirement="RFC 9207 §2.4",
        )


def _refusal(error: str, description: str | None, sent: Mask) -> AuthorizationResponseError:
    error = clean(error, 64, mask=sent)
    description = clean(description or "", mask=sent) or None
    detail = f"{error} ({description})" if description else error
    return AuthorizationResponseError(
        f"The authorization server refused the sign-in: {detail}.",
        error=error,
        error_description=description,
    )
