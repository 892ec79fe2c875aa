"""What is refused, through the command line: the rule is named, nothing is stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest

from harbor_oauth.client import Harbor
from harbor_oauth.providers import discovered_provider
from harbor_oauth.registry import Registry
from harbor_oauth.testing import AuthorizationServer, McpServer, answers

Cli = Callable[..., Any]


def stored(harbor: Harbor) -> tuple[tuple[str, ...], str | None]:
    """Return the names in the vault, and the configuration as it is written."""
    path = harbor.settings.config_path
    return harbor.vault.names(), path.read_text() if path.exists() else None


@pytest.fixture
def refused(cli: Cli, harbor: Harbor) -> Iterator[Callable[..., str]]:
    """Run a command that must be refused; returns what it says on standard error."""

    def run(*argv: str, code: int = 1, with_: Harbor | None = None) -> str:
        before = stored(harbor)
        ran = cli(*argv, with_=with_)
        assert (ran.code, ran.out) == (code, ""), ran.err
        assert stored(harbor) == before
        return str(ran.err)

    yield run
    assert stored(harbor)[0] == ()


def errors(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(("error:", "next:"))]


# --- whom and with what -----------------------------------------------------------


def test_an_unknown_provider(refused: Callable[..., str]) -> None:
    """The installed names, and how to dock any other server."""
    error, step = errors(refused("dock", "nosuch"))
    assert error.startswith("error: No provider 'nosuch' is installed (installed: ")
    assert "linear" in error
    assert step == "next: For any other MCP server: harbor dock --name NAME --url URL"


def test_a_provider_that_is_not_installed(
    refused: Callable[..., str], make_harbor: Callable[..., Harbor]
) -> None:
    """The line that installs it."""
    bare = make_harbor(registry=Registry([]))
    _, step = errors(refused("dock", "vercel", with_=bare))
    assert "install" in step
    assert "vercel" in step


def test_no_client(
    refused: Callable[..., str],
    make_harbor: Callable[..., Harbor],
    issuer: AuthorizationServer,
    mcp: McpServer,
) -> None:
    """A sign-in is needed and cannot begin: where to register, then a command a line."""
    issuer.metadata["registration_endpoint"] = None
    provider = discovered_provider("practice", mcp.url)
    resource = attrs.evolve(
        provider.resources[0],
        registration_url="https://practice.example/apps",
        registration_steps=("Enter the callback URL.",),
        secret_required=True,
    )
    given = make_harbor(providers={"practice": attrs.evolve(provider, resources=(resource,))})
    assert errors(refused("dock", "practice", code=4, with_=given)) == [
        "error: practice registers no clients by itself, and no client id is stored.",
        "next: Register an app at https://practice.example/apps",
        "next: Enter the callback URL.",
        "next: harbor chest set oauth:practice:client_id CLIENT_ID",
        "next: harbor chest set oauth:practice:client_secret",
    ]
    assert issuer.count("authorize") == 0


@pytest.mark.parametrize("name", ["slack", "linear", "practice", "health", "metrics"])
def test_a_server_named_like_a_provider_or_a_route(
    refused: Callable[..., str], mcp: McpServer, name: str
) -> None:
    """It would be sent that provider's token; nothing is asked of the server."""
    url = "https://elsewhere.example/mcp" if name == "practice" else mcp.url
    assert "cannot stand for another server" in refused("dock", "--name", name, "--url", url)
    assert mcp.requests == []


# --- endpoints ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "url", ["http://wiki.example/mcp", "http://127.0.0.1.example/mcp", "http://10.0.0.1/mcp"]
)
def test_a_server_on_plain_http(refused: Callable[..., str], url: str) -> None:
    """Only this machine may be http."""
    assert "is http and not on this machine" in refused("dock", "--name", "x", "--url", url)


@pytest.mark.parametrize(
    "endpoint", ["authorization_endpoint", "token_endpoint", "registration_endpoint"]
)
def test_an_endpoint_on_plain_http(
    refused: Callable[..., str], issuer: AuthorizationServer, endpoint: str
) -> None:
    """Metadata that names one is refused whole, before anybody registers or signs in."""
    issuer.metadata[endpoint] = "http://as.example/endpoint"
    (error,) = errors(refused("dock", "practice"))
    assert "is http and not on this machine" in error
    assert {request.endpoint for request in issuer.requests} == {"metadata"}


