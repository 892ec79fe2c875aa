"""Each command against real servers on loopback."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from harbor_oauth.client import Harbor
from harbor_oauth.testing import AuthorizationServer, McpServer

Cli = Callable[..., Any]


def test_dock_token_undock(cli: Cli, mcp: McpServer, issuer: AuthorizationServer) -> None:
    """The documented lines work in this order."""
    code, out, err = cli("dock", "--name", "real", "--url", mcp.url)
    assert code == 0
    assert out == "Docked real.\nTools: 2\nNext: harbor token real\n"
    assert f"{issuer.issuer}/authorize?" in err

    code, out, err = cli("token", "real")
    assert (code, err) == (0, "")
    assert issuer.valid(out.removesuffix("\n"))

    assert cli("dock", "--name", "real", "--url", mcp.url).out == (
        "real is docked already; nothing was changed.\nTools: 2\nNext: harbor token real\n"
    )

    code, again, _ = cli("undock", "--name", "real")
    assert code == 0
    assert again == "Undocked real.\nThe grant real is revoked and forgotten.\n"
    assert not issuer.valid(out.removesuffix("\n"))
    assert cli("token", "real").code == 4


def test_dock_a_provider_and_undock_it_by_argument(cli: Cli) -> None:
    """`harbor dock PROVIDER`, `harbor undock NAME`."""
    assert cli("add", "practice").out.startswith("Docked practice.\n")
    assert cli("remove", "practice", "--keep-grant").out == (
        "Undocked practice.\nThe grant practice stays; to end it: harbor logout practice\n"
    )
    assert cli("logout", "practice").out == "The grant practice is revoked and forgotten.\n"


def test_a_shared_grant_is_said_to_stay(cli: Cli) -> None:
    """With the server that uses it."""
    cli("dock", "practice")
    cli("dock", "practice", "--name", "second")
    assert "The grant practice stays: second uses it.\n" in cli("undock", "practice").out


def test_a_server_that_was_not_told_is_a_warning(
    cli: Cli, mcp: McpServer, issuer: AuthorizationServer
) -> None:
    """The grant is forgotten here, and the reason is on standard error."""
    cli("dock", "--name", "real", "--url", mcp.url)
    issuer.close()
    code, out, err = cli("undock", "real")
    assert (code, out) == (0, "Undocked real.\nThe grant real is forgotten here.\n")
    assert err.startswith("warning: Its server was not told: ")


def test_a_program_is_docked_with_its_own_options(cli: Cli, harbor: Harbor) -> None:
    """What follows `--command PROGRAM` is the program's, from its first own word on."""
    cli("dock", "--name", "f", "--command", "npx", "--env", "A=b=c", "-y", "pkg", "--env", "x")
    entry = harbor.settings.servers["f"]
    assert (entry.command, entry.args) == ("npx", ("-y", "pkg", "--env", "x"))
    assert entry.env == {"A": "b=c"}
    cli("dock", "--command=npx", "--name=g", "--", "--name", "h")
    assert harbor.settings.servers["g"].args == ("--name", "h")


