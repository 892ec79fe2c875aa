"""The servers that a provider declares: what each is docked as, and with which grant.

A server takes the tokens of one resource or of several. A grant that is there
and suffices is used; servers that are docked together share one where they can,
so that a person signs in once for all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import attrs

from harbor_oauth.errors import ConfigurationError, WrongResourceError
from harbor_oauth.fleet.references import check_values, parse_reference
from harbor_oauth.fleet.rules import check_free, check_origins, grant_name
from harbor_oauth.login.pending import is_narrower
from harbor_oauth.protocol.urls import origin
from harbor_oauth.providers import NativeServer, Provider
from harbor_oauth.settings import ServerEntry
from harbor_oauth.vault.names import FieldKey, parse_grant_name

if TYPE_CHECKING:
    from harbor_oauth.client import GrantStatus, Harbor

__all__ = ["Plan", "native_servers", "plan", "scopes_to_ask", "undocked", "usable"]


@attrs.frozen
class Plan:
    """A server to dock.

    Attributes:
        entry: What is to be written.
        needs: The scopes its grant needs besides the resource's default ones,
            those of the servers that are docked with it included.
    """

    entry: ServerEntry
    needs: tuple[str, ...] = ()


def native_servers(provider: Provider, name: str | None = None) -> tuple[NativeServer, ...]:
    """Return the servers that a provider declares, or the one of that name.

    Raises:
        ConfigurationError: There is none.
    """
    if not provider.native_servers:
        raise ConfigurationError(
            f"{provider.display_name} declares no server to dock.",
            next_step=f"To sign in only: harbor charter {provider.name}",
        )
    found = tuple(each for each in provider.native_servers if name in {None, each.name})
    if not found:
        known = ", ".join(each.name for each in provider.native_servers)
        raise ConfigurationError(
            f"{provider.display_name} declares no server called {name!r}.",
            next_step=f"Declared: {known}.",
        )
    return found


def undocked(harbor: Harbor, provider: Provider) -> tuple[str, ...]:
    """Return the names of a provider's servers that are not docked."""
    docked = harbor.settings.servers
    return tuple(each.name for each in provider.native_servers if each.name not in docked)


def plan(
    harbor: Harbor,
    provider: Provider,
    natives: Iterable[NativeServer],
    *,
    name: str | None = None,
    account: str | None = None,
) -> tuple[Plan, ...]:
    """Say what docking these servers together means.

    Args:
        harbor: Knows the grants and servers there are.
        provider: Whose servers.
        natives: Which of them.
        name: The server's name, where it is not the declared one.
        account: A label, to keep several accounts of one provider apart.

    Raises:
        ConfigurationError: A name is taken, or a server is declared wrongly.
        WrongResourceError: A server wants a token that is not for it.
    """
    plans: list[Plan] = []
    needs: dict[str, tuple[str, ...]] = {}
    for native in natives:
        called = native.name if name is None else name
        grant = _grant(harbor, provider, native, called, account, needs)
        needs[grant] = tuple(dict.fromkeys((*needs.get(grant, ()), *native.scopes)))
        plans.append(Plan(_entry(harbor, provider, native, called, grant)))
    return tuple(attrs.evolve(each, needs=needs[each.entry.grant or ""]) for each in plans)


def usable(harbor: Harbor, entry: ServerEntry, needs: Iterable[str] = ()) -> bool:
    """Say whether a server's grant is alive, wide enough and, for a remote one, meant for it."""
    status = harbor.grant_status(entry.grant) if entry.grant else None
    if status is None or status.state != "active" or not set(needs) <= set(status.scopes):
        return False
    if entry.url is None:
        return True
    key = harbor.vault.resolve(parse_grant_name(entry.grant or ""))
    found = harbor.vault.grant(key) if key else None
    return found is not None and origin(entry.url) in found[0].allowed_origins


def scopes_to_ask(
    provider: Provider, grant: str, needs: tuple[str, ...], status: GrantStatus | None
) -> tuple[str, ...] | None:
    """Return what to ask for at a sign-in; None leaves it to the provider and its server.

    What was asked for before is kept: other servers may use the same grant. So
    is a narrower choice than the default, to which only `needs` are added.
    """
    default = provider.resource(parse_grant_name(grant).resource).scopes
    before = status.requested_scopes if status else ()
    if default is None and not needs:
        return None
    if before and is_narrower(before, default or ()):
        default = ()
    return tuple(dict.fromkeys((*(default or ()), *before, *needs)))


def _grant(
    harbor: Harbor,
    provider: Provider,
    native: NativeServer,
    called: str,
    account: str | None,
    planned: Iterable[str],
) -> str:
    """Return the grant of a server: the docked one's, one that is there, or one to be made."""
    accepted = [
        grant_name(provider, resource, account)
        for resource in (native.resource, *native.other_resources)
    ]
    docked = harbor.settings.servers.get(called)
    if docked is not None and docked.grant in accepted:
        return docked.grant

    def suffices(grant: str) -> bool:
        entry = ServerEntry(name=native.name, url=native.url, grant=grant)
        return usable(harbor, entry, native.scopes)

    there = (grant for grant in accepted if suffices(grant))
    shared = (grant for grant in accepted if grant in planned)
    return next(there, None) or next(shared, None) or accepted[0]


def _entry(
    harbor: Harbor, provider: Provider, native: NativeServer, called: str, grant: str
) -> ServerEntry:
    if (called, native.name) != (provider.name, provider.name):
        check_free(harbor, called, native.url)
    entry = ServerEntry(
        name=called,
        url=native.url,
        command=native.command[0] if native.command else None,
        args=native.command[1:],
        grant=grant,
        headers=_with_grant(provider, native, native.headers, grant),
        env=_with_grant(provider, native, native.env, grant),
    )
    check_values(entry.headers, entry.env)
    if entry.url is not None:
        check_origins(harbor, entry.url, entry.headers)
    return entry


def _with_grant(
    provider: Provider, native: NativeServer, values: Mapping[str, str], grant: str
) -> dict[str, str]:
    """Let references to the server's own grant name the one it is given.

    Raises:
        WrongResourceError: One names another provider's.
    """
    return {name: _named(provider, native, value, grant) for name, value in values.items()}


def _named(provider: Provider, native: NativeServer, value: str, grant: str) -> str:
    reference = parse_reference(value)
    if reference is None or reference.grant is None:
        return value
    wanted = parse_grant_name(reference.grant)
    if wanted.provider != provider.name:
        raise WrongResourceError(
            f"{provider.display_name} declares a server that wants the token of {wanted}.",
            next_step="Update or uninstall the provider's distribution.",
        )
    if wanted.account or provider.resource(wanted.resource) != provider.resource(native.resource):
        return value
    return f"{reference.prefix}vault:{FieldKey(parse_grant_name(grant), 'access_token')}"
