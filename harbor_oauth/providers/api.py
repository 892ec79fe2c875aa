"""The Provider protocol and the data class that satisfies it.

Everything a vendor does differently is a field here; what no field can say is
a pure function in `Quirks`. Nothing in this module, and nothing a plugin
declares with it, can relax https, PKCE, `state` or the origins of a token.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import attrs

from harbor_oauth.errors import ConfigurationError
from harbor_oauth.providers.names import check_server_name

if TYPE_CHECKING:
    from harbor_oauth.protocol.http import HttpRequest, HttpResponse
    from harbor_oauth.protocol.metadata import ServerMetadata
    from harbor_oauth.secret import Secret

__all__ = [
    "AccountLookup",
    "Flow",
    "IssuedToken",
    "NativeServer",
    "OAuthProvider",
    "Provider",
    "Quirks",
    "RedirectRule",
    "Registration",
    "Resource",
    "Revocation",
]


def _frozen_mapping(value: Mapping[str, str]) -> Mapping[str, str]:
    return MappingProxyType(dict(value))


class Registration(enum.Enum):
    """A way to come by a client at an authorization server, RFC 7591's among them."""

    OWN_PAPERS = "own papers"
    METADATA_DOCUMENT = "client ID metadata document"
    DYNAMIC = "dynamic registration"


class Flow(enum.Enum):
    """How a provider documents its sign-in; a label for people."""

    CODE = "OAuth 2.0"
    CODE_PKCE = "OAuth 2.0 + PKCE"


@attrs.frozen
class RedirectRule:
    """Which redirect URIs an authorization server accepts (RFC 8252 §7.3).

    Attributes:
        host: The loopback host to advertise: ``127.0.0.1``, ``::1`` or
            ``localhost`` where the vendor compares the name.
        ports: Ports to try in order; ``(0,)`` is any free port.
        paste: The vendor takes no loopback URI at all: the person pastes the
            redirect's URL, and `paste_uri` is what was registered.
        paste_uri: That https URI, when `paste` is true.
    """

    host: str = "127.0.0.1"
    ports: tuple[int, ...] = (0,)
    paste: bool = False
    paste_uri: str | None = None


@attrs.frozen
class IssuedToken:
    """A token to revoke, and what a vendor's own API may want with it.

    Attributes:
        token: The token.
        kind: ``access_token`` or ``refresh_token``.
        client_id: The client it was issued to.
        client_secret: That client's secret; None for a public client.
    """

    token: Secret
    kind: str
    client_id: str
    client_secret: Secret | None


@attrs.frozen
class Revocation:
    """How a token is revoked.

    Attributes:
        endpoint: The URL, or None for the `revocation_endpoint` of the
            server's metadata (RFC 7009).
        request: Builds the request where the vendor's own API does it, from
            the token, its kind (``access_token`` or ``refresh_token``) and the
            client id; None for RFC 7009.
        own_api: As `request`, for a vendor that wants more than these; it gives
            None for a token that ends with the other one, or cannot be revoked.
        accepted: Statuses besides 2xx that mean the token is dead.
        refusal: Reads the error code from an answer with a 2xx status, for a
            vendor that refuses in the body; None where the token is dead.
        possible: False where the vendor offers no way at all.
    """

    endpoint: str | None = None
    request: Callable[[Secret, str, str], HttpRequest] | None = None
    own_api: Callable[[IssuedToken], HttpRequest | None] | None = None
    accepted: tuple[int, ...] = ()
    refusal: Callable[[HttpResponse], str | None] | None = None
    possible: bool = True


@attrs.frozen
class AccountLookup:
    """How to ask who signed in.

    Attributes:
        request: Builds the request from the access token.
        account: Reads the account's name from the answer; None if it is not there.
    """

    request: Callable[[Secret], HttpRequest]
    account: Callable[[HttpResponse], str | None]


