"""What a server may be called, and which tokens may go where.

Server and provider names are one namespace: what is called `slack` is what
gets Slack's token.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import attrs

from harbor_oauth.errors import ConfigurationError, InvalidNameError, WrongResourceError
from harbor_oauth.fleet.references import parse_reference
from harbor_oauth.protocol.urls import origin
from harbor_oauth.providers import Provider, check_server_name, discovered_provider, is_reserved
from harbor_oauth.settings import ServerEntry
from harbor_oauth.vault.names import parse_grant_name

if TYPE_CHECKING:
    from harbor_oauth.client import Harbor

__all__ = [
    "agreeing",
    "check_free",
    "check_origins",
    "grant_name",
    "provider_of",
    "read_only_scopes",
]


def agreeing(docked: ServerEntry | None, entry: ServerEntry) -> ServerEntry:
    """Return what to write, if it does not contradict what is docked.

    Only a grant is ever added to a docked server; everything else that
    differs is the user's to undock first.

    Raises:
        ConfigurationError: It contradicts that.
    """
    if docked is None:
        return entry
    wanted = attrs.evolve(entry, enabled=docked.enabled, grant=docked.grant or entry.grant)
    if attrs.evolve(docked, grant=wanted.grant) != wanted or (
        entry.grant not in {None, wanted.grant}
    ):
        raise ConfigurationError(
            f"A server called {entry.name!r} is docked already, and differs.",
            next_step=f"Undock it first (harbor undock {entry.name}), or choose another --name.",
        )
    return wanted


def check_free(harbor: Harbor, name: str, url: str | None = None) -> None:
    """Refuse a name that stands for something else than this URL.

    Raises:
        InvalidNameError: The name breaks the rules, is reserved, or is a provider's.
    """
    check_server_name(name)
    if name in harbor.provider_names():
        # A query may narrow a provider's server, and never makes it another one.
        own = {
            server.partition("?")[0]
            for resource in harbor.provider(name).resources
            for server in resource.servers
        }
        if url is None or url.partition("?")[0] not in own:
            raise InvalidNameError(
                f"{name!r} is an installed provider's name and cannot stand for another server.",
                next_step=f"Choose another --name; for the provider: harbor dock {name}",
            )
    elif is_reserved(name):
        raise InvalidNameError(
            f"{name!r} is a name of Harbor's own and cannot stand for another server.",
            next_step="Choose another --name.",
        )


def provider_of(harbor: Harbor, name: str, url: str) -> Provider:
    """Return the provider of a server known by its URL; an installed one if it has that name."""
    if name in harbor.provider_names():
        return harbor.provider(name)
    return discovered_provider(name, url)


def grant_name(provider: Provider, resource: str, account: str | None) -> str:
    """Return the shortest name for a grant; the provider's default resource goes unsaid."""
    named = provider.resource(resource).name
    path = "" if named == provider.resource().name else f"/{named}"
    label = f"@{account}" if account is not None else ""
    return str(parse_grant_name(f"{provider.name}{path}{label}"))


def check_origins(harbor: Harbor, url: str, headers: Mapping[str, str]) -> None:
    """Refuse a header that would carry a grant's token to another origin.

    Raises:
        WrongResourceError: One would.
    """
    for value in headers.values():
        reference = parse_reference(value)
        if reference is None or reference.grant is None:
            continue
        name = parse_grant_name(reference.grant)
        resource = harbor.provider(name.provider).resource(name.resource)
        if origin(url) not in resource.allowed_origins:
            raise WrongResourceError(
                f"The token of {reference.grant} must not be sent to {origin(url)}.",
                next_step=f"It is for {', '.join(resource.allowed_origins)} only.",
            )


def read_only_scopes(harbor: Harbor, grant: str, provider: Provider | None) -> tuple[str, ...]:
    """Return the scopes of a grant that is for reading only.

    Raises:
        ConfigurationError: The provider does not say which those are, or has none.
    """
    name = parse_grant_name(grant)
    provider = provider or harbor.provider(name.provider)
    resource = provider.resource(name.resource)
    if not resource.read_only_scopes:  # none at all would leave the choice to the server
        raise ConfigurationError(
            f"{provider.display_name} does not say which scopes are for reading only.",
            next_step=resource.read_only_advice or "Name them: --scope SCOPE, once for each.",
        )
    return resource.read_only_scopes
