"""Proofs of possession up to the signature, against the examples of RFC 9449."""

from __future__ import annotations

import json

import pytest

from harbor_oauth.errors import InsecureEndpointError
from harbor_oauth.protocol.dpop import (
    ath,
    dpop_nonce,
    htu,
    is_nonce,
    proof_claims,
    proof_header,
    wants_dpop_nonce,
)
from harbor_oauth.protocol.http import HttpResponse
from harbor_oauth.secret import Secret

JWK = {
    "kty": "EC",
    "x": "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",
    "y": "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA",
    "crv": "P-256",
}
# RFC 9449 §7.1.
ACCESS_TOKEN = Secret("Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU")
ATH = "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"


def answer(
    status: int, body: object = None, *, content_type: str = "application/json", **fields: str
) -> HttpResponse:
    """Return an answer; field names are written with underscores."""
    headers = {name.replace("_", "-"): value for name, value in fields.items()}
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HttpResponse(
        status, {"content-type": content_type, **headers}, content, "https://s.example/"
    )


def test_the_proof_for_an_authorization_server() -> None:
    """Header and claims are those of RFC 9449 §4.1: no `ath`, no `nonce`."""
    assert proof_header("ES256", JWK) == {"typ": "dpop+jwt", "alg": "ES256", "jwk": JWK}
    claims = proof_claims(
        "POST", "https://server.example.com/token", now=1562262616, jti="-BwC3ESc6acc2lTc"
    )
    assert claims == {
        "jti": "-BwC3ESc6acc2lTc",
        "htm": "POST",
        "htu": "https://server.example.com/token",
        "iat": 1562262616,
    }


def test_the_proof_for_a_resource_server() -> None:
    """Claims are those of RFC 9449 §7.1, with the hash of its access token."""
    claims = proof_claims(
        "GET",
        "https://resource.example.org/protectedresource",
        now=1562262618.75,
        jti="e1j3V_bKic8-LAEB",
        access_token=ACCESS_TOKEN,
    )
    assert claims == {
        "jti": "e1j3V_bKic8-LAEB",
        "htm": "GET",
        "htu": "https://resource.example.org/protectedresource",
        "iat": 1562262618,
        "ath": ATH,
    }
    assert ath(ACCESS_TOKEN) == ATH


def test_a_nonce_is_in_the_proof() -> None:
    """A nonce is repeated as the server wrote it (RFC 9449 §4.2)."""
    claims = proof_claims("GET", "https://s.example/", now=0, jti="j", nonce="eyJ7S_zG.eyJH0")
    assert claims["nonce"] == "eyJ7S_zG.eyJH0"


def test_a_header_never_has_a_private_key() -> None:
    """What a JWK has besides its public members stays at home (RFC 9449 §4.2)."""
    assert "cnry" not in str(proof_header("ES256", {**JWK, "d": "cnry"}))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://S.example/Path?x=1#f", "https://s.example/Path"),
        ("HTTPS://s.example:443/a/", "https://s.example/a/"),
        ("http://127.0.0.1:8080/a", "http://127.0.0.1:8080/a"),
        ("http://localhost:80/a", "http://localhost/a"),
        ("https://s.example", "https://s.example/"),
        ("https://s.example?x=1", "https://s.example/"),
        ("https://s.example/?", "https://s.example/"),
        ("https://s.example#f", "https://s.example/"),
        ("https://s.example/a%20b;c", "https://s.example/a%20b;c"),
        ("https://[::1]:8443/a", "https://[::1]:8443/a"),
    ],
)
def test_htu(url: str, expected: str) -> None:
    """Query and fragment go, the origin is normalised, the path stays (RFC 9449 §4.2, §4.3)."""
    assert htu(url) == expected


@pytest.mark.parametrize("url", ["", "ftp://s.example/", "/token", "https://u:p@s.example/"])
def test_htu_of_no_url(url: str) -> None:
    """No proof is made for what has no plain http or https origin."""
    with pytest.raises(InsecureEndpointError):
        htu(url)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("eyJ7S_zG.eyJH0-Z.HX4w-7v", True),
        ("!#[]~", True),
        ("a" * 2048, True),
        ("a" * 2049, False),
        ("", False),
        ("a b", False),
        ("one, two", False),
        ('a"b', False),
        ("a\\b", False),
        ("a\r\nX: y", False),
        ("\u00e9", False),
        ("a\n", False),
    ],
)
def test_what_is_a_nonce(value: str, expected: bool) -> None:
    """Only the characters of RFC 9449 §8.1, which no header field can be broken with."""
    assert is_nonce(value) is expected


def test_the_nonce_of_an_answer() -> None:
    """Any answer may bring one (RFC 9449 §8.2); a repeated field brings none."""
    assert dpop_nonce(answer(200, dpop_nonce="abc ")) == "abc"
    assert dpop_nonce(answer(200, dpop_nonce="abc, def")) is None
    assert dpop_nonce(answer(200)) is None


CHALLENGE = 'DPoP error="use_dpop_nonce", error_description="Resource server requires nonce"'


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (answer(400, {"error": "use_dpop_nonce"}, dpop_nonce="n"), True),
        (answer(401, {"error": "use_dpop_nonce"}, dpop_nonce="n"), True),
        (answer(401, b"", www_authenticate=CHALLENGE, dpop_nonce="n"), True),
        (answer(401, b"", www_authenticate=f"Bearer, {CHALLENGE}", dpop_nonce="n"), True),
        # Nothing a repetition could mend:
        (answer(400, {"error": "use_dpop_nonce"}), False),
        (answer(401, b"", www_authenticate=CHALLENGE), False),
        (answer(400, {"error": "use_dpop_nonce"}, dpop_nonce="a b"), False),
        # Another refusal:
        (answer(400, {"error": "invalid_dpop_proof"}, dpop_nonce="n"), False),
        (answer(400, {"error": ["use_dpop_nonce"]}, dpop_nonce="n"), False),
        (answer(400, ["use_dpop_nonce"], dpop_nonce="n"), False),
        (answer(400, b"use_dpop_nonce", dpop_nonce="n"), False),
        (answer(401, b"", www_authenticate='DPoP realm="use_dpop_nonce"', dpop_nonce="n"), False),
        (
            answer(
                401,
                b"",
                www_authenticate='DPoP error="invalid_token", error_description='
                '"error=\\"use_dpop_nonce\\""',
                dpop_nonce="n",
            ),
            False,
        ),
        # No refusal, or one for another reason:
        (answer(200, {"error": "use_dpop_nonce"}, dpop_nonce="n"), False),
        (answer(403, b"", www_authenticate=CHALLENGE, dpop_nonce="n"), False),
        (answer(503, {"error": "use_dpop_nonce"}, dpop_nonce="n"), False),
    ],
)
def test_who_wants_a_nonce(response: HttpResponse, expected: bool) -> None:
    """An error of 400 or 401 that says so and brings one (RFC 9449 §8, §9); nothing else."""
    assert wants_dpop_nonce(response) is expected