@pytest.mark.parametrize(
    ("argv", "code", "message"),
    [
        (("dock",), 2, "Name one provider"),
        (("dock", "a", "b"), 2, "Name one provider"),
        (("dock", "nosuch"), 1, "No provider 'nosuch' is installed"),
        (("dock", "practice", "-H", "A: b"), 2, "Name one provider"),
        (("dock", "--url", "https://a.example"), 2, "--url goes with --name"),
        (("dock", "x", "--name", "x", "--url", "https://a.example"), 2, "--url goes with"),
        (("dock", "--command", "npx"), 2, "--command goes with --name"),
        (("dock", "--name", "x", "--command", "a", "--url", "u"), 2, "--command goes with"),
        (("dock", "--name", "x", "--url", "http://a.example/"), 1, "is http and not on this"),
        (("dock", "--name", "health", "--url", "https://a.example"), 1, "a name of Harbor's own"),
        (("dock", "--name", "X", "--url", "https://a.example"), 1, "is not a server name"),
        (("dock", "--name", "x", "--url", "https://a", "-H", "nocolon"), 2, "'NAME: VALUE'"),
        (("dock", "--name", "x", "--url", "https://a", "--env", "=v"), 2, "NAME=VALUE"),
        (("dock", "--name", "x", "--url", "https://a", "-H", "A:1", "-H", "A:2"), 2, "twice"),
        (("dock", "--name", "x", "--url", "https://a", "-H", "Cookie: s"), 1, "a credential"),
        (("dock", "practice", "--acount", "x"), 2, "No such option"),
        (("dock", "practice", "--account", "a/b"), 1, "not an account label"),
        (("undock",), 2, "Name one server"),
        (("undock", "a", "--name", "b"), 2, "Name one server"),
        (("undock", "nope"), 1, "No docked server is called 'nope'"),
        (("run",), 2, "Missing argument"),
        (("run", "nope"), 1, "No docked server is called 'nope'"),
        (("token", "practice"), 4, "Nobody has signed in to practice"),
        (("token", "a b"), 1, "is not the name of a provider"),
        (("charter", "nosuch"), 1, "No provider 'nosuch'"),
        (("charter", "practice", "--timeout", "0"), 2, "not in the range"),
        (("revoke", "practice"), 4, "Nobody has signed in"),
        (("chest", "get", "nope"), 1, "The vault has no nope"),
        (("chest", "delete", "nope"), 1, "The vault has no nope"),
        (("chest", "set", "a b", "v"), 1, "is not the name of a secret"),
        (("chest", "set", "oauth:slack:password", "v"), 1, "is not a key of a grant"),
        (("chest", "set", "oauth:slack:access_token", "v"), 1, "harbor charter slack"),
        (("chest", "set", "k", "v", "--stdin"), 2, "not both"),
        (("chest", "init", "--key-file", "k", "--passphrase"), 2, "not both"),
        (("chest", "bogus"), 2, "No such command"),
    ],
)
def test_bad_input_is_answered(
    cli: Cli, harbor: Harbor, argv: tuple[str, ...], code: int, message: str
) -> None:
    """With a sentence, an exit code, an empty standard output, and nothing stored."""
    got, out, err = cli(*argv)
    assert (got, out) == (code, "")
    assert message in err
    assert "Traceback" not in err
    assert not harbor.settings.config_path.exists() or "[servers" not in (
        harbor.settings.config_path.read_text()
    )


def test_a_newer_configuration_is_refused_unchanged(cli: Cli, harbor: Harbor) -> None:
    """By a command that reads it and by one that writes it."""
    home = harbor.settings.home
    home.mkdir(mode=0o700)
    (home / "config.toml").write_text("version = 9\n")
    harbor._settings = None
    for argv in (("fleet",), ("dock", "--name", "x", "--command", "y")):
        code, _, err = cli(*argv)
        assert code == 1
        assert "version 9" in err
    assert (home / "config.toml").read_text() == "version = 9\n"


def test_fleet_lists_servers_and_their_state(cli: Cli, mcp: McpServer) -> None:
    """As a table, and as JSON with the same facts."""
    cli("dock", "practice")
    cli("dock", "--name", "files", "--command", "npx", "a b")
    cli("dock", "--name", "gone", "--url", mcp.url)
    cli("revoke", "gone")
    assert cli("fleet").out.splitlines() == [
        f"NAME      SERVER{' ' * (len(mcp.url) - 6)}  GRANT     STATE",
        f"files     {'npx ' + chr(39) + 'a b' + chr(39):{len(mcp.url)}}  -         -",
        f"gone      {mcp.url}  gone      signed out",
        f"practice  {mcp.url}  practice  active",
    ]
    listed = json.loads(cli("list", "--json").out)
    assert [(entry["name"], entry["state"]) for entry in listed] == [
        ("files", None),
        ("gone", "signed out"),
        ("practice", "active"),
    ]
    assert listed[0]["command"] == ["npx", "a b"]


