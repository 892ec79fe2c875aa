"""`ProviderConformance`: the registration, and the data."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs
import pytest

from harbor_oauth.registry import Registry
from harbor_oauth.testing import _provider_faults as faults
from harbor_oauth.testing._provider_import import watch_import
from harbor_oauth.testing._provider_subject import ProviderTests
from harbor_oauth.trust import Agreements

__all__ = ["DataTests"]


class DataTests(ProviderTests):
    """What can be seen without any server."""

    # --- the registration ---------------------------------------------------------

    def test_one_distribution_offers_it(self) -> None:
        """Exactly one installed distribution has the entry point, and it names this object."""
        provider, registry = self.subject.provider, Registry()
        offered = [each for each in registry.installed() if each.name == provider.name]
        assert offered, f"no installed distribution offers {provider.name!r}: install the plugin"
        assert len(offered) == 1, f"more than one: {[each.distribution for each in offered]}"
        agreements = Agreements(by_program=frozenset({provider.name}))
        assert registry.provider(provider.name, agreements) == provider
        assert provider.name in offered[0].distribution

    def test_importing_it_touches_nothing(self) -> None:
        """No socket, no process, no file, no environment variable, no HTTP client."""
        claim = Registry().claim(self.subject.provider.name)
        assert claim is not None, "no installed distribution offers it: install the plugin"
        done = watch_import(claim.entry_point.module)
        assert done.events == ()
        assert done.environment == ()
        assert done.clients == ()

    # --- the data -----------------------------------------------------------------

    def test_it_is_frozen(self) -> None:
        """Nobody can change the provider, or a part of it, at run time."""
        provider = self.subject.provider
        parts: list[Any] = [provider, *provider.native_servers, *provider.resources]
        for resource in provider.resources:
            parts += [resource.redirect, resource.revocation, resource.quirks, resource.metadata]
        for part in filter(None, parts):
            name = attrs.fields(type(part))[0].name
            with pytest.raises(attrs.exceptions.FrozenInstanceError):
                setattr(part, name, getattr(part, name))

    def test_its_names_are_legal(self) -> None:
        """The provider's, its resources' and its servers', and what they refer to."""
        _none(faults.name_faults(self.subject.provider))

    def test_its_urls_are_https(self) -> None:
        """Every one, also those of the requests it builds, which have no token in them."""
        _none(faults.url_faults(self.subject.provider))

    def test_its_origins_cover_its_servers(self) -> None:
        """A token goes where its resource says, and nowhere else."""
        _none(faults.origin_faults(self.subject.provider))

    def test_it_asks_for_s256(self) -> None:
        """Pinned metadata names it, or the test says why not."""
        _none(faults.pkce_faults(self.subject.provider, self.without_s256))

    def test_its_scopes_can_be_joined(self) -> None:
        """Legal characters, a legal separator, none that holds the other (RFC 6749 §3.3)."""
        _none(faults.scope_faults(self.subject.provider))

    def test_it_says_how_to_come_by_a_client(self) -> None:
        """Where an app of one's own is the only way, the steps and redirect URIs are there."""
        _none(faults.registration_faults(self.subject.provider))

    def test_its_constants_fit_each_other(self) -> None:
        """Encoding, client authentication, redirect rule, pinned endpoints."""
        _none(faults.constant_faults(self.subject.provider))


def _none(found: Iterable[str]) -> None:
    told = list(found)
    assert not told, "\n".join(["", *told])