# --- answers --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "rule"),
    [
        (answers.redirect(302, "http://127.0.0.1:9/steal"), "RFC 9700 §4.12"),
        (answers.redirect(307, "http://127.0.0.1:9/steal"), "RFC 9700 §4.12"),
        (answers.redirect(308, "/token"), "RFC 9700 §4.12"),
        (answers.html(), "RFC 6749 §5.1"),
        (answers.json(b"{"), "RFC 6749 §5.1"),
        (answers.json([]), "RFC 6749 §5.1"),
        (answers.json({"token_type": "Bearer"}), "RFC 6749 §5.1"),
        (answers.json({"access_token": "", "token_type": "Bearer"}), "RFC 6749 §5.1"),
        (answers.oversized(300_000), "size limit"),
    ],
)
def test_an_answer_of_the_token_endpoint(
    refused: Callable[..., str], issuer: AuthorizationServer, answer: Any, rule: str
) -> None:
    """Redirect, page, half an object, too much: one request, and the rule it breaks."""
    issuer.script("token", answer)
    assert rule in errors(refused("dock", "practice"))[0]
    assert issuer.count("token") == 1


@pytest.mark.parametrize(
    ("answer", "rule"),
    [
        (answers.html(), "RFC 8414 §3.2"),
        (answers.redirect(302, "/elsewhere"), "RFC 9700 §4.12"),
        (answers.oversized(2_000_000), "size limit"),
    ],
)
def test_metadata_that_is_none(
    refused: Callable[..., str], issuer: AuthorizationServer, answer: Any, rule: str
) -> None:
    """A page, a redirect, too much: nobody signs in."""
    issuer.script("metadata", answer, answer)  # for either of the two documents
    assert rule in errors(refused("dock", "practice"))[0]
    assert issuer.count("register") == issuer.count("authorize") == 0


@pytest.mark.parametrize("issuer_said", ["https://evil.example", "http://127.0.0.1:1"])
def test_metadata_of_another_issuer(
    refused: Callable[..., str], issuer: AuthorizationServer, issuer_said: str
) -> None:
    """The mix-up defence: who is asked and who answers are the same (RFC 8414 §3.3)."""
    issuer.metadata["issuer"] = issuer_said
    assert "RFC 8414 §3.3" in errors(refused("dock", "practice"))[0]
    assert issuer.count("register") == 0


def test_an_answer_from_another_issuer(
    refused: Callable[..., str], issuer: AuthorizationServer
) -> None:
    """The callback names another one: the sign-in ends, its code is not redeemed (RFC 9207)."""
    issuer.amend("authorize", iss="https://evil.example")
    assert "RFC 9207 §2.4" in errors(refused("dock", "practice"))[0]
    assert issuer.count("token") == 0


# --- PKCE -------------------------------------------------------------------------------


@pytest.mark.parametrize(("methods", "rule"), [(None, "RFC 8414 §2"), (["plain"], "RFC 7636 §4.2")])
def test_metadata_without_s256(
    refused: Callable[..., str], issuer: AuthorizationServer, methods: Any, rule: str
) -> None:
    """Nobody signs in where the code could be stolen."""
    issuer.metadata["code_challenge_methods_supported"] = methods
    lines = errors(refused("dock", "practice"))
    assert rule in lines[0]
    if methods is None:
        assert f'[issuers."{issuer.issuer}"]' in lines[1]
        assert "allow_missing_s256 = true" in lines[1]
    assert issuer.count("register") == 0


@pytest.mark.parametrize(("methods", "code"), [(None, 0), (["plain"], 1)])
def test_a_stored_exception_is_for_silence_only(
    cli: Cli, harbor: Harbor, issuer: AuthorizationServer, methods: Any, code: int
) -> None:
    """A server that says nothing is used, with S256; one that says `plain` is not."""
    harbor.settings.home.mkdir(mode=0o700, exist_ok=True)
    harbor.settings.config_path.write_text(
        f'version = 1\n[issuers."{issuer.issuer}"]\nallow_missing_s256 = true\n'
    )
    harbor.reload_settings()
    issuer.metadata["code_challenge_methods_supported"] = methods
    assert cli("dock", "practice").code == code
    if not code:
        asked = next(each for each in issuer.requests if each.endpoint == "authorize")
        assert asked.query["code_challenge_method"] == "S256"
        assert "allow_missing_s256" in harbor.settings.config_path.read_text()


def test_an_exception_for_another_issuer_counts_for_nobody_else(
    cli: Cli, harbor: Harbor, issuer: AuthorizationServer
) -> None:
    """It is compared whole."""
    harbor.settings.home.mkdir(mode=0o700, exist_ok=True)
    harbor.settings.config_path.write_text(
        f'version = 1\n[issuers."{issuer.issuer}0"]\nallow_missing_s256 = true\n'
    )
    harbor.reload_settings()
    issuer.metadata["code_challenge_methods_supported"] = None
    assert cli("dock", "practice").code == 1
