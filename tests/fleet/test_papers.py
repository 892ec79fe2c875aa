"""Own papers: from a vendor's page to a client, and back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from harbor_oauth.client import Harbor
from harbor_oauth.errors import ConfigurationError, HarborError
from harbor_oauth.fleet.papers import (
    forget_papers,
    guide,
    own_papers,
    read_client_file,
    stored_papers,
)
from harbor_oauth.providers import OAuthProvider, RedirectRule, Registration, Resource
from harbor_oauth.secret import Secret


def resource(name: str, **members: object) -> Resource:
    return Resource(
        name=name,
        servers=(f"https://{name}.example/mcp",),
        allowed_origins=(f"https://{name}.example",),
        registration=(Registration.OWN_PAPERS,),
        registration_url="https://vendor.example/apps",
        registration_steps=("Create an app.",),
        **members,  # type: ignore[arg-type]  # as a test names them
    )


SUITE = OAuthProvider(
    name="suite",
    display_name="Suite",
    resources=(
        resource("mcp", secret_required=True),
        resource("api", redirect=RedirectRule(host="localhost", ports=(33418, 33419))),
        resource("pay", redirect=RedirectRule(paste=True, paste_uri="https://localhost/callback")),
    ),
)


@pytest.fixture
def suite(make_harbor: Callable[..., Harbor]) -> Harbor:
    return make_harbor(providers={"suite": SUITE})


@pytest.mark.parametrize(
    ("grant", "uris", "secret"),
    [
        ("suite", ("http://127.0.0.1/callback",), True),
        (
            "suite/api",
            ("http://localhost:33418/callback", "http://localhost:33419/callback"),
            False,
        ),
        ("suite/pay", ("https://localhost/callback",), False),
    ],
)
def test_a_guide_says_what_to_enter(
    suite: Harbor, grant: str, uris: tuple[str, ...], secret: bool
) -> None:
    """The page, the steps, the redirect URIs, and whether there is a secret to copy."""
    told = guide(suite, grant)
    assert told is not None
    assert (told.url, told.steps) == ("https://vendor.example/apps", ("Create an app.",))
    assert (told.redirect_uris, told.secret_required) == (uris, secret)


def test_a_second_app_is_for_the_resource_alone(suite: Harbor) -> None:
    """The provider's own papers stay."""
    own_papers(suite, "suite", "first")
    told = guide(suite, "suite/api")
    assert told is not None
    assert told.papers == "suite/api"


def test_papers_that_are_there_are_the_ones_to_replace(suite: Harbor) -> None:
    """The provider's, unless its default resource has others that come first."""
    own_papers(suite, "suite", "first")
    told = guide(suite, "suite")
    assert told is not None
    assert told.papers == "suite"
    own_papers(suite, "suite/mcp", "second")
    told = guide(suite, "suite")
    assert told is not None
    assert told.papers == "suite/mcp"


def test_papers_come_and_go(suite: Harbor) -> None:
    """An id with its secret; forgotten, both are gone."""
    assert own_papers(suite, "suite", " id ", Secret("s3cret")) == ()
    assert suite.vault.get("oauth:suite:client_id") == Secret("id")
    assert suite.vault.get("oauth:suite:client_secret") == Secret("s3cret")
    own_papers(suite, "suite/api", "another")
    assert stored_papers(suite) == ("suite", "suite/api")
    forget_papers(suite, "suite/api")
    forget_papers(suite, "suite")
    assert stored_papers(suite) == ()
    assert suite.vault.get("oauth:suite:client_id") is None
    assert suite.vault.get("oauth:suite:client_secret") is None
    with pytest.raises(ConfigurationError, match="No papers") as caught:
        forget_papers(suite, "suite")
    assert caught.value.next_step == "To store them: harbor papers own suite"


@pytest.mark.parametrize(
    ("papers", "client_id", "secret"),
    [
        ("suite", "", None),
        ("suite", "a\nb", None),
        ("suite", "id", Secret(" ")),
        ("suite@work", "id", None),
        ("suite/none", "id", None),
        ("nobody", "id", None),
    ],
)
def test_what_cannot_be_stored_changes_nothing(
    suite: Harbor, papers: str, client_id: str, secret: Secret | None
) -> None:
    """And says why."""
    with pytest.raises(HarborError):
        own_papers(suite, papers, client_id, secret)
    assert suite.vault.keys() == ()


@pytest.mark.parametrize("kind", ["installed", "web", None])
def test_a_vendor_s_download_is_read(tmp_path: Path, kind: str | None) -> None:
    """In each of its forms."""
    members = {"client_id": "id", "client_secret": "s3cret", "redirect_uris": ["http://localhost"]}
    path = tmp_path / "client_secret.json"
    path.write_text(json.dumps({kind: members} if kind else members))
    file = read_client_file(path)
    assert (file.client_id, file.client_secret, file.kind) == ("id", Secret("s3cret"), kind)
    assert file.redirect_uris == ("http://localhost",)
    assert "s3cret" not in repr(file)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no JSON"),
        ("[]", "no JSON object"),
        ("{}", "no client_id"),
        ('{"installed": {"client_id": ""}}', "no client_id"),
        ('{"client_id": "id", "client_secret": ["s3cret"]}', "client_secret is no text"),
        ('{"type": "service_account", "client_id": "1", "private_key": "s3cret"}', "service"),
        ("[" * 100_000, "no JSON"),
    ],
)
def test_what_is_no_download_is_said_without_its_content(
    tmp_path: Path, text: str, why: str
) -> None:
    """It may hold a secret."""
    path = tmp_path / "file.json"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=why) as caught:
        read_client_file(path)
    assert "s3cret" not in str(caught.value)
    assert caught.value.next_step


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    """With its name."""
    with pytest.raises(ConfigurationError, match=r"none\.json cannot be read"):
        read_client_file(tmp_path / "none.json")
