"""`harbor providers`, what `dock` does with a provider's servers, and grants without a provider."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from harbor_oauth.client import Harbor
from harbor_oauth.providers import (
    Flow,
    NativeServer,
    OAuthProvider,
    Registration,
    Resource,
    discovered_provider,
)
from harbor_oauth.registry import Registry, install_line
from harbor_oauth.testing import McpServer

if TYPE_CHECKING:
    from tests.conftest import Cli

MakeHarbor = Callable[..., Harbor]
Install = Callable[[str, str, str, str], Registry]

BROKEN = "raise RuntimeError('\\x1b[31mno')"
ACME = """
from harbor_oauth.providers import OAuthProvider, Resource
VALUE = OAuthProvider(
    name="acme",
    display_name="Acme",
    resources=(Resource("mcp", ("https://x.example/mcp",), ("https://x.example",)),),
)
"""


@pytest.fixture
def suite(mcp: McpServer) -> OAuthProvider:
    """A provider with two servers, an app to register and a flow that does not say PKCE."""
    provider = discovered_provider("suite", mcp.url)
    (resource,) = provider.resources
    app: Resource = attrs.evolve(
        resource,
        name="api",
        registration=(Registration.OWN_PAPERS,),
        registration_url="https://suite.example/apps",
        registration_steps=("Choose a name.",),
    )
    (server,) = provider.native_servers
    return attrs.evolve(
        provider,
        display_name="Suite",
        servers_label="Suite (drive, mail)",
        resources=(attrs.evolve(resource, reviewed_only="Suite reviews clients."), app),
        native_servers=(server, attrs.evolve(server, name="suite-mail")),
        flow=Flow.CODE,
    )


@pytest.fixture
def mixed(make_harbor: MakeHarbor, install: Install, suite: OAuthProvider) -> Harbor:
    """A Harbor with a good provider, a broken one and a stranger's."""
    install("harbor-oauth-neon", "0.1", "harbor.providers:neon", BROKEN)
    registry = install("acme-harbor", "2.0", "harbor.providers:acme", ACME)
    return make_harbor(providers={"suite": suite}, registry=registry)


# --- the list -------------------------------------------------------------------


def test_the_list_says_provider_servers_and_flow(cli: Cli, mixed: Harbor) -> None:
    """One that is broken, and one that is not trusted, are rows like others."""
    code, out, err = cli("providers", with_=mixed)
    assert code == 0
    assert out.splitlines() == [
        "Provider  Servers                                   Flow",
        "acme      not trusted: harbor providers trust acme  -",
        "neon      cannot be used                            -",
        "Suite     Suite (drive, mail)                       OAuth 2.0",
    ]
    assert err.startswith("warning: harbor-oauth-neon 0.1 offers 'neon', but its entry point")
    assert "RuntimeError: [31mno" in err  # the escape itself is left out
    assert "\x1b" not in err
    assert "acme_harbor_module" not in sys.modules


def test_the_plain_list_opens_no_vault(cli: Cli, mixed: Harbor) -> None:
    """Nothing of the user's is read for it."""
    cli("providers", with_=mixed)
    assert mixed._vault is None


def test_the_long_list_says_how_each_would_sign_in(cli: Cli, mixed: Harbor) -> None:
    """Where PKCE is added, which client there is, and how to come by one."""
    code, out, err = cli("providers", "--verbose", with_=mixed)
    assert code == 0
    table, ahead, reviewed, steps = out.split("\n\n")
    assert table.splitlines()[1].split()[-3:] == ["-", "acme-harbor", "2.0"]
    assert table.splitlines()[3].split()[-3:] == ["added", "-", "-"]
    assert ahead.splitlines() == [
        "Grant      Signs in with  Missing",
        "suite      -              a client that the vendor reviewed",
        "suite/api  -              an app of your own",
    ]
    assert reviewed.splitlines()[:2] == ["For suite:", "  Suite reviews clients."]
    assert steps.splitlines() == [
        "For suite/api:",
        "  Register an app at https://suite.example/apps",
        "  Choose a name.",
        "  Run: harbor chest set oauth:suite:client_id CLIENT_ID",
    ]
    assert "reviews" not in err
    mixed.vault.set("oauth:suite:client_id", "mine")
    assert "suite/api  own papers" in cli("providers", "-v", with_=mixed).out


def test_the_list_as_json(cli: Cli, mixed: Harbor) -> None:
    """The same facts; how each would sign in is there when it is asked for."""
    acme, neon, suite = json.loads(cli("providers", "--json", with_=mixed).out)
    assert (acme["trusted"], acme["flow"], acme["distribution"]) == (False, None, "acme-harbor")
    assert "failed to load" in neon["problem"]
    assert suite == {
        "name": "suite",
        "display_name": "Suite",
        "servers": "Suite (drive, mail)",
        "flow": "OAuth 2.0",
        "pkce_added": True,
        "native_servers": ["suite", "suite-mail"],
        "distribution": None,
        "version": None,
        "trusted": True,
        "problem": None,
    }
    ahead = json.loads(cli("providers", "--json", "--verbose", with_=mixed).out)
    assert [each["sign_in"] for each in ahead[:2]] == [[], []]
    assert [each["way"] for each in ahead[2]["sign_in"]] == [None, None]


