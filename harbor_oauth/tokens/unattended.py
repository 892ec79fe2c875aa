"""The grants of a program that need no person: their tokens are kept, and asked for when due.

The credentials stay with the program; the vault keeps the access token alone,
so that processes share it and one of them asks. Nothing is spent by asking, so
there is no intent to write down before, and nothing to spill afterwards: what
is lost costs one more request.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

import attrs

from harbor_oauth.errors import (
    ConfigurationError,
    VaultError,
    VaultRecordError,
)
from harbor_oauth.flows.cache import MetadataCache
from harbor_oauth.protocol.http import Transport
from harbor_oauth.protocol.metadata import same_issuer
from harbor_oauth.protocol.urls import covers
from harbor_oauth.tokens import history
from harbor_oauth.tokens.declared import UnattendedGrant
from harbor_oauth.tokens.leasing import Leasing, Refreshed
from harbor_oauth.tokens.obtaining import Obtained, Obtaining
from harbor_oauth.vault import (
    DEFAULT_ACCOUNT,
    GrantKey,
    GrantRecord,
    Vault,
    grant_record_name,
    parse_grant_name,
)

__all__ = ["Unattended", "unattended_key"]

_log: Final = logging.getLogger("harbor_oauth.tokens")

_RESOURCE: Final = "mcp"

_Known: TypeAlias = tuple[GrantRecord, int]


def unattended_key(grant: str) -> GrantKey:
    """Return the vault's key of a declared grant: a name's own parts, else the defaults.

    Args:
        grant: ``name[/resource][@account]``.

    Raises:
        InvalidNameError: It is not the name of a grant.
    """
    name = parse_grant_name(grant)
    return GrantKey(name.provider, name.resource or _RESOURCE, name.account or DEFAULT_ACCOUNT)


def _by_key(grants: Mapping[str, UnattendedGrant]) -> Mapping[GrantKey, UnattendedGrant]:
    return {unattended_key(name): grant for name, grant in grants.items()}


@attrs.frozen(eq=False)
class Unattended:
    """The grants a program declares, and how their tokens are obtained.

    Attributes:
        vault: Where the tokens are kept.
        transport: How requests are sent.
        grants: The declarations, by grant name.
        cache: Server metadata read before.
        clock: Unix seconds, UTC.
        monotonic: Seconds that never go back.
        sleep: Waits that many seconds.
        entropy: A source of random bytes.

    Raises:
        InvalidNameError: A name is not that of a grant.
    """

    vault: Vault
    transport: Transport
    grants: Mapping[GrantKey, UnattendedGrant] = attrs.field(converter=_by_key)
    cache: MetadataCache | None = None
    clock: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    entropy: Callable[[int], bytes] = os.urandom

    def __contains__(self, key: GrantKey) -> bool:
        """Say whether a grant is declared."""
        return key in self.grants

    def allowed_origins(self, key: GrantKey) -> tuple[str, ...]:
        """Return the only origins a declared grant's token may be sent to."""
        return self.grants[key].allowed_origins

    def asked(self, key: GrantKey) -> str:
        """Return whom a declared grant's token is asked of: its issuer, where that is known."""
        grant = self.grants[key]
        return grant.known_issuer or grant.url

    def stored(self, key: GrantKey) -> _Known | None:
        """Return the stored token of a declared grant, and its generation.

        Returns:
            None where there is none, or only one that another declaration got.

        Raises:
            ConfigurationError: The name is that of a person's sign-in.
            VaultError: The vault could not be read.
        """
        found = self._found(key)
        if found is None or found[0].state != "active":
            return None
        return found if _is_of(self.grants[key], found[0]) else None

    def __call__(
        self, key: GrantKey, is_usable: Callable[[GrantRecord, int], bool], *, reason: str
    ) -> Refreshed:
        """Return a usable generation: somebody else's, or a new one.

        Args:
            key: The grant.
            is_usable: Says whether a stored record, of that generation, will do.
            reason: Why it is asked for, for the history.

        Raises:
            ConfigurationError: The declaration cannot be used, or the name is
                that of a person's sign-in.
            TokenResponseError: A server refused; it is not asked another way.
            ProtocolError: An answer breaks a rule.
            TransportError: Not now.
            VaultError: The vault could not be read.
        """

        def settled(known: _Known | None) -> Refreshed | None:
            return Refreshed(*known) if known and is_usable(*known) else None

        self.vault.open()  # there may be none yet: no sign-in has made it
        leased = Leasing(self.vault, self.clock, self.monotonic, self.sleep, self.entropy)
        return leased(
            key,
            lambda: self.stored(key),
            settled,
            lambda _: self._obtain(key, reason),
        )

    # --- under the lease --------------------------------------------------------

    def _found(self, key: GrantKey) -> _Known | None:
        try:
            found = self.vault.grant(key)
        except VaultRecordError:
            return None  # asked for again, and stored in its place
        if found and found[0].grant_type is None:
            name = str(self.vault.short_name(key))
            raise ConfigurationError(
                f"Somebody has signed in to {name}, and the program declares a grant of that "
                "name that needs no person.",
                next_step=f"Give one of them another name, or run: harbor revoke {name}",
            )
        return found

    def _obtain(self, key: GrantKey, reason: str) -> Refreshed:
        grant = self.grants[key]
        generation, begun = self.vault.grant_generation(key), self.clock()
        obtaining = Obtaining(
            self.transport, self.cache, self.clock, self.monotonic, self.sleep, self.entropy
        )
        obtained = obtaining(grant, self._issuer_before(key))
        record = _record(key, grant, obtained, now=self.clock())
        return self._store(key, record, generation, begun, reason)

    def _issuer_before(self, key: GrantKey) -> str | None:
        """Return the issuer that this client was shown to the last time."""
        found = self._found(key)
        if found is None or found[0].client_id != self.grants[key].client.client_id:
            return None
        return found[0].issuer

    def _store(
        self, key: GrantKey, record: GrantRecord, generation: int, begun: float, reason: str
    ) -> Refreshed:
        told = history.event(
            grant_record_name(key),
            record.obtained_at,
            history.OBTAIN,
            after=history.fingerprint(record.access_token),
            reason=reason,
            seconds=round(record.obtained_at - begun, 3),
        )
        try:
            stored = self.vault.store_grant(key, record, generation=generation, also=(told,))
        except VaultError as error:
            # Kept in memory and tried again, unless a person signed in or out
            # meanwhile, which counts.
            _log.warning("a token could not be stored: %s", error.message)
            return Refreshed(record, generation + 1, stored=False)
        return Refreshed(record, stored)


