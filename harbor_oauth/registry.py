"""The installed providers: listed from metadata, loaded one at a time by name.

Listing imports no plugin. One that cannot be loaded, or a name that two
distributions claim, is an error for that name alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

import attrs

from harbor_oauth import installation
from harbor_oauth.errors import InvalidNameError, ProviderInvalidError, ProviderNotFoundError
from harbor_oauth.protocol.client_auth import ClientCredentials
from harbor_oauth.providers import Provider, check_server_name, is_reserved
from harbor_oauth.providers.names import SHIPPED_PROVIDERS

if TYPE_CHECKING:
    from importlib_metadata import EntryPoint, IDistribution

__all__ = [
    "CLIENTS_GROUP",
    "DISTRIBUTION_PREFIX",
    "ENTRY_POINT_GROUP",
    "InstalledProvider",
    "Registry",
    "install_line",
]

ENTRY_POINT_GROUP: Final = "harbor.providers"
CLIENTS_GROUP: Final = "harbor.clients"

# Until the distributions are published, the source tree is where they are
# installed from; this constant is the one place that knows their names.
DISTRIBUTION_PREFIX: Final = "harbor-oauth-"


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
        self._loaded: dict[str, Provider] = {}

    def _scan(self, group: str = ENTRY_POINT_GROUP) -> Mapping[str, tuple[InstalledProvider, ...]]:
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
                        _normalized(claim.distribution), claim
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

    def provider(self, name: str) -> Provider:
        """Load one provider.

        Args:
            name: The provider's name.

        Returns:
            The object its entry point names; the same one at each call.

        Raises:
            ProviderNotFoundError: No installed distribution offers it.
            ProviderInvalidError: It fails to load, is no Provider, calls
                itself something else, or two distributions claim the name.
        """
        if name not in self._loaded:
            self._loaded[name] = self._load(name)
        return self._loaded[name]

    def claim(self, name: str) -> InstalledProvider | None:
        """Return what metadata says of one provider, or None; nothing is imported."""
        claims = self._scan().get(name, ())
        return claims[0] if claims else None

    def client(self, name: str) -> ClientCredentials | None:
        """Return the app credentials that an installed distribution brings, or None.

        Args:
            name: ``provider`` or ``provider/resource``, an entry point's name in
                the group `harbor.clients`.

        Raises:
            ProviderInvalidError: Two distributions bring one, or what is
                brought cannot be used.
        """
        points = [claim.entry_point for claim in self._scan(CLIENTS_GROUP).get(name, ())]
        if not points:
            return None
        brought = ", ".join(sorted({point.value for point in points}))
        fault = "is not a ClientCredentials"
        if len({point.value for point in points}) == 1:
            try:
                client = points[0].load()
            except (Exception, SystemExit) as error:  # noqa: BLE001 - a plugin may raise anything
                fault = f"failed to load: {type(error).__name__}"
            else:
                if isinstance(client, ClientCredentials):
                    return client
        else:
            fault = "contradict each other"
        raise ProviderInvalidError(
            f"The app credentials that are installed for {name} ({brought}): {fault}.",
            next_step="Update or uninstall the distribution that brings them.",
        )

    def _load(self, name: str) -> Provider:
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
        label = f"{claim.distribution} {claim.version}"
        uninstall = f"Update or uninstall {claim.distribution}; other providers are not affected."
        if not _may_claim(claim):
            raise ProviderInvalidError(
                f"{label} claims the provider {name!r}, which is not its to claim.",
                next_step=uninstall,
            )
        fault = "is not a provider of that name"
        try:
            provider = claim.entry_point.load()
            if isinstance(provider, Provider) and provider.name == name:
                return provider
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a plugin may raise anything
            fault = f"failed to load: {type(error).__name__}: {error}"
            cause: BaseException | None = error
        else:
            cause = None
        raise ProviderInvalidError(
            f"{label} offers {name!r}, but its entry point {claim.entry_point.value} {fault}.",
            next_step=uninstall,
        ) from cause

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


def _normalized(distribution: str) -> str:
    """Return a distribution's name as packaging tools compare it."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def _may_claim(claim: InstalledProvider) -> bool:
    """Say whether a distribution may offer a provider of that name.

    What is called `slack` receives Slack's token, so a reserved name belongs
    to one distribution, and what only looks like it (`Slack`, a Cyrillic
    letter) breaks the rule for names.
    """
    try:
        check_server_name(claim.name)
    except InvalidNameError:
        return False
    owner = f"{DISTRIBUTION_PREFIX}{claim.name}"
    return not is_reserved(claim.name) or _normalized(claim.distribution) == owner
