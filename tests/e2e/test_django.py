"""A vendor of the old kind, `django-oauth-toolkit`: endpoints given by hand, terse errors."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs
import pytest

from harbor_oauth.errors import LoginRequiredError, OAuthResponseError
from harbor_oauth.protocol.client_auth import ClientCredentials
from harbor_oauth.protocol.http import HttpRequest, HttpResponse
from harbor_oauth.providers import OAuthProvider, Resource, ServerMetadata
from harbor_oauth.transport import RequestsTransport

if TYPE_CHECKING:
    from harbor_oauth.client import Harbor
    from tests.e2e.conftest import DjangoProvider
    from tests.e2e.person import Person

pytestmark = pytest.mark.e2e

PATIENCE = 30  # seconds; a person without a real browser needs less than one

MakeHarbor = Callable[..., "Harbor"]


@pytest.fixture
def make_harbor(
    harbor_with: Callable[..., Harbor], django_provider: DjangoProvider
) -> Callable[..., Harbor]:
    """Make Harbors that know the server as the provider ``django``, from data alone."""
    origin = django_provider.origin
    metadata = ServerMetadata(
        issuer=origin,
        authorization_endpoint=f"{origin}/o/authorize/",
        token_endpoint=f"{origin}/o/token/",
        revocation_endpoint=f"{origin}/o/revoke_token/",
        code_challenge_methods_supported=("S256",),
    )
    resource = Resource(
        name="api",
        servers=(f"{origin}/whoami",),
        allowed_origins=(origin,),
        metadata=metadata,
        discover=False,
        scopes=("read",),
    )
    provider = OAuthProvider(name="django", display_name="Django", resources=(resource,))

    def make(**parts: object) -> Harbor:
        return harbor_with(
            providers={"django": provider},
            clients={"django": ClientCredentials(django_provider.client_id)},
            **parts,
        )

    return make


def status_of(django: DjangoProvider, token: str) -> int:
    """Return what the protected view says to a token; 403 is its only refusal."""
    headers = {"Authorization": f"Bearer {token}"}
    request = HttpRequest("GET", f"{django.origin}/whoami", headers)
    return RequestsTransport()(request).status


def an_hour_later() -> float:
    """A clock by which every access token has expired."""
    return time.time() + 3601


def test_sign_in_use_refresh_revoke(
    make_harbor: MakeHarbor, django_provider: DjangoProvider, person: Person
) -> None:
    """The whole life of a grant, without one request for metadata."""
    harbor = make_harbor()
    harbor.login("django", timeout=PATIENCE)
    assert not [page for page in person.pages if "well-known" in page]
    answer = harbor.session("django").get(f"{django_provider.origin}/whoami")
    assert answer.json() == {"user": "ada"}

    first = harbor.token("django")
    assert first.scopes == ("read",)
    assert first.expires_at is not None
    later = make_harbor(clock=an_hour_later)
    second = later.token("django")
    assert second.reveal() != first.reveal()
    assert status_of(django_provider, first.reveal()) == 403
    assert status_of(django_provider, second.reveal()) == 200

    result = harbor.logout("django")
    assert result.revoked, result.reason
    assert status_of(django_provider, second.reveal()) == 403
    with pytest.raises(LoginRequiredError):
        harbor.token("django")


def test_a_refresh_token_is_rotated(make_harbor: MakeHarbor) -> None:
    """Each refresh stores the refresh token that came with it; with the old one it would end."""
    times = iter(range(3601, 20_000, 3601))
    harbor = make_harbor()
    harbor.login("django", timeout=PATIENCE)
    tokens = {harbor.token("django").reveal()}
    for later in times:
        if len(tokens) == 4:
            break
        harbor = make_harbor(clock=lambda later=later: time.time() + later)
        tokens.add(harbor.token("django").reveal())
    assert len(tokens) == 4


def test_a_grant_that_was_revoked_elsewhere(
    make_harbor: MakeHarbor, django_provider: DjangoProvider
) -> None:
    """`{"error": "invalid_grant"}` and no word more becomes: sign in again, and how."""
    harbor = make_harbor()
    harbor.login("django", timeout=PATIENCE)
    (key,) = harbor.vault.grants()
    found = harbor.vault.grant(key)
    assert found is not None
    refresh_token = found[0].refresh_token
    assert refresh_token is not None
    body = f"token={refresh_token.reveal()}&client_id={django_provider.client_id}".encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    url = f"{django_provider.origin}/o/revoke_token/"
    assert RequestsTransport()(HttpRequest("POST", url, headers, body)).status == 200

    with pytest.raises(LoginRequiredError) as caught:
        make_harbor(clock=an_hour_later).token("django")
    assert "harbor charter django" in str(caught.value)
    assert refresh_token.reveal() not in str(caught.value)


def test_a_person_who_cancels(make_harbor: MakeHarbor, person: Person) -> None:
    """`access_denied` without a description is told as what it is, and nothing is stored."""
    person.leaves_out = frozenset({"allow"})
    harbor = make_harbor()
    with pytest.raises(OAuthResponseError) as caught:
        harbor.login("django", timeout=PATIENCE)
    assert caught.value.error == "access_denied"
    assert harbor.status() == ()


@attrs.frozen
class Wire:
    """The transport, with a fault on the way to the token endpoint."""

    fault: Callable[[HttpRequest, Callable[[HttpRequest], HttpResponse]], HttpResponse]
    transport: RequestsTransport = attrs.field(factory=RequestsTransport)

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.url.endswith("/o/token/"):
            return self.fault(request, self.transport)
        return self.transport(request)


def wrong_client(
    request: HttpRequest, transport: Callable[[HttpRequest], HttpResponse]
) -> HttpResponse:
    """Name a client the server does not know."""
    body = (request.body or b"").replace(b"client_id=harbor-e2e", b"client_id=nobody")
    assert body != request.body
    return transport(attrs.evolve(request, body=body))


def used_code(
    request: HttpRequest, transport: Callable[[HttpRequest], HttpResponse]
) -> HttpResponse:
    """Let somebody be quicker with the code."""
    assert transport(request).status == 200
    return transport(request)


@pytest.mark.parametrize(
    ("fault", "error"), [(wrong_client, "invalid_client"), (used_code, "invalid_grant")]
)
def test_terse_refusals_of_a_code(
    make_harbor: MakeHarbor,
    fault: Callable[[HttpRequest, Callable[[HttpRequest], HttpResponse]], HttpResponse],
    error: str,
) -> None:
    """One word from the server becomes a sentence with that word, and nothing is stored."""
    harbor = make_harbor(transport=Wire(fault))
    with pytest.raises(OAuthResponseError) as caught:
        harbor.login("django", timeout=PATIENCE)
    assert caught.value.error == error
    assert error in str(caught.value)
    assert len(str(caught.value)) > len(error) + 20
    assert harbor.status() == ()
