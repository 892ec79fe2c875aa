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
from harbor_oauth.testing._records import Consent, Issued, Reuse, Revocation, Terms, TokenInfo

__all__ = ["Grants", "narrow"]

_CODE_LIFETIME: Final = 60.0
_CODE_VERIFIER: Final = re.compile(r"[A-Za-z0-9._~-]{43,128}")  # RFC 7636 §4.1


@attrs.define(eq=False, repr=False)
class _Family:
    consent: Consent
    refresh_token: str | None
    jkt: str | None = None
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
    jkt: str | None = None
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
    _families: list[_Family] = attrs.field(factory=list, init=False)

    def new_code(
        self, consent: Consent, *, redirect_uri: str, code_challenge: str, jkt: str | None = None
    ) -> str:
        """Make an authorization code; `jkt` names the key that may use it (RFC 9449 §10)."""
        code = self.new_secret("code")
        self._codes[code] = _Code(
            consent, redirect_uri, code_challenge, self.clock() + _CODE_LIFETIME, jkt
        )
        return code

    def begin(
        self,
        consent: Consent,
        terms: Terms,
        *,
        resource: tuple[str, ...] = (),
        refreshable: bool = True,
    ) -> Issued:
        """Issue the first tokens of a family that needs no code.

        Raises:
            RefusedError: ``invalid_target`` for a resource outside the consent.
        """
        resource = narrow(resource, consent.resource, "invalid_target")
        family = self._new_family(consent, terms, refreshable=refreshable)
        return self._issue(family, consent.scopes, resource, terms)

    def redeem(
        self,
        code: str,
        *,
        client_id: str,
        redirect_uri: str,
        code_verifier: str,
        resource: tuple[str, ...],
        terms: Terms,
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
        if found.jkt not in (None, terms.jkt):
            raise RefusedError("invalid_grant", "the code is bound to another key")
        resource = narrow(resource, found.consent.resource, "invalid_target")
        found.family = self._new_family(found.consent, terms)
        return self._issue(found.family, found.consent.scopes, resource, terms)

    def refresh(
        self,
        refresh_token: str,
        *,
        client_id: str,
        scopes: tuple[str, ...],
        resource: tuple[str, ...],
        terms: Terms,
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
        if family.jkt not in (None, terms.jkt):
            raise RefusedError("invalid_grant", "the refresh token is bound to another key")
        if refresh_token != family.refresh_token:
            in_grace = self.clock() - family.rotated_at < terms.grace
            if refresh_token == family.previous and in_grace and family.answer is not None:
                return family.answer
            family.revoked = True
            consent = family.consent
            self.reuse_events.append(Reuse(consent.client_id, consent.account, self.clock()))
            raise RefusedError("invalid_grant", "the refresh token was used before")
        scopes = narrow(scopes, family.consent.scopes, "invalid_scope")
        resource = narrow(resource, family.consent.resource, "invalid_target")
        if not terms.rotate:
            return attrs.evolve(self._issue(family, scopes, resource, terms), refresh_token=None)
        family.previous, family.rotated_at = refresh_token, self.clock()
        successor = self.new_secret("refresh")
        family.refresh_token, self._refresh[successor] = successor, family
        family.answer = self._issue(family, scopes, resource, terms)
        return family.answer

    def _new_family(self, consent: Consent, terms: Terms, *, refreshable: bool = True) -> _Family:
        refresh_token = self.new_secret("refresh") if refreshable else None
        family = _Family(consent, refresh_token, terms.jkt if terms.binds_refresh else None)
        self._families.append(family)
        if refresh_token is not None:
            self._refresh[refresh_token] = family
        return family

    def _issue(
        self,
        family: _Family,
        scopes: tuple[str, ...],
        resource: tuple[str, ...],
        terms: Terms,
    ) -> Issued:
        access_token, now = self.new_secret("access"), self.clock()
        info = TokenInfo(
            client_id=family.consent.client_id,
            account=family.consent.account,
            scopes=scopes,
            resource=resource,
            issued_at=now,
            expires_at=None if terms.lifetime is None else now + terms.lifetime,
            jkt=terms.jkt,
        )
        self._access[access_token] = _AccessToken(info, family)
        return Issued(
            access_token, family.refresh_token, terms.lifetime, scopes, resource, terms.jkt
        )

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
        for family in self._families:
            family.revoked = True


def narrow(asked: tuple[str, ...], granted: tuple[str, ...], error: str) -> tuple[str, ...]:
    """Return what was asked, or all that was granted when nothing was.

    Raises:
        RefusedError: More was asked than was granted; with the error given.
    """
    if not set(asked) <= set(granted):
        raise RefusedError(error, "more was asked than was granted")
    return asked or granted


def _verifies(code_verifier: str, code_challenge: str) -> bool:
    if not _CODE_VERIFIER.fullmatch(code_verifier):
        return False
    digest = hashlib.sha256(code_verifier.encode()).digest()
    computed = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    return hmac.compare_digest(computed, code_challenge)
