"""Grants whose token a variable gives."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harbor_oauth.client import Harbor
from harbor_oauth.testing import McpServer

Cli = Callable[..., Any]


@pytest.fixture
def given(make_harbor: Callable[..., Harbor], tmp_path: Path) -> Callable[..., Harbor]:
    """Make a Harbor with more variables in its environment."""

    def make(**variables: str) -> Harbor:
        key = str(tmp_path / "home" / "vault.key")
        environ = {"HARBOR_VAULT": "keyfile", "HARBOR_VAULT_KEY_FILE": key}
        return make_harbor(environ=environ | variables)

    return make


@pytest.mark.parametrize(
    ("variable", "name"),
    [
        ("HARBOR_TOKEN_PRACTICE", "practice"),
        ("HARBOR_TOKEN_PRACTICE_MCP", "practice/mcp"),
        ("HARBOR_TOKEN_A_B", "a-b"),
        ("HARBOR_TOKEN_WHO_KNOWS_WORK", "who-knows-work"),
    ],
)
def test_the_list_has_what_only_a_variable_gives(
    cli: Cli, given: Callable[..., Harbor], variable: str, name: str
) -> None:
    """Under the name that is known, or one that leads to the same variable."""
    harbor = given(**{variable: "cnry-t0ken"})
    cli("dock", "--name", "a-b", "--url", "http://127.0.0.1:9/", "--skip-auth", with_=harbor)
    ran = cli("status", with_=harbor)
    assert ran.code == 0
    assert f"{name}" in ran.out.splitlines()[1].split()
    assert "from environment" in ran.out
    assert variable in ran.err
    (row,) = json.loads(cli("status", "--json", with_=harbor).out)
    assert (row["grant"], row["state"], row["from_environment"]) == (name, "active", True)
    assert harbor.token(name).reveal() == "cnry-t0ken"
    assert "cnry" not in f"{ran}"


def test_a_stored_grant_is_listed_once(cli: Cli, given: Callable[..., Harbor]) -> None:
    """Its row says where its token is from."""
    harbor = given()
    assert cli("charter", "practice", with_=harbor).code == 0
    ran = cli("status", "--json", with_=given(HARBOR_TOKEN_PRACTICE="t"))
    (row,) = json.loads(ran.out)
    assert (row["grant"], row["from_environment"]) == ("practice", True)


def test_an_empty_variable_gives_nothing(cli: Cli, given: Callable[..., Harbor]) -> None:
    """As nowhere else."""
    ran = cli("status", with_=given(HARBOR_TOKEN_PRACTICE=""))
    assert "no grants yet" in ran.err


@pytest.mark.parametrize("command", ["charter", "dock"])
def test_a_sign_in_beside_a_variable_says_which_counts(
    cli: Cli, given: Callable[..., Harbor], mcp: McpServer, command: str
) -> None:
    """And what to do to use what was stored just now; without the variable nothing is said."""
    words = {"charter": ("practice",), "dock": ("--name", "wiki", "--url", mcp.url)}[command]
    grant = "practice" if command == "charter" else "wiki"
    variable = f"HARBOR_TOKEN_{grant.upper()}"
    for harbor, warned in ((given(**{variable: "t"}), True), (given(), False)):
        ran = cli(command, *words, with_=harbor)
        assert ran.code == 0, ran
        assert (f"{variable} is set and answers first" in ran.err) is warned
        assert (f"unset {variable}" in ran.err) is warned


def test_why_names_the_variable(cli: Cli, given: Callable[..., Harbor]) -> None:
    """Not the environment as such."""
    ran = cli("why", "practice", with_=given(HARBOR_TOKEN_PRACTICE="t"))
    assert ran.code == 0
    assert "HARBOR_TOKEN_PRACTICE gives" in ran.out


def test_a_variable_counts_for_each_spelling_of_an_account(given: Callable[..., Harbor]) -> None:
    """One that is composed, and one that is not."""
    harbor = given(HARBOR_TOKEN_PRACTICE_CAF_="t0ken")
    for form in ("NFC", "NFD"):
        name = unicodedata.normalize(form, "practice@caf\u00e9")
        assert harbor.token(name).reveal() == "t0ken"


@pytest.mark.parametrize(
    ("key", "near"),
    [
        ("oauth:practise:client_id", "oauth:practice:client_id"),
        ("oauth:practic/mcp:client_id", "oauth:practice/mcp:client_id"),
        ("oauth:zzzz:client_id", None),
        ("oauth:practice:client_id", None),
        ("maps-key", None),
    ],
)
def test_client_credentials_for_what_is_not_here(cli: Cli, key: str, near: str | None) -> None:
    """They are stored, for a server may be docked later; the near name is told."""
    ran = cli("chest", "set", key, stdin="value\n")
    assert ran.code == 0
    unknown = key not in {"oauth:practice:client_id", "maps-key"}
    assert ("There is no provider" in ran.err) is unknown
    assert ("Did you mean" in ran.err) is (near is not None)
    assert near is None or f"Did you mean {near}?" in ran.err


@pytest.mark.parametrize("command", ["init", "move", "backup"])
def test_a_short_passphrase_is_refused(
    cli: Cli, tmp_path: Path, given: Callable[..., Harbor], command: str
) -> None:
    """Wherever something is sealed with it; nothing is made or changed."""
    harbor = Harbor(home=tmp_path / "other", environ={})
    words = {
        "init": ("--passphrase",),
        "move": ("--to", "passphrase"),
        "backup": (str(tmp_path / "copy"),),
    }[command]
    if command != "init":
        harbor.init_vault("keyfile")
        harbor.vault.set("k", "v")
    before = harbor.vault.storage.meta()
    ran = cli("chest", command, *words, stdin="1234567\n", with_=harbor)
    assert (ran.code, ran.out) == (1, "")
    assert "8 characters" in ran.err
    assert harbor.vault.storage.meta() == before
    assert not (tmp_path / "copy").exists()
    harbor.close()


def test_a_piped_passphrase_is_read_as_one_in_a_file(cli: Cli, tmp_path: Path) -> None:
    """Without a byte order mark and one line end."""
    harbor = Harbor(home=tmp_path / "other", environ={})
    ran = cli("chest", "init", "--passphrase", stdin="\ufeffcorrect horse\r\n", with_=harbor)
    assert ran.code == 0
    cli("chest", "set", "k", stdin="value", with_=harbor)
    harbor.close()
    file = tmp_path / "words"
    file.write_bytes(b"correct horse")
    file.chmod(0o600)
    later = Harbor(home=tmp_path / "other", environ={"HARBOR_VAULT_PASSPHRASE_FILE": str(file)})
    assert cli("chest", "get", "k", with_=later).out == "value\n"
    later.close()
