"""JSON Web Signatures, up to the signature: RFC 7515, RFC 7519, RFC 7638 and RFC 7523 §3.

What is signed is built here; who holds the key signs it. Nothing here sees a
private key, and no private member of a key gets into a header.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Final

__all__ = [
    "SIGNING_ALGS",
    "base64url",
    "client_assertion_claims",
    "compact",
    "new_jti",
    "public_members",
    "signing_input",
    "thumbprint",
]

# RFC 7518 §3.1 and RFC 8037 §3.1. No `none` and no symmetric algorithm: whoever
# checks an assertion or a proof must not be able to make one.
SIGNING_ALGS: Final = ("ES256", "ES384", "RS256", "PS256", "EdDSA")

# RFC 7638 §3.2 and RFC 8037 §2: the required members of a public key.
_PUBLIC: Final = {
    "EC": ("crv", "kty", "x", "y"),
    "OKP": ("crv", "kty", "x"),
    "RSA": ("e", "kty", "n"),
}
_JTI_BYTES: Final = 16


def base64url(data: bytes) -> str:
    """Return octets in base64url without padding (RFC 7515 §2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def new_jti(entropy: Callable[[int], bytes]) -> str:
    """Return a `jti` that no other token has.

    128 random bits; RFC 9449 §4.2 asks for 96 at the least.

    Args:
        entropy: A source of random bytes, such as `os.urandom`.
    """
    return base64url(entropy(_JTI_BYTES))


def signing_input(header: Mapping[str, object], claims: Mapping[str, object]) -> str:
    """Return what is signed: header and claims, each encoded (RFC 7515 §5.1)."""
    return f"{_encoded(header)}.{_encoded(claims)}"


def compact(signed: str, signature: bytes) -> str:
    """Return the compact serialization (RFC 7515 §7.1).

    Args:
        signed: What `signing_input` returned.
        signature: Its signature, in the form of RFC 7518 §3.
    """
    return f"{signed}.{base64url(signature)}"


def public_members(jwk: Mapping[str, str]) -> dict[str, str]:
    """Return the members that make a public key what it is, in their order.

    Args:
        jwk: A key (RFC 7517 §4); what else it has, private members too, is left out.

    Raises:
        ValueError: It is not a public key of a known type, or lacks a member.
    """
    names = _PUBLIC.get(jwk.get("kty", ""))
    if names is None or not all(jwk.get(name) for name in names):
        # The key is not shown: it may be a private one.
        raise ValueError("not a complete public key of type EC, OKP or RSA")
    return {name: jwk[name] for name in names}


def thumbprint(jwk: Mapping[str, str]) -> str:
    """Return the SHA-256 thumbprint of a key (RFC 7638 §3)."""
    return base64url(hashlib.sha256(_json(public_members(jwk))).digest())


def client_assertion_claims(
    client_id: str, audience: str, *, now: float, jti: str, lifetime: int = 60
) -> dict[str, object]:
    """Return the claims with which a client authenticates itself (RFC 7523 §3).

    Args:
        client_id: The client: issuer and subject at once.
        audience: Who is to accept it: the authorization server.
        now: Unix seconds, UTC.
        jti: What tells it from all others, so that it is accepted once.
        lifetime: Seconds until it ends.
    """
    issued = int(now)
    return {
        "iss": client_id,
        "sub": client_id,
        "aud": audience,
        "iat": issued,
        "exp": issued + lifetime,
        "jti": jti,
    }


def _encoded(value: Mapping[str, object]) -> str:
    return base64url(_json(value))


def _json(value: Mapping[str, object]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("ascii")
