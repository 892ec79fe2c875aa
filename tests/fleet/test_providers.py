"""Which providers are listed, what is said of each, and which come to be trusted."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from harbor_oauth.client import Harbor
from harbor_oauth.errors import (
    ConfigurationError,
    InvalidNameError,
    ProviderInvalidError,
    ProviderNotFoundError,
    ProviderUntrustedError,
    VaultUnavailableError,
)
from harbor_oauth.fleet.providers import (
    ListedProvider,
    examine,
    install_line,
    list_providers,
    outlooks,
    restore_step,
    stranger,
    trust,
)
from harbor_oauth.providers import Flow, NativeServer, OAuthProvider, Registration, Resource
from harbor_oauth.registry import Registry
from harbor_oauth.trust import Agreement
from harbor_oauth.vault import Vault

MakeHarbor = Callable[..., Harbor]
Install = Callable[[str, str, str, str], Registry]

GOOD = """
from harbor_oauth.providers import OAuthProvider, Resource
VALUE = OAuthProvider(
    name={name!r},
    display_name="Acme",
    servers_label="Acme (all of it)",
    resources=(Resource("mcp", ("https://x.example/mcp",), ("https://x.example",)),),
)
"""


def good(name: str) -> str:
    return GOOD.replace("{name!r}", repr(name))


def listed(harbor: Harbor) -> dict[str, ListedProvider]:
    return {each.name: each for each in list_providers(harbor)}


@pytest.fixture
def given() -> OAuthProvider:
    """A provider that a program gives, with a flow that does not say PKCE."""
    resource = Resource("api", ("https://x.example/api",), ("https://x.example",))
    return OAuthProvider(
        name="given",
        display_name="Given",
        resources=(resource,),
        native_servers=(NativeServer(name="given", resource="api"),),
        flow=Flow.CODE,
    )


# --- the list -------------------------------------------------------------------


def test_a_provider_is_listed_with_its_facts(make_harbor: MakeHarbor, given: OAuthProvider) -> None:
    """PKCE is said to be added where the flow does not say it."""
    row = listed(make_harbor(providers={"given": given}, registry=Registry([])))["given"]
    assert row == ListedProvider(
        name="given",
        display_name="Given",
        servers="Given",
        flow="OAuth 2.0",
        pkce_added=True,
        native_servers=("given",),
        grants=("given",),
    )
    assert row.trusted


def test_the_grants_and_secrets_to_be_had_are_listed(
    make_harbor: MakeHarbor, given: OAuthProvider
) -> None:
    """A resource that is not the default one is named; a token is no plain secret."""
    env = {"TOKEN": "vault:oauth:given:access_token", "KEY": "Bearer vault:given-key"}
    provider = attrs.evolve(
        given,
        resources=(*given.resources, attrs.evolve(given.resources[0], name="more")),
        native_servers=(attrs.evolve(given.native_servers[0], command=("true",), env=env),),
    )
    row = listed(make_harbor(providers={"given": provider}, registry=Registry([])))["given"]
    assert (row.grants, row.secrets) == (("given", "given/more"), ("given-key",))


def test_a_flow_with_pkce_adds_none(make_harbor: MakeHarbor, given: OAuthProvider) -> None:
    """The label says it already."""
    provider = attrs.evolve(given, flow=Flow.CODE_PKCE)
    row = listed(make_harbor(providers={"given": provider}, registry=Registry([])))["given"]
    assert (row.flow, row.pkce_added) == ("OAuth 2.0 + PKCE", False)


def test_a_stranger_is_listed_without_being_imported(
    make_harbor: MakeHarbor, install: Install
) -> None:
    """Its distribution and version are said, and nothing of its code runs."""
    registry = install("acme-harbor", "2.0", "harbor.providers:acme", "raise SystemExit(1)")
    row = listed(make_harbor(providers={}, registry=registry))["acme"]
    assert isinstance(row.problem, ProviderUntrustedError)
    assert (row.trusted, row.display_name, row.servers) == (False, "acme", None)
    assert (row.distribution, row.version) == ("acme-harbor", "2.0")
    assert "acme_harbor_module" not in sys.modules


def test_one_that_cannot_be_loaded_disturbs_no_other(
    make_harbor: MakeHarbor, install: Install
) -> None:
    """Its row says why; the others are as they are without it."""
    install("harbor-oauth-slack", "0.1", "harbor.providers:slack", "raise RuntimeError('broken')")
    install("evil", "1.0", "harbor.providers:linear", "raise SystemExit(1)")
    registry = install("harbor-oauth-neon", "0.1", "harbor.providers:neon", good("neon"))
    rows = listed(make_harbor(providers={}, registry=registry))
    assert list(rows) == ["linear", "neon", "slack"]
    assert "RuntimeError: broken" in str(rows["slack"].problem)
    assert "evil 1.0 claims the provider 'linear'" in str(rows["linear"].problem)
    assert rows["slack"].trusted
    assert rows["neon"].problem is None
    assert rows["neon"].servers == "Acme (all of it)"
    assert "evil_module" not in sys.modules


def test_a_name_that_is_none_cannot_be_used(make_harbor: MakeHarbor, install: Install) -> None:
    """It is listed, and nobody is asked to trust it."""
    registry = install("evil", "1.0", "harbor.providers:Slack", "raise SystemExit(1)")
    row = listed(make_harbor(providers={}, registry=registry))["Slack"]
    assert isinstance(row.problem, InvalidNameError)
    assert row.trusted


def test_rivals_are_both_named(make_harbor: MakeHarbor, install: Install) -> None:
    """No version is said, for there are two."""
    install("harbor-a", "1.0", "harbor.providers:acme", good("acme"))
    registry = install("harbor-b", "2.0", "harbor.providers:acme", good("acme"))
    row = listed(make_harbor(providers={}, registry=registry, trusted_providers=["acme"]))["acme"]
    assert (row.distribution, row.version) == ("harbor-a and harbor-b", None)
    assert isinstance(row.problem, ProviderInvalidError)


def test_a_broken_configuration_is_no_provider_s_fault(
    harbor: Harbor, make_harbor: MakeHarbor
) -> None:
    """It is raised, instead of being said of each; who had read it before goes on with that."""
    harbor.settings.home.mkdir(mode=0o700)
    harbor.settings.config_path.write_text("version = 99\n")
    with pytest.raises(ConfigurationError, match="version 99"):
        harbor.reload_settings()
    assert list_providers(harbor)
    with pytest.raises(ConfigurationError, match="version 99"):
        list_providers(make_harbor())


# --- how each would sign in ---------------------------------------------------------


def test_each_resource_has_an_outlook(make_harbor: MakeHarbor, given: OAuthProvider) -> None:
    """A registration counts only where the vendor gives one to every client."""
    (api,) = given.resources
    own = attrs.evolve(
        api,
        name="own",
        registration=(Registration.OWN_PAPERS,),
        registration_url="https://x.example/apps",
        secret_required=True,
    )
    reviewed = attrs.evolve(api, name="mcp", reviewed_only="Ask them first.")
    provider = attrs.evolve(given, resources=(api, own, reviewed))
    harbor = make_harbor(providers={"given": provider})
    first, second, third = outlooks(harbor, "given")
    assert (first.grant, first.way, first.missing) == ("given", "a new registration", "")
    assert (second.grant, second.way) == ("given/own", None)
    assert second.missing == "an app of your own"
    assert second.steps[0] == "Register an app at https://x.example/apps"
    assert (third.way, third.missing) == (None, "a client that the vendor reviewed")
    assert "Ask them first." in third.steps


def test_a_vault_that_cannot_be_read_is_an_outlook(
    make_harbor: MakeHarbor, given: OAuthProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list is there whatever ails the vault."""

    def fail(*_: object) -> None:
        raise VaultUnavailableError("The keychain is locked.", next_step="Unlock it.")

    monkeypatch.setattr(Vault, "papers", fail)
    (outlook,) = outlooks(make_harbor(providers={"given": given}), "given")
    assert (outlook.way, outlook.missing) == (None, "The keychain is locked.")
    assert outlook.steps == ("Unlock it.",)


