"""Documented stories, from the first command to the last."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest

from harbor_oauth.client import Harbor
from harbor_oauth.providers import OAuthProvider, Registration
from harbor_oauth.registry import Registry
from harbor_oauth.testing import AuthorizationServer, McpServer, on_free_ports, rewritten

Cli = Callable[..., Any]


@pytest.fixture
def app(make_harbor: Callable[..., Harbor], issuer: AuthorizationServer, mcp: McpServer) -> Harbor:
    """A Harbor whose provider `linear` is the installed one, its doubles in Linear's place."""
    issuer.metadata["registration_endpoint"] = None
    issuer.add_client(
        client_id="my-app",
        client_secret="cnry-secret",
        token_endpoint_auth_method="client_secret_basic",
    )

    provider = Registry().provider("linear")
    assert isinstance(provider, OAuthProvider)
    rewrote = rewritten(provider, mcp)
    resource = attrs.evolve(rewrote.resource("mcp"), registration=(Registration.OWN_PAPERS,))
    return make_harbor(providers={"linear": attrs.evolve(rewrote, resources=(resource,))})


def test_own_papers_dock_undock_dock(cli: Cli, app: Harbor, issuer: AuthorizationServer) -> None:
    """The second dock asks for no papers, and uses the same client."""

    def run(*argv: str, stdin: str = "") -> str:
        ran = cli(*argv, stdin=stdin, with_=app)
        assert ran.code == 0, ran.err
        assert "cnry-secret" not in ran.out + ran.err
        return str(ran.out)

    assert cli("dock", "linear", with_=app).code == 4
    run("chest", "set", "oauth:linear:client_id", stdin="my-app\n")
    run("chest", "set", "oauth:linear:client_secret", stdin="cnry-secret\n")
    assert run("dock", "linear").startswith("Docked linear.\nTools: 2\n")
    first = app.token("linear").reveal()
    assert "revoked and forgotten" in run("undock", "linear")
    assert issuer.valid(first) is None
    assert run("chest", "list").split() == [
        "oauth:linear:client_id",
        "oauth:linear:client_secret",
    ]
    assert run("dock", "linear").startswith("Docked linear.\nTools: 2\n")
    assert issuer.valid(app.token("linear").reveal()) is not None
    clients = {each.query["client_id"] for each in issuer.requests if each.endpoint == "authorize"}
    assert clients == {"my-app"}
    assert issuer.count("register") == 0


def test_a_registration_outlives_an_undock_too(
    cli: Cli, harbor: Harbor, issuer: AuthorizationServer
) -> None:
    """Dock, undock, dock registers one client."""
    for _ in range(2):
        assert cli("dock", "practice").code == 0
        assert cli("undock", "practice").code == 0
    assert issuer.count("register") == 1
    assert harbor.status() == ()


def test_the_documented_lines_for_slack(
    cli: Cli, make_harbor: Callable[..., Harbor], issuer: AuthorizationServer, mcp: McpServer
) -> None:
    """As they are written, at a double with the ports, scopes and parameters of Slack."""
    provider = Registry().provider("slack")
    assert isinstance(provider, OAuthProvider)
    issuer.metadata["registration_endpoint"] = None
    issuer.scopes = ()
    slack = on_free_ports(rewritten(provider, mcp))
    redirect = slack.resources[0].redirect
    issuer.add_client(
        client_id="your-client-id",
        client_secret="your-client-secret",
        token_endpoint_auth_method="client_secret_post",
        redirect_uris=[f"http://{redirect.host}:{port}/callback" for port in redirect.ports],
    )
    harbor = make_harbor(providers={"slack": slack})
    lines = [
        ("harbor dock slack", 4),
        ("harbor chest set oauth:slack:client_id your-client-id", 0),
        ("harbor chest set oauth:slack:client_secret your-client-secret", 0),
        ("harbor dock slack", 0),
        ("harbor undock --name slack", 0),
        ("harbor dock slack", 0),
    ]
    for line, code in lines:
        ran = cli(*line.split()[1:], with_=harbor)
        assert (line, ran.code) == (line, code), ran.err
        assert "your-client-secret" not in ran.out + ran.err
    assert issuer.valid(harbor.token("slack").reveal()) is not None
