"""Keys that sign, against the examples of the RFCs and the other half of each algorithm."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, padding, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from harbor_oauth.errors import ConfigurationError, InsecureEndpointError
from harbor_oauth.protocol.jwt import SIGNING_ALGS, thumbprint
from harbor_oauth.secret import Secret
from harbor_oauth.signing import SigningKey, client_assertion, dpop_proof

# RFC 7515 appendix A.3.
ES256_D = "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"
ES256_JWK = {
    "crv": "P-256",
    "kty": "EC",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
}
ES256_JWS = (
    "eyJhbGciOiJFUzI1NiJ9."
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ."
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
)
# RFC 9449 §4.1.
PROOF = (
    "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNo"
    "UklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERW"
    "clUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh"
    "0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8"
    "v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg"
)
# RFC 8037 appendix A.1, A.4.
ED25519_D = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"
ED25519_JWS = (
    "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."
    "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
)


def decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def number(text: str) -> int:
    return int.from_bytes(decoded(text), "big")


def pem(
    private: Any,
    form: serialization.PrivateFormat = serialization.PrivateFormat.PKCS8,
    passphrase: bytes | None = None,
) -> Secret:
    encryption = (
        serialization.BestAvailableEncryption(passphrase)
        if passphrase
        else serialization.NoEncryption()
    )
    return Secret(private.private_bytes(serialization.Encoding.PEM, form, encryption).decode())


def verify(jws: str, jwk: dict[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Check a signature from the public key alone; return header and claims."""
    head, claims, signature = jws.split(".")
    header = json.loads(decoded(head))
    signed, raw = f"{head}.{claims}".encode(), decoded(signature)
    match header["alg"]:
        case "ES256" | "ES384" as alg:
            curve, digest, size = {
                "ES256": (ec.SECP256R1(), hashes.SHA256(), 32),
                "ES384": (ec.SECP384R1(), hashes.SHA384(), 48),
            }[alg]
            assert len(raw) == 2 * size
            point = ec.EllipticCurvePublicNumbers(number(jwk["x"]), number(jwk["y"]), curve)
            der = encode_dss_signature(
                int.from_bytes(raw[:size], "big"), int.from_bytes(raw[size:], "big")
            )
            point.public_key().verify(der, signed, ec.ECDSA(digest))
        case "EdDSA":
            key = ed25519.Ed25519PublicKey.from_public_bytes(decoded(jwk["x"]))
            key.verify(raw, signed)
        case alg:
            numbers = rsa.RSAPublicNumbers(number(jwk["e"]), number(jwk["n"]))
            scheme = {
                "RS256": padding.PKCS1v15(),
                "PS256": padding.PSS(padding.MGF1(hashes.SHA256()), 32),
            }[alg]
            numbers.public_key().verify(raw, signed, scheme, hashes.SHA256())
    body = decoded(claims)
    return header, json.loads(body)


def rfc_7515_key() -> SigningKey:
    return SigningKey.from_pem(pem(ec.derive_private_key(number(ES256_D), ec.SECP256R1())))


@pytest.fixture(scope="module")
def rsa_pem() -> Secret:
    return pem(rsa.generate_private_key(65537, 2048))


def test_the_checker_takes_the_proof_of_the_rfc() -> None:
    """The check used here accepts what RFC 7515 A.3 and RFC 9449 §4.1 signed, and no more."""
    verify(ES256_JWS, ES256_JWK)
    header, _ = verify(PROOF, json.loads(decoded(PROOF.partition(".")[0]))["jwk"])
    assert header["typ"] == "dpop+jwt"
    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever cryptography raises
        verify(PROOF, ES256_JWK)


def test_es256_of_the_rfc() -> None:
    """The key of RFC 7515 A.3 has its public half, and signs what the same check accepts."""
    key = rfc_7515_key()
    assert key.alg == "ES256"
    assert dict(key.public_jwk) == ES256_JWK
    _, claims = verify(key.jws({}, {"iss": "joe"}), ES256_JWK)
    assert claims == {"iss": "joe"}


def test_eddsa_of_the_rfc() -> None:
    """The signature of RFC 8037 A.4, which is the same each time, comes out byte for byte."""
    key = SigningKey.from_pem(pem(ed25519.Ed25519PrivateKey.from_private_bytes(decoded(ED25519_D))))
    signed, _, signature = ED25519_JWS.rpartition(".")
    assert key.alg == "EdDSA"
    assert key.sign(signed.encode()) == decoded(signature)
    assert key.thumbprint == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


