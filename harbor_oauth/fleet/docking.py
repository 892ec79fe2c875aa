"""Docks servers.

The sign-in comes first and the entry in `config.toml` last, so that whatever
fails or is interrupted leaves the fleet as it was.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import attrs

from harbor_oauth.errors import (
    ConfigurationError,
    HarborError,
    ServerNotFoundError,
)
from harbor_oauth.fleet.approvals import approve
from harbor_oauth.fleet.config import add_server, check_writable, held_servers
from harbor_oauth.fleet.natives import native_servers, plan, scopes_to_ask, undocked, usable
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
from harbor_oauth.fleet.tools import ToolsAnswer, ask_for_tools
from harbor_oauth.protocol.urls import canonical_resource, require_endpoint
from harbor_oauth.providers import Provider
from harbor_oauth.settings import ServerEntry

if TYPE_CHECKING:
    from harbor_oauth.client import GrantStatus, Harbor

__all__ = [
    "Docked",
    "SignIn",
    "check_address",
    "dock_all_servers",
    "dock_command",
    "dock_provider",
    "dock_url",
    "server",
]


class SignIn(Protocol):
    """Signs a person in for a docking, as `Harbor.login` does."""

    def __call__(
        self, grant: str, *, provider: Provider | None, scopes: Sequence[str] | None
    ) -> GrantStatus:
        """Return the new grant's status, or raise what says why there is none."""
        ...


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
        trouble: Why it did not say, as a clause; empty where it did, or was not asked.
        missing: The documented keys its values name that are not there yet.
        next_command: What to do next.
        others: The provider's servers that are not docked.
    """

    entry: ServerEntry
    changed: bool
    signed_in: bool
    account: str | None
    tools: int | None
    missing: tuple[str, ...]
    next_command: str
    others: tuple[str, ...] = ()
    trouble: str = ""


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


def dock_provider(  # noqa: PLR0913 - each is a choice of its own
    harbor: Harbor,
    provider_name: str,
    *,
    server: str | None = None,
    name: str | None = None,
    account: str | None = None,
    skip_auth: bool = False,
    on_url: Callable[[str], None] | None = None,
    sign_in: SignIn | None = None,
    check: Callable[[], None] | None = None,
) -> Docked:
    """Dock a server that a provider declares.

    Args:
        harbor: Signs in and keeps the grant.
        provider_name: The provider.
        server: Which of its servers; its default one when left out.
        name: The server's name, where it is not the declared one.
        account: A label, to keep several accounts of one provider apart.
        skip_auth: Do not sign in now.
        on_url: Called with the URL to sign in at, before a browser opens.
        sign_in: Signs in, in place of `Harbor.login`, which `on_url` is for.
        check: Called before anything is written; what it raises ends the docking.

    Raises:
        ConfigurationError: The provider is unknown, declares no such server,
            or the name is taken.
        HarborError: The sign-in failed; nothing was changed.
    """
    provider = harbor.provider(provider_name)
    natives = native_servers(provider, server)[:1]
    (planned,) = plan(harbor, provider, natives, name=name, account=account)
    docked = _dock(
        harbor,
        planned.entry,
        provider,
        sign_in=None if skip_auth else _signing_in(harbor, on_url, sign_in),
        needs=planned.needs,
        check=check,
    )
    return attrs.evolve(docked, others=undocked(harbor, provider))


def dock_all_servers(
    harbor: Harbor,
    provider_name: str,
    *,
    account: str | None = None,
    skip_auth: bool = False,
    on_url: Callable[[str], None] | None = None,
    sign_in: SignIn | None = None,
) -> Iterator[Docked]:
    """Dock every server that a provider declares, with one sign-in for each grant.

    It asks for all that its servers need. What is docked when a later sign-in
    fails stays so: the next call goes on from there.

    Args:
        harbor: Signs in and keeps the grants.
        provider_name: The provider.
        account: A label, to keep several accounts of one provider apart.
        skip_auth: Do not sign in now.
        on_url: Called with the URL to sign in at, before a browser opens.
        sign_in: Signs in, in place of `Harbor.login`, which `on_url` is for.

    Yields:
        What each docking did, as it is done.

    Raises:
        ConfigurationError: The provider is unknown, declares no server, or a
            name is taken; nothing was changed.
        HarborError: A sign-in failed.
    """
    provider = harbor.provider(provider_name)
    planned = plan(harbor, provider, native_servers(provider), account=account)
    for each in planned:
        agreeing(harbor.settings.servers.get(each.entry.name), each.entry)
    asked: set[str | None] = set()
    for each in planned:
        # A person who granted less than was asked for is not asked again at once.
        asking = not skip_auth and each.entry.grant not in asked
        docked = _dock(
            harbor,
            each.entry,
            provider,
            sign_in=_signing_in(harbor, on_url, sign_in) if asking else None,
            needs=each.needs,
        )
        if docked.signed_in:
            asked.add(each.entry.grant)
        yield docked


def dock_url(  # noqa: PLR0913 - each is a choice of its own
    harbor: Harbor,
    name: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
    account: str | None = None,
    skip_auth: bool = False,
    on_url: Callable[[str], None] | None = None,
    sign_in: SignIn | None = None,
    check: Callable[[], None] | None = None,
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
        sign_in: Signs in, in place of `Harbor.login`, which `on_url` is for.
        check: Called before anything is written; what it raises ends the docking.

    Raises:
        ConfigurationError: A name, header or reference breaks a rule.
        InsecureEndpointError: The URL is neither https nor loopback http.
        WrongResourceError: A header would send a grant's token to an origin
            that is not the grant's.
        HarborError: The sign-in failed; nothing was changed.
    """
    headers, env = headers or {}, env or {}
    url = check_address(harbor, name, url)
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
        return _dock(harbor, entry, None, check=check)
    provider = provider_of(harbor, name, url)
    # A docked server's answer is known: docking it again asks nobody.
    if (entry.grant is None or account is not None) and not harbor.needs_no_token(provider):
        entry = attrs.evolve(entry, grant=grant_name(provider, "mcp", account))
    signing_in = _signing_in(harbor, on_url, sign_in)
    return _dock(harbor, entry, provider, sign_in=signing_in, check=check)