@attrs.frozen
class Quirks:
    """Pure functions that mend a vendor's deviations.

    Attributes:
        token_response: From the parsed token answer to the members RFC 6749
            §5.1 names; total, and it never changes its argument.
        token_error: The error code of RFC 6749 §5.2 that a token answer with a
            4xx status means, where the vendor names none; None leaves it open.
        is_auth_error: Whether an answer with a status other than 401 means
            that the access token was refused.
        account: Reads who signed in from the mended members of a token answer,
            where the vendor says it there; None where this answer does not.
    """

    token_response: Callable[[Mapping[str, object]], Mapping[str, object]] | None = None
    token_error: Callable[[HttpResponse], str | None] | None = None
    is_auth_error: Callable[[HttpResponse], bool] | None = None
    account: Callable[[Mapping[str, object]], str | None] | None = None


@attrs.frozen
class Resource:
    """What one token of a provider is for: server URLs sharing issuer and grant.

    Attributes:
        name: ``mcp``, ``api`` or another word of the provider's.
        servers: URLs of the servers it serves; the first is the default.
        allowed_origins: Origins the token may be sent to, nothing else.
        issuer: The authorization server's issuer identifier, when known.
        metadata: Pinned server metadata: what is used where no document is
            found, or all there is without `discover`; None leaves it to discovery.
        issuer_hosts: Hosts that every endpoint of a document has to be at;
            empty for those that the pinned metadata names, or for any host
            where none is pinned.
        resource: The RFC 8707 indicator to ask for; None asks for none unless
            protected resource metadata names one.
        discover: Whether to ask the first server who its authorization server
            is (RFC 9728); False where `metadata` is complete.
        scopes: What to ask by default; None leaves it to the server's metadata.
        read_only_scopes: What to ask for reading only.
        read_only_advice: What keeps a grant to reading where no scope does: a
            sentence for the person who signs in.
        scope_separator: How scopes are joined on the wire; RFC 6749 §3.3 says
            a space.
        authorization_parameters: Constant extra parameters.
        token_parameters: Constant extra parameters of code and refresh requests.
        token_encoding: ``form``, or ``json`` where the vendor demands it.
        token_headers: Constant extra header fields of code and refresh requests.
        refresh_endpoint: Where refresh requests go, for a vendor that takes them
            elsewhere than at the token endpoint.
        redirect: Which redirect URIs are accepted.
        registration: Ways to come by a client, in order.
        token_endpoint_auth_method: For own papers; None chooses from metadata.
        secret_required: Whether own papers need a client secret.
        token_life: Seconds an access token usually lives; None is unknown.
        refresh_token_life: Seconds an unused refresh token usually lives.
        rotates: Whether refresh tokens are rotated; None is unknown.
        grants_at_once: How many grants of one person and client may live at
            once; None is unknown.
        account: How to ask who signed in.
        revocation: How a token is revoked.
        manage_url: Where a person sees and ends access.
        registration_url: Where an app is registered.
        registration_steps: What to do there, one sentence each.
        reviewed_only: For a vendor that admits only clients it has reviewed:
            one sentence that says so and what a person can do instead. It is
            told where the vendor refuses to register a client or to sign in.
        quirks: Functions for what no field can say.
        flow: The documented flow of this resource.
    """

    name: str
    servers: tuple[str, ...]
    allowed_origins: tuple[str, ...]
    issuer: str | None = None
    metadata: ServerMetadata | None = None
    issuer_hosts: tuple[str, ...] = ()
    resource: str | None = None
    discover: bool = True
    scopes: tuple[str, ...] | None = None
    read_only_scopes: tuple[str, ...] | None = None
    read_only_advice: str | None = None
    scope_separator: str = " "
    authorization_parameters: Mapping[str, str] = attrs.field(
        factory=dict, converter=_frozen_mapping
    )
    token_parameters: Mapping[str, str] = attrs.field(factory=dict, converter=_frozen_mapping)
    token_encoding: str = "form"  # noqa: S105 - an encoding, not a token
    token_headers: Mapping[str, str] = attrs.field(factory=dict, converter=_frozen_mapping)
    refresh_endpoint: str | None = None
    redirect: RedirectRule = RedirectRule()
    registration: tuple[Registration, ...] = (
        Registration.OWN_PAPERS,
        Registration.METADATA_DOCUMENT,
        Registration.DYNAMIC,
    )
    token_endpoint_auth_method: str | None = None
    secret_required: bool = False
    token_life: int | None = None
    refresh_token_life: int | None = None
    rotates: bool | None = None
    grants_at_once: int | None = None
    account: AccountLookup | None = None
    revocation: Revocation = Revocation()
    manage_url: str | None = None
    registration_url: str | None = None
    registration_steps: tuple[str, ...] = ()
    reviewed_only: str | None = None
    quirks: Quirks = Quirks()
    flow: Flow = Flow.CODE_PKCE

    @property
    def url(self) -> str | None:
        """The first server's URL, or None for a resource without servers."""
        return self.servers[0] if self.servers else None


