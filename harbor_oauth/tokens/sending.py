"""One request on its way with a grant's token: what to send, and whether to send it again.

Every way out of this library goes through here: `Harbor.request`, the requests
session, and the adapters for other HTTP clients, which only carry the fields
and the status to and fro. A 401 and a 403 `insufficient_scope` are different
paths (RFC 6750 §3.1): a refresh never widens a scope, and a sign-in never
follows from a refusal unless the caller is interactive.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

import attrs

from harbor_oauth.errors import LoginRequiredError
from harbor_oauth.protocol.challenge import Challenge, bearer_challenge
from harbor_oauth.protocol.dpop import wants_dpop_nonce
from harbor_oauth.protocol.http import HttpResponse
from harbor_oauth.protocol.masking import NOTHING_SENT, Mask
from harbor_oauth.tokens.access_token import AccessToken

__all__ = ["GrantUse", "Sending"]

_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403
_STEP_UPS: Final = 3
"""How often one request may ask a person for more; the MCP specification says a few times."""


class GrantUse(Protocol):
    """What a request needs to know and do about its grant; `Harbor` makes one."""

    @property
    def interactive(self) -> bool:
        """Whether a person may be asked."""
        ...

    def token(self) -> AccessToken:
        """Return a valid token, or raise LoginRequiredError."""
        ...

    def rejected(self, token: AccessToken) -> bool:
        """Report a 401; say whether there is another token now."""
        ...

    def check(self, url: str) -> None:
        """Raise WrongResourceError for a URL the token must not be sent to."""
        ...

    def proof(self, token: AccessToken, method: str, url: str) -> Mapping[str, str]:
        """Return the fields that prove possession of a bound token's key (RFC 9449 §7.1)."""
        ...

    def nonce(self, url: str, nonce: str) -> None:
        """Take note of the nonce a server wants in the next proof (RFC 9449 §9)."""
        ...

    def sign_in(self, challenge: Challenge | None, refused: AccessToken | None) -> None:
        """Ask a person to sign in, unless somebody just did."""
        ...

    def step_up(self, challenge: Challenge, refused: AccessToken, *, ask: bool) -> None:
        """Ask a person for more scopes, or raise ScopeRequiredError; if not `ask`, raise it."""
        ...


@attrs.define(eq=False)
class Sending:
    """One request with a grant's token, from its first attempt to its last.

    Example:
        >>> sending = harbor.sending("linear")
        >>> while True:
        ...     response = send(headers=sending.headers("GET", url))
        ...     if not sending.again(response.status, response.headers):
        ...         break

    Not thread-safe: each request has its own. Both methods may block; with an
    interactive caller, `again` waits for a person.
    """

    _use: GrantUse
    _sent: AccessToken | None = attrs.field(default=None, init=False)
    _url: str = attrs.field(default="", init=False)
    _mask: Mask = attrs.field(default=NOTHING_SENT, init=False)
    _refreshed: bool = attrs.field(default=False, init=False)
    _signed_in: bool = attrs.field(default=False, init=False)
    _proved_again: bool = attrs.field(default=False, init=False)
    _steps: int = attrs.field(default=0, init=False)

    def headers(self, method: str, url: str) -> dict[str, str]:
        """Return the header fields to send now, in place of any the caller set.

        Args:
            method: The request's method.
            url: Its absolute URL.

        Returns:
            `Authorization`, and `DPoP` for a bound token. Nothing at all for an
            interactive caller without a grant: the server's answer then says
            how to sign in.

        Raises:
            LoginRequiredError: There is no grant, and the caller is not interactive.
            WrongResourceError: The URL is not one of the grant's origins.
            TransportError: The token has to be refreshed, and the server is down.
            VaultError: The vault could not be read or written.
        """
        self._use.check(url)
        self._url = url
        try:
            self._sent = self._use.token()
        except LoginRequiredError:
            if not self._use.interactive or self._signed_in:
                raise
            self._sent = None
            return {}
        proof = dict(self._use.proof(self._sent, method, url))
        self._mask = Mask((self._sent.secret, *proof.values()))
        return {"Authorization": self._sent.authorization, **proof}

    def again(self, status: int, headers: Mapping[str, str]) -> bool:
        """Judge an answer; say whether the same request should be sent once more.

        Args:
            status: The answer's status.
            headers: Its header fields, names in any case, repeated ones joined
                with a comma.

        Raises:
            LoginRequiredError: The token was refused and cannot be renewed.
            ScopeRequiredError: A person has to grant more scopes.
            TransportError: The authorization server is down; the grant is intact.
            HarborError: A sign-in failed.
        """
        fields = {name.lower(): value for name, value in headers.items()}
        if nonce := fields.get("dpop-nonce"):
            self._use.nonce(self._url, nonce)
        if status not in {_UNAUTHORIZED, _FORBIDDEN}:
            return False
        challenge = bearer_challenge(fields.get("www-authenticate", ""), mask=self._mask)
        wants_nonce = status == _UNAUTHORIZED and self._wants_nonce(fields)
        # Errors pass this frame from here on, and a server may have repeated the
        # token in any field.
        del fields, headers
        if status == _FORBIDDEN:
            return self._forbidden(challenge)
        if wants_nonce:
            self._proved_again = True
            return True
        return self._unauthorized(challenge)

    def _wants_nonce(self, fields: Mapping[str, str]) -> bool:
        return (
            self._sent is not None
            and self._sent.is_bound
            and not self._proved_again
            and wants_dpop_nonce(HttpResponse(_UNAUTHORIZED, fields, b"", self._url))
        )

    def _unauthorized(self, challenge: Challenge | None) -> bool:
        if self._sent is not None and not self._refreshed:
            self._refreshed = True
            try:
                if self._use.rejected(self._sent):
                    return True
            except LoginRequiredError:
                if not self._use.interactive:
                    raise
        if not self._use.interactive or self._signed_in:
            return False
        self._signed_in = self._refreshed = True
        self._use.sign_in(challenge, self._sent)
        return True

    def _forbidden(self, challenge: Challenge | None) -> bool:
        if challenge is None or challenge.error != "insufficient_scope" or self._sent is None:
            return False
        self._steps += 1
        self._use.step_up(challenge, self._sent, ask=self._steps <= _STEP_UPS)
        return True