@pytest.mark.parametrize("alg", SIGNING_ALGS)
def test_every_algorithm(alg: str) -> None:
    """A generated key signs, survives the way to PEM and back, and is the same key."""
    key = SigningKey.generate(alg)
    again = SigningKey.from_pem(key.to_pem(), alg)
    assert (again.alg, again.public_jwk, again.thumbprint) == (alg, key.public_jwk, key.thumbprint)
    header, claims = verify(again.jws({"kid": "k"}, {"a": 1}), dict(key.public_jwk))
    assert header == {"kid": "k", "alg": alg}
    assert claims == {"a": 1}
    assert key.to_pem().reveal().startswith("-----BEGIN PRIVATE KEY-----\n")


def test_es256_is_the_default_and_keys_differ() -> None:
    """Two keys made without a word are two ES256 keys."""
    one, two = SigningKey.generate(), SigningKey.generate()
    assert (one.alg, two.alg) == ("ES256", "ES256")
    assert one.thumbprint != two.thumbprint


def test_signatures_keep_leading_zeros() -> None:
    """r and s are each as long as the curve, whatever their value (RFC 7518 §3.4)."""
    key = rfc_7515_key()
    # One number in 256 has a leading zero octet; 600 signatures have some.
    assert {len(key.sign(b"x")) for _ in range(600)} == {64}


def test_coordinates_keep_leading_zeros() -> None:
    """x and y are as long as the curve (RFC 7518 §6.2.1.2): this key's x begins with a zero."""
    secret = next(
        value
        for value in range(1, 2000)
        if ec.derive_private_key(value, ec.SECP256R1()).public_key().public_numbers().x >> 248 == 0
    )
    jwk = SigningKey.from_pem(pem(ec.derive_private_key(secret, ec.SECP256R1()))).public_jwk
    assert len(decoded(jwk["x"])) == 32
    assert decoded(jwk["x"])[0] == 0


def test_the_algorithm_in_the_header_is_the_keys() -> None:
    """A header cannot claim another algorithm, `none` the least."""
    header, _ = verify(rfc_7515_key().jws({"alg": "none"}, {}), ES256_JWK)
    assert header["alg"] == "ES256"


def test_rsa_signs_with_either_padding(rsa_pem: Secret) -> None:
    """An RSA key signs with RS256 unless PS256 is asked for."""
    assert SigningKey.from_pem(rsa_pem).alg == "RS256"
    key = SigningKey.from_pem(rsa_pem, "PS256")
    header, _ = verify(key.jws({}, {}), dict(key.public_jwk))
    assert header["alg"] == "PS256"
    assert key.public_jwk["e"] == "AQAB"


@pytest.mark.parametrize(
    "form", [serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL]
)
def test_other_spellings_of_pem(form: serialization.PrivateFormat) -> None:
    """PKCS#8 and the older form hold the same key."""
    private = ec.derive_private_key(number(ES256_D), ec.SECP256R1())
    assert dict(SigningKey.from_pem(pem(private, form)).public_jwk) == ES256_JWK


@pytest.mark.parametrize("alg", ["ES384", "RS256", "PS256", "EdDSA"])
def test_a_key_that_does_not_fit(alg: str) -> None:
    """A key is refused for another algorithm than its own; the text shows nothing of it."""
    secret = rfc_7515_key().to_pem()
    with pytest.raises(ConfigurationError, match="does not fit") as caught:
        SigningKey.from_pem(secret, alg)
    assert "ES256" in caught.value.next_step
    assert secret.reveal().splitlines()[1] not in str(caught.value)


@pytest.mark.parametrize("alg", ["none", "HS256", "ES512", "es256", ""])
def test_an_unknown_algorithm(alg: str) -> None:
    """No unsigned, symmetric or misspelt algorithm is taken."""
    with pytest.raises(ConfigurationError, match="not supported"):
        SigningKey.generate(alg)
    with pytest.raises(ConfigurationError, match="not supported"):
        SigningKey.from_pem(rfc_7515_key().to_pem(), alg)