@attrs.frozen
class NativeServer:
    """An MCP server that a provider's plugin declares.

    Attributes:
        name: Its name in the fleet; the default one has the provider's name.
        resource: The resource whose token it accepts, and a sign-in gets.
        other_resources: Resources whose tokens it accepts as well, in order of
            preference, where there is no grant for the first.
        scopes: What it needs besides the resource's default scopes.
        url: Its URL, for a remote server.
        command: Program and arguments, for a stdio server.
        headers: Header names to values, with `vault:` references.
        env: Environment names to values, with `vault:` references.
    """

    name: str
    resource: str
    url: str | None = None
    command: tuple[str, ...] = ()
    headers: Mapping[str, str] = attrs.field(factory=dict, converter=_frozen_mapping)
    env: Mapping[str, str] = attrs.field(factory=dict, converter=_frozen_mapping)
    other_resources: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()


@runtime_checkable
class Provider(Protocol):
    """What the library needs to know of a vendor.

    `OAuthProvider` satisfies it with data; anything else that has these
    members does too.
    """

    @property
    def name(self) -> str:
        """The provider's name: its entry point's, and the first part of a grant name."""
        ...

    @property
    def display_name(self) -> str:
        """The vendor's name as it writes it."""
        ...

    @property
    def servers_label(self) -> str:
        """What its servers give access to, for a table."""
        ...

    @property
    def native_servers(self) -> tuple[NativeServer, ...]:
        """The MCP servers it declares, the default first."""
        ...

    @property
    def resources(self) -> tuple[Resource, ...]:
        """Its resources, the default first."""
        ...

    def resource(self, name: str | None = None) -> Resource:
        """Return the resource of that name, or the default one.

        Raises:
            ConfigurationError: There is no such resource.
        """
        ...


def _check_name(_: object, __: object, value: str) -> None:
    check_server_name(value)


def _check_resources(provider: OAuthProvider, _: object, value: tuple[Resource, ...]) -> None:
    names = [check_server_name(resource.name) for resource in value]
    if not names or len(set(names)) != len(names):
        raise ConfigurationError(
            f"The provider {provider.name!r} needs resources with different names."
        )


@attrs.frozen
class OAuthProvider:
    """A provider made of data.

    Attributes:
        name: The provider's name: its entry point's, and the first part of a
            grant name.
        display_name: The vendor's name as it writes it.
        resources: Its resources, the default first.
        native_servers: The MCP servers it declares, the default first.
        servers_label: What its servers give access to; the display name when
            left out.
        documentation: The vendor's own page about OAuth.
        environment: Variables that the vendor's own tools read a token from.
        flow: The documented flow, a label for people: that of the classic API
            where there is one.

    Raises:
        InvalidNameError: Its name, or a resource's, cannot be part of a grant name.
        ConfigurationError: It has no resources, or two of one name.
    """

    name: str = attrs.field(validator=_check_name)
    display_name: str
    resources: tuple[Resource, ...] = attrs.field(validator=_check_resources)
    native_servers: tuple[NativeServer, ...] = ()
    servers_label: str = attrs.field(
        default=attrs.Factory(lambda self: self.display_name, takes_self=True)
    )
    documentation: str | None = None
    environment: tuple[str, ...] = ()
    flow: Flow = Flow.CODE_PKCE

    def resource(self, name: str | None = None) -> Resource:
        """Return the resource of that name, or the default one.

        Raises:
            ConfigurationError: There is no such resource.
        """
        for resource in self.resources:
            if name is None or resource.name == name:
                return resource
        known = ", ".join(f"{self.name}/{resource.name}" for resource in self.resources)
        raise ConfigurationError(
            f"{self.display_name} has no resource {name!r}.", next_step=f"Known: {known}."
        )
