"""The providers there are, as a person is shown them, and the ones a person comes to trust.

A provider that cannot be used is listed with the reason and disturbs no other.
A stranger's is listed from metadata alone: nothing of it is imported before a
person agreed to those very files.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import attrs

from harbor_oauth import installation
from harbor_oauth.errors import (
    HarborError,
    InvalidNameError,
    ProviderInvalidError,
    ProviderNotFoundError,
    ProviderUntrustedError,
    VaultError,
)
from harbor_oauth.fleet.config import write_agreement
from harbor_oauth.fleet.references import named_secrets
from harbor_oauth.fleet.rules import grant_name
from harbor_oauth.providers import (
    Flow,
    NativeServer,
    OAuthProvider,
    Provider,
    check_server_name,
    is_reserved,
)
from harbor_oauth.providers.names import SHIPPED_PROVIDERS
from harbor_oauth.registry import InstalledProvider, install_line
from harbor_oauth.trust import CLIENTS_GROUP, Agreement, Contents, contents, refuse_claim

if TYPE_CHECKING:
    from harbor_oauth.client import Harbor

__all__ = [
    "ListedProvider",
    "Outlook",
    "examine",
    "install_line",
    "list_providers",
    "outlooks",
    "restore_step",
    "stranger",
    "trust",
]


@attrs.frozen
class ListedProvider:
    """One provider, as it is listed.

    Attributes:
        name: Its name.
        display_name: The vendor's name; the provider's own where that is not known.
        servers: What its servers give access to; None where that is not known.
        flow: The documented flow; None where that is not known.
        pkce_added: Whether sign-ins send PKCE although that flow does not say so.
        native_servers: The names of the servers it declares, the default first.
        grants: The names of its resources' grants, the default one's first.
        secrets: The names of the plain secrets that its default server wants.
        distribution: The distributions that offer it; None for a given provider.
        version: That distribution's version.
        problem: Why it cannot be used, or None.
    """

    name: str
    display_name: str
    servers: str | None = None
    flow: str | None = None
    pkce_added: bool = False
    native_servers: tuple[str, ...] = ()
    grants: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    distribution: str | None = None
    version: str | None = None
    problem: HarborError | None = None

    @property
    def trusted(self) -> bool:
        """Whether it may be imported."""
        return not isinstance(self.problem, ProviderUntrustedError)


@attrs.frozen
class Outlook:
    """How a sign-in to one resource would come by its client now.

    Attributes:
        grant: The grant's name.
        way: Where the client is from; None if there is none.
        missing: What a person has to see to first; empty if nothing.
        steps: How, one sentence or command each.
        reviewed_only: What the vendor demands of clients besides, if it does.
    """

    grant: str
    way: str | None
    missing: str = ""
    steps: tuple[str, ...] = ()
    reviewed_only: str | None = None


def list_providers(harbor: Harbor) -> tuple[ListedProvider, ...]:
    """List the given and installed providers, sorted by name.

    Raises:
        ConfigurationError: The configuration cannot be read.
    """
    _ = harbor.settings  # a broken one is not each provider's fault
    claims: dict[str, list[InstalledProvider]] = {}
    for claim in harbor.installed_providers():
        claims.setdefault(claim.name, []).append(claim)
    return tuple(_listed(harbor, name, claims.get(name, [])) for name in harbor.provider_names())


def outlooks(harbor: Harbor, name: str) -> tuple[Outlook, ...]:
    """Say for each resource of a provider how a sign-in would come by its client now.

    No server is asked, and a vault that cannot be read is an outlook like another.

    Raises:
        ConfigurationError: The provider cannot be used.
    """
    provider = harbor.provider(name)
    found: list[Outlook] = []
    for resource in provider.resources:
        grant = grant_name(provider, resource.name, None)
        try:
            seen = harbor.prospect(provider, resource)
        except VaultError as error:
            found.append(Outlook(grant, None, error.message, (error.next_step,)))
            continue
        reviewed_only = None if seen.way is None else resource.reviewed_only
        found.append(Outlook(grant, seen.way, seen.missing, seen.steps, reviewed_only))
    return tuple(found)


def stranger(harbor: Harbor, name: str, *, client: bool = False) -> InstalledProvider:
    """Return what metadata says of a plugin that a person may come to trust.

    Args:
        harbor: Knows what is installed.
        name: The provider's name; with `client`, ``provider`` or ``provider/resource``.
        client: Whether app credentials for that provider are meant.

    Raises:
        InvalidNameError: The name is reserved, or breaks the rules.
        ProviderNotFoundError: No installed distribution offers it.
        ProviderInvalidError: Two distributions do, or one that may not.
    """
    if not client and is_reserved(check_server_name(name)):
        own = name in SHIPPED_PROVIDERS
        raise InvalidNameError(
            f"{name!r} is a name of Harbor's own; no other distribution may have it.",
            next_step=f"Its own needs no trust: {install_line(name)}" if own else "",
        )
    offered = harbor.installed_clients() if client else harbor.installed_providers()
    claims = [claim for claim in offered if claim.name == name]
    if not claims:
        what = f"app credentials for {name!r}" if client else repr(name)
        raise ProviderNotFoundError(
            f"No distribution that is installed where this Harbor runs offers {what}.",
            next_step=f"Install it there: {installation.current().add_distribution('FOLDER')}\n"
            "See the ones there are: harbor providers",
        )
    claim, *others = claims
    if others:
        what = "bring app credentials for" if client else "claim the same provider,"
        raise ProviderInvalidError(
            f"The distributions {_and(claims)} {what} {name!r}.",
            next_step="Uninstall what you do not want.",
        )
    refuse_claim(claim.entry_point)
    return claim


def examine(claim: InstalledProvider) -> Contents:
    """Read what a person would agree to, before the question; nothing is imported.

    Raises:
        ProviderInvalidError: Its files cannot be read.
    """
    return contents(claim.entry_point)


def trust(harbor: Harbor, claim: InstalledProvider, seen: Contents) -> bool:
    """Write down that a person agreed to use exactly this; say whether that is new.

    Args:
        harbor: Has the configuration.
        claim: What is offered.
        seen: What the person was told of it, from `examine`.

    Raises:
        ConfigurationError: The configuration cannot be written.
    """
    agreement = Agreement(claim.distribution, claim.version, seen.digest)
    client = claim.entry_point.group == CLIENTS_GROUP
    settings = harbor.settings
    agreed = settings.trusted_clients if client else settings.trusted_providers
    if agreed.get(claim.name) == agreement:
        return False
    write_agreement(settings, "clients" if client else "providers", claim.name, agreement)
    harbor.reload_settings()
    return True


def restore_step(harbor: Harbor, provider: str) -> str | None:
    """Return what brings the provider of a stored grant back; None if it is not gone.

    Only of a shipped or a trusted one is it known where it came from.
    """
    if provider in harbor.settings.servers or provider in harbor.provider_names():
        return None
    if provider in SHIPPED_PROVIDERS:
        return install_line(provider)
    agreed = harbor.settings.trusted_providers.get(provider)
    return f"Install {agreed.distribution} {agreed.version} again." if agreed else None


def _listed(harbor: Harbor, name: str, claims: list[InstalledProvider]) -> ListedProvider:
    bare = ListedProvider(
        name=name,
        display_name=name,
        distribution=_and(claims) or None,
        version=claims[0].version if len(claims) == 1 else None,
    )
    try:
        check_server_name(name)  # what only looks like a name cannot come to be trusted
        return _described(bare, harbor.provider(name))
    except HarborError as error:
        return attrs.evolve(bare, problem=error)


def _described(bare: ListedProvider, provider: Provider) -> ListedProvider:
    flow = provider.flow if isinstance(provider, OAuthProvider) else provider.resource().flow
    return attrs.evolve(
        bare,
        display_name=provider.display_name,
        servers=provider.servers_label,
        flow=flow.value,
        # RFC 9700 §2.1.1: PKCE is part of every sign-in, whatever the vendor's pages say.
        pkce_added=flow is Flow.CODE,
        native_servers=tuple(native.name for native in provider.native_servers),
        grants=tuple(grant_name(provider, each.name, None) for each in provider.resources),
        secrets=_secrets(provider.native_servers),
    )


def _secrets(natives: Sequence[NativeServer]) -> tuple[str, ...]:
    return named_secrets(natives[0].headers, natives[0].env) if natives else ()


def _and(claims: list[InstalledProvider]) -> str:
    return " and ".join(sorted(claim.distribution for claim in claims))