@pytest.mark.parametrize(
    "make",
    [
        lambda: ec.generate_private_key(ec.SECP521R1()),
        lambda: ec.generate_private_key(ec.SECP256K1()),
        x25519.X25519PrivateKey.generate,
        lambda: rsa.generate_private_key(65537, 1024),  # noqa: S505 - to be refused for that
        lambda: dsa.generate_private_key(1024),  # noqa: S505 - any size is refused
    ],
    ids=["P-521", "secp256k1", "X25519", "RSA-1024", "DSA"],
)
def test_a_key_of_no_use(make: Callable[[], Any]) -> None:
    """A curve, kind or size that none of the algorithms takes is refused."""
    with pytest.raises(ConfigurationError, match="not supported"):
        SigningKey.from_pem(pem(make()))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "cnry",
        "-----BEGIN PRIVATE KEY-----\ncnry\n-----END PRIVATE KEY-----\n",
        "-----BEGIN CERTIFICATE-----\nY25yeQ==\n-----END CERTIFICATE-----\n",
        "cnry \u00e9",
    ],
)
def test_what_is_no_key(text: str) -> None:
    """What is no key is refused; neither the text nor a context shows it."""
    with pytest.raises(ConfigurationError, match="not a private key in PEM") as caught:
        SigningKey.from_pem(Secret(text))
    assert "cnry" not in str(caught.value)
    assert caught.value.__context__ is None


def test_an_encrypted_key() -> None:
    """A key behind a passphrase says so."""
    private = ec.derive_private_key(number(ES256_D), ec.SECP256R1())
    with pytest.raises(ConfigurationError, match="is encrypted") as caught:
        SigningKey.from_pem(pem(private, passphrase=b"cnry"))
    assert caught.value.__context__ is None


def test_a_public_key_is_none_to_sign_with() -> None:
    """The public half is refused."""
    public = (
        rfc_7515_key()
        ._private.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    with pytest.raises(ConfigurationError, match="not a private key"):
        SigningKey.from_pem(Secret(public.decode()))


def test_a_key_shows_only_its_public_half() -> None:
    """Neither repr nor str has anything of the private key, and the JWK cannot be changed."""
    key = rfc_7515_key()
    assert "_private" not in f"{key!r}{key}"
    assert ES256_D not in f"{key!r}{key}"
    assert "d" not in key.public_jwk
    with pytest.raises(TypeError):
        key.public_jwk["d"] = "x"  # type: ignore[index]  # that it cannot is the fact


def test_client_assertion() -> None:
    """The assertion is the client's word about itself, for one server, for a minute."""
    key = rfc_7515_key()
    assertion = client_assertion(
        key, "id", "https://as.example", now=1000.5, jti="j", key_id="key-1"
    )
    header, claims = verify(assertion.reveal(), ES256_JWK)
    assert header == {"typ": "JWT", "kid": "key-1", "alg": "ES256"}
    assert claims == {
        "iss": "id",
        "sub": "id",
        "aud": "https://as.example",
        "iat": 1000,
        "exp": 1060,
        "jti": "j",
    }
    assert "********" in repr(assertion)


def test_client_assertion_without_key_id() -> None:
    """Where the server knows one key there need be no `kid`."""
    assertion = client_assertion(rfc_7515_key(), "id", "aud", now=0, jti="j", lifetime=5)
    header, claims = verify(assertion.reveal(), ES256_JWK)
    assert "kid" not in header
    assert claims["exp"] == 5


def test_dpop_proof_for_a_resource() -> None:
    """The proof carries the public key, and names method, URL, token and nonce."""
    key = rfc_7515_key()
    proof = dpop_proof(
        key,
        "GET",
        "https://RS.example:443/mcp?x=1#f",
        now=1562262618.9,
        jti="j",
        access_token=Secret("Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"),
        nonce="n",
    )
    header, claims = verify(proof, ES256_JWK)
    assert header == {"typ": "dpop+jwt", "alg": "ES256", "jwk": ES256_JWK}
    assert thumbprint(header["jwk"]) == key.thumbprint
    assert claims == {
        "jti": "j",
        "htm": "GET",
        "htu": "https://rs.example/mcp",
        "iat": 1562262618,
        "ath": "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo",
        "nonce": "n",
    }


def test_no_proof_for_what_is_no_url() -> None:
    """A URL without a plain origin gets no proof."""
    with pytest.raises(InsecureEndpointError):
        dpop_proof(rfc_7515_key(), "GET", "https://u@rs.example/", now=0, jti="j")


def test_importing_loads_no_cryptography() -> None:
    """The library is loaded by the first key, not by the import."""
    program = "import sys, harbor_oauth.signing; print('cryptography' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    assert done.stdout.strip() == b"False"
