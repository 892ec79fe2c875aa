"""Docking and undocking, against real servers on loopback."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from harbor_oauth.client import GrantStatus, Harbor
from harbor_oauth.errors import (
    AuthorizationResponseError,
    ConfigurationError,
    FlowCancelledError,
    FlowTimeoutError,
    HarborError,
    InsecureEndpointError,
    InvalidNameError,
    LoginRequiredError,
    ServerNotFoundError,
    WrongResourceError,
)
from harbor_oauth.fleet.config import add_server
from harbor_oauth.fleet.docking import (
    dock_command,
    dock_provider,
    dock_url,
    server,
)
from harbor_oauth.fleet.undocking import undock
from harbor_oauth.providers import NativeServer, OAuthProvider, discovered_provider
from harbor_oauth.testing import AuthorizationServer, McpServer


def refuse_urls(url: str) -> None:
    """Stand for a front end that must not be asked to sign anybody in."""
    raise AssertionError(url)


def config(harbor: Harbor) -> str | None:
    path: Path = harbor.settings.config_path
    return path.read_text() if path.exists() else None


def test_docking_a_url_signs_in_and_counts_its_tools(
    harbor: Harbor, mcp: McpServer, issuer: AuthorizationServer
) -> None:
    """The entry has the URL and the grant, and its token is accepted."""
    shown: list[str] = []
    docked = dock_url(harbor, "real", mcp.url, on_url=shown.append)
    assert (docked.changed, docked.signed_in, docked.tools) == (True, True, 2)
    assert docked.next_command == "harbor token real"
    assert len(shown) == 1
    assert harbor.settings.servers == {"real": docked.entry}
    assert (docked.entry.url, docked.entry.grant) == (mcp.url, "real")
    assert issuer.valid(harbor.token("real").reveal())


def test_whoever_gives_up_in_time_docks_nothing(
    harbor: Harbor, mcp: McpServer, issuer: AuthorizationServer
) -> None:
    """The last look comes after the sign-in and before anything is written."""

    def give_up() -> None:
        raise FlowCancelledError("The sign-in was cancelled.")

    with pytest.raises(FlowCancelledError):
        dock_url(harbor, "real", mcp.url, check=give_up)
    assert harbor.settings.servers == {}
    assert harbor.status() == ()
    assert {each.kind for each in issuer.revoked} == {"refresh_token", "access_token"}


def test_docking_twice_changes_nothing(
    harbor: Harbor, mcp: McpServer, issuer: AuthorizationServer
) -> None:
    """Nobody signs in, the file stays, and the result says so."""
    dock_url(harbor, "real", mcp.url)
    before, requests = config(harbor), issuer.count("token")
    docked = dock_url(harbor, "real", mcp.url, on_url=refuse_urls)
    assert (docked.changed, docked.signed_in, docked.tools) == (False, False, 2)
    assert config(harbor) == before
    assert issuer.count("token") == requests


def test_docking_a_provider_uses_its_default_server(harbor: Harbor, mcp: McpServer) -> None:
    """Its name is the provider's, and so is the grant."""
    docked = dock_provider(harbor, "practice")
    assert (docked.entry.name, docked.entry.url, docked.entry.grant) == (
        "practice",
        mcp.url,
        "practice",
    )
    assert docked.tools == 2


def test_two_accounts_of_a_provider_are_two_servers(harbor: Harbor) -> None:
    """Each with a grant of its own."""
    dock_provider(harbor, "practice")
    docked = dock_provider(harbor, "practice", account="work", name="practice-work")
    assert docked.entry.grant == "practice@work"
    assert harbor.token("practice@work").reveal() != harbor.token("practice").reveal()


def test_another_account_under_the_same_name_is_refused(harbor: Harbor) -> None:
    """Nobody is asked to sign in for it."""
    dock_provider(harbor, "practice")
    with pytest.raises(ConfigurationError, match="docked already, and differs"):
        dock_provider(harbor, "practice", account="work", on_url=refuse_urls)


