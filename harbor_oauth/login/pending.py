"""What a sign-in has fixed before the browser opens, and the grant it becomes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, cast

import attrs

from harbor_oauth.errors import ConfigurationError
from harbor_oauth.flows.discovery import Discovery
from harbor_oauth.flows.tokens import TokenEndpoint
from harbor_oauth.login.clients import ChosenClient
from harbor_oauth.protocol.authorization import AuthorizationRequest, new_state
from harbor_oauth.protocol.metadata import ServerMetadata
from harbor_oauth.protocol.pkce import PKCE
from harbor_oauth.protocol.token import TokenResponse
from harbor_oauth.providers import Resource
from harbor_oauth.vault import GrantKey, GrantRecord

__all__ = ["Pending", "prepare"]


@attrs.frozen
class Pending:
    """Everything the answer is judged and redeemed by.

    What a server says later cannot send the code anywhere else (RFC 9207 §2.4).

    Attributes:
        request: What the browser asks.
        endpoint: Where the code is redeemed, and as whom.
        metadata: The authorization server.
        client: The client, and what the vault has to learn of it.
        scopes: What is asked for; empty leaves it to the server.
    """

    request: AuthorizationRequest
    endpoint: TokenEndpoint
    metadata: ServerMetadata
    client: ChosenClient
    scopes: tuple[str, ...]

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
        client = self.client.credentials
        return GrantRecord(
            provider=key.provider,
            resource_name=key.resource,
            account_label=key.account,
            issuer=self.metadata.issuer,
            authorization_endpoint=self.metadata.authorization_endpoint,
            token_endpoint=self.endpoint.url,
            revocation_endpoint=self.metadata.revocation_endpoint,
            revocation_auth_methods=self.metadata.revocation_endpoint_auth_methods_supported,
            client_id=client.client_id,
            client_secret=client.client_secret,
            token_endpoint_auth_method=client.token_endpoint_auth_method,
            redirect_uri=self.request.redirect_uri,
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
            token_encoding=cast("Literal['form', 'json']", self.endpoint.encoding),
            token_parameters=resource.token_parameters,
        )


def prepare(
    resource: Resource,
    discovery: Discovery,
    client: ChosenClient,
    *,
    redirect_uri: str,
    scopes: Sequence[str] | None,
    entropy: Callable[[int], bytes],
) -> Pending:
    """Make the authorization request, and fix what its answer will be held against.

    Args:
        resource: What a token is wanted for.
        discovery: What is known of its authorization server.
        client: Who asks.
        redirect_uri: Where the answer is waited for.
        scopes: What to ask for; the provider's or server's default when None.
        entropy: A source of random bytes.

    Raises:
        ConfigurationError: The server has no authorization or token endpoint.
    """
    metadata = discovery.metadata
    if metadata.authorization_endpoint is None or metadata.token_endpoint is None:
        raise ConfigurationError(
            f"{metadata.issuer} names no authorization and token endpoint: nobody can sign in."
        )
    wanted = _wanted(scopes, discovery)
    request = AuthorizationRequest(
        authorization_endpoint=metadata.authorization_endpoint,
        client_id=client.credentials.client_id,
        redirect_uri=redirect_uri,
        scope=resource.scope_separator.join(wanted) or None,
        state=new_state(entropy),
        pkce=PKCE.generate(entropy),
        issuer=metadata.issuer,
        iss_required=metadata.authorization_response_iss_parameter_supported,
        resource=discovery.resource,
        parameters=resource.authorization_parameters,
    )
    endpoint = TokenEndpoint(
        url=metadata.token_endpoint,
        client=client.credentials,
        resource=discovery.resource,
        parameters=resource.token_parameters,
        encoding=resource.token_encoding,
        scope_separator=resource.scope_separator,
        mend=resource.quirks.token_response,
    )
    return Pending(request, endpoint, metadata, client, wanted)


def _wanted(scopes: Sequence[str] | None, discovery: Discovery) -> tuple[str, ...]:
    wanted = tuple((discovery.scopes if scopes is None else scopes) or ())
    supported = discovery.metadata.scopes_supported or ()
    if wanted and "offline_access" in supported and "offline_access" not in wanted:
        return (*wanted, "offline_access")  # MCP: only when this server lists it
    return wanted
