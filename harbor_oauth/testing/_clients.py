"""The clients an authorization server knows, and how they prove it (RFC 6749 §2)."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Callable
from typing import Final
from urllib.parse import unquote_plus, urlsplit

import attrs

from harbor_oauth.testing._parameters import Parameters, RefusedError

__all__ = ["AUTH_METHODS", "Client", "Clients"]

AUTH_METHODS: Final = ("none", "client_secret_basic", "client_secret_post")
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


@attrs.frozen
class Client:
    """One client.

    Attributes:
        client_id: Its identifier.
        client_secret: Its secret; None for a public client.
        token_endpoint_auth_method: The one way it authenticates.
        redirect_uris: Where the browser may be sent back to.
    """

    client_id: str
    client_secret: str | None = attrs.field(default=None, repr=False)
    token_endpoint_auth_method: str = "none"  # noqa: S105 - the name of a method
    redirect_uris: tuple[str, ...] = ()

    def redirects_to(self, redirect_uri: str, *, any_loopback_port: bool) -> bool:
        """Say whether a redirect URI is one of its own (RFC 8252 §7.3 for the port)."""
        if redirect_uri in self.redirect_uris:
            return True
        if not any_loopback_port:
            return False
        asked = _without_port(redirect_uri)
        return asked is not None and asked in map(_without_port, self.redirect_uris)


def _without_port(uri: str) -> tuple[str, str, str] | None:
    parts = urlsplit(uri)
    if parts.scheme != "http" or parts.hostname not in _LOOPBACK or parts.fragment:
        return None
    return parts.hostname, parts.path, parts.query


@attrs.define(eq=False)
class Clients:
    """The known clients; the caller holds the lock."""

    new_secret: Callable[[str], str]
    _clients: dict[str, Client] = attrs.field(factory=dict, init=False)

    def get(self, client_id: str | None) -> Client | None:
        """Return a client by its identifier."""
        return self._clients.get(client_id or "")

    def add(self, client: Client) -> Client:
        """Remember a client."""
        self._clients[client.client_id] = client
        return client

    def clear(self) -> None:
        """Forget every client."""
        self._clients.clear()

    def register(self, metadata: object) -> Client:
        """Register a client from its metadata (RFC 7591 §2).

        Raises:
            RefusedError: The metadata is not acceptable (§3.2.2).
        """
        if not isinstance(metadata, dict):
            raise RefusedError("invalid_client_metadata", "the body is not a JSON object")
        redirect_uris = metadata.get("redirect_uris")
        if not isinstance(redirect_uris, list) or not redirect_uris:
            raise RefusedError("invalid_redirect_uri", "redirect_uris is missing")
        if not all(isinstance(uri, str) and urlsplit(uri).scheme for uri in redirect_uris):
            raise RefusedError("invalid_redirect_uri", "a redirect URI is not absolute")
        method = metadata.get("token_endpoint_auth_method", "client_secret_basic")
        if method not in AUTH_METHODS:
            raise RefusedError("invalid_client_metadata", "unknown token_endpoint_auth_method")
        return self.add(
            Client(
                client_id=self.new_secret("client"),
                client_secret=None if method == "none" else self.new_secret("secret"),
                token_endpoint_auth_method=method,
                redirect_uris=tuple(redirect_uris),
            )
        )

    def authenticate(self, authorization: str | None, parameters: Parameters) -> Client:
        """Return the client that makes a request.

        Args:
            authorization: The request's field of that name.
            parameters: The request's parameters.

        Raises:
            RefusedError: It is unknown, its secret is wrong, or it does not use its own method.
        """
        basic = _basic_credentials(authorization)
        client_id, secret = parameters.get("client_id"), parameters.get("client_secret")
        if basic is None:
            method = "none" if secret is None else "client_secret_post"
        elif secret is not None or client_id not in (None, basic[0]):
            # RFC 6749 §2.3: not more than one method in a request.
            raise RefusedError("invalid_request", "more than one client authentication")
        else:
            method = "client_secret_basic"
            client_id, secret = basic
        client = self.get(client_id)
        if (
            client is None
            or client.token_endpoint_auth_method != method
            or not hmac.compare_digest(
                (client.client_secret or "").encode(), (secret or "").encode()
            )
        ):
            challenge = {"WWW-Authenticate": 'Basic realm="token"'} if basic else {}
            raise RefusedError("invalid_client", "client authentication failed", 401, challenge)
        return client


def _basic_credentials(authorization: str | None) -> tuple[str, str] | None:
    """Read the Basic scheme, whose two halves are form-encoded first (RFC 6749 §2.3.1)."""
    scheme, _, token68 = (authorization or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, _, password = base64.b64decode(token68.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return unquote_plus(user), unquote_plus(password)