def test_papers_list_grants_without_secrets(cli: Cli, harbor: Harbor) -> None:
    """As a table, and as JSON; the times are UTC."""
    cli("login", "practice", "--account", "me@x.example")
    token = harbor.token("practice").reveal()
    out = cli("papers").out
    assert out.splitlines()[0].split() == [
        "GRANT",
        "ACCOUNT",
        "STATE",
        "TOKEN",
        "ENDS",
        "SIGN",
        "IN",
        "AGAIN",
        "BY",
        "SCOPES",
    ]
    assert "active" in out
    assert "2027-01-15 09:00 UTC" in out
    listed = json.loads(cli("status", "--json").out)
    assert listed[0]["provider"] == "practice"
    assert listed[0]["expires_at"] == "2027-01-15T09:00:00Z"
    assert token not in out + json.dumps(listed)


def test_papers_ask_for_a_dead_grants_sign_in(
    cli: Cli, harbor: Harbor, issuer: AuthorizationServer, clock: Any
) -> None:
    """The exit code is 4, and the next step names it."""
    cli("charter", "practice")
    issuer.revoke_all()
    clock.advance(7200)
    assert cli("token", "practice").code == 4
    code, out, err = cli("papers")
    assert code == 4
    assert "dead" in out
    assert err == "next: harbor charter practice\n"
    assert cli("charter", "practice").code == 0
    assert cli("papers").code == 0


def test_token_as_json_has_its_end(cli: Cli, harbor: Harbor) -> None:
    """And its scopes."""
    cli("charter", "practice")
    value = json.loads(cli("token", "practice", "--json").out)
    assert value["access_token"] == harbor.token("practice").reveal()
    assert value["expires_at"] == "2027-01-15T09:00:00Z"


def test_a_refused_sign_in_ends_with_the_servers_reason(
    cli: Cli, issuer: AuthorizationServer
) -> None:
    """And exit code 1."""
    issuer.deny = True
    code, out, err = cli("charter", "practice")
    assert (code, out) == (1, "")
    assert "access_denied" in err


def test_nothing_yet_is_said_with_the_next_step(cli: Cli) -> None:
    """Standard output stays empty, so that a pipe gets no chatter."""
    for command in ("fleet", "papers"):
        code, out, err = cli(command)
        assert (code, out) == (0, "")
        assert "next: harbor dock PROVIDER" in err
    assert cli("fleet", "--json").out == "[]\n"
    assert cli("chest", "list").err == "The vault is empty.\n"


def test_providers_are_listed(cli: Cli) -> None:
    """Given ones beside installed ones."""
    assert "practice" in cli("providers").out
    names = [entry["name"] for entry in json.loads(cli("providers", "--json").out)]
    assert "practice" in names


def test_run_becomes_the_program(cli: Cli, harbor: Harbor) -> None:
    """Exit code and secret are the program's; the token's end is on standard error."""
    cli("charter", "practice")
    cli("chest", "set", "k", stdin="s3cret\n")
    cli(
        *("dock", "--name", "f", "--env", "K=vault:k"),
        *("--env", "T=vault:oauth:practice:access_token"),
        *("--command", "sh", "-c", 'echo "$K"; test -n "$T"; exit 7'),
    )
    token = harbor.token("practice").reveal()
    home = harbor.settings.home
    ran = subprocess.run(
        [sys.executable, "-m", "harbor_oauth", "run", "f"],
        capture_output=True,
        text=True,
        check=False,
        env={
            "PATH": "/usr/bin:/bin",
            "HARBOR_HOME": str(home),
            "HARBOR_VAULT": "keyfile",
            "HARBOR_VAULT_KEY_FILE": str(home / "vault.key"),
        },
    )
    assert (ran.returncode, ran.stdout) == (7, "s3cret\n")
    assert ran.stderr == ("harbor: the token of practice given to f ends at 2027-01-15 09:00 UTC\n")
    assert token not in ran.stderr
