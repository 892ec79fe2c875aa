"""What is said of a sign-in beforehand is what it does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from harbor_oauth.client import Harbor
from harbor_oauth.protocol.client_auth import ClientCredentials
from harbor_oauth.protocol.metadata import ServerMetadata
from harbor_oauth.providers import OAuthProvider, Registration, Resource, discovered_provider
from harbor_oauth.registry import Registry
from harbor_oauth.testing import AuthorizationServer, McpServer
from tests.conftest import agree

MakeHarbor = Callable[..., Harbor]
Install = Callable[[str, str, str, str], Registry]

DOCUMENT = "https://app.example/client.json"
APP = "from harbor_oauth import ClientCredentials\nVALUE = ClientCredentials('distributed')\n"

# Where a client is from, what that is called, and the client id the server then sees.
SOURCES = {
    "argument": ("the program's own client", "argument"),
    "papers": ("own papers", "papers"),
    "environment": ("the environment", "environment"),
    "distributed": ("an installed distribution's app", "distributed"),
    "document": ("a client ID metadata document", DOCUMENT),
    "stored": ("the stored registration", None),
    "registered": ("a new registration", None),
}


def environ(home: Path, **more: str) -> dict[str, str]:
    return {"HARBOR_VAULT": "keyfile", "HARBOR_VAULT_KEY_FILE": str(home / "vault.key"), **more}


def provider_at(mcp: McpServer, issuer: AuthorizationServer, **changes: Any) -> OAuthProvider:
    provider = discovered_provider("practice", mcp.url)
    resource: Resource = attrs.evolve(provider.resources[0], issuer=issuer.issuer, **changes)
    return attrs.evolve(provider, resources=(resource,))


@pytest.mark.parametrize("first", SOURCES)
def test_the_source_that_is_said_is_the_one_that_is_used(
    make_harbor: MakeHarbor,
    issuer: AuthorizationServer,
    mcp: McpServer,
    install: Install,
    tmp_path: Path,
    first: str,
) -> None:
    """In every state, from knowing all sources down to knowing none."""
    present = list(SOURCES)[list(SOURCES).index(first) :]
    home = tmp_path / "home"
    provider = provider_at(mcp, issuer)
    issuer.metadata["client_id_metadata_document_supported"] = True
    for known in ("argument", "papers", "environment", "distributed", DOCUMENT):
        issuer.add_client(client_id=known)
    if "stored" in present:
        make_harbor(providers={"practice": provider}).login("practice")
    options: dict[str, Any] = {"providers": {"practice": provider}, "registry": Registry([])}
    if "document" in present:
        options["client_metadata_url"] = DOCUMENT
    if "distributed" in present:
        options["registry"] = install("acme", "1.0", "harbor.clients:practice", APP)
    if "environment" in present:
        options["environ"] = environ(home, HARBOR_PRACTICE_CLIENT_ID="environment")
    if "argument" in present:
        options["clients"] = {"practice/mcp": ClientCredentials("argument")}
    harbor = make_harbor(**options)
    if "distributed" in present:
        agree(harbor, "practice", client=True)
    if "papers" in present:
        harbor.vault.set("oauth:practice:client_id", "papers")

    way, client_id = SOURCES[first]
    requests, registrations = len(issuer.requests), issuer.count("register")
    assert attrs.astuple(harbor.prospect(provider, provider.resource())) == (way, "", ())
    assert len(issuer.requests) == requests  # no server was asked
    harbor.login("practice")
    asked = [r.query["client_id"] for r in issuer.requests[requests:] if r.endpoint == "authorize"]
    assert client_id in {None, asked[-1]}
    assert issuer.count("register") - registrations == (first == "registered")


def test_an_app_counts_only_where_one_is_taken(
    make_harbor: MakeHarbor, issuer: AuthorizationServer, mcp: McpServer
) -> None:
    """Own papers are not read for a resource that lists none."""
    provider = provider_at(mcp, issuer, registration=(Registration.DYNAMIC,))
    harbor = make_harbor(providers={"practice": provider})
    harbor.vault.set("oauth:practice:client_id", "papers")
    assert harbor.prospect(provider, provider.resource()).way == "a new registration"


def test_a_missing_secret_is_said(
    make_harbor: MakeHarbor, issuer: AuthorizationServer, mcp: McpServer, tmp_path: Path
) -> None:
    """With the command, or the variable, that gives it."""
    provider = provider_at(mcp, issuer, secret_required=True)
    environment = environ(tmp_path / "home", HARBOR_PRACTICE_CLIENT_ID="x")
    harbor = make_harbor(providers={"practice": provider}, environ=environment)
    prospect = harbor.prospect(provider, provider.resource())
    assert (prospect.way, prospect.missing) == ("the environment", "the client secret")
    assert prospect.steps == ("Set HARBOR_PRACTICE_CLIENT_SECRET.",)
    harbor.vault.set("oauth:practice/mcp:client_id", "papers")
    prospect = harbor.prospect(provider, provider.resource())
    assert (prospect.way, prospect.missing) == ("own papers", "the client secret")
    assert prospect.steps == ("Run: harbor chest set oauth:practice/mcp:client_secret",)
    harbor.vault.set("oauth:practice/mcp:client_secret", "s")
    assert harbor.prospect(provider, provider.resource()).missing == ""


def test_papers_of_another_issuer_are_no_way(
    make_harbor: MakeHarbor, issuer: AuthorizationServer, mcp: McpServer
) -> None:
    """As the sign-in would refuse them."""
    provider = provider_at(mcp, issuer)
    issuer.add_client(client_id="papers")
    harbor = make_harbor(providers={"practice": provider})
    harbor.vault.set("oauth:practice:client_id", "papers")
    harbor.login("practice")
    (resource,) = provider.resources
    elsewhere = attrs.evolve(resource, issuer="https://other.example")
    prospect = harbor.prospect(provider, elsewhere)
    assert prospect.way is None
    assert issuer.issuer in prospect.missing
    assert "oauth:practice/mcp:client_id" in prospect.steps[0]
    assert harbor.prospect(provider, resource).way == "own papers"


def test_what_is_brought_but_broken_is_said(
    make_harbor: MakeHarbor, issuer: AuthorizationServer, mcp: McpServer, install: Install
) -> None:
    """It names the distribution's entry point."""
    provider = provider_at(mcp, issuer)
    registry = install("acme", "1.0", "harbor.clients:practice", "VALUE = 'an id'")
    harbor = make_harbor(providers={"practice": provider}, registry=registry)
    agree(harbor, "practice", client=True)
    prospect = harbor.prospect(provider, provider.resource())
    assert prospect.way is None
    assert "acme_module:VALUE" in prospect.missing


