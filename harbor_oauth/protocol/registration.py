"""Dynamic client registration: RFC 7591, for native public clients."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Final

import attrs

from harbor_oauth.errors import InsecureEndpointError, RegistrationResponseError
from harbor_oauth.protocol._answer import (
    Members,
    is_success,
    oauth_error,
    read_members,
    refuse_unavailable,
    retry_after,
)
from harbor_oauth.protocol.client_auth import SECRET_METHODS, ClientCredentials
from harbor_oauth.protocol.http import (
    DISCOVERY_TIMEOUT,
    HttpRequest,
    HttpResponse,
    refuse_redirect,
)
from harbor_oauth.protocol.urls import origin, require_endpoint
from harbor_oauth.secret import Secret

__all__ = ["ClientInformation", "parse_registration_response", "registration_request"]

_WHAT: Final = "registration endpoint"
_GRANT_TYPES: Final = ("authorization_code", "refresh_token")
# RFC 6749 appendix A.1, and no longer than any server has been seen to make one.
_CLIENT_ID: Final = re.compile(r"[\x20-\x7e]{1,2048}")


def registration_request(  # noqa: PLR0913 - the members of RFC 7591 §2, all by name
    registration_endpoint: str,
    *,
    redirect_uris: Sequence[str],
    client_name: str,
    grant_types: Sequence[str] = _GRANT_TYPES,
    token_endpoint_auth_method: str = "none",  # noqa: S107 - a method's name
    scope: str | None = None,
    software_id: str | None = None,
    software_version: str | None = None,
    client_uri: str | None = None,
    initial_access_token: Secret | None = None,
) -> HttpRequest:
    """Build a registration request with as little as possible about the user.

    Args:
        registration_endpoint: Where to.
        redirect_uris: The redirect URIs to register; none without a grant that redirects.
        client_name: The name a person reads on the consent page.
        grant_types: The grants the client will use.
        token_endpoint_auth_method: How the client will authenticate.
        scope: The scopes the client may ask for, as on the wire.
        software_id: The software's identifier, the same for every instance.
        software_version: Its version.
        client_uri: A page about the software.
        initial_access_token: Where the server registers invited clients only.

    Raises:
        InsecureEndpointError: The endpoint is not https or loopback http.
    """
    metadata = {
        "redirect_uris": list(redirect_uris),
        "client_name": client_name,
        "token_endpoint_auth_method": token_endpoint_auth_method,
        "grant_types": list(grant_types),
        # RFC 7591 §2.1: the two have to agree, and the default is ["code"].
        "response_types": ["code"] if "authorization_code" in grant_types else [],
        # Without it some servers take the client for a web application and
        # refuse a loopback redirect URI (OpenID Connect Registration §2).
        "application_type": "native",
        "scope": scope,
        "software_id": software_id,
        "software_version": software_version,
        "client_uri": client_uri,
    }
    sent = {name: value for name, value in metadata.items() if value is not None}
    headers = {"Accept": "application/json", "Content-Type": "application/json"}
    if initial_access_token is not None:
        headers["Authorization"] = f"Bearer {initial_access_token.reveal()}"
    return HttpRequest(
        "POST",
        require_endpoint(registration_endpoint, _WHAT),
        headers,
        json.dumps(sent).encode("ascii"),
        timeout=DISCOVERY_TIMEOUT,
    )


@attrs.frozen
class ClientInformation:
    """A registered client (RFC 7591 §3.2.1).

    Attributes:
        client_id: The client identifier.
        client_secret: The secret, where the server made one.
        client_secret_expires_at: Seconds since the epoch (UTC); None means never.
        token_endpoint_auth_method: How the client authenticates from now on.
        redirect_uris: What the server registered; empty where it did not say.
        registration_access_token: The token of RFC 7592.
        registration_client_uri: The URL of RFC 7592; None where it has another
            origin than the registration endpoint.
        client_id_issued_at: Seconds since the epoch (UTC).
    """

    client_id: str
    client_secret: Secret | None = None
    client_secret_expires_at: int | None = None
    token_endpoint_auth_method: str = "none"  # noqa: S105 - a method's name
    redirect_uris: tuple[str, ...] = ()
    registration_access_token: Secret | None = None
    registration_client_uri: str | None = None
    client_id_issued_at: int | None = None

    def credentials(self) -> ClientCredentials:
        """Return the part that token requests need."""
        return ClientCredentials(
            self.client_id, self.client_secret, self.token_endpoint_auth_method
        )


def parse_registration_response(
    response: HttpResponse, *, registration_endpoint: str, requested_auth_method: str = "none"
) -> ClientInformation:
    """Judge the answer of a registration endpoint.

    What the server returns replaces what was asked for (RFC 7591 §3.2.1).

    Args:
        response: The answer.
        registration_endpoint: Where the request went.
        requested_auth_method: The `token_endpoint_auth_method` of the request.

    Raises:
        InsecureEndpointError: The answer is a redirect.
        RegistrationResponseError: The server said no (RFC 7591 §3.2.2).
        TransportError: It cannot answer now: 408, 429 or 5xx.
        MalformedResponseError: The answer is not what RFC 7591 §3.2.1 says.
    """
    refuse_redirect(response)
    refuse_unavailable(response, _WHAT)
    members = read_members(response, _WHAT, "RFC 7591 §3.2.1")
    _check_error(response, members)
    client_id = members.required("client_id")
    if not _CLIENT_ID.fullmatch(client_id):
        members.refuse("has a client_id that is too long or has impossible characters")
    client_secret = members.secret("client_secret")
    return ClientInformation(
        client_id=client_id,
        client_secret=client_secret,
        client_secret_expires_at=members.integer("client_secret_expires_at") or None,
        token_endpoint_auth_method=_auth_method(members, client_secret, requested_auth_method),
        redirect_uris=members.texts("redirect_uris") or (),
        registration_access_token=members.secret("registration_access_token"),
        registration_client_uri=_client_uri(members, registration_endpoint),
        client_id_issued_at=members.integer("client_id_issued_at"),
    )


def _check_error(response: HttpResponse, members: Members) -> None:
    found = oauth_error(response, members)
    if found is not None:
        error, description = found
        detail = f"{error} ({description})" if description else error
        raise RegistrationResponseError(
            f"The registration endpoint at {response.endpoint} refused: {detail}.",
            error=error,
            error_description=description,
            status=response.status,
            retry_after=retry_after(response),
        )
    if not is_success(response):
        members.refuse(f"has HTTP status {response.status} and no error code")


def _auth_method(members: Members, client_secret: Secret | None, requested: str) -> str:
    if client_secret is None:
        # Some servers repeat RFC 7591's default, client_secret_basic, for a
        # client they gave no secret.
        return "none"
    method = members.text("token_endpoint_auth_method") or requested
    if method == "none":
        # Servers that hand out a secret with method "none", or without naming
        # one, have been seen to demand that secret in the body.
        return requested if requested in SECRET_METHODS else "client_secret_post"
    if method not in SECRET_METHODS:
        members.refuse("has a token_endpoint_auth_method that was not asked for")
    return method


def _client_uri(members: Members, registration_endpoint: str) -> str | None:
    """Return the management URI unless it would send its token elsewhere (RFC 7592 §4)."""
    uri = members.text("registration_client_uri")
    try:
        if uri and origin(require_endpoint(uri, _WHAT)) == origin(registration_endpoint):
            return uri
    except InsecureEndpointError:
        pass
    return None
