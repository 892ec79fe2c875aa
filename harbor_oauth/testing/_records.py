"""What an authorization server's memory is made of: consents, tokens, events."""

from __future__ import annotations

import attrs

__all__ = ["Consent", "Issued", "Reuse", "Revocation", "Terms", "TokenInfo"]


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
class Terms:
    """How tokens are issued in answer to one request.

    Attributes:
        lifetime: Seconds an access token lives; None for no end.
        rotate: Whether a refresh gives a new refresh token.
        grace: Seconds in which the refresh token before the current one is answered again.
        jkt: The thumbprint of the key the request proved (RFC 9449 §6.1).
        binds_refresh: Whether the refresh token is that key's too: a public
            client's is, a confidential one's is bound to its secret (§5).
    """

    lifetime: float | None
    rotate: bool = True
    grace: float = 0.0
    jkt: str | None = None
    binds_refresh: bool = False


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
        jkt: The thumbprint of the key it is bound to (RFC 9449 §6); None for a bearer's.
    """

    client_id: str
    account: str
    scopes: tuple[str, ...]
    resource: tuple[str, ...]
    issued_at: float
    expires_at: float | None
    jkt: str | None = None


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
    jkt: str | None = None
