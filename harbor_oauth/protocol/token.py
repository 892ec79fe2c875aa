"""Token requests and answers: RFC 6749 §4.1.3, §5 and §6, RFC 7636 §4.5, RFC 8707 §2.2."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, cast

import attrs

from harbor_oauth.errors import MalformedResponseError, ProtocolError, TokenResponseError
from harbor_oauth.protocol._answer import (
    Members,
    is_success,
    oauth_error,
    read_members,
    refuse_unavailable,
    retry_after,
)
from harbor_oauth.protocol._values import frozen_members, joined
from harbor_oauth.protocol.client_auth import ClientCredentials, authenticated_post
from harbor_oauth.protocol.http import HttpRequest, HttpResponse, refuse_redirect
from harbor_oauth.protocol.limits import LONGEST_TOKEN
from harbor_oauth.protocol.masking import SHORTEST_FRAGMENT, Mask
from harbor_oauth.protocol.secret_text import ACCESS_TOKEN
from harbor_oauth.secret import Secret

__all__ = ["TokenResponse", "access_token_request", "parse_token_response", "refresh_request"]

_WHAT: Final = "token endpoint"
_RESPONSE: Final = "RFC 6749 §5.1"
_STANDARD: Final = frozenset({"access_token", "token_type", "expires_in", "refresh_token", "scope"})
# No token lives longer; beyond it arithmetic with dates begins to fail.
_LONGEST_LIFE: Final = 1000 * 365 * 86400


def access_token_request(  # noqa: PLR0913 - each is a part of one request
    token_endpoint: str,
    client: ClientCredentials,
    *,
    code: Secret,
    code_verifier: Secret,
    redirect_uri: str,
    resource: str | None = None,
    parameters: Mapping[str, str] | None = None,
    encoding: str = "form",
    client_assertion: Secret | None = None,
) -> HttpRequest:
    """Build the request that exchanges an authorization code (RFC 6749 §4.1.3).

    Args:
        token_endpoint: Where to.
        client: Who asks.
        code: The authorization code.
        code_verifier: The verifier of the request the code answers.
        redirect_uri: The redirect URI of that request.
        resource: The resource indicator of that request.
        parameters: Constant extra parameters of the provider.
        encoding: ``form``, or ``json`` where the vendor demands it.
        client_assertion: A new assertion, for a client that signs them.

    Raises:
        InsecureEndpointError: The endpoint is not https or loopback http.
        ValueError: An extra parameter would replace one of these, or the
            assertion does not fit the client.
    """
    own = {
        "grant_type": "authorization_code",
        "code": code.reveal(),
        "redirect_uri": redirect_uri,
        "code_verifier": code_verifier.reveal(),
        **({"resource": resource} if resource else {}),
    }
    body = joined(own, parameters or {})
    return authenticated_post(
        token_endpoint, _WHAT, client, body, encoding=encoding, client_assertion=client_assertion
    )


def refresh_request(
    token_endpoint: str,
    client: ClientCredentials,
    *,
    refresh_token: Secret,
    resource: str | None = None,
    scope: str | None = None,
    parameters: Mapping[str, str] | None = None,
    encoding: str = "form",
    client_assertion: Secret | None = None,
) -> HttpRequest:
    """Build a refresh request (RFC 6749 §6).

    Args:
        token_endpoint: Where to.
        client: The client the grant was made with.
        refresh_token: The refresh token.
        resource: The resource indicator of the grant.
        scope: A narrower scope to ask for; None keeps what was granted.
        parameters: Constant extra parameters of the provider.
        encoding: ``form``, or ``json`` where the vendor demands it.
        client_assertion: A new assertion, for a client that signs them.

    Raises:
        InsecureEndpointError: The endpoint is not https or loopback http.
        ValueError: An extra parameter would replace one of these, or the
            assertion does not fit the client.
    """
    own = {
        "grant_type": "refresh_token",
        "refresh_token": refresh_token.reveal(),
        **({"scope": scope} if scope else {}),
        **({"resource": resource} if resource else {}),
    }
    body = joined(own, parameters or {})
    return authenticated_post(
        token_endpoint, _WHAT, client, body, encoding=encoding, client_assertion=client_assertion
    )


@attrs.frozen
class TokenResponse:
    """What a token endpoint granted.

    Attributes:
        access_token: The access token.
        token_type: How to use it, in lower case: ``bearer`` or ``dpop``.
        expires_at: Seconds since the epoch (UTC); None means unknown, not never.
        refresh_token: The refresh token; None where none came, which after a
            refresh means that the old one stays (RFC 6749 §6).
        scopes: What was granted.
        extra: The members RFC 6749 does not know.
    """

    access_token: Secret
    token_type: str
    expires_at: float | None
    refresh_token: Secret | None
    scopes: tuple[str, ...]
    extra: Mapping[str, object] = attrs.field(
        factory=dict, converter=frozen_members, repr=False, hash=False
    )


def parse_token_response(
    response: HttpResponse,
    *,
    now: float,
    requested_scopes: Sequence[str],
    scope_separator: str = " ",
    mend: Callable[[Mapping[str, object]], Mapping[str, object]] | None = None,
    token_error: Callable[[HttpResponse], str | None] | None = None,
    allowed_token_types: frozenset[str] = frozenset({"bearer"}),
) -> TokenResponse:
    """Judge the answer of a token endpoint.

    Args:
        response: The answer.
        now: Seconds since the epoch (UTC) when it came.
        requested_scopes: What was asked, which is what was granted if the
            answer does not say.
        scope_separator: How the vendor joins scopes; a space always does too.
        mend: A provider's quirk: from the parsed members to those of RFC 6749.
        token_error: A provider's quirk: the error code of a refusal without one.
        allowed_token_types: Token types the caller can use, in lower case.

    Raises:
        InsecureEndpointError: The answer is a redirect.
        TokenResponseError: The endpoint said no (RFC 6749 §5.2), with any status.
        TransportError: It cannot answer now: 408, 429 or 5xx.
        MalformedResponseError: The answer is not what RFC 6749 §5 says.
        ProtocolError: The token's type is none of the allowed.
    """
    refuse_redirect(response)
    if not is_success(response):
        _refuse(response, now, mend, token_error)
    members = _mended(read_members(response, _WHAT, _RESPONSE, form=True), mend)
    _check_error(response, members)
    access_token, refresh_token = _access_token(members), members.secret("refresh_token")
    # Nothing else in the answer may repeat the new tokens, either; a shorter one
    # could be a scope's name.
    issued = Mask(
        token
        for token in (access_token, refresh_token)
        if token and len(token.reveal()) >= SHORTEST_FRAGMENT
    )
    members = attrs.evolve(members, mask=members.mask | issued)
    return TokenResponse(
        access_token=access_token,
        token_type=_token_type(members, allowed_token_types),
        expires_at=_expires_at(members.seconds("expires_in"), now),
        refresh_token=refresh_token,
        scopes=_scopes(members, requested_scopes, scope_separator),
        extra=_extra(members),
    )


def _mended(
    members: Members, mend: Callable[[Mapping[str, object]], Mapping[str, object]] | None
) -> Members:
    return attrs.evolve(members, values=mend(members.values)) if mend else members


def _refuse(
    response: HttpResponse,
    now: float,
    mend: Callable[[Mapping[str, object]], Mapping[str, object]] | None,
    token_error: Callable[[HttpResponse], str | None] | None,
) -> None:
    """Raise what an answer other than 2xx means."""
    try:
        members = _mended(read_members(response, _WHAT, "RFC 6749 §5.2", form=True), mend)
    except MalformedResponseError:
        refuse_unavailable(response, _WHAT, now=now)
        raise
    _check_error(response, members, now=now)
    refuse_unavailable(response, _WHAT, now=now)
    if token_error and (code := token_error(response)):
        _check_error(response, attrs.evolve(members, values={"error": code}))
    members.refuse(f"has HTTP status {response.status} and no error code")


def _check_error(response: HttpResponse, members: Members, *, now: float | None = None) -> None:
    """Raise what the server says it refused; also inside HTTP 200, where some say it."""
    found = oauth_error(response, members)
    if found is None and is_success(response):
        if members.values.get("ok") is False:
            found = "server_error", None
        elif members.values.get("error"):
            members.refuse("has an error that is not a string")
    if found is not None:
        error, description = found
        detail = f"{error} ({description})" if description else error
        raise TokenResponseError(
            f"The token endpoint at {response.endpoint} refused: {detail}.",
            error=error,
            error_description=description,
            status=response.status,
            retry_after=retry_after(response, now=now),
        )


def _access_token(members: Members) -> Secret:
    # Wrapped at once: an error shows the variables of the frames that it passes.
    token = Secret(members.given("access_token") or members.refuse("has no access_token"))
    if len(token.reveal()) > LONGEST_TOKEN:
        members.refuse(f"has an access_token of more than {LONGEST_TOKEN} characters")
    if not ACCESS_TOKEN.fullmatch(token.reveal()):
        members.refuse("has an access_token with impossible characters")
    return token


def _token_type(members: Members, allowed: frozenset[str]) -> str:
    token_type = members.required("token_type").lower()
    if token_type not in allowed:
        # RFC 6749 §7.1: a token of a type the client does not understand is not used.
        raise ProtocolError(
            f"The token is not of a supported type ({', '.join(sorted(allowed))}).",
            requirement="RFC 6749 §7.1",
        )
    return token_type


def _expires_at(expires_in: float | None, now: float) -> float | None:
    """Return when a life ends; what is unknown is not endless."""
    return None if expires_in is None else now + min(max(expires_in, 0), _LONGEST_LIFE)


def _scopes(members: Members, requested: Sequence[str], separator: str) -> tuple[str, ...]:
    value = members.values.get("scope")
    if value is None:
        return tuple(requested)
    if isinstance(value, list):
        members.texts("scope")  # refuses what is no array of strings
        scopes = tuple(value)
    else:
        scopes = tuple((members.given("scope") or "").replace(separator, " ").split())
    # What repeats a secret names no access, and a masked scope would be asked for
    # at the next sign-in. A scope that was asked for is no secret.
    known = frozenset(requested)
    kept = (scope for scope in scopes if scope in known or not members.mask.is_in(scope))
    return tuple(dict.fromkeys(kept))


def _extra(members: Members) -> dict[str, object]:
    others = {name: value for name, value in members.values.items() if name not in _STANDARD}
    return cast("dict[str, object]", members.mask.members(others))
