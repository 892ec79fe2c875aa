"""Client authentication."""

from __future__ import annotations

import base64
import json
from urllib.parse import parse_qs, unquote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harbor_oauth.errors import ConfigurationError, InsecureEndpointError
from harbor_oauth.protocol.client_auth import (
    ClientCredentials,
    authenticate,
    authenticated_post,
    choose_auth_method,
)
from harbor_oauth.secret import Secret

ENDPOINT = "https://as.example/token"


def test_none() -> None:
    """A public client names itself in the body."""
    assert authenticate(ClientCredentials("id"), {"a": "b"}) == ({}, {"a": "b", "client_id": "id"})


def test_post() -> None:
    """client_secret_post puts both into the body and nothing into a header."""
    client = ClientCredentials("id", Secret("s"), "client_secret_post")
    headers, parameters = authenticate(client, {})
    assert headers == {}
    assert parameters == {"client_id": "id", "client_secret": "s"}


def test_basic_of_the_rfc() -> None:
    """client_secret_basic gives the header of RFC 6749 §2.3.1, and an empty body."""
    client = ClientCredentials(
        "s6BhdRkqt3", Secret("7Fjfp0ZBr1KtDRbnfVdmIw"), "client_secret_basic"
    )
    assert authenticate(client, {}) == (
        {"Authorization": "Basic czZCaGRSa3F0Mzo3RmpmcDBaQnIxS3REUmJuZlZkbUl3"},
        {},
    )


def test_none_leaves_an_unused_secret_at_home() -> None:
    """A client registered with the method none never sends its secret."""
    headers, parameters = authenticate(ClientCredentials("id", Secret("cnry")), {})
    assert "cnry" not in f"{headers}{parameters}"


_PLAIN = st.text(
    st.characters(exclude_categories=("Cc", "Cs")),
    min_size=1,
)


@settings(max_examples=200)
@given(_PLAIN, _PLAIN)
def test_basic_round_trip(client_id: str, client_secret: str) -> None:
    """Any id and secret come back out of the header, colons and percents too."""
    client = ClientCredentials(client_id, Secret(client_secret), "client_secret_basic")
    headers, parameters = authenticate(client, {})
    pair = base64.b64decode(headers["Authorization"].removeprefix("Basic ")).decode("ascii")
    found_id, _, found_secret = pair.partition(":")
    assert (unquote_plus(found_id), unquote_plus(found_secret)) == (client_id, client_secret)
    assert parameters == {}


@pytest.mark.parametrize(
    ("client_id", "client_secret", "method"),
    [
        ("", None, "none"),
        ("a\nb", None, "none"),
        ("a\x7f", None, "none"),
        ("\ud800", None, "none"),
        ("id", Secret("cnry\r\n"), "client_secret_post"),
        ("id", Secret(""), "client_secret_post"),
        ("id", None, "client_secret_basic"),
        ("id", None, "client_secret_post"),
        ("id", Secret("cnry"), "private_key_jwt"),
        ("id", None, "private_key_jwt"),
        ("id", None, ""),
    ],
)
def test_impossible_credentials(client_id: str, client_secret: Secret | None, method: str) -> None:
    """Parts that do not fit are refused when they are put together."""
    with pytest.raises(ConfigurationError) as caught:
        ClientCredentials(client_id, client_secret, method)
    assert "cnry" not in str(caught.value)


@pytest.mark.parametrize(
    ("supported", "has_secret", "expected"),
    [
        (None, False, "none"),
        (("client_secret_basic",), False, "none"),
        (None, True, "client_secret_basic"),
        ((), True, "client_secret_basic"),
        (("client_secret_post", "client_secret_basic"), True, "client_secret_basic"),
        (("none", "client_secret_post"), True, "client_secret_post"),
        (("private_key_jwt",), True, "client_secret_basic"),
    ],
)
def test_choose(supported: tuple[str, ...] | None, has_secret: bool, expected: str) -> None:
    """The server's list decides; its default is client_secret_basic (RFC 8414 §2)."""
    assert choose_auth_method(supported, has_secret=has_secret) == expected


