"""What a sign-in has fixed before the browser opens."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import attrs

from harbor_oauth.errors import ConfigurationError
from harbor_oauth.flows.discovery import Discovery
from harbor_oauth.flows.tokens import TokenEndpoint
from harbor_oauth.login.clients import ChosenClient
from harbor_oauth.login.storing import Redemption
from harbor_oauth.protocol.authorization import AuthorizationRequest, new_state
from harbor_oauth.protocol.pkce import PKCE
from harbor_oauth.providers import Resource
from harbor_oauth.secret import Secret

__all__ = ["Pending", "is_narrower", "prepare", "scopes_to_ask", "token_endpoint"]


@attrs.frozen
class Pending(Redemption):
    """Everything the answer is judged and redeemed by.

    Attributes:
        request: What the browser asks.
    """

    request: AuthorizationRequest

    @property
    def redirect_uri(self) -> str:
        """Where the browser is sent back to."""
        return self.request.redirect_uri


def prepare(
    resource: Resource,
    discovery: Discovery,
    client: ChosenClient,
    *,
    redirect_uri: str,
    scopes: tuple[str, ...],
    entropy: Callable[[int], bytes],
    parameters: Mapping[str, str] | None = None,
) -> AuthorizationRequest:
    """Make the authorization request, which fixes what its answer is held against.

    Args:
        resource: What a token is wanted for.
        discovery: What is known of its authorization server.
        client: Who asks.
        redirect_uri: Where the answer is waited for.
        scopes: What to ask for; see `scopes_to_ask`.
        entropy: A source of random bytes.
        parameters: Parameters of this request besides the provider's.

    Raises:
        ConfigurationError: The server has no authorization endpoint.
    """
    metadata = discovery.metadata
    if metadata.authorization_endpoint is None:
        raise ConfigurationError(
            f"{metadata.issuer} names no authorization endpoint: nobody can sign in."
        )
    return AuthorizationRequest(
        authorization_endpoint=metadata.authorization_endpoint,
        client_id=client.credentials.client_id,
        redirect_uri=redirect_uri,
        scope=resource.scope_separator.join(scopes) or None,
        state=new_state(entropy),
        pkce=PKCE.generate(entropy),
        issuer=metadata.issuer,
        iss_required=metadata.authorization_response_iss_parameter_supported,
        resource=discovery.resource,
        parameters={**resource.authorization_parameters, **(parameters or {})},
    )


def token_endpoint(
    resource: Resource,
    discovery: Discovery,
    client: ChosenClient,
    client_assertion: Callable[[], Secret] | None,
) -> TokenEndpoint:
    """Return where tokens come from, as it wants to be asked.

    Args:
        resource: What a token is wanted for.
        discovery: What is known of its authorization server.
        client: Who asks.
        client_assertion: Signs for a client with a key; None for any other.

    Raises:
        ConfigurationError: The server has no token endpoint.
    """
    metadata = discovery.metadata
    if metadata.token_endpoint is None:
        raise ConfigurationError(f"{metadata.issuer} names no token endpoint: nobody can sign in.")
    return TokenEndpoint(
        url=metadata.token_endpoint,
        client=client.credentials,
        resource=discovery.resource,
        parameters=resource.token_parameters,
        encoding=resource.token_encoding,
        headers=resource.token_headers,
        scope_separator=resource.scope_separator,
        mend=resource.quirks.token_response,
        token_error=resource.quirks.token_error,
        client_assertion=client_assertion,
        allowed_token_types=frozenset({"dpop"} if discovery.dpop else {"bearer"}),
    )


def is_narrower(scopes: Iterable[str], default: Iterable[str]) -> bool:
    """Say whether scopes are some of the default ones, and not all.

    `offline_access` is asked for besides, and gives access to nothing.
    """
    return set(scopes) - {"offline_access"} < set(default) - {"offline_access"}


def scopes_to_ask(
    discovery: Discovery,
    *,
    scopes: tuple[str, ...] | None,
    held: tuple[str, ...],
    ceiling: tuple[str, ...] | None,
    challenged: bool = False,
) -> tuple[str, ...]:
    """Return what to ask for; empty leaves it to the server.

    Under a ceiling nothing is left to it: its own default could be anything.
    A grant that was asked for with less than the default is not widened by
    signing in again: who wants more names it.

    Args:
        discovery: What is known of the authorization server.
        scopes: What the caller wants; the provider's or server's default when None.
        held: What was asked for before, at the same issuer; empty for nothing.
        ceiling: All that the user allows to be asked for; None for anything.
        challenged: Whether a server's refusal brought this about; nothing that
            was asked for before is lost then.

    Raises:
        ConfigurationError: The ceiling leaves nothing of what is wanted.
    """
    default = discovery.scopes or ()
    if scopes is not None:
        wanted = (*(held if challenged else ()), *scopes)
    elif held and (challenged or not default or is_narrower(held, default)):
        wanted = held
    else:
        wanted = default
    wanted = tuple(dict.fromkeys(wanted))
    supported = discovery.metadata.scopes_supported or ()
    if wanted and "offline_access" in supported and "offline_access" not in wanted:
        wanted = (*wanted, "offline_access")  # MCP: only when this server lists it
    if ceiling is None:
        return wanted
    allowed = tuple(scope for scope in wanted if scope in ceiling)
    if wanted and not allowed:
        # Asking for nothing would leave the choice to the server.
        raise ConfigurationError(
            f"The scope ceiling allows none of the scopes to ask for: {' '.join(wanted)}.",
            next_step="Raise it in config.toml, or ask for others.",
        )
    return allowed or ceiling