def test_pinned_metadata_says_whether_a_document_is_read(
    make_harbor: MakeHarbor, issuer: AuthorizationServer, mcp: McpServer
) -> None:
    """Where nothing is discovered, it is known beforehand."""
    pinned = ServerMetadata(issuer=issuer.issuer)
    reads = attrs.evolve(pinned, client_id_metadata_document_supported=True)
    for metadata, way in ((pinned, "a new registration"), (reads, "a client ID metadata document")):
        provider = provider_at(mcp, issuer, metadata=metadata, discover=False)
        harbor = make_harbor(providers={"practice": provider}, client_metadata_url=DOCUMENT)
        assert harbor.prospect(provider, provider.resource()).way == way


def test_a_registration_for_reviewed_clients_only_is_none_for_us(
    make_harbor: MakeHarbor, issuer: AuthorizationServer, mcp: McpServer
) -> None:
    """The server would refuse it, so it is no way to sign in."""
    provider = provider_at(
        mcp, issuer, registration=(Registration.DYNAMIC,), reviewed_only="Ask them for a review."
    )
    harbor = make_harbor(providers={"practice": provider})
    prospect = harbor.prospect(provider, provider.resource())
    assert (prospect.way, prospect.missing) == (None, "a client that the vendor reviewed")


@pytest.mark.parametrize("reviewed", [None, "Ask them for a review."])
def test_no_way_at_all_says_the_steps(
    make_harbor: MakeHarbor, issuer: AuthorizationServer, mcp: McpServer, reviewed: str | None
) -> None:
    """An app of one's own, or one that the vendor reviewed."""
    provider = provider_at(
        mcp, issuer, registration=(Registration.OWN_PAPERS,), reviewed_only=reviewed
    )
    harbor = make_harbor(providers={"practice": provider})
    prospect = harbor.prospect(provider, provider.resource())
    assert prospect.way is None
    assert prospect.missing == (
        "a client that the vendor reviewed" if reviewed else "an app of your own"
    )
    assert any(reviewed in step if reviewed else "chest set" in step for step in prospect.steps)
