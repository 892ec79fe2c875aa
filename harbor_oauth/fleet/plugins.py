"""What is installed beside Harbor, where it is, and what a person agreed to.

What was not agreed to is described from metadata alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import attrs

from harbor_oauth.errors import (
    ConfigurationError,
    HarborError,
    ProviderInvalidError,
    ProviderNotFoundError,
    ProviderUntrustedError,
)
from harbor_oauth.providers.names import SHIPPED_PROVIDERS
from harbor_oauth.registry import InstalledProvider
from harbor_oauth.trust import is_editable, is_own, place

if TYPE_CHECKING:
    from harbor_oauth.client import Harbor

__all__ = ["Plugin", "plugins"]


@attrs.frozen
class Plugin:
    """One entry point of an installed distribution.

    Attributes:
        name: The provider, or with `client` ``provider`` or ``provider/resource``.
        client: Whether it brings app credentials, and is not a provider.
        distribution: The distribution's name.
        version: Its version.
        location: The folder that it is installed in; for an editable one, the
            folder of its author.
        trust: One of ``Harbor's own``, ``agreed to``, ``not agreed to``,
            ``switched off`` and ``refused``.
        editable: Whether it is installed as editable.
        problem: Why it is of no use now; None if it is of use, switched off, or
            a provider, whose problem `list_providers` tells.
    """

    name: str
    client: bool
    distribution: str
    version: str
    location: str
    trust: str
    editable: bool
    problem: HarborError | None = None

    def __str__(self) -> str:
        """Say all of it in one line."""
        what = f"app credentials for {self.name}" if self.client else self.name
        editable = ", editable" if self.editable else ""
        return (
            f"{what}: {self.distribution} {self.version}, in {self.location}, "
            f"{self.trust}{editable}."
        )


def plugins(harbor: Harbor) -> Iterator[Plugin]:
    """Describe the installed providers, then the app credentials.

    Raises:
        ConfigurationError: The configuration cannot be read.
    """
    for claim in harbor.installed_providers():
        yield _described(harbor, claim, client=False)
    for claim in harbor.installed_clients():
        plugin = _described(harbor, claim, client=True)
        if plugin.trust == "switched off":
            yield plugin
        else:
            yield attrs.evolve(plugin, problem=_client_problem(harbor, claim))


def _described(harbor: Harbor, claim: InstalledProvider, *, client: bool) -> Plugin:
    distribution = claim.entry_point.dist
    return Plugin(
        name=claim.name,
        client=client,
        distribution=claim.distribution,
        version=claim.version,
        location=place(distribution) if distribution else "-",
        trust=_trust(harbor, claim),
        editable=bool(distribution and is_editable(distribution)),
    )


def _trust(harbor: Harbor, claim: InstalledProvider) -> str:
    if is_own(claim.entry_point):
        return "Harbor's own"
    try:
        harbor.check_agreed(claim)
    except ProviderInvalidError:
        return "refused"
    except ProviderUntrustedError:
        return "switched off" if harbor.settings.own_plugins_only else "not agreed to"
    return "agreed to"


def _client_problem(harbor: Harbor, claim: InstalledProvider) -> HarborError | None:
    """Return why app credentials could not be used; they are imported if they were agreed to."""
    try:
        harbor.check_agreed(claim)
        harbor.distributed_client(claim.name)
    except ConfigurationError as error:
        return error
    name, slash, resource = claim.name.partition("/")
    try:
        provider = harbor.provider(name)
        if slash:
            provider.resource(resource)
    except ProviderNotFoundError:
        return None if name in SHIPPED_PROVIDERS else _of_no_use(claim, "There is no provider")
    except (ProviderInvalidError, ProviderUntrustedError):
        return None  # told of the provider itself
    except ConfigurationError:
        return _of_no_use(claim, "There is no resource")
    return None


def _of_no_use(claim: InstalledProvider, what: str) -> ConfigurationError:
    return ConfigurationError(
        f"{what} {claim.name!r}, for which {claim.distribution} {claim.version} brings app "
        "credentials.",
        next_step="Install what offers it, or correct the name in the distribution's entry point.",
    )
