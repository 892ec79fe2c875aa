"""JSON Web Signatures up to the signature, against the RFCs' own examples."""

from __future__ import annotations

import base64
import json
from types import MappingProxyType

import pytest

from harbor_oauth.protocol.jwt import (
    base64url,
    client_assertion_claims,
    compact,
    new_jti,
    public_members,
    signing_input,
    thumbprint,
)

# RFC 7638 §3.1.
RSA_JWK = {
    "kty": "RSA",
    "n": (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_B"
        "JECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_F"
        "DW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4"
        "vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
    ),
    "e": "AQAB",
    "alg": "RS256",
    "kid": "2011-04-29",
}
# The proofs of RFC 9449 are made with this key; §6.1 has its thumbprint.
EC_JWK = {
    "kty": "EC",
    "x": "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",
    "y": "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA",
    "crv": "P-256",
}
# RFC 8037 appendix A.1 and A.3.
OKP_JWK = {
    "kty": "OKP",
    "crv": "Ed25519",
    "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
}


@pytest.mark.parametrize(
    ("jwk", "expected"),
    [
        (RSA_JWK, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"),
        (EC_JWK, "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"),
        (OKP_JWK, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"),
        (MappingProxyType(EC_JWK), "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"),
    ],
)
def test_thumbprints_of_the_rfcs(jwk: dict[str, str], expected: str) -> None:
    """RFC 7638 §3.1, RFC 9449 §6.1 and RFC 8037 appendix A.3 give these thumbprints."""
    assert thumbprint(jwk) == expected


def test_no_private_member_is_public() -> None:
    """Of a private key only the public members remain, in the order of RFC 7638 §3.3."""
    members = public_members({**EC_JWK, "d": "cnry", "kid": "1", "use": "sig"})
    assert list(members) == ["crv", "kty", "x", "y"]
    assert members == EC_JWK


@pytest.mark.parametrize(
    "jwk", [{}, {"kty": "oct", "k": "cnry"}, {"kty": "EC", "crv": "P-256", "x": "cnry"}]
)
def test_what_is_no_public_key_is_refused(jwk: dict[str, str]) -> None:
    """A symmetric or incomplete key is refused and not shown."""
    with pytest.raises(ValueError, match="complete public key") as caught:
        public_members(jwk)
    assert "cnry" not in str(caught.value)


def test_signing_input_of_the_rfc() -> None:
    """Header and claims are encoded as RFC 7515 §5.1 says; appendix A.3.1 has this header."""
    assert (
        signing_input({"alg": "ES256"}, {"iss": "joe"}) == "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UifQ"
    )
    assert compact("a.b", b"\xfb\xff") == "a.b.-_8"


@pytest.mark.parametrize("size", range(5))
def test_base64url_has_no_padding(size: int) -> None:
    """Any length comes back out of the encoding, which has no equals sign (RFC 7515 §2)."""
    encoded = base64url(b"\xff" * size)
    assert "=" not in encoded
    assert base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)) == b"\xff" * size


def test_jti_is_128_random_bits() -> None:
    """RFC 9449 §4.2 asks for 96 bits of entropy at the least."""
    asked: list[int] = []

    def entropy(size: int) -> bytes:
        asked.append(size)
        return bytes(size)

    assert new_jti(entropy) == "A" * 22
    assert asked == [16]


def test_client_assertion_claims() -> None:
    """The client is issuer and subject, times are whole seconds, and it ends (RFC 7523 §3)."""
    claims = client_assertion_claims("id", "https://as.example", now=1000.9, jti="j", lifetime=30)
    assert claims == {
        "iss": "id",
        "sub": "id",
        "aud": "https://as.example",
        "iat": 1000,
        "exp": 1030,
        "jti": "j",
    }
    assert json.dumps(claims["iat"]) == "1000"
