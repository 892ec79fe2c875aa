"""How a sign-in ends, whichever flow it was: the token endpoint it asked, the grant it stores."""

from __future__ import annotations

from typing import Final, Literal, cast

import attrs

from harbor_oauth.errors import AccountMismatchError, VaultConflictError, VaultRecordError
from harbor_oauth.flows.account import account_of
from harbor_oauth.flows.discovery import Discovery
from harbor_oauth.flows.tokens import TokenEndpoint
from harbor_oauth.login.clients import ChosenClient
from harbor_oauth.protocol.token import TokenResponse
from harbor_oauth.providers import Resource
from harbor_oauth.secret import Secret
from harbor_oauth.tokens.history import LOGIN, event, fingerprint
from harbor_oauth.vault import (
    ClearIntent,
    GrantKey,
    GrantRecord,
    Vault,
    grant_record_name,
)

__all__ = ["Redemption", "held_grant", "store_login"]

_STORE_ATTEMPTS: Final = 5


@attrs.frozen
class Redemption:
    """Where a sign-in is redeemed, and as whom; fixed before a person is asked.

    What a server says later cannot send a code anywhere else (RFC 9207 §2.4).

    Attributes:
        endpoint: Where tokens come from.
        discovery: What is known of the authorization server.
        client: The client, and what the vault has to learn of it.
        scopes: What is asked for; empty leaves it to the server.
        dpop_key: The key the grant will be bound to, as PEM, or None.
    """

    endpoint: TokenEndpoint
    discovery: Discovery
    client: ChosenClient
    scopes: tuple[str, ...]
    dpop_key: Secret | None

    @property
    def redirect_uri(self) -> str:
        """Where the browser is sent back to; empty where none is."""
        return ""

    def record(
        self,
        key: GrantKey,
        resource: Resource,
        answer: TokenResponse,
        *,
        account: str | None,
        now: float,
    ) -> GrantRecord:
        """Return the grant that the token endpoint's answer makes.

        Args:
            key: The grant's name.
            resource: What it is for.
            answer: The token endpoint's answer.
            account: Who signed in, if that is known.
            now: Unix seconds, UTC.
        """
        client, metadata = self.client.credentials, self.discovery.metadata
        return GrantRecord(
            provider=key.provider,
            resource_name=key.resource,
            account_label=key.account,
            issuer=metadata.issuer,
            authorization_endpoint=metadata.authorization_endpoint,
            # From here on the grant is only refreshed.
            token_endpoint=resource.refresh_endpoint or self.endpoint.url,
            revocation_endpoint=metadata.revocation_endpoint,
            revocation_auth_methods=metadata.revocation_endpoint_auth_methods_supported,
            named_by=self.discovery.named_by,
            client_id=client.client_id,
            client_secret=client.client_secret,
            client_private_key=client.private_key,
            client_key_id=client.key_id,
            client_signing_alg=client.signing_alg,
            token_endpoint_auth_method=client.token_endpoint_auth_method,
            redirect_uri=self.redirect_uri,
            resource=self.endpoint.resource,
            allowed_origins=resource.allowed_origins,
            granted_scopes=answer.scopes,
            requested_scopes=self.scopes,
            scope_separator=resource.scope_separator,
            access_token=answer.access_token,
            refresh_token=answer.refresh_token,
            token_type=answer.token_type,
            expires_at=answer.expires_at,
            obtained_at=now,
            account=account,
            account_id=account_of(resource, answer),
            dpop_key=self.dpop_key,
            token_encoding=cast("Literal['form', 'json']", self.endpoint.encoding),
            token_parameters=resource.token_parameters,
        )


def held_grant(vault: Vault, key: GrantKey) -> GrantRecord | None:
    """Return a grant as it is stored; none for a damaged one, which is about to be replaced."""
    try:
        held = vault.grant(key)
    except VaultRecordError:
        return None
    return held[0] if held else None


def store_login(
    vault: Vault,
    key: GrantKey,
    record: GrantRecord,
    client: ChosenClient,
    *,
    default_resource: str,
) -> None:
    """Store grant, default pointers and client together, over whatever is there.

    Args:
        vault: Where they go.
        key: The grant's name.
        record: The new grant.
        client: Who asked for it, and what the vault has to learn of that client.
        default_resource: What the provider's name alone means from now on.

    Raises:
        AccountMismatchError: The grant is of somebody else.
        VaultError: It could not be stored.
    """
    _check_account(vault, key, record)
    name = grant_record_name(key)
    told = event(
        name,
        record.obtained_at,
        LOGIN,
        after=fingerprint(record.refresh_token),
        account=record.account,
    )
    for attempt in range(_STORE_ATTEMPTS):
        try:
            vault.store_grant(
                key,
                record,
                generation=vault.grant_generation(key),
                default_resource=default_resource,
                also=(*client.writes(vault), ClearIntent(name), told),
            )
        except VaultConflictError:
            # A refresh came between; what a person did last counts.
            if attempt == _STORE_ATTEMPTS - 1:
                raise
        else:
            return


def _check_account(vault: Vault, key: GrantKey, record: GrantRecord) -> None:
    """Refuse to let one person's grant become another's in silence (hermes-agent #109422)."""
    held = held_grant(vault, key)
    if held is None:
        return
    pairs = ((held.account_id, record.account_id), (held.account, record.account))
    for expected, signed_in in pairs:
        if expected and signed_in:
            if expected == signed_in:
                return
            raise AccountMismatchError(
                grant=str(vault.short_name(key)),
                expected=held.account or expected,
                found=record.account or signed_in,
            )
