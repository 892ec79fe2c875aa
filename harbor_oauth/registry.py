"""The installed providers: listed from metadata, loaded one at a time by name.

Listing imports no plugin. One that cannot be loaded, or a name that two
distributions claim, is an error for that name alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

import attrs

from harbor_oauth.errors import ProviderInvalidError, ProviderNotFoundError
from harbor_oauth.providers import Provider, is_reserved

if TYPE_CHECKING:
    from importlib_metadata import EntryPoint

__all__ = [
    "DISTRIBUTION_PREFIX",
    "ENTRY_POINT_GROUP",
    "InstalledProvider",
    "Registry",
    "install_line",
]

ENTRY_POINT_GROUP: Final = "harbor.providers"

# Until the distributions are published, the source tree is where they are
# installed from; this constant is the one place that knows their names.
DISTRIBUTION_PREFIX: Final = "harbor-oauth-"


def install_line(provider: str) -> str:
    """Return the command that installs a provider's distribution from the source tree."""
    return f"python3 dev.py install --with {provider}"


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
        self._found: Mapping[str, tuple[InstalledProvider, ...]] | None = None
        self._loaded: dict[str, Provider] = {}

    def _scan(self) -> Mapping[str, tuple[InstalledProvider, ...]]:
        if self._found is None:
            # Loaded when needed: it costs five times a bare interpreter's start.
            from importlib_metadata import distributions  # noqa: PLC0415

            found: dict[str, dict[str, InstalledProvider]] = {}
            options = {} if self._path is None else {"path": self._path}
            for distribution in distributions(**options):
                for point in distribution.entry_points:
                    if point.group == ENTRY_POINT_GROUP:
                        claims = found.setdefault(point.name, {})
                        # An editable install can be listed twice; the first on
                        # the path is the one that an import finds.
                        claims.setdefault(
                            distribution.name,
                            InstalledProvider(
                                point.name, distribution.name, distribution.version, point
                            ),
                        )
            self._found = {name: tuple(claims.values()) for name, claims in found.items()}
        return self._found

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

    def _load(self, name: str) -> Provider:
        claims = self._scan().get(name, ())
        if not claims:
            raise self._unknown(name)
        if len(claims) > 1:
            rivals = " and ".join(sorted(claim.distribution for claim in claims))
            raise ProviderInvalidError(
                f"The distributions {rivals} both claim the provider {name!r}.",
                next_step="Uninstall the one you do not want.",
            )
        claim = claims[0]
        label = f"{claim.distribution} {claim.version}"
        uninstall = f"Update or uninstall {claim.distribution}; other providers are not affected."
        try:
            provider = claim.entry_point.load()
        except Exception as error:  # a plugin may raise anything at import
            raise ProviderInvalidError(
                f"The provider {name!r} of {label} failed to load: "
                f"{type(error).__name__}: {error}.",
                next_step=uninstall,
            ) from error
        if not isinstance(provider, Provider) or provider.name != name:
            raise ProviderInvalidError(
                f"{label} offers {name!r}, but its entry point {claim.entry_point.value} "
                "is not a provider of that name.",
                next_step=uninstall,
            )
        return provider

    def _unknown(self, name: str) -> ProviderNotFoundError:
        known = ", ".join(self.names()) or "none"
        step = (
            f"Install it: {install_line(name)}"
            if is_reserved(name)
            else "For any other MCP server: harbor dock --name NAME --url URL"
        )
        return ProviderNotFoundError(
            f"No provider {name!r} is installed (installed: {known}).", next_step=step
        )