def test_an_empty_list_says_what_to_install(cli: Cli, make_harbor: MakeHarbor) -> None:
    """Standard output stays empty."""
    code, out, err = cli("providers", with_=make_harbor(providers={}, registry=Registry([])))
    assert (code, out) == (0, "")
    assert f"next: {install_line('linear')}" in err


# --- trust ------------------------------------------------------------------------


def test_trust_is_asked_for_at_a_terminal(
    cli: Cli, mixed: Harbor, answers: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After showing what would be imported; a no changes nothing."""
    monkeypatch.setattr("harbor_oauth.cli.providers.interactive", lambda: True)
    answers("n", "y")
    refused = cli("providers", "trust", "acme", with_=mixed)
    assert refused.code == 2
    assert "acme is offered by acme-harbor 2.0: acme_harbor_module:VALUE" in refused.err
    assert mixed.settings.trusted_providers == {}
    agreed = cli("providers", "trust", "acme", with_=mixed)
    assert (agreed.code, agreed.out) == (0, "Trusted acme-harbor 2.0.\n")
    assert "Acme" in cli("providers", with_=mixed).out


def test_trust_without_a_terminal_has_to_be_said(cli: Cli, mixed: Harbor) -> None:
    """A pipe agrees to nothing by accident."""
    code, _, err = cli("providers", "trust", "acme", stdin="y\n", with_=mixed)
    assert code == 2
    assert "--yes" in err
    assert mixed.settings.trusted_providers == {}
    assert cli("providers", "trust", "acme", "--yes", with_=mixed).code == 0
    again = cli("providers", "trust", "acme", "--yes", with_=mixed)
    assert "trusted already" in again.out


@pytest.mark.parametrize("name", ["neon", "health", "absent", "Acme"])
def test_some_names_are_not_to_be_trusted(cli: Cli, mixed: Harbor, name: str) -> None:
    """Reserved ones, ones that nobody offers, and ones that are none."""
    code, out, err = cli("providers", "trust", name, "--yes", with_=mixed)
    assert (code, out) == (1, "")
    assert err.splitlines()[-1].startswith("next: ") or name == "health"
    assert mixed.settings.trusted_providers == {}


# --- a provider's servers -----------------------------------------------------------


def test_dock_names_the_servers_that_are_left(
    cli: Cli, make_harbor: MakeHarbor, suite: OAuthProvider
) -> None:
    """And docks one of them by its name."""
    harbor = make_harbor(providers={"suite": suite})
    out = cli("dock", "suite", with_=harbor).out
    assert "Not docked: suite-mail (--server NAME, or --all-servers)" in out
    out = cli("dock", "suite", "--server", "suite-mail", with_=harbor).out
    assert out.startswith("Docked suite-mail.\n")
    assert "Not docked" not in out


def test_dock_takes_all_servers_at_once(
    cli: Cli, make_harbor: MakeHarbor, suite: OAuthProvider
) -> None:
    """Each is said, in order."""
    harbor = make_harbor(providers={"suite": suite})
    out = cli("dock", "suite", "--all-servers", with_=harbor).out
    assert [line for line in out.splitlines() if line.startswith("Docked")] == [
        "Docked suite.",
        "Docked suite-mail.",
    ]
    assert "Not docked" not in out


@pytest.mark.parametrize(
    "words",
    [
        ("--server", "x", "--name", "y", "--url", "https://x.example/mcp"),
        ("--all-servers", "--name", "y", "--command", "x"),
        ("suite", "--all-servers", "--server", "suite"),
        ("suite", "--all-servers", "--name", "other"),
    ],
)
def test_options_that_contradict_are_refused(cli: Cli, harbor: Harbor, words: Any) -> None:
    """As wrong usage, before anything is done."""
    assert cli("dock", *words).code == 2
    assert harbor.settings.servers == {}


def test_a_program_of_a_provider_is_docked(
    cli: Cli, make_harbor: MakeHarbor, suite: OAuthProvider
) -> None:
    """The next command runs it."""
    native = NativeServer(
        name="suite",
        resource="mcp",
        command=("suite-mcp",),
        env={"TOKEN": "vault:oauth:suite:access_token"},
    )
    harbor = make_harbor(providers={"suite": attrs.evolve(suite, native_servers=(native,))})
    assert cli("dock", "suite", with_=harbor).out.endswith("Next: harbor run suite\n")


# --- a provider that is gone ----------------------------------------------------------


def test_grants_stay_listed_without_their_provider(
    cli: Cli, make_harbor: MakeHarbor, suite: OAuthProvider
) -> None:
    """With the line that brings the provider back; the grant itself is in order."""
    slack: OAuthProvider = attrs.evolve(suite, name="slack")
    make_harbor(providers={"slack": slack}).login("slack")
    bare = make_harbor(providers={}, registry=Registry([]))
    code, out, err = cli("papers", with_=bare)
    assert code == 0
    assert out.splitlines()[1].startswith("slack")
    assert err.splitlines() == [
        "warning: The provider slack is not installed any more; its grants stay.",
        f"next: {install_line('slack')}",
    ]
    (grant,) = json.loads(cli("papers", "--json", with_=bare).out)
    assert grant["restore_provider"] == install_line("slack")
    assert cli("token", "slack", with_=bare).code == 0
    assert install_line("slack") in cli("charter", "slack", with_=bare).err
