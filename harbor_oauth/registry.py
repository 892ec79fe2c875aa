"""The installed providers: listed from metadata, loaded one at a time by name.

Listing imports no plugin. One that cannot be loaded, or a name that two
distributions claim, is an error for that name alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

import attrs

from harbor_oauth import installation
from harbor_oauth.errors import (
    ProviderInvalidError,
    ProviderNotFoundError,
    ProviderUntrustedError,
)
from harbor_oauth.protocol.client_auth import ClientCredentials
from harbor_oauth.providers import Provider
from harbor_oauth.providers.names import SHIPPED_PROVIDERS
from harbor_oauth.trust import (
    CLIENTS_GROUP,
    DISTRIBUTION_PREFIX,
    PROVIDERS_GROUP,
    Agreements,
    normalized,
)

if TYPE_CHECKING:
    from importlib_metadata import EntryPoint, IDistribution

__all__ = [
    "DISTRIBUTION_PREFIX",
    "InstalledProvider",
    "Registry",
    "install_line",
]

_OWN_ALONE: Final = Agreements()


def install_line(provider: str) -> str:
    """Return the command that adds one of this project's providers to this installation."""
    return installation.current().add_plugin(provider)


@attrs.frozen
class InstalledProvider:
    """What metadata says of one entry point.

    Attributes:
        name: The provider's name.
        distribution: The distribution that offers it.
        version: That distribution's version.
        entry_point: What to import when it is asked for.
    """

    name: str
    distribution: str
    version: str
    entry_point: EntryPoint = attrs.field(repr=False, eq=False)


class Registry:
    """The providers that installed distributions offer.

    Args:
        path: Where to look for distributions, as `sys.path`; all of it when
            left out.
    """

    def __init__(self, path: Iterable[str] | None = None) -> None:
        """Scan nothing yet."""
        self._path = None if path is None else list(path)
        self._found: dict[str, Mapping[str, tuple[InstalledProvider, ...]]] = {}
        self._valid: dict[str, Provider] = {}

    def _scan(self, group: str = PROVIDERS_GROUP) -> Mapping[str, tuple[InstalledProvider, ...]]:
        if group not in self._found:
            # Loaded when needed: it costs five times a bare interpreter's start.
            from importlib_metadata import distributions  # noqa: PLC0415

            found: dict[str, dict[str, InstalledProvider]] = {}
            options = {} if self._path is None else {"path": self._path}
            for distribution in distributions(**options):
                for claim in _offered(distribution, group):
                    # An editable install can be listed twice; the first on
                    # the path is the one that an import finds.
                    found.setdefault(claim.name, {}).setdefault(
                        normalized(claim.distribution), claim
                    )
            self._found[group] = {name: tuple(claims.values()) for name, claims in found.items()}
        return self._found[group]

    def installed(self) -> tuple[InstalledProvider, ...]:
        """List what is installed, from metadata only, sorted by name."""
        return tuple(
            claim
            for _, claims in sorted(self._scan().items())
            for claim in sorted(claims, key=lambda claim: claim.distribution)
        )

    def names(self) -> tuple[str, ...]:
        """Return the installed providers' names, sorted."""
        return tuple(sorted(self._scan()))

    def clients(self) -> tuple[InstalledProvider, ...]:
        """List the app credentials that are installed, from metadata only, sorted by name."""
        found = self._scan(CLIENTS_GROUP)
        return tuple(claim for _, claims in sorted(found.items()) for claim in claims)

    def provider(self, name: str, agreements: Agreements = _OWN_ALONE) -> Provider:
        """Load one provider.

        Args:
            name: The provider's name.
            agreements: Which may be loaded besides Harbor's own.

        Returns:
            The object its entry point names; the same one at each call.

        Raises:
            ProviderNotFoundError: No installed distribution offers it.
            ProviderInvalidError: It fails to load, is no Provider, calls
                itself something else, or two distributions claim the name.
            ProviderUntrustedError: It is not Harbor's own, and was not agreed to.
        """
        claims = self._scan().get(name, ())
        if not claims:
            raise self._unknown(name)
        claim, *others = claims
        if others:
            rivals = " and ".join(sorted(claim.distribution for claim in claims))
            raise ProviderInvalidError(
                f"The distributions {rivals} claim the same provider, {name!r}.",
                next_step="Uninstall what you do not want.",
            )
        fault = "is not a provider of that name"
        cause: BaseException | None = None
        try:
            found = agreements.load(claim.entry_point)
            if name in self._valid and found is self._valid[name]:
                return self._valid[name]
            if isinstance(found, Provider) and found.name == name:
                self._valid[name] = found
                return found
        except (ProviderInvalidError, ProviderUntrustedError):
            raise  # the gate's own
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a plugin may raise anything
            fault = f"failed to load: {type(error).__name__}: {error}"
            cause = error
        raise ProviderInvalidError(
            f"{claim.distribution} {claim.version} offers {name!r}, but its entry point "
            f"{claim.entry_point.value} {fault}.",
            next_step=(
                f"Update or uninstall {claim.distribution}; other providers are not affected."
            ),
        ) from cause

    def claim(self, name: str) -> InstalledProvider | None:
        """Return what metadata says of one provider, or None; nothing is imported."""
        claims = self._scan().get(name, ())
        return claims[0] if claims else None

    def client(self, name: str, agreements: Agreements = _OWN_ALONE) -> ClientCredentials | None:
        """Return the app credentials that an installed distribution brings, or None.

        Args:
            name: ``provider`` or ``provider/resource``, an entry point's name in
                the group `harbor.clients`.
            agreements: Which may be loaded.

        Raises:
            ProviderInvalidError: Two distributions bring one, or what is
                brought cannot be used.
            ProviderUntrustedError: It was not agreed to.
        """
        claims = self._scan(CLIENTS_GROUP).get(name, ())
        if not claims or agreements.own_only:
            return None
        brought = ", ".join(sorted(claim.entry_point.value for claim in claims))
        fault = "contradict each other"
        if len(claims) == 1:
            fault = "is not a ClientCredentials"
            try:
                client = agreements.load(claims[0].entry_point)
            except (ProviderInvalidError, ProviderUntrustedError):
                raise  # the gate's own
            except (Exception, SystemExit) as error:  # noqa: BLE001 - a plugin may raise anything
                fault = f"failed to load: {type(error).__name__}"
            else:
                if isinstance(client, ClientCredentials):
                    return client
        raise ProviderInvalidError(
            f"The app credentials that are installed for {name} ({brought}): {fault}.",
            next_step="Update or uninstall the distribution that brings them.",
        )

    def _unknown(self, name: str) -> ProviderNotFoundError:
        known = ", ".join(self.names()) or "none"
        step = (
            f"Install it: {install_line(name)}"
            if name in SHIPPED_PROVIDERS
            else "For any other MCP server: harbor dock --name NAME --url URL"
        )
        return ProviderNotFoundError(
            f"No provider {name!r} is installed (installed: {known}).", next_step=step
        )


def _offered(distribution: IDistribution, group: str) -> list[InstalledProvider]:
    """Return what one distribution offers: nothing, if its metadata is broken.

    `distributions()` yields everything that is installed, also what half an
    uninstall left behind; none of it may harm the others.
    """
    try:
        return [
            InstalledProvider(point.name, distribution.name, distribution.version, point)
            for point in distribution.entry_points
            if point.group == group
        ]
    except Exception as error:  # noqa: BLE001 - unreadable metadata raises anything
        import logging  # noqa: PLC0415 - rarely needed

        logging.getLogger(__name__).info(
            "skipped a distribution with unreadable metadata (%s)", type(error).__name__
        )
        return []
