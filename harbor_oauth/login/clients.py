"""Which client signs in: the first that is known, in a fixed order.

Argument, own papers, environment, the app credentials that a distribution
brings, client ID metadata document, the stored registration, and last a new
registration, which needs a redirect URI and is therefore made by the session.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import attrs

from harbor_oauth.errors import (
    ClientRequiredError,
    ConfigurationError,
    IssuerMismatchError,
)
from harbor_oauth.protocol.client_auth import ClientCredentials, choose_auth_method
from harbor_oauth.protocol.metadata import ServerMetadata, same_issuer
from harbor_oauth.protocol.registration import ClientInformation
from harbor_oauth.providers import Provider, Registration, Resource
from harbor_oauth.settings import Settings
from harbor_oauth.vault import ClientRecord, Vault, Write
from harbor_oauth.vault.names import (
    FieldKey,
    GrantName,
    client_record_name,
    papers_record_name,
)

__all__ = ["ChosenClient", "ClientSources", "registered_client"]


@attrs.frozen
class ChosenClient:
    """A client, and what the vault has to learn of it once the sign-in succeeds.

    Attributes:
        credentials: The client.
        redirect_uri: The redirect URI it was registered with, for a stored
            registration; None where the provider's rule decides.
        reused: Whether it is a stored registration, which the server may have
            forgotten.
        registered: A registration just made, with the name of its record.
        binding: Own papers, to be bound to the issuer they are first used at,
            as they were read.
    """

    credentials: ClientCredentials
    redirect_uri: str | None = None
    reused: bool = False
    registered: tuple[str, ClientRecord] | None = None
    binding: Write | None = None

    def writes(self, vault: Vault) -> tuple[Write, ...]:
        """Return what to store together with the grant, as the vault is now.

        A registration replaces an older one. Papers that were changed since
        they were read are left as they are.
        """
        writes: list[Write] = []
        if self.registered is not None:
            name, record = self.registered
            found = vault.read(name)
            writes.append(Write(name, record.to_bytes(), found[1] if found else 0))
        if self.binding is not None:
            found = vault.read(self.binding.name)
            if found and found[1] == self.binding.generation:
                writes.append(self.binding)
        return tuple(writes)

    @property
    def port(self) -> int | None:
        """The port of the registered redirect URI, if there is one."""
        return urlsplit(self.redirect_uri).port if self.redirect_uri else None


@attrs.frozen
class ClientSources:
    """Where clients come from.

    Attributes:
        vault: Holds own papers and registrations.
        settings: Holds the environment's client and the metadata document's URL.
        given: Clients given by the program, by ``provider`` or
            ``provider/resource``.
        clock: Unix seconds, UTC.
        distributed: Returns the client that an installed distribution brings,
            by ``provider`` or ``provider/resource`` (`harbor.clients`).
    """

    vault: Vault
    settings: Settings
    given: Mapping[str, ClientCredentials]
    clock: Callable[[], float]
    distributed: Callable[[str], ClientCredentials | None] = lambda _: None

    def choose(
        self,
        provider: Provider,
        resource: Resource,
        metadata: ServerMetadata,
        *,
        anew: bool,
        device: bool = False,
    ) -> ChosenClient | None:
        """Return the first client that is known, or None when one must be registered.

        Args:
            provider: Whose client.
            resource: For what.
            metadata: The authorization server it has to be known to.
            anew: Leave out a stored registration: the server refused it.
            device: Whether the registration has to be for the device grant.

        Raises:
            ClientRequiredError: None is known and the server registers none.
            ConfigurationError: Own papers belong to another issuer.
        """
        chosen = (
            self._given(provider, resource, metadata)
            or self._own_papers(provider, resource, metadata)
            or self._environment(provider, resource, metadata)
            or self._distributed(provider, resource, metadata)
            or self._metadata_document(resource, metadata)
        )
        if chosen is not None:
            return chosen
        if not anew and (stored := self._registration(provider, resource, metadata, device=device)):
            return stored
        if Registration.DYNAMIC in resource.registration and metadata.registration_endpoint:
            return None
        raise client_required(provider, resource)

    def _given(
        self, provider: Provider, resource: Resource, metadata: ServerMetadata
    ) -> ChosenClient | None:
        given = self.given.get(f"{provider.name}/{resource.name}") or self.given.get(provider.name)
        return self._bound(given, metadata) if given else None

    @staticmethod
    def _bound(client: ClientCredentials, metadata: ServerMetadata) -> ChosenClient:
        """Refuse to take a client to another issuer than it says it belongs to."""
        if client.issuer is not None and not same_issuer(client.issuer, metadata.issuer):
            raise IssuerMismatchError(
                f"The client given belongs to {client.issuer}, and {metadata.issuer} was found",
                requirement="MCP authorization, authorization server binding",
                next_step="Give a client that is registered there.",
            )
        return ChosenClient(client)

    def _own_papers(
        self, provider: Provider, resource: Resource, metadata: ServerMetadata
    ) -> ChosenClient | None:
        if Registration.OWN_PAPERS not in resource.registration:
            return None
        for scope in (resource.name, None):
            found = self.vault.papers(provider.name, scope)
            if found is None:
                continue
            papers, generation = found
            if papers.issuer not in {None, metadata.issuer}:
                raise ConfigurationError(
                    f"The client id stored for {provider.name} belongs to {papers.issuer}, "
                    f"and {provider.name}/{resource.name} is signed in to at {metadata.issuer}.",
                    next_step="Store one for it: harbor chest set "
                    f"oauth:{provider.name}/{resource.name}:client_id CLIENT_ID",
                )
            key = FieldKey(GrantName(provider.name, scope), "client_secret")
            credentials = _credentials(
                provider, resource, metadata, papers, remedy=f"Run: harbor chest set {key}"
            )
            # Papers belong to the authorization server they are first used at.
            bound = Write(
                papers_record_name(provider.name, scope),
                attrs.evolve(papers, issuer=metadata.issuer).to_bytes(),
                generation,
            )
            return ChosenClient(credentials, binding=None if papers.issuer else bound)
        return None

    def _environment(
        self, provider: Provider, resource: Resource, metadata: ServerMetadata
    ) -> ChosenClient | None:
        found = self.settings.client_from_environment(provider.name)
        if found is None or Registration.OWN_PAPERS not in resource.registration:
            return None
        papers = ClientRecord(kind="own", client_id=found[0], client_secret=found[1])
        variable = f"HARBOR_{provider.name.upper().replace('-', '_')}_CLIENT_SECRET"
        return ChosenClient(
            _credentials(provider, resource, metadata, papers, remedy=f"Set {variable}.")
        )

    def _distributed(
        self, provider: Provider, resource: Resource, metadata: ServerMetadata
    ) -> ChosenClient | None:
        """Return the app credentials of whoever distributes Harbor or builds a tool on it."""
        if Registration.OWN_PAPERS not in resource.registration:
            return None
        client = self.distributed(f"{provider.name}/{resource.name}") or self.distributed(
            provider.name
        )
        return self._bound(client, metadata) if client else None

    def _metadata_document(
        self, resource: Resource, metadata: ServerMetadata
    ) -> ChosenClient | None:
        url = self.settings.client_metadata_url
        if (
            url
            and metadata.client_id_metadata_document_supported
            and Registration.METADATA_DOCUMENT in resource.registration
        ):
            return ChosenClient(ClientCredentials(url))
        return None

    def _registration(
        self, provider: Provider, resource: Resource, metadata: ServerMetadata, *, device: bool
    ) -> ChosenClient | None:
        found = self.vault.registration(
            metadata.issuer, provider.name, resource.name, device=device
        )
        if found is None:
            return None
        record = found[0]
        ends = record.client_secret_expires_at
        if ends and ends <= self.clock():  # 0 means never (RFC 7591 §3.2.1)
            return None
        return ChosenClient(
            ClientCredentials(
                record.client_id,
                record.client_secret,
                record.token_endpoint_auth_method or "none",
            ),
            redirect_uri=record.redirect_uri,
            reused=True,
        )


def _credentials(
    provider: Provider,
    resource: Resource,
    metadata: ServerMetadata,
    papers: ClientRecord,
    *,
    remedy: str,
) -> ClientCredentials:
    """Return own papers as a client, authenticated as the vendor or its metadata says."""
    if resource.secret_required and papers.client_secret is None:
        raise ClientRequiredError(
            f"{provider.display_name} wants a client secret, and there is none.",
            next_step=remedy,
        )
    method = papers.token_endpoint_auth_method or (
        (resource.token_endpoint_auth_method if papers.client_secret else None)
        or choose_auth_method(
            metadata.token_endpoint_auth_methods_supported,
            has_secret=papers.client_secret is not None,
        )
    )
    return ClientCredentials(papers.client_id, papers.client_secret, method)


def registered_client(
    provider: Provider,
    resource: Resource,
    metadata: ServerMetadata,
    answer: ClientInformation,
    redirect_uri: str | None,
) -> ChosenClient:
    """Return a client that was registered just now; it is stored with the grant.

    The registration it replaces stays until then, because a grant that still
    works is refreshed with it. One without a redirect URI is for the device grant.
    """
    record = ClientRecord(
        kind="registered",
        client_id=answer.client_id,
        client_secret=answer.client_secret,
        token_endpoint_auth_method=answer.token_endpoint_auth_method,
        issuer=metadata.issuer,
        redirect_uri=redirect_uri,
        registration_access_token=answer.registration_access_token,
        registration_client_uri=answer.registration_client_uri,
        client_secret_expires_at=answer.client_secret_expires_at,
    )
    name = client_record_name(
        metadata.issuer, provider.name, resource.name, device=redirect_uri is None
    )
    return ChosenClient(answer.credentials(), redirect_uri=redirect_uri, registered=(name, record))


def client_required(provider: Provider, resource: Resource) -> ClientRequiredError:
    """Return the error that says where to register an app, and how to store it."""
    if resource.reviewed_only and not resource.registration_steps:
        return ClientRequiredError(
            f"{provider.display_name} admits only clients that it has reviewed.",
            next_step=resource.reviewed_only,
        )
    if Registration.OWN_PAPERS not in resource.registration:
        return ClientRequiredError(
            f"{provider.display_name} registers no clients by itself any more.",
            next_step="Update the provider's distribution.",
        )
    steps = list(resource.registration_steps)
    if resource.registration_url:
        steps.insert(0, f"Register an app at {resource.registration_url}")
    if resource.reviewed_only:
        steps.insert(0, resource.reviewed_only)
    steps.append(f"Run: harbor chest set oauth:{provider.name}:client_id CLIENT_ID")
    if resource.secret_required:
        steps.append(f"Run: harbor chest set oauth:{provider.name}:client_secret")
    return ClientRequiredError(
        f"{provider.display_name} registers no clients by itself, and no client id is stored.",
        next_step="\n".join(steps),
    )
