"""How the doubles read signed tokens."""

from __future__ import annotations

from typing import Any

import pytest

from harbor_oauth.testing._jose import ALGORITHMS, Signer, read, thumbprint, verify


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_each_algorithm_is_verified_and_a_flipped_bit_seen(alg: str, new_key: Any) -> None:
    """A signature counts for its own key and its own claims only."""
    key, other = new_key(alg), new_key(alg)
    token = key.jwt({"sub": "ada"})
    verify(read(token), key.jwk)
    with pytest.raises(ValueError, match="signature is wrong"):
        verify(read(token), other.jwk)
    header, _, signature = token.split(".")
    forged = ".".join((header, other.jwt({"sub": "eve"}).split(".")[1], signature))
    with pytest.raises(ValueError, match="signature is wrong"):
        verify(read(forged), key.jwk)


@pytest.mark.parametrize(
    ("header", "why"),
    [({"alg": "none"}, "alg"), ({"alg": "HS256"}, "alg"), ({"crit": ["b64"]}, "crit")],
)
def test_what_is_not_understood_is_refused(key: Any, header: Any, why: str) -> None:
    """RFC 7515 §4.1.11, and no algorithm but the listed."""
    with pytest.raises(ValueError, match=why):
        read(key.jwt({}, **header))


@pytest.mark.parametrize("token", ["", "a.b", "a.b.c", "!!.e30.e30", "W10.W10.", "e30.e30.e30"])
def test_what_is_no_token_is_a_value_error(token: str) -> None:
    """Never another exception."""
    with pytest.raises(ValueError, match="the token"):
        read(token)


@pytest.mark.parametrize(
    "jwk",
    [{}, {"kty": "EC"}, {"kty": "EC", "crv": "P-256", "x": 1, "y": 2}, {"kty": "RSA", "e": "AQAB"}],
)
def test_a_key_that_is_none_is_a_value_error(key: Any, jwk: Any) -> None:
    """Also one of another type than the token's."""
    with pytest.raises(ValueError, match="the"):
        verify(read(key.jwt({})), jwk)
    with pytest.raises(ValueError, match="no public JWK"):
        thumbprint(jwk)


def test_the_thumbprint_is_the_one_of_the_specification() -> None:
    """RFC 7638 §3.1; members that do not make the key do not count."""
    n = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJE"
        "CPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2Q"
        "vzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6"
        "WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
    )
    jwk = {"kty": "RSA", "n": n, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"}
    assert thumbprint(jwk) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


def test_a_server_signs_what_it_reads() -> None:
    """The header names the key."""
    signer = Signer.generate()
    jwt = read(signer.jwt({"a": 1}, "x+jwt"))
    verify(jwt, signer.public_jwk)
    assert jwt.header == {"alg": "ES256", "typ": "x+jwt", "kid": thumbprint(signer.public_jwk)}
