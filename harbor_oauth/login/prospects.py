"""How a sign-in would come by its client now; no server is asked.

The order is that of `ClientSources.choose`, as far as it is known before the
server's metadata is.
"""

from __future__ import annotations

import attrs

from harbor_oauth.errors import ProviderInvalidError, ProviderUntrustedError
from harbor_oauth.login.clients import ClientSources, client_required
from harbor_oauth.protocol.metadata import same_issuer
from harbor_oauth.providers import Provider, Registration, Resource
from harbor_oauth.settings import Settings
from harbor_oauth.vault import Vault

__all__ = ["Prospect", "prospect"]


@attrs.frozen
class Prospect:
    """How a sign-in would come by its client.

    Attributes:
        way: Where the client is from; None if there is none.
        missing: What a person has to see to first; empty if nothing.
        steps: How, one sentence or command each.
    """

    way: str | None
    missing: str = ""
    steps: tuple[str, ...] = ()


def prospect(sources: ClientSources, provider: Provider, resource: Resource) -> Prospect:
    """Say how a sign-in to a resource would come by its client now.

    Raises:
        VaultError: The vault cannot be read.
    """
    names = (f"{provider.name}/{resource.name}", provider.name)
    if any(name in sources.given for name in names):
        return Prospect("the program's own client")
    return (
        _app(sources, provider, resource, names)
        or _metadata_document(sources.settings, resource)
        or _registration(sources.vault, provider, resource)
        or _nothing(provider, resource)
    )


def _app(
    sources: ClientSources, provider: Provider, resource: Resource, names: tuple[str, ...]
) -> Prospect | None:
    """Look for an app that somebody registered, where the resource takes one."""
    if Registration.OWN_PAPERS not in resource.registration:
        return None
    return (
        _own_papers(sources.vault, provider, resource)
        or _environment(sources.settings, provider, resource)
        or _distributed(sources, names)
    )


def _own_papers(vault: Vault, provider: Provider, resource: Resource) -> Prospect | None:
    for scope in (resource.name, None):
        found = vault.papers(provider.name, scope)
        if found is None:
            continue
        papers = found[0]
        if papers.issuer and resource.issuer and not same_issuer(papers.issuer, resource.issuer):
            step = (
                f"Run: harbor chest set oauth:{provider.name}/{resource.name}:client_id CLIENT_ID"
            )
            return Prospect(
                None, f"a client id of its own: the stored one is for {papers.issuer}", (step,)
            )
        if resource.secret_required and papers.client_secret is None:
            name = f"{provider.name}/{scope}" if scope else provider.name
            step = f"Run: harbor chest set oauth:{name}:client_secret"
            return Prospect("own papers", "the client secret", (step,))
        return Prospect("own papers")
    return None


def _environment(settings: Settings, provider: Provider, resource: Resource) -> Prospect | None:
    found = settings.client_from_environment(provider.name)
    if found is None:
        return None
    if resource.secret_required and found[1] is None:
        variable = f"HARBOR_{provider.name.upper().replace('-', '_')}_CLIENT_SECRET"
        return Prospect("the environment", "the client secret", (f"Set {variable}.",))
    return Prospect("the environment")


def _distributed(sources: ClientSources, names: tuple[str, ...]) -> Prospect | None:
    try:
        if any(sources.distributed(name) for name in names):
            return Prospect("an installed distribution's app")
    except (ProviderInvalidError, ProviderUntrustedError) as error:
        return Prospect(None, error.message, (error.next_step,))
    return None


def _metadata_document(settings: Settings, resource: Resource) -> Prospect | None:
    accepted = Registration.METADATA_DOCUMENT in resource.registration and (
        # Only pinned metadata says it beforehand.
        resource.discover
        or (
            resource.metadata is not None
            and resource.metadata.client_id_metadata_document_supported
        )
    )
    if accepted and settings.client_metadata_url:
        return Prospect("a client ID metadata document")
    return None


def _registration(vault: Vault, provider: Provider, resource: Resource) -> Prospect | None:
    issuer = resource.issuer or (resource.metadata.issuer if resource.metadata else None)
    if issuer and vault.registration(issuer, provider.name, resource.name):
        return Prospect("the stored registration")
    # Where only reviewed clients may register, the server refuses all others.
    if Registration.DYNAMIC in resource.registration and resource.reviewed_only is None:
        return Prospect("a new registration")
    return None


def _nothing(provider: Provider, resource: Resource) -> Prospect:
    steps = tuple(client_required(provider, resource).next_step.splitlines())
    reviewed = resource.reviewed_only is not None
    return Prospect(
        None, "a client that the vendor reviewed" if reviewed else "an app of your own", steps
    )