def test_a_server_that_asks_for_no_token_gets_no_grant(harbor: Harbor, mcp: McpServer) -> None:
    """Nobody signs in."""
    mcp.require_auth = False
    docked = dock_url(harbor, "open", mcp.url, on_url=refuse_urls)
    assert (docked.entry.grant, docked.tools) == (None, 2)


def test_skip_auth_docks_without_signing_in(harbor: Harbor, mcp: McpServer) -> None:
    """A provider's server keeps the name of the grant to come; the next command makes it."""
    docked = dock_provider(harbor, "practice", skip_auth=True, on_url=refuse_urls)
    assert docked.next_command == "harbor charter practice"
    assert docked.tools is None
    assert dock_url(harbor, "real", mcp.url, skip_auth=True).entry.grant is None


def test_a_server_docked_without_a_grant_can_get_one(harbor: Harbor, mcp: McpServer) -> None:
    """Docking again signs in and adds the grant."""
    dock_url(harbor, "real", mcp.url, skip_auth=True)
    docked = dock_url(harbor, "real", mcp.url)
    assert (docked.changed, docked.signed_in) == (True, True)
    assert harbor.settings.servers["real"].grant == "real"
    assert dock_url(harbor, "real", mcp.url, skip_auth=True).changed is False


def test_a_docked_server_whose_grant_ended_is_signed_in_again(
    harbor: Harbor, mcp: McpServer
) -> None:
    """The configuration stays."""
    dock_url(harbor, "real", mcp.url)
    before = config(harbor)
    harbor.logout("real")
    docked = dock_url(harbor, "real", mcp.url)
    assert (docked.changed, docked.signed_in) == (False, True)
    assert config(harbor) == before


def test_a_grant_for_another_origin_does_not_serve(
    harbor: Harbor, mcp: McpServer, issuer: AuthorizationServer
) -> None:
    """A kept grant of the same name, made for another server, is replaced by signing in."""
    dock_url(harbor, "real", mcp.url)
    undock(harbor, "real", keep_grant=True)
    with McpServer(issuer) as other:
        docked = dock_url(harbor, "real", other.url)
        assert (docked.signed_in, docked.tools) == (True, 2)


def test_a_header_with_a_reference_is_the_authentication(harbor: Harbor, mcp: McpServer) -> None:
    """Nobody signs in; what it names is missing until it is stored."""
    headers = {"X-Api-Key": "vault:maps-key"}
    docked = dock_url(harbor, "maps", mcp.url, headers=headers, on_url=refuse_urls)
    assert docked.missing == ("maps-key",)
    assert docked.next_command == "harbor chest set maps-key"
    assert docked.tools is None


def test_an_authorization_header_naming_a_grant_means_that_grant(
    harbor: Harbor, mcp: McpServer
) -> None:
    """The entry uses it, and the server accepts it."""
    harbor.login("practice")
    headers = {"Authorization": "Bearer vault:oauth:practice:access_token"}
    docked = dock_url(harbor, "again", mcp.url, headers=headers, on_url=refuse_urls)
    assert (docked.entry.grant, docked.tools) == ("practice", 2)


@pytest.mark.parametrize("header", ["Authorization", "X-Token"])
def test_a_header_never_carries_a_token_to_another_origin(harbor: Harbor, header: str) -> None:
    """The docking is refused before anything is sent or stored."""
    harbor.login("practice")
    with pytest.raises(WrongResourceError, match=r"must not be sent to https://evil\.example"):
        dock_url(
            harbor,
            "evil",
            "https://evil.example/mcp",
            headers={header: "Bearer vault:oauth:practice:access_token"},
            skip_auth=True,
        )
    assert config(harbor) is None


def test_a_refused_sign_in_leaves_everything_as_it_was(
    harbor: Harbor, mcp: McpServer, issuer: AuthorizationServer
) -> None:
    """No entry, no grant."""
    issuer.deny = True
    with pytest.raises(AuthorizationResponseError):
        dock_url(harbor, "real", mcp.url)
    assert config(harbor) is None
    assert harbor.status() == ()


