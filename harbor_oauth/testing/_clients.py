"""The clients an authorization server knows, and how they prove it (RFC 6749 §2)."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Callable, Collection, Mapping
from typing import Final
from urllib.parse import unquote_plus, urlsplit

import attrs

from harbor_oauth.testing._assertions import Assertions, PublicKeys
from harbor_oauth.testing._jose import read
from harbor_oauth.testing._parameters import Parameters, RefusedError

__all__ = ["AUTH_METHODS", "Client", "Clients", "public_keys"]

AUTH_METHODS: Final = ("none", "client_secret_basic", "client_secret_post", "private_key_jwt")
_ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


@attrs.frozen
class Client:
    """One client.

    Attributes:
        client_id: Its identifier.
        client_secret: Its secret; None for a public client.
        token_endpoint_auth_method: The one way it authenticates.
        redirect_uris: Where the browser may be sent back to.
        jwks: The public keys it signs its assertions with.
    """

    client_id: str
    client_secret: str | None = attrs.field(default=None, repr=False)
    token_endpoint_auth_method: str = "none"  # noqa: S105 - the name of a method
    redirect_uris: tuple[str, ...] = ()
    jwks: PublicKeys = ()

    @property
    def public(self) -> bool:
        """Whether it has nothing to prove itself with (RFC 6749 §2.1)."""
        return self.token_endpoint_auth_method == "none"  # noqa: S105 - the name of a method

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
    assertions: Assertions
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
        # Only grants with a redirect need one (RFC 7591 §2); a device's has none.
        redirected = "authorization_code" in metadata.get("grant_types", ["authorization_code"])
        redirect_uris = metadata.get("redirect_uris", None if redirected else [])
        if not isinstance(redirect_uris, list) or (redirected and not redirect_uris):
            raise RefusedError("invalid_redirect_uri", "redirect_uris is missing")
        if not all(isinstance(uri, str) and urlsplit(uri).scheme for uri in redirect_uris):
            raise RefusedError("invalid_redirect_uri", "a redirect URI is not absolute")
        method = metadata.get("token_endpoint_auth_method", "client_secret_basic")
        if method not in AUTH_METHODS:
            raise RefusedError("invalid_client_metadata", "unknown token_endpoint_auth_method")
        jwks = public_keys(metadata)
        if method == "private_key_jwt" and not jwks:
            raise RefusedError("invalid_client_metadata", "private_key_jwt needs jwks")
        secret = method in ("client_secret_basic", "client_secret_post")
        return self.add(
            Client(
                client_id=self.new_secret("client"),
                client_secret=self.new_secret("secret") if secret else None,
                token_endpoint_auth_method=method,
                redirect_uris=tuple(redirect_uris),
                jwks=jwks,
            )
        )

    def authenticate(
        self, authorization: str | None, parameters: Parameters, audiences: Collection[str]
    ) -> Client:
        """Return the client that makes a request.

        Args:
            authorization: The request's field of that name.
            parameters: The request's parameters.
            audiences: The names an assertion may call this server by.

        Raises:
            RefusedError: It is unknown, its proof is wrong, or it does not use its own method.
        """
        offer = _offer(authorization, parameters)
        client = self.get(offer.client_id)
        if client is None or client.token_endpoint_auth_method != offer.method:
            raise _unproven(offer)
        if offer.method == "private_key_jwt":
            self._check_assertion(client, offer, audiences)
        elif not hmac.compare_digest((client.client_secret or "").encode(), offer.proof.encode()):
            raise _unproven(offer)
        return client

    def _check_assertion(self, client: Client, offer: _Offer, audiences: Collection[str]) -> None:
        try:
            jwt = read(offer.proof)
            own = {"iss": client.client_id, "sub": client.client_id}  # RFC 7523 §3
            self.assertions.check(jwt, client.jwks, audiences, expected=own, once=True)
        except ValueError as wrong:
            raise _unproven(offer, str(wrong)) from None


@attrs.frozen(repr=False)
class _Offer:
    """Who a request says it comes from, and what is to prove it."""

    method: str
    client_id: str | None
    proof: str = ""


def public_keys(metadata: Mapping[str, object]) -> PublicKeys:
    """Return the keys of a client's metadata (RFC 7591 §2, `jwks`)."""
    jwks = metadata.get("jwks")
    keys = jwks.get("keys") if isinstance(jwks, dict) else None
    return tuple(key for key in keys if isinstance(key, dict)) if isinstance(keys, list) else ()


def _offer(authorization: str | None, parameters: Parameters) -> _Offer:
    """Read the one client authentication of a request.

    Raises:
        RefusedError: There is more than one (RFC 6749 §2.3).
    """
    client_id = parameters.get("client_id")
    basic, secret = _basic_credentials(authorization), parameters.get("client_secret")
    assertion = parameters.get("client_assertion")
    if sum(each is not None for each in (basic, secret, assertion)) > 1:
        raise RefusedError("invalid_request", "more than one client authentication")
    if basic is not None:
        offer = _Offer("client_secret_basic", *basic)
    elif assertion is not None:
        offer = _Offer("private_key_jwt", _subject(assertion, parameters), assertion)
    elif secret is not None:
        return _Offer("client_secret_post", client_id, secret)
    else:
        return _Offer("none", client_id)
    if client_id not in (None, offer.client_id):
        raise RefusedError("invalid_request", "client_id is not the client that authenticates")
    return offer


def _subject(assertion: str, parameters: Parameters) -> str:
    if parameters.get("client_assertion_type") != _ASSERTION_TYPE:
        raise RefusedError("invalid_request", "client_assertion_type is not jwt-bearer")
    try:
        return str(read(assertion).claims.get("sub"))
    except ValueError as wrong:
        raise RefusedError("invalid_client", str(wrong), 401) from None


def _unproven(offer: _Offer, why: str = "client authentication failed") -> RefusedError:
    basic = offer.method == "client_secret_basic"
    challenge = {"WWW-Authenticate": 'Basic realm="token"'} if basic else {}
    return RefusedError("invalid_client", why, 401, challenge)


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