def check_address(harbor: Harbor, name: str, url: str) -> str:
    """Return the canonical URL of a server that may be docked by that name.

    Raises:
        ConfigurationError: The name breaks the rules, or is taken.
        InsecureEndpointError: The URL is neither https nor loopback http.
    """
    url = canonical_resource(require_endpoint(url, "server URL"))
    check_free(harbor, name, url)
    return url


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
    return _dock(harbor, entry, None)


def _dock(
    harbor: Harbor,
    entry: ServerEntry,
    provider: Provider | None,
    *,
    sign_in: SignIn | None = None,
    needs: tuple[str, ...] = (),
    check: Callable[[], None] | None = None,
) -> Docked:
    docked = harbor.settings.servers.get(entry.name)
    entry = agreeing(docked, entry)
    check_writable(harbor.settings)
    status = harbor.grant_status(entry.grant) if entry.grant else None
    signing_in = sign_in is not None and bool(entry.grant) and not usable(harbor, entry, needs)
    with contextlib.ExitStack() as stack:
        if sign_in and signing_in and entry.grant:
            before = status
            scopes = scopes_to_ask(provider, entry.grant, needs, status) if provider else None
            status = sign_in(entry.grant, provider=provider, scopes=scopes)
            if before is None:
                stack.enter_context(_undone_on_failure(harbor, entry.grant))
        absent = missing(harbor, [*entry.headers.values(), *entry.env.values()])
        ready = not absent and (entry.grant is None or status is not None)
        asked = ask_for_tools(harbor, entry) if entry.url and ready else ToolsAnswer(None)
        if check is not None:
            check()
        if entry != docked:
            add_server(harbor.settings, entry)
            harbor.reload_settings()
        approve(harbor, entry)
    if asked.trouble and entry.grant:
        harbor.note_trouble(entry.grant, asked.trouble)
    if sign_in and entry.grant and status and not harbor.generation(entry.grant):
        # The docking that had signed in failed, and took its grant back, before
        # it could see this one's entry.
        status, signing_in = sign_in(entry.grant, provider=provider, scopes=None), True
    return Docked(
        entry=entry,
        changed=entry != docked,
        signed_in=signing_in,
        account=status.account if status else None,
        tools=asked.count,
        trouble=asked.trouble,
        missing=tuple(str(reference.key) for reference in absent),
        next_command=_next_command(entry, status, absent),
    )


def _signing_in(
    harbor: Harbor, on_url: Callable[[str], None] | None, sign_in: SignIn | None
) -> SignIn:
    return sign_in or functools.partial(harbor.login, on_url=on_url)


@contextlib.contextmanager
def _undone_on_failure(harbor: Harbor, grant: str) -> Iterator[None]:
    """Take back the grant that this docking has just stored, if the docking fails.

    Another docking of the same name may have signed in since, or use this very
    grant: what it was promised stays.
    """
    generation = harbor.generation(grant)
    try:
        yield
    except BaseException:
        with contextlib.suppress(HarborError, OSError):
            revoke = None
            with held_servers(harbor.settings) as servers:
                if all(grant not in grants_of(entry) for entry in servers.values()):
                    revoke = harbor.take_back(grant, generation)
            if revoke is not None:  # without the lock: the server may be slow
                revoke()
        raise


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