def test_a_private_key_decides() -> None:
    """A client with a key signs assertions, whatever else it has or the server lists."""
    for supported in (None, (), ("client_secret_basic",), ("private_key_jwt",)):
        for has_secret in (False, True):
            chosen = choose_auth_method(supported, has_secret=has_secret, has_private_key=True)
            assert chosen == "private_key_jwt"


SIGNER = ClientCredentials(
    "id",
    Secret("cnry-secret"),
    "private_key_jwt",
    private_key=Secret("cnry-key"),
    signing_alg="ES256",
    key_id="key-1",
    issuer="https://as.example",
)


def test_private_key_jwt() -> None:
    """The assertion and its type go into the body, and nothing else of the client's secrets."""
    headers, parameters = authenticate(SIGNER, {"a": "b"}, Secret("the.assertion"))
    assert headers == {}
    assert parameters == {
        "a": "b",
        "client_id": "id",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": "the.assertion",
    }


@pytest.mark.parametrize(
    ("client", "client_assertion"),
    [
        (SIGNER, None),
        (ClientCredentials("id"), Secret("cnry")),
        (ClientCredentials("id", Secret("s"), "client_secret_basic"), Secret("cnry")),
        (ClientCredentials("id", Secret("s"), "client_secret_post"), Secret("cnry")),
    ],
)
def test_one_way_to_authenticate(
    client: ClientCredentials, client_assertion: Secret | None
) -> None:
    """An assertion goes with private_key_jwt and with nothing else (RFC 6749 §2.3)."""
    with pytest.raises(ValueError, match="client assertion") as caught:
        authenticate(client, {}, client_assertion)
    assert "cnry" not in str(caught.value)


def test_a_request_with_an_assertion_is_good_once() -> None:
    """A server takes an assertion once (RFC 7523 §3); other requests may be repeated."""
    signed = authenticated_post(
        ENDPOINT, "token endpoint", SIGNER, {}, client_assertion=Secret("the.assertion")
    )
    assert signed.single_use
    assert parse_qs((signed.body or b"").decode())["client_assertion"] == ["the.assertion"]
    assert "Authorization" not in signed.headers
    public = authenticated_post(ENDPOINT, "token endpoint", ClientCredentials("id"), {})
    assert not public.single_use


def test_form_body() -> None:
    """The usual request is a form, with an exact Accept and Content-Type."""
    request = authenticated_post(ENDPOINT, "token endpoint", ClientCredentials("i d"), {"a": "é&="})
    assert request.method == "POST"
    assert request.headers == {
        "Accept": "application/json",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    assert request.body is not None
    assert parse_qs(request.body.decode()) == {"a": ["é&="], "client_id": ["i d"]}
    assert (request.timeout, request.limit) == (10.0, 256 * 1024)


def test_json_body() -> None:
    """Where a vendor demands JSON, the same parameters travel as JSON."""
    client = ClientCredentials("id", Secret("s"), "client_secret_basic")
    request = authenticated_post(ENDPOINT, "token endpoint", client, {"a": "é"}, encoding="json")
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["Authorization"].startswith("Basic ")
    assert json.loads(request.body or b"") == {"a": "é"}


def test_request_is_refused() -> None:
    """No request is built for an insecure endpoint or an unknown encoding."""
    client = ClientCredentials("id")
    with pytest.raises(InsecureEndpointError, match="token endpoint"):
        authenticated_post("http://as.example/token", "token endpoint", client, {})
    with pytest.raises(ValueError, match="xml"):
        authenticated_post(ENDPOINT, "token endpoint", client, {}, encoding="xml")


def test_repr_is_masked() -> None:
    """Secrets are neither in the credentials' nor in the request's repr."""
    client = ClientCredentials("id", Secret("cnry"), "client_secret_post")
    request = authenticated_post(f"{ENDPOINT}?key=cnry", "token endpoint", client, {"code": "cnry"})
    assert "cnry" not in f"{client!r}{request!r}"
    assert "cnry" not in repr(SIGNER)
