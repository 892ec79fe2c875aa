"""Keys that sign: DPoP proofs (RFC 9449) and client assertions (RFC 7523).

Here is all that is done with a private key. What is signed is built in
`protocol`. Importing this loads no cryptography; the first key does.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeAlias, cast

import attrs

from harbor_oauth.errors import ConfigurationError
from harbor_oauth.protocol.dpop import proof_claims, proof_header
from harbor_oauth.protocol.jwt import (
    SIGNING_ALGS,
    base64url,
    client_assertion_claims,
    compact,
    signing_input,
    thumbprint,
)
from harbor_oauth.secret import Secret

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    _PrivateKey: TypeAlias = EllipticCurvePrivateKey | Ed25519PrivateKey | RSAPrivateKey

__all__ = ["SigningKey", "client_assertion", "dpop_proof"]

_RSA_BITS: Final = 2048  # RFC 7518 §3.3, §3.5: no smaller key may be used
# What signs with what; the first is the usual one (RFC 7518 §3.1, RFC 8037 §3.1).
_FITTING: Final = {
    "P-256": ("ES256",),
    "P-384": ("ES384",),
    "RSA": ("RS256", "PS256"),
    "Ed25519": ("EdDSA",),
}


@attrs.frozen(eq=False)
class SigningKey:
    """A private key, and the one algorithm it signs with.

    Made by `generate` and `from_pem`. Safe to use from any thread.

    Attributes:
        alg: The algorithm's name in JOSE (RFC 7518 §3.1): one of ``ES256``,
            ``ES384``, ``RS256``, ``PS256`` and ``EdDSA``.
        public_jwk: The public key (RFC 7517 §4), fit to show.
    """

    alg: str
    public_jwk: Mapping[str, str]
    _private: _PrivateKey = attrs.field(repr=False)

    @classmethod
    def generate(cls, alg: str = "ES256") -> SigningKey:
        """Make a new key; its entropy is that of the cryptographic library.

        Raises:
            ConfigurationError: The algorithm is not supported.
        """
        from cryptography.hazmat.primitives.asymmetric import (  # noqa: PLC0415 - loaded when needed: costs 20 ms
            ec,
            ed25519,
            rsa,
        )

        _require_supported(alg)
        if alg == "ES256":
            return _signing_key(ec.generate_private_key(ec.SECP256R1()), alg)
        if alg == "ES384":
            return _signing_key(ec.generate_private_key(ec.SECP384R1()), alg)
        if alg == "EdDSA":
            return _signing_key(ed25519.Ed25519PrivateKey.generate(), alg)
        return _signing_key(rsa.generate_private_key(65537, _RSA_BITS), alg)

    @classmethod
    def from_pem(cls, pem: Secret, alg: str | None = None) -> SigningKey:
        """Read a private key.

        Args:
            pem: An unencrypted private key in PEM: PKCS#8, SEC 1 or PKCS#1.
            alg: The algorithm; None for the usual one of such a key: ``ES256``
                or ``ES384`` by its curve, ``RS256`` or ``EdDSA``.

        Raises:
            ConfigurationError: It is no such key, or does not fit the algorithm.
        """
        if alg is not None:
            _require_supported(alg)
        return _signing_key(_loaded(pem), alg)

    def to_pem(self) -> Secret:
        """Return the private key as PEM (PKCS#8, RFC 5958), for the vault."""
        from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - loaded by now

        pem = self._private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return Secret(pem.decode("ascii"))

    @property
    def thumbprint(self) -> str:
        """The public key's SHA-256 thumbprint (RFC 7638): `dpop_jkt` in RFC 9449 §10."""
        return thumbprint(self.public_jwk)

    def sign(self, data: bytes) -> bytes:
        """Return the signature of octets, in the form that a JWS carries (RFC 7518 §3)."""
        from cryptography.hazmat.primitives import hashes  # noqa: PLC0415 - loaded by now
        from cryptography.hazmat.primitives.asymmetric import (  # noqa: PLC0415 - loaded by now
            ec,
            padding,
            rsa,
        )

        key = self._private
        sha256 = hashes.SHA256()
        if isinstance(key, ec.EllipticCurvePrivateKey):
            digest = sha256 if self.alg == "ES256" else hashes.SHA384()
            return _joined(key.sign(data, ec.ECDSA(digest)), key.key_size // 8)
        if isinstance(key, rsa.RSAPrivateKey):
            if self.alg == "RS256":
                return key.sign(data, padding.PKCS1v15(), sha256)
            # RFC 7518 §3.5: the salt is as long as the digest.
            pss = padding.PSS(padding.MGF1(sha256), padding.PSS.DIGEST_LENGTH)
            return key.sign(data, pss, sha256)
        return key.sign(data)

    def jws(self, header: Mapping[str, object], claims: Mapping[str, object]) -> str:
        """Return signed claims in the compact serialization (RFC 7515 §7.1).

        Args:
            header: The JOSE header; its `alg` is always this key's.
            claims: The claims.
        """
        signed = signing_input({**header, "alg": self.alg}, claims)
        return compact(signed, self.sign(signed.encode("ascii")))


def client_assertion(
    key: SigningKey,
    client_id: str,
    audience: str,
    *,
    now: float,
    jti: str,
    lifetime: int = 60,
    key_id: str | None = None,
) -> Secret:
    """Return a JWT with which a client authenticates itself once (RFC 7523 §2.2, §3).

    Args:
        key: The client's key, whose public half the server knows.
        client_id: The client.
        audience: Who is to accept it: the server's issuer, or where that is
            unknown its token endpoint.
        now: Unix seconds, UTC.
        jti: What tells it from all others; see `protocol.jwt.new_jti`.
        lifetime: Seconds until it ends.
        key_id: The key's `kid` at the server, if it has one.
    """
    header = {"typ": "JWT", **({"kid": key_id} if key_id else {})}
    claims = client_assertion_claims(client_id, audience, now=now, jti=jti, lifetime=lifetime)
    return Secret(key.jws(header, claims))


def dpop_proof(
    key: SigningKey,
    method: str,
    url: str,
    *,
    now: float,
    jti: str,
    access_token: Secret | None = None,
    nonce: str | None = None,
) -> str:
    """Return the value of a `DPoP` header field, for one request (RFC 9449 §4).

    Args:
        key: The key that the tokens are bound to.
        method: The request's method, as it is sent.
        url: The request's URL; its query and fragment are left out.
        now: Unix seconds, UTC.
        jti: What tells the proof from all others; see `protocol.jwt.new_jti`.
        access_token: The token sent along, where the request is for a resource
            server; never for an authorization server.
        nonce: The newest nonce of that server, if it gave one.

    Raises:
        InsecureEndpointError: The URL has no http or https origin.
    """
    claims = proof_claims(method, url, now=now, jti=jti, access_token=access_token, nonce=nonce)
    return key.jws(proof_header(key.alg, key.public_jwk), claims)


def _require_supported(alg: str) -> None:
    if alg not in SIGNING_ALGS:
        raise ConfigurationError(
            f"The signing algorithm {alg!r} is not supported.",
            next_step=f"Supported: {', '.join(SIGNING_ALGS)}.",
        )


def _loaded(pem: Secret) -> object:
    from cryptography.exceptions import (  # noqa: PLC0415 - loaded when needed: costs 20 ms
        UnsupportedAlgorithm,
    )
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415 - as above
        load_pem_private_key,
    )

    fault = "is not a private key in PEM"
    try:
        return load_pem_private_key(pem.reveal().encode(), password=None)
    except TypeError:
        fault = "is encrypted"
    except (ValueError, UnsupportedAlgorithm):
        pass
    # Raised here, outside the block, so that no context can show the key.
    raise ConfigurationError(
        f"The signing key {fault}.",
        next_step="Give an unencrypted private key in PKCS#8: openssl pkey -in KEY -out NEW.",
    )


def _signing_key(private: object, alg: str | None) -> SigningKey:
    """Join a key and its algorithm.

    Raises:
        ConfigurationError: They do not fit each other, or no algorithm fits.
    """
    jwk = _public_jwk(private)
    if jwk is None:
        raise ConfigurationError(
            "The signing key is of a kind or size that is not supported.",
            next_step=f"Use a key on P-256 or P-384, Ed25519, or RSA of {_RSA_BITS} bits or more.",
        )
    fitting = _FITTING[jwk.get("crv", "RSA")]
    if alg is not None and alg not in fitting:
        raise ConfigurationError(
            f"The signing key does not fit the algorithm {alg}.",
            next_step=f"Such a key signs with {' or '.join(fitting)}.",
        )
    return SigningKey(alg or fitting[0], MappingProxyType(jwk), cast("_PrivateKey", private))


def _public_jwk(private: object) -> dict[str, str] | None:
    """Return the public half of a private key (RFC 7518 §6, RFC 8037 §2); None if unsupported."""
    from cryptography.hazmat.primitives.asymmetric import (  # noqa: PLC0415 - loaded by now
        ec,
        ed25519,
        rsa,
    )

    if isinstance(private, ec.EllipticCurvePrivateKey):
        curve = {"secp256r1": "P-256", "secp384r1": "P-384"}.get(private.curve.name)
        if curve is None:
            return None
        point = private.public_key().public_numbers()
        # RFC 7518 §6.2.1.2: as long as the curve says, leading zeros included.
        size = private.key_size // 8
        return {"crv": curve, "kty": "EC", "x": _number(point.x, size), "y": _number(point.y, size)}
    if isinstance(private, rsa.RSAPrivateKey) and private.key_size >= _RSA_BITS:
        numbers = private.public_key().public_numbers()
        # RFC 7518 §6.3.1.1: as short as it can be.
        exponent, modulus = (
            _number(number, (number.bit_length() + 7) // 8) for number in (numbers.e, numbers.n)
        )
        return {"e": exponent, "kty": "RSA", "n": modulus}
    if isinstance(private, ed25519.Ed25519PrivateKey):
        x = base64url(private.public_key().public_bytes_raw())
        return {"crv": "Ed25519", "kty": "OKP", "x": x}
    return None


def _number(value: int, size: int) -> str:
    return base64url(value.to_bytes(size, "big"))


def _joined(signature: bytes, size: int) -> bytes:
    """Return r and s one after the other, instead of in DER (RFC 7518 §3.4)."""
    from cryptography.hazmat.primitives.asymmetric.utils import (  # noqa: PLC0415 - loaded by now
        decode_dss_signature,
    )

    r, s = decode_dss_signature(signature)
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")
