"""What an authorization server remembers: codes, families of tokens, their ends.

A family is everything that came of one consent. The caller holds the lock.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable
from typing import Final

import attrs

from harbor_oauth.testing._parameters import RefusedError

__all__ = ["Consent", "Grants", "Issued", "Reuse", "Revocation", "TokenInfo"]

_CODE_LIFETIME: Final = 60.0
_CODE_VERIFIER: Final = re.compile(r"[A-Za-z0-9._~-]{43,128}")  # RFC 7636 §4.1


@attrs.frozen
class Consent:
    """What a resource owner agreed to.

    Attributes:
        client_id: Who may act.
        account: For whom.
        scopes: What it may do.
        resource: Where (RFC 8707); empty when no resource was named.
    """

    client_id: str
    account: str
    scopes: tuple[str, ...]
    resource: tuple[str, ...]


@attrs.frozen
class TokenInfo:
    """What an access token stands for.

    Attributes:
        client_id: The client it was issued to.
        account: The resource owner.
        scopes: Its scopes.
        resource: The resources it is for; empty when none was named.
        issued_at: When, in seconds since the epoch, UTC.
        expires_at: Its end, likewise; None when it has none.
    """

    client_id: str
    account: str
    scopes: tuple[str, ...]
    resource: tuple[str, ...]
    issued_at: float
    expires_at: float | None


@attrs.frozen
class Reuse:
    """A refresh token that was used again after it was spent; its family is revoked."""

    client_id: str
    account: str
    at: float


@attrs.frozen
class Revocation:
    """A token that was revoked through the revocation endpoint.

    Attributes:
        kind: ``"refresh_token"`` or ``"access_token"``.
        client_id: The client that asked.
        account: The resource owner.
    """

    kind: str
    client_id: str
    account: str


@attrs.frozen(repr=False)
class Issued:
    """One answer of the token endpoint, before it is written down."""

    access_token: str
    refresh_token: str | None
    expires_in: float | None
    scopes: tuple[str, ...]
    resource: tuple[str, ...]


@attrs.define(eq=False, repr=False)
class _Family:
    consent: Consent
    refresh_token: str
    previous: str = ""
    rotated_at: float = 0.0
    answer: Issued | None = None
    revoked: bool = False


@attrs.define(eq=False, repr=False)
class _Code:
    consent: Consent
    redirect_uri: str
    code_challenge: str
    expires_at: float
    family: _Family | None = None


@attrs.define(eq=False, repr=False)
class _AccessToken:
    info: TokenInfo
    family: _Family
    revoked: bool = False


@attrs.define(eq=False, repr=False)
class Grants:
    """Codes and tokens, and the events that ended some of them."""

    clock: Callable[[], float]
    new_secret: Callable[[str], str]
    reuse_events: list[Reuse] = attrs.field(factory=list, init=False)
    revoked: list[Revocation] = attrs.field(factory=list, init=False)
    _codes: dict[str, _Code] = attrs.field(factory=dict, init=False)
    _access: dict[str, _AccessToken] = attrs.field(factory=dict, init=False)
    _refresh: dict[str, _Family] = attrs.field(factory=dict, init=False)

    def new_code(self, consent: Consent, *, redirect_uri: str, code_challenge: str) -> str:
        """Make an authorization code."""
        code = self.new_secret("code")
        self._codes[code] = _Code(
            consent, redirect_uri, code_challenge, self.clock() + _CODE_LIFETIME
        )
        return code

    def redeem(
        self,
        code: str,
        *,
        client_id: str,
        redirect_uri: str,
        code_verifier: str,
        resource: tuple[str, ...],
        lifetime: float | None,
    ) -> Issued:
        """Exchange a code for the first tokens of a family.

        Raises:
            RefusedError: ``invalid_grant``, or ``invalid_target`` for a foreign resource.
        """
        found = self._codes.get(code)
        if found is None or found.consent.client_id != client_id:
            raise RefusedError("invalid_grant", "the code is unknown")
        if found.family is not None:
            # RFC 6749 §4.1.2: a code used twice takes its tokens with it.
            found.family.revoked = True
            raise RefusedError("invalid_grant", "the code was used before")
        if self.clock() >= found.expires_at:
            raise RefusedError("invalid_grant", "the code has expired")
        if redirect_uri != found.redirect_uri:
            raise RefusedError("invalid_grant", "redirect_uri is not the one of the request")
        if not _verifies(code_verifier, found.code_challenge):
            raise RefusedError("invalid_grant", "the code_verifier does not fit")
        resource = _narrow(resource, found.consent.resource, "invalid_target")
        family = _Family(found.consent, self.new_secret("refresh"))
        self._refresh[family.refresh_token] = family
        found.family = family
        return self._issue(family, found.consent.scopes, resource, lifetime)

    def refresh(
        self,
        refresh_token: str,
        *,
        client_id: str,
        scopes: tuple[str, ...],
        resource: tuple[str, ...],
        lifetime: float | None,
        rotate: bool,
        grace: float,
    ) -> Issued:
        """Exchange a refresh token for new tokens (RFC 6749 §6, RFC 9700 §4.14).

        Only the token before the current one may come again inside `grace`
        seconds, and gets the answer it got: its owner lost the reply. Any
        older one, or one that comes later, revokes the family.

        Raises:
            RefusedError: ``invalid_grant``, ``invalid_scope`` or ``invalid_target``.
        """
        family = self._refresh.get(refresh_token)
        if family is None or family.revoked or family.consent.client_id != client_id:
            raise RefusedError("invalid_grant", "the refresh token is unknown or revoked")
        if refresh_token != family.refresh_token:
            in_grace = self.clock() - family.rotated_at < grace
            if refresh_token == family.previous and in_grace and family.answer is not None:
                return family.answer
            family.revoked = True
            consent = family.consent
            self.reuse_events.append(Reuse(consent.client_id, consent.account, self.clock()))
            raise RefusedError("invalid_grant", "the refresh token was used before")
        scopes = _narrow(scopes, family.consent.scopes, "invalid_scope")
        resource = _narrow(resource, family.consent.resource, "invalid_target")
        if not rotate:
            return attrs.evolve(self._issue(family, scopes, resource, lifetime), refresh_token=None)
        family.previous, family.rotated_at = refresh_token, self.clock()
        family.refresh_token = self.new_secret("refresh")
        self._refresh[family.refresh_token] = family
        family.answer = self._issue(family, scopes, resource, lifetime)
        return family.answer

    def _issue(
        self,
        family: _Family,
        scopes: tuple[str, ...],
        resource: tuple[str, ...],
        lifetime: float | None,
    ) -> Issued:
        access_token, now = self.new_secret("access"), self.clock()
        info = TokenInfo(
            client_id=family.consent.client_id,
            account=family.consent.account,
            scopes=scopes,
            resource=resource,
            issued_at=now,
            expires_at=None if lifetime is None else now + lifetime,
        )
        self._access[access_token] = _AccessToken(info, family)
        return Issued(access_token, family.refresh_token, lifetime, scopes, resource)

    def valid(self, access_token: str) -> TokenInfo | None:
        """Return what an access token stands for, if it is good now."""
        found = self._access.get(access_token)
        if found is None or found.revoked or found.family.revoked:
            return None
        expires_at = found.info.expires_at
        return found.info if expires_at is None or self.clock() < expires_at else None

    def revoke(self, token: str, *, client_id: str) -> None:
        """Revoke one token (RFC 7009 §2.1); a refresh token takes its family with it.

        Raises:
            RefusedError: The token is another client's.
        """
        family, access = self._refresh.get(token), self._access.get(token)
        owner = family or (access.family if access else None)
        if owner is None:
            return  # §2.2: an unknown token is as good as revoked
        if owner.consent.client_id != client_id:
            raise RefusedError("unauthorized_client", "the token is another client's")
        if access is not None:
            access.revoked = True
        else:
            owner.revoked = True
        kind = "refresh_token" if access is None else "access_token"
        self.revoked.append(Revocation(kind, client_id, owner.consent.account))

    def expire_access_tokens(self) -> None:
        """Let every access token issued so far expire now."""
        now = self.clock()
        for token in self._access.values():
            token.info = attrs.evolve(token.info, expires_at=now)

    def revoke_all(self) -> None:
        """Revoke every family, as a user does who removes the app's access."""
        for family in self._refresh.values():
            family.revoked = True


def _narrow(asked: tuple[str, ...], granted: tuple[str, ...], error: str) -> tuple[str, ...]:
    """Return what was asked, or all that was granted when nothing was."""
    if not set(asked) <= set(granted):
        raise RefusedError(error, "more was asked than was granted")
    return asked or granted


def _verifies(code_verifier: str, code_challenge: str) -> bool:
    if not _CODE_VERIFIER.fullmatch(code_verifier):
        return False
    digest = hashlib.sha256(code_verifier.encode()).digest()
    computed = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    return hmac.compare_digest(computed, code_challenge)
