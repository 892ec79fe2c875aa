"""What can be said of a grant without showing a secret."""

from __future__ import annotations

import attrs

from harbor_oauth.errors import LoginRequiredError, VaultError, VaultRecordError
from harbor_oauth.tokens import history
from harbor_oauth.tokens.held import known_end
from harbor_oauth.vault import Event, GrantKey, Vault, grant_record_name
from harbor_oauth.vault.names import DEFAULT_ACCOUNT

__all__ = ["GrantStatus", "absent", "describe", "login_required"]


@attrs.frozen
class GrantStatus:
    """One grant, described.

    Attributes:
        grant: Its name, as short as it is unambiguous.
        provider: The provider or docked server.
        resource: The resource of that provider.
        state: ``active``, ``dead`` after the server refused the refresh token,
            or ``damaged`` if its record cannot be read.
        account: Who signed in, where the provider can be asked; else the label.
        cause: Why it is not active, or None.
        scopes: The granted scopes.
        requested_scopes: What was asked for.
        expires_at: When the access token ends, unix seconds UTC; None is unknown.
        obtained_at: When it came, unix seconds UTC.
        refreshable: Whether there is a refresh token.
        refreshing: Whether some process is refreshing it right now.
        refused: What the server answers to each refresh since it last gave a
            token, without calling the grant over; None where it did not refuse.
        refused_at: When it first refused, unix seconds UTC.
        trouble: Why its server could not be used when it was docked, since the
            last token came; None where it could.
    """

    grant: str
    provider: str
    resource: str
    state: str
    account: str | None = None
    cause: str | None = None
    scopes: tuple[str, ...] = ()
    requested_scopes: tuple[str, ...] = ()
    expires_at: float | None = None
    obtained_at: float | None = None
    refreshable: bool = False
    refreshing: bool = False
    refused: str | None = None
    refused_at: float | None = None
    trouble: str | None = None


def describe(vault: Vault, key: GrantKey) -> GrantStatus | None:
    """Describe a stored grant; None if it is gone.

    A damaged record is a state like another: it must not hide the others.
    """
    name = str(vault.short_name(key))
    try:
        found = vault.grant(key)
    except VaultRecordError as error:
        return GrantStatus(name, key.provider, key.resource, state="damaged", cause=error.message)
    if found is None:
        return None
    record = found[0]
    past = _history(vault, key)
    refusals = history.refusals(past)
    trouble = past[-1].detail.get("reason") if past and past[-1].event == history.TROUBLE else None
    return GrantStatus(
        grant=name,
        provider=key.provider,
        resource=key.resource,
        state=record.state,
        account=record.account or (None if key.account == DEFAULT_ACCOUNT else key.account),
        cause=record.dead_cause,
        scopes=record.granted_scopes,
        requested_scopes=record.requested_scopes,
        expires_at=known_end(record),
        obtained_at=record.obtained_at,
        refreshable=record.refresh_token is not None,
        refreshing=vault.storage.lease_holder(grant_record_name(key)) is not None,
        refused=str(refusals[-1].detail.get("reason")) if refusals else None,
        refused_at=refusals[0].at if refusals else None,
        trouble=None if trouble is None else str(trouble),
    )


def _history(vault: Vault, key: GrantKey) -> tuple[Event, ...]:
    try:
        return vault.history(key)
    except VaultError:  # a damaged line of it hides no grant
        return ()


def absent(grant: str) -> LoginRequiredError:
    """Return the error for a grant that nobody has signed in to."""
    return LoginRequiredError(
        f"Nobody has signed in to {grant}.",
        grant=grant,
        cause="absent",
        next_step=f"Run: harbor dock {grant}",
    )


def login_required(vault: Vault, key: GrantKey, cause: str, why: str | None) -> LoginRequiredError:
    """Return the error for a grant that only a person can renew.

    Args:
        vault: Knows the grant's shortest name.
        key: The grant.
        cause: Why, as a short code.
        why: Why, as the rest of a sentence.
    """
    name = str(vault.short_name(key))
    return LoginRequiredError(
        f"{name} needs a sign-in: {why or 'the server ended the grant'}.",
        grant=name,
        cause=cause,
        next_step=f"Run: harbor charter {name}",
    )
