"""Which client signs in, where it is kept, and how it authenticates."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from werkzeug import Request, Response

from harbor_oauth.client import Harbor
from harbor_oauth.errors import ClientRequiredError, ConfigurationError, HarborError
from harbor_oauth.protocol.client_auth import ClientCredentials
from harbor_oauth.providers import OAuthProvider, Registration, Resource, discovered_provider
from harbor_oauth.secret import Secret
from harbor_oauth.testing import AuthorizationServer, Client, McpServer, answers
from harbor_oauth.vault import GrantRecord

if TYPE_CHECKING:
    from tests.conftest import FakeClock

MakeHarbor = Callable[..., Harbor]

DOCUMENT = "https://app.example/client.json"
# Form-encoding changes all of these (RFC 6749 §2.3.1).
ODD_SECRET = "s:e c+r%e/t&="


def evolved(mcp: McpServer, **changes: Any) -> dict[str, OAuthProvider]:
    """Return the practice provider, with other facts about its resource."""
    provider = discovered_provider("practice", mcp.url)
    resource: Resource = attrs.evolve(provider.resources[0], **changes)
    return {"practice": attrs.evolve(provider, resources=(resource,))}


def asked_for(issuer: AuthorizationServer) -> str:
    """Return the client id that the browser last came with."""
    return [r for r in issuer.requests if r.endpoint == "authorize"][-1].query["client_id"]


def token_requests(issuer: AuthorizationServer) -> list[Any]:
    return [request for request in issuer.requests if request.endpoint == "token"]


def grant(harbor: Harbor) -> GrantRecord:
    found = harbor.vault.grant(harbor.vault.grants()[0])
    assert found is not None
    return found[0]


def configure(home: Path, text: str) -> None:
    home.mkdir(mode=0o700, exist_ok=True)
    (home / "config.toml").write_text(f"version = 1\n{text}")


def environ(home: Path, **more: str) -> dict[str, str]:
    return {
        "HARBOR_VAULT": "keyfile",
        "HARBOR_VAULT_KEY_FILE": str(home / "vault.key"),
        **more,
    }


# --- the order ----------------------------------------------------------------

SOURCES = ("argument", "own papers", "environment", "document", "stored", "registered")


@pytest.mark.parametrize("first", SOURCES)
def test_the_first_source_that_knows_a_client_wins(
    make_harbor: MakeHarbor, issuer: AuthorizationServer, tmp_path: Path, first: str
) -> None:
    """Each source is used when no earlier one has a client, whatever the later ones have."""
    present = SOURCES[SOURCES.index(first) :]
    home = tmp_path / "home"
    for name in ("argument", "papers", "environment", DOCUMENT):
        issuer.add_client(client_id=name)
    expected = {
        "argument": "argument",
        "own papers": "papers",
        "environment": "environment",
        "document": DOCUMENT,
    }
    options: dict[str, object] = {}
    if "stored" in present:
        make_harbor().login("practice")
        expected["stored"] = asked_for(issuer)
    if "document" in present:
        issuer.metadata["client_id_metadata_document_supported"] = True
        configure(home, f'[harbor]\nclient_metadata_url = "{DOCUMENT}"\n')
    if "environment" in present:
        options["environ"] = environ(home, HARBOR_PRACTICE_CLIENT_ID="environment")
    if "own papers" in present:
        make_harbor().vault.set("oauth:practice:client_id", "papers")
    if "argument" in present:
        options["clients"] = {"practice": ClientCredentials("argument")}
    registered = issuer.count("register")
    make_harbor(**options).login("practice")
    if first == "registered":
        assert issuer.count("register") == registered + 1
    else:
        assert asked_for(issuer) == expected[first]
        assert issuer.count("register") == registered


@pytest.mark.parametrize("source", ["argument", "papers"])
def test_a_resource_s_own_client_comes_before_the_provider_s(
    make_harbor: MakeHarbor, issuer: AuthorizationServer, source: str
) -> None:
    """`practice/mcp` is more exact than `practice`."""
    issuer.add_client(client_id="exact")
    if source == "argument":
        clients = {"practice": ClientCredentials("any"), "practice/mcp": ClientCredentials("exact")}
        make_harbor(clients=clients).login("practice")
    else:
        harbor = make_harbor()
        harbor.vault.set("oauth:practice:client_id", "any")
        harbor.vault.set("oauth:practice/mcp:client_id", "exact")
        harbor.login("practice")
    assert asked_for(issuer) == "exact"


def test_a_document_needs_a_server_that_reads_it(
    make_harbor: MakeHarbor, issuer: AuthorizationServer, tmp_path: Path
) -> None:
    """Without `client_id_metadata_document_supported` a client is registered."""
    configure(tmp_path / "home", f'[harbor]\nclient_metadata_url = "{DOCUMENT}"\n')
    make_harbor().login("practice")
    assert issuer.count("register") == 1


def test_papers_are_not_read_where_none_are_taken(
    make_harbor: MakeHarbor, issuer: AuthorizationServer, mcp: McpServer, tmp_path: Path
) -> None:
    """A resource that lists no own papers registers a client all the same."""
    harbor = make_harbor(
        providers=evolved(mcp, registration=(Registration.DYNAMIC,)),
        environ=environ(tmp_path / "home", HARBOR_PRACTICE_CLIENT_ID="environment"),
    )
    harbor.vault.set("oauth:practice:client_id", "papers")
    harbor.login("practice")
    assert issuer.count("register") == 1


# --- none is known --------------------------------------------------------------


def test_no_client_names_the_page_the_steps_and_the_commands(
    make_harbor: MakeHarbor, issuer: AuthorizationServer, mcp: McpServer
) -> None:
    """In this order, a line each; no browser opens and nothing is stored."""
    issuer.metadata["registration_endpoint"] = None
    opened: list[str] = []

    def browser(url: str) -> bool:
        opened.append(url)
        return True

    harbor = make_harbor(
        browser=browser,
        providers=evolved(
            mcp,
            registration_url="https://practice.example/apps",
            registration_steps=("Enter the callback URL.", "Copy the client id."),
            secret_required=True,
        ),
    )
    with pytest.raises(ClientRequiredError) as caught:
        harbor.login("practice")
    assert caught.value.next_step.splitlines() == [
        "Register an app at https://practice.example/apps",
        "Enter the callback URL.",
        "Copy the client id.",
        "Run: harbor chest set oauth:practice:client_id CLIENT_ID",
        "Run: harbor chest set oauth:practice:client_secret",
    ]
    assert opened == []
    assert harbor.vault.names() == ()


def test_no_client_and_no_papers_taken_suggests_no_papers(
    make_harbor: MakeHarbor, issuer: AuthorizationServer, mcp: McpServer
) -> None:
    """A command that would change nothing is not offered."""
    issuer.metadata["registration_endpoint"] = None
    harbor = make_harbor(providers=evolved(mcp, registration=(Registration.DYNAMIC,)))
    with pytest.raises(ClientRequiredError) as caught:
        harbor.login("practice")
    assert "chest set" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "remedy"),
    [
        ("oauth:practice:client_id", "Run: harbor chest set oauth:practice:client_secret"),
        ("oauth:practice/mcp:client_id", "Run: harbor chest set oauth:practice/mcp:client_secret"),
        (None, "Set HARBOR_PRACTICE_CLIENT_SECRET."),
    ],
)
def test_a_required_secret_that_is_missing(
    make_harbor: MakeHarbor, mcp: McpServer, tmp_path: Path, key: str | None, remedy: str
) -> None:
    """The next step names the place where the client id was found."""
    more = {} if key else {"HARBOR_PRACTICE_CLIENT_ID": "app"}
    harbor = make_harbor(
        providers=evolved(mcp, secret_required=True), environ=environ(tmp_path / "home", **more)
    )
    if key:
        harbor.vault.set(key, "app")
    with pytest.raises(ClientRequiredError) as caught:
        harbor.login("practice")
    assert caught.value.next_step == remedy


# --- own papers -----------------------------------------------------------------


def test_papers_belong_to_the_issuer_they_are_first_used_at(
    make_harbor: MakeHarbor, issuer: AuthorizationServer, mcp: McpServer
) -> None:
    """At another one they are refused: a client id is not shown to strangers."""
    issuer.add_client(client_id="app")
    harbor = make_harbor()
    harbor.vault.set("oauth:practice:client_id", "app")
    before = harbor.vault.papers("practice")
    assert before is not None
    assert before[0].issuer is None
    harbor.login("practice")
    bound = harbor.vault.papers("practice")
    assert bound is not None
    assert bound[0].issuer == issuer.issuer
    with AuthorizationServer() as other, McpServer(other) as moved:
        elsewhere = make_harbor(providers=evolved(moved), browser=pytest.fail)
        with pytest.raises(ConfigurationError, match=f"belongs to {issuer.issuer}") as caught:
            elsewhere.login("practice")
        assert "harbor chest set oauth:practice/mcp:client_id" in caught.value.next_step
        assert other.count("authorize") == 0
    assert harbor.vault.papers("practice") == bound


def test_papers_of_a_sign_in_that_failed_stay_unbound(
    harbor: Harbor, issuer: AuthorizationServer
) -> None:
    """Binding is part of storing the grant."""
    issuer.add_client(client_id="app")
    harbor.vault.set("oauth:practice:client_id", "app")
    before = harbor.vault.papers("practice")
    issuer.deny = True
    with pytest.raises(HarborError):
        harbor.login("practice")
    assert harbor.vault.papers("practice") == before


def test_papers_changed_while_the_browser_is_open_stay_changed(
    make_harbor: MakeHarbor, issuer: AuthorizationServer
) -> None:
    """The sign-in ends with the client it began with, and does not bring that one back."""
    issuer.add_client(client_id="old")

    def browser(url: str) -> bool:
        make_harbor().vault.set("oauth:practice:client_id", "new")
        return issuer.browser(url)

    harbor = make_harbor(browser=browser)
    harbor.vault.set("oauth:practice:client_id", "old")
    harbor.login("practice")
    assert grant(harbor).client_id == "old"
    found = harbor.vault.papers("practice")
    assert found is not None
    assert (found[0].client_id, found[0].issuer) == ("new", None)


def test_a_new_client_id_drops_the_old_secret(harbor: Harbor, issuer: AuthorizationServer) -> None:
    """The old client's secret is not sent as the new one's."""
    issuer.add_client(client_id="new")
    harbor.vault.set("oauth:practice:client_id", "old")
    harbor.vault.set("oauth:practice:client_secret", "cnry-old")
    harbor.vault.set("oauth:practice:client_id", "new")
    assert harbor.vault.get("oauth:practice:client_secret") is None
    harbor.login("practice")
    (sent,) = token_requests(issuer)
    assert sent.form["client_id"] == "new"
    assert "cnry-old" not in str((sent.form, sent.headers))


def test_a_grant_is_refreshed_with_the_client_it_was_made_with(
    harbor: Harbor, issuer: AuthorizationServer
) -> None:
    """New papers count from the next sign-in."""
    issuer.add_client(client_id="old")
    issuer.add_client(client_id="new")
    harbor.vault.set("oauth:practice:client_id", "old")
    harbor.login("practice")
    harbor.vault.set("oauth:practice:client_id", "new")
    harbor.rejected("practice", harbor.token("practice"))
    assert token_requests(issuer)[-1].form["client_id"] == "old"
    assert issuer.valid(harbor.token("practice").reveal()) is not None
    harbor.login("practice")
    assert asked_for(issuer) == "new"


# --- authentication ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("offered", "method"),
    [
        (["none", "client_secret_basic", "client_secret_post"], "client_secret_basic"),
        (["client_secret_post"], "client_secret_post"),
        (["private_key_jwt", "client_secret_post"], "client_secret_post"),
        (None, "client_secret_basic"),
    ],
)
@pytest.mark.parametrize("source", ["papers", "environment"])
def test_a_secret_is_sent_as_the_server_says(
    make_harbor: MakeHarbor,
    issuer: AuthorizationServer,
    tmp_path: Path,
    offered: list[str] | None,
    method: str,
    source: str,
) -> None:
    """In the header, form-encoded first, or in the body; never in both (RFC 6749 §2.3.1)."""
    issuer.metadata["token_endpoint_auth_methods_supported"] = offered
    issuer.add_client(client_id="a:b", client_secret=ODD_SECRET, token_endpoint_auth_method=method)
    more = {"HARBOR_PRACTICE_CLIENT_ID": "a:b", "HARBOR_PRACTICE_CLIENT_SECRET": ODD_SECRET}
    if source == "papers":
        harbor = make_harbor()
        harbor.vault.set("oauth:practice:client_id", "a:b")
        harbor.vault.set("oauth:practice:client_secret", ODD_SECRET)
    else:
        harbor = make_harbor(environ=environ(tmp_path / "home", **more))
    harbor.login("practice")
    harbor.rejected("practice", harbor.token("practice"))
    for sent in token_requests(issuer):
        if method == "client_secret_post":
            assert (sent.form["client_id"], sent.form["client_secret"]) == ("a:b", ODD_SECRET)
            assert "authorization" not in sent.headers
        else:
            pair = base64.b64decode(sent.headers["authorization"].removeprefix("Basic "))
            assert pair == b"a%3Ab:s%3Ae+c%2Br%25e%2Ft%26%3D"
            assert "client_secret" not in sent.form
    assert len(token_requests(issuer)) == 2


def test_a_provider_s_own_method_comes_before_the_metadata_s(
    make_harbor: MakeHarbor, issuer: AuthorizationServer, mcp: McpServer
) -> None:
    """A vendor whose metadata is wrong is declared right by its plugin."""
    issuer.add_client(
        client_id="app", client_secret="s", token_endpoint_auth_method="client_secret_post"
    )
    harbor = make_harbor(providers=evolved(mcp, token_endpoint_auth_method="client_secret_post"))
    harbor.vault.set("oauth:practice:client_id", "app")
    harbor.vault.set("oauth:practice:client_secret", "s")
    harbor.login("practice")
    assert token_requests(issuer)[0].form["client_secret"] == "s"


def test_an_argument_s_client_brings_its_own_method(
    make_harbor: MakeHarbor, issuer: AuthorizationServer
) -> None:
    """And is not stored among the papers."""
    issuer.add_client(
        client_id="app", client_secret="s", token_endpoint_auth_method="client_secret_post"
    )
    client = ClientCredentials("app", Secret("s"), "client_secret_post")
    harbor = make_harbor(clients={"practice": client})
    harbor.login("practice")
    assert token_requests(issuer)[0].form["client_secret"] == "s"
    assert harbor.vault.papers("practice") is None


# --- registrations ----------------------------------------------------------------


def confidential(
    issuer: AuthorizationServer, method: str, **members: object
) -> Callable[[Request], Response]:
    """Answer a registration with a secret nobody asked for."""

    def answer(request: Request) -> Response:
        asked: Any = request.get_json()
        client: Client = issuer.add_client(
            redirect_uris=asked["redirect_uris"], token_endpoint_auth_method=method
        )
        body = {
            "client_id": client.client_id,
            "client_secret": client.client_secret,
            "redirect_uris": list(client.redirect_uris),
            **members,
        }
        response = answers.json(body, 201)(request)
        assert response is not None
        return response

    return answer


@pytest.mark.parametrize(
    ("method", "said"),
    [
        ("client_secret_basic", "client_secret_basic"),
        ("client_secret_post", "client_secret_post"),
        ("client_secret_post", "none"),
        ("client_secret_post", None),
    ],
)
def test_a_confidential_answer_to_a_public_registration_works(
    harbor: Harbor, issuer: AuthorizationServer, method: str, said: str | None
) -> None:
    """The secret is kept and used, for the code, the refresh and the next sign-in."""
    issuer.script("register", confidential(issuer, method, token_endpoint_auth_method=said))
    harbor.login("practice")
    harbor.rejected("practice", harbor.token("practice"))
    harbor.login("practice")
    assert issuer.count("register") == 1
    assert issuer.valid(harbor.token("practice").reveal()) is not None
    record = grant(harbor)
    assert record.token_endpoint_auth_method == method
    assert record.client_secret is not None


@pytest.mark.parametrize(("ends_after", "registrations"), [(100, 2), (0, 1), (None, 1), (9999, 1)])
def test_a_registration_whose_secret_has_ended_is_made_anew(
    harbor: Harbor,
    issuer: AuthorizationServer,
    clock: FakeClock,
    ends_after: int | None,
    registrations: int,
) -> None:
    """At the second it ends; 0 and silence mean never (RFC 7591 §3.2.1)."""
    ends = int(clock()) + ends_after if ends_after else ends_after
    method = "client_secret_post"
    issuer.script(
        "register",
        confidential(
            issuer, method, token_endpoint_auth_method=method, client_secret_expires_at=ends
        ),
    )
    harbor.login("practice")
    clock.advance(100)
    harbor.login("practice")
    assert issuer.count("register") == registrations


def test_a_registration_is_kept_for_its_issuer_and_resource(
    make_harbor: MakeHarbor, issuer: AuthorizationServer, mcp: McpServer
) -> None:
    """Another server's clients are not shown to this one, and both are kept."""
    harbor = make_harbor()
    harbor.login("practice")
    first = harbor.vault.registration(issuer.issuer, "practice", "mcp")
    with AuthorizationServer() as other, McpServer(other) as moved:
        make_harbor(providers=evolved(moved), browser=other.browser).login("practice")
        assert other.count("register") == 1
        second = harbor.vault.registration(other.issuer, "practice", "mcp")
    assert first is not None
    assert second is not None
    assert first[0].client_id != second[0].client_id
    assert harbor.vault.registration(issuer.issuer, "practice", "mcp") == first


def test_a_registration_is_replaced_only_by_a_login_that_was_stored(
    harbor: Harbor, issuer: AuthorizationServer
) -> None:
    """The grant that still works is refreshed with the old one until then."""
    harbor.login("practice")
    before = harbor.vault.registration(issuer.issuer, "practice", "mcp")
    issuer.script("authorize", answers.status(400))  # the look before the browser opens
    issuer.deny = True
    with pytest.raises(HarborError):
        harbor.login("practice")
    assert issuer.count("register") == 2
    assert harbor.vault.registration(issuer.issuer, "practice", "mcp") == before