# --- trust ------------------------------------------------------------------------


def test_trust_is_for_the_installed_version(make_harbor: MakeHarbor, install: Install) -> None:
    """It is written down once, and the provider can be used from then on."""
    registry = install("acme-harbor", "2.0", "harbor.providers:acme", good("acme"))
    harbor = make_harbor(providers={}, registry=registry)
    claim = stranger(harbor, "acme")
    assert (claim.distribution, claim.entry_point.value) == (
        "acme-harbor",
        "acme_harbor_module:VALUE",
    )
    seen = examine(claim)
    assert trust(harbor, claim, seen)
    assert not trust(harbor, claim, seen)
    agreed = Agreement("acme-harbor", "2.0", seen.digest)
    assert harbor.settings.trusted_providers == {"acme": agreed}
    assert listed(harbor)["acme"].problem is None
    assert trust(harbor, attrs.evolve(claim, version="3.0"), seen)
    assert not listed(harbor)["acme"].trusted


@pytest.mark.parametrize("name", ["slack", "health", "Slack", "a b", ".x"])
def test_reserved_names_and_no_names_are_not_trusted(
    make_harbor: MakeHarbor, install: Install, name: str
) -> None:
    """Whoever claims them."""
    registry = install("evil", "1.0", f"harbor.providers:{name}", good("slack"))
    with pytest.raises(InvalidNameError):
        stranger(make_harbor(providers={}, registry=registry), name)


def test_only_what_is_installed_once_can_be_trusted(
    make_harbor: MakeHarbor, install: Install
) -> None:
    """Neither an absent one nor one of two rivals."""
    with pytest.raises(ProviderNotFoundError):
        stranger(make_harbor(providers={}, registry=Registry([])), "acme")
    install("harbor-a", "1.0", "harbor.providers:acme", good("acme"))
    registry = install("harbor-b", "1.0", "harbor.providers:acme", good("acme"))
    with pytest.raises(ProviderInvalidError, match="harbor-a and harbor-b"):
        stranger(make_harbor(providers={}, registry=registry), "acme")


# --- what is gone -------------------------------------------------------------------


def test_a_provider_that_is_gone_can_be_restored(
    make_harbor: MakeHarbor, install: Install, given: OAuthProvider
) -> None:
    """A shipped one by its line, a trusted one by its distribution; of others nothing is known."""
    registry: Any = install("acme-harbor", "2.0", "harbor.providers:acme", good("acme"))
    harbor = make_harbor(providers={"given": given}, registry=registry)
    claim = stranger(harbor, "acme")
    trust(harbor, claim, examine(claim))
    assert restore_step(harbor, "acme") is None
    assert restore_step(harbor, "given") is None
    bare = make_harbor(providers={}, registry=Registry([]))
    assert restore_step(bare, "slack") == install_line("slack")
    assert restore_step(bare, "acme") == "Install acme-harbor 2.0 again."
    assert restore_step(bare, "unknown") is None