def test_an_interruption_after_the_sign_in_ends_the_new_grant(
    harbor: Harbor,
    mcp: McpServer,
    issuer: AuthorizationServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was made for a docking that did not come about is revoked and forgotten."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("harbor_oauth.fleet.docking.add_server", interrupt)
    with pytest.raises(KeyboardInterrupt):
        dock_url(harbor, "real", mcp.url)
    assert harbor.status() == ()
    assert issuer.revoked
    assert config(harbor) is None


class TestTwoAtOnce:
    """Two dockings of one name: neither ends what the other was promised."""

    @pytest.mark.parametrize("ending", [FlowTimeoutError("Too late."), KeyboardInterrupt()])
    def test_one_that_never_signed_in_ends_nothing(
        self, harbor: Harbor, mcp: McpServer, issuer: AuthorizationServer, ending: BaseException
    ) -> None:
        """It waited for its browser while another docking succeeded."""

        def give_up(*_: object, **__: object) -> GrantStatus:
            dock_url(harbor, "real", mcp.url)
            raise ending

        with pytest.raises(type(ending)):
            dock_url(harbor, "real", mcp.url, sign_in=give_up)
        assert issuer.valid(harbor.token("real").reveal())
        assert issuer.revoked == []

    def test_one_that_signed_in_first_ends_nothing(
        self, harbor: Harbor, mcp: McpServer, issuer: AuthorizationServer
    ) -> None:
        """Another docking uses its grant, and was told so, before it fails."""

        def another_docks_and_then_it_fails() -> None:
            docked = dock_url(harbor, "real", mcp.url, on_url=refuse_urls)
            assert not docked.signed_in
            raise FlowCancelledError("The sign-in was cancelled.")

        with pytest.raises(FlowCancelledError):
            dock_url(harbor, "real", mcp.url, check=another_docks_and_then_it_fails)
        assert issuer.valid(harbor.token("real").reveal())
        assert issuer.revoked == []

    def test_a_later_sign_in_stays(
        self, harbor: Harbor, mcp: McpServer, issuer: AuthorizationServer
    ) -> None:
        """What is stored by then is not what the failed docking stored."""

        def sign_in_again_and_fail() -> None:
            harbor.login("real", provider=discovered_provider("real", mcp.url))
            raise FlowCancelledError("The sign-in was cancelled.")

        with pytest.raises(FlowCancelledError):
            dock_url(harbor, "real", mcp.url, check=sign_in_again_and_fail)
        assert issuer.valid(harbor.token("real").reveal())
        assert issuer.revoked == []

    def test_the_same_entry_written_meanwhile_is_a_success(
        self, harbor: Harbor, mcp: McpServer, issuer: AuthorizationServer
    ) -> None:
        """Both are told "Docked", and the grant works."""
        other = Harbor(environ=harbor.settings.environ, home=harbor.home, browser=issuer.browser)

        def another_docks() -> None:
            with other:
                dock_url(other, "real", mcp.url, on_url=refuse_urls)

        docked = dock_url(harbor, "real", mcp.url, check=another_docks)
        assert harbor.settings.servers == {"real": docked.entry}
        assert issuer.valid(harbor.token("real").reveal())

    def test_a_grant_that_was_taken_back_is_signed_in_to_again(
        self,
        harbor: Harbor,
        mcp: McpServer,
        issuer: AuthorizationServer,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """One docking found a grant whose own docking fails before it sees the other's entry."""
        harbor.login("real", provider=discovered_provider("real", mcp.url))
        stored = harbor.generation("real")

        def taken_back_then_written(*arguments: Any) -> None:
            assert harbor.take_back("real", stored) is not None
            add_server(*arguments)

        monkeypatch.setattr("harbor_oauth.fleet.docking.add_server", taken_back_then_written)
        docked = dock_url(harbor, "real", mcp.url)
        assert docked.signed_in
        assert issuer.valid(harbor.token("real").reveal())


def test_an_unwritable_configuration_shows_before_anybody_signs_in(
    harbor: Harbor, mcp: McpServer
) -> None:
    """Nobody signs in for nothing."""
    home = harbor.settings.home
    home.mkdir(mode=0o700)
    (home / "config.lock").symlink_to(home / "elsewhere")
    with pytest.raises(ConfigurationError, match="cannot be written"):
        dock_url(harbor, "real", mcp.url, on_url=refuse_urls)


@pytest.mark.parametrize("name", ["slack", "health", "practice", "Upper", "-x", "a/b", ""])
def test_names_that_stand_for_something_else_are_refused(
    harbor: Harbor, mcp: McpServer, name: str
) -> None:
    """Neither another URL nor a program takes a provider's or a reserved name."""
    with pytest.raises(InvalidNameError):
        dock_url(harbor, name, "https://evil.example/mcp", on_url=refuse_urls)
    with pytest.raises(InvalidNameError):
        dock_command(harbor, name, "true")
    if name != "practice":
        with pytest.raises(InvalidNameError):
            dock_provider(harbor, "practice", name=name, on_url=refuse_urls)
    assert config(harbor) is None


def test_a_providers_name_with_its_own_url_is_that_provider(harbor: Harbor, mcp: McpServer) -> None:
    """`--name practice --url` its own URL is the same server."""
    dock_provider(harbor, "practice")
    docked = dock_url(harbor, "practice", mcp.url, on_url=refuse_urls)
    assert docked.changed is False


@pytest.mark.parametrize(
    "url",
    ["http://example.com/mcp", "ftp://a.example", "https://u:p@a.example/", "/mcp", "vault:url"],
)
def test_urls_that_must_not_see_a_token_are_refused(harbor: Harbor, url: str) -> None:
    """https, or http on loopback, without user information."""
    with pytest.raises(InsecureEndpointError):
        dock_url(harbor, "x", url)


def test_another_url_under_a_docked_name_is_refused(harbor: Harbor, mcp: McpServer) -> None:
    """The text says how to replace it; what is docked stays."""
    dock_url(harbor, "real", mcp.url)
    before = config(harbor)
    with pytest.raises(ConfigurationError, match="differs") as caught:
        dock_url(harbor, "real", "https://evil.example/mcp")
    assert "harbor undock real" in caught.value.next_step
    assert config(harbor) == before


def test_a_program_is_docked_with_its_arguments(harbor: Harbor) -> None:
    """Verbatim; and the next command runs it, or stores what is missing."""
    docked = dock_command(harbor, "files", "npx", ("-y", "a server"), env={"MODE": "x"})
    assert (docked.entry.command, docked.entry.args) == ("npx", ("-y", "a server"))
    assert docked.next_command == "harbor run files"
    assert len(harbor.vault.names("approval:")) == 1  # what was agreed to, and no more
    missing = dock_command(harbor, "maps", "npx", env={"KEY": "vault:maps-key"})
    assert missing.next_command == "harbor chest set maps-key"


def test_a_reference_in_a_command_line_is_refused(harbor: Harbor) -> None:
    """The text names the environment instead."""
    with pytest.raises(ConfigurationError, match="command line") as caught:
        dock_command(harbor, "x", "npx", ("vault:key",))
    assert "--env" in caught.value.next_step


def test_a_providers_program_is_docked_with_its_grant(
    make_harbor: Callable[..., Harbor], mcp: McpServer
) -> None:
    """A native server that is a program gets the provider's grant and environment."""
    native = NativeServer(
        name="local",
        resource="mcp",
        command=("serve", "--stdio"),
        env={"TOKEN": "vault:oauth:local:access_token"},
    )
    provider = attrs.evolve(discovered_provider("local", mcp.url), native_servers=(native,))
    harbor = make_harbor(providers={"local": provider})
    docked = dock_provider(harbor, "local")
    assert (docked.entry.command, docked.entry.args, docked.entry.grant) == (
        "serve",
        ("--stdio",),
        "local",
    )
    assert (docked.missing, docked.next_command) == ((), "harbor run local")


def test_a_provider_without_a_server_says_how_to_sign_in(
    make_harbor: Callable[..., Harbor], mcp: McpServer
) -> None:
    """There is nothing to dock."""
    bare: OAuthProvider = attrs.evolve(discovered_provider("bare", mcp.url), native_servers=())
    with pytest.raises(ConfigurationError, match="declares no server") as caught:
        dock_provider(make_harbor(providers={"bare": bare}), "bare")
    assert "harbor charter bare" in caught.value.next_step


def test_undocking_ends_the_grant(
    harbor: Harbor, mcp: McpServer, issuer: AuthorizationServer
) -> None:
    """The server refuses the token afterwards; entry and grant are gone."""
    dock_url(harbor, "real", mcp.url)
    token = harbor.token("real").reveal()
    undocked = undock(harbor, "real")
    assert [ended.revoked for ended in undocked.ended] == [True]
    assert not issuer.valid(token)
    assert harbor.settings.servers == {}
    with pytest.raises(LoginRequiredError):
        harbor.token("real")


def test_docking_again_after_undocking_registers_no_second_client(
    harbor: Harbor, mcp: McpServer, issuer: AuthorizationServer
) -> None:
    """Registrations and own papers stay."""
    dock_url(harbor, "real", mcp.url)
    undock(harbor, "real")
    dock_url(harbor, "real", mcp.url)
    assert issuer.count("register") == 1


def test_a_grant_that_another_server_uses_stays(
    harbor: Harbor, issuer: AuthorizationServer
) -> None:
    """By its own entry, by a variable, and by a longer name of the same grant."""
    dock_provider(harbor, "practice")
    dock_provider(harbor, "practice", name="second")
    env = {"TOKEN": "vault:oauth:practice/mcp:access_token"}
    dock_command(harbor, "third", "true", env=env)
    undocked = undock(harbor, "practice")
    assert undocked.shared == {"practice": ("second", "third")}
    assert undocked.ended == ()
    assert undock(harbor, "second").shared == {"practice": ("third",)}
    assert issuer.revoked == []


def test_a_grant_that_only_a_variable_names_stays(
    harbor: Harbor, issuer: AuthorizationServer
) -> None:
    """It was made for more than this server; the result names it."""
    harbor.login("practice")
    env = {"TOKEN": "vault:oauth:practice:access_token"}
    dock_command(harbor, "files", "true", env=env)
    undocked = undock(harbor, "files")
    assert (undocked.ended, undocked.kept) == ((), ("practice",))
    assert issuer.revoked == []


def test_keep_grant_keeps_it(harbor: Harbor, mcp: McpServer) -> None:
    """The result names what stays."""
    dock_url(harbor, "real", mcp.url)
    undocked = undock(harbor, "real", keep_grant=True)
    assert (undocked.kept, undocked.ended) == (("real",), ())
    assert harbor.token("real").reveal()


def test_undocking_works_when_the_server_is_down(
    harbor: Harbor, mcp: McpServer, issuer: AuthorizationServer
) -> None:
    """It is forgotten here, and the result says that the server was not told."""
    dock_url(harbor, "real", mcp.url)
    issuer.metadata["revocation_endpoint"] = None
    issuer.close()
    undocked = undock(harbor, "real")
    assert [(ended.revoked, bool(ended.reason)) for ended in undocked.ended] == [(False, True)]
    assert harbor.settings.servers == {}


def test_a_grant_that_cannot_be_forgotten_keeps_its_server(
    harbor: Harbor, mcp: McpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that undocking can be tried again by name."""
    dock_url(harbor, "real", mcp.url)

    def fail(*_: Any, **__: Any) -> None:
        raise HarborError("no")

    monkeypatch.setattr(Harbor, "logout", fail)
    with pytest.raises(HarborError):
        undock(harbor, "real")
    assert "real" in harbor.reload_settings().servers


def test_a_server_that_is_not_there_is_named_beside_those_that_are(harbor: Harbor) -> None:
    """Looking it up and undocking it say the same."""
    dock_command(harbor, "files", "true")
    for ask in (server, undock):
        with pytest.raises(ServerNotFoundError, match=r"'nope' \(docked: files\)"):
            ask(harbor, "nope")
