"""Docks and undocks servers.

The sign-in comes first and the entry in `config.toml` last, so that whatever
fails or is interrupted leaves the fleet as it was.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

import attrs

from harbor_oauth.errors import (
    ConfigurationError,
    HarborError,
    ServerNotFoundError,
)
from harbor_oauth.fleet.config import add_server, check_writable, remove_server
from harbor_oauth.fleet.references import (
    Reference,
    check_values,
    grants_of,
    missing,
    parse_reference,
)
from harbor_oauth.fleet.rules import (
    agreeing,
    check_free,
    check_origins,
    grant_name,
    provider_of,
)
from harbor_oauth.fleet.tools import count_tools
from harbor_oauth.protocol.urls import canonical_resource, origin, require_endpoint
from harbor_oauth.providers import Provider
from harbor_oauth.settings import ServerEntry
from harbor_oauth.vault.names import parse_grant_name

if TYPE_CHECKING:
    from harbor_oauth.client import GrantStatus, Harbor, LogoutResult

__all__ = ["Docked", "Undocked", "dock_command", "dock_provider", "dock_url", "server", "undock"]


@attrs.frozen
class Docked:
    """What a docking did.

    Attributes:
        entry: The server as it is docked now.
        changed: Whether the configuration was written; docking twice does not.
        signed_in: Whether a person signed in for it just now.
        account: Who signed in, where that is known.
        tools: How many tools the server offers; None if it did not say, or
            was not asked.
        missing: The documented keys its values name that are not there yet.
        next_command: What to do next.
    """

    entry: ServerEntry
    changed: bool
    signed_in: bool
    account: str | None
    tools: int | None
    missing: tuple[str, ...]
    next_command: str


@attrs.frozen
class Undocked:
    """What an undocking did.

    Attributes:
        entry: The server as it was docked.
        ended: What became of its grant; empty where it had none, or it stays.
        shared: Each grant that stays, with the servers that still use it.
        kept: Grants that stay although no server uses them now: its own if
            that was asked for, and those that only its values named.
    """

    entry: ServerEntry
    ended: tuple[LogoutResult, ...] = ()
    shared: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict)
    kept: tuple[str, ...] = ()


def server(harbor: Harbor, name: str) -> ServerEntry:
    """Return a docked server.

    Raises:
        ServerNotFoundError: There is none of that name; the text lists those there are.
    """
    servers = harbor.settings.servers
    if name not in servers:
        known = ", ".join(sorted(servers)) or "none"
        raise ServerNotFoundError(
            f"No docked server is called {name!r} (docked: {known}).",
            next_step="harbor dock --help",
        )
    return servers[name]


def dock_provider(
    harbor: Harbor,
    provider_name: str,
    *,
    name: str | None = None,
    account: str | None = None,
    skip_auth: bool = False,
    on_url: Callable[[str], None] | None = None,
) -> Docked:
    """Dock the server that a provider declares as its default.

    Args:
        harbor: Signs in and keeps the grant.
        provider_name: The provider.
        name: The server's name, where it is not the provider's own.
        account: A label, to keep several accounts of one provider apart.
        skip_auth: Do not sign in now.
        on_url: Called with the URL to sign in at, before a browser opens.

    Raises:
        ConfigurationError: The provider is unknown, declares no server, or
            the name is taken.
        HarborError: The sign-in failed; nothing was changed.
    """
    provider = harbor.provider(provider_name)
    if not provider.native_servers:
        raise ConfigurationError(
            f"{provider.display_name} declares no server to dock.",
            next_step=f"To sign in only: harbor charter {provider_name}",
        )
    native = provider.native_servers[0]
    grant = grant_name(provider, native.resource, account)
    if name is not None and name != native.name:
        check_free(harbor, name)
    entry = ServerEntry(
        name=name or native.name,
        url=native.url,
        command=native.command[0] if native.command else None,
        args=native.command[1:],
        grant=grant,
        headers=native.headers,
        env=native.env,
    )
    return _dock(harbor, entry, provider, sign_in=not skip_auth, on_url=on_url)


def dock_url(
    harbor: Harbor,
    name: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
    account: str | None = None,
    skip_auth: bool = False,
    on_url: Callable[[str], None] | None = None,
) -> Docked:
    """Dock a remote server by its URL.

    A person signs in if the server asks for a token. With a header that
    carries a credential by reference, that is the server's means of
    authentication, and nobody signs in.

    Args:
        harbor: Signs in and keeps the grant.
        name: The server's name, and its grant's.
        url: The server's URL: https, or http on loopback.
        headers: Header names to values, `vault:` references among them.
        env: Environment names to values, `vault:` references among them.
        account: A label for the account, to keep several apart.
        skip_auth: The server needs no sign-in.
        on_url: Called with the URL to sign in at, before a browser opens.

    Raises:
        ConfigurationError: A name, header or reference breaks a rule.
        InsecureEndpointError: The URL is neither https nor loopback http.
        WrongResourceError: A header would send a grant's token to an origin
            that is not the grant's.
        HarborError: The sign-in failed; nothing was changed.
    """
    headers, env = headers or {}, env or {}
    url = canonical_resource(require_endpoint(url, "server URL"))
    check_free(harbor, name, url)
    check_values(headers, env)
    check_origins(harbor, url, headers)
    authenticated = any(parse_reference(value) for value in headers.values())
    grant = next(
        (
            reference.grant
            for header, value in headers.items()
            if header.lower() == "authorization" and (reference := parse_reference(value))
        ),
        None,
    )
    docked = harbor.settings.servers.get(name)
    entry = agreeing(docked, ServerEntry(name=name, url=url, grant=grant, headers=headers, env=env))
    if skip_auth or authenticated:
        return _dock(harbor, entry, None, sign_in=False, on_url=on_url)
    provider = provider_of(harbor, name, url)
    # A docked server's answer is known: docking it again asks nobody.
    if (entry.grant is None or account is not None) and not harbor.needs_no_token(provider):
        entry = attrs.evolve(entry, grant=grant_name(provider, "mcp", account))
    return _dock(harbor, entry, provider, sign_in=entry.grant is not None, on_url=on_url)


def dock_command(
    harbor: Harbor,
    name: str,
    command: str,
    args: tuple[str, ...] = (),
    *,
    env: Mapping[str, str] | None = None,
) -> Docked:
    """Dock a server that is a program, to be started by `harbor run`.

    Args:
        harbor: Knows the names that are taken.
        name: The server's name.
        command: The program.
        args: Its arguments, verbatim.
        env: Environment names to values, `vault:` references among them.

    Raises:
        ConfigurationError: A name, value or reference breaks a rule.
    """
    env = env or {}
    check_free(harbor, name)
    check_values({}, env)
    if any(word.startswith("vault:") for word in (command, *args)):
        raise ConfigurationError(
            "A reference stands in a command line, which every program on this machine can read.",
            next_step="Hand it over in the environment: --env NAME=vault:KEY",
        )
    entry = ServerEntry(name=name, command=command, args=args, env=env)
    return _dock(harbor, entry, None, sign_in=False, on_url=None)


def undock(harbor: Harbor, name: str, *, keep_grant: bool = False) -> Undocked:
    """Remove a server, and end its grant if nothing else uses it.

    Own papers and client registrations stay, so that docking again asks for none.

    Args:
        harbor: Ends the grant.
        name: The server.
        keep_grant: Leave its grant alone.

    Raises:
        ServerNotFoundError: There is no such server.
        VaultError: The grant could not be forgotten; the server is still docked.
        ConfigurationError: The configuration could not be written.
    """
    entry = server(harbor, name)
    check_writable(harbor.settings)
    grants = [grant for grant in grants_of(entry) if harbor.grant_status(grant)]
    shared = {grant: users for grant in grants if (users := _other_users(harbor, grant, name))}
    unshared = [grant for grant in grants if grant not in shared]
    ended: tuple[LogoutResult, ...] = ()
    if entry.grant in unshared and not keep_grant:
        # Before the entry goes: what fails here can be tried again by name.
        ended = (harbor.logout(entry.grant),)
        unshared.remove(entry.grant)
    remove_server(harbor.settings, name)
    harbor.reload_settings()
    return Undocked(entry=entry, ended=ended, shared=shared, kept=tuple(unshared))


def _dock(
    harbor: Harbor,
    entry: ServerEntry,
    provider: Provider | None,
    *,
    sign_in: bool,
    on_url: Callable[[str], None] | None,
) -> Docked:
    docked = harbor.settings.servers.get(entry.name)
    entry = agreeing(docked, entry)
    check_writable(harbor.settings)
    status = harbor.grant_status(entry.grant) if entry.grant else None
    signing_in = sign_in and not _usable(harbor, entry, status)
    with contextlib.ExitStack() as stack:
        if signing_in and entry.grant:
            stack.enter_context(_undone_on_failure(harbor, entry.grant, status))
            status = harbor.login(entry.grant, provider=provider, on_url=on_url)
        absent = missing(harbor, [*entry.headers.values(), *entry.env.values()])
        ready = not absent and (entry.grant is None or status is not None)
        tools = count_tools(harbor, entry) if entry.url and ready else None
        if entry != docked:
            add_server(harbor.settings, entry)
            harbor.reload_settings()
    return Docked(
        entry=entry,
        changed=entry != docked,
        signed_in=signing_in,
        account=status.account if status else None,
        tools=tools,
        missing=tuple(str(reference.key) for reference in absent),
        next_command=_next_command(entry, status, absent),
    )


def _usable(harbor: Harbor, entry: ServerEntry, status: GrantStatus | None) -> bool:
    """Say whether a stored grant is alive and, for a remote server, meant for it."""
    if entry.grant is None or status is None or status.state != "active":
        return False
    if entry.url is None:
        return True
    key = harbor.vault.resolve(parse_grant_name(entry.grant))
    found = harbor.vault.grant(key) if key else None
    return found is not None and origin(entry.url) in found[0].allowed_origins


@contextlib.contextmanager
def _undone_on_failure(harbor: Harbor, grant: str, before: GrantStatus | None) -> Iterator[None]:
    """End a grant that was made for a docking that did not come about."""
    try:
        yield
    except BaseException:
        if before is None:
            with contextlib.suppress(HarborError):
                harbor.logout(grant)
        raise


def _other_users(harbor: Harbor, grant: str, name: str) -> tuple[str, ...]:
    """Return the other servers that use a grant, by whichever name they call it."""

    def canonical(named: str) -> str:
        status = harbor.grant_status(named)
        return status.grant if status else named

    wanted = canonical(grant)
    return tuple(
        other.name
        for other in harbor.settings.servers.values()
        if other.name != name and wanted in map(canonical, grants_of(other))
    )


def _next_command(
    entry: ServerEntry, status: GrantStatus | None, absent: tuple[Reference, ...]
) -> str:
    if entry.grant and status is None:
        return f"harbor charter {entry.grant}"
    if absent:
        return absent[0].remedy
    if entry.command:
        return f"harbor run {entry.name}"
    return f"harbor token {entry.grant}" if entry.grant else "harbor fleet"
