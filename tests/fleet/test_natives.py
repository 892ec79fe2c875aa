"""The servers a provider declares: which grant each is given, and what is asked for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest

from harbor_oauth.client import Harbor
from harbor_oauth.errors import (
    AuthorizationResponseError,
    ConfigurationError,
    InvalidNameError,
    WrongResourceError,
)
from harbor_oauth.fleet.docking import dock_all_servers, dock_provider
from harbor_oauth.providers import NativeServer, OAuthProvider, Resource
from harbor_oauth.testing import AuthorizationServer, McpServer

MakeHarbor = Callable[..., Harbor]


def refuse_urls(url: str) -> None:
    """Stand for a front end that must not be asked to sign anybody in."""
    raise AssertionError(url)


@pytest.fixture
def suite(issuer: AuthorizationServer, mcp: McpServer) -> OAuthProvider:
    """A provider with a program and two servers that take the tokens of two resources."""
    issuer.scopes = ("read", "drive", "mail")
    resource = Resource(
        name="api",
        servers=(mcp.url,),
        allowed_origins=(mcp.origin,),
        issuer=issuer.issuer,
        resource=mcp.url,
        scopes=("read",),
    )

    def remote(name: str) -> NativeServer:
        return NativeServer(
            name=f"suite-{name}",
            resource="mcp",
            other_resources=("api",),
            url=mcp.url,
            scopes=(name,),
        )

    program = NativeServer(
        name="suite",
        resource="api",
        command=("suite", "--stdio"),
        env={"TOKEN": "vault:oauth:suite:access_token"},
    )
    return OAuthProvider(
        name="suite",
        display_name="Suite",
        resources=(resource, attrs.evolve(resource, name="mcp")),
        native_servers=(program, remote("drive"), remote("mail")),
    )


@pytest.fixture
def fleet(make_harbor: MakeHarbor, suite: OAuthProvider) -> Harbor:
    return make_harbor(providers={"suite": suite})


def asked(issuer: AuthorizationServer) -> list[str]:
    """Return the scopes of each sign-in, in order; a client that is kept is tried out first."""
    requests = (request for request in issuer.requests if request.endpoint == "authorize")
    return list(dict.fromkeys(request.query["scope"] for request in requests))


# --- one of them ----------------------------------------------------------------


def test_the_default_is_docked_and_the_rest_is_named(
    fleet: Harbor, issuer: AuthorizationServer
) -> None:
    """What is docked already is not named again."""
    docked = dock_provider(fleet, "suite")
    assert (docked.entry.name, docked.entry.grant) == ("suite", "suite")
    assert docked.others == ("suite-drive", "suite-mail")
    assert asked(issuer) == ["read"]
    assert dock_provider(fleet, "suite", server="suite-mail").others == ("suite-drive",)


def test_a_server_is_docked_by_its_name(fleet: Harbor, issuer: AuthorizationServer) -> None:
    """With the scopes it needs, under the first resource whose tokens it takes."""
    docked = dock_provider(fleet, "suite", server="suite-drive")
    assert (docked.entry.name, docked.entry.grant, docked.tools) == ("suite-drive", "suite/mcp", 2)
    assert asked(issuer) == ["read drive"]
    again = dock_provider(fleet, "suite", server="suite-drive", on_url=refuse_urls)
    assert (again.changed, again.signed_in) == (False, False)


def test_an_unknown_server_names_the_known_ones(fleet: Harbor) -> None:
    """Before anybody signs in."""
    with pytest.raises(ConfigurationError, match="no server called 'drive'") as caught:
        dock_provider(fleet, "suite", server="drive", on_url=refuse_urls)
    assert caught.value.next_step == "Declared: suite, suite-drive, suite-mail."


def test_another_resource_s_grant_serves_if_it_suffices(fleet: Harbor) -> None:
    """Nobody signs in a second time."""
    fleet.login("suite", scopes=("read", "drive"))
    docked = dock_provider(fleet, "suite", server="suite-drive", on_url=refuse_urls)
    assert (docked.entry.grant, docked.tools) == ("suite", 2)


def test_another_resource_s_grant_that_is_too_narrow_is_left_alone(
    fleet: Harbor, issuer: AuthorizationServer
) -> None:
    """The server gets a grant of its own resource."""
    fleet.login("suite")
    docked = dock_provider(fleet, "suite", server="suite-drive")
    assert docked.entry.grant == "suite/mcp"
    assert asked(issuer) == ["read", "read drive"]
    assert fleet.token("suite").scopes == ("read",)


def test_a_second_server_widens_the_grant_and_takes_nothing_away(
    fleet: Harbor, issuer: AuthorizationServer
) -> None:
    """What the first one was given is asked for again."""
    dock_provider(fleet, "suite", server="suite-drive")
    docked = dock_provider(fleet, "suite", server="suite-mail")
    assert (docked.entry.grant, docked.signed_in) == ("suite/mcp", True)
    assert asked(issuer) == ["read drive", "read drive mail"]
    assert not dock_provider(fleet, "suite", server="suite-drive", on_url=refuse_urls).signed_in


def test_a_docked_server_keeps_its_grant(fleet: Harbor) -> None:
    """Although another one would suffice by now, and its own has ended."""
    dock_provider(fleet, "suite", server="suite-drive")
    fleet.login("suite", scopes=("read", "drive"))
    fleet.logout("suite/mcp")
    docked = dock_provider(fleet, "suite", server="suite-drive")
    assert (docked.entry.grant, docked.changed, docked.signed_in) == ("suite/mcp", False, True)


def test_an_account_s_server_is_given_that_account_s_token(fleet: Harbor) -> None:
    """What the plugin declares names the provider only; what is docked names the grant."""
    docked = dock_provider(fleet, "suite", name="suite-work", account="me@work.example")
    assert docked.entry.grant == "suite@me@work.example"
    assert docked.entry.env == {"TOKEN": "vault:oauth:suite@me@work.example:access_token"}
    assert docked.missing == ()


# --- all of them ----------------------------------------------------------------


def test_all_servers_need_one_sign_in(fleet: Harbor, issuer: AuthorizationServer) -> None:
    """It asks for what all of them need, and docking them again for nothing."""
    docked = list(dock_all_servers(fleet, "suite"))
    assert [each.entry.name for each in docked] == ["suite", "suite-drive", "suite-mail"]
    assert [each.entry.grant for each in docked] == ["suite"] * 3
    assert [each.signed_in for each in docked] == [True, False, False]
    assert asked(issuer) == ["read drive mail"]
    again = list(dock_all_servers(fleet, "suite", on_url=refuse_urls))
    assert not any(each.changed or each.signed_in for each in again)


def test_whoever_grants_less_is_not_asked_twice(
    make_harbor: MakeHarbor, suite: OAuthProvider, issuer: AuthorizationServer
) -> None:
    """The servers are docked with what there is."""
    harbor = make_harbor(providers={"suite": suite})
    harbor.settings.home.mkdir(mode=0o700)
    harbor.settings.config_path.write_text(
        'version = 1\n[grants.suite]\nscope_ceiling = ["read", "drive"]\n'
    )
    harbor.reload_settings()
    docked = list(dock_all_servers(harbor, "suite"))
    assert [each.signed_in for each in docked] == [True, False, False]
    assert asked(issuer) == ["read drive"]


def test_servers_of_other_resources_have_sign_ins_of_their_own(
    make_harbor: MakeHarbor, suite: OAuthProvider, issuer: AuthorizationServer
) -> None:
    """One for each grant; where the second fails, the first server stays docked."""
    apart = tuple(attrs.evolve(native, other_resources=()) for native in suite.native_servers)
    harbor = make_harbor(providers={"suite": attrs.evolve(suite, native_servers=apart)})
    docking = dock_all_servers(harbor, "suite")
    assert next(docking).entry.grant == "suite"
    issuer.deny = True
    with pytest.raises(AuthorizationResponseError):
        next(docking)
    assert list(harbor.settings.servers) == ["suite"]
    issuer.deny = False
    docked = list(dock_all_servers(harbor, "suite"))
    assert [each.entry.grant for each in docked] == ["suite", "suite/mcp", "suite/mcp"]
    assert asked(issuer)[-1] == "read drive mail"


def test_a_server_that_differs_stops_all_before_anybody_signs_in(fleet: Harbor) -> None:
    """Nothing is docked."""
    fleet.settings.home.mkdir(mode=0o700)
    fleet.settings.config_path.write_text('version = 1\n[servers.suite-mail]\ncommand = "x"\n')
    fleet.reload_settings()
    with pytest.raises(ConfigurationError, match="'suite-mail' is docked already, and differs"):
        list(dock_all_servers(fleet, "suite", on_url=refuse_urls))
    assert list(fleet.settings.servers) == ["suite-mail"]


# --- what a plugin must not declare -----------------------------------------------


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"name": "slack"}, InvalidNameError),
        ({"name": "practice"}, InvalidNameError),
        ({"name": "No Name"}, InvalidNameError),
        ({"env": {"TOKEN": "vault:oauth:practice:access_token"}}, WrongResourceError),
        ({"headers": {"X-Token": "vault:oauth:practice:access_token"}}, WrongResourceError),
        ({"env": {"TOKEN": "vault:oauth:suite:refresh_token"}}, ConfigurationError),
        ({"env": {"API_KEY": "written-out"}}, ConfigurationError),
    ],
)
def test_a_server_gets_no_other_provider_s_name_or_token(
    make_harbor: MakeHarbor,
    mcp: McpServer,
    suite: OAuthProvider,
    harbor: Harbor,
    change: dict[str, Any],
    error: type[Exception],
) -> None:
    """Refused before anybody signs in, whatever the plugin declares."""
    native = attrs.evolve(suite.native_servers[0], **change)
    provider = attrs.evolve(suite, native_servers=(native,))
    fleet = make_harbor(providers={"suite": provider, "practice": harbor.provider("practice")})
    with pytest.raises(error):
        dock_provider(fleet, "suite", on_url=refuse_urls)
    assert fleet.settings.servers == {}


def test_a_token_is_not_declared_for_a_foreign_origin(
    make_harbor: MakeHarbor, suite: OAuthProvider
) -> None:
    """Not even the provider's own."""
    native = NativeServer(
        name="suite",
        resource="api",
        url="https://evil.example/mcp",
        headers={"X-Token": "vault:oauth:suite:access_token"},
    )
    harbor = make_harbor(providers={"suite": attrs.evolve(suite, native_servers=(native,))})
    with pytest.raises(WrongResourceError, match=r"must not be sent to https://evil\.example"):
        dock_provider(harbor, "suite", on_url=refuse_urls)
