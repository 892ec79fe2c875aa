"""The docked servers as the gateway uses them, read again when their file changes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import attrs

from harbor_oauth.errors import (
    ConfigurationError,
    HarborError,
    ServerNotFoundError,
)
from harbor_oauth.fleet.references import Reference, check_values, parse_reference
from harbor_oauth.protocol.http import HttpResponse
from harbor_oauth.protocol.urls import require_endpoint
from harbor_oauth.transport.proxies import proxy_for
from harbor_oauth.vault.names import parse_grant_name

if TYPE_CHECKING:
    from harbor_oauth.client import Harbor
    from harbor_oauth.settings import ServerEntry

__all__ = ["Target", "Targets"]

_log: Final = logging.getLogger("harbor_oauth.gateway")

_LOOK: Final = 1.0
"""Seconds between looks at whether the configuration was written."""


@attrs.frozen
class Target:
    """One docked server.

    Attributes:
        name: Its name.
        url: Its URL.
        grant: The grant whose token it gets as `Authorization`, or None.
        literals: Header names to values that are sent as they are.
        references: Header names to what they refer to.
        is_auth_error: Whether an answer with another status than 401 means
            that the token was refused; None where the provider says nothing.
        entry: The server, as it is docked.
        proxy: The URL of the proxy that its requests go through, or None.
    """

    name: str
    url: str
    grant: str | None
    literals: dict[str, str]
    references: dict[str, Reference]
    is_auth_error: Callable[[HttpResponse], bool] | None
    entry: ServerEntry
    proxy: str | None = attrs.field(repr=False)

    @property
    def secrets(self) -> bool:
        """Whether it is sent a stored secret that is no grant's token."""
        return any(reference.grant is None for reference in self.references.values())


class Targets:
    """Finds docked servers by name.

    Args:
        harbor: Has the configuration.
        monotonic: Seconds that never go back.
    """

    def __init__(self, harbor: Harbor, monotonic: Callable[[], float]) -> None:
        """Read nothing yet."""
        self._harbor = harbor
        self._monotonic = monotonic
        self._known: dict[str, Target] = {}
        self._look_at = 0.0
        self._seen: object = ...  # the settings may be older than the file

    def get(self, name: str) -> Target:
        """Return a docked remote server.

        Raises:
            ServerNotFoundError: There is none of that name that is in use.
            ConfigurationError: It is a program, or its entry breaks a rule.
        """
        self._look()
        target = self._known.get(name)
        if target is None:
            target = self._known[name] = self._make(name)
        return target

    def names(self) -> tuple[str, ...]:
        """Return the names of the remote servers in use, sorted."""
        self._look()
        servers = self._harbor.settings.servers.values()
        return tuple(sorted(entry.name for entry in servers if entry.url and entry.enabled))

    def _look(self) -> None:
        now = self._monotonic()
        if now < self._look_at:
            return
        self._look_at = now + _LOOK
        state = self._state()
        if state == self._seen:
            return
        self._seen = state
        try:
            self._harbor.reload_settings()
        except HarborError as error:
            # Half a file is what an editor leaves for a moment: what was read stays in use.
            _log.warning("The configuration is not read again: %s", error)
            return
        self._known.clear()
        _log.info("The configuration was read again")

    def _state(self) -> tuple[int, int, int] | None:
        try:
            found = self._harbor.settings.config_path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _make(self, name: str) -> Target:
        entry = self._harbor.settings.servers.get(name)
        if entry is None or not entry.enabled:
            raise ServerNotFoundError(
                f"No docked server is called {name!r}.", next_step="Run: harbor fleet"
            )
        if entry.url is None:
            raise ConfigurationError(
                f"{name!r} is a program on this machine, not a remote server.",
                next_step=f"Let the host start it: harbor run {name}",
            )
        require_endpoint(entry.url, f"URL of {name!r}")
        check_values(entry.headers, {})
        parsed = {header: parse_reference(value) for header, value in entry.headers.items()}
        references = {header: found for header, found in parsed.items() if found}
        grant = entry.grant or _authorization_grant(references)
        return Target(
            name=name,
            url=entry.url,
            grant=grant,
            literals={h: v for h, v in entry.headers.items() if parsed[h] is None},
            references={
                header: found
                for header, found in references.items()
                # The grant's own field; a token bound to a key is no bearer's.
                if header.lower() != "authorization" or found.grant is None or found.grant != grant
            },
            is_auth_error=self._quirk(grant),
            entry=entry,
            proxy=proxy_for(entry.url, self._harbor.settings.environ),
        )

    def _quirk(self, grant: str | None) -> Callable[[HttpResponse], bool] | None:
        if grant is None:
            return None
        name = parse_grant_name(grant)
        try:
            resource = self._harbor.provider(name.provider).resource(name.resource)
        except ConfigurationError:  # its plugin is gone; the grant works without
            return None
        return resource.quirks.is_auth_error


def _authorization_grant(references: dict[str, Reference]) -> str | None:
    """Return the grant that a written `Authorization` header names, if one does."""
    for header, reference in references.items():
        if header.lower() == "authorization":
            return reference.grant
    return None
