"""An OAuth 2.1 authorization server on loopback, for tests.

It behaves as a strict real one does (PKCE with S256, exact redirect URIs,
single-use codes, rotation with reuse detection) until a script or an amended
member says otherwise.
"""

from __future__ import annotations

import http.client
import threading
from collections.abc import Mapping
from contextlib import suppress

import attrs

from harbor_oauth.testing._browser import follow
from harbor_oauth.testing._clients import Client
from harbor_oauth.testing._endpoints import OAuthEndpoints
from harbor_oauth.testing._records import Reuse, Revocation, TokenInfo

__all__ = ["AuthorizationServer", "Client", "Reuse", "Revocation", "TokenInfo"]


@attrs.define(eq=False, kw_only=True, slots=False, repr=False)
class AuthorizationServer(OAuthEndpoints):
    """A scripted authorization server; every attribute may change while it runs.

    Endpoints, for `script` and `count`: ``metadata`` (all of ``/.well-known/``),
    ``authorize``, ``par``, ``device_authorization``, ``device``, ``token``, ``register``,
    ``revoke``, ``introspect``, ``unknown``. The metadata follows the features that are
    switched on; all are off at first.

    Example:
        >>> with AuthorizationServer(grace=30) as server:  # doctest: +SKIP
        ...     client = server.add_client(redirect_uris=["http://127.0.0.1/callback"])
        ...     server.script("token", answers.status(503))
        ...     assert server.count("token", grant_type="refresh_token") == 0

    Attributes:
        issuer_path: A path for the issuer, such as ``"/tenant"``; fixed at the start.
        trailing_slash: Whether the issuer ends in a slash; fixed at the start.
        account: Who is signed in.
        deny: The user says no.
        interactive: Show a page with the buttons ``#allow`` and ``#deny`` and wait.
        scopes: The scopes there are, all granted when none is asked; empty for any.
        any_loopback_port: Ignore the port of loopback redirect URIs (RFC 8252 §7.3).
        access_token_lifetime: Seconds; None for no end and no ``expires_in``.
        rotate: Give a new refresh token with each refresh.
        grace: Seconds in which the token before the current one gets its answer again.
        token_encoding: The only body encoding the token endpoint reads.
        echo_resource: Add ``resource`` to token answers.
        par: Offer pushed authorization requests (RFC 9126).
        require_par: Take no others.
        request_uri_lifetime: Seconds a pushed request waits for its browser.
        device_grant: Offer the device grant (RFC 8628); its page does what the
            authorization endpoint does, at once or with the two buttons.
        device_code_lifetime: Seconds the device code and the user code live.
        device_interval: Seconds a device has to leave between two polls.
        dpop: ``"supported"`` binds tokens to the key of a proof (RFC 9449), ``"required"``
            issues no others, ``"off"`` does not know proofs.
        dpop_nonce: What proofs have to hold as `nonce`; empty for nothing.
        client_credentials: Offer the client credentials grant (RFC 6749 §4.4).
        client_id_metadata_documents: Take a client whose identifier is the URL of its
            metadata; fetched once, and from loopback only.
        client_documents: Documents it need not fetch, such as those of https URLs.
        entropy: Gives that many random bytes.
        canary: A prefix for every secret it makes.
        echo: Repeat the parameters and credentials of each request in every text
            of its answer, scripted or not.
        metadata: The server metadata (RFC 8414), to edit; a None member is left out.
        well_known: The paths where it is served, to edit.
        trusted: Whose assertions are taken as a grant; see `trust`.
        exchanges: Who gets an assertion for whom; see `allow_exchange`.
    """

    _browsers: list[threading.Thread] = attrs.field(factory=list, init=False)

    def close(self) -> None:
        """Wait for the stand-in browsers, then stop listening."""
        for browser in self._browsers:
            browser.join()
        super().close()

    def add_client(
        self,
        *,
        redirect_uris: tuple[str, ...] | list[str] = ("http://127.0.0.1/callback",),
        token_endpoint_auth_method: str = "none",  # noqa: S107 - the name of a method
        client_id: str | None = None,
        client_secret: str | None = None,
        jwk: Mapping[str, object] | None = None,
    ) -> Client:
        """Make a client known that was registered by hand; what is None is made up.

        Args:
            redirect_uris: Where the browser may be sent back to.
            token_endpoint_auth_method: The one way it authenticates.
            client_id: Its identifier.
            client_secret: Its secret, where the method wants one.
            jwk: Its public key; the method is then ``private_key_jwt`` (RFC 7523 §2.2).
        """
        if jwk is not None:
            token_endpoint_auth_method = "private_key_jwt"  # noqa: S105 - same
        elif client_secret is None and token_endpoint_auth_method != "none":  # noqa: S105 - same
            client_secret = self._new_secret("secret")
        client = Client(
            client_id=client_id or self._new_secret("client"),
            client_secret=client_secret,
            token_endpoint_auth_method=token_endpoint_auth_method,
            redirect_uris=tuple(redirect_uris),
            jwks=() if jwk is None else (jwk,),
        )
        with self._state:
            return self._clients.add(client)

    def forget_clients(self) -> None:
        """Forget every client, as a server does that expires registrations."""
        with self._state:
            self._clients.clear()

    def trust(self, issuer: str, *jwks: Mapping[str, object]) -> None:
        """Take an issuer's assertions as a grant (RFC 7523 §2.1), ID-JAGs among them.

        Args:
            issuer: The assertions' `iss`.
            jwks: Its public keys; of another double, `public_jwk`.
        """
        with self._state:
            self.trusted[issuer] = jwks
            self.advertise()

    def allow_exchange(self, client: Client, *, audience: str, client_id: str) -> None:
        """Give a client ID-JAGs for another authorization server (RFC 8693).

        Args:
            client: The client here, a confidential one.
            audience: The other server's issuer.
            client_id: What the client is called there.
        """
        with self._state:
            self.exchanges[client.client_id, audience] = client_id
            self.advertise()

    def approve_device(self, user_code: str) -> None:
        """Say yes to a device, as `account`.

        Raises:
            ValueError: No device waits with this code.
        """
        with self._state:
            self._decide_device(user_code, allow=True)

    def deny_device(self, user_code: str) -> None:
        """Say no to a device.

        Raises:
            ValueError: No device waits with this code.
        """
        with self._state:
            self._decide_device(user_code, allow=False)

    def amend(self, endpoint: str, /, **members: object) -> None:
        """Change members of every later answer of an endpoint; None leaves one out.

        It counts for ``authorize`` (the redirect), ``par``, ``device_authorization``,
        ``token``, ``register`` and ``introspect``; for ``metadata`` edit the dictionary.
        """
        self._require(endpoint)
        with self._state:
            self._amended[endpoint].update(members)

    def valid(self, access_token: str) -> TokenInfo | None:
        """Return what an access token stands for, None if it is not good now."""
        with self._state:
            return self._grants.valid(access_token)

    def expire_access_tokens(self) -> None:
        """Let every access token issued so far expire now."""
        with self._state:
            self._grants.expire_access_tokens()

    def revoke_all(self) -> None:
        """End every grant, as a user does who removes the app's access."""
        with self._state:
            self._grants.revoke_all()

    @property
    def reuse_events(self) -> list[Reuse]:
        """Spent refresh tokens that came again; a copy."""
        with self._state:
            return list(self._grants.reuse_events)

    @property
    def revoked(self) -> list[Revocation]:
        """Tokens revoked through the revocation endpoint; a copy."""
        with self._state:
            return list(self._grants.revoked)

    def follow(self, url: str) -> int:
        """Stand in for a browser: follow redirects on loopback; return the last status."""
        return follow(url)

    def browser(self, url: str) -> bool:
        """Open a URL as `webbrowser.open` does: in the background, with True at once."""

        def browse() -> None:
            with suppress(OSError, ValueError, http.client.HTTPException):
                follow(url)  # what goes wrong here, a person would see in the window

        thread = threading.Thread(target=browse, daemon=True)
        self._browsers.append(thread)
        thread.start()
        return True
