"""Signed JSON Web Tokens as a server reads and makes them: RFC 7515, 7517, 7518, 7638.

Written apart from what the library signs with, so that each checks the other.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final, Self

import attrs
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
from cryptography.hazmat.primitives.hashes import SHA256

__all__ = ["ALGORITHMS", "Jwt", "Signer", "read", "thumbprint", "verify"]

ALGORITHMS: Final = ("ES256", "EdDSA", "PS256", "RS256")

# What makes a key, and so its thumbprint (RFC 7638 §3.2, RFC 8037 §2).
_MEMBERS: Final = {
    "EC": ("crv", "kty", "x", "y"),
    "OKP": ("crv", "kty", "x"),
    "RSA": ("e", "kty", "n"),
}
_KEY_TYPES: Final = {"ES256": "EC", "EdDSA": "OKP", "PS256": "RSA", "RS256": "RSA"}
_ES256_HALF: Final = 32


@attrs.frozen(repr=False)
class Jwt:
    """A token taken apart, its signature not yet checked."""

    header: Mapping[str, Any]
    claims: Mapping[str, Any]
    signing_input: bytes
    signature: bytes


def read(compact: str) -> Jwt:
    """Take a compact serialization apart (RFC 7515 §7.1).

    Raises:
        ValueError: It is none, or asks for what is not understood here.
    """
    parts = compact.split(".")
    if len(parts) != 3:  # noqa: PLR2004 - header, payload, signature
        raise ValueError("the token is no signed JWT")
    header, claims = _object(parts[0]), _object(parts[1])
    if header.get("alg") not in ALGORITHMS:
        raise ValueError("the token's alg is not accepted")
    if "crit" in header:
        raise ValueError("the token's crit names an extension")  # RFC 7515 §4.1.11
    return Jwt(header, claims, ".".join(parts[:2]).encode(), _octets(parts[2]))


def verify(jwt: Jwt, jwk: Mapping[str, Any]) -> None:
    """Check a token's signature.

    Raises:
        ValueError: It was not made with this key.
    """
    alg = jwt.header["alg"]
    if jwk.get("kty") != _KEY_TYPES[alg]:
        raise ValueError("the key does not fit the token's alg")
    try:
        _verify(alg, jwk, jwt)
    except (InvalidSignature, KeyError, TypeError):
        raise ValueError("the token's signature is wrong") from None


def thumbprint(jwk: Mapping[str, Any]) -> str:
    """Return a public key's thumbprint with SHA-256 (RFC 7638 §3).

    Raises:
        ValueError: The key is none.
    """
    members = {name: jwk.get(name) for name in _MEMBERS.get(str(jwk.get("kty")), ())}
    if not members or not all(isinstance(member, str) for member in members.values()):
        raise ValueError("the key is no public JWK of a known type")
    canonical = json.dumps(members, sort_keys=True, separators=(",", ":"))
    return _encoded(hashlib.sha256(canonical.encode()).digest())


@attrs.frozen(repr=False)
class Signer:
    """A server's own ES256 key."""

    _key: ec.EllipticCurvePrivateKey

    @classmethod
    def generate(cls) -> Self:
        """Make a new key."""
        return cls(ec.generate_private_key(ec.SECP256R1()))

    @property
    def public_jwk(self) -> dict[str, str]:
        """The public half."""
        numbers = self._key.public_key().public_numbers()
        jwk = {
            "kty": "EC",
            "crv": "P-256",
            "x": _encoded(numbers.x.to_bytes(_ES256_HALF, "big")),
            "y": _encoded(numbers.y.to_bytes(_ES256_HALF, "big")),
        }
        return jwk | {"kid": thumbprint(jwk)}

    def jwt(self, claims: Mapping[str, object], typ: str = "JWT") -> str:
        """Sign claims; the header names the key."""
        header = {"alg": "ES256", "typ": typ, "kid": self.public_jwk["kid"]}
        signing_input = ".".join(_encoded(json.dumps(part).encode()) for part in (header, claims))
        der = self._key.sign(signing_input.encode(), ec.ECDSA(SHA256()))
        halves = [half.to_bytes(_ES256_HALF, "big") for half in utils.decode_dss_signature(der)]
        return f"{signing_input}.{_encoded(b''.join(halves))}"


def _verify(alg: str, jwk: Mapping[str, Any], jwt: Jwt) -> None:
    match alg:
        case "ES256":
            half = _ES256_HALF
            if jwk["crv"] != "P-256" or len(jwt.signature) != 2 * half:
                raise InvalidSignature
            r, s = (
                int.from_bytes(part, "big") for part in (jwt.signature[:half], jwt.signature[half:])
            )
            point = ec.EllipticCurvePublicNumbers(
                _integer(jwk["x"]), _integer(jwk["y"]), ec.SECP256R1()
            )
            der = utils.encode_dss_signature(r, s)
            point.public_key().verify(der, jwt.signing_input, ec.ECDSA(SHA256()))
        case "EdDSA":
            if jwk["crv"] != "Ed25519":
                raise InvalidSignature
            octets = _octets(jwk["x"])
            edwards = ed25519.Ed25519PublicKey.from_public_bytes(octets)
            edwards.verify(jwt.signature, jwt.signing_input)
        case _:
            scheme = (
                padding.PSS(padding.MGF1(SHA256()), padding.PSS.DIGEST_LENGTH)
                if alg == "PS256"
                else padding.PKCS1v15()
            )
            modulus = rsa.RSAPublicNumbers(_integer(jwk["e"]), _integer(jwk["n"]))
            modulus.public_key().verify(jwt.signature, jwt.signing_input, scheme, SHA256())


def _integer(encoded: str) -> int:
    return int.from_bytes(_octets(encoded), "big")


def _octets(encoded: str) -> bytes:
    try:
        return base64.b64decode(encoded + "=" * (-len(encoded) % 4), b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise ValueError("the token is not base64url") from None


def _encoded(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def _object(encoded: str) -> dict[str, Any]:
    try:
        value: object = json.loads(_octets(encoded))
    except RecursionError:
        value = None
    if not isinstance(value, dict):
        raise ValueError("the token's header or payload is no JSON object")  # noqa: TRY004 - what was sent is wrong, no caller
    return value
