"""The authorization server of a stored grant: how it is spoken to, from the record alone."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from harbor_oauth.flows import revoke
from harbor_oauth.flows.tokens import TokenEndpoint
from harbor_oauth.protocol.client_auth import ClientCredentials
from harbor_oauth.protocol.http import Transport, naming
from harbor_oauth.providers import Resource, Revocation
from harbor_oauth.tokens.dpop import DPoPNonces
from harbor_oauth.tokens.keys import assertions, proving
from harbor_oauth.vault import GrantRecord

__all__ = ["RecordedServer"]


@attrs.frozen
class RecordedServer:
    """The authorization server that a grant was made at.

    Attributes:
        record: The grant.
        resource: Its resource; None when its plugin is gone.
        base_transport: How requests are sent.
        nonces: What servers want in proofs of possession (RFC 9449 §8).
        clock: Unix seconds, UTC.
        entropy: A source of random bytes.
    """

    record: GrantRecord
    resource: Resource | None
    base_transport: Transport
    nonces: DPoPNonces
    clock: Callable[[], float]
    entropy: Callable[[int], bytes]

    @property
    def client(self) -> ClientCredentials:
        """The client the grant was made with; it is refreshed with no other."""
        record = self.record
        return ClientCredentials(
            client_id=record.client_id,
            client_secret=record.client_secret,
            token_endpoint_auth_method=record.token_endpoint_auth_method,
            private_key=record.client_private_key,
            signing_alg=record.client_signing_alg,
            key_id=record.client_key_id,
            issuer=record.issuer,
        )

    @property
    def transport(self) -> Transport:
        """How it is spoken to: in the name of who named it, with proofs where there is a key."""
        return proving(
            naming(self.base_transport, self.record.named_by),
            self.record.dpop_key,
            self.nonces,
            clock=self.clock,
            entropy=self.entropy,
        )

    @property
    def endpoint(self) -> TokenEndpoint:
        """Where the grant is refreshed, and as whom."""
        record, client = self.record, self.client
        return TokenEndpoint(
            url=record.token_endpoint,
            client=client,
            resource=record.resource,
            parameters=record.token_parameters,
            encoding=record.token_encoding,
            headers=self.resource.token_headers if self.resource else {},
            scope_separator=record.scope_separator,
            mend=self.resource.quirks.token_response if self.resource else None,
            token_error=self.resource.quirks.token_error if self.resource else None,
            client_assertion=assertions(
                client, record.issuer, clock=self.clock, entropy=self.entropy
            ),
            allowed_token_types=frozenset({"bearer", "dpop"} if record.dpop_key else {"bearer"}),
        )

    def revoke(self) -> bool:
        """End the grant's tokens; False when the server offers no way.

        Raises:
            RevocationResponseError: The server refused.
            TransportError: The server is down.
        """
        client = self.client
        return revoke(
            self.transport,
            self.resource.revocation if self.resource else Revocation(),
            endpoint=self.record.revocation_endpoint,
            client=client,
            refresh_token=self.record.refresh_token,
            access_token=self.record.access_token,
            client_assertion=assertions(
                client, self.record.issuer, clock=self.clock, entropy=self.entropy
            ),
        )
