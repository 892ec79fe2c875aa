"""What can be said of a grant without showing a secret."""

from __future__ import annotations

import attrs

from harbor_oauth.errors import LoginRequiredError
from harbor_oauth.vault import GrantKey, GrantRecord, Vault
from harbor_oauth.vault.names import DEFAULT_ACCOUNT

__all__ = ["GrantStatus", "absent", "describe"]


@attrs.frozen
class GrantStatus:
    """One grant, described.

    Attributes:
        grant: Its name, as short as it is unambiguous.
        provider: The provider or docked server.
        resource: The resource of that provider.
        account: Who signed in, where the provider can be asked; else the label.
        state: ``active``, or ``dead`` after the server refused the refresh token.
        cause: Why it is dead, or None.
        scopes: The granted scopes.
        requested_scopes: What was asked for.
        expires_at: When the access token ends, unix seconds UTC; None is unknown.
        obtained_at: When it came, unix seconds UTC.
        refreshable: Whether there is a refresh token.
    """

    grant: str
    provider: str
    resource: str
    account: str | None
    state: str
    cause: str | None
    scopes: tuple[str, ...]
    requested_scopes: tuple[str, ...]
    expires_at: float | None
    obtained_at: float
    refreshable: bool


def describe(vault: Vault, key: GrantKey, record: GrantRecord) -> GrantStatus:
    """Describe a grant's record."""
    return GrantStatus(
        grant=str(vault.short_name(key)),
        provider=key.provider,
        resource=key.resource,
        account=record.account or (None if key.account == DEFAULT_ACCOUNT else key.account),
        state=record.state,
        cause=record.dead_cause,
        scopes=record.granted_scopes,
        requested_scopes=record.requested_scopes,
        expires_at=record.expires_at,
        obtained_at=record.obtained_at,
        refreshable=record.refresh_token is not None,
    )


def absent(grant: str) -> LoginRequiredError:
    """Return the error for a grant that nobody has signed in to."""
    return LoginRequiredError(
        f"Nobody has signed in to {grant}.",
        grant=grant,
        cause="absent",
        next_step=f"Run: harbor dock {grant}",
    )
