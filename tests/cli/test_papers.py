"""`harbor papers own` and `forget`, and the way to an app in the middle of a sign-in."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harbor_oauth.client import Harbor
from harbor_oauth.providers import OAuthProvider, Registration, Resource
from harbor_oauth.secret import Secret
from harbor_oauth.testing import AuthorizationServer, McpServer

Cli = Callable[..., Any]


@pytest.fixture
def vendor(
    make_harbor: Callable[..., Harbor], issuer: AuthorizationServer, mcp: McpServer
) -> Harbor:
    """A Harbor with a provider that registers no clients by itself."""
    provider = OAuthProvider(
        name="vendor",
        display_name="Vendor",
        resources=(
            Resource(
                name="mcp",
                servers=(mcp.url,),
                allowed_origins=(mcp.url.removesuffix("/mcp"),),
                registration=(Registration.OWN_PAPERS,),
                registration_url="https://vendor.example/apps",
                registration_steps=("Create an app.",),
            ),
        ),
    )
    opened: list[str] = []

    def browser(url: str) -> bool:
        opened.append(url)
        return url.startswith("https://vendor.example") or issuer.browser(url)

    harbor = make_harbor(providers={"vendor": provider}, browser=browser)
    harbor.opened = opened  # type: ignore[attr-defined]  # for the tests to look at
    return harbor


def test_a_sign_in_leads_to_an_app(
    cli: Cli,
    vendor: Harbor,
    issuer: AuthorizationServer,
    answers: Callable[..., list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The page, the redirect URI, the client id, no secret: stored, and signed in, in one run."""
    issuer.add_client(client_id="mine", redirect_uris=["http://127.0.0.1/callback"])
    monkeypatch.setattr("harbor_oauth.cli.guided.interactive", lambda: True)
    asked = answers("y", "mine", "")
    ran = cli("charter", "vendor", with_=vendor)
    assert ran.code == 0, ran.err
    assert vendor.opened[0] == "https://vendor.example/apps"  # type: ignore[attr-defined]
    assert "The redirect URI to enter there: http://127.0.0.1/callback" in ran.err
    assert ran.out.startswith("Stored your papers for Vendor.\nSigned in to vendor")
    assert len(asked) == 3
    assert vendor.vault.get("oauth:vendor:client_id") == Secret("mine")


def test_without_a_terminal_the_steps_are_said(cli: Cli, vendor: Harbor) -> None:
    """Exit code 4, and nothing is stored."""
    ran = cli("charter", "vendor", with_=vendor)
    assert ran.code == 4
    assert "https://vendor.example/apps" in ran.err
    assert vendor.vault.keys() == ()


def test_cancelled_questions_change_nothing(
    cli: Cli, vendor: Harbor, answers: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 2."""
    monkeypatch.setattr("harbor_oauth.cli.guided.interactive", lambda: True)
    answers("n")
    ran = cli("charter", "vendor", with_=vendor)
    assert ran.code == 2
    assert vendor.vault.keys() == ()


def test_a_download_is_read(cli: Cli, vendor: Harbor, tmp_path: Path) -> None:
    """Its secret is stored and not shown, and the file may go."""
    path = tmp_path / "client_secret.json"
    path.write_text(json.dumps({"installed": {"client_id": "mine", "client_secret": "s3cret"}}))
    ran = cli("papers", "own", "vendor", "--file", str(path), with_=vendor)
    assert (ran.code, ran.out) == (0, "Stored your papers for vendor.\n")
    assert "no longer needed" in ran.err
    assert "s3cret" not in ran.out + ran.err
    assert vendor.vault.get("oauth:vendor:client_secret") == Secret("s3cret")


def test_a_web_client_is_warned_of(cli: Cli, vendor: Harbor, tmp_path: Path) -> None:
    """It has to know the redirect URI."""
    path = tmp_path / "client_secret.json"
    path.write_text(json.dumps({"web": {"client_id": "mine", "redirect_uris": []}}))
    ran = cli("papers", "own", "vendor", "--file", str(path), with_=vendor)
    assert ran.code == 0
    assert "kind Web" in ran.err


def test_the_secret_comes_from_standard_input(cli: Cli, vendor: Harbor) -> None:
    """Never from the command line."""
    ran = cli(
        "papers", "own", "vendor", "--client-id", "mine", "--secret-stdin",
        stdin="s3cret\n", with_=vendor,
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert vendor.vault.get("oauth:vendor:client_secret") == Secret("s3cret")


def test_new_papers_name_the_grants_of_the_old(
    cli: Cli, vendor: Harbor, issuer: AuthorizationServer
) -> None:
    """They work on until they are chartered again."""
    issuer.add_client(client_id="mine", redirect_uris=["http://127.0.0.1/callback"])
    assert cli("papers", "own", "vendor", "--client-id", "mine", with_=vendor).code == 0
    assert cli("charter", "vendor", with_=vendor).code == 0
    ran = cli("papers", "own", "vendor", "--client-id", "other", with_=vendor)
    assert "harbor charter vendor --again" in ran.err
    ran = cli("papers", "own", "vendor", "--client-id", "mine", with_=vendor)
    assert "--again" not in ran.err
    ran = cli("papers", "forget", "vendor", with_=vendor)
    assert (ran.code, ran.out) == (0, "Forgot your papers for vendor.\n")
    assert "vendor goes on with them" in ran.err
    assert cli("papers", with_=vendor).code == 0


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("own",), 2, "PROVIDER"),
        (("own", "vendor"), 2, "--client-id, or --file"),
        (("own", "vendor", "--secret-stdin"), 2, "--client-id, or --file"),
        (("own", "vendor", "--file", "none.json"), 1, "cannot be read"),
        (("own", "vendor", "--file", "a", "--client-id", "b"), 2, "--file goes without"),
        (("own", "nobody", "--client-id", "b"), 1, "nobody"),
        (("own", "vendor@work", "--client-id", "b"), 1, "not to an account"),
        (("own", "vendor", "--client-id", ""), 1, "empty"),
        (("forget", "vendor"), 1, "No papers"),
        (("--json", "forget", "vendor"), 2, "--json goes with the list"),
    ],
)
def test_bad_inputs_change_nothing(
    cli: Cli, vendor: Harbor, words: tuple[str, ...], code: int, said: str
) -> None:
    """And say what to give."""
    ran = cli("papers", *words, with_=vendor)
    assert (ran.code, ran.out) == (code, "")
    assert said in ran.err
    assert vendor.vault.keys() == ()