def _is_of(grant: UnattendedGrant, record: GrantRecord) -> bool:
    """Say whether a token is what this very declaration asks for."""
    issuer = grant.known_issuer
    return (
        (record.grant_type, record.client_id) == (grant.grant_type, grant.client.client_id)
        and record.allowed_origins == grant.allowed_origins
        and (issuer is None or same_issuer(record.issuer, issuer))
        and _is_for(grant, record.resource or "")
        and (grant.scopes is None or record.requested_scopes == grant.scopes)
    )


def _is_for(grant: UnattendedGrant, resource: str) -> bool:
    return resource == grant.resource if grant.resource else covers(resource, grant.url)


def _record(
    key: GrantKey, grant: UnattendedGrant, obtained: Obtained, *, now: float
) -> GrantRecord:
    """Return what is kept: the token and where it is from; no credential, no refresh token.

    With a refresh token, which should not come (RFC 6749 §4.4.3), there would
    be a second way to renew.
    """
    metadata, endpoint, answer = obtained.metadata, obtained.endpoint, obtained.answer
    return GrantRecord(
        provider=key.provider,
        resource_name=key.resource,
        account_label=key.account,
        issuer=metadata.issuer,
        token_endpoint=endpoint.url,
        revocation_endpoint=metadata.revocation_endpoint,
        revocation_auth_methods=metadata.revocation_endpoint_auth_methods_supported,
        named_by=obtained.named_by,
        client_id=endpoint.client.client_id,
        token_endpoint_auth_method=endpoint.client.token_endpoint_auth_method,
        redirect_uri="",
        resource=endpoint.resource,
        allowed_origins=grant.allowed_origins,
        granted_scopes=answer.scopes,
        requested_scopes=obtained.scopes,
        access_token=answer.access_token,
        token_type=answer.token_type,
        expires_at=answer.expires_at,
        obtained_at=now,
        grant_type=grant.grant_type,
    )
