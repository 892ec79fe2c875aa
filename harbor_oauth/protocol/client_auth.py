"""Client authentication at the token and revocation endpoints (RFC 6749 §2.3, RFC 7523 §2.2)."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import quote_plus, urlencode

import attrs

from harbor_oauth.errors import ConfigurationError
from harbor_oauth.protocol.http import HttpRequest
from harbor_oauth.protocol.urls import require_endpoint
from harbor_oauth.secret import Secret

__all__ = [
    "PRIVATE_KEY_JWT",
    "SECRET_METHODS",
    "ClientCredentials",
    "authenticate",
    "authenticated_post",
    "choose_auth_method",
]

# In the order of preference; RFC 6749 §2.3.1 discourages the second one.
SECRET_METHODS: Final = ("client_secret_basic", "client_secret_post")
# OpenID Connect Core 1.0 §9: an assertion (RFC 7523 §2.2) signed by the client's own key.
PRIVATE_KEY_JWT: Final = "private_key_jwt"

_ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


@attrs.frozen
class ClientCredentials:
    """A client as its authorization server knows it.

    Attributes:
        client_id: The client identifier.
        client_secret: The secret of a confidential client.
        token_endpoint_auth_method: ``none``, ``client_secret_basic``,
            ``client_secret_post`` (RFC 7591 §2) or ``private_key_jwt``.
        private_key: The key of a client that signs assertions, as PEM.
        signing_alg: The algorithm it signs with (RFC 7518 §3.1); None for the
            usual one of such a key.
        key_id: The key's `kid` at the server, if it has one.
        issuer: The authorization server that knows the client; None where that
            is not said.

    Raises:
        ConfigurationError: The parts do not fit each other.
    """

    client_id: str
    client_secret: Secret | None = None
    token_endpoint_auth_method: str = "none"  # noqa: S105 - a method's name
    private_key: Secret | None = None
    signing_alg: str | None = None
    key_id: str | None = None
    issuer: str | None = None

    def __attrs_post_init__(self) -> None:
        method, secret = self.token_endpoint_auth_method, self.client_secret
        if not _is_plain(self.client_id):
            raise ConfigurationError("The client id is empty or holds control characters.")
        if secret is not None and not _is_plain(secret.reveal()):
            raise ConfigurationError("The client secret is empty or holds control characters.")
        if method not in {"none", *SECRET_METHODS, PRIVATE_KEY_JWT}:
            raise ConfigurationError(
                f"The client authentication method {method!r} is not supported.",
                next_step=f"Supported: none, {', '.join(SECRET_METHODS)}, {PRIVATE_KEY_JWT}.",
            )
        if method in SECRET_METHODS and secret is None:
            raise ConfigurationError(f"{method} needs a client secret, and there is none.")
        if method == PRIVATE_KEY_JWT and not self.private_key:
            raise ConfigurationError(f"{method} needs a private key, and there is none.")


def _is_plain(value: str) -> bool:
    return bool(value) and not _CONTROL.search(value)


def choose_auth_method(
    supported: Sequence[str] | None, *, has_secret: bool, has_private_key: bool = False
) -> str:
    """Choose how a client authenticates at a server.

    Args:
        supported: `token_endpoint_auth_methods_supported` of the server's
            metadata; None when it is left out, which means
            ``client_secret_basic`` (RFC 8414 §2).
        has_secret: Whether the client has a secret.
        has_private_key: Whether it has a key to sign with, which then is how
            it authenticates: no server makes up such a key, so it knows it.

    Returns:
        One of the methods of `ClientCredentials`. A server that names none of
        them still gets ``client_secret_basic``, which every server has to
        support (RFC 6749 §2.3.1).
    """
    if has_private_key:
        return PRIVATE_KEY_JWT
    if not has_secret:
        return "none"
    for method in SECRET_METHODS:
        if method in (supported or ()):
            return method
    return SECRET_METHODS[0]


def authenticate(
    client: ClientCredentials,
    parameters: Mapping[str, str],
    client_assertion: Secret | None = None,
) -> tuple[dict[str, str], dict[str, str]]:
    """Add a client's credentials to a request, in exactly one way.

    Args:
        client: Who asks.
        parameters: The parameters of the request; not changed.
        client_assertion: A new assertion, for ``private_key_jwt`` and for
            nothing else.

    Returns:
        The header fields to add, and all parameters.

    Raises:
        ValueError: There is an assertion where none belongs, or none where one does.
    """
    method, secret = client.token_endpoint_auth_method, client.client_secret
    if (method == PRIVATE_KEY_JWT) != (client_assertion is not None):
        raise ValueError(f"a client assertion goes with {PRIVATE_KEY_JWT}, and only with it")
    if client_assertion is not None:
        assertion = {
            "client_id": client.client_id,
            "client_assertion_type": _ASSERTION_TYPE,
            "client_assertion": client_assertion.reveal(),
        }
        return {}, {**parameters, **assertion}
    if method == "none" or secret is None:
        return {}, {**parameters, "client_id": client.client_id}
    if method == "client_secret_post":
        credentials = {"client_id": client.client_id, "client_secret": secret.reveal()}
        return {}, {**parameters, **credentials}
    # RFC 6749 §2.3.1: each part is form-encoded first, so a colon stays a part of it.
    pair = f"{quote_plus(client.client_id)}:{quote_plus(secret.reveal())}"
    encoded = base64.b64encode(pair.encode("ascii")).decode("ascii")
    return {"Authorization": f"Basic {encoded}"}, dict(parameters)


def authenticated_post(
    endpoint: str,
    what: str,
    client: ClientCredentials,
    parameters: Mapping[str, str],
    *,
    encoding: str = "form",
    client_assertion: Secret | None = None,
) -> HttpRequest:
    """Build the POST that token and revocation requests have in common.

    Args:
        endpoint: Where to.
        what: The endpoint's name, for errors.
        client: Who asks.
        parameters: The parameters of the request.
        encoding: ``form``, or ``json`` where a vendor demands it.
        client_assertion: A new assertion, for a client that signs them.

    Raises:
        InsecureEndpointError: The endpoint is not https or loopback http.
        ValueError: There is no such encoding, or the assertion does not fit the client.
    """
    headers, parameters = authenticate(client, parameters, client_assertion)
    if encoding == "form":
        content_type, body = "application/x-www-form-urlencoded", urlencode(parameters)
    elif encoding == "json":
        content_type, body = "application/json", json.dumps(parameters)
    else:
        raise ValueError(f"no such encoding: {encoding!r}")
    return HttpRequest(
        "POST",
        require_endpoint(endpoint, what),
        {"Accept": "application/json", "Content-Type": content_type, **headers},
        body.encode("ascii"),
        single_use=client_assertion is not None,
    )
