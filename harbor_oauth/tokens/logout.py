"""The end of a grant: revoked at its server, then forgotten here."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable

import attrs

from harbor_oauth.errors import HarborError, VaultError, VaultRecordError
from harbor_oauth.protocol.http import Transport
from harbor_oauth.providers import Resource
from harbor_oauth.tokens import history
from harbor_oauth.tokens.dpop import DPoPNonces
from harbor_oauth.tokens.server import RecordedServer
from harbor_oauth.tokens.status import absent
from harbor_oauth.vault import GrantKey, Vault, grant_record_name

__all__ = ["LogoutResult", "log_out", "take_back"]


@attrs.frozen
class LogoutResult:
    """What a logout did.

    Attributes:
        grant: The grant's name.
        revoked: Whether the server was told and agreed.
        reason: Why it was not, or None.
        manage_url: Where a person can end it by hand, if the provider says.
    """

    grant: str
    revoked: bool
    reason: str | None = None
    manage_url: str | None = None


def log_out(
    vault: Vault,
    transport: Transport,
    key: GrantKey,
    resource: Resource | None,
    *,
    local_only: bool,
    clock: Callable[[], float] = time.time,
    entropy: Callable[[int], bytes] = os.urandom,
) -> LogoutResult:
    """Revoke a grant and forget it; it is forgotten even if the server cannot be told.

    Args:
        vault: Where the grant is.
        transport: How the server is told.
        key: The grant.
        resource: Its resource; None when the plugin is gone, and RFC 7009 is tried.
        local_only: Do not tell the server.
        clock: Unix seconds, UTC.
        entropy: A source of random bytes.

    Raises:
        LoginRequiredError: There is no such grant.
        VaultError: The vault could not be changed.
    """
    with contextlib.suppress(VaultError):  # what cannot be adopted is dropped with the grant
        vault.adopt_spilled(key)
    name = str(vault.short_name(key))
    reason: str | None = "only this machine was asked to forget it"
    try:
        found = vault.grant(key)
        if found is None:
            raise absent(name)
    except VaultRecordError:
        found, reason = None, "its record is damaged, so there was nothing to tell the server"
        vault.forget_grant(key)
    while found is not None:
        if not local_only:
            server = RecordedServer(found[0], resource, transport, DPoPNonces(), clock, entropy)
            reason = _revoke(server)
        # A refresh may have stored a newer pair meanwhile, which would live on.
        found = None if vault.forget_grant(key, generation=found[1]) else vault.grant(key)
    name_of_record, now = grant_record_name(key), clock()
    told = history.event(name_of_record, now, history.LOGOUT, revoked=reason is None)
    with contextlib.suppress(VaultError):  # the grant is gone; a missing line is no failure
        vault.apply([told])
    return LogoutResult(
        grant=name,
        revoked=reason is None,
        reason=reason,
        manage_url=resource.manage_url if resource else None,
    )


def take_back(
    vault: Vault,
    transport: Transport,
    key: GrantKey,
    resource: Resource | None,
    generation: int,
    *,
    clock: Callable[[], float] = time.time,
    entropy: Callable[[int], bytes] = os.urandom,
) -> Callable[[], object] | None:
    """Forget a grant in the one generation that a failed operation stored.

    A later generation is of another sign-in, or of a program that uses the grant
    already; it stays.

    Args:
        vault: Where the grant is.
        transport: How the server is told.
        key: The grant.
        resource: Its resource; None when the plugin is gone.
        generation: What the failed operation stored.
        clock: Unix seconds, UTC.
        entropy: A source of random bytes.

    Returns:
        What revokes the forgotten tokens at their server; None if nothing was forgotten.

    Raises:
        VaultError: The vault could not be changed.
    """
    found = vault.grant(key)
    if found is None or found[1] != generation:
        return None
    if not vault.forget_grant(key, generation=generation):
        return None
    told = history.event(grant_record_name(key), clock(), history.LOGOUT, revoked=True)
    with contextlib.suppress(VaultError):  # the grant is gone; a missing line is no failure
        vault.apply([told])
    server = RecordedServer(found[0], resource, transport, DPoPNonces(), clock, entropy)
    return lambda: _revoke(server)


def _revoke(server: RecordedServer) -> str | None:
    """Revoke at the server; return why it did not work, or None."""
    try:
        told = server.revoke()
    except HarborError as error:
        return error.message.rstrip(".")
    return None if told else "the server offers no revocation"
